"""Every score of `tidenet evaluate` by lead and season with its interval, and the printed table."""

from dataclasses import replace

import numpy as np
import pytest
from services.small_sea import small_record

from flows.evaluate_screen import as_json, print_evaluation
from flows.operations.evaluate import Evaluation, Plan, evaluate
from storage.months import month
from tidenet.configuration import TideNetConfig

N_LEADS, N_MEMBERS = 2, 10

NAMED = (
    *("msss", "acc", "rmse", "mae", "bias", "crps", "crpss", "spread_skill"),
    *("regional_spread_skill", "coverage_50", "coverage_90", "width_50", "width_90"),
    *("brier", "brier_skill", "reliability", "resolution", "uncertainty", "roc_area"),
    "rank_reliability_index",
)
DIAGRAM = ("reliability_probability", "reliability_frequency", "reliability_share")


@pytest.fixture(scope="module")
def found() -> Evaluation:
    """Ten years of forecasts of a sea that is now and then a source in every season."""
    record = small_record(180)
    flatter = 5 - 3.5 * np.cos(2 * np.pi * (np.arange(180) % 12) / 12)
    record = replace(record, fco2=record.fco2 + flatter[:, None, None].astype(np.float32))
    plan = Plan(month("2009-12"), methods=("persistence",), n_members=N_MEMBERS)
    return evaluate(record, plan, TideNetConfig.tiny(n_leads=N_LEADS))


def ends(interval: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, estimate, high = (np.array(interval[k], float) for k in ("low", "estimate", "high"))
    return low, estimate, high


@pytest.mark.parametrize("method", ["persistence", "damped-persistence"])
def test_every_score_has_an_interval_by_lead_for_the_year_and_each_season(found, method):
    seasons = as_json(found)["methods"][method]["seasons"]
    assert list(seasons) == ["year", "DJF", "MAM", "JJA", "SON"]
    for season, scores in seasons.items():
        assert set(scores) == {*NAMED, *DIAGRAM, "rank_shares"}
        for name in NAMED:
            low, estimate, high = ends(scores[name])
            assert estimate.shape == (N_LEADS,), (season, name)
            assert (low <= estimate).all() and (estimate <= high).all(), (season, name)
            assert np.isfinite([low, estimate, high]).all(), (season, name)


def test_the_rank_histogram_and_the_reliability_diagram_are_there_by_lead(found):
    for scores in as_json(found)["methods"]["persistence"]["seasons"].values():
        low, shares, high = ends(scores["rank_shares"])
        assert shares.shape == (N_LEADS, N_MEMBERS + 1)
        assert shares.sum(axis=1) == pytest.approx(1, abs=1e-4)
        assert (low <= shares).all() and (shares <= high).all()
        low, frequency, high = ends(scores["reliability_frequency"])
        _, probability, _ = ends(scores["reliability_probability"])
        _, share, _ = ends(scores["reliability_share"])
        assert frequency.shape == probability.shape == share.shape == (N_LEADS, 10)
        assert share.sum(axis=1) == pytest.approx(1, abs=1e-4)
        assert (np.diff(probability, axis=1) > 0).all()
        assert (low <= frequency).all() and (frequency <= high).all()


def test_an_interval_of_the_year_is_the_same_wherever_it_stands(found):
    skill = as_json(found)["methods"]["persistence"]
    for name in ("msss", "crpss"):
        assert skill["seasons"]["year"][name]["low"] == skill[f"{name}_low"]
        assert skill["seasons"]["year"][name]["high"] == skill[f"{name}_high"]


@pytest.mark.parametrize(("worst", "shown"), [(-1130.0, "<-999"), (-46.2, "-46"), (-9.99, "-9.99")])
def test_names_stay_whole_beside_very_bad_numbers(found, capsys, worst, shown):
    skill = found.methods["damped-persistence"]
    bad = replace(skill.msss, estimate=np.full(12, worst))
    leads, name = tuple(range(1, 13)), "detrended-damped-persistence"
    bad_skill = replace(skill, msss=bad, crpss=bad)
    print_evaluation(replace(found, leads=leads, methods={name: bad_skill}))
    rows = [line for line in capsys.readouterr().out.splitlines() if name in line]
    assert len(rows) == 2
    assert all(row.split().count(shown) == 12 for row in rows)
