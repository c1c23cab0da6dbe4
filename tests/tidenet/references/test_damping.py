import numpy as np
import pytest

from tidenet.climatology import AnomalySeries, fit_climatology
from tidenet.references.damping import _shrink_to_mean, fit_damping, fit_slow_memory


def test_damping_finds_the_memory_that_the_anomalies_have(record):
    series = AnomalySeries(record, fit_climatology(record))
    damping = fit_damping(series, 3)
    means = damping[:, record.ocean].mean(axis=1)
    assert means == pytest.approx([0.8, 0.64, 0.51], abs=0.12)
    assert (damping[:, ~record.ocean] == 0).all()
    assert damping.min() >= 0
    assert damping.max() <= 1


def test_cells_that_differ_by_chance_only_get_the_mean():
    slopes, weight = np.array([0.4, 0.6]), np.ones(2)
    # Spread of the two is 0.01, chance alone gives (1 - 0.25) / 10 or so, which is more.
    np.testing.assert_allclose(_shrink_to_mean(slopes, 10, weight), 0.5)


def test_cells_that_differ_beyond_chance_keep_most_of_it():
    slopes, weight = np.array([0.1, 0.9]), np.ones(2)
    # By hand: chance is (0.0099, 0.0019), between = 0.16 - 0.0059 = 0.1541.
    trust = np.array([0.1541 / (0.1541 + 0.0099), 0.1541 / (0.1541 + 0.0019)])
    expected = trust * slopes + (1 - trust) * 0.5
    np.testing.assert_allclose(_shrink_to_mean(slopes, 100, weight), expected)


def test_slow_memory_finds_an_anomaly_that_lasts(record):
    rng = np.random.default_rng(0)
    level = np.repeat(rng.standard_normal(9), 12)[:, None, None]
    record.fco2[:] += 3 * level - record.fco2
    record.fco2[:] += rng.standard_normal(record.fco2.shape).astype(np.float32) * 3
    record.fco2[:, ~record.ocean] = np.nan
    series = AnomalySeries(record, fit_climatology(record))
    slow = fit_slow_memory(series, fit_damping(series, 2), 12)
    assert (slow > 0.1).all()


def test_slow_memory_by_hand(record):
    class Three:
        """Anomalies 1, 3 and 2 on every ocean cell."""

        def __len__(self):
            return 3

        def __getitem__(self, position):
            return np.full(record.grid.shape, (1.0, 3.0, 2.0)[position])

    series = Three()
    series.record = record
    damping = np.full((1, *record.grid.shape), 0.5)
    # Mean of 1 and 3 is 2; damped persistence of 3 gives 1.5 and misses 0.5 of 2: weight 0.25.
    np.testing.assert_allclose(fit_slow_memory(series, damping, 2), [0.25])
