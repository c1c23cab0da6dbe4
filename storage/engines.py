"""How SQLite and PostgreSQL are set up: time limits, retries, and the rules that they enforce."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from storage.column_types import to_json
from storage.database_errors import DatabaseUnavailableError, InvalidDatabaseUrlError, safe_url

WRITES = "tidenet_writes"
"""Execution option of connections that are going to write."""


def make_engine(url: str, timeout_s: float, attempts: int, create: bool) -> Engine:
    """Return an engine that is set up for the archive; parameters as `storage.database.connect`."""
    address = _address(url)
    sqlite = address.get_backend_name() == "sqlite"
    if sqlite:
        _prepare_file(address, create)
    engine = _engine(address, timeout_s, sqlite)

    @event.listens_for(engine, "do_connect")
    def connect_patiently(dialect: Any, record: Any, cargs: Any, cparams: Any) -> Any:  # noqa: ARG001
        return _retrying(attempts)(dialect.connect, *cargs, **cparams)

    if sqlite:
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _PostgresSetUp(timeout_s))
    return engine


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        address = None
    if address is not None and address.get_backend_name() in ("postgresql", "postgres"):
        return address.set(drivername="postgresql+psycopg")
    # A database in memory would be another one for every connection.
    in_file = address is not None and address.database not in (None, "", ":memory:")
    if address is not None and address.get_backend_name() == "sqlite" and in_file:
        return address
    raise InvalidDatabaseUrlError(
        "This URL does not name a database that the archive can be kept in.",
        found=safe_url(url),
        expected="sqlite:////folder/archive.db or postgresql://user:password@host:5432/name",
        remedy="Correct TIDENET_DATABASE.",
    ) from None


def _prepare_file(address: URL, create: bool) -> None:
    path = Path(str(address.database))
    if not create and not path.exists():
        raise DatabaseUnavailableError(
            "There is no archive database yet.",
            found=f"no file {path}",
            remedy="Run `tidenet migrate` to create it, or correct TIDENET_DATABASE.",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailableError(
            f"The folder of the database {path} cannot be created.",
            found=error.strerror or str(error),
            remedy="Check folder and permissions of the file in TIDENET_DATABASE.",
        ) from error


def _engine(address: URL, timeout_s: float, sqlite: bool) -> Engine:
    options: dict[str, Any] = {"timeout": timeout_s}
    if not sqlite:
        options = {
            "connect_timeout": max(2, round(timeout_s)),  # libpq takes nothing shorter
            "tcp_user_timeout": round(timeout_s * 1000),
            "keepalives_idle": 10,
            "application_name": "tidenet",
        }
    try:
        return create_engine(
            address,
            connect_args=options,
            hide_parameters=True,
            pool_pre_ping=not sqlite,
            pool_timeout=timeout_s,
            json_serializer=to_json,
        )
    except ModuleNotFoundError as error:
        raise DatabaseUnavailableError(
            "The driver for PostgreSQL is not installed.",
            found=f"no module {error.name}",
            remedy="Install it: pip install 'tidenet[postgres]'",
        ) from error


def _retrying(attempts: int) -> Retrying:
    """Try again what may pass (a server that starts), not what stays (a wrong password)."""

    def may_pass(error: BaseException) -> bool:
        lasting = ("authentication", "does not exist", "unable to open", "no password supplied")
        return isinstance(error, Exception) and not any(word in str(error) for word in lasting)

    return Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=0.2, max=5),
        retry=retry_if_exception(may_pass),
        reraise=True,
    )


def _set_up_sqlite(connection: DBAPIConnection, _record: object) -> None:
    # Transactions are begun in _begin_sqlite, those of migrations too, and not by the driver.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()
    _add_square_root(connection)


def _add_square_root(connection: Any) -> None:
    """Give SQLite a square root where its build has none (the skill views need it)."""
    try:
        connection.execute("SELECT sqrt(4.0)")
    except sqlite3.OperationalError:
        connection.create_function(
            "sqrt", 1, lambda x: None if x is None or x < 0 else x**0.5, deterministic=True
        )


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: one that reads first and then writes could not wait for it.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class _PostgresSetUp:
    """Sets a new connection's time limits (not as start options: poolers refuse those)."""

    def __init__(self, timeout_s: float) -> None:
        self.milliseconds = round(timeout_s * 1000)

    def __call__(self, connection: Any, _record: object) -> None:
        autocommit = connection.autocommit
        connection.autocommit = True
        with connection.cursor() as cursor:
            for setting in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
            ):
                cursor.execute(f"SET {setting} = {self.milliseconds}")
            cursor.execute("SET timezone = 'UTC'")
        connection.autocommit = autocommit
