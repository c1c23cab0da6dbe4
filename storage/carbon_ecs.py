"""The Carbon-ECS record: monthly sea-air CO2 flux on one grid, with its whole history.

A month is committed whole, in one transaction that makes one snapshot. The id of a snapshot is the
data version that forecasts and models record, and opening the record at it reads exactly what was
known then. Committing the same content again changes nothing; other content for a month that is
there makes its next revision. The time axis has no gaps and no duplicates, and never shrinks.
"""

from collections.abc import Sequence
from pathlib import Path

from storage.flux_month import FluxMonth
from storage.handover_text import InvalidHandOverError
from storage.icechunk_repository import Repository, Snapshot, writer_lock
from storage.locations import (
    InvalidLocationError,
    Location,
    Patience,
    StoreUnavailableError,
)
from storage.month_checks import at_stored_precision
from storage.record_commits import (
    Commit,
    commit_handover,
    commit_month,
    commit_template,
    compare,
    compare_month,
)
from storage.record_drivers import (
    DriverCommit,
    DriverDeclaration,
    DriverMonth,
    MissingDriverError,
    commit_drivers,
)
from storage.record_errors import (
    BeforeRecordError,
    ConcurrentWriteError,
    GapError,
    MonthNotInRecordError,
    ReadOnlyRecordError,
    RecordExistsError,
    RecordMismatchError,
    RecordNotFoundError,
)
from storage.record_snapshot import RecordSnapshot
from storage.record_template import RecordTemplate

__all__ = [
    "BeforeRecordError",
    "CarbonEcs",
    "Commit",
    "ConcurrentWriteError",
    "DriverCommit",
    "DriverDeclaration",
    "DriverMonth",
    "GapError",
    "InvalidHandOverError",
    "InvalidLocationError",
    "MissingDriverError",
    "MonthNotInRecordError",
    "Patience",
    "ReadOnlyRecordError",
    "RecordExistsError",
    "RecordMismatchError",
    "RecordNotFoundError",
    "RecordTemplate",
    "Snapshot",
    "StoreUnavailableError",
    "at_stored_precision",
]

DEFAULT_PATIENCE = Patience()


class CarbonEcs(RecordSnapshot):
    """The record, opened at one snapshot. Make one with `create`, `open` or `open_or_create`.

    Parameters
    ----------
    repository
        The Icechunk repository.
    snapshot_id
        The snapshot to read.
    writable
        Whether months may be committed; False where an old snapshot was asked for.
    """

    def __init__(self, repository: Repository, snapshot_id: str, *, writable: bool) -> None:
        super().__init__(repository, snapshot_id)
        self._writable = writable

    @classmethod
    def create(
        cls, url: str | Path, template: RecordTemplate, patience: Patience = DEFAULT_PATIENCE
    ) -> "CarbonEcs":
        """Create an empty record.

        Raises
        ------
        RecordExistsError
            If there is one.
        StoreUnavailableError
            If the place cannot be written to.
        """
        location = Location.parse(url)
        with writer_lock(location, patience):
            repository = Repository.create(location, patience)
            if _is_created(repository):
                raise RecordExistsError(
                    "A record exists already.",
                    found=location.url,
                    expected="an empty place",
                    remedy="Open it, or choose another URL (TIDENET_RECORD).",
                )
            commit_template(repository, template)
        return cls.open(url, patience=patience)

    @classmethod
    def open(
        cls,
        url: str | Path,
        snapshot_id: str | None = None,
        patience: Patience = DEFAULT_PATIENCE,
    ) -> "CarbonEcs":
        """Open the record at its newest snapshot, or read-only at a given one.

        Raises
        ------
        RecordNotFoundError
            If there is no record, or no such snapshot.
        RecordMismatchError
            If the store is something else than a Carbon-ECS record.
        StoreUnavailableError
            If it cannot be reached or read.
        """
        repository = Repository.open(Location.parse(url), patience)
        wanted = snapshot_id or repository.tip()
        return cls(repository, wanted, writable=snapshot_id is None)

    @classmethod
    def open_or_create(
        cls, url: str | Path, template: RecordTemplate, patience: Patience = DEFAULT_PATIENCE
    ) -> "CarbonEcs":
        """Open the record and compare it with its declaration; create it where there is none.

        Raises
        ------
        RecordMismatchError
            If the stored record differs from the declaration; every difference is listed.
        StoreUnavailableError
            If it cannot be reached, read or written.
        """
        if not cls.exists(url, patience):
            try:
                return cls.create(url, template, patience)
            except RecordExistsError:
                pass  # another process was quicker: compare with what it made
        record = cls.open(url, patience=patience)
        compare(record._repository, template, record._group)
        return record

    @staticmethod
    def exists(url: str | Path, patience: Patience = DEFAULT_PATIENCE) -> bool:
        """Return whether a record was created here; looking leaves no trace.

        Raises
        ------
        StoreUnavailableError
            If the place cannot be reached or read.
        """
        location = Location.parse(url)
        if not Repository.exists(location, patience):
            return False
        return _is_created(Repository.open(location, patience))

    # --- writing ------------------------------------------------------------------------------

    def commit_month(self, month: FluxMonth) -> Commit:
        """Commit a month in one transaction and move on to the snapshot that holds it.

        Raises
        ------
        RecordMismatchError
            If the month does not fit the record, or the stored record its declaration. Every
            difference is listed.
        GapError, BeforeRecordError
            If the month would leave a gap, or lies before the first month.
        ConcurrentWriteError
            If other writers did not let this one through in time.
        ReadOnlyRecordError
            If the record was opened at a given snapshot.
        StoreUnavailableError
            If the store cannot be written. It is then as before.
        """
        self._require_writable()
        compare_month(self._repository, self.template, month)
        commit = commit_month(self._repository, self.template, at_stored_precision(month))
        self._follow(commit.snapshot_id)
        return commit

    def commit_drivers(
        self, declaration: DriverDeclaration, months: Sequence[DriverMonth]
    ) -> DriverCommit:
        """Commit consecutive months of a driver in one transaction, and move on to the snapshot.

        A driver that the record does not have begins with them. Months that it holds already,
        with the same values, change nothing.

        Parameters
        ----------
        declaration
            The driver.
        months
            In the order of time.

        Raises
        ------
        RecordMismatchError
            If the driver's units, products or grid, or the stored record, differ from what is
            declared, or a month does not fit. Every difference is listed.
        GapError, BeforeRecordError
            If a month would leave a gap, or lies before the driver's first month.
        ConcurrentWriteError, ReadOnlyRecordError, StoreUnavailableError
            As `commit_month`.
        """
        self._require_writable()
        commit = commit_drivers(self._repository, self.template, declaration, months)
        self._follow(commit.snapshot_id)
        return commit

    def add_handover(self, json_text: str) -> str:
        """Add a hand-over to the record's own attributes, and move on to the snapshot with it.

        A hand-over that the record holds already changes nothing.

        Parameters
        ----------
        json_text
            JSON object with the whole fitted value; it is kept in its canonical form.

        Returns
        -------
        str
            Id of the snapshot: the newest, whether or not this call made it.

        Raises
        ------
        InvalidHandOverError
            If the text is no JSON object, or a number in it is not finite.
        RecordMismatchError
            If the stored record differs from its declaration. Every difference is listed.
        ConcurrentWriteError, ReadOnlyRecordError, StoreUnavailableError
            As `commit_month`.
        """
        self._require_writable()
        snapshot_id = commit_handover(self._repository, self.template, json_text)
        self._follow(snapshot_id)
        return snapshot_id

    def _require_writable(self) -> None:
        if not self._writable:
            raise ReadOnlyRecordError(
                "A record opened at a given snapshot cannot be written to.",
                found=f"snapshot {self._snapshot_id}",
                remedy="Open the record without a snapshot id.",
            )

    def _follow(self, snapshot_id: str) -> None:
        """Move on to a newer snapshot, which may hold hand-overs that others added."""
        self._move_to(snapshot_id)
        self.template = self.template.following(self._group)


def _is_created(repository: Repository) -> bool:
    """Return whether the repository holds a record, not only an interrupted beginning of one."""
    try:
        repository.group(repository.tip())
    except RecordNotFoundError:
        return False
    return True
