import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from services.archive_samples import (
    accept,
    cell_rows,
    fill,
    forecast_run,
    regional_rows,
    row_counts,
)
from services.postgres import PostgresServer
from sqlalchemy import Connection, Engine, make_url, text

from storage import archive as runs
from storage import prediction_rows, run_writing
from storage.database import (
    DatabaseOutOfDateError,
    DatabaseRuleError,
    DatabaseUnavailableError,
    InvalidDatabaseUrlError,
    InvalidQueryError,
    check_schema,
    connect,
    is_new,
    migrate,
    read_only_query,
    reading,
    safe_url,
    transaction,
    without_credentials,
)
from storage.database_errors import named_errors
from storage.engines import _add_square_root

PASSWORD = "s3cret-word"


def test_a_server_that_is_down_is_named_without_its_password() -> None:
    url = f"postgresql://someone:{PASSWORD}@127.0.0.1:1/archive"
    with pytest.raises(DatabaseUnavailableError) as caught:
        connect(url, timeout_s=2, attempts=2)
    told = "".join(str(error) for error in (caught.value, caught.value.__cause__))
    assert PASSWORD not in told
    assert "127.0.0.1:1/archive" in caught.value.message
    assert "Connection refused" in caught.value.found
    assert "TIDENET_DATABASE" in caught.value.remedy


def test_a_wrong_password_is_not_tried_again(postgres_server: PostgresServer) -> None:
    url = make_url(postgres_server.url()).set(password=PASSWORD)
    before = postgres_server.log.count("password authentication failed")
    with pytest.raises(DatabaseUnavailableError, match="user and password") as caught:
        connect(url.render_as_string(hide_password=False), attempts=3)
    assert PASSWORD not in str(caught.value)
    assert postgres_server.log.count("password authentication failed") == before + 1


def test_a_server_that_is_late_is_waited_for(throwaway_postgres: PostgresServer) -> None:
    url = throwaway_postgres.url()
    throwaway_postgres.stop()
    start = threading.Timer(1.0, throwaway_postgres.start)
    start.start()
    engine = connect(url, timeout_s=5, attempts=10)
    start.join()
    with reading(engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_a_connection_that_died_while_idle_is_replaced(postgres_url: str) -> None:
    archive = connect(postgres_url)
    migrate(archive)
    accept(archive, "2018-01")
    with psycopg.connect(archive.url.set(drivername="postgresql").render_as_string(False)) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    accept(archive, "2018-02")
    assert row_counts(archive)["month_revisions"] == 2
    archive.dispose()


@pytest.mark.parametrize("when", ["before the cells", "before the commit"])
def test_a_server_that_dies_while_a_run_is_written_leaves_nothing_of_it(
    throwaway_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    engine = connect(throwaway_postgres.new_database(), timeout_s=5, attempts=1)
    migrate(engine)
    _, revision_id = fill(engine)
    before = row_counts(engine)
    insert_cells = prediction_rows.insert_cell_rows

    def die(connection: Connection, *rest: Any) -> None:
        if when == "before the commit":
            insert_cells(connection, *rest)
        throwaway_postgres.stop()
        if when == "before the cells":
            insert_cells(connection, *rest)

    monkeypatch.setattr(run_writing, "insert_cell_rows", die)
    run = forecast_run(revision_id)
    with pytest.raises(DatabaseUnavailableError) as caught:
        runs.write_run(engine, run, regional_rows(), cell_rows())
    assert throwaway_postgres.password not in str(caught.value)
    throwaway_postgres.start()
    assert row_counts(engine) == before
    monkeypatch.undo()
    assert runs.write_run(engine, run, regional_rows(), cell_rows()).created
    engine.dispose()


def test_an_error_in_the_middle_of_a_transaction_leaves_nothing(archive: Engine) -> None:
    before = row_counts(archive)
    with pytest.raises(RuntimeError, match="stop"), transaction(archive) as connection:
        connection.execute(
            text("INSERT INTO regions (name, title, definition) VALUES ('r', 'R', '{}')")
        )
        raise RuntimeError("stop")
    assert row_counts(archive) == before


def test_a_database_that_another_program_locks_is_named(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/archive.db", timeout_s=0.2)
    migrate(engine)
    other = sqlite3.connect(tmp_path / "archive.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(DatabaseUnavailableError, match="Another program"),
        transaction(engine) as connection,
    ):
        connection.execute(text("SELECT 1"))
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM regions")).scalar() == 0
    other.close()


def test_a_table_that_another_program_locks_is_named(postgres_url: str) -> None:
    engine = connect(postgres_url, timeout_s=1)
    migrate(engine)
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE regions")
        started = time.monotonic()
        with (
            pytest.raises(DatabaseUnavailableError, match="Another program"),
            reading(engine) as connection,
        ):
            connection.execute(text("SELECT count(*) FROM regions"))
        assert time.monotonic() - started < 20
    engine.dispose()


def test_a_writer_that_reads_first_waits_for_the_other_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/archive.db"
    migrate(connect(url))

    def count_and_add(name: str) -> None:
        with transaction(connect(url)) as connection:
            connection.execute(text("SELECT count(*) FROM regions")).scalar()
            time.sleep(0.1)
            connection.execute(
                text("INSERT INTO regions (name, title, definition) VALUES (:name, 'R', '{}')"),
                {"name": name},
            )

    writers = [threading.Thread(target=count_and_add, args=(f"r{i}",)) for i in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert row_counts(connect(url))["regions"] == 4


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"<html>"])
def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "archive.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseUnavailableError, match="damaged or something else"):
        connect(f"sqlite:///{path}", attempts=1)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnavailableError, match="cannot be created"):
        connect(f"sqlite:///{tmp_path}/file/archive.db")


def test_a_missing_file_is_not_created_where_that_is_not_wanted(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match="tidenet migrate"):
        connect(f"sqlite:///{tmp_path}/archive.db", create=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "url",
    [
        "mysql://a:s3cret-word@host/name",
        "sqlite://",
        "sqlite:///:memory:",
        "s3cret-word",
        "",
        "/path/archive.db",
    ],
)
def test_a_url_that_names_no_usable_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidDatabaseUrlError, match="TIDENET_DATABASE") as caught:
        connect(url)
    assert PASSWORD not in str(caught.value)


def test_a_driver_that_tells_the_password_is_not_quoted(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/archive.db")
    engine.url = engine.url.set(password=PASSWORD)
    with pytest.raises(DatabaseUnavailableError) as caught, named_errors(engine):
        raise sqlite3.OperationalError(f"cannot log in with {PASSWORD}")
    assert caught.value.found == "cannot log in with ***"


def test_a_url_for_logs_hides_the_password(tmp_path: Path) -> None:
    assert safe_url(f"postgresql://me:{PASSWORD}@host/name") == "postgresql://me:***@host/name"
    engine = connect(f"sqlite:///{tmp_path}/archive.db")
    assert safe_url(engine) == f"sqlite:///{tmp_path}/archive.db"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("/landing/file.nc", "/landing/file.nc"),
        ("s3://key:secret@bucket/file.nc", "s3://bucket/file.nc"),
        ("https://me:pw@host:8/f.nc?month=1", "https://host:8/f.nc?month=1"),
        ("https://host/f.nc?X-Amz-Signature=ab&v=2&access_token=c", "https://host/f.nc?v=2"),
        ("file:///landing/file.nc", "file:///landing/file.nc"),
    ],
)
def test_credentials_are_taken_out_of_file_urls(url: str, kept: str) -> None:
    assert without_credentials(url) == kept


def test_tables_that_were_never_made_are_named(database_url: str) -> None:
    engine = connect(database_url)
    assert is_new(engine)
    with pytest.raises(DatabaseOutOfDateError, match="tidenet migrate") as caught:
        check_schema(engine)
    assert caught.value.found == "no tables"
    with pytest.raises(DatabaseOutOfDateError, match="tidenet migrate"):
        runs.last_run(engine)
    migrate(engine)
    assert not is_new(engine)
    check_schema(engine)
    engine.dispose()


def test_tables_of_a_newer_program_are_left_alone(archive: Engine) -> None:
    with archive.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for action in (check_schema, migrate):
        with pytest.raises(DatabaseOutOfDateError, match="newer version") as caught:
            action(archive)
        assert caught.value.found == "revision 9999"


def test_a_broken_rule_is_named(archive: Engine) -> None:
    with (
        pytest.raises(DatabaseRuleError, match="month_revisions"),
        transaction(archive) as connection,
    ):
        connection.execute(
            text(
                "INSERT INTO month_revisions (month, revision, product_file_id, snapshot_id,"
                " content_hash, n_ocean, n_observed, n_completed, committed_at)"
                " VALUES ('2018-01-01', 0, 1, 's', 'h', 1, 1, 0, '2020-01-01')"
            )
        )


def test_a_question_is_answered(archive: Engine) -> None:
    fill(archive)
    columns, rows = read_only_query(
        archive, "SELECT region, lead_months FROM forecasts WHERE region LIKE 'a%' ORDER BY 2;"
    )
    assert columns == ("region", "lead_months")
    assert [tuple(row) for row in rows] == [("all", 1), ("all", 2)]


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "DELETE FROM checks",
        "SELECT 1; DELETE FROM checks",
        "SELECT 1; COMMIT; DELETE FROM checks",
        "WITH gone AS (SELECT 1) DELETE FROM checks",
        "SELECT * FROM nowhere",
        "SELECT nothing FROM checks",
        "SELECT FROM WHERE",
    ],
)
def test_a_question_cannot_change_anything(archive: Engine, statement: str) -> None:
    fill(archive)
    before = row_counts(archive)
    with pytest.raises(InvalidQueryError, match=r"docs/archive\.md"):
        read_only_query(archive, statement)
    assert row_counts(archive) == before
    accept(archive, "2018-05")


def test_views_work_where_sqlite_was_built_without_a_square_root() -> None:
    class WithoutMath:
        def __init__(self) -> None:
            self.connection = sqlite3.connect(":memory:")

        def execute(self, statement: str) -> object:
            if "sqrt" in statement:
                raise sqlite3.OperationalError("no such function: sqrt")
            return self.connection.execute(statement)

        def create_function(self, *arguments: object, **options: object) -> None:
            self.connection.create_function(*arguments, **options)  # type: ignore[arg-type]

    bare = WithoutMath()
    _add_square_root(bare)
    answer = bare.connection.execute("SELECT sqrt(9.0), sqrt(NULL), sqrt(-1.0)").fetchone()
    assert answer == (3.0, None, None)
