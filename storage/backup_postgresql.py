"""Copying an archive on PostgreSQL with PostgreSQL's own programs, and reading the copy back."""

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from storage.backup_errors import BackupFailedError, BackupToolMissingError
from storage.database import reading, transaction
from storage.database_errors import named_errors
from storage.outside import redact
from storage.tables import Table

LIMIT_S = 6 * 3600
ROLES = ("tidenet_reader", "tidenet_writer")

# As the migration makes them; roles are of the whole server and in no copy of a database.
ADD_ROLE = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END $$
"""


def copy(engine: Engine, target: Path) -> dict[str, int]:
    """Copy the database into a file, as it is at one moment; return the rows of each table.

    Raises
    ------
    BackupToolMissingError
        If ``pg_dump`` or ``pg_restore`` is not installed.
    BackupFailedError
        If the copy cannot be made or cannot be read.
    """
    with named_errors(engine), engine.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        # The rows are counted at the very moment that is copied.
        moment = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        rows = _rows(connection)
        _run(
            engine,
            "pg_dump",
            "--format=custom",
            "--no-owner",
            f"--snapshot={moment}",
            f"--file={target}",
        )
    _run(engine, "pg_restore", "--list", str(target), to_database=False)
    return rows


def read_back(engine: Engine, backup: Path) -> dict[str, int]:
    """Read a copy into an empty database, all of it or nothing; return the rows of each table.

    Raises
    ------
    BackupToolMissingError, BackupFailedError
        As `copy`.
    """
    with transaction(engine) as connection:
        for role in ROLES:
            connection.execute(text(ADD_ROLE.format(role=role)))
        known = connection.execute(
            text("SELECT count(*) FROM pg_roles WHERE rolname = ANY(:roles)"),
            {"roles": list(ROLES)},
        ).scalar_one()
    rights = [] if known == len(ROLES) else ["--no-privileges"]
    _run(
        engine,
        "pg_restore",
        "--no-owner",
        "--exit-on-error",
        "--single-transaction",
        *rights,
        str(backup),
    )
    with reading(engine) as connection:
        return _rows(connection)


def _rows(connection: Connection) -> dict[str, int]:
    names = sorted(table.name for table in Table.metadata.sorted_tables)
    return {
        name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()  # noqa: S608
        for name in names
    }


def _run(engine: Engine, program: str, *arguments: str, to_database: bool = True) -> None:
    """Run one of PostgreSQL's programs; the password goes through its environment."""
    path = shutil.which(program)
    if path is None:
        raise BackupToolMissingError(
            f"{program} is not installed here.",
            expected="PostgreSQL's client programs, of the server's version or newer",
            remedy="Install them (Debian: apt-get install postgresql-client).",
        )
    address = engine.url
    environment = dict(os.environ)
    environment |= {"PGPASSWORD": address.password or "", "PGCONNECT_TIMEOUT": "30"}
    sslmode = address.query.get("sslmode")
    if isinstance(sslmode, str):
        environment["PGSSLMODE"] = sslmode
    where = [
        *([f"--host={address.host}"] if address.host else []),
        *([f"--port={address.port}"] if address.port else []),
        *([f"--username={address.username}"] if address.username else []),
        f"--dbname={address.database}",
        "--no-password",
    ]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell
            [path, *(where if to_database else []), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BackupFailedError(
            f"{program} did not end.", found=f"nothing within {LIMIT_S} s"
        ) from error
    if done.returncode:
        raise BackupFailedError(
            f"{program} failed.",
            found=redact(done.stderr.strip()[-600:]),
            remedy="Where it speaks of versions, install the client programs of the server's "
            "version; where of permission, use a role that may read every table.",
        )
