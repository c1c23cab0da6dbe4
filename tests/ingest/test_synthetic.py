"""The synthetic sea: shaped like the real one, and the same every time."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ingest.errors import SyntheticMonthError
from ingest.synthetic.files import file_name, write_months
from ingest.synthetic.sea import SyntheticSea
from storage.grid import Grid
from storage.months import month, month_range
from storage.regions import region_masks

GRID = Grid("ecs-half", south=23.0, west=117.0, step=0.5, n_lat=38, n_lon=30)


@pytest.fixture(scope="module")
def years() -> tuple[SyntheticSea, np.ndarray]:
    """A sea, and its truth in 2003-2012 (year, month, lat, lon)."""
    sea = SyntheticSea(GRID, seed=1)
    months = list(sea.months(month("2003-01"), month("2012-12")))
    return sea, np.stack([made.truth for made in months]).reshape(10, 12, *GRID.shape)


def test_the_shelfs_seasons_lie_where_surveys_found_them(
    years: tuple[SyntheticSea, np.ndarray],
) -> None:
    sea, truth = years
    shelf = region_masks(GRID, sea.ocean)["ecs-shelf"]
    monthly = np.average(truth[:, :, shelf], axis=2, weights=GRID.cell_area[shelf]).mean(axis=0)
    winter, summer = monthly[[11, 0, 1]].mean(), monthly[5:8].mean()
    spring, autumn = monthly[2:5].mean(), monthly[8:11].mean()
    # Guo et al. (2015): -10.0 +- 2.0, -11.7 +- 3.6, -3.5 +- 4.6, -2.3 +- 3.1; year -6.9 +- 4.0.
    assert abs(winter + 10.0) < 2.0
    assert abs(spring + 11.7) < 3.6
    assert abs(summer + 3.5) < 4.6
    assert abs(autumn + 2.3) < 3.1
    assert abs(monthly.mean() + 6.9) < 4.0


def test_the_plume_takes_up_co2_in_summer_more_than_the_sea_around_it(
    years: tuple[SyntheticSea, np.ndarray],
) -> None:
    sea, truth = years
    masks = region_masks(GRID, sea.ocean)
    summer = truth[:, 5:8].mean(axis=(0, 1))
    assert summer[masks["changjiang-plume"]].mean() < summer[masks["northern-shelf"]].mean() - 1


def test_anomalies_last_for_months_and_then_fade(years: tuple[SyntheticSea, np.ndarray]) -> None:
    sea, truth = years
    cells = truth[..., sea.ocean]
    anomaly = (cells - cells.mean(axis=0)).reshape(120, -1)
    lagged = [(anomaly[lag:] * anomaly[:-lag]).mean() / (anomaly**2).mean() for lag in (1, 6)]
    assert 0.3 < lagged[0] < 0.9
    assert lagged[1] < lagged[0] - 0.2


def test_uptake_grows_with_the_atmosphere_under_the_years_ups_and_downs() -> None:
    slopes = []
    for seed in range(6):
        sea = SyntheticSea(GRID, seed)
        means = [
            made.truth[sea.ocean].mean() for made in sea.months(month("2003-01"), month("2022-12"))
        ]
        yearly = np.reshape(means, (20, 12)).mean(axis=1)
        slopes.append(np.polyfit(np.arange(20), yearly, 1)[0])
    assert np.mean(slopes) < -0.02


def test_a_month_does_not_depend_on_how_many_are_made() -> None:
    short = list(SyntheticSea(GRID, seed=1).months(month("2005-03"), month("2005-03")))
    long = list(SyntheticSea(GRID, seed=1).months(month("2003-01"), month("2006-01")))
    again = next(made for made in long if made.month == month("2005-03"))
    np.testing.assert_array_equal(short[0].truth, again.truth)
    np.testing.assert_array_equal(short[0].observed, again.observed)
    other = next(iter(SyntheticSea(GRID, seed=2).months(month("2005-03"), month("2005-03"))))
    assert not np.array_equal(other.truth, again.truth, equal_nan=True)


def test_files_say_synthetic_and_are_left_alone_when_they_are_there(tmp_path: Path) -> None:
    months = month_range(month("2003-01"), month("2003-02"))
    assert write_months(tmp_path, GRID, months, seed=1, progress=lambda *_: None) == 2
    with xr.open_dataset(tmp_path / file_name(months[0]), engine="h5netcdf") as dataset:
        assert "synthetic" in dataset.attrs["title"].lower()
        assert "synthetic" in dataset.attrs["source"].lower()
        assert dataset["fco2"].attrs["units"] == "mmol m-2 d-1"
        clouds = np.isnan(dataset["fco2"][0]) & (dataset["ocean"] == 1)
        assert 0.03 < float(clouds.sum() / dataset["ocean"].sum()) < 0.35
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert write_months(tmp_path, GRID, months, seed=1, progress=lambda *_: None) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_month_before_the_first_is_refused() -> None:
    with pytest.raises(SyntheticMonthError, match="2003-01"):
        list(SyntheticSea(GRID, seed=1).months(month("2002-12"), month("2003-01")))
