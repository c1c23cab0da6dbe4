"""Looks at drift are rows; what they look at are a model's own newest errors."""

import dataclasses

import pytest
from services.archive_samples import (
    accept,
    drift_check,
    fill,
    forecast_run,
    later,
    model_version,
    regional_rows,
    score_row,
)
from sqlalchemy import Engine

from storage.archive import write_run, write_scores
from storage.database import read_only_query
from storage.drift_checks import (
    ServedError,
    last_drift_check,
    record_drift_check,
    served_errors,
)
from storage.months import month
from storage.registry import Promotion, UnknownModelError, record_promotion, register_model


def test_the_newest_look_at_each_model_comes_back(archive: Engine) -> None:
    for version in ("tidenet-1", "tidenet-2"):
        register_model(archive, model_version(version))
    assert last_drift_check(archive, "tidenet-1") is None
    later_look = drift_check(last_valid_month=month("2018-06"), n_months=5, drifting=True)
    assert record_drift_check(archive, drift_check())
    assert record_drift_check(archive, later_look)
    assert record_drift_check(archive, drift_check(model_version="tidenet-2", msss=None))
    assert last_drift_check(archive, "tidenet-1") == later_look
    assert last_drift_check(archive, "tidenet-2") == drift_check(
        model_version="tidenet-2", msss=None
    )


def test_a_look_that_finds_nothing_new_adds_no_row(archive: Engine) -> None:
    register_model(archive, model_version())
    assert record_drift_check(archive, drift_check())
    assert not record_drift_check(archive, drift_check(checked_at=later(1)))
    assert record_drift_check(archive, drift_check(reason="Scored anew: a revision.", level=0.1))


def test_a_look_at_a_model_that_nobody_knows_is_refused(archive: Engine) -> None:
    with pytest.raises(UnknownModelError):
        record_drift_check(archive, drift_check())


def test_the_view_shows_the_champion_only(archive: Engine) -> None:
    for version in ("tidenet-1", "tidenet-2"):
        register_model(archive, model_version(version))
        record_drift_check(archive, drift_check(model_version=version))
    record_promotion(archive, Promotion("tidenet-2", True, "first", "me", later(0)))
    _, rows = read_only_query(archive, "SELECT model_version, grid FROM drift_current")
    assert [tuple(row) for row in rows] == [("tidenet-2", "tiny")]


def test_of_several_runs_the_live_one_counts_and_regions_do_not(archive: Engine) -> None:
    _, revision = fill(archive)
    observed = accept(archive, "2018-02", revision=2)
    errors = {"hindcast": 400.0, "live": 100.0, "backfill": 225.0}
    for hours, (kind, error) in enumerate(errors.items()):
        run = forecast_run(revision, issued_kind=kind, created_at=later(hours))
        write_run(archive, run, regional_rows())
        row = score_row(run.id, observed, se_model=error)
        other = dataclasses.replace(row, region="yellow-sea", se_model=1.0)
        write_scores(archive, [row, other])
    found = served_errors(archive, "tidenet-1")
    assert found == (ServedError(month("2018-02"), 1, 100.0, 400.0),)
    assert served_errors(archive, "another") == ()
