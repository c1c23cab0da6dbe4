"""Putting a finished folder of files in its place: whole or not at all, once, with a checksum.

On a local folder the files appear by one rename. On S3 there is no rename: one of the files, the
marker, comes last, and what has no marker does not count.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from storage.errors import TidenetError
from storage.locations import Location, Patience, storage_errors

_BLOCK = 1 << 20


class AlreadyPublishedError(TidenetError):
    """Something complete is there already; it is never overwritten."""


def publish(
    location: Location, patience: Patience, fill: Callable[[Path], None], marker: str
) -> str:
    """Fill a temporary folder, put it in its place, and return its checksum.

    Parameters
    ----------
    location
        Where the files go. One writer at a time for one location.
    patience
        How long to wait for it.
    fill
        Writes the files into the folder that it is given.
    marker
        Name of the file that is written last.

    Raises
    ------
    AlreadyPublishedError
        If there is a complete folder.
    StoreUnavailableError
        If it cannot be written. Nothing of it is visible then.
    """
    with storage_errors(location, "written to"), ExitStack() as cleanup:
        _refuse_to_overwrite(location, patience, marker)
        parent = None
        if location.is_local:
            parent = location.folder.parent
            parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
        cleanup.callback(shutil.rmtree, work, ignore_errors=True)
        work.chmod(0o755)  # mkdtemp keeps other users out; published files are for everybody
        fill(work)
        sha256 = folder_checksum(work)
        if location.is_local:
            _move_into_place(work, location)
        else:
            _upload(work, location, patience, marker)
    return sha256


def is_published(location: Location, patience: Patience, marker: str) -> bool:
    """Return whether a complete folder is there."""
    with storage_errors(location, "read"):
        return bool(location.filesystem(patience).exists(f"{location.path}/{marker}"))


def checksum(location: Location, patience: Patience) -> str:
    """Return the hexadecimal SHA-256 over the names and bytes of all files, in order of names."""
    filesystem = location.filesystem(patience)
    with storage_errors(location, "read"):
        root = location.path.rstrip("/") + "/"
        names = sorted(path.removeprefix(root) for path in filesystem.find(location.path))
        digest = hashlib.sha256()
        for name in names:
            _add_name(digest, name, int(filesystem.size(root + name)))
            with filesystem.open(root + name, "rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
    return digest.hexdigest()


def folder_checksum(folder: Path) -> str:
    """Return the checksum that a local folder will have where it is published."""
    digest = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    for name, path in sorted(files.items()):
        if path.is_file():
            _add_name(digest, name, path.stat().st_size)
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
    return digest.hexdigest()


def _add_name(digest: "hashlib._Hash", name: str, size: int) -> None:
    # Name and size come before the bytes, so that bytes cannot move between files unnoticed.
    digest.update(f"{name}\0{size}\0".encode())


def _move_into_place(work: Path, location: Location) -> None:
    try:
        # Refuses where a folder with files in it is there.
        os.rename(work, location.folder)  # noqa: PTH104 - Path.rename is the same call
    except OSError as error:
        if location.folder.exists():
            raise _already(location) from error
        raise


def _upload(work: Path, location: Location, patience: Patience, marker: str) -> None:
    filesystem = location.filesystem(patience)
    if filesystem.exists(location.path):
        filesystem.rm(location.path, recursive=True)  # the rest of an interrupted attempt
    files = [path for path in sorted(work.rglob("*")) if path.is_file() and path != work / marker]
    targets = [f"{location.path}/{path.relative_to(work).as_posix()}" for path in files]
    filesystem.put([str(path) for path in files], targets)
    _put_marker(work, location, patience, marker)


def _put_marker(work: Path, location: Location, patience: Patience, marker: str) -> None:
    """Make the uploaded files count; refused where another writer was quicker."""
    try:
        last = (work / marker).read_bytes()
        path = f"{location.path}/{marker}"
        location.filesystem(patience).pipe_file(path, last, mode="create")
    except FileExistsError as error:
        raise _already(location) from error


def _refuse_to_overwrite(location: Location, patience: Patience, marker: str) -> None:
    if location.is_local:
        taken = location.folder.exists()
    else:
        taken = location.filesystem(patience).exists(f"{location.path}/{marker}")
    if taken:
        raise _already(location)


def _already(location: Location) -> AlreadyPublishedError:
    return AlreadyPublishedError(
        "What is complete is never overwritten.",
        found=location.url,
        remedy="Write under a new name.",
    )
