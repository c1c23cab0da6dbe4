"""Intervals of scores."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import lfilter

from storage.months import month
from tidenet.verification.bootstrap import (
    block_length,
    interval,
    intervals,
    paired_difference,
)
from tidenet.verification.monthly import (
    MonthlySums,
    NoScoresError,
    UnpairedMonthsError,
    common_months,
    mean_over_leads,
    monthly_sums,
    msss,
    season_of,
    skill_against,
)

FIRST = month("2010-01")


def sums_of(weight=None, **values) -> MonthlySums:
    arrays = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    arrays = {name: v[:, None] if v.ndim == 1 else v for name, v in arrays.items()}
    n, leads = next(iter(arrays.values())).shape[:2]
    weight = np.ones((n, leads)) if weight is None else np.asarray(weight, dtype=float)
    return MonthlySums(
        FIRST + np.arange(n), tuple(range(1, leads + 1)), arrays | {"weight": weight}
    )


def mean_error(totals):
    with np.errstate(invalid="ignore"):
        return totals["error"] / totals["weight"]


def autoregressive(rng, n: int, memory: float) -> np.ndarray:
    shocks = rng.standard_normal(n + 50) * np.sqrt(1 - memory**2)
    return lfilter([1], [1, -memory], shocks)[50:]


def covered(n: int, memory: float, block: int, trials: int = 250) -> float:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(trials):
        sums = sums_of(error=autoregressive(rng, n, memory))
        found = interval(sums, mean_error, rng=rng, block=block, n_resamples=300)
        hits += bool(found.low[0] <= 0 <= found.high[0])
    return hits / trials


def test_intervals_of_dependent_months_cover_the_truth_about_as_often_as_they_say():
    assert 0.85 < covered(80, 0.0, block=6) < 0.97
    assert 0.84 < covered(80, 0.5, block=6) < 0.96
    assert covered(80, 0.5, block=1) < 0.78  # what taking months for independent would do


def test_twenty_one_months_do_not_pretend_to_know():
    assert covered(21, 0.5, block=6) > 0.84
    few = interval(sums_of(error=np.sin(np.arange(21.0))), mean_error, rng=np.random.default_rng(0))
    assert (few.n_months, few.block) == (21, 3)


def test_independent_months_agree_with_the_textbook():
    rng = np.random.default_rng(1)
    values = rng.standard_normal(400)
    found = interval(sums_of(error=values), mean_error, rng=rng, block=1, n_resamples=8000)
    half = 1.649 * values.std(ddof=1) / 20
    assert found.high[0] - found.low[0] == pytest.approx(2 * half, rel=0.04)
    assert found.estimate[0] == pytest.approx(values.mean())
    assert found.effective_months[0] == pytest.approx(400)


def test_resampled_variance_is_that_of_the_library_scores():
    import xarray as xr
    from scores.processing import block_bootstrap

    values = autoregressive(np.random.default_rng(2), 96, 0.6)
    array = xr.DataArray(values, dims="month")
    np.random.seed(0)
    theirs = block_bootstrap([array], blocks={"month": 8}, n_iteration=3000).mean("month").std()
    totals = []
    interval(
        sums_of(error=values),
        lambda t: totals.append(t["error"] / t["weight"]) or mean_error(t),
        rng=np.random.default_rng(0),
        block=8,
        n_resamples=3000,
    )
    assert totals[1].shape == (3000, 1)
    assert totals[1].std() == pytest.approx(float(theirs), rel=0.05)


def test_effective_months_of_an_autoregression():
    values = np.concatenate(
        [autoregressive(np.random.default_rng(seed), 400, 0.5) for seed in range(10)]
    )
    found = interval(sums_of(error=values), mean_error, rng=np.random.default_rng(0), block=12)
    assert found.effective_months[0] / 4000 == pytest.approx((1 - 0.5) / (1 + 0.5), rel=0.15)


def test_dependence_across_the_seams_of_blocks_is_allowed_for():
    values = autoregressive(np.random.default_rng(9), 3000, 0.7)
    found = interval(sums_of(error=values), mean_error, rng=np.random.default_rng(0), block=6)
    half = 1.645 * np.sqrt((1 + 0.7) / (1 - 0.7) / 3000)
    # Blocks of six alone would see 60 % of the variance, 0.77 of the width.
    assert 0.84 < (found.high[0] - found.low[0]) / 2 / half < 1.0


def test_every_resample_of_equal_months_is_the_estimate():
    sums = sums_of(squared_error=np.full(30, 2.0), squared_error_climatology=np.full(30, 4.0))
    found = interval(sums, msss, rng=np.random.default_rng(0))
    assert found.low[0] == found.estimate[0] == found.high[0] == 0.5


def test_scores_of_totals_are_ratios_of_sums_not_means_of_ratios():
    sums = sums_of(squared_error=[1, 9], squared_error_climatology=[10, 10])
    assert msss(sums.total())[0] == pytest.approx(0.5)
    sums = sums_of(squared_error=[1, 1], squared_error_climatology=[1, 9])
    assert msss(sums.total())[0] == pytest.approx(0.8)


def test_the_same_seed_gives_the_same_interval():
    sums = sums_of(error=np.random.default_rng(3).standard_normal((40, 2)))
    one, same, other = (
        interval(sums, mean_error, rng=np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert np.array_equal(one.low, same.low)
    assert not np.array_equal(one.low, other.low)


def test_many_scores_share_their_resamples():
    sums = sums_of(error=np.random.default_rng(3).standard_normal((40, 2)))
    both = intervals(
        sums,
        lambda t: {"mean": mean_error(t), "twice": 2 * mean_error(t)},
        rng=np.random.default_rng(0),
    )
    assert both["twice"].low == pytest.approx(2 * both["mean"].low)


def pair(gain: float, n: int = 80):
    """Two methods with the same hard months; ours is better by `gain` in every one."""
    rng = np.random.default_rng(4)
    hard = 5 + 4 * autoregressive(rng, n, 0.7)
    hard = np.maximum(hard, 0.5)
    ours = hard * (1 - gain) + 0.02 * rng.standard_normal(n)
    return (
        sums_of(squared_error=ours, squared_error_climatology=hard * 2),
        sums_of(squared_error=hard, squared_error_climatology=hard * 2),
    )


def test_what_two_methods_have_in_common_cancels():
    ours, theirs = pair(0.05)
    rng = np.random.default_rng(0)
    difference = paired_difference(ours, theirs, msss, rng=rng, window=6)
    assert difference.estimate[0] == pytest.approx(0.025, abs=0.005)
    assert 0 < difference.low[0] < difference.high[0] < 0.05
    assert difference.p[0] < 0.01
    alone = interval(ours, mean_of_hard, rng=rng, window=6)
    assert alone.high[0] - alone.low[0] > 10 * (difference.high[0] - difference.low[0])


def mean_of_hard(totals):
    return totals["squared_error"] / totals["weight"]


def test_the_p_value_agrees_with_the_interval_and_turns_with_the_pair():
    rng = np.random.default_rng(7)
    for _ in range(20):
        ours = sums_of(error=rng.standard_normal(40) + 0.3)
        theirs = sums_of(error=np.zeros(40))
        one = paired_difference(ours, theirs, mean_error, rng=np.random.default_rng(0))
        excluded = one.low[0] > 0 or one.high[0] < 0
        assert excluded == (one.p[0] < 0.1) or abs(one.p[0] - 0.1) < 0.002
        turned = paired_difference(theirs, ours, mean_error, rng=np.random.default_rng(0))
        assert turned.p == pytest.approx(one.p)
        assert turned.low == pytest.approx(-one.high)


def test_no_difference_is_found_as_seldom_as_the_level_says():
    rng = np.random.default_rng(8)
    found = 0
    for _ in range(200):
        common = autoregressive(rng, 80, 0.5)
        ours, theirs = (sums_of(error=common + autoregressive(rng, 80, 0.3)) for _ in range(2))
        result = paired_difference(ours, theirs, mean_error, rng=rng, block=6, n_resamples=300)
        found += bool(result.p[0] < 0.1)
    assert found / 200 < 0.16


def test_a_method_does_not_differ_from_itself():
    ours, _ = pair(0.1)
    same = paired_difference(ours, ours, msss, rng=np.random.default_rng(0))
    assert (same.low[0], same.estimate[0], same.high[0], same.p[0]) == (0, 0, 0, 1)


def test_different_months_are_refused_and_named():
    ours, theirs = pair(0.1, 20)
    later = MonthlySums(theirs.init_months + 1, theirs.leads, theirs.values)
    with pytest.raises(UnpairedMonthsError, match="2010-01, 2011-09"):
        paired_difference(ours, later, msss, rng=np.random.default_rng(0))
    cut = common_months(ours, later)
    assert [one.init_months[0] for one in cut] == [FIRST + 1] * 2
    assert paired_difference(*cut, msss, rng=np.random.default_rng(0)).n_months == 19
    with pytest.raises(UnpairedMonthsError, match="2010-01"):
        later.months([FIRST])


def test_different_cells_or_leads_are_refused():
    ours, theirs = pair(0.1, 20)
    smaller = np.ones((20, 1))
    smaller[4] = 0.5
    other = MonthlySums(theirs.init_months, theirs.leads, {**theirs.values, "weight": smaller})
    with pytest.raises(UnpairedMonthsError, match="2010-05, lead 1"):
        paired_difference(ours, other, msss, rng=np.random.default_rng(0))
    other = MonthlySums(theirs.init_months, (2,), theirs.values)
    with pytest.raises(UnpairedMonthsError, match=r"leads \(1,\) and \(2,\)"):
        paired_difference(ours, other, msss, rng=np.random.default_rng(0))


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_months_claim_nothing(n):
    ours = sums_of(error=np.ones(n))
    found = paired_difference(
        ours, sums_of(error=np.zeros(n)), mean_error, rng=np.random.default_rng(0)
    )
    assert (found.estimate[0], found.p[0]) == (1, 1)
    assert (found.low[0], found.high[0]) == (-np.inf, np.inf)


def test_block_lengths():
    assert block_length(81, 6) == 6
    assert block_length(1000, 6) == 10
    assert block_length(21, 12) == 7
    assert block_length(1, 6) == 1


@dataclass(frozen=True)
class Sums:
    region: str
    weight: float
    error: float
    ranks: np.ndarray


def rows_of(n: int = 24, leads: int = 3) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            method=method,
            init_month=FIRST + i,
            lead_months=lead,
            sums=Sums("all", 2.0, 100 * i + lead, np.array([i, lead])),
        )
        for method in ("ours", "theirs")
        for i in reversed(range(n))
        for lead in range(1, leads + 1)
        if i + lead <= n
    ]


def test_rows_become_arrays_by_month_and_lead():
    sums = monthly_sums(rows_of(), "ours")
    assert sums.values["error"].shape == (24, 3)
    assert sums.values["ranks"].shape == (24, 3, 2)
    assert sums.values["error"][5, 1] == 502
    assert list(sums.values["weight"][-1]) == [2, 0, 0]  # later leads are not observed yet
    assert sums.leads == (1, 2, 3)
    assert sums.pooled().values["ranks"].shape == (24, 1, 2)
    assert sums.pooled().total()["error"] == pytest.approx(sums.values["error"].sum())
    assert monthly_sums(rows_of(), "ours", leads=[3, 1]).values["error"][5].tolist() == [503, 501]


def test_a_season_is_that_of_the_valid_month_and_leaves_time_as_it_is():
    parts = [monthly_sums(rows_of(), "ours", season=s) for s in ("DJF", "MAM", "JJA", "SON")]
    assert all(len(part.init_months) == 24 for part in parts)
    whole = monthly_sums(rows_of(), "ours").values["error"]
    assert np.array_equal(sum(part.values["error"] for part in parts), whole)
    # Valid in December at lead 1: init month November, position 10.
    assert parts[0].values["weight"][10, 0] == 2 and parts[3].values["weight"][10, 0] == 0
    assert season_of(np.array(["2012-12", "2012-03", "2012-11"], "M8[M]")).tolist() == [0, 1, 3]


def test_a_season_counts_its_own_months_and_is_less_sure():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(96)
    on = (np.arange(96) % 12 < 3).astype(float)[:, None]
    season = sums_of(weight=on, error=values[:, None] * on)
    part = interval(season, mean_error, rng=rng, window=6)
    whole = interval(sums_of(error=values), mean_error, rng=rng, window=6)
    assert (part.n_months, whole.n_months) == (24, 96)
    assert part.high[0] - part.low[0] > 1.5 * (whole.high[0] - whole.low[0])


def test_two_winters_claim_nothing_though_they_lie_in_four_blocks_of_time():
    on = (np.arange(24) % 12 < 3).astype(float)[:, None]
    values = np.random.default_rng(0).standard_normal((24, 1))
    winters = interval(
        sums_of(weight=on, error=values * on), mean_error, rng=np.random.default_rng(0), block=6
    )
    assert np.isinf([winters.low[0], winters.high[0]]).all()
    years = interval(sums_of(error=values), mean_error, rng=np.random.default_rng(0), block=6)
    assert np.isfinite([years.low[0], years.high[0]]).all()


def test_missing_and_repeated_rows_are_refused():
    with pytest.raises(NoScoresError, match="somebody"):
        monthly_sums(rows_of(), "somebody")
    with pytest.raises(NoScoresError, match="elsewhere"):
        monthly_sums(rows_of(), "ours", region="elsewhere")
    with pytest.raises(ValueError, match="2011-12 lead 1 occurs twice"):
        monthly_sums([*rows_of(), *rows_of()], "ours")
    with pytest.raises(ValueError, match="season"):
        monthly_sums(rows_of(), "ours", season="winter")


def test_a_lead_without_observations_has_no_score_and_spoils_no_mean():
    weight = np.ones((30, 2))
    weight[:, 1] = 0
    rng = np.random.default_rng(0)
    errors = rng.random((30, 2)) * weight
    sums = sums_of(weight=weight, squared_error=errors, squared_error_climatology=2 * weight)
    found = interval(sums, msss, rng=rng)
    assert np.isnan([found.estimate[1], found.low[1], found.high[1]]).all()
    mean = interval(sums, mean_over_leads(msss), rng=rng)
    assert mean.estimate == pytest.approx(found.estimate[0])
    assert float(mean.low) < float(mean.estimate) < float(mean.high)


def test_skill_against_any_sum():
    sums = sums_of(squared_error=[1.0], squared_error_damped_persistence=[4.0])
    assert skill_against("squared_error_damped_persistence")(sums.total())[0] == 0.75
