"""One snapshot of the Carbon-ECS record: what it holds, and its months as arrays."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import xarray as xr
import zarr

from storage.array_layout import months_of
from storage.flux_month import FluxMonth, SourceFile
from storage.grid import Grid
from storage.icechunk_repository import Repository, Snapshot
from storage.months import Month, calendar_month, calendar_months
from storage.record_drivers import RecordDrivers
from storage.record_errors import MonthNotInRecordError
from storage.record_months import FIELDS, array_of, record_hash, values_of
from storage.record_template import RecordTemplate

# Months that are read in one call, so that the time limit of a call does not grow with the record.
MONTHS_PER_CALL = 12


class RecordSnapshot:
    """The record as it was at one snapshot.

    Parameters
    ----------
    repository
        The Icechunk repository.
    snapshot_id
        The snapshot to read.
    """

    def __init__(self, repository: Repository, snapshot_id: str) -> None:
        self._repository = repository
        self._move_to(snapshot_id)
        self.template = repository.read(lambda: RecordTemplate.stored_in(self._group))

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

    def handovers(self) -> tuple[str, ...]:
        """Return the hand-overs that the record was made with, as canonical JSON, oldest first."""
        return self.template.handovers

    def content_hash(self) -> str:
        """Return the hexadecimal SHA-256 of what the record says, however it came about.

        Over the grid, the ocean mask, and each month with its latest content in the order of
        months: two records made from the same files have the same one, although their snapshots
        have other ids. Neither attributes, drivers nor earlier revisions count. The contents are
        told by the commits' metadata, so that no field is read where the history is whole.
        """
        hashes = {str(month): "" for month in self._months}
        missing = set(hashes)
        for snapshot in self._repository.history(self._snapshot_id):
            month = snapshot.metadata.get("month")
            if month in missing:
                missing.remove(month)
                hashes[month] = snapshot.metadata["content_hash"]
            if not missing:
                break
        for month in missing:  # their commits were expired
            hashes[month] = self._month_at(np.datetime64(month, "M")).content_hash()
        return record_hash(self.grid, self.ocean, hashes)

    @property
    def drivers(self) -> RecordDrivers:
        """What the record holds beside the flux, at the snapshot that is read."""
        return RecordDrivers(self._repository, self._group)

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
        return replace(self._month_at(month), source=self._source_of(month))

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

    def _month_at(self, month: Month) -> FluxMonth:
        """Return the arrays of one month, without the file that they were made from."""
        position = np.array([self._position(month)])
        fco2, quality, uncertainty = (self._fields(name, position)[0] for name in FIELDS)
        return FluxMonth(month, self.grid, fco2, quality, uncertainty, SourceFile("", "", ""))

    def _source_of(self, month: Month) -> SourceFile:
        """Return the file of a month's last commit; empty where that history was expired."""
        for snapshot in self._repository.history(self._snapshot_id):
            if snapshot.metadata.get("month") == str(month):
                known = snapshot.metadata
                return SourceFile(known["product"], known["source_url"], known["source_sha256"])
        return SourceFile("", "", "")
