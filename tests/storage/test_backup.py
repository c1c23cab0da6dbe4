"""Copies of the archive: made while it is written to, read back to the row, refused if damaged."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services.archive_samples import NOW, accept, fill, later, row_counts
from services.postgres import PostgresServer
from sqlalchemy import Engine, text

from storage import backup_postgresql
from storage.backup import (
    CorruptBackupError,
    DatabaseNotEmptyError,
    NoBackupError,
    back_up,
    list_backups,
    restore,
)
from storage.backup_errors import BackupFailedError, BackupToolMissingError
from storage.database import DatabaseRuleError, connect, transaction
from storage.database_upkeep import vacuum
from storage.locations import Patience, StoreUnavailableError
from storage.months import month as parse_month
from storage.months import month_range
from storage.tables import Table

PATIENCE = Patience(20, 2)

pytestmark = pytest.mark.usefixtures("postgres_programs")


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, tmp_path: Path, archives: Any) -> Iterator[Any]:
    """A filled archive, and an empty database of the same kind."""
    kind = request.param
    with archives.new(kind, tmp_path) as full:
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path}/other.db"
        else:
            url = request.getfixturevalue("postgres_url")
        fresh = connect(url, timeout_s=20)
        fill(full)
        yield full, fresh
        fresh.dispose()


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, in an order that does not depend on the database."""
    with engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(table.select())), key=repr)
            for table in Table.metadata.sorted_tables
        }


def test_what_is_read_back_is_what_was_copied(pair: Any, store_url: str) -> None:
    full, fresh = pair
    made = back_up(full, store_url, PATIENCE, NOW, keep=3)
    assert dict(made.rows).items() >= row_counts(full).items()
    assert restore(fresh, store_url, "", PATIENCE) == made
    assert contents(fresh) == contents(full)


def test_rules_and_rights_are_read_back_too(pair: Any, tmp_path: Path) -> None:
    full, fresh = pair
    back_up(full, str(tmp_path / "backups"), PATIENCE, NOW, keep=3)
    restore(fresh, str(tmp_path / "backups"), "", PATIENCE)
    with pytest.raises(DatabaseRuleError, match="only added"), transaction(fresh) as connection:
        connection.execute(text("DELETE FROM checks"))
    accept(fresh, "2018-03")
    if fresh.dialect.name == "postgresql":
        with fresh.connect() as connection:
            granted = connection.execute(
                text("SELECT has_table_privilege('tidenet_reader', 'forecast_runs', 'SELECT')")
            ).scalar_one()
        assert granted


def test_a_copy_that_is_made_while_others_write_is_of_one_moment(pair: Any, tmp_path: Path) -> None:
    full, fresh = pair
    months = [str(each) for each in month_range(parse_month("2018-04"), parse_month("2022-12"))]
    stop = threading.Event()

    def write() -> None:
        for name in months:
            if stop.is_set():
                return
            accept(full, name)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = back_up(full, str(tmp_path / "backups"), PATIENCE, NOW, keep=3)
    finally:
        stop.set()
        writer.join()
    restore(fresh, str(tmp_path / "backups"), "", PATIENCE)
    # Each month comes with its file and two checks, in one transaction.
    n = made.rows["month_revisions"]
    assert made.rows["product_files"] >= n
    with fresh.connect() as connection:
        torn = connection.execute(
            text(
                "SELECT count(*) FROM month_revisions AS m LEFT JOIN checks AS c "
                "ON c.product_file_id = m.product_file_id WHERE c.id IS NULL"
            )
        ).scalar_one()
    assert torn == 0


def test_a_damaged_copy_is_refused(pair: Any, tmp_path: Path) -> None:
    full, fresh = pair
    made = back_up(full, str(tmp_path / "backups"), PATIENCE, NOW, keep=3)
    file = tmp_path / "backups" / made.name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptBackupError, match="sha256"):
        restore(fresh, str(tmp_path / "backups"), "", PATIENCE)
    manifest = tmp_path / "backups" / f"{made.name}.manifest.json"
    manifest.write_text(json.dumps({"name": 1}))
    with pytest.raises(CorruptBackupError, match="manifest"):
        list_backups(str(tmp_path / "backups"), PATIENCE)


def test_a_database_that_holds_something_is_left_alone(pair: Any, tmp_path: Path) -> None:
    full, _ = pair
    back_up(full, str(tmp_path / "backups"), PATIENCE, NOW, keep=3)
    before = row_counts(full)
    with pytest.raises(DatabaseNotEmptyError, match="TIDENET_DATABASE"):
        restore(full, str(tmp_path / "backups"), "", PATIENCE)
    assert row_counts(full) == before


def test_where_there_is_no_backup_that_is_said(empty: Engine, tmp_path: Path) -> None:
    with pytest.raises(NoBackupError, match="TIDENET_BACKUP"):
        restore(empty, str(tmp_path / "nowhere"), "", PATIENCE)


def test_an_older_backup_is_found_by_its_name(pair: Any, tmp_path: Path) -> None:
    full, fresh = pair
    first = back_up(full, str(tmp_path / "backups"), PATIENCE, NOW, keep=3)
    accept(full, "2018-03")
    second = back_up(full, str(tmp_path / "backups"), PATIENCE, later(24), keep=3)
    assert [one.name for one in list_backups(str(tmp_path / "backups"), PATIENCE)] == [
        first.name,
        second.name,
    ]
    assert restore(fresh, str(tmp_path / "backups"), first.name, PATIENCE) == first
    assert row_counts(fresh)["month_revisions"] == first.rows["month_revisions"]


@pytest.mark.parametrize("small_disk", ["64k"], indirect=True)
def test_a_full_disk_leaves_no_half_backup(pair: Any, small_disk: Path) -> None:
    full, _ = pair
    with pytest.raises(StoreUnavailableError, match="No space left"):
        back_up(full, str(small_disk), PATIENCE, NOW, keep=3)
    assert list(small_disk.iterdir()) == []
    assert list_backups(str(small_disk), PATIENCE) == ()


def test_the_password_is_in_no_command_line(
    archives: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: PostgresServer
) -> None:
    seen: list[list[str]] = []
    run = backup_postgresql.subprocess.run

    def spy(arguments: list[str], **options: Any) -> Any:
        seen.append(arguments)
        return run(arguments, **options)

    monkeypatch.setattr(backup_postgresql.subprocess, "run", spy)
    with archives.new("postgresql", tmp_path) as full:
        back_up(full, str(tmp_path / "backups"), PATIENCE, NOW, keep=3)
    assert len(seen) == 2
    assert all(postgres_server.password not in part for command in seen for part in command)


def test_a_program_that_is_missing_or_fails_is_named(
    archives: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with archives.new("postgresql", tmp_path) as full:
        bad = tmp_path / "bin" / "pg_dump"
        bad.parent.mkdir()
        monkeypatch.setenv("PATH", str(bad.parent))
        with pytest.raises(BackupToolMissingError, match="postgresql-client"):
            back_up(full, str(tmp_path / "backups"), PATIENCE, NOW, keep=3)
        bad.write_text("#!/bin/sh\necho 'server version mismatch' >&2\nexit 1\n")
        bad.chmod(0o755)
        with pytest.raises(BackupFailedError, match="version mismatch"):
            back_up(full, str(tmp_path / "backups"), PATIENCE, NOW, keep=3)
    assert list_backups(str(tmp_path / "backups"), PATIENCE) == ()


# --- vacuum ---------------------------------------------------------------------------------------


def test_vacuum_disturbs_nothing_and_renews_the_statistics(archive: Engine) -> None:
    fill(archive)
    before = row_counts(archive)
    assert vacuum(archive) == ()
    assert row_counts(archive) == before
    if archive.dialect.name == "postgresql":
        with archive.connect() as connection:
            known = connection.execute(
                text("SELECT reltuples FROM pg_class WHERE relname = 'month_revisions'")
            ).scalar_one()
        assert known == before["month_revisions"]


def test_a_role_that_may_not_vacuum_is_told(
    archives: Any, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with archives.new("postgresql", tmp_path) as full:
        fill(full)
        with transaction(full) as connection:
            connection.execute(
                text("CREATE ROLE somebody LOGIN PASSWORD 'other' IN ROLE tidenet_writer")
            )
        try:
            other = connect(
                full.url.set(username="somebody", password="other").render_as_string(False)
            )
            [note] = vacuum(other)
            assert "belong to another role" in note
            other.dispose()
        finally:
            with transaction(full) as connection:
                connection.execute(text("DROP ROLE somebody"))
