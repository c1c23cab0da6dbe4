"""An archive that an earlier version filled: its rows are all found after the migration.

``samples/archive_0005.json`` holds the rows of an archive as version 0005 of the tables kept them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from services.archive_samples import BUILT_IN
from sqlalchemy import Engine, inspect, text

from storage import archive as runs
from storage.database import alembic_config, check_schema, connect, migrate, reading, transaction
from storage.months import month
from storage.named_queries import ask, named_queries
from storage.registry import champion

SAMPLE = json.loads((Path(__file__).parent / "samples" / "archive_0005.json").read_text())
FLAGS = {"passed", "promoted", "degraded", "drifting", "retraining_due"}


@pytest.fixture
def old(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url, timeout_s=20)
    with transaction(engine) as connection:
        command.upgrade(alembic_config(connection), "0005")
        for table, rows in SAMPLE.items():
            row: dict[str, Any] = {}
            for row in rows:
                names = ", ".join(row)
                marks = ", ".join(f":{name}" for name in row)
                values = {name: _value(engine, name, value) for name, value in row.items()}
                insert = text(f"INSERT INTO {table} ({names}) VALUES ({marks})")
                connection.execute(insert, values)
            if engine.dialect.name == "postgresql" and "id" in row and isinstance(row["id"], int):
                # Keys were given here; the next one is to be higher.
                last = f"(SELECT max(id) FROM {table})"
                sequence = f"pg_get_serial_sequence('{table}', 'id')"
                connection.execute(text(f"SELECT setval({sequence}, {last})"))
    yield engine
    engine.dispose()


def _value(engine: Engine, name: str, value: Any) -> Any:
    return bool(value) if engine.dialect.name == "postgresql" and name in FLAGS else value


def count(engine: Engine, table: str) -> int:
    with reading(engine) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_every_row_is_found_again(old: Engine) -> None:
    migrate(old)
    check_schema(old)
    for table, rows in SAMPLE.items():
        assert count(old, table) == len(rows), table
    first, degraded, hindcast = runs.runs(old)
    assert (first.id, degraded.degraded, hindcast.issued_kind) == ("run-first", True, "hindcast")
    assert first.reason == ""
    assert champion(old, "tiny") is not None
    with reading(old) as connection:
        cell = connection.execute(
            text("SELECT init_month, mean, damped_persistence FROM cell_predictions")
        ).all()
    assert {str(row.init_month) for row in cell} == {"2018-01-01"}
    kept = sorted(row["mean"] for row in SAMPLE["cell_predictions"])
    assert sorted(row.mean for row in cell) == pytest.approx(kept)
    assert {row.damped_persistence for row in cell} == {None}


def test_its_regions_are_drawn_as_they_are_now(old: Engine) -> None:
    migrate(old)
    with reading(old) as connection:
        found = connection.execute(text("SELECT name, west, north FROM regions")).all()
    for name, west, north in found:
        bounds = BUILT_IN[name].bounds
        assert (west, north) == ((None, None) if bounds is None else (bounds[0], bounds[3]))
    # The same regions can be archived again: their shape has not changed.
    from services.archive_samples import forecast_run, later, regional_rows

    again = forecast_run(1, created_at=later(5), issued_kind="backfill")
    regions = ("all", "changjiang-plume", "yellow-sea")
    assert runs.write_run(old, again, regional_rows(regions=regions)).created


def test_questions_are_answered_and_scores_count(old: Engine) -> None:
    migrate(old)
    [skill] = [row for row in runs.skill_table(old, "all") if row.issued_kind == "hindcast"]
    assert skill.msss_climatology == pytest.approx(0.75)
    assert runs.unscored(old, month("2018-12")) == ()
    assert runs.trace(old, "run-first", "all", 1).file_url == "/landing/2018-01.nc"
    [row] = ask(old, "lineage", {"run": "run-first"}).rows
    assert row[0] == "run-first"
    for name, query in named_queries().items():
        given = {"month": "2018-02", "time": "2021-01-01"}
        needed = {p.name: given[p.kind] for p in query.parameters if p.default is None}
        ask(old, name, needed)


def test_new_runs_stand_beside_the_old_ones(old: Engine) -> None:
    from services.archive_samples import cell_rows, forecast_run, later, regional_rows

    migrate(old)
    run = forecast_run(1, created_at=later(5))
    # Four of the thirty cells are known from before.
    assert runs.write_run(old, run, regional_rows(), cell_rows()).created
    assert count(old, "cells") == 30
    newest = ask(old, "forecast-as-of", {"as_of": later(6).isoformat()})
    assert {row[0] for row in newest.rows} == {run.id}


KILLED = """
import os, signal, sys
from alembic import op
from storage.database import connect, migrate
real, calls = op.drop_table, [0]
def drop_table(*arguments, **options):
    calls[0] += 1
    if calls[0] == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
op.drop_table = drop_table
migrate(connect(sys.argv[1]))
"""


@pytest.mark.parametrize("at", [1, 3])
def test_a_migration_that_is_killed_changes_nothing_and_can_be_made_again(
    old: Engine, database_url: str, at: int
) -> None:
    tables = set(inspect(old).get_table_names())
    done = subprocess.run(
        [sys.executable, "-c", KILLED, database_url, str(at)], timeout=120, check=False
    )
    assert done.returncode == -9
    with reading(old) as connection:
        assert (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0005"
        )
    assert set(inspect(old).get_table_names()) == tables
    for table, rows in SAMPLE.items():
        assert count(old, table) == len(rows), table
    migrate(old)
    assert count(old, "cell_predictions") == len(SAMPLE["cell_predictions"])
