import dataclasses

import pytest
from services.archive_samples import (
    NOW,
    accept,
    check,
    committed,
    file_seen,
    fill,
    forecast_run,
    handover_fitted,
    input_file,
    model_version,
    regional_rows,
)
from sqlalchemy import Engine, event, select

from storage.archive import UnknownRunError, trace, write_run
from storage.database import reading
from storage.handovers import record_handover
from storage.ledger import Acceptance, record_accepted
from storage.months import month
from storage.registry import register_model
from storage.views import lineage


@pytest.fixture
def statements(archive: Engine) -> list[str]:
    """Every SELECT that the archive is asked."""
    asked: list[str] = []

    @event.listens_for(archive, "before_cursor_execute")
    def remember(connection: object, cursor: object, statement: str, *further: object) -> None:
        if "FROM" in statement:
            asked.append(statement)

    return asked


def test_a_value_is_traced_to_the_bytes_and_checks_of_a_file_in_one_query(
    archive: Engine, statements: list[str]
) -> None:
    run_id, _ = fill(archive)
    accept(archive, "2018-01", revision=2)
    statements.clear()
    traced = trace(archive, run_id, "yellow-sea", 2)
    assert len(statements) == 1
    model = model_version()
    assert (traced.mean, traced.valid_month) == (-5.0, month("2018-03"))
    assert (traced.model_version, traced.weights_sha256) == (model.version, model.weights_sha256)
    assert traced.model_snapshot_id == model.snapshot_id
    assert traced.snapshot_id == "SNAP-2018-01-1"
    # The revision that was read, not the one that came later.
    assert (traced.revision, traced.content_hash) == (1, committed().content_hash)
    assert traced.file_sha256 == file_seen(content="bytes 1").sha256
    assert traced.file_url == "/landing/2018-01.nc"
    assert [(one.name, one.passed) for one in traced.checks] == [
        ("readable", True),
        ("range", True),
    ]
    assert traced.acceptance_reason == ""


def test_an_overridden_warning_shows_in_the_lineage(archive: Engine) -> None:
    key = record_accepted(
        archive,
        file_seen(),
        [check("range"), check("jumps", passed=False)],
        committed(),
        Acceptance("a real typhoon", "the operator", NOW),
    )
    register_model(archive, model_version())
    run = forecast_run(key)
    write_run(archive, run, regional_rows())
    traced = trace(archive, run.id, "all", 1)
    assert traced.acceptance_reason == "a real typhoon"
    assert [one for one in traced.checks if not one.passed] == [check("jumps", passed=False)]
    with reading(archive) as connection:
        rows = connection.execute(select(lineage)).all()
    assert len(rows) == 1, "one row per run, however many checks"
    assert {(row.n_checks, row.n_checks_failed) for row in rows} == {(2, 1)}


def test_a_computed_and_corrected_month_shows_in_the_lineage(archive: Engine) -> None:
    handover_id = record_handover(archive, handover_fitted())
    key = accept(
        archive,
        stage="preliminary",
        inputs=(input_file("pco2"), input_file("wind"), input_file("sst")),
        handover_id=handover_id,
        completion="eof:BASIS1:12",
    )
    register_model(archive, model_version())
    run = forecast_run(key)
    write_run(archive, run, regional_rows())
    traced = trace(archive, run.id, "all", 1)
    assert (traced.stage, traced.n_inputs) == ("preliminary", 3)
    assert (traced.completion, traced.handover_id) == ("eof:BASIS1:12", handover_id)
    assert len(traced.checks) == 2, "inputs do not multiply the checks"
    with reading(archive) as connection:
        assert len(connection.execute(select(lineage)).all()) == 1


def test_a_file_without_checks_can_be_traced(archive: Engine) -> None:
    key = record_accepted(archive, file_seen(), [], committed())
    register_model(archive, model_version())
    run = dataclasses.replace(forecast_run(key), issued_kind="hindcast")
    write_run(archive, run, regional_rows())
    assert trace(archive, run.id, "all", 1).checks == ()


def test_a_value_that_is_not_there_is_named(archive: Engine) -> None:
    run_id, _ = fill(archive)
    with pytest.raises(UnknownRunError, match="region all, lead 3"):
        trace(archive, run_id, "all", 3)
