"""Regridding: integrals kept, land kept out, coasts kept, longitudes by whole turns."""

from pathlib import Path

import numpy as np
import pytest

from ingest.errors import GridMismatchError
from ingest.reader import ProductMonth
from ingest.regridding.regrid import (
    Regridder,
    regrid,
    regrid_month,
    regrid_ocean,
)
from ingest.regridding.weights import DisjointGridsError, grid_weights
from storage.grid import EARTH_RADIUS_M, Grid, grid_named
from storage.months import month

ONE = Grid("one", south=20.0, west=115.0, step=1.0, n_lat=20, n_lon=18)
TENTH = Grid("tenth", south=20.0, west=115.0, step=0.1, n_lat=200, n_lon=180)
SHIFTED = Grid("shifted", south=20.5, west=114.6, step=1.0, n_lat=18, n_lon=20)
COARSE = Grid("coarse", south=21.3, west=116.2, step=2.3, n_lat=7, n_lon=6)
BETWEEN = Grid("between", south=18.9, west=113.7, step=0.37, n_lat=60, n_lon=55)
INNER = Grid("inner", south=23.13, west=117.17, step=0.31, n_lat=40, n_lon=35)
GLOBAL_0_360 = Grid("global-0-360", south=-90.0, west=0.0, step=1.0, n_lat=180, n_lon=360)
GLOBAL_180 = Grid("global-180", south=-90.0, west=-180.0, step=1.0, n_lat=180, n_lon=360)
TWELFTH = Grid("twelfth", south=20.0, west=115.0, step=1 / 12, n_lat=240, n_lon=216)


def field(grid: Grid, *, part_missing: float = 0.4, seed: int = 0) -> np.ndarray:
    """Return a rough field of a sea with coasts and holes, around -5."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    cover = gaussian_filter(rng.normal(size=grid.shape), 2)
    values = rng.normal(-5.0, 3.0, grid.shape)
    values[cover < np.quantile(cover, part_missing)] = np.nan
    return values


def integral(values: np.ndarray, covered: np.ndarray, grid: Grid) -> float:
    return float(np.sum(np.where(covered > 0, values, 0.0) * covered * grid.cell_area))


def integral_within(values: np.ndarray, source: Grid, window: Grid) -> float:
    """Return the integral over what of each cell lies in a window, cell by cell, m2 times value."""
    low, high = window.lat_bounds[0, 0], window.lat_bounds[-1, 1]
    south, north = np.clip(source.lat_bounds, low, high).T
    rows = np.sin(np.deg2rad(north)) - np.sin(np.deg2rad(south))
    columns = np.zeros(source.n_lon)
    west, east = window.west, window.west + window.step * window.n_lon
    for turn in (-360.0, 0.0, 360.0):
        edges = source.west + turn + source.step * np.arange(source.n_lon + 1)
        columns += np.clip(np.minimum(edges[1:], east) - np.maximum(edges[:-1], west), 0, None)
    return float(np.nansum(values * np.outer(rows, np.deg2rad(columns))) * EARTH_RADIUS_M**2)


PAIRS = [
    (ONE, TENTH),
    (TENTH, ONE),
    (ONE, SHIFTED),
    (ONE, COARSE),
    (ONE, BETWEEN),
    (ONE, INNER),
    (BETWEEN, ONE),
    (BETWEEN, INNER),
    (INNER, BETWEEN),
    (TWELFTH, ONE),
    (TWELFTH, TENTH),
    (TENTH, TWELFTH),
    (GLOBAL_0_360, BETWEEN),
    (GLOBAL_180, GLOBAL_0_360),
    (ONE, GLOBAL_180),
]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda grid: grid.name)
def test_the_area_integral_is_kept_under_any_mask(source: Grid, target: Grid) -> None:
    values = field(source)
    made = Regridder(source, target, least_covered=0.0)(values)
    expected = integral_within(values, source, target)
    assert integral(made.values, made.covered, target) == pytest.approx(expected, rel=1e-12)
    # Leaving slivers out loses next to nothing.
    usual = regrid(values, source, target)
    assert integral(usual.values, usual.covered, target) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("target", [ONE, SHIFTED, COARSE, TENTH, INNER], ids=lambda g: g.name)
def test_the_covered_part_is_the_area_of_the_observed_source(target: Grid) -> None:
    seen = np.isfinite(field(ONE))
    covered = regrid(np.where(seen, 1.0, np.nan), ONE, target).covered
    assert 0 <= covered.min() <= covered.max() <= 1
    area = float(np.sum(covered * target.cell_area))
    assert area == pytest.approx(integral_within(seen.astype(float), ONE, target), rel=1e-6)


def test_refining_and_coarsening_again_gives_the_first_field() -> None:
    values = field(ONE)
    fine = regrid(values, ONE, TENTH)
    observed = np.where(fine.covered > 0, fine.values, np.nan)
    np.testing.assert_allclose(regrid(observed, TENTH, ONE).values, values, atol=1e-12)


def test_the_same_grid_gives_the_same_field() -> None:
    values = field(ONE).astype(np.float32)
    made = regrid(values, ONE, ONE)
    np.testing.assert_array_equal(made.values, values)
    assert made.values.dtype == np.float32


@pytest.mark.parametrize("target", [TENTH, SHIFTED, COARSE, BETWEEN], ids=lambda g: g.name)
def test_a_uniform_sea_stays_uniform_up_to_its_coast(target: Grid) -> None:
    """Neither the missing cells nor the area's weights may show in the values."""
    made = regrid(np.where(np.isfinite(field(ONE)), 7.0, np.nan), ONE, target)
    np.testing.assert_allclose(made.values[np.isfinite(made.values)], 7.0, rtol=1e-12)


@pytest.mark.parametrize("target", [TENTH, SHIFTED, COARSE], ids=lambda g: g.name)
def test_no_value_of_land_reaches_the_sea(target: Grid) -> None:
    values = field(ONE)
    seen = np.isfinite(values)
    made = regrid(values, ONE, target)
    for other in (np.inf, -np.inf):
        again = regrid(np.where(seen, values, other), ONE, target)
        np.testing.assert_array_equal(again.values, made.values)


def test_a_coarse_cell_has_the_mean_of_its_sea_by_area() -> None:
    """Worked by hand: two of four cells are sea, in rows of different area."""
    fine = Grid("fine", south=50.0, west=0.0, step=5.0, n_lat=2, n_lon=2)
    coarse = Grid("coarse", south=50.0, west=0.0, step=10.0, n_lat=1, n_lon=1)
    made = regrid(np.array([[1.0, np.nan], [np.nan, 3.0]]), fine, coarse)
    low, high = np.diff(np.sin(np.deg2rad([50.0, 55.0, 60.0])))
    assert made.values.item() == pytest.approx((1 * low + 3 * high) / (low + high), rel=1e-12)
    assert made.covered.item() == pytest.approx(0.5, rel=1e-12)


def test_a_coastal_cell_is_kept_however_little_of_it_is_sea() -> None:
    values = np.full(TENTH.shape, np.nan)
    values[55, 43] = -4.0
    made = regrid(values, TENTH, ONE)
    assert made.values[5, 4] == -4.0
    assert np.isfinite(made.values).sum() == 1
    assert made.covered[5, 4] == pytest.approx(0.01, rel=0.01)
    strict = Regridder(TENTH, ONE, least_covered=0.5)(values)
    assert np.isnan(strict.values).all()
    assert (strict.covered == 0).all()


def test_finer_values_are_bilinear_between_centres() -> None:
    """A plane in degrees is reproduced, but for the curvature of area within a cell."""
    lat, lon = np.meshgrid(ONE.lat, ONE.lon, indexing="ij")
    made = regrid(2.0 * lat - 3.0 * lon, ONE, TENTH).values
    lat, lon = np.meshgrid(TENTH.lat, TENTH.lon, indexing="ij")
    inner = (slice(10, -10), slice(10, -10))
    np.testing.assert_allclose(made[inner], (2.0 * lat - 3.0 * lon)[inner], atol=0.01)


def test_finer_values_follow_a_smooth_sea_better_than_plain_bilinear_ones() -> None:
    from scipy.ndimage import gaussian_filter
    from scipy.ndimage import zoom as bilinear_zoom

    truth = gaussian_filter(np.random.default_rng(1).normal(size=TENTH.shape), 15)
    coarse = regrid(truth, TENTH, ONE).values
    plain = bilinear_zoom(coarse, 10, order=1, mode="nearest", grid_mode=True)
    ours = regrid(coarse, ONE, TENTH).values
    assert np.std(ours - truth) < 0.9 * np.std(plain - truth)


def test_beyond_the_last_sea_centre_the_nearest_value_reaches_one_and_a_half_cells() -> None:
    values = np.full(ONE.shape, np.nan)
    values[10, 8] = -4.0
    values[10, 9] = -6.0
    made = regrid(values, ONE, TENTH)
    rows, columns = np.nonzero(np.isfinite(made.values))
    # Centres lie 0.05 degree inside the reach.
    lat, lon = TENTH.lat[rows], TENTH.lon[columns]
    assert (lat.min(), lat.max()) == pytest.approx((30.5 - 1.45, 30.5 + 1.45))
    assert (lon.min(), lon.max()) == pytest.approx((123.5 - 1.45, 124.5 + 1.45))
    assert made.values[105, 70] == pytest.approx(-4.0)
    assert made.values[105, 109] == pytest.approx(-6.0)
    assert (made.covered > 0).sum() == 200


def test_a_source_cell_keeps_its_mean_without_an_edge_around_it() -> None:
    small = Grid("small", south=20.0, west=115.0, step=1.0, n_lat=5, n_lon=5)
    fine = Grid("fine", south=20.0, west=115.0, step=0.02, n_lat=250, n_lon=250)
    values = np.zeros(small.shape)
    values[2, 2] = 1.0
    made = regrid(values, small, fine).values
    assert made.max() > 1.3
    assert max(np.abs(np.diff(made, axis=axis)).max() for axis in (0, 1)) < 0.15


def test_a_regional_source_is_not_joined_around_the_globe() -> None:
    around = Grid("around", south=20.0, west=0.0, step=0.5, n_lat=10, n_lon=720)
    window = Grid("window", south=20.0, west=-10.0, step=1.0, n_lat=5, n_lon=20)
    values = np.tile(window.lon, (5, 1))
    made = Regridder(window, around, keep_means=False)(values).values
    assert (made[5, 19], made[5, 700]) == (9.5, -9.5)
    assert made[5, 0] == pytest.approx(0.25)
    assert np.isfinite(made[5]).sum() == 40


def test_nothing_is_given_outside_the_source() -> None:
    small = Grid("small", south=25.0, west=120.0, step=1.0, n_lat=4, n_lon=4)
    made = regrid(np.ones(small.shape), small, TENTH)
    lat, lon = TENTH.lat, TENTH.lon
    inside = np.outer((lat > 25) & (lat < 29), (lon > 120) & (lon < 124))
    np.testing.assert_array_equal(np.isfinite(made.values), inside)


@pytest.mark.parametrize("source", [GLOBAL_0_360, GLOBAL_180], ids=lambda grid: grid.name)
@pytest.mark.parametrize("west", [-10.0, 117.0, 170.0, 350.0])
@pytest.mark.parametrize("step", [0.25, 2.0])
def test_a_global_source_serves_a_window_across_any_seam(
    source: Grid, west: float, step: float
) -> None:
    window = Grid("window", south=20.0, west=west, step=step, n_lat=10, n_lon=int(20 / step))

    def wave(grid: Grid) -> np.ndarray:
        return np.tile(np.sin(np.deg2rad(grid.lon)), (grid.n_lat, 1))

    made = regrid(wave(source), source, window)
    np.testing.assert_allclose(made.values, wave(window), atol=2e-4)
    np.testing.assert_allclose(made.covered, 1.0, rtol=1e-9)


def test_weights_are_made_once_for_a_pair_of_grids() -> None:
    regrid(field(ONE), ONE, COARSE)
    again = Grid("one", south=20.0, west=115.0, step=1.0, n_lat=20, n_lon=18)
    assert grid_weights(again, COARSE) is grid_weights(ONE, COARSE)


def test_grids_without_common_area_are_refused_by_name() -> None:
    far = Grid("far", south=-40.0, west=10.0, step=1.0, n_lat=4, n_lon=4)
    with pytest.raises(DisjointGridsError, match=r"far.*-40 to -36 N.*one"):
        regrid(np.ones(far.shape), far, ONE)


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(GridMismatchError, match=r"\(3, 4\).*\(20, 18\)"):
        regrid(np.ones((3, 4)), ONE, TENTH)


# --- months ---------------------------------------------------------------------------------------


def product_month(grid: Grid, uncertainty: np.ndarray, ocean: np.ndarray | None) -> ProductMonth:
    return ProductMonth(
        month=month("2020-03"),
        grid=grid,
        fco2=field(grid).astype(np.float32),
        uncertainty=uncertainty.astype(np.float32),
        ocean=ocean,
        variable="fgco2",
        units="mol m-2 yr-1",
    )


def test_a_month_keeps_what_it_is_and_changes_its_grid() -> None:
    made = regrid_month(product_month(TENTH, np.full(TENTH.shape, 2.0), None), ONE)
    assert (made.month, made.grid, made.ocean) == (month("2020-03"), ONE, None)
    assert (made.variable, made.units) == ("fgco2", "mol m-2 yr-1")
    assert made.fco2.dtype == made.uncertainty.dtype == np.float32
    expected = regrid(field(TENTH).astype(np.float32), TENTH, ONE).values
    np.testing.assert_array_equal(made.fco2, expected)


def test_a_mean_over_cells_of_one_product_is_no_more_certain_than_they_are() -> None:
    made = regrid_month(product_month(TENTH, np.full(TENTH.shape, 2.0), None), ONE)
    np.testing.assert_allclose(made.uncertainty[np.isfinite(made.fco2)], 2.0, rtol=1e-6)
    assert np.isnan(made.uncertainty[np.isnan(made.fco2)]).all()


@pytest.mark.parametrize("target", [COARSE, TENTH], ids=lambda grid: grid.name)
def test_uncertainty_counts_only_where_it_is_known_and_stays_in_its_range(target: Grid) -> None:
    stated = np.where(np.arange(ONE.n_lon) % 2 == 0, 3.0, np.nan) * np.ones(ONE.shape)
    made = regrid_month(product_month(ONE, stated, None), target)
    known = made.uncertainty[np.isfinite(made.uncertainty)]
    np.testing.assert_allclose(known, 3.0, rtol=1e-6)
    missing = np.isnan(field(ONE))
    without_flux = regrid_month(product_month(ONE, np.where(missing, 9.0, 3.0), None), target)
    assert np.nanmax(without_flux.uncertainty) == pytest.approx(3.0, rel=1e-6)
    unknown = regrid_month(product_month(ONE, np.full(ONE.shape, np.nan), None), target)
    assert np.isnan(unknown.uncertainty).all()
    rough = np.random.default_rng(3).uniform(0.1, 4.0, ONE.shape).astype(np.float32)
    made = regrid_month(product_month(ONE, rough, None), target)
    assert np.nanmin(rough) <= np.nanmin(made.uncertainty)
    assert np.nanmax(made.uncertainty) <= np.nanmax(rough)


def test_every_coarse_cell_with_a_value_is_ocean() -> None:
    ocean = np.isfinite(field(TENTH))
    made = regrid_month(product_month(TENTH, np.full(TENTH.shape, 1.0), ocean), ONE)
    assert made.ocean is not None
    assert made.ocean.dtype == bool
    np.testing.assert_array_equal(made.ocean, np.isfinite(made.fco2))


def test_a_refined_mask_is_the_sources_own_sea_without_the_cells_beyond_its_coast() -> None:
    ocean = np.isfinite(field(ONE))
    np.testing.assert_array_equal(
        regrid_ocean(ocean, ONE, TENTH), np.kron(ocean, np.ones((10, 10), dtype=bool))
    )


def test_a_finer_cell_on_the_coast_is_ocean_if_at_least_half_of_it_is() -> None:
    coast = np.outer(np.ones(ONE.n_lat), ONE.lon > 124.0).astype(bool)
    for west, part in ((120.0, 2 / 7), (120.3, 5 / 7)):
        finer = Grid(f"from-{west}", south=25.0, west=west, step=0.7, n_lat=4, n_lon=10)
        assert regrid(np.where(coast, 1.0, np.nan), ONE, finer).covered[2, 5] == pytest.approx(part)
        np.testing.assert_array_equal(
            regrid_ocean(coast, ONE, finer)[2], np.arange(10) >= (5 if part > 0.5 else 6)
        )


def test_a_month_on_the_target_already_is_given_back_as_it_is() -> None:
    made = product_month(ONE, np.full(ONE.shape, 1.0), None)
    assert regrid_month(made, ONE) is made


def test_a_real_month_keeps_its_integral_on_the_records_grid(shared_data: Path) -> None:
    import xarray as xr

    source, target = grid_named("east-asia-1deg"), grid_named("carbon-ecs-10")
    path = shared_data / "fco2_1deg" / "ECS_FCO2_monthly_1deg_201001.nc"
    with xr.open_dataset(path) as dataset:
        values = dataset["fco2"].values[0].astype(np.float64)
    made = regrid(values, source, target)
    expected = integral_within(values, source, target)
    assert integral(made.values, made.covered, target) == pytest.approx(expected, rel=1e-5)
    assert np.nanmin(values) - 5 < np.nanmin(made.values)
    assert np.nanmax(made.values) < np.nanmax(values) + 5
