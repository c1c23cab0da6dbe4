"""The declared layout of the Carbon-ECS record: every variable, its type, chunks and attributes.

The template writes an empty record and compares itself with a stored one. All differences are
collected before anything is written, so that one message lists them all.

Values are rounded before they are written: 10 mantissa bits for the flux (relative error at most
4.9e-4, far below what a flux is known to), 5 for its uncertainty (1.6 %). The bits that hold only
noise would fill most of the disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import zarr

from storage.array_layout import (
    TIME_CHUNK,
    Variable,
    arrays_differences,
    attribute_differences,
    create_arrays,
    grid_axes,
    grid_values,
    time_axis,
)
from storage.flux_month import Quality
from storage.grid import Grid
from storage.record_errors import RecordMismatchError
from storage.record_handovers import HANDOVERS, handover_differences, handovers_of
from storage.regions import region_masks

RECORD_FORMAT = "carbon-ecs/1"
STANDARD_NAME = "surface_upward_mole_flux_of_carbon_dioxide"
FLUX_UNITS = "mmol m-2 d-1"
FLUX_MANTISSA_BITS = 10
UNCERTAINTY_MANTISSA_BITS = 5


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
        return time_axis() + grid_axes(self.grid) + _masks(self.grid) + _monthly(self.grid)

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
        create_arrays(group, self.variables, known)
        # Last, because its format mark is what makes the group a record.
        group.attrs.update(self.group_attributes)

    @property
    def _coordinates(self) -> dict[str, np.ndarray]:
        """Values that must be the same in the store to the last digit."""
        return {**grid_values(self.grid), "ocean": self.ocean.astype(np.int8)}

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
        lines += attribute_differences("record", found_attributes, expected_attributes)
        return lines + arrays_differences(
            self.variables,
            dict(group.arrays()),
            dict(self._expected_arrays.arrays()),
            self._coordinates,
        )

    @cached_property
    def _expected_arrays(self) -> zarr.Group:
        """An empty record in memory: the declaration as Zarr itself would store it."""
        group = zarr.create_group(zarr.storage.MemoryStore())
        self._write_metadata(group, {"region": 1})
        return group


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


def _number(value: Any) -> float:
    return float(value)
