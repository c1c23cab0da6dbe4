"""Drivers beside the flux: fields and indices that a forecast may read, each with its own months.

They lie in the record's repository, in groups ``drivers/<name>`` of its own branch: one snapshot
holds flux and drivers as they were known together, and its id is the version of both. A driver's
months follow each other without gaps and need not be those of the flux.

Fields are NaN on land and wherever the product has no value; nothing is filled in. A gap is filled
where it is read (`tidenet.drivers`), with the calendar of the training period: a value filled here
from all years would carry later ones into earlier months. Values of a field are rounded before they
are written (`storage.driver_declaration.DRIVER_MANTISSA_BITS`), those of an index are not.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from storage.array_layout import months_of, time_value
from storage.driver_declaration import (
    DRIVER_MANTISSA_BITS,
    DriverDeclaration,
    DriverTemplate,
    InvalidDriverError,
)
from storage.errors import TidenetError
from storage.icechunk_repository import Repository
from storage.month_checks import rounded
from storage.months import Month, month_range
from storage.record_commits import compare, software, with_retries
from storage.record_errors import RecordMismatchError
from storage.record_months import array_of, place_for, values_of
from storage.record_template import RecordTemplate

__all__ = [
    "DriverCommit",
    "DriverDeclaration",
    "DriverMonth",
    "InvalidDriverError",
    "MissingDriverError",
    "RecordDrivers",
    "commit_drivers",
]

GROUP = "drivers"

# Months that are read in one call, so that the time limit of a call does not grow with the record.
_MONTHS_PER_CALL = 12


class MissingDriverError(TidenetError):
    """The record does not hold a driver, or not the months of it that are needed."""


@dataclass(frozen=True)
class DriverMonth:
    """One month of a driver, ready to be committed.

    Parameters
    ----------
    month
        The month.
    values
        float32 (lat, lon) on the record's grid, NaN where there is no value; of an index a single
        number, shape ().
    source_sha256
        Hexadecimal digest of the file that it was read from; of several, of theirs.
    """

    month: Month
    values: np.ndarray
    source_sha256: str = ""


@dataclass(frozen=True)
class DriverCommit:
    """What became of some months of a driver.

    Parameters
    ----------
    snapshot_id
        The data version that holds them.
    revisions
        Revision of each new or changed month: 1 for its first content. Empty if nothing changed,
        and then no snapshot was made.
    """

    snapshot_id: str
    revisions: Mapping[Month, int]


@dataclass(frozen=True)
class RecordDrivers:
    """The drivers of a record as of one snapshot.

    Parameters
    ----------
    repository
        The record's repository.
    group
        Root group of the record at the snapshot.
    """

    repository: Repository
    group: zarr.Group

    def names(self) -> tuple[str, ...]:
        """Return the names of the drivers, in alphabetical order."""

        def read() -> tuple[str, ...]:
            if GROUP not in self.group:
                return ()
            return tuple(sorted(name for name, _ in _group(self.group, GROUP).groups()))

        return self.repository.read(read)

    def declaration(self, name: str) -> DriverDeclaration:
        """Return what a driver is.

        Raises
        ------
        MissingDriverError
            If the record does not have it.
        """
        group = self._driver(name)
        return self.repository.read(lambda: DriverDeclaration.stored_in(name, group))

    def months(self, name: str) -> np.ndarray:
        """Return the months of a driver, datetime64[M] (time,), ascending.

        Raises
        ------
        MissingDriverError
            If the record does not have it.
        """
        group = self._driver(name)
        return self.repository.read(lambda: months_of(values_of(group, "time")))

    def read(self, name: str, first: Month, last: Month) -> np.ndarray:
        """Return a driver's values, float32 (time, lat, lon), or (time,) of an index.

        Parameters
        ----------
        name
            The driver.
        first, last
            First and last month, both included. No other month is read.

        Raises
        ------
        MissingDriverError
            If the record does not hold all of them; the message says which are missing.
        StoreUnavailableError
            If it cannot be read.
        """
        held = self.months(name)
        missing = [wanted for wanted in month_range(first, last) if wanted not in held]
        if missing:
            raise MissingDriverError(
                f"The record lacks months of the driver {name}: {_words(missing)}.",
                found=f"{held[0]} to {held[-1]}" if len(held) else "no month",
                expected=f"{first} to {last}",
                remedy=f"Let the files of {', '.join(self.declaration(name).products)} arrive and "
                "run tidenet drivers update, or choose a month that the driver reaches.",
            )
        array = array_of(self._driver(name), name)
        start = int((first - held[0]).astype(int))
        n_months = int((last - first).astype(int)) + 1
        values = np.empty((n_months, *array.shape[1:]), dtype=np.float32)
        for at in range(0, n_months, _MONTHS_PER_CALL):
            some = slice(at, min(at + _MONTHS_PER_CALL, n_months))
            here = slice(start + some.start, start + some.stop)
            values[some] = self.repository.read(lambda here=here: np.asarray(array[here]))  # type: ignore[misc]
        return values

    def revisions(self, name: str) -> dict[Month, int]:
        """Return the revision of every month of a driver. Raises as `months`."""
        group = self._driver(name)
        numbers = self.repository.read(lambda: values_of(group, "revision"))
        return {m: int(number) for m, number in zip(self.months(name), numbers, strict=True)}

    def content_hash(self, names: Sequence[str], first: Month, last: Month) -> str:
        """Return the hexadecimal SHA-256 of what some drivers say in consecutive months.

        It changes if, and only if, a value, a name or its units change. Raises as `read`.
        """
        digest = hashlib.sha256()
        for name in sorted(set(names)):
            digest.update(f"{name} {self.declaration(name).units} {first} {last}\n".encode())
            digest.update(self.read(name, first, last).tobytes())
        return digest.hexdigest()

    def _driver(self, name: str) -> zarr.Group:
        held = self.names()
        if name in held:
            return self.repository.read(lambda: _group(self.group, f"{GROUP}/{name}"))
        raise MissingDriverError(
            f"The record has no driver {name}.",
            found=", ".join(held) or "no driver",
            expected=name,
            remedy=f"Add it: tidenet drivers add {name} --product PRODUCT.",
        )


def commit_drivers(
    repository: Repository,
    template: RecordTemplate,
    declaration: DriverDeclaration,
    months: Sequence[DriverMonth],
) -> DriverCommit:
    """Commit consecutive months of one driver in one transaction.

    A driver that the record does not have begins with them. Raises as
    `storage.carbon_ecs.CarbonEcs.commit_drivers`.
    """
    layout = DriverTemplate(declaration, template.grid)
    kept = [_at_stored_precision(month, declaration, template) for month in months]

    def once() -> DriverCommit:
        session, root = repository.session()
        compare(repository, template, root)
        group = repository.write(lambda: _opened(root, layout))
        differences = repository.read(lambda: layout.differences(group))
        if differences:
            raise RecordMismatchError.listing(
                f"The driver {declaration.name} of the record at {repository.location.url} is "
                "another one.",
                differences,
                "Add it under another name, or from the products that it began with; nothing was "
                "written.",
            )
        revisions = {}
        for month in kept:
            revision = repository.write(lambda month=month: _put(group, declaration.name, month))  # type: ignore[misc]
            if revision is not None:
                revisions[month.month] = revision
        if not revisions:
            return DriverCommit(session.snapshot_id, {})
        span = f"{min(revisions)} to {max(revisions)}"
        metadata = {
            "driver": declaration.name,
            "products": list(declaration.products),
            "revisions": {str(month): number for month, number in revisions.items()},
            "source_sha256": {str(m.month): m.source_sha256 for m in kept if m.month in revisions},
            "software": software(),
        }
        message = f"Driver {declaration.name}, {len(revisions)} months, {span}"
        return DriverCommit(repository.commit(session, message, metadata), revisions)

    return with_retries(repository, once, f"The driver {declaration.name} was")


def _opened(root: zarr.Group, layout: DriverTemplate) -> zarr.Group:
    """Return the driver's group of a writing session, begun where there is none."""
    path = f"{GROUP}/{layout.declaration.name}"
    if path not in root:
        layout.write(root.create_group(path))
    return _group(root, path)


def _put(group: zarr.Group, name: str, month: DriverMonth) -> int | None:
    """Write a month where it belongs and return its revision; None if it is there already."""
    months = months_of(values_of(group, "time"))
    position = place_for(month.month, months, f"the driver {name}")
    array, revisions = array_of(group, name), array_of(group, "revision")
    revision = 1
    if position < len(months):
        # NaN differs from itself, bytes do not.
        if np.asarray(array[position]).tobytes() == month.values.tobytes():
            return None
        revision = int(np.asarray(revisions[position])) + 1
    values: dict[str, Any] = {
        # Zarr takes no array without axes: of an index, a plain number.
        name: month.values if month.values.ndim else float(month.values),
        "time": time_value(month.month),
        "time_bnds": [time_value(month.month), time_value(month.month + 1)],
        "revision": revision,
    }
    for key, value in values.items():
        target = array_of(group, key)
        if position == target.shape[0]:
            target.resize((position + 1, *target.shape[1:]))
        target[position] = value
    return revision


def _at_stored_precision(
    month: DriverMonth, declaration: DriverDeclaration, template: RecordTemplate
) -> DriverMonth:
    """Return a month as the store will give it back.

    Raises
    ------
    RecordMismatchError
        If it does not fit the record; every difference is listed.
    """
    values = month.values
    shape = template.grid.shape if declaration.kind == "field" else ()
    lines = []
    if values.dtype != np.float32:
        lines.append(f"{declaration.name}, type: {values.dtype}, the record has float32")
    if values.shape != shape:
        lines.append(f"{declaration.name}, shape: {values.shape}, the record has {shape}")
    if np.isinf(values).any():
        lines.append(f"{declaration.name} is infinite: {int(np.isinf(values).sum())} cells")
    if not lines:
        known = np.isfinite(values)
        if declaration.kind == "field" and (known & ~template.ocean).any():
            n_cells = int((known & ~template.ocean).sum())
            lines.append(f"{declaration.name} has values on land cells: {n_cells} cells")
        if not known.any() and not declaration.gaps_allowed:
            lines.append(f"{declaration.name} has no value at all")
    if lines:
        raise RecordMismatchError.listing(
            f"{month.month} of the driver {declaration.name} does not fit the record.",
            lines,
            "Bring it onto the record's grid and mask; the record was not touched.",
        )
    if declaration.kind == "field":
        values = np.ascontiguousarray(rounded(values, DRIVER_MANTISSA_BITS))
    return DriverMonth(month.month, values, month.source_sha256)


def _group(group: zarr.Group, path: str) -> zarr.Group:
    found = group[path]
    assert isinstance(found, zarr.Group)
    return found


def _words(months: Sequence[Month]) -> str:
    if len(months) <= 6:
        return ", ".join(str(value) for value in months)
    return f"{len(months)} months, {months[0]} to {months[-1]}"
