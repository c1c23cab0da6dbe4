"""The declared layout of the Carbon-ECS record: every variable, its type, chunks and attributes.

The template writes an empty record and compares itself with a stored one. All differences are
collected before anything is written, so that one message lists them all.

Values are rounded before they are written: 10 mantissa bits for the flux (relative error at most
4.9e-4, far below what a flux is known to), 5 for its uncertainty (1.6 %). The bits that hold only
noise would fill most of the disk.
The stored metadata stays plain Zarr v3, which any reader of the format understands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from storage.flux_month import Quality
from storage.grid import Grid
from storage.months import Month
from storage.record_errors import RecordMismatchError
from storage.record_handovers import HANDOVERS, handover_differences, handovers_of
from storage.regions import region_masks

RECORD_FORMAT = "carbon-ecs/1"
STANDARD_NAME = "surface_upward_mole_flux_of_carbon_dioxide"
FLUX_UNITS = "mmol m-2 d-1"
FLUX_MANTISSA_BITS = 10
UNCERTAINTY_MANTISSA_BITS = 5

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

    @property
    def grows(self) -> bool:
        """Whether the array has a row for each month."""
        return self.dims[0] == "time"


@dataclass(frozen=True, eq=False)
class RecordTemplate:
    """The declaration that a record is created from and that every write is compared with.

    Parameters
    ----------
    grid
        The record's grid.
    ocean
        Boolean (lat, lon), True on the cells that have a value in every month.
    attributes
        Attributes of the whole record that describe the product: title, source, licence, ...;
        `HANDOVERS` of a record that has any.
    """

    grid: Grid
    ocean: np.ndarray
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = f"{self.ocean.dtype} {self.ocean.shape}"
        if self.ocean.shape != self.grid.shape or self.ocean.dtype != bool:
            raise RecordMismatchError(
                "The ocean mask does not fit the grid.",
                found=found,
                expected=f"bool {self.grid.shape}",
                remedy="Give one boolean for each cell of the grid.",
            )
        if not self.ocean.any():
            raise RecordMismatchError(
                "The ocean mask has no ocean cell.",
                found=found,
                remedy="Check the mask of the product: True is ocean.",
            )

    @classmethod
    def stored_in(cls, group: zarr.Group) -> "RecordTemplate":
        """Return the declaration that a stored record was created from.

        Raises
        ------
        RecordMismatchError
            If the group is not a Carbon-ECS record of this format.
        """
        attributes = dict(group.attrs)
        found = attributes.pop("record_format", None)
        if found != RECORD_FORMAT:
            raise RecordMismatchError(
                "This store is not a Carbon-ECS record that this software reads.",
                found=f"record_format {found!r}",
                expected=repr(RECORD_FORMAT),
                remedy="Check the URL, or use the version of tidenet that wrote the record.",
            )
        try:
            grid = Grid(
                name=str(attributes.pop("grid_name")),
                south=_number(attributes.pop("grid_south")),
                west=_number(attributes.pop("grid_west")),
                step=_number(attributes.pop("grid_step")),
                n_lat=int(_number(attributes.pop("grid_n_lat"))),
                n_lon=int(_number(attributes.pop("grid_n_lon"))),
            )
            ocean = np.asarray(group["ocean"][...], dtype=bool)  # type: ignore[index]
        except (KeyError, TypeError, ValueError) as error:
            raise RecordMismatchError(
                "The store lacks a part of every Carbon-ECS record.",
                found=f"{type(error).__name__}: {error}",
                remedy="Read an earlier snapshot, or restore the record from its last copy.",
            ) from error
        attributes.pop("Conventions", None)
        return cls(grid, ocean, {key: str(value) for key, value in attributes.items()})

    @property
    def group_attributes(self) -> dict[str, Any]:
        """Attributes of the root group."""
        grid = self.grid
        return {
            "Conventions": "CF-1.11",
            **self.attributes,
            "record_format": RECORD_FORMAT,
            "grid_name": grid.name,
            "grid_south": grid.south,
            "grid_west": grid.west,
            "grid_step": grid.step,
            "grid_n_lat": grid.n_lat,
            "grid_n_lon": grid.n_lon,
        }

    @property
    def handovers(self) -> tuple[str, ...]:
        """Hand-overs that the record was made with, each a canonical JSON text, oldest first."""
        return handovers_of(self.attributes)

    def following(self, group: zarr.Group) -> "RecordTemplate":
        """Return this declaration with the hand-overs that the stored record has gained since."""
        stored = group.attrs.get(HANDOVERS)
        if stored is None or stored == self.attributes.get(HANDOVERS):
            return self
        return replace(self, attributes={**self.attributes, HANDOVERS: str(stored)})

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Every array of the record."""
        return _axes(self.grid) + _masks(self.grid) + _monthly(self.grid)

    def write(self, group: zarr.Group) -> None:
        """Write an empty record: the grid, the masks, and a time axis without months."""
        masks = region_masks(self.grid, self.ocean)
        sizes = {"region": len(masks)}
        self._write_metadata(group, sizes)
        values = {
            **self._coordinates,
            "cell_area": self.grid.cell_area,
            "region": np.array(list(masks), dtype=object),
            "region_mask": np.stack(list(masks.values())).astype(np.int8),
        }
        for name, value in values.items():
            group[name][...] = value  # type: ignore[index]

    def _write_metadata(self, group: zarr.Group, sizes: Mapping[str, int]) -> None:
        known = {"time": 0, "lat": self.grid.n_lat, "lon": self.grid.n_lon, "bnds": 2, **sizes}
        for variable in self.variables:
            group.create_array(
                variable.name,
                shape=tuple(known[dim] for dim in variable.dims),
                dtype=variable.dtype,
                chunks=variable.chunks,
                compressors=[_COMPRESSOR],
                fill_value=variable.fill_value,
                dimension_names=variable.dims,
                attributes=dict(variable.attributes),
            )
        # Last, because its format mark is what makes the group a record.
        group.attrs.update(self.group_attributes)

    @property
    def _coordinates(self) -> dict[str, np.ndarray]:
        """Values that must be the same in the store to the last digit."""
        return {
            "lat": self.grid.lat,
            "lon": self.grid.lon,
            "lat_bnds": self.grid.lat_bounds,
            "lon_bnds": self.grid.lon_bounds,
            "ocean": self.ocean.astype(np.int8),
        }

    def differences(self, group: zarr.Group) -> list[str]:
        """Return how a stored record differs from this declaration, one sentence each.

        Compares the attributes of the record; of every array its dimensions, type, chunks, codecs,
        fill value and attributes; and the values of the coordinates and of the ocean mask. Cell
        areas and region masks follow from those and are not computed again. Hand-overs are added
        like months: the record may have more than are declared, but none of those is missing.
        """
        found_attributes, expected_attributes = dict(group.attrs), self.group_attributes
        lines = handover_differences(found_attributes, expected_attributes)
        for attributes in (found_attributes, expected_attributes):
            attributes.pop(HANDOVERS, None)
        lines += _attribute_differences("record", found_attributes, expected_attributes)
        stored = dict(group.arrays())
        expected_arrays = dict(self._expected_arrays.arrays())
        for name in sorted(stored.keys() - expected_arrays.keys()):
            lines.append(f"{name}: in the store, but not declared")
        for variable in self.variables:
            if variable.name not in stored:
                lines.append(f"{variable.name}: declared, but not in the store")
                continue
            lines += _array_differences(
                variable, stored[variable.name], expected_arrays[variable.name]
            )
        for name, expected in self._coordinates.items():
            if name in stored and stored[name].shape == expected.shape:
                lines += _value_differences(name, np.asarray(stored[name][...]), expected)
        return lines

    @cached_property
    def _expected_arrays(self) -> zarr.Group:
        """An empty record in memory: the declaration as Zarr itself would store it."""
        group = zarr.create_group(zarr.storage.MemoryStore())
        self._write_metadata(group, {"region": 1})
        return group


def time_value(month: Month) -> int:
    """Return the number of days from 1970-01-01 to the first day of a month."""
    return int(month.astype("datetime64[D]").astype(np.int64))


def months_of(days: np.ndarray) -> np.ndarray:
    """Return the months (datetime64[M]) of stored times (days since 1970-01-01)."""
    return days.astype("datetime64[D]").astype("datetime64[M]")


def _axes(grid: Grid) -> tuple[Variable, ...]:
    def axis(name: str, short: str, n: int, **attributes: str) -> tuple[Variable, Variable]:
        values = Variable(
            short, (short,), "float64", {**attributes, "bounds": f"{short}_bnds"}, (n,), np.nan
        )
        text = {"long_name": f"{name} of the cell edges"}
        return values, Variable(f"{short}_bnds", (short, "bnds"), "float64", text, (n, 2), np.nan)

    latitude = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
    longitude = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
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
        *axis("latitude", "lat", grid.n_lat, **latitude),
        *axis("longitude", "lon", grid.n_lon, **longitude),
    )


def _masks(grid: Grid) -> tuple[Variable, ...]:
    ocean = {
        "long_name": "cells that have a value in every month",
        "standard_name": "sea_binary_mask",
        "units": "1",
    }
    area = {"standard_name": "cell_area", "long_name": "area of the cell", "units": "m2"}
    member = {
        "long_name": "ocean cells of the region",
        "flag_values": [0, 1],
        "flag_meanings": "outside inside",
    }
    name = {"long_name": "name of the region", "standard_name": "region"}
    return (
        Variable("ocean", ("lat", "lon"), "int8", ocean, grid.shape, 0),
        Variable("cell_area", ("lat", "lon"), "float64", area, grid.shape, np.nan),
        Variable("region", ("region",), str, name, (64,), ""),
        Variable("region_mask", ("region", "lat", "lon"), "int8", member, (1, *grid.shape), 0),
    )


def _monthly(grid: Grid) -> tuple[Variable, ...]:
    dims, chunks = ("time", "lat", "lon"), (1, *grid.shape)
    flux = {
        "standard_name": STANDARD_NAME,
        "long_name": "sea-air CO2 flux, positive out of the sea",
        "units": FLUX_UNITS,
        "positive": "up",
        "cell_methods": "time: mean area: mean",
        "cell_measures": "area: cell_area",
        "ancillary_variables": "quality uncertainty",
    }
    quality = {
        "standard_name": "status_flag",
        "long_name": "where the value comes from",
        "flag_values": [int(flag) for flag in Quality],
        "flag_meanings": " ".join(flag.name.lower() for flag in Quality),
    }
    uncertainty = {
        "standard_name": f"{STANDARD_NAME} standard_error",
        "long_name": "one standard deviation of fco2",
        "units": FLUX_UNITS,
    }
    revision = {
        "long_name": "which version of the month this is; the first one is 1",
        "units": "1",
    }
    return (
        Variable("fco2", dims, "float32", flux, chunks, np.nan),
        Variable("quality", dims, "uint8", quality, chunks, 0),
        Variable("uncertainty", dims, "float32", uncertainty, chunks, np.nan),
        Variable("revision", ("time",), "int32", revision, (TIME_CHUNK,), 0),
    )


def _attribute_differences(
    owner: str, found: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
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
    return lines + _attribute_differences(variable.name, dict(found.attrs), variable.attributes)


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


def _number(value: Any) -> float:
    return float(value)
