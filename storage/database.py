"""The connection to the archive database: SQLite in a file by default, PostgreSQL by URL."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sqlalchemy import Connection, Engine, Insert, text

from storage.database_errors import (
    EXPECTED_REVISION,
    DatabaseOutOfDateError,
    DatabaseRuleError,
    DatabaseUnavailableError,
    InvalidDatabaseUrlError,
    InvalidQueryError,
    driver_error,
    named_errors,
    safe_url,
    without_password,
)
from storage.engines import WRITES, make_engine
from storage.finishing import finish
from storage.tables import Table

__all__ = [
    "EXPECTED_REVISION",
    "DatabaseOutOfDateError",
    "DatabaseRuleError",
    "DatabaseUnavailableError",
    "InvalidDatabaseUrlError",
    "InvalidQueryError",
    "alembic_config",
    "check_schema",
    "connect",
    "is_new",
    "migrate",
    "on_conflict_do_nothing",
    "read_only_query",
    "reading",
    "safe_url",
    "transaction",
    "without_credentials",
]

MIGRATIONS = Path(__file__).parent / "migrations"
"""Folder of the Alembic environment."""

_MIGRATION_TIMEOUT = "30min"


def connect(url: str, *, timeout_s: float = 30.0, attempts: int = 4, create: bool = True) -> Engine:
    """Connect to the archive database and return its engine.

    Parameters
    ----------
    url
        ``sqlite:///path/archive.db`` or ``postgresql://user:password@host/name``.
    timeout_s
        Longest wait for a connection, a lock or one statement (seconds).
    attempts
        Tries for each connection before giving up.
    create
        Whether a SQLite file that does not exist may be created.

    Raises
    ------
    InvalidDatabaseUrlError
        If the URL is not one of SQLite or PostgreSQL.
    DatabaseUnavailableError
        If the database does not answer. The password is in no message.
    """
    engine = make_engine(url, timeout_s, attempts, create)
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    return engine


def migrate(engine: Engine) -> str:
    """Bring the tables to the revision that this program expects, and return it.

    All in one transaction; rows are kept. Where the tables are there already, they get geometry
    if the server has PostGIS by now, and stay as they are otherwise. Two that migrate at once wait
    for each other.

    Raises
    ------
    DatabaseOutOfDateError
        If the database was migrated by a newer program.
    """
    from alembic import command

    with transaction(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL statement_timeout = '{_MIGRATION_TIMEOUT}'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('tidenet.migrate'))"))
        found = _revision(connection)
        if found == EXPECTED_REVISION:
            finish(connection)
        else:
            _refuse_newer(found)
            command.upgrade(alembic_config(connection), "head")
    return EXPECTED_REVISION


def is_new(engine: Engine) -> bool:
    """Return whether the database has no tables of the archive yet."""
    with reading(engine) as connection:
        return _revision(connection) is None


def check_schema(engine: Engine) -> None:
    """Raise DatabaseOutOfDateError unless the tables are at the expected revision."""
    with reading(engine) as connection:
        found = _revision(connection)
    if found == EXPECTED_REVISION:
        return
    _refuse_newer(found)
    raise DatabaseOutOfDateError(
        f"The tables of {safe_url(engine)} are not those that this program needs.",
        found=f"revision {found}" if found else "no tables",
        expected=f"revision {EXPECTED_REVISION}",
        remedy="Run `tidenet migrate`; rows are kept.",
    )


def alembic_config(connection: Connection | None = None) -> Any:
    """Return the Alembic configuration, for `alembic.command`, on an open connection or none."""
    from alembic.config import Config

    config = Config(str(MIGRATIONS / "alembic.ini"))
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Open one writing transaction: all of it is committed, or nothing.

    Raises
    ------
    DatabaseUnavailableError
        If the database goes away, is locked too long, full or damaged.
    DatabaseOutOfDateError
        If a table or column is missing.
    DatabaseRuleError
        If a row breaks a rule of the database.
    """
    with named_errors(engine), engine.connect() as connection:
        connection = connection.execution_options(**{WRITES: True})
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one reading transaction, in which every query sees the same state. Raises as above."""
    with named_errors(engine), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            yield connection


def read_only_query(engine: Engine, statement: str) -> tuple[tuple[str, ...], list[Any]]:
    """Ask one question in SQL and return the names of its columns and its rows.

    Nothing can be changed: the transaction is read-only, and only one statement is taken.

    Raises
    ------
    InvalidQueryError
        If it is not one valid question.
    """
    if not re.match(r"[\s(]*(select|with|values|explain)\b", statement, re.IGNORECASE):
        raise InvalidQueryError(
            "This is not a question to the archive.",
            found=statement.strip()[:60] or "nothing",
            expected="one statement that starts with SELECT, WITH, VALUES or EXPLAIN",
            remedy="The tables and views are described in docs/archive.md.",
        )
    with reading(engine) as connection:
        driver: Any = connection.connection.driver_connection
        try:
            if engine.dialect.name == "sqlite":
                return _ask_sqlite(driver, statement)
            # A prepared statement is one statement: none can follow behind a semicolon.
            cursor = driver.cursor().execute(statement, prepare=True)
            return tuple(column.name for column in cursor.description), cursor.fetchall()
        except (driver_error(engine), sqlite3.Warning) as error:
            if getattr(driver, "broken", False):
                raise
            raise InvalidQueryError(
                "The database does not understand this question.",
                found=without_password(engine, str(error).strip().split("\n")[0]),
                remedy="The tables and views are described in docs/archive.md.",
            ) from error


def _ask_sqlite(driver: Any, statement: str) -> tuple[tuple[str, ...], list[Any]]:
    driver.execute("PRAGMA query_only = ON")
    try:
        cursor = driver.execute(statement)
        return tuple(column[0] for column in cursor.description), cursor.fetchall()
    finally:
        driver.execute("PRAGMA query_only = OFF")


def on_conflict_do_nothing(connection: Connection, table: type[Table]) -> Insert:
    """Return an INSERT that leaves out rows whose key is there already."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table).on_conflict_do_nothing()


def without_credentials(url: str) -> str:
    """Return a file's URL fit for the archive: without user, password and signature."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    secret = re.compile("key|token|secret|signature|password|credential|sig$", re.IGNORECASE)
    query = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if not secret.search(name)
    ]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query=urlencode(query)))


def _revision(connection: Connection) -> str | None:
    """Return the revision that the tables are at, or None if there are none."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _refuse_newer(found: str | None) -> None:
    if found is None or list(MIGRATIONS.glob(f"versions/{found}_*.py")):
        return
    raise DatabaseOutOfDateError(
        "The database was migrated by a newer version of this program.",
        found=f"revision {found}",
        expected=f"revision {EXPECTED_REVISION}",
        remedy="Install the newer version, or use another database.",
    )
