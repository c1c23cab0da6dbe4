"""A run that is written while something breaks: it is there whole, or not at all."""

import os
from pathlib import Path
from typing import Any

import psycopg
import pytest
from services.archive_samples import (
    cell_rows,
    fill,
    forecast_run,
    regional_rows,
    row_counts,
    yearly_rows,
)
from services.postgres import PostgresServer

from storage import archive as runs
from storage.database import DatabaseUnavailableError, connect, migrate


def test_a_server_that_dies_after_the_commit_has_the_run_once(
    throwaway_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the commit is lost: the writer cannot know that it was done."""
    engine = connect(throwaway_postgres.new_database(), timeout_s=5, attempts=1)
    migrate(engine)
    _, revision_id = fill(engine)
    run = forecast_run(revision_id)
    commit = psycopg.Connection.commit

    def commit_and_die(connection: Any) -> None:
        commit(connection)
        if connection.read_only:
            return
        throwaway_postgres.stop()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    # The year's partition is there already: the next commit of a writer is the run's.
    monkeypatch.setattr(psycopg.Connection, "commit", commit_and_die)
    with pytest.raises(DatabaseUnavailableError):
        runs.write_run(engine, run, regional_rows(), cell_rows(), yearly=yearly_rows())
    monkeypatch.undo()
    throwaway_postgres.start()
    engine.dispose()
    assert runs.find_run(engine, run.idempotency_key) == run
    counts = row_counts(engine)
    again = runs.write_run(engine, run, regional_rows(), cell_rows(), yearly=yearly_rows())
    assert again == runs.WrittenRun(run.id, created=False)
    assert row_counts(engine) == counts
    engine.dispose()


def test_a_server_that_is_gone_before_the_transaction_is_named(
    throwaway_postgres: PostgresServer,
) -> None:
    engine = connect(throwaway_postgres.new_database(), timeout_s=5, attempts=1)
    migrate(engine)
    _, revision_id = fill(engine)
    before = row_counts(engine)
    throwaway_postgres.stop()
    run = forecast_run(revision_id)
    with pytest.raises(DatabaseUnavailableError, match="Check that it runs"):
        runs.write_run(engine, run, regional_rows(), cell_rows())
    throwaway_postgres.start()
    assert row_counts(engine) == before
    assert runs.write_run(engine, run, regional_rows(), cell_rows()).created
    engine.dispose()


@pytest.mark.parametrize("small_disk", ["6m"], indirect=True)
def test_a_full_disk_is_named_and_leaves_the_archive_as_it_was(small_disk: Path) -> None:
    engine = connect(f"sqlite:////{small_disk}/archive.db", timeout_s=5, attempts=1)
    migrate(engine)
    _, revision_id = fill(engine)
    before = row_counts(engine)
    state = os.statvfs(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - 8192)))
    run = forecast_run(revision_id)
    with pytest.raises(DatabaseUnavailableError, match="Free some space"):
        for attempt in range(40):
            further = forecast_run(revision_id, seed=attempt)
            runs.write_run(engine, further, regional_rows(), cell_rows())
            before = row_counts(engine)
    ballast.unlink()
    assert row_counts(engine) == before
    assert runs.write_run(engine, run, regional_rows(), cell_rows()).created
    engine.dispose()
