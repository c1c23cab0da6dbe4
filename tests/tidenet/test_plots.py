"""Pictures."""

import io

import numpy as np

from storage.grid import Grid
from storage.months import month
from tidenet.plots import forecast_map

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
