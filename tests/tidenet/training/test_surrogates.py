"""Surrogate sequences look like the sea that they were drawn from, and are another history."""

from dataclasses import replace

import numpy as np
import pytest
from services.small_sea import small_record

from storage.months import month
from tidenet.configuration import TideNetConfig
from tidenet.errors import NotEnoughMonthsError
from tidenet.record import FluxRecord
from tidenet.references.anomalies import Anomalies, Sea
from tidenet.training import train
from tidenet.training.surrogates import surrogates


@pytest.fixture(scope="module")
def sea_months() -> Anomalies:
    """Smooth anomalies that fade and move one cell a month to the east; restless in winter."""
    from tidenet.pretraining.worlds import smooth_noise

    rng = np.random.default_rng(0)
    fresh = smooth_noise(rng, 240, (12, 14), 1.5)
    restless = 1 + 0.5 * np.cos(2 * np.pi * np.arange(240) / 12)
    now, months = np.zeros((12, 14)), []
    for kick, size in zip(fresh, restless, strict=True):
        now = 0.8 * np.roll(now, 1, axis=1) + 0.6 * size * kick
        now[:, 0] = 0.0
        months.append(now)
    return Anomalies(np.stack(months).reshape(240, -1).astype("f4"), 0, Sea.of(np.ones((12, 14))))


def products(anomalies: Anomalies) -> dict[str, float]:
    """Variance, and covariances in time, in space, and of what moves."""
    maps = anomalies.values.reshape(-1, 12, 14).astype(np.float64)
    winter = np.isin(anomalies.calendar, (11, 0, 1))
    return {
        "variance": float((maps**2).mean()),
        "winter": float((maps[winter] ** 2).mean() / (maps**2).mean()),
        "stays": float((maps[1:] * maps[:-1]).mean() / (maps**2).mean()),
        "moves": float((maps[1:, :, 1:] * maps[:-1, :, :-1]).mean() / (maps**2).mean()),
        "smooth": float((maps[:, 1:] * maps[:, :-1]).mean() / (maps**2).mean()),
    }


def test_they_have_its_variance_seasons_memory_currents_and_scales(sea_months: Anomalies) -> None:
    drawn = surrogates(sea_months, 600, np.random.default_rng(1))
    ours, theirs = products(drawn), products(sea_months)
    assert ours["variance"] == pytest.approx(theirs["variance"], rel=0.3)
    for name in ("winter", "stays", "moves", "smooth"):
        assert ours[name] == pytest.approx(theirs[name], abs=0.15), name
    assert ours["moves"] > ours["stays"] + 0.05


def test_they_follow_from_the_generator_and_repeat_no_month(sea_months: Anomalies) -> None:
    one, again = (surrogates(sea_months, 30, np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(one.values, again.values)
    other = surrogates(sea_months, 30, np.random.default_rng(3))
    assert not np.array_equal(one.values, other.values)
    both = np.concatenate([one.values, sea_months.values])
    near = np.corrcoef(both)[:30, 30:]
    assert near.max() < 0.97


def test_two_years_are_the_least(sea_months: Anomalies) -> None:
    with pytest.raises(NotEnoughMonthsError, match="24"):
        surrogates(sea_months.part(0, 20), 12, np.random.default_rng(0))


def test_a_network_learns_from_them_besides_and_from_no_later_month() -> None:
    config = TideNetConfig.tiny(n_epochs=1, n_history=3, n_leads=2, validation_months=12)
    record = small_record()
    until = month("2010-12")
    spoiled = replace(record, fco2=np.where(record.months[:, None, None] > until, 1e6, record.fco2))

    def weights(known: FluxRecord, n_months: int) -> np.ndarray:
        changed = config.model_copy(update={"surrogate_months": n_months})
        [network] = train(known.until(until), changed, seed=0).networks
        return np.concatenate([p.detach().numpy().ravel() for p in network.parameters()])

    drawn = weights(record, 40)
    assert not np.array_equal(drawn, weights(record, 0))
    np.testing.assert_array_equal(drawn, weights(spoiled, 40))


def test_a_surrogate_shorter_than_two_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate_months, 12, must be 0 or at least 13"):
        TideNetConfig(surrogate_months=12)
