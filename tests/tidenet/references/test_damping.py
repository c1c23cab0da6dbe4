import numpy as np
import pytest
from services.anomaly_worlds import fading

from tidenet.references.anomalies import Anomalies
from tidenet.references.damping import fit_damping, fit_seasonal_damping, shrink_to_mean


def test_damping_finds_the_memory_that_the_anomalies_have():
    damping = fit_damping(fading(), 3).factor
    assert damping.mean(axis=1) == pytest.approx([0.8, 0.64, 0.51], abs=0.03)
    assert damping.min() >= 0
    assert damping.max() <= 1


def test_cells_that_differ_by_chance_only_get_the_mean():
    slopes, weight = np.array([0.4, 0.6]), np.ones(2)
    # Spread of the two is 0.01, chance alone gives (1 - 0.25) / 10 or so, which is more.
    np.testing.assert_allclose(shrink_to_mean(slopes, 10, weight), 0.5)


def test_cells_that_differ_beyond_chance_keep_most_of_it():
    slopes, weight = np.array([0.1, 0.9]), np.ones(2)
    # By hand: chance is (0.0099, 0.0019), between = 0.16 - 0.0059 = 0.1541.
    trust = np.array([0.1541 / (0.1541 + 0.0099), 0.1541 / (0.1541 + 0.0019)])
    expected = trust * slopes + (1 - trust) * 0.5
    np.testing.assert_allclose(shrink_to_mean(slopes, 100, weight), expected)


def test_a_memory_that_depends_on_the_season_is_found():
    months = fading(memory=0.0, n_months=480, seed=1)
    values = months.values.copy()
    for t in range(1, len(values)):
        if months.calendar[t - 1] < 6:  # what starts in January to June lasts
            values[t] = 0.9 * values[t - 1] + np.sqrt(1 - 0.81) * values[t]
    seasonal = fit_seasonal_damping(Anomalies(values, 0, months.sea), 1).factor[0].mean(axis=1)
    assert seasonal[1:5].min() > 0.8
    assert seasonal[7:11].max() < 0.2


def test_pairs_across_a_block_that_is_left_out_are_not_used():
    months = fading()
    spoiled = months.with_values(months.values.copy())
    spoiled.values[100:140] = 1e6
    parts = [(0, 100), (140, 240)]
    clean = fit_damping(months, 2, parts).factor
    np.testing.assert_array_equal(clean, fit_damping(spoiled, 2, parts).factor)
