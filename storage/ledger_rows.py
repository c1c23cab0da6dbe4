"""What goes into the ledger and comes out of it, as frozen values."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from storage.months import Month

Status = Literal["accepted", "waiting", "quarantined"]
Stage = Literal["final", "preliminary"]


@dataclass(frozen=True)
class InputFile:
    """One of several files that a month was computed from.

    Parameters
    ----------
    quantity
        What was taken from it: ``pco2``, ``wind``, ``sst``, ...; once for each month.
    product
        Name of its product specification.
    url
        Where it lies; credentials in it are removed before it is stored.
    file_name
        Its name without folders.
    size_bytes
        Its length (bytes).
    sha256
        Hexadecimal digest of its bytes.
    """

    quantity: str
    product: str
    url: str
    file_name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class FileSeen:
    """A product file as it was found, or several that one month is computed from.

    Parameters
    ----------
    product
        Name of the product specification.
    url
        Where the file lies; credentials in it are removed before it is stored.
    file_name
        Its name without folders.
    size_bytes
        Its length (bytes).
    sha256
        Hexadecimal digest of its bytes; of several files, one that changes with each of them.
    month
        The month that it holds; None where that could not be told.
    seen_at
        When it was looked at (aware, UTC).
    stage
        ``preliminary`` where the provider will publish another one, else ``final``.
    inputs
        The files that the month is computed from; none where it was delivered as one file.
    """

    product: str
    url: str
    file_name: str
    size_bytes: int
    sha256: str
    month: Month | None
    seen_at: dt.datetime
    stage: Stage = "final"
    inputs: tuple[InputFile, ...] = ()


@dataclass(frozen=True)
class MonthCommitted:
    """One month as it was committed to the record.

    Parameters
    ----------
    month
        The month.
    revision
        1 for the month's first commit, 2 for its first revision, ...
    snapshot_id
        Snapshot of the Carbon-ECS repository that the commit made.
    content_hash
        Hexadecimal digest of the committed arrays.
    n_ocean, n_observed, n_completed
        Number of ocean cells, and of those that were observed and completed.
    committed_at
        When (aware, UTC).
    completion
        How gaps were filled: ``gaussian``, ``eof:<basis id>:<rank>``; empty if not recorded.
    n_spikes
        Number of observed cells that were discarded as spikes.
    handover_id
        Key of the hand-over that it was corrected with (`storage.handovers`); None if it was not.
    reason
        Why it was committed, for people; empty if not recorded.
    """

    month: Month
    revision: int
    snapshot_id: str
    content_hash: str
    n_ocean: int
    n_observed: int
    n_completed: int
    committed_at: dt.datetime
    completion: str = ""
    n_spikes: int = 0
    handover_id: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Acceptance:
    """A person's decision to accept a file in spite of a warning.

    Parameters
    ----------
    reason
        Why, in the person's words.
    accepted_by
        Who.
    accepted_at
        When (aware, UTC).
    """

    reason: str
    accepted_by: str
    accepted_at: dt.datetime


@dataclass(frozen=True)
class FileStatus:
    """What became of a file at its latest look.

    Parameters
    ----------
    product_file_id
        Key of the ledger row.
    file
        The file.
    status
        ``accepted``, ``waiting`` or ``quarantined``.
    quarantine_url
        Where a quarantined file was put; empty otherwise.
    message, remedy
        Why it was not accepted, and what to do; empty if accepted.
    """

    product_file_id: int
    file: FileSeen
    status: Status
    quarantine_url: str
    message: str
    remedy: str


@dataclass(frozen=True)
class MonthRevision:
    """One revision of one month, with the file that it was made from.

    Parameters
    ----------
    id
        Key of the ledger row: what runs and scores refer to.
    committed
        The commit.
    product_file_id, product, url, sha256
        The file.
    stage
        ``preliminary`` until a final file of the month was accepted, also one of the same content.
    """

    id: int
    committed: MonthCommitted
    product_file_id: int
    product: str
    url: str
    sha256: str
    stage: Stage
