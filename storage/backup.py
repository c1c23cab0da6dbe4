"""Copies of the archive database: made while it is written to, checked, and read back.

A backup is a copy of the database and a manifest beside it, which is written last: without one
there is no backup. The manifest holds the copy's checksum and the number of rows in each table at
the moment of the copy, so that reading it back can be checked to the row.
"""

import datetime as dt
import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Engine

from storage import backup_postgresql, backup_sqlite
from storage.database import check_schema, reading
from storage.database_errors import EXPECTED_REVISION
from storage.errors import TidenetError
from storage.locations import Location, Patience, storage_errors

MANIFEST = ".manifest.json"
BLOCK = 2**20


class CorruptBackupError(TidenetError):
    """A backup is not what was written."""


class NoBackupError(TidenetError):
    """There is no backup at this place."""


class DatabaseNotEmptyError(TidenetError):
    """A backup was to be read back into a database that holds something."""


class RestoreDiffersError(TidenetError):
    """What was read back is not what was copied."""


@dataclass(frozen=True)
class Manifest:
    """What a backup is.

    Parameters
    ----------
    name
        Of the file.
    kind
        ``postgresql`` or ``sqlite``.
    revision
        Version of the tables.
    created_at
        When (ISO 8601, UTC).
    record_snapshot
        The record's newest snapshot that the archive knew.
    size_bytes, sha256
        Of the file.
    rows
        Number of rows by table.
    """

    name: str
    kind: str
    revision: str
    created_at: str
    record_snapshot: str
    size_bytes: int
    sha256: str
    rows: Mapping[str, int]


def back_up(
    engine: Engine, url: str, patience: Patience, now: dt.datetime, *, keep: int
) -> Manifest:
    """Copy the database to a place, check the copy, and remove the oldest of many backups.

    Parameters
    ----------
    engine
        The archive database. Others may write to it meanwhile.
    url
        Folder or ``s3://`` URL that backups are kept in.
    patience
        How long to wait for it.
    now
        The present moment (aware, UTC): the backup's name.
    keep
        How many backups are kept, this one included.

    Raises
    ------
    BackupFailedError
        If the copy cannot be made or is not whole. What was there before stays.
    StoreUnavailableError
        If it cannot be kept at the place.
    """
    kind = engine.dialect.name
    suffix = ".dump" if kind == "postgresql" else ".db"
    name = f"archive-{now:%Y%m%dT%H%M%SZ}-{EXPECTED_REVISION}{suffix}"
    location = Location.parse(url)
    with storage_errors(location, "written to"), tempfile.TemporaryDirectory() as folder:
        if location.is_local:
            location.folder.mkdir(parents=True, exist_ok=True)
        copy = Path(folder) / name
        copier = backup_postgresql if kind == "postgresql" else backup_sqlite
        rows = copier.copy(engine, copy)
        manifest = Manifest(
            name=name,
            kind=kind,
            revision=EXPECTED_REVISION,
            created_at=now.isoformat(),
            record_snapshot=_newest_snapshot(engine),
            size_bytes=copy.stat().st_size,
            sha256=_sha256(copy),
            rows=rows,
        )
        _put(location, patience, copy, manifest)
    _remove_old(location, patience, keep)
    return manifest


def list_backups(url: str, patience: Patience) -> tuple[Manifest, ...]:
    """Return the backups at a place, oldest first."""
    location = Location.parse(url)
    with storage_errors(location, "read"):
        filesystem = location.filesystem(patience)
        if not filesystem.exists(location.path):
            return ()
        paths = [path for path in filesystem.ls(location.path, detail=False)]
        found = [_read_manifest(location, patience, p) for p in paths if p.endswith(MANIFEST)]
    return tuple(sorted(found, key=lambda manifest: manifest.name))


def restore(engine: Engine, url: str, name: str, patience: Patience) -> Manifest:
    """Read a backup back into an empty database and compare it with its manifest.

    Parameters
    ----------
    engine
        An empty database of the backup's kind.
    url
        Where backups are kept.
    name
        The backup's name; empty for the newest.
    patience
        How long to wait for the place.

    Raises
    ------
    NoBackupError, CorruptBackupError
        If there is no such backup, or it is not what was written.
    DatabaseNotEmptyError
        If the database holds tables, or is of another kind.
    BackupFailedError, RestoreDiffersError
        If it cannot be read back, or not all of it was.
    """
    manifest = _chosen(url, name, patience)
    _refuse_unfit(engine, manifest)
    location = Location.parse(url)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / manifest.name
        with storage_errors(location, "read"):
            location.filesystem(patience).get_file(f"{location.path}/{manifest.name}", str(copy))
        if _sha256(copy) != manifest.sha256:
            raise CorruptBackupError(
                "The backup is not what was written.",
                found=f"sha256 {_sha256(copy)}",
                expected=manifest.sha256,
                remedy="Take an older backup: tidenet restore --list.",
            )
        copier = backup_postgresql if manifest.kind == "postgresql" else backup_sqlite
        rows = copier.read_back(engine, copy)
    different = {name: n for name, n in rows.items() if manifest.rows.get(name) != n}
    if different or set(rows) != set(manifest.rows):
        raise RestoreDiffersError(
            "Not everything was read back.",
            found=", ".join(f"{n} rows in {name}" for name, n in different.items()),
            expected=", ".join(f"{manifest.rows.get(name)} in {name}" for name in different),
            remedy="Drop the database and try another backup.",
        )
    if manifest.revision == EXPECTED_REVISION:
        check_schema(engine)
    return manifest


# --- inside ---------------------------------------------------------------------------------------


def _chosen(url: str, name: str, patience: Patience) -> Manifest:
    backups = list_backups(url, patience)
    matching = [one for one in backups if not name or one.name == name]
    if not matching:
        raise NoBackupError(
            "There is no such backup.",
            found=", ".join(one.name for one in backups[-5:]) or f"nothing at {url}",
            expected=name or "at least one",
            remedy="Check TIDENET_BACKUP; tidenet restore --list names what there is.",
        )
    return matching[-1]


def _refuse_unfit(engine: Engine, manifest: Manifest) -> None:
    from sqlalchemy import inspect

    tables = inspect(engine).get_table_names()
    if tables or engine.dialect.name != manifest.kind:
        raise DatabaseNotEmptyError(
            "A backup is read back into an empty database only.",
            found=f"{len(tables)} tables in a {engine.dialect.name} database",
            expected=f"none, in a {manifest.kind} database",
            remedy="Make a new database and name it in TIDENET_DATABASE.",
        )


def _newest_snapshot(engine: Engine) -> str:
    from sqlalchemy import select

    from storage import tables as t

    query = select(t.MonthRevision.snapshot_id).order_by(t.MonthRevision.id.desc()).limit(1)
    with reading(engine) as connection:
        return connection.execute(query).scalar_one_or_none() or ""


def _put(location: Location, patience: Patience, copy: Path, manifest: Manifest) -> None:
    """Put the copy first and its manifest last: a copy without one is no backup."""
    text = json.dumps(asdict(manifest), indent=1)
    if location.is_local:
        folder = location.folder
        part = folder / f".{manifest.name}.part"
        try:
            with copy.open("rb") as source, part.open("wb") as target:
                while block := source.read(BLOCK):
                    target.write(block)
            part.replace(folder / manifest.name)
        finally:
            part.unlink(missing_ok=True)
        part.write_text(text)
        part.replace(folder / (manifest.name + MANIFEST))
        return
    filesystem = location.filesystem(patience)
    filesystem.put_file(str(copy), f"{location.path}/{manifest.name}")
    filesystem.pipe_file(f"{location.path}/{manifest.name}{MANIFEST}", text.encode())


def _remove_old(location: Location, patience: Patience, keep: int) -> None:
    """Remove the oldest backups, their manifests first."""
    surplus = list_backups(location.url, patience)[: -max(keep, 1)]
    with storage_errors(location, "written to"):
        filesystem = location.filesystem(patience)
        for one in surplus:
            filesystem.rm_file(f"{location.path}/{one.name}{MANIFEST}")
            filesystem.rm_file(f"{location.path}/{one.name}")


def _read_manifest(location: Location, patience: Patience, path: str) -> Manifest:
    text = location.filesystem(patience).cat_file(path)
    try:
        return Manifest(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise CorruptBackupError(
            "The manifest of a backup cannot be read.",
            found=f"{path}: {error}",
            remedy="Remove it and its backup, or repair it.",
        ) from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
