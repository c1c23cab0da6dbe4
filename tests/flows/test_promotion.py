"""The gate: what a challenger has to show, on which months, and that it can be served at all."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from services.small_loop import TINY, World
from services.tampering import allow_changes
from sqlalchemy import text

from flows.operations.judgement import Judgement, compare, judge
from flows.operations.promotion import decide, settle
from flows.operations.service_trial import ServiceTrial, try_to_serve
from flows.operations.train import train
from flows.operations.versions import save_version
from flows.operations.workspace import Workspace, flux_record
from storage.months import month
from storage.registry import ModelVersion, champion, model, promotions
from tidenet.training import train_and_hold_out
from tidenet.verification import EvaluationRow, SkillSums

N_MONTHS, N_LEADS = 36, 3
SERVED = ServiceTrial("", 0.1)
LONGER = TINY.model_copy(update={"n_epochs": 0, "validation_months": 18})


def in_service(world: World) -> ModelVersion:
    found = champion(world.workspace.engine, "small-sea")
    assert found is not None
    return found


def rows_of(method: str, mse: float, spread: float = 0.02) -> list[EvaluationRow]:
    """Return sums of a method: this MSE where climatology has 1; all methods share the weather."""
    rng = np.random.default_rng(1)
    weather = rng.gamma(4, 0.25, (N_MONTHS, N_LEADS))
    own = 1 + spread * np.random.default_rng(sum(map(ord, method))).normal(size=weather.shape)
    zeros = {f.name: 0.0 for f in fields(SkillSums) if f.name not in ("region", "n_cells")}
    rows = []
    for (start, lead), unit in np.ndenumerate(weather):
        sums = zeros | {
            "weight": 10.0,
            "squared_error": 10 * mse * unit * own[start, lead],
            "squared_error_climatology": 10 * unit,
        }
        init = month("2012-01") + start
        rows.append(EvaluationRow(method, init, lead + 1, SkillSums("all", 9, **sums)))
    return rows


def judged(world: World, mse: dict[str, float], n_common: int = N_MONTHS) -> Judgement:
    """Return a judgement on methods of these MSEs."""
    rows = [row for method, value in mse.items() for row in rows_of(method, value)]
    rivals: Any = [name for name in mse if name != "challenger"]
    figures = [figure for rival in rivals for figure in compare(rows, rival, seed=0)]
    metrics = {"msss": 1 - mse["challenger"], "msss_damped_persistence": 0.2, "validation": "x"}
    current = champion(world.workspace.engine, "small-sea")
    trouble = "" if "champion" in mse else "nothing in common"
    return Judgement(metrics, current, n_common, trouble, tuple(figures))


def challenger_of(world: World, *, months_later: int = 3) -> ModelVersion:
    current = in_service(world)
    return replace(
        current, version="challenger-1", trained_until=current.trained_until + months_later
    )


BETTER = {"challenger": 0.6, "champion": 0.7, "climatology": 1.0, "damped-persistence": 0.8}


# --- what it has to show --------------------------------------------------------------------------


def test_a_challenger_that_is_surely_better_than_all_takes_over(trained: World) -> None:
    decision = decide(trained.workspace, challenger_of(trained), judged(trained, BETTER), SERVED)
    assert (decision.promoted, decision.kind) == (True, "gate")
    total = {f.rival: f for f in decision.figures if f.lead_months == 0}
    assert {name: f.passed for name, f in total.items()} == dict.fromkeys(total, True)
    beside = total["champion"]
    assert beside.difference == pytest.approx(0.1, abs=0.02)
    assert beside.low is not None
    assert 0 < beside.low < beside.difference
    for number in (f"{beside.difference:+.3f}", f"{beside.low:+.3f}", "36 init months"):
        assert number in decision.reason
    assert {f.lead_months for f in decision.figures} == {0, 1, 2, 3}
    assert all(f.passed is None for f in decision.figures if f.lead_months)


@pytest.mark.parametrize("rival", ["climatology", "damped-persistence", "champion"])
def test_a_challenger_that_is_worse_than_one_of_them_does_not(trained: World, rival: str) -> None:
    strong = BETTER | {rival: 0.55}
    decision = decide(trained.workspace, challenger_of(trained), judged(trained, strong), SERVED)
    assert not decision.promoted
    assert f"not better than {'the champion' if rival == 'champion' else rival}" in decision.reason
    failed = [f.rival for f in decision.figures if f.passed is False]
    assert failed == [rival]


@pytest.mark.parametrize(
    ("margin", "months_later", "promoted"),
    [(0.02, 3, True), (0.02, 0, False), (0.0, 3, False), (0.001, 3, False)],
)
def test_an_equal_challenger_takes_over_only_with_newer_months_and_within_the_margin(
    trained: World, margin: float, months_later: int, promoted: bool
) -> None:
    workspace = trained.fresh_workspace(promotion_margin=margin)
    equal = judged(trained, BETTER | {"champion": 0.6})
    candidate = challenger_of(trained, months_later=months_later)
    decision = decide(workspace, candidate, equal, SERVED)
    assert decision.promoted is promoted
    assert decision.numbers["margin"] == margin
    assert ("no worse than" if promoted else "not") in decision.reason


def test_a_challenger_that_could_not_be_compared_waits_for_a_person(trained: World) -> None:
    alone = {name: mse for name, mse in BETTER.items() if name != "champion"}
    judgement = judged(trained, alone, n_common=3)
    candidate = challenger_of(trained)
    decision = decide(trained.workspace, candidate, judgement, SERVED)
    assert not decision.promoted
    assert "nothing in common" in decision.reason
    by_hand = decide(trained.workspace, candidate, judgement, SERVED, by_hand=True)
    assert (by_hand.promoted, by_hand.kind) == (True, "by-hand")


@pytest.mark.parametrize(
    ("climatology", "damped", "words"),
    [(1.0, 0.8, "It passes the gate"), (0.5, 0.8, "not better than climatology"),
     (1.0, 0.4, "not better than damped-persistence"),
     (1.0, 0.59, "not better than damped-persistence")],
)  # fmt: skip
def test_the_first_model_forecasts_whatever_the_gate_says_and_the_reason_says_what(
    filled: World, climatology: float, damped: float, words: str
) -> None:
    mse = {"challenger": 0.6, "climatology": climatology, "damped-persistence": damped}
    version: Any = ModelVersion(
        "first-1", "tidenet", "small-sea", "/x", "0" * 64, "S", month("2010-01"),
        month("2014-01"), 0, "0.1", filled.now(),
    )  # fmt: skip
    decision = decide(filled.workspace, version, judged(filled, mse), SERVED)
    assert (decision.promoted, decision.kind) == (True, "first")
    assert "first model" in decision.reason
    assert words in decision.reason
    passed = {f.rival: f.passed for f in decision.figures if f.lead_months == 0}
    assert passed == {"climatology": climatology > 0.6, "damped-persistence": damped > 0.6}


# --- on which months ------------------------------------------------------------------------------


def test_champion_and_challenger_meet_on_months_that_neither_has_learned_from(
    trained: World,
) -> None:
    current = in_service(trained)
    assert (current.trained_until, current.twin_until) == (month("2013-12"), month("2012-12"))
    record = flux_record(trained.workspace.record(), None, month("2014-12"))
    held_out = train_and_hold_out(record, LONGER, seed=1).held_out
    validation = record.months[-18:]
    judgement = judge(trained.workspace, held_out, record, validation, 0)
    # Seven init months come after the champion's training, six are those of its twin.
    assert (judgement.n_common, judgement.trouble) == (13, "")
    beside = [f for f in judgement.figures if f.rival == "champion"]
    assert (beside[0].first_init_month, beside[0].n_months) == (month("2013-06"), 13)
    # Without its twin, the champion may not be asked about months that it has learned from.
    allow_changes(trained.workspace.engine, "model_versions")
    with trained.workspace.engine.begin() as connection:
        connection.execute(text("UPDATE model_versions SET twin_until = NULL"))
    alone = judge(trained.workspace, held_out, record, validation, 0)
    assert alone.n_common == 7
    assert "7 init months" in alone.trouble
    assert not [f for f in alone.figures if f.rival == "champion"]


def test_a_champion_whose_files_are_gone_costs_no_training(trained: World) -> None:
    before = in_service(trained).version
    allow_changes(trained.workspace.engine, "model_versions")
    with trained.workspace.engine.begin() as connection:
        connection.execute(text("UPDATE model_versions SET weights_url = weights_url || '-gone'"))
    challenger = train(trained.workspace, config=LONGER, seed=1)
    assert not challenger.promoted
    assert "MissingWeightsError" in challenger.reason
    assert in_service(trained).version == before
    assert model(trained.workspace.engine, challenger.version).note == ""


# --- that it can be served ------------------------------------------------------------------------


@pytest.fixture
def candidate(trained: World) -> Callable[..., Any]:
    """Return a function that registers a challenger, its forecaster changed before or after."""
    record = flux_record(trained.workspace.record(), None, month("2014-06"))

    def make(**changes: Any) -> tuple[ModelVersion, Any, Any, Judgement]:
        fitted = train_and_hold_out(record, LONGER, seed=1)
        if changes:
            fitted = replace(fitted, forecaster=replace(fitted.forecaster, **changes))
        metrics = {"msss": 0.4, "msss_damped_persistence": 0.2, "validation": "x"}
        version = save_version(
            trained.workspace, fitted, record, record.months[-18:],
            snapshot_id="S", seed=1, note="", metrics=metrics,
        )  # fmt: skip
        return version, fitted.forecaster, record, judged(trained, BETTER)

    return make


def test_a_challenger_that_can_be_served_is_tried_and_taken(
    trained: World, candidate: Callable[..., Any]
) -> None:
    version, forecaster, record, judgement = candidate()
    decision = settle(trained.workspace, version, forecaster, record, judgement)
    assert decision.promoted
    assert decision.numbers["served"] is True
    assert in_service(trained).version == version.version
    assert promotions(trained.workspace.engine)[-1] == decision


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_challenger_whose_stored_weights_are_damaged_is_refused_and_the_champion_stays(
    trained: World, candidate: Callable[..., Any], by_hand: bool
) -> None:
    before = in_service(trained)
    version, forecaster, record, judgement = candidate()
    file = Path(version.weights_url) / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    decision = settle(trained.workspace, version, forecaster, record, judgement, by_hand=by_hand)
    assert (decision.promoted, decision.kind) == (False, "refused")
    assert "CorruptWeightsError" in decision.reason
    assert in_service(trained) == before
    [row] = trained.rows(
        "SELECT kind, promoted, previous_champion FROM promotions ORDER BY id DESC LIMIT 1"
    )
    assert (row[0], bool(row[1]), row[2]) == ("refused", False, before.version)


@pytest.mark.parametrize(
    ("size", "words"), [(np.nan, "that are no numbers"), (1e7, "mmol m-2 d-1")]
)
def test_a_challenger_that_forecasts_what_cannot_be_is_refused(
    trained: World, candidate: Callable[..., Any], size: float, words: str
) -> None:
    dressing = candidate()[1].dressing
    broken = replace(dressing, local_std=np.full_like(dressing.local_std, size))
    version, forecaster, record, judgement = candidate(dressing=broken)
    decision = settle(trained.workspace, version, forecaster, record, judgement)
    assert (decision.promoted, decision.kind) == (False, "refused")
    assert words in decision.reason


def test_a_stored_model_that_is_not_the_trained_one_is_noticed(
    trained: World, candidate: Callable[..., Any]
) -> None:
    version, forecaster, record, _ = candidate()
    tensors = forecaster.tensors()
    name = next(iter(tensors))
    assert try_to_serve(trained.workspace, version, record, tensors).served
    other = tensors | {name: tensors[name] + np.float32(1e-3)}
    trial = try_to_serve(trained.workspace, version, record, other)
    assert name in trial.problem


# --- what a version is made of --------------------------------------------------------------------


def test_the_version_holds_data_code_configuration_normalisation_and_figures(
    trained: World,
) -> None:
    from storage.weights import load_model

    current = in_service(trained)
    tensors, metadata = load_model(current.weights_url, current.weights_sha256)
    assert current.version.endswith(current.weights_sha256[:8])
    assert metadata["training"]["snapshot_id"] == current.snapshot_id
    assert metadata["training"]["code_version"] == current.code_version
    assert metadata["config"] == current.config
    assert metadata["metrics"]["msss"] == current.metrics["msss"]
    assert set(metadata["parts"]) == {"network", "normalisation"}
    assert any("climatology_mean" in name for name in tensors)
    leads = current.metrics["hindcast"]["leads"]
    assert np.shape(current.metrics["hindcast"]["squared_error"]) == (7, len(leads))


def test_the_snapshot_of_a_version_is_the_one_that_made_its_months(trained: World) -> None:
    made = in_service(trained).snapshot_id
    [(december,)] = trained.rows(
        "SELECT snapshot_id FROM month_revisions WHERE month = '2013-12-01'"
    )
    assert made == december
    assert trained.workspace.record().snapshot_id != made


def test_the_decision_of_a_training_is_rows_that_sql_can_read(trained: World) -> None:
    challenger = train(Workspace(trained.workspace.settings, trained.now), config=LONGER, seed=1)
    rows = trained.rows(
        "SELECT f.rival, f.lead_months, f.n_months FROM promotion_figures AS f "
        "JOIN promotions AS p ON p.id = f.promotion_id "
        f"WHERE p.model_version = '{challenger.version}'"
    )
    rivals = {"champion", "climatology", "damped-persistence"}
    assert {(rival, lead) for rival, lead, _ in rows} == {
        (rival, lead) for rival in rivals for lead in range(7)
    }
    assert {n for _, _, n in rows} == {13}
