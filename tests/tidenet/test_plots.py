"""Pictures."""

import io

import numpy as np

from storage.grid import Grid
from storage.months import month
from tidenet.plots import forecast_map, outlook_map

GRID = Grid("tiny", south=25, west=120, step=0.5, n_lat=12, n_lon=10)


def draw(observed: np.ndarray, ocean: np.ndarray):
    return forecast_map(
        np.full(GRID.shape, -5.0),
        observed,
        grid=GRID,
        ocean=ocean,
        init_month=month("2019-12"),
        valid_month=month("2020-03"),
        source="a product, a model",
    )


def test_the_map_says_when_what_and_in_which_units_on_a_scale_symmetric_around_zero() -> None:
    ocean = np.ones(GRID.shape, dtype=bool)
    ocean[:, 0] = False
    observed = np.where(ocean, -7.0, np.nan)
    figure = draw(observed, ocean)
    titles = [axis.get_title() for axis in figure.axes]
    assert "Forecast from 2019-12, lead 3" in titles
    assert "Observed 2020-03" in titles
    for axis in figure.axes[:3]:
        low, high = axis.images[0].get_clim()
        assert low == -high
    labels = " ".join(axis.get_xlabel() for axis in figure.axes)
    assert labels.count("mmol m$^{-2}$ d$^{-1}$") == 3
    assert "RMSE 2.00" in figure.get_supxlabel()
    png = io.BytesIO()
    figure.savefig(png)
    assert png.getvalue().startswith(b"\x89PNG")


def test_cells_without_an_observation_are_hatched_and_said_so() -> None:
    ocean = np.ones(GRID.shape, dtype=bool)
    observed = np.full(GRID.shape, -7.0)
    assert "Hatched" not in draw(observed, ocean).get_supxlabel()
    observed[3:6, 3:6] = np.nan
    assert "Hatched: not observed" in draw(observed, ocean).get_supxlabel()


def outlook(grid: Grid, mean: np.ndarray, width: np.ndarray, ocean: np.ndarray):
    return outlook_map(
        mean,
        width,
        grid=grid,
        ocean=ocean,
        init_month=month("2019-12"),
        leads=[1, 3],
        source="a model",
    )


def test_an_outlook_has_the_mean_above_its_interval_each_row_on_one_scale() -> None:
    ocean = np.ones(GRID.shape, dtype=bool)
    ocean[:, 0] = False
    mean = np.stack([np.full(GRID.shape, -5.0), np.full(GRID.shape, 8.0)])
    figure = outlook(GRID, mean, np.abs(mean) / 2, ocean)
    panels = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in panels] == ["2020-01, lead 1", "2020-03, lead 3", "", ""]
    assert [axis.images[0].get_clim() for axis in panels] == [(-8, 8)] * 2 + [(0, 4)] * 2
    for axis, value in zip(panels, (-5.0, 8.0, 2.5, 4.0), strict=True):
        shown = axis.images[0].get_array()
        assert shown.mask[:, 0].all() and (shown[:, 1:] == value).all()
    labels = " ".join(axis.get_ylabel() for axis in figure.axes)
    assert labels.count("mmol m$^{-2}$ d$^{-1}$") == 2
    assert "2019-12" in figure.get_suptitle()


def test_an_outlook_on_a_fine_grid_shows_means_of_blocks_over_their_ocean() -> None:
    fine = Grid("fine", south=25, west=120, step=0.01, n_lat=500, n_lon=300)
    ocean = np.ones(fine.shape, dtype=bool)
    ocean[:, :50] = False
    mean = np.where(np.arange(300) % 3 == 0, -9.0, 0.0) + np.zeros((2, 500, 300))
    mean[:, :, :50] = 1e6  # whatever stands on land
    figure = outlook(fine, mean, np.ones_like(mean), ocean)
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (167, 100)
    np.testing.assert_allclose(shown[:-1, 17:].data, -3.0, rtol=1e-5)
    west, east, south, north = figure.axes[0].images[0].get_extent()
    assert (west, east, south) == (120, 123, 25) and 30 <= north <= 30.02
