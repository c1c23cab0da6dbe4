"""An Icechunk repository with time limits, named errors and one writer at a time on local folders.

Icechunk keeps every commit as a snapshot and moves a branch from one to the next in a single step:
readers see whole commits only, and a writer that dies leaves nothing visible. The record is the
branch ``main``; what belongs to it but is no data version has branches of its own.
"""

import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import icechunk
import zarr
import zarr.errors
from filelock import FileLock, Timeout
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from storage.locations import Location, Patience, StoreUnavailableError, unavailable
from storage.outside import bounded
from storage.record_errors import ConcurrentWriteError, RecordNotFoundError

Result = TypeVar("Result")

BRANCH = "main"

UPKEEP_LIMIT_S = 3600.0
"""Longest time for one step of upkeep: it looks at every object of the repository."""

# Icechunk warns at each opening that local folders need one writer at a time. The lock sees to it.
if not os.environ.get("ICECHUNK_LOG"):
    icechunk.set_logs_filter("error")


@dataclass(frozen=True)
class Snapshot:
    """One commit.

    Parameters
    ----------
    id
        Name of the data version.
    written_at
        When it was committed (UTC).
    message
        What was committed, for people.
    metadata
        What was committed, for programs.
    """

    id: str
    written_at: dt.datetime
    message: str
    metadata: Mapping[str, Any]


class Conflict(Exception):  # noqa: N818 - never leaves the storage room: it asks for another try
    """Somebody else committed since this session began."""


@dataclass(frozen=True)
class Repository:
    """An opened Icechunk repository.

    Parameters
    ----------
    location
        Where it is.
    patience
        How long to wait for it.
    engine
        Icechunk's own handle.
    """

    location: Location
    patience: Patience
    engine: icechunk.Repository

    @classmethod
    def open(cls, location: Location, patience: Patience) -> "Repository":
        """Open a repository.

        Raises
        ------
        RecordNotFoundError
            If there is none.
        StoreUnavailableError
            If the place cannot be reached or read.
        """
        if not cls.exists(location, patience):
            raise RecordNotFoundError(
                "There is no record here.",
                found=f"no repository at {location.url}",
                expected="a Carbon-ECS record",
                remedy="Check the URL (TIDENET_RECORD), or ingest a first month to create it.",
            )
        opened = _with_retries(
            lambda: icechunk.Repository.open(
                location.repository_storage(), _configuration(patience)
            ),
            location,
            patience,
            "opened",
        )
        return cls(location, patience, opened)

    @classmethod
    def create(cls, location: Location, patience: Patience) -> "Repository":
        """Create an empty repository, or open the one that is there."""
        if cls.exists(location, patience):
            return cls.open(location, patience)
        created = _with_retries(
            lambda: icechunk.Repository.open_or_create(
                location.repository_storage(), _configuration(patience)
            ),
            location,
            patience,
            "created",
        )
        return cls(location, patience, created)

    @staticmethod
    def exists(location: Location, patience: Patience) -> bool:
        """Return whether there is a repository; looking leaves no trace.

        Raises
        ------
        StoreUnavailableError
            If the place cannot be reached or read.
        """
        if location.is_local:
            try:
                if not location.folder.exists():
                    return False
            except OSError as error:
                raise unavailable(location, "opened", error) from error
        return _with_retries(
            lambda: icechunk.Repository.exists(location.repository_storage()),
            location,
            patience,
            "opened",
        )

    def tip(self, branch: str = BRANCH) -> str:
        """Return the id of the newest snapshot of a branch."""
        return self._call(lambda: self.engine.lookup_branch(branch), "read")

    def has_branch(self, branch: str) -> bool:
        """Return whether there is a branch of this name."""
        return branch in self._call(self.engine.list_branches, "read")

    def create_branch(self, branch: str) -> None:
        """Make an empty branch, which begins before anything was committed.

        Raises
        ------
        Conflict
            If another process made it in the meantime.
        """
        *_, first = self.history(self.tip())
        try:
            self._call(lambda: self.engine.create_branch(branch, first.id), "written to")
        except StoreUnavailableError as error:
            if self.has_branch(branch):
                raise Conflict from error
            raise

    def group(self, snapshot_id: str) -> zarr.Group:
        """Return the root group as it was at a snapshot, read-only.

        Raises
        ------
        RecordNotFoundError
            If the repository has no such snapshot, or nothing in it.
        StoreUnavailableError
            If it cannot be read.
        """
        return self._call(lambda: self._read_only_group(snapshot_id), "read")

    def _read_only_group(self, snapshot_id: str) -> zarr.Group:
        try:
            session = self.engine.readonly_session(snapshot_id=snapshot_id)
            return zarr.open_group(session.store, mode="r")
        except (icechunk.IcechunkError, zarr.errors.NodeNotFoundError) as error:
            # An unreadable snapshot looks like an empty one to zarr; Icechunk says what it is.
            if "snapshot" in str(error).lower() and "not found" in str(error).lower():
                raise self._no_snapshot(snapshot_id) from error
            self.engine.inspect_snapshot(snapshot_id)
            if isinstance(error, icechunk.IcechunkError):
                raise
            raise self._no_snapshot(snapshot_id) from error

    def _no_snapshot(self, snapshot_id: str) -> RecordNotFoundError:
        return RecordNotFoundError(
            "The record has no such snapshot, or the snapshot holds no record.",
            found=f"snapshot {snapshot_id} in {self.location.url}",
            remedy="Take a snapshot id from the record's history.",
        )

    def session(self, branch: str = BRANCH) -> tuple[icechunk.Session, zarr.Group]:
        """Return a new writing session at the newest snapshot of a branch, and its root group."""

        def start() -> tuple[icechunk.Session, zarr.Group]:
            session = self.engine.writable_session(branch)
            return session, zarr.open_group(session.store, mode="a")

        return self._call(start, "opened for writing")

    def commit(self, session: icechunk.Session, message: str, metadata: Mapping[str, Any]) -> str:
        """Make what a session wrote visible, in one step, and return the new snapshot's id.

        Raises
        ------
        Conflict
            If the branch moved since the session began. Compare with what is there now: it may
            even hold this very commit, if only the store's answer to it was lost.
        StoreUnavailableError
            If the store refused, and the branch is where it was.
        """
        base, branch = session.snapshot_id, session.branch or BRANCH
        try:
            return self._call(lambda: session.commit(message, dict(metadata)), "committed to")
        except icechunk.ConflictError as error:
            raise Conflict from error
        except StoreUnavailableError as error:
            # Not every server words a lost race as one, and an answer can get lost on its way.
            if self.tip(branch) != base:
                raise Conflict from error
            raise

    def history(self, snapshot_id: str) -> Iterator[Snapshot]:
        """Return a snapshot and those before it, newest first."""
        ancestry = self._call(lambda: self.engine.ancestry(snapshot_id=snapshot_id), "read")
        while True:
            info = self._call(lambda: next(ancestry, None), "read")
            if info is None:
                return
            yield Snapshot(info.id, info.written_at, info.message, dict(info.metadata))

    def read(self, function: Callable[[], Result]) -> Result:
        """Call a function that reads arrays, with a time limit and named errors."""
        return self._call(function, "read")

    def write(self, function: Callable[[], Result]) -> Result:
        """Call a function that writes arrays in a session, with a time limit and named errors."""
        return self._call(function, "written to")

    # --- upkeep -------------------------------------------------------------------------------

    def tags(self) -> frozenset[str]:
        """Return the names of all tags."""
        return frozenset(self._call(self.engine.list_tags, "read"))

    def tag(self, name: str, snapshot_id: str) -> bool:
        """Point a new tag at a snapshot; return False where there is no such snapshot."""
        try:
            self._call(lambda: self.engine.create_tag(name, snapshot_id), "written to")
        except StoreUnavailableError:
            try:
                self.group(snapshot_id)
            except RecordNotFoundError:
                return False
            raise
        return True

    def expire(self, older_than: dt.datetime) -> frozenset[str]:
        """Take snapshots out of the histories of branches and tags; return their ids."""
        return frozenset(
            self._call(
                lambda: self.engine.expire_snapshots(older_than), "cleaned up", UPKEEP_LIMIT_S
            )
        )

    def collect(self, older_than: dt.datetime) -> icechunk.GCSummary:
        """Delete what no branch or tag leads to; return how much that was."""
        return self._call(
            lambda: self.engine.garbage_collect(older_than), "cleaned up", UPKEEP_LIMIT_S
        )

    def _call(
        self, function: Callable[[], Result], action: str, limit_s: float | None = None
    ) -> Result:
        limit_s = limit_s or self.patience.timeout_s * self.patience.attempts
        with _named_errors(self.location, action):
            return bounded(function, limit_s=limit_s)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write: on a local folder, a lock beside it; on S3, nothing is needed.

        Raises
        ------
        ConcurrentWriteError
            If another process does not release the lock in time.
        """
        with writer_lock(self.location, self.patience):
            yield


@contextmanager
def writer_lock(location: Location, patience: Patience) -> Iterator[None]:
    """Hold the lock of a local repository. The system releases it when a process dies.

    S3 refuses the second of two commits by itself, so nothing is held there.
    """
    if not location.is_local:
        yield
        return
    path = location.folder.with_name(location.folder.name + ".lock")
    limit_s = patience.timeout_s * patience.attempts
    lock = FileLock(path, timeout=limit_s)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ConcurrentWriteError(
            "Another process is writing to the record.",
            found=f"{path} is held",
            expected=f"it to be free within {limit_s:g} seconds",
            remedy="Wait for the other ingest to end, then run the same command again.",
        ) from error
    except OSError as error:
        raise unavailable(location, "locked for writing", error) from error
    try:
        yield
    finally:
        lock.release()


def _configuration(patience: Patience) -> icechunk.RepositoryConfig:
    retries = icechunk.StorageRetriesSettings(max_tries=patience.attempts)
    return icechunk.RepositoryConfig(storage=icechunk.StorageSettings(retries=retries))


@contextmanager
def _named_errors(location: Location, action: str) -> Iterator[None]:
    try:
        yield
    except icechunk.ConflictError:
        raise
    except (icechunk.IcechunkError, zarr.errors.BaseZarrError, OSError, RuntimeError) as error:
        # The decompressor reports damaged chunks as RuntimeError.
        raise unavailable(location, action, error) from error


def _with_retries(
    function: Callable[[], Result], location: Location, patience: Patience, action: str
) -> Result:
    """Open with a limit for each try; only a remote place gets further tries."""
    attempts = Retrying(
        stop=stop_after_attempt(1 if location.is_local else patience.attempts),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        retry=retry_if_exception_type((icechunk.IcechunkError, TimeoutError)),
        reraise=True,
    )
    with _named_errors(location, action):
        return attempts(lambda: bounded(function, limit_s=patience.timeout_s))
