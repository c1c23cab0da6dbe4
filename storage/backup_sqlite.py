"""Copying an archive that is a SQLite file, and reading the copy back."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from storage.backup_errors import BackupFailedError


def copy(engine: Engine, target: Path) -> dict[str, int]:
    """Copy the database into a file, as it is at one moment; return the rows of each table.

    Raises
    ------
    BackupFailedError
        If the copy cannot be made or is damaged.
    """
    try:
        with closing(sqlite3.connect(str(engine.url.database))) as source:
            source.execute("VACUUM INTO ?", (str(target),))
        with closing(sqlite3.connect(target)) as made:
            [(said,)] = made.execute("PRAGMA integrity_check").fetchall()
            if said != "ok":
                raise BackupFailedError("The copy is damaged.", found=str(said)[:300])
            return rows_of(made)
    except sqlite3.Error as error:
        raise BackupFailedError(
            "The database could not be copied.",
            found=f"{type(error).__name__}: {error}",
            remedy="Check that there is room in the folder for temporary files (TMPDIR).",
        ) from error


def read_back(engine: Engine, backup: Path) -> dict[str, int]:
    """Put a copy in the place of an empty database; return the rows of each table."""
    target = Path(str(engine.url.database))
    engine.dispose()
    part = target.with_suffix(".part")
    shutil.copyfile(backup, part)
    for left in (target.with_name(target.name + "-wal"), target.with_name(target.name + "-shm")):
        left.unlink(missing_ok=True)
    part.replace(target)
    with closing(sqlite3.connect(target)) as made:
        return rows_of(made)


def rows_of(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows of each table."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return {
        name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
        for (name,) in sorted(names)
    }
