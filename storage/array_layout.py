"""Declared arrays of the record: making them, and how stored ones differ from what is declared.

The stored metadata stays plain Zarr v3, which any reader of the format understands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from storage.grid import Grid
from storage.months import Month

TIME_UNITS = "days since 1970-01-01"
# One chunk holds 80 years of months: the whole axis is one small object.
TIME_CHUNK = 1024

_COMPRESSOR = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")
_COMPARED = ("shape", "data_type", "dimension_names", "chunk_grid", "codecs", "fill_value")


@dataclass(frozen=True)
class Variable:
    """One declared array: name, dimensions, type, chunks, fill value and CF attributes."""

    name: str
    dims: tuple[str, ...]
    dtype: Any
    attributes: Mapping[str, Any]
    chunks: tuple[int, ...]
    fill_value: Any = None


def time_value(month: Month) -> int:
    """Return the number of days from 1970-01-01 to the first day of a month."""
    return int(month.astype("datetime64[D]").astype(np.int64))


def months_of(days: np.ndarray) -> np.ndarray:
    """Return the months (datetime64[M]) of stored times (days since 1970-01-01)."""
    return days.astype("datetime64[D]").astype("datetime64[M]")


def time_axis() -> tuple[Variable, ...]:
    """Return the months and their ends."""
    time = {
        "standard_name": "time",
        "long_name": "first day of the month, 00:00 UTC",
        "units": TIME_UNITS,
        "calendar": "proleptic_gregorian",
        "axis": "T",
        "bounds": "time_bnds",
    }
    ends = {"long_name": "first day of the month and of the next one"}
    return (
        Variable("time", ("time",), "int64", time, (TIME_CHUNK,), 0),
        Variable("time_bnds", ("time", "bnds"), "int64", ends, (TIME_CHUNK, 2), 0),
    )


def grid_axes(grid: Grid) -> tuple[Variable, ...]:
    """Return latitude and longitude with the edges of their cells."""

    def axis(name: str, short: str, n: int, **attributes: str) -> tuple[Variable, Variable]:
        values = Variable(
            short, (short,), "float64", {**attributes, "bounds": f"{short}_bnds"}, (n,), np.nan
        )
        text = {"long_name": f"{name} of the cell edges"}
        return values, Variable(f"{short}_bnds", (short, "bnds"), "float64", text, (n, 2), np.nan)

    latitude = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
    longitude = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
    return (
        *axis("latitude", "lat", grid.n_lat, **latitude),
        *axis("longitude", "lon", grid.n_lon, **longitude),
    )


def grid_values(grid: Grid) -> dict[str, np.ndarray]:
    """Return the values of `grid_axes`, which must be the same in a store to the last digit."""
    return {
        "lat": grid.lat,
        "lon": grid.lon,
        "lat_bnds": grid.lat_bounds,
        "lon_bnds": grid.lon_bounds,
    }


def create_arrays(
    group: zarr.Group, variables: Sequence[Variable], sizes: Mapping[str, int]
) -> None:
    """Make empty arrays in a group.

    Parameters
    ----------
    group
        Where.
    variables
        What.
    sizes
        Length of each dimension.
    """
    for variable in variables:
        group.create_array(
            variable.name,
            shape=tuple(sizes[dim] for dim in variable.dims),
            dtype=variable.dtype,
            chunks=variable.chunks,
            compressors=[_COMPRESSOR],
            fill_value=variable.fill_value,
            dimension_names=variable.dims,
            attributes=dict(variable.attributes),
        )


def arrays_differences(
    variables: Sequence[Variable],
    stored: Mapping[str, zarr.Array],
    expected: Mapping[str, zarr.Array],
    coordinates: Mapping[str, np.ndarray],
) -> list[str]:
    """Return how stored arrays differ from declared ones, one sentence each.

    Parameters
    ----------
    variables
        The declaration.
    stored
        The arrays of the store by name.
    expected
        The declared arrays as Zarr itself would store them (see `create_arrays`).
    coordinates
        Values that must be the same to the last digit.
    """
    lines = [
        f"{name}: in the store, but not declared"
        for name in sorted(stored.keys() - expected.keys())
    ]
    for variable in variables:
        if variable.name not in stored:
            lines.append(f"{variable.name}: declared, but not in the store")
            continue
        lines += _array_differences(variable, stored[variable.name], expected[variable.name])
    for name, values in coordinates.items():
        if name in stored and stored[name].shape == values.shape:
            lines += _value_differences(name, np.asarray(stored[name][...]), values)
    return lines


def attribute_differences(
    owner: str, found: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
    """Return how stored attributes differ from declared ones, one sentence each."""
    lines = []
    for key in sorted(found.keys() | expected.keys()):
        if key not in found:
            lines.append(f"{owner}, attribute {key}: missing, declared as {expected[key]!r}")
        elif key not in expected:
            lines.append(f"{owner}, attribute {key}: stored as {found[key]!r}, not declared")
        elif found[key] != expected[key]:
            stored = f"stored as {found[key]!r}"
            lines.append(f"{owner}, attribute {key}: {stored}, declared as {expected[key]!r}")
    return lines


def _array_differences(variable: Variable, found: zarr.Array, expected: zarr.Array) -> list[str]:
    stored, declared = found.metadata.to_dict(), expected.metadata.to_dict()
    # The number of months grows, and the number of regions follows from the mask.
    fixed = [i for i, dim in enumerate(variable.dims) if dim not in ("time", "region")]
    for metadata in (stored, declared):
        shape = metadata["shape"]
        assert isinstance(shape, tuple | list)
        if len(shape) == len(variable.dims):
            metadata["shape"] = tuple(shape[i] for i in fixed)
    lines = []
    for key in _COMPARED:
        # repr, because NaN as a fill value differs from itself.
        if repr(stored.get(key)) != repr(declared.get(key)):
            lines.append(
                f"{variable.name}, {key}: stored as {stored.get(key)!r}, "
                f"declared as {declared.get(key)!r}"
            )
    return lines + attribute_differences(variable.name, dict(found.attrs), variable.attributes)


def _value_differences(name: str, found: np.ndarray, expected: np.ndarray) -> list[str]:
    if np.array_equal(found, expected):
        return []
    if found.ndim == 1 and np.array_equal(found[::-1], expected):
        return [f"{name}: stored in the opposite order"]
    differing = int((found != expected).sum())
    where = np.unravel_index(int(np.argmax(found != expected)), found.shape)
    place = ", ".join(str(int(i)) for i in where)
    return [
        f"{name}: {differing} of {expected.size} values differ, the first at [{place}]: "
        f"stored {found[where]}, declared {expected[where]}"
    ]
