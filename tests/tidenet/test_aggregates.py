import numpy as np
import pytest

from storage.grid import Grid
from storage.months import month
from tidenet.aggregates import (
    RegionMeans,
    cell_rows,
    integral_tg_c,
    observed_cells,
    quantile_fields,
    quantiles,
    regional_rows,
    spread_fields,
    yearly_sums,
)
from tidenet.errors import IncompatibleModelError
from tidenet.forecaster import QUANTILES, Forecast

GRID = Grid("seven", south=30, west=120, step=0.5, n_lat=7, n_lon=5)
OCEAN = np.ones(GRID.shape, bool)
OCEAN[:2, :3] = False
FEW = OCEAN & (np.arange(7)[:, None] > 4)


def forecast(n_members: int = 20, seed: int = 0) -> Forecast:
    rng = np.random.default_rng(seed)
    members = rng.normal(-1, 2, (n_members, 2, *GRID.shape)).astype(np.float32)
    members[:, :, ~OCEAN] = np.nan
    return Forecast(GRID, month("2020-01"), members, members.mean(axis=0))


def references() -> dict[str, Forecast]:
    return {"climatology": forecast(1, 8), "damped-persistence": forecast(1, 9)}


def two(made: Forecast) -> dict[str, Forecast]:
    """References of the same init month as a forecast."""
    return {name: made for name in ("climatology", "damped-persistence")}


def test_area_integral_by_hand():
    # 1 mmol m-2 d-1 on 1e12 m2 over the 29 days of February 2020: 29e9 mol, 0.348 Tg C.
    value = integral_tg_c(np.array([1.0]), 1e12, np.array([month("2020-02")]))
    assert value == pytest.approx([0.348319])


def test_quantiles_are_ordered_and_cover_what_they_say():
    rng = np.random.default_rng(0)
    sample = rng.standard_normal((21, 20000))
    members, truth = sample[:20], sample[20]
    found = quantiles(members)
    assert (np.diff(found, axis=0) >= 0).all()
    below = (truth < found).mean(axis=1)
    assert below == pytest.approx(QUANTILES, abs=0.01)


def test_quantiles_by_hand():
    members = np.array([[4.0], [1.0], [3.0]])
    # Ranks p (n + 1): 0.2 -> the first, 1.0 -> the first, 2 -> the second, 3 and 3.8 -> the third.
    assert quantiles(members)[:, 0] == pytest.approx([1.0, 1.0, 3.0, 4.0, 4.0])


def test_fields_have_their_shapes_and_keep_land_empty():
    assert quantile_fields(forecast()).shape == (2, 5, 7, 5)
    assert np.isnan(quantile_fields(forecast())[:, :, ~OCEAN]).all()
    assert spread_fields(forecast()).shape == (2, 7, 5)
    assert (spread_fields(forecast(1))[:, OCEAN] == 0).all()


def test_regional_means_are_weighted_by_area():
    mine, area = forecast(), GRID.cell_area
    north = OCEAN & (GRID.lat[:, None] > 32)
    rows = regional_rows(mine, references(), {"all": OCEAN, "north": north}, area)
    assert list(rows["region"]) == ["all", "all", "north", "north"]
    assert list(rows["lead_months"]) == [1, 2, 1, 2]
    assert rows["valid_month"][1] == month("2020-03")
    expected = np.average(mine.mean[1][north], weights=area[north])
    assert rows["mean"][3] == pytest.approx(expected)
    means = [np.average(m[1][north], weights=area[north]) for m in mine.members]
    assert rows["p_source"][3] == np.mean(np.array(means) > 0)
    assert rows["spread"][3] == pytest.approx(np.std(means, ddof=1), rel=1e-4)
    assert rows["integral_tg_c"][3] == pytest.approx(
        expected * area[north].sum() * 31 * 12.011e-15, rel=1e-6
    )
    assert all(len(column) == 4 for column in rows.values())


def test_archive_cells_add_up_to_the_same_integral():
    mine = forecast()
    cells = cell_rows(mine, references(), OCEAN, 3)
    whole = regional_rows(mine, references(), {"all": OCEAN}, GRID.cell_area)
    for lead in (1, 2):
        at = cells["lead_months"] == lead
        amounts = integral_tg_c(
            cells["mean"][at], cells["area_m2"][at], cells["valid_month"][at]
        ).sum()
        assert amounts == pytest.approx(whole["integral_tg_c"][lead - 1], rel=1e-9)
        assert cells["area_m2"][at].sum() == pytest.approx(whole["area_m2"][0], rel=1e-12)


def test_archive_cells_without_ocean_are_left_out():
    cells = cell_rows(forecast(), references(), OCEAN, 1)
    assert len(cells["mean"]) == 2 * OCEAN.sum()
    assert np.isfinite(cells["mean"]).all()
    assert cells["lat"][0] == GRID.lat[0]
    assert cells["lon"][0] == GRID.lon[3]


def test_a_reference_of_another_init_month_is_refused():
    other = references()
    late = other["climatology"]
    other["climatology"] = Forecast(GRID, month("2020-02"), late.members, late.mean)
    with pytest.raises(IncompatibleModelError, match="2020-02 instead of 2020-01"):
        regional_rows(forecast(), other, {"all": OCEAN}, GRID.cell_area)


def test_years_are_summed_member_by_member():
    """Two members that swap their months: each month is unsure, their sum is not."""
    members = np.full((2, 2, *GRID.shape), np.nan, np.float32)
    members[:, :, OCEAN] = np.array([[1.0, 3.0], [3.0, 1.0]], np.float32)[:, :, None]
    # January and February 2020 are 31 and 29 days: the sums are 31 + 87 and 93 + 29.
    swapped = Forecast(GRID, month("2019-12"), members, members.mean(axis=0))
    area = GRID.cell_area
    rows = regional_rows(swapped, two(swapped), {"all": OCEAN}, area)
    sums = yearly_sums(rows, 2)
    per_day = area[OCEAN].sum() * 12.011e-15
    assert sums["years"].tolist() == [2020]
    assert sums["n_months"].tolist() == [2]
    assert sums["mean"] == pytest.approx(np.array([[120 * per_day]]), rel=1e-6)
    assert sums["spread"] == pytest.approx(np.array([[np.std([118, 122], ddof=1) * per_day]]))
    assert sums["quantiles"][0, [0, 4], 0] == pytest.approx([118 * per_day, 122 * per_day])


def test_a_run_over_new_year_has_two_years():
    made = forecast()
    over = Forecast(GRID, month("2019-11"), made.members, made.mean)
    rows = regional_rows(over, two(over), {"all": OCEAN, "few": FEW}, GRID.cell_area)
    sums = yearly_sums(rows, 2)
    assert (sums["years"].tolist(), sums["n_months"].tolist()) == ([2019, 2020], [1, 1])
    assert sums["quantiles"].shape == (2, 5, 2)
    # One month is that month's integral; rows are by region, then lead.
    by_region = rows["integral_tg_c"].reshape(2, 2)
    assert sums["mean"] == pytest.approx(by_region.T, rel=1e-9)
    low = rows["integral_q05_tg_c"].reshape(2, 2)
    assert sums["quantiles"][:, 0] == pytest.approx(low.T, rel=1e-5)


def test_observed_months_are_averaged_as_forecasts_are():
    field = np.where(OCEAN, np.arange(35, dtype=np.float32).reshape(GRID.shape), np.nan)
    seen = OCEAN & (np.arange(35).reshape(GRID.shape) % 2 == 0)
    area = GRID.cell_area
    means = RegionMeans({"all": OCEAN, "few": FEW}, area)
    assert means.area_m2 == pytest.approx([area[OCEAN].sum(), area[FEW].sum()])
    expected = [np.average(field[m], weights=area[m]) for m in (OCEAN, FEW)]
    assert means(field) == pytest.approx(expected, rel=1e-6)
    cells = observed_cells(GRID, field, seen, OCEAN, 2)
    total = (cells["mean"] * cells["area_m2"]).sum()
    assert total == pytest.approx((field[OCEAN] * area[OCEAN]).sum(), rel=1e-9)
    share = (cells["observed_share"] * cells["area_m2"]).sum()
    assert share == pytest.approx(area[seen].sum(), rel=1e-9)
    rows = cell_rows(forecast(), references(), OCEAN, 2)
    n_cells = len(rows["row"]) // 2
    for name in ("row", "column", "area_m2"):
        assert cells[name] == pytest.approx(rows[name][:n_cells])
