"""Walking the whole archive: what is missing, damaged or left over is found."""

import datetime as dt
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from services.small_loop import NOW, World
from services.tampering import allow_changes
from sqlalchemy import text
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.audit import Finding, audit
from flows.operations.backfill import backfill
from flows.operations.forecast import forecast
from flows.operations.verify import verify
from storage.months import month


@pytest.fixture
def busy(trained: World) -> World:
    """A world with hindcasts that were scored, and a live run."""
    backfill(trained.workspace, month("2014-03"), month("2014-05"))
    forecast(trained.workspace)
    verify(trained.workspace)
    return trained


def findings(world: World, **options: bool) -> tuple[Finding, ...]:
    return audit(world.workspace, **options).findings


def change(world: World, table: str, statement: str) -> None:
    allow_changes(world.workspace.engine, table)
    with world.workspace.engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.execute(text(statement))


def age(path: Path, days: float) -> None:
    moment = (NOW - dt.timedelta(days=days)).timestamp()
    for one in [path, *path.rglob("*")]:
        os.utime(one, (moment, moment))


def test_a_whole_archive_is_in_order(busy: World) -> None:
    seen = audit(busy.workspace)
    assert seen.findings == ()
    assert (seen.n_runs, seen.n_models, seen.n_groups) == (4, 1, 4)


@pytest.mark.parametrize(
    ("table", "statement", "found"),
    [
        (
            "forecast_runs",
            "UPDATE forecast_runs SET n_leads = 7 WHERE issued_kind = 'live'",
            "6 leads; expected 7 leads",
        ),
        (
            "cell_predictions",
            "DELETE FROM cell_predictions WHERE lead_id = (SELECT max(id) FROM forecast_leads)"
            " AND cell_id < 10",
            "as many at each of 6 leads",
        ),
        (
            "yearly_predictions",
            "DELETE FROM yearly_predictions WHERE region = 'all'",
            "0 months in its years; expected 6 months",
        ),
        ("run_inputs", "DELETE FROM run_inputs WHERE month = '2015-05-01'", "without a gap"),
        (
            "skill_scores",
            "DELETE FROM skill_scores WHERE region = 'all' AND lead_months = 1",
            "regions scored",
        ),
    ],
)
def test_rows_that_are_missing_are_found(
    busy: World, table: str, statement: str, found: str
) -> None:
    change(busy, table, statement)
    assert any(one.kind == "rows" and found in one.found for one in findings(busy))


def test_a_clock_that_was_set_back_is_found(busy: World) -> None:
    back = replace(busy.workspace, now=lambda: NOW - dt.timedelta(minutes=10))
    forecast(back, seed=1)
    [one] = findings(busy)
    assert (one.kind, one.mend) == ("clock", None)


def test_damaged_fields_are_found_and_left_alone(busy: World) -> None:
    [(url,)] = busy.rows("SELECT fields_url FROM forecast_runs WHERE issued_kind = 'live'")
    chunk = max((path for path in Path(url).rglob("c/*") if path.is_file()), key=str)
    chunk.write_bytes(b"rot")
    [one] = findings(busy, fix=True)
    assert (one.kind, one.mend, one.settled) == ("fields", None, False)
    assert "damaged" in one.found
    assert chunk.read_bytes() == b"rot"


def test_lost_fields_are_restored_to_the_very_bytes(busy: World) -> None:
    [(url, sha256)] = busy.rows(
        "SELECT fields_url, fields_sha256 FROM forecast_runs WHERE issued_kind = 'live'"
    )
    shutil.rmtree(url)
    [one] = findings(busy)
    assert (one.kind, one.settled) == ("fields", False)
    assert not Path(url).exists(), "an audit mends nothing by itself"
    [mended] = findings(busy, fix=True)
    assert mended.settled
    assert mended.mended.startswith("restored")
    assert findings(busy) == ()
    assert len(sha256) == 64


def test_fields_that_come_out_otherwise_are_not_restored(busy: World) -> None:
    change(busy, "forecast_runs", "UPDATE forecast_runs SET seed = 9 WHERE issued_kind = 'live'")
    [(url,)] = busy.rows("SELECT fields_url FROM forecast_runs WHERE issued_kind = 'live'")
    shutil.rmtree(url)
    [one] = findings(busy, fix=True)
    assert not one.settled
    assert "not restored" in one.mended
    assert not Path(url).exists()


def test_orphans_are_removed_when_they_are_old_and_only_when_asked(busy: World) -> None:
    [(url,)] = busy.rows("SELECT fields_url FROM forecast_runs WHERE issued_kind = 'live'")
    orphan = Path(url).with_name("orphan.zarr")
    unfinished = Path(url).with_name(".writing-abc")
    shutil.copytree(url, orphan)
    unfinished.mkdir()
    (unfinished / "part").write_bytes(b"half")
    age(orphan, 0.5)
    age(unfinished, 0.5)
    assert findings(busy, fix=True) == (), "a run that is being made has fields without rows"
    age(orphan, 2)
    age(unfinished, 2)
    found = findings(busy)
    assert {Path(one.subject).name for one in found} == {"orphan.zarr", ".writing-abc"}
    assert orphan.exists()
    assert all(one.settled for one in findings(busy, fix=True))
    assert not orphan.exists()
    assert not unfinished.exists()
    assert findings(busy) == ()


def test_lost_weights_and_snapshots_are_found(busy: World) -> None:
    change(busy, "forecast_runs", "UPDATE forecast_runs SET snapshot_id = 'ZZZZZZZZZZZZZZZZZZZZ'")
    change(busy, "model_versions", "UPDATE model_versions SET weights_url = weights_url || '-gone'")
    kinds = {one.kind for one in findings(busy)}
    assert kinds == {"model", "snapshot"}


def test_the_command_reports_and_its_exit_code_tells(busy: World) -> None:
    home = ["--home", str(busy.home)]
    fine = CliRunner().invoke(app, [*home, "audit"])
    assert fine.exit_code == 0, fine.output
    assert "Everything is in order: 4 runs, 1 models, 4 groups" in fine.output
    [(url,)] = busy.rows("SELECT fields_url FROM forecast_runs WHERE issued_kind = 'live'")
    shutil.rmtree(url)
    found = CliRunner().invoke(app, [*home, "audit", "--json"])
    assert found.exit_code == 3
    [one] = json.loads(found.output)
    assert (one["kind"], one["can_be_fixed"], one["mended"]) == ("fields", True, "")
    fixed = CliRunner().invoke(app, [*home, "audit", "--fix"])
    assert fixed.exit_code == 0, fixed.output
