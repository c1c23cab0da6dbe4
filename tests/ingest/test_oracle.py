"""The oracle of the synthetic sea: nothing made from observations is better."""

from collections.abc import Iterator

import numpy as np
import pytest

from ingest.errors import SyntheticMonthError
from ingest.synthetic import sea as sea_module
from ingest.synthetic.oracle import oracle_forecasts
from ingest.synthetic.sea import FIRST_MONTH, SyntheticSea
from storage.grid import Grid
from storage.months import Month, month, month_range

GRID = Grid("ecs-half", south=23.0, west=117.0, step=0.5, n_lat=38, n_lon=30)
INIT_MONTHS = month_range(month("2013-01"), month("2019-06"))


@pytest.fixture(scope="module")
def sea() -> SyntheticSea:
    return SyntheticSea(GRID, seed=3)


@pytest.fixture(scope="module")
def truth(sea: SyntheticSea) -> dict[Month, np.ndarray]:
    months = sea.months(FIRST_MONTH, INIT_MONTHS[-1] + 6)
    return {made.month: made.truth[sea.ocean].astype(np.float64) for made in months}


@pytest.fixture(scope="module")
def forecasts(sea: SyntheticSea) -> dict[Month, np.ndarray]:
    made = oracle_forecasts(sea, INIT_MONTHS, 6)
    return {init: forecast[:, sea.ocean].astype(np.float64) for init, forecast in made}


def squared_errors(
    forecasts: dict[Month, np.ndarray], truth: dict[Month, np.ndarray]
) -> np.ndarray:
    """Mean squared error by lead."""
    errors = [
        [np.mean((f - truth[init + k]) ** 2) for k, f in enumerate(forecast, start=1)]
        for init, forecast in forecasts.items()
    ]
    return np.mean(errors, axis=0)


def test_it_is_better_at_every_lead_than_the_calendar_and_any_damping_of_what_is_seen(
    truth: dict[Month, np.ndarray], forecasts: dict[Month, np.ndarray]
) -> None:
    ours = squared_errors(forecasts, truth)
    trained = [m for m in truth if m < INIT_MONTHS[0]]
    mean = [np.mean([truth[m] for m in trained[c::12]], axis=0) for c in range(12)]

    def anomaly(when: Month) -> np.ndarray:
        return truth[when] - mean[int(when.astype(int)) % 12]

    for kept in (0.0, 0.5, 0.7, 0.85, 1.0):
        theirs = {
            init: np.stack(
                [
                    mean[int((init + k).astype(int)) % 12] + kept**k * anomaly(init)
                    for k in range(1, 7)
                ]
            )
            for init in forecasts
        }
        assert (ours < squared_errors(theirs, truth)).all()


def test_no_rescaling_of_its_departure_from_the_calendar_helps(
    sea: SyntheticSea, truth: dict[Month, np.ndarray], forecasts: dict[Month, np.ndarray]
) -> None:
    """Best means unbiased: regressing what came on what was forecast gives slope 1 and no rest."""
    blank = {
        init: np.stack(
            [
                sea.expected_flux(sea_module.SeaState(init + k, np.zeros(GRID.shape), 0.0))
                for k in range(1, 7)
            ]
        )[:, sea.ocean]
        for init in forecasts
    }
    for lead in range(3):
        foreseen = np.stack([forecasts[i][lead] - blank[i][lead] for i in forecasts])
        came = np.stack([truth[i + lead + 1] - blank[i][lead] for i in forecasts])
        assert (foreseen * came).sum() / (foreseen**2).sum() == pytest.approx(1.0, abs=0.12)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A sea in which nothing new is born and no gust blows: all is decided by the state."""
    monkeypatch.setattr(sea_module, "_PATCH_MEMORY", 1.0)
    monkeypatch.setattr(sea_module, "_INTERANNUAL_MEMORY", 1.0)
    monkeypatch.setattr(sea_module, "_WIND_NOISE", 0.0)
    return iter(())


def test_it_is_exact_where_nothing_new_happens(still: None) -> None:
    sea = SyntheticSea(GRID, seed=3)
    init = month("2010-05")
    state = sea_module.SeaState(init, np.where(sea.ocean, 20.0, 0.0), 1.5)
    rng = np.random.default_rng(0)
    for _ in range(4):
        after = sea_module.SeaState(state.month + 1, sea._drift(state.patches, rng), state.index)
        state = sea.carried(state)
        np.testing.assert_allclose(state.patches, after.patches, atol=1e-9)
        made = sea._month(after, rng)
        np.testing.assert_allclose(sea.expected_flux(state), made.truth, rtol=1e-6)


def test_a_forecast_does_not_depend_on_the_others_asked_for(sea: SyntheticSea) -> None:
    asked = [month("2006-04"), month("2004-11")]
    both = dict(oracle_forecasts(sea, asked, 2))
    assert list(both) == sorted(asked)
    (alone,) = oracle_forecasts(sea, asked[:1], 2)
    np.testing.assert_array_equal(alone[1], both[asked[0]])
    assert list(oracle_forecasts(sea, [], 2)) == []
    with pytest.raises(SyntheticMonthError):
        list(oracle_forecasts(sea, [month("2001-01")], 2))
