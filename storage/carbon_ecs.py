"""The Carbon-ECS record: monthly sea-air CO2 flux on one grid, with its whole history.

A month is committed whole, in one transaction that makes one snapshot. The id of a snapshot is the
data version that forecasts and models record, and opening the record at it reads exactly what was
known then. Committing the same content again changes nothing; other content for a month that is
there makes its next revision. The time axis has no gaps and no duplicates, and never shrinks.
"""

import importlib.metadata
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import icechunk
import numpy as np
import xarray as xr
import zarr

from storage.flux_month import FluxMonth, SourceFile
from storage.grid import Grid
from storage.icechunk_repository import Conflict, Repository, Snapshot, writer_lock
from storage.locations import (
    InvalidLocationError,
    Location,
    Patience,
    StoreUnavailableError,
    redact,
)
from storage.month_checks import at_stored_precision, month_differences
from storage.months import Month, calendar_month, calendar_months
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
from storage.record_months import FIELDS, array_of, holds, place_for, values_of, write_month
from storage.record_template import RecordTemplate, months_of

__all__ = [
    "BeforeRecordError",
    "CarbonEcs",
    "Commit",
    "ConcurrentWriteError",
    "GapError",
    "InvalidLocationError",
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

# Each lost race means that another writer got on, so many tries are no sign of trouble.
COMMIT_TRIES = 20
# Months that are read in one call, so that the time limit of a call does not grow with the record.
MONTHS_PER_CALL = 12


@dataclass(frozen=True)
class Commit:
    """What became of a month.

    Parameters
    ----------
    snapshot_id
        The data version that holds it.
    changed
        Whether a new snapshot was made.
    content_hash
        Hexadecimal SHA-256 of the arrays as stored.
    revision
        1 for the first content of the month, one more for each other content since.
    """

    snapshot_id: str
    changed: bool
    content_hash: str
    revision: int


class CarbonEcs:
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
        self._repository = repository
        self._writable = writable
        self._move_to(snapshot_id)
        self.template = repository.read(lambda: RecordTemplate.stored_in(self._group))

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
            _write_template(repository, template)
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
        record._compare_with(template, record._group)
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

    # --- what it is ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the record is."""
        return self._repository.location.url

    @property
    def snapshot_id(self) -> str:
        """The data version that is read."""
        return self._snapshot_id

    @property
    def grid(self) -> Grid:
        """The grid of every field."""
        return self.template.grid

    @property
    def ocean(self) -> np.ndarray:
        """Boolean (lat, lon), True on the cells that have a value in every month."""
        return self.template.ocean

    def months(self) -> np.ndarray:
        """Return every month of the record, datetime64[M] (time,), ascending; empty when new."""
        return self._months.copy()

    @property
    def first_month(self) -> Month | None:
        """The first month; None when the record is new."""
        return self._months[0] if len(self._months) else None

    @property
    def last_month(self) -> Month | None:
        """The last month; None when the record is new."""
        return self._months[-1] if len(self._months) else None

    def month_revisions(self) -> dict[Month, int]:
        """Return the revision of every month."""
        revisions = self._repository.read(lambda: values_of(self._group, "revision"))
        return {month: int(number) for month, number in zip(self._months, revisions, strict=True)}

    def revision_of(self, month: Month) -> int:
        """Return the revision of a month: 1 unless it was replaced.

        Raises
        ------
        MonthNotInRecordError
            If the record does not hold it.
        """
        self._position(month)
        return self.month_revisions()[month]

    def history(self) -> tuple[Snapshot, ...]:
        """Return the snapshot that is read and every one before it, newest first."""
        return tuple(self._repository.history(self._snapshot_id))

    # --- reading ------------------------------------------------------------------------------

    def read(
        self,
        first: Month | None = None,
        last: Month | None = None,
        variables: Sequence[str] = ("fco2", "quality"),
    ) -> xr.Dataset:
        """Return months as arrays in memory.

        Parameters
        ----------
        first, last
            First and last month, both included; None for the ends of the record.
        variables
            Of ``fco2`` and ``uncertainty`` (float32, mmol m-2 d-1, positive out of the sea) and
            ``quality`` (uint8, see `storage.flux_month.Quality`).

        Returns
        -------
        xarray.Dataset
            (time, lat, lon); time is the first day of each month, datetime64[ns].

        Raises
        ------
        MonthNotInRecordError
            If the record does not hold the first or the last month.
        StoreUnavailableError
            If it cannot be read.
        """
        start = 0 if first is None else self._position(first)
        stop = len(self._months) if last is None else self._position(last) + 1
        wanted = np.arange(start, max(start, stop))
        data = {
            name: xr.Variable(
                ("time", "lat", "lon"), self._fields(name, wanted), dict(self._array(name).attrs)
            )
            for name in variables
        }
        coordinates = {
            "time": ("time", self._months[wanted].astype("datetime64[ns]"), {"axis": "T"}),
            "lat": ("lat", self.grid.lat, {"units": "degrees_north", "axis": "Y"}),
            "lon": ("lon", self.grid.lon, {"units": "degrees_east", "axis": "X"}),
        }
        attributes = {**self.template.group_attributes, "snapshot_id": self._snapshot_id}
        return xr.Dataset(data, coordinates, attributes)

    def read_month(self, month: Month) -> FluxMonth:
        """Return one month as it was committed, rounded to stored precision.

        Raises
        ------
        MonthNotInRecordError
            If the record does not hold it.
        """
        position = np.array([self._position(month)])
        fco2, quality, uncertainty = (self._fields(name, position)[0] for name in FIELDS)
        return FluxMonth(month, self.grid, fco2, quality, uncertainty, self._source_of(month))

    def same_calendar_month(self, month: Month) -> np.ndarray:
        """Return fco2 of the same calendar month in earlier years.

        Parameters
        ----------
        month
            A month in or after the record; neither it nor any later one is read.

        Returns
        -------
        numpy.ndarray
            float32 (year, lat, lon), mmol m-2 d-1, oldest first; no rows if there are none.
        """
        same = calendar_months(self._months) == calendar_month(month)
        return self._fields("fco2", np.flatnonzero(same & (self._months < month)))

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
        if not self._writable:
            raise ReadOnlyRecordError(
                "A record opened at a given snapshot cannot be written to.",
                found=f"snapshot {self._snapshot_id}",
                remedy="Open the record without a snapshot id.",
            )
        self._compare_with_month(month)
        stored = at_stored_precision(month)
        with self._repository.writing():
            commit = self._commit_with_retries(stored)
        self._move_to(commit.snapshot_id)
        return commit

    def _commit_with_retries(self, month: FluxMonth) -> Commit:
        for attempt in range(COMMIT_TRIES):
            try:
                return self._commit_once(month)
            except Conflict:
                # Unequal waits, so that two writers do not meet again and again.
                time.sleep(random.uniform(0, min(1.0, 0.05 * 2**attempt)))  # noqa: S311
        raise ConcurrentWriteError(
            f"{month.month} was not committed: other writers were quicker each time.",
            found=f"{COMMIT_TRIES} lost tries at {self.url}",
            remedy="Run fewer writers at once, then run the same command again.",
        )

    def _commit_once(self, month: FluxMonth) -> Commit:
        """Compare a month with the newest snapshot and commit it on top of that."""
        session, group = self._repository.session()
        self._compare_with(self.template, group)
        months = self._repository.read(lambda: months_of(values_of(group, "time")))
        position = place_for(month.month, months)
        content_hash = month.content_hash()
        revision = 1
        if position < len(months):
            revision = self._repository.read(lambda: int(values_of(group, "revision")[position]))
            if self._repository.read(lambda: holds(group, position, month)):
                return Commit(session.snapshot_id, False, content_hash, revision)
            revision += 1
        self._repository.write(lambda: write_month(group, position, month, revision))
        return self._commit_session(session, month, revision, content_hash)

    def _commit_session(
        self, session: icechunk.Session, month: FluxMonth, revision: int, content_hash: str
    ) -> Commit:
        metadata = {
            "month": str(month.month),
            "revision": revision,
            "product": month.source.product,
            "source_sha256": month.source.sha256,
            "source_url": redact(month.source.url),
            "content_hash": content_hash,
            "software": f"tidenet {importlib.metadata.version('tidenet')}",
        }
        message = f"{month.month}, revision {revision}, from {month.source.product}"
        snapshot_id = self._repository.commit(session, message, metadata)
        return Commit(snapshot_id, True, content_hash, revision)

    def _compare_with_month(self, month: FluxMonth) -> None:
        differences = month_differences(self.template, month)
        if differences:
            raise RecordMismatchError.listing(
                f"{month.month} does not fit the record at {self.url}.",
                differences,
                "Check the product's grid, orientation and mask, and its specification; the "
                "record was not touched.",
            )

    def _compare_with(self, template: RecordTemplate, group: zarr.Group) -> None:
        differences = self._repository.read(lambda: template.differences(group))
        if differences:
            raise RecordMismatchError.listing(
                f"The record at {self.url} differs from its declaration.",
                differences,
                "Use the product, grid and software version that the record was made with, or "
                "make a new record at another URL and ingest into it; nothing was written.",
            )

    # --- inside -------------------------------------------------------------------------------

    def _move_to(self, snapshot_id: str) -> None:
        self._snapshot_id = snapshot_id
        self._group = self._repository.group(snapshot_id)
        self.__dict__.pop("_months", None)

    @cached_property
    def _months(self) -> np.ndarray:
        return self._repository.read(lambda: months_of(values_of(self._group, "time")))

    def _array(self, name: str) -> zarr.Array:
        if name not in FIELDS:
            raise ValueError(f"the record has no field {name!r}; it has {', '.join(FIELDS)}")
        return array_of(self._group, name)

    def _fields(self, name: str, positions: np.ndarray) -> np.ndarray:
        """Return one variable at ascending positions (n, lat, lon), a few months a call."""
        array = self._array(name)
        fields = np.empty((len(positions), *self.grid.shape), dtype=array.dtype)
        for start in range(0, len(positions), MONTHS_PER_CALL):
            part = positions[start : start + MONTHS_PER_CALL]
            fields[start : start + len(part)] = self._repository.read(
                lambda part=part: array.oindex[part]  # type: ignore[misc]
            )
        return fields

    def _position(self, month: Month) -> int:
        found = np.flatnonzero(self._months == month)
        if len(found):
            return int(found[0])
        held = f"{self.first_month} to {self.last_month}" if len(self._months) else "no month"
        raise MonthNotInRecordError(
            f"The record does not hold {month}.",
            found=held,
            expected=month,
            remedy="Ingest the month first, or choose one inside the record.",
        )

    def _source_of(self, month: Month) -> SourceFile:
        """Return the file of a month's last commit; empty where that history was expired."""
        for snapshot in self._repository.history(self._snapshot_id):
            if snapshot.metadata.get("month") == str(month):
                known = snapshot.metadata
                return SourceFile(known["product"], known["source_url"], known["source_sha256"])
        return SourceFile("", "", "")


def _is_created(repository: Repository) -> bool:
    """Return whether the repository holds a record, not only an interrupted beginning of one."""
    try:
        repository.group(repository.tip())
    except RecordNotFoundError:
        return False
    return True


def _write_template(repository: Repository, template: RecordTemplate) -> None:
    session, group = repository.session()
    repository.write(lambda: template.write(group))
    try:
        repository.commit(session, "Create the record", {"grid": template.grid.name})
    except Conflict:
        raise RecordExistsError(
            "Another process created a record at the same time.",
            found=repository.location.url,
            remedy="Open it.",
        ) from None
