"""A champion that gets worse than its hindcast is noticed; one that does not, is left in peace."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from services.small_loop import World
from services.tampering import allow_changes
from sqlalchemy import text
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.drift import check_drift, level_limit, look_at, moving_average
from flows.operations.forecast import forecast
from flows.operations.status import status
from flows.operations.verify import verify
from storage.drift_checks import ServedError
from storage.months import month
from storage.registry import ModelVersion, champion

LEADS = (1, 2, 3, 4, 5, 6)
BY_LEAD = np.log([0.3, 0.45, 0.6, 0.7, 0.8, 0.85])
"""Error ratio by lead: skill fades."""


def weather(n_months: int, rng: np.random.Generator, spread: float = 0.3) -> np.ndarray:
    """Return a series whose neighbours are alike, as errors of neighbouring months are."""
    series, value = [], 0.0
    for kick in rng.normal(0, spread * np.sqrt(1 - 0.5**2), n_months + 50):
        value = 0.5 * value + kick
        series.append(value)
    return np.array(series[-n_months:])


def hindcast_of(n_init: int, rng: np.random.Generator) -> dict[str, Any]:
    months = weather(n_init + len(LEADS), rng)
    errors = [
        [float(np.exp(BY_LEAD[k - 1] + months[start + k - 1])) for k in LEADS]
        for start in range(n_init)
    ]
    return {
        "first_init_month": "2012-12",
        "leads": list(LEADS),
        "squared_error": errors,
        "squared_error_climatology": [[1.0] * len(LEADS)] * n_init,
    }


def served(n_months: int, rng: np.random.Generator, shift: float = 0.0) -> list[ServedError]:
    """Return errors of forecasts from 2015-01 on; before the sixth month, not all leads are in."""
    months = weather(n_months, rng) + shift
    return [
        ServedError(
            month("2015-02") + place, lead, float(np.exp(BY_LEAD[lead - 1] + value)) * 7, 7.0
        )
        for place, value in enumerate(months)
        for lead in LEADS
        if lead <= place + 1
    ]


@pytest.fixture
def champion_model(trained: World) -> ModelVersion:
    found = champion(trained.workspace.engine, "small-sea")
    assert found is not None
    return found


def model_with(champion_model: ModelVersion, n_init: int, seed: int = 0) -> ModelVersion:
    hindcast = hindcast_of(n_init, np.random.default_rng(seed))
    return replace(champion_model, metrics={"hindcast": hindcast})


def test_errors_that_stay_as_promised_are_no_drift(
    trained: World, champion_model: ModelVersion
) -> None:
    model = model_with(champion_model, 30)
    look = look_at(model, served(18, np.random.default_rng(1)), trained.workspace)
    assert look is not None
    assert not look.drifting
    assert not look.retraining_due
    assert "As good as its hindcast" in look.reason
    assert (look.n_months, look.n_hindcast_months) == (18, 35)
    assert look.msss_hindcast == pytest.approx(1 - np.exp(BY_LEAD).mean(), abs=0.1)


def test_errors_that_grow_are_drift_and_retraining_is_due(
    trained: World, champion_model: ModelVersion
) -> None:
    model = model_with(champion_model, 30)
    look = look_at(model, served(18, np.random.default_rng(1), shift=0.7), trained.workspace)
    assert look is not None
    assert look.drifting
    assert look.retraining_due
    assert look.level > look.level_limit
    assert "Train anew" in look.reason
    better = look_at(model, served(18, np.random.default_rng(1), shift=-0.7), trained.workspace)
    assert better is not None
    assert not better.drifting


def test_a_month_with_short_leads_only_is_not_taken_for_a_good_one(
    trained: World, champion_model: ModelVersion
) -> None:
    # Lead 1 has a third of the error of all leads: raw, the first months would look splendid.
    first = [one for one in served(3, np.random.default_rng(1), shift=0.0) if one.lead_months == 1]
    look = look_at(model_with(champion_model, 30), first, trained.workspace)
    assert look is not None
    assert abs(look.level) < 0.3


def test_false_alarms_are_as_rare_as_promised_and_real_ones_come_within_a_year() -> None:
    rng = np.random.default_rng(5)
    alarms = {0.0: 0, 0.6: 0}
    n_worlds = 150
    for _ in range(n_worlds):
        promised = weather(30, rng)
        limit = level_limit(promised - promised.mean(), rng)
        for shift in alarms:
            level = moving_average((weather(36, rng) + shift - promised.mean())[None])[0]
            alarms[shift] += bool((level[-12:] > limit).any())
    assert alarms[0.0] / n_worlds < 0.12
    assert alarms[0.6] / n_worlds > 0.9


def test_the_moving_average_forgets() -> None:
    level = moving_average(np.array([[1.0] * 40 + [0.0] * 40]))[0]
    assert level[0] == pytest.approx(0.2)
    assert level[39] == pytest.approx(1.0, abs=1e-3)
    assert level[79] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(("n_init", "n_served"), [(5, 18), (30, 2), (30, 0)])
def test_too_short_a_series_is_not_judged(
    trained: World, champion_model: ModelVersion, n_init: int, n_served: int
) -> None:
    errors = served(18, np.random.default_rng(1))
    errors = [one for one in errors if one.valid_month < month("2015-02") + n_served]
    assert look_at(model_with(champion_model, n_init), errors, trained.workspace) is None


def test_a_model_without_a_hindcast_is_not_judged(
    trained: World, champion_model: ModelVersion
) -> None:
    imported = replace(champion_model, metrics={})
    errors = served(18, np.random.default_rng(1))
    assert look_at(imported, errors, trained.workspace) is None


def test_verification_looks_at_the_champion_and_status_shows_what_it_found(
    trained: World,
) -> None:
    for init in ("2014-01", "2014-02", "2014-03", "2014-04"):
        forecast(trained.workspace, init=month(init))
    found = verify(trained.workspace).drift
    assert found is not None
    assert (found.first_valid_month, found.last_valid_month) == (month("2014-02"), month("2014-10"))
    assert trained.count("drift_checks") == 1
    assert status(trained.workspace).drift == found
    shown = CliRunner().invoke(app, ["--home", str(trained.home), "status"])
    assert found.reason[:30] in " ".join(shown.output.split())
    assert verify(trained.workspace).drift == found
    assert trained.count("drift_checks") == 1


def test_a_champion_that_drifts_in_the_archive_is_recorded_as_such(trained: World) -> None:
    for init in ("2014-01", "2014-02", "2014-03", "2014-04"):
        forecast(trained.workspace, init=month(init))
    verify(trained.workspace)
    allow_changes(trained.workspace.engine, "skill_scores")
    with trained.workspace.engine.begin() as connection:
        connection.execute(text("UPDATE skill_scores SET se_model = se_model * 100"))
    look = check_drift(trained.workspace, "small-sea")
    assert look is not None
    assert look.drifting
    rows = trained.rows("SELECT drifting, retraining_due FROM drift_current")
    assert [tuple(map(bool, row)) for row in rows] == [(True, True)]
    shown = CliRunner().invoke(app, ["--home", str(trained.home), "status"])
    assert "Train anew" in " ".join(shown.output.split())


def test_without_a_champion_there_is_nothing_to_look_at(filled: World) -> None:
    assert check_drift(filled.workspace, "small-sea") is None
