"""Sums and scores of ensembles."""

import operator
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scores.probability import (
    brier_score,
    brier_score_for_ensemble,
    crps_for_ensemble,
    rank_histogram,
    roc_auc,
)

import tidenet.verification.probability as module
from storage.grid import Grid
from storage.months import month
from tidenet.climatology import MonthlyClimatology
from tidenet.forecaster import Forecast
from tidenet.record import FluxRecord
from tidenet.verification.bootstrap import intervals
from tidenet.verification.monthly import monthly_sums
from tidenet.verification.probability import (
    ProbabilityRow,
    VerifiedMonth,
    forecast_sums,
    probability_sums,
)
from tidenet.verification.probability_scores import (
    probability_scores,
    rank_shares,
    reliability_curve,
    roc_curve,
)

KM2 = 1e6
NAN = np.nan


def verified(observed, area=None, cells=None, mean=0.0, std=1.0) -> VerifiedMonth:
    observed = np.asarray(observed, dtype=float)
    return VerifiedMonth(
        observed,
        np.ones(observed.shape, bool) if cells is None else np.asarray(cells),
        np.full(observed.shape, KM2) if area is None else np.asarray(area) * KM2,
        np.full(observed.shape, mean),
        np.full(observed.shape, std),
    )


def score(members, month_, masks=None, seed=0, **options):
    masks = masks or {"all": np.ones(month_.observed.shape, bool)}
    rng = np.random.default_rng(seed)
    return probability_sums(np.asarray(members, float), month_, masks, rng=rng, **options)


def totals_of(sums) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in vars(sums).items() if name != "region"}


def scores_of(members, month_, **options):
    return {
        name: float(value)
        for name, value in probability_scores(
            totals_of(score(members, month_, **options)[0])
        ).items()
    }


@pytest.fixture(scope="module")
def noisy():
    """A sea in which the forecast knows the mean, of cells of different size."""
    rng = np.random.default_rng(0)
    shape = (40, 50)
    mean = 1.5 * rng.standard_normal(shape)
    members = mean + rng.standard_normal((19, *shape))
    area = np.linspace(0.5, 2, 40)[:, None] * np.ones(shape)
    return members, verified(mean + rng.standard_normal(shape), area, std=np.sqrt(1 + 1.5**2)), mean


def test_sums_by_hand():
    members = [[[-1.0, 2.0, 9.0]], [[1.0, 4.0, 9.0]], [[3.0, 6.0, 9.0]]]
    month_ = verified([[2.0, -1.0, NAN]], [[1, 3, 5]])
    whole, east = score(
        members, month_, {"all": np.ones((1, 3), bool), "east": np.array([[False, True, True]])}
    )
    assert (whole.region, whole.n_cells, whole.weight, whole.n_months) == ("all", 2, 4.0, 1)
    # Two members lie below 2, none below -1.
    assert whole.rank_weight.tolist() == [3, 0, 1, 0]
    # Two of three members are sources in the first cell, all in the second.
    assert whole.class_weight.tolist() == [0, 0, 1, 3]
    assert whole.class_event.tolist() == [0, 0, 1, 0]
    assert whole.brier == pytest.approx(1 * (2 / 3 - 1) ** 2 + 3 * 1)
    # The mean of the members is 1 and 4, their variance 4, and (3 + 1) / 3 of that.
    assert whole.squared_error == pytest.approx(1 * 1 + 3 * 25)
    assert whole.variance == pytest.approx(4 * 4 * 4 / 3)
    # Fair CRPS: mean distance less half the mean distance of different members.
    assert whole.crps == pytest.approx(1 * (5 / 3 - 4 / 3) + 3 * (5 - 4 / 3))
    # Regional means: members (-1 + 3 * 2) / 4 = 1.25, 3.25, 5.25; observed -0.25.
    assert whole.regional_rank.tolist() == [1, 0, 0, 0]
    assert whole.regional_squared_error == pytest.approx((3.25 + 0.25) ** 2)
    assert whole.regional_variance == pytest.approx(4 * 4 / 3)
    assert (east.weight, east.rank_weight.tolist()) == (3, [3, 0, 0, 0])


def test_a_best_estimate_of_its_own_is_scored_without_the_sampling_error_of_a_mean():
    members = [[[-1.0]], [[1.0]], [[3.0]]]
    [sums] = score(members, verified([[2.0]]), mean=np.array([[1.5]]))
    assert (sums.squared_error, sums.variance) == (0.25, 4.0)
    assert sums.regional_squared_error == pytest.approx(0.25)


def test_cells_that_were_not_observed_count_for_nothing():
    members = np.random.default_rng(0).standard_normal((5, 2, 3))
    observed = np.ones((2, 3))
    cells = np.array([[True, False, True], [True, True, False]])
    [first] = score(members, verified(observed, cells=cells))
    members[:, ~cells] = np.nan
    observed[~cells] = 1e9
    [second] = score(members, verified(observed, cells=cells))
    assert {k: np.sum(v) for k, v in vars(first).items() if k != "region"} == {
        k: np.sum(v) for k, v in vars(second).items() if k != "region"
    }
    [none] = score(members, verified(np.full((2, 3), NAN)))
    assert none.weight == none.n_months == none.rank_weight.sum() == 0
    assert np.isnan(probability_scores(totals_of(none))["crpss"])


def test_slabs_of_rows_change_nothing(noisy, monkeypatch):
    members, month_, _ = noisy
    whole = scores_of(members, month_)
    monkeypatch.setattr(module, "_SLAB_VALUES", 19 * 50 * 3)
    assert scores_of(members, month_) == pytest.approx(whole, rel=1e-12)


def test_crps_and_ranks_are_those_of_the_library_scores(noisy):
    members, month_, _ = noisy
    [sums] = score(members, month_)
    fcst = xr.DataArray(members, dims=("member", "lat", "lon"))
    obs = xr.DataArray(month_.observed, dims=("lat", "lon"))
    weights = xr.DataArray(month_.area, dims=("lat", "lon"))
    theirs = crps_for_ensemble(fcst, obs, "member", method="fair", weights=weights)
    assert float(probability_scores(totals_of(sums))["crps"]) == pytest.approx(float(theirs))
    ranks = rank_histogram(fcst, obs, "member", weights=weights)
    assert rank_shares(totals_of(sums)) == pytest.approx(ranks.values, abs=1e-12)


def test_brier_score_and_roc_area_are_those_of_the_library_scores(noisy):
    members, month_, _ = noisy
    found = scores_of(members, month_)
    probability = xr.DataArray((members > 0).mean(axis=0), dims=("lat", "lon"))
    event = xr.DataArray((month_.observed > 0).astype(float), dims=("lat", "lon"))
    weights = xr.DataArray(month_.area, dims=("lat", "lon"))
    theirs = brier_score(probability, event, weights=weights)
    assert found["brier"] == pytest.approx(float(theirs))
    assert found["roc_area"] == pytest.approx(float(roc_auc(probability, event, weights=weights)))
    fair = brier_score_for_ensemble(
        xr.DataArray(members, dims=("member", "lat", "lon")),
        xr.DataArray(month_.observed, dims=("lat", "lon")),
        "member",
        event_thresholds=0.0,
        event_threshold_operator=operator.gt,
        fair_correction=True,
        weights=weights,
    )
    [sums] = score(members, month_)
    reference = sums.brier_climatology / sums.weight
    assert found["brier_skill"] == pytest.approx(1 - float(fair.squeeze()) / reference)


def test_the_brier_score_is_the_sum_of_its_parts(noisy):
    members, month_, _ = noisy
    found = scores_of(members, month_)
    parts = found["reliability"] - found["resolution"] + found["uncertainty"]
    assert found["brier"] == pytest.approx(parts, abs=1e-12)
    assert found["resolution"] > 10 * found["reliability"]


def test_a_calibrated_ensemble_looks_calibrated_and_has_skill(noisy):
    members, month_, mean = noisy
    found = scores_of(members, month_, mean=mean)
    assert found["spread_skill"] == pytest.approx(1, abs=0.03)
    assert found["coverage_50"] == pytest.approx(0.5, abs=0.03)
    assert found["coverage_90"] == pytest.approx(0.9, abs=0.02)
    assert found["rank_reliability_index"] < 0.12
    assert found["crpss"] == pytest.approx(1 - 1 / np.sqrt(1 + 1.5**2), abs=0.03)
    assert found["brier_skill"] > 0.3 and found["roc_area"] > 0.8


def test_too_narrow_an_ensemble_is_found_out(noisy):
    members, month_, mean = noisy
    good, narrow = (
        score(mean + factor * (members - mean), month_, mean=mean)[0] for factor in (1.0, 0.5)
    )
    found = {n: float(v) for n, v in probability_scores(totals_of(narrow)).items()}
    assert found["spread_skill"] == pytest.approx(0.5, abs=0.02)
    assert found["coverage_90"] < 0.65
    shares = rank_shares(totals_of(narrow))
    assert shares[0] > 3 / 20 and shares[-1] > 3 / 20
    curve = reliability_curve(totals_of(narrow), 5)
    assert curve["frequency"][0] > curve["probability"][0] + 0.05  # overconfident at both ends
    assert curve["frequency"][-1] < curve["probability"][-1] - 0.05
    flat = np.full(20, 1 / 20)
    assert np.abs(rank_shares(totals_of(good)) - flat).max() < 0.02


def test_tied_ranks_are_spread_evenly():
    """A dry ensemble: all members and the observation are equal."""
    [sums] = score(np.zeros((3, 200, 200)), verified(np.zeros((200, 200))))
    assert rank_shares(totals_of(sums)) == pytest.approx([0.25] * 4, abs=0.01)
    again, other = (
        score(np.zeros((3, 9, 9)), verified(np.zeros((9, 9))), seed=s)[0].rank_weight
        for s in (0, 1)
    )
    assert not np.array_equal(again, other)


def test_a_single_member_is_scored_as_a_forecast_without_spread():
    found = scores_of(np.ones((1, 4, 5)), verified(np.full((4, 5), 3.0)))
    assert (found["crps"], found["spread_skill"], found["coverage_90"]) == (2, 0, 0)


def test_reliability_bins_add_up_members_exactly():
    members = np.zeros((4, 1, 5))
    for sources in range(5):
        members[:sources, 0, sources] = 1
    members[members == 0] = -1
    [sums] = score(members, verified([[1.0, -1.0, 1.0, -1.0, 1.0]], [[1, 2, 3, 4, 5]]))
    totals = totals_of(sums)
    curve = reliability_curve(totals, 2)
    assert curve["share"] == pytest.approx([3 / 15, 12 / 15])
    assert curve["probability"] == pytest.approx([2 * 0.25 / 3, (3 * 0.5 + 4 * 0.75 + 5) / 12])
    assert curve["frequency"] == pytest.approx([1 / 3, 8 / 12])
    fine = reliability_curve(totals, 10)
    assert fine["share"] == pytest.approx(np.array([1, 2, 3, 4, 5]) / 15)
    false_alarms, hits = roc_curve(totals)
    assert false_alarms == pytest.approx(np.array([0, 0, 4, 4, 6, 6]) / 6)
    assert hits == pytest.approx(np.array([0, 5, 5, 8, 8, 9]) / 9)


GRID = Grid("tiny", south=25, west=120, step=0.5, n_lat=6, n_lon=5)


def test_every_observed_lead_of_a_forecast_is_scored_and_becomes_rows_with_intervals():
    rng = np.random.default_rng(2)
    ocean = np.ones(GRID.shape, bool)
    ocean[0] = False
    fields = np.where(ocean, rng.standard_normal((40, *GRID.shape)), np.nan).astype(np.float32)
    record = FluxRecord(GRID, ocean, month("2010-01"), fields)
    climatology = MonthlyClimatology(np.zeros((12, *GRID.shape)), np.ones((12, *GRID.shape)))
    rows = []
    for init in record.months:
        members = rng.standard_normal((19, 3, *GRID.shape)).astype(np.float32)
        forecast = Forecast(GRID, init, members, np.zeros((3, *GRID.shape), np.float32))
        for lead, sums in forecast_sums(forecast, record, climatology, {"all": ocean}, rng):
            rows.append(ProbabilityRow("dice", init, lead, sums))
    first = forecast_sums(
        replace(forecast, init_month=record.first_month),
        record,
        climatology,
        {"all": ocean},
        rng,
        2,
    )
    assert [lead for lead, _ in first] == [1, 2]
    assert len(rows) == 39 + 38 + 37
    assert {row.sums.n_cells for row in rows} == {25}
    sums = monthly_sums(rows, "dice")
    assert sums.values["rank_weight"].shape == (39, 3, 20)
    found = intervals(sums, probability_scores, rng=rng, n_resamples=500)
    assert found["coverage_90"].estimate.shape == (3,)
    for name in ("coverage_50", "coverage_90", "crpss", "spread_skill", "roc_area"):
        assert (found[name].low < found[name].estimate).all()
        assert (found[name].estimate < found[name].high).all()
    assert (found["coverage_90"].low < 0.9).all() and (found["coverage_90"].high > 0.87).all()
    second = [totals_of(row.sums) for row in rows if row.lead_months == 2]
    whole = {name: sum(part[name] for part in second) for name in second[0]}
    assert probability_scores(whole)["crps"] == pytest.approx(found["crps"].estimate[1])
