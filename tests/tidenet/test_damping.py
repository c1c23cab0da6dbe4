import numpy as np
import pytest

from tidenet.climatology import AnomalySeries, fit_climatology
from tidenet.damping import _shrink_to_mean, _two_weights, fit_damping, fit_slow_memory


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


def test_two_weights_solve_the_regression():
    # x and m independent with variances 2 and 1; y = 0.5 x + 0.25 m.
    assert _two_weights(2.0, 0.0, 1.0, 1.0, 0.25) == (0.5, 0.25)


def test_a_negative_weight_gives_way_to_the_better_single_predictor():
    now, year = _two_weights(1.0, 0.8, 1.0, 0.5, 0.3)
    assert (now, year) == (0.5, 0.0)


def test_slow_memory_finds_an_anomaly_that_lasts(record):
    rng = np.random.default_rng(0)
    level = np.repeat(rng.standard_normal(9), 12)[:, None, None]
    record.fco2[:] += 3 * level - record.fco2
    record.fco2[:] += rng.standard_normal(record.fco2.shape).astype(np.float32) * 3
    record.fco2[:, ~record.ocean] = np.nan
    series = AnomalySeries(record, fit_climatology(record))
    slow = fit_slow_memory(series, 2, 12)
    assert slow.year[0] > slow.now[0] > 0
