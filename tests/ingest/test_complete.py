"""Completion: gaps filled better than by the calendar, spikes out, every cell flagged."""

import numpy as np
import pytest
from services.product_files import specification

from ingest.completion.complete import Completion, complete_month
from ingest.errors import TooLittleObservedError
from ingest.reader import ProductMonth
from ingest.synthetic.sea import SyntheticSea
from storage.flux_month import Quality, SourceFile
from storage.grid import Grid
from storage.months import month

GRID = Grid("ecs-half", south=23.0, west=117.0, step=0.25, n_lat=76, n_lon=60)
SOURCE = SourceFile("small", "FLUX.nc", "0" * 64)
UNCERTAINTY = specification().uncertainty


@pytest.fixture(scope="module")
def sea() -> SyntheticSea:
    return SyntheticSea(GRID, seed=5)


@pytest.fixture(scope="module")
def julys(sea: SyntheticSea) -> np.ndarray:
    """The truth of ten Julys (year, lat, lon)."""
    months = sea.months(month("2003-01"), month("2012-12"))
    return np.stack([made.truth for made in months if str(made.month).endswith("07")])


def complete(
    field: np.ndarray, sea: SyntheticSea, earlier: np.ndarray, stated: float = np.nan
) -> Completion:
    uncertainty = np.full(GRID.shape, stated, dtype=np.float32)
    product_month = ProductMonth(
        month("2012-07"), GRID, field.astype(np.float32), uncertainty, None, "fco2", ""
    )
    return complete_month(
        product_month, sea.ocean, earlier, observed_uncertainty=UNCERTAINTY, source=SOURCE
    )


def cloud(sea: SyntheticSea, part: float, seed: int) -> np.ndarray:
    cover = sea._smooth_noise(np.random.default_rng(seed), 1.0)
    return sea.ocean & (cover > np.quantile(cover[sea.ocean], 1 - part))


@pytest.mark.parametrize("part", [0.1, 0.3, 0.6])
def test_cloud_shaped_gaps_are_filled_better_than_by_climatology(
    part: float, sea: SyntheticSea, julys: np.ndarray
) -> None:
    truth, earlier = julys[-1], julys[:-1]
    ours, calendar = [], []
    for seed in range(5):
        gap = cloud(sea, part, seed)
        filled = complete(np.where(gap, np.nan, truth), sea, earlier).month
        ours.append(np.mean((filled.fco2 - truth)[gap] ** 2))
        calendar.append(np.mean((earlier.mean(axis=0) - truth)[gap] ** 2))
    assert np.mean(ours) < 0.9 * np.mean(calendar)


def test_every_ocean_cell_is_complete_and_flagged_and_observed_values_stay(
    sea: SyntheticSea, julys: np.ndarray
) -> None:
    gap = cloud(sea, 0.3, seed=1)
    completion = complete(np.where(gap, np.nan, julys[-1]), sea, julys[:-1])
    made = completion.month
    assert np.isfinite(made.fco2[sea.ocean]).all()
    assert np.isnan(made.fco2[~sea.ocean]).all()
    assert (made.quality[gap] == Quality.COMPLETED).all()
    assert (made.quality[~sea.ocean] == Quality.LAND).all()
    seen = made.quality == Quality.OBSERVED
    np.testing.assert_array_equal(made.fco2[seen], julys[-1][seen])
    assert completion.n_observed + completion.n_completed == sea.ocean.sum()


def test_a_filled_cell_is_less_certain_than_an_observed_one_and_more_so_near_observations(
    sea: SyntheticSea, julys: np.ndarray
) -> None:
    gap = cloud(sea, 0.6, seed=1)
    made = complete(np.where(gap, np.nan, julys[-1]), sea, julys[:-1]).month
    seen = made.quality == Quality.OBSERVED
    assert (made.uncertainty[seen] == np.float32(UNCERTAINTY)).all()
    assert (made.uncertainty[gap] >= np.float32(UNCERTAINTY)).all()
    little = np.where(gap | (np.arange(GRID.n_lon) < 50), np.nan, julys[-1])
    less = complete(little, sea, julys[:-1]).month
    assert less.uncertainty[gap].mean() > made.uncertainty[gap].mean()


def test_the_files_own_uncertainty_is_kept(sea: SyntheticSea, julys: np.ndarray) -> None:
    made = complete(julys[-1], sea, julys[:-1], stated=0.7).month
    assert (made.uncertainty[sea.ocean] == np.float32(0.7)).all()


def test_an_isolated_spike_is_removed_and_a_front_is_not(
    sea: SyntheticSea, julys: np.ndarray
) -> None:
    spiked = julys[-1].copy()
    row, column = 30, 40
    assert sea.ocean[row - 1 : row + 2, column - 1 : column + 2].all()
    spiked[row, column] += 60
    completion = complete(spiked, sea, julys[:-1])
    assert completion.n_spikes == 1
    assert completion.month.quality[row, column] == Quality.COMPLETED
    assert abs(completion.month.fco2[row, column] - julys[-1][row, column]) < 5
    front = julys[-1].copy()
    front[row:, :] += 30
    assert complete(front, sea, julys[:-1]).n_spikes == 0


def test_the_records_first_year_is_completed_without_a_climatology(
    sea: SyntheticSea, julys: np.ndarray
) -> None:
    gap = cloud(sea, 0.2, seed=2)
    made = complete(np.where(gap, np.nan, julys[-1]), sea, julys[:0]).month
    spread = julys[-1][sea.ocean].std()
    assert np.sqrt(np.mean((made.fco2 - julys[-1])[gap] ** 2)) < spread


def test_the_same_file_gives_the_same_month(sea: SyntheticSea, julys: np.ndarray) -> None:
    gap = cloud(sea, 0.3, seed=3)
    field = np.where(gap, np.nan, julys[-1])
    first, second = (complete(field, sea, julys[:-1]).month for _ in range(2))
    assert first.content_hash() == second.content_hash()


def test_a_month_in_which_nothing_was_seen_is_refused_not_invented(
    sea: SyntheticSea, julys: np.ndarray
) -> None:
    with pytest.raises(TooLittleObservedError):
        complete(np.full(GRID.shape, np.nan), sea, julys)
