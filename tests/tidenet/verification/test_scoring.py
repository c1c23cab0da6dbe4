import numpy as np
import pytest
import xarray as xr
from scores.probability import crps_for_ensemble

from tidenet.verification import (
    PredictedMonth,
    ReferenceMonth,
    add_up,
    crps_of_members,
    crps_of_normal,
    score_month,
    scores,
)

AREA = np.array([[1e6, 3e6, 5e6]])  # 1, 3 and 5 km2; the third is land or not observed
CELLS = np.array([[True, True, False]])
NAN = np.nan


def scored(third: float = NAN):
    predicted = PredictedMonth(
        mean=np.array([[2.0, 0.0, third]]),
        spread=np.array([[1.0, 2.0, third]]),
        quantiles=np.array(
            [[[0.0, -4.0, third]], [[1.5, -1.0, third]], [[2.0, 0.0, third]],
             [[2.5, 1.0, third]], [[4.0, 4.0, third]]]
        ),
    )  # fmt: skip
    reference = ReferenceMonth(
        climatology_mean=np.array([[0.0, -1.0, third]]),
        climatology_std=np.array([[1.0, 1.0, third]]),
        persistence=np.array([[5.0, 1.0, third]]),
        damped_persistence=np.array([[3.0, 1.0, third]]),
    )
    observed = np.array([[3.0, 1.0, third]])
    masks = {"all": np.ones((1, 3), bool), "east": np.array([[False, True, True]])}
    return score_month(predicted, reference, observed, CELLS, AREA, masks)


def test_sums_by_hand():
    whole, east = scored()
    assert (whole.region, whole.n_cells, whole.weight) == ("all", 2, 4.0)
    assert whole.squared_error == pytest.approx(1 * 1 + 3 * 1)
    assert whole.squared_error_climatology == pytest.approx(1 * 9 + 3 * 4)
    assert whole.squared_error_persistence == pytest.approx(1 * 4 + 3 * 0)
    assert whole.squared_error_damped_persistence == pytest.approx(0)
    assert whole.error == pytest.approx(-1 - 3)
    assert whole.absolute_error == pytest.approx(1 + 3)
    assert whole.anomaly_product == pytest.approx(1 * 2 * 3 + 3 * 1 * 2)
    assert whole.forecast_anomaly_squared == pytest.approx(1 * 4 + 3 * 1)
    assert whole.observed_anomaly_squared == pytest.approx(1 * 9 + 3 * 4)
    assert whole.variance == pytest.approx(1 * 1 + 3 * 4)
    assert whole.inside_50 == pytest.approx(3)  # 3 is outside 1.5..2.5, 1 is on the edge of -1..1
    assert whole.inside_90 == pytest.approx(4)
    assert (east.n_cells, east.weight, east.squared_error) == (1, 3.0, 3.0)


def test_cells_that_were_not_observed_count_for_nothing():
    assert scored(1e6) == scored(NAN)


def test_scores_by_hand():
    result = scores(add_up([scored()[0]]))
    assert result["msss"] == pytest.approx(1 - 4 / 21)
    assert result["msss_persistence"] == pytest.approx(1 - 4 / 4)
    assert np.isnan(result["msss_damped_persistence"])
    assert result["rmse"] == pytest.approx(1)
    assert result["bias"] == pytest.approx(-1)
    assert result["acc"] == pytest.approx(12 / np.sqrt(7 * 21))
    # Centred: products minus means, with sums f 5, o 9 and weight 4.
    expected = (12 - 45 / 4) / np.sqrt((7 - 25 / 4) * (21 - 81 / 4))
    assert result["acc_centred"] == pytest.approx(expected)
    assert result["coverage_50"] == pytest.approx(0.75)
    assert result["spread_skill"] == pytest.approx(np.sqrt(13 / 4))


def test_sums_of_parts_are_the_sum_of_all():
    whole, east = scored()
    twice = add_up([whole, east])
    assert twice.squared_error == whole.squared_error + east.squared_error
    assert twice.weight == 7
    assert twice.region == "mixed"
    assert add_up([whole, whole]).region == "all"


def test_a_region_without_observations_has_no_scores():
    rows = score_month(
        PredictedMonth(*[np.zeros((1, 3))] * 2, np.zeros((5, 1, 3))),
        ReferenceMonth(*[np.zeros((1, 3))] * 4),
        np.zeros((1, 3)),
        np.zeros((1, 3), bool),
        AREA,
        {"all": np.ones((1, 3), bool)},
    )
    assert rows[0].n_cells == 0
    assert all(np.isnan(value) for value in scores(rows[0]).values())


def test_crps_of_members_is_the_fair_one():
    rng = np.random.default_rng(0)
    members, observed = rng.standard_normal((7, 4, 5)), rng.standard_normal((4, 5))
    expected = crps_for_ensemble(
        xr.DataArray(members, dims=("member", "lat", "lon")),
        xr.DataArray(observed, dims=("lat", "lon")),
        ensemble_member_dim="member",
        method="fair",
        preserve_dims="all",
    )
    np.testing.assert_allclose(crps_of_members(members, observed), expected.values)
    # By hand: |0-1|, |2-1| average 1; the pair is 2 apart, 2 * 2 / (2 * 2 * 1) = 1; 1 - 1 = 0.
    assert crps_of_members(np.array([[0.0], [2.0]]), np.array([1.0])) == pytest.approx([0.0])


def test_crps_of_a_normal_distribution():
    # At its centre it is s (sqrt(2) - 1) / sqrt(pi).
    expected = 2 * (np.sqrt(2) - 1) / np.sqrt(np.pi)
    assert crps_of_normal(np.array(1.0), np.array(2.0), np.array(1.0)) == pytest.approx(expected)
    assert crps_of_normal(np.array(1.0), np.array(0.0), np.array(4.0)) == pytest.approx(3.0)
    members = np.random.default_rng(0).normal(1.0, 2.0, (4000, 1))
    sampled = crps_of_members(members, np.array([2.5]))
    exact = crps_of_normal(np.array([1.0]), np.array([2.0]), np.array([2.5]))
    np.testing.assert_allclose(sampled, exact, rtol=0.05)
