"""Upkeep of the record: old snapshots that nobody refers to, and what is left of them.

Icechunk expires by age alone. A tag keeps the snapshot that it points at, whatever its age; each
one that is referred to gets one, and keeps it.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from storage.icechunk_repository import Repository
from storage.locations import Location, Patience

TAG = "kept-"
"""Before the id of the snapshot that a tag keeps."""


@dataclass(frozen=True)
class Expired:
    """What expiring did.

    Parameters
    ----------
    n_expired
        Snapshots that left the history.
    n_kept
        Snapshots that are kept because something refers to them.
    lost
        Snapshots that are referred to and were not there any more.
    """

    n_expired: int
    n_kept: int
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Collected:
    """What collecting garbage freed.

    Parameters
    ----------
    n_bytes, n_chunks, n_snapshots
        Bytes, chunks and snapshots that were deleted.
    """

    n_bytes: int
    n_chunks: int
    n_snapshots: int


def expire_snapshots(
    url: str | Path, patience: Patience, keep: Collection[str], older_than: dt.datetime
) -> Expired:
    """Let snapshots older than a moment go, but none that has to be kept.

    What they held is deleted by `collect_garbage`. Commits may go on meanwhile; on a local folder
    they wait for their turn. Doing it again changes nothing.

    Parameters
    ----------
    url
        The record.
    patience
        How long to wait for it.
    keep
        Ids of the snapshots that something refers to.
    older_than
        The moment (aware, UTC).

    Raises
    ------
    RecordNotFoundError
        If there is no record.
    ConcurrentWriteError, StoreUnavailableError
        If it cannot be worked on.
    """
    repository = Repository.open(Location.parse(url), patience)
    lost = []
    with repository.writing():
        tagged = {tag.removeprefix(TAG) for tag in repository.tags() if tag.startswith(TAG)}
        for snapshot_id in sorted(set(keep) - tagged):
            if not repository.tag(f"{TAG}{snapshot_id}", snapshot_id):
                lost.append(snapshot_id)
        expired = repository.expire(older_than)
    return Expired(len(expired - set(keep)), len(set(keep)) - len(lost), tuple(lost))


def collect_garbage(url: str | Path, patience: Patience, older_than: dt.datetime) -> Collected:
    """Delete what no snapshot holds any more: of expired ones, and of writers that were killed.

    Parameters
    ----------
    url
        The record.
    patience
        How long to wait for it.
    older_than
        Only what was written before this moment (aware, UTC): what is younger may belong to a
        commit that is being made.

    Raises
    ------
    RecordNotFoundError, ConcurrentWriteError, StoreUnavailableError
        As `expire_snapshots`.
    """
    repository = Repository.open(Location.parse(url), patience)
    with repository.writing():
        summary = repository.collect(older_than)
    return Collected(summary.bytes_deleted, summary.chunks_deleted, summary.snapshots_deleted)
