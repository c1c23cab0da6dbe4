"""One month inside the record's Zarr group: where it belongs, writing it, comparing with it."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import zarr

from storage.array_layout import time_value
from storage.flux_month import FluxMonth
from storage.grid import Grid
from storage.months import Month, month_range
from storage.record_errors import BeforeRecordError, GapError

FIELDS = ("fco2", "quality", "uncertainty")
"""The variables (time, lat, lon) that a month is made of."""


def place_for(month: Month, months: np.ndarray, whose: str = "the record") -> int:
    """Return where a month belongs on a time axis, the record's own or that of one of its drivers.

    Raises
    ------
    BeforeRecordError
        If it lies before the first month.
    GapError
        If months between the last one and it are missing.
    """
    if not len(months):
        return 0
    if month < months[0]:
        raise BeforeRecordError(
            f"{month} lies before {whose}.",
            found=f"{whose} begins with {months[0]}",
            expected=f"a month from {months[0]} to {months[-1] + 1}",
            remedy="To begin earlier, make a new record and ingest every month in order.",
        )
    missing = month_range(months[-1] + 1, month - 1)
    if missing:
        raise GapError(
            f"{month} would leave a gap in {whose}.",
            found=_span(missing),
            expected=f"a month up to {months[-1] + 1}",
            remedy="Ingest the missing months first, in order.",
        )
    return int((month - months[0]).astype(int))


def _span(missing: Sequence[Month]) -> str:
    """Return months in words: all of a few, the ends of many."""
    if len(missing) <= 6:
        return f"missing: {', '.join(str(value) for value in missing)}"
    return f"missing: {len(missing)} months, {missing[0]} to {missing[-1]}"


def write_month(group: zarr.Group, position: int, month: FluxMonth, revision: int) -> None:
    """Write a month at a position of the time axis, which grows by one where it has to."""
    values = {name: getattr(month, name) for name in FIELDS}
    values["time"] = time_value(month.month)
    values["time_bnds"] = [time_value(month.month), time_value(month.month + 1)]
    values["revision"] = revision
    for name, value in values.items():
        array = array_of(group, name)
        if position == array.shape[0]:
            array.resize((position + 1, *array.shape[1:]))
        array[position] = value


def holds(group: zarr.Group, position: int, month: FluxMonth) -> bool:
    """Return whether the store holds these very bytes (NaN differs from itself, bytes do not)."""
    return all(
        np.asarray(array_of(group, name)[position]).tobytes() == getattr(month, name).tobytes()
        for name in FIELDS
    )


def array_of(group: zarr.Group, name: str) -> zarr.Array:
    """Return one array of the record's group."""
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def values_of(group: zarr.Group, name: str) -> np.ndarray:
    """Return all values of one array of the record's group."""
    return np.asarray(array_of(group, name)[...])


def record_hash(grid: Grid, ocean: np.ndarray, hashes: Mapping[str, str]) -> str:
    """Return the hexadecimal SHA-256 of a grid, an ocean mask, and months by their content.

    Parameters
    ----------
    grid
        The grid.
    ocean
        Boolean (lat, lon).
    hashes
        Content hash of each month (``YYYY-MM``), in the order of months.
    """
    place = (float(grid.south), float(grid.west), float(grid.step), grid.n_lat, grid.n_lon)
    digest = hashlib.sha256(f"{grid.name} {place}\n".encode())
    digest.update(np.packbits(ocean).tobytes())
    for month, content_hash in hashes.items():
        digest.update(f"\n{month} {content_hash}".encode())
    return digest.hexdigest()
