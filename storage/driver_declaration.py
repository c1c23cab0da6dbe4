"""What a driver of the record is: its name, units and origin, and how it is laid out."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

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
from storage.errors import TidenetError
from storage.grid import Grid
from storage.record_errors import RecordMismatchError

DRIVER_FORMAT = "carbon-ecs-driver/1"
DRIVER_MANTISSA_BITS = 12
"""Of a field: a relative error of 1.2e-4 at most, 0.002 K at 20 degC or 0.05 ppm at 400 ppm."""

DriverKind = Literal["field", "index"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_TAKEN = {"time", "time_bnds", "lat", "lon", "lat_bnds", "lon_bnds", "revision"}


class InvalidDriverError(TidenetError):
    """A driver cannot be declared like this."""


@dataclass(frozen=True)
class DriverDeclaration:
    """One driver.

    Parameters
    ----------
    name
        What forecasts know it by: small letters, digits, - and _.
    kind
        ``field`` (time, lat, lon) or ``index`` (time,).
    units
        Of its values.
    long_name
        What it is, for people.
    quantity
        What is taken from its products.
    products
        The product specifications that it comes from. A driver keeps its products: another one
        has other errors, and its step would look like a change of the sea.
    standard_name
        CF standard name, where there is one.
    gaps_allowed
        Whether a month that its products never delivered is kept as one without any value, so that
        the driver can go on after it. Otherwise it ends there until the month has arrived.

    Raises
    ------
    InvalidDriverError
        If the name is none, or the units are not stated.
    """

    name: str
    kind: DriverKind
    units: str
    long_name: str
    quantity: str
    products: tuple[str, ...]
    standard_name: str = ""
    gaps_allowed: bool = False

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None or self.name in _TAKEN or not self.units:
            raise InvalidDriverError(
                "A driver cannot be called that, or states no units.",
                found=f"{self.name!r} in {self.units!r}",
                expected="a name of small letters, digits, - and _ that begins with a letter, "
                f"none of {', '.join(sorted(_TAKEN))}, and units",
                remedy="Choose another name.",
            )

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the driver's group."""
        return {
            "Conventions": "CF-1.11",
            "driver_format": DRIVER_FORMAT,
            "title": self.long_name,
            "kind": self.kind,
            "quantity": self.quantity,
            "source": ", ".join(self.products),
            "missing_months": "empty" if self.gaps_allowed else "awaited",
        }

    @classmethod
    def stored_in(cls, name: str, group: zarr.Group) -> "DriverDeclaration":
        """Return the declaration that a stored driver was created from.

        Raises
        ------
        RecordMismatchError
            If the group is no driver of this format.
        """
        known: dict[str, Any] = dict(group.attrs)
        stored = dict(group.arrays())
        if known.get("driver_format") != DRIVER_FORMAT or name not in stored:
            raise RecordMismatchError(
                f"The driver {name} of the record is not one that this software reads.",
                found=f"driver_format {known.get('driver_format')!r}",
                expected=repr(DRIVER_FORMAT),
                remedy="Use the version of tidenet that wrote it.",
            )
        described: dict[str, Any] = dict(stored[name].attrs)
        return cls(
            name=name,
            kind=known["kind"],
            units=described["units"],
            long_name=described["long_name"],
            quantity=known["quantity"],
            products=tuple(known["source"].split(", ")),
            standard_name=described.get("standard_name", ""),
            gaps_allowed=known["missing_months"] == "empty",
        )


@dataclass(frozen=True)
class DriverTemplate:
    """The layout of a driver on a record's grid.

    Parameters
    ----------
    declaration
        The driver.
    grid
        The record's grid.
    """

    declaration: DriverDeclaration
    grid: Grid

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Every array of the driver's group."""
        said = self.declaration
        values = {"units": said.units, "long_name": said.long_name}
        if said.standard_name:
            values["standard_name"] = said.standard_name
        revision = {
            "long_name": "which version of the month this is; the first one is 1",
            "units": "1",
        }
        axes = time_axis()
        dims: tuple[str, ...] = ("time",)
        chunks: tuple[int, ...] = (TIME_CHUNK,)
        if said.kind == "field":
            axes += grid_axes(self.grid)
            dims, chunks = ("time", "lat", "lon"), (1, *self.grid.shape)
            values["cell_methods"] = "time: mean area: mean"
        return (
            *axes,
            Variable(said.name, dims, "float32", values, chunks, np.nan),
            Variable("revision", ("time",), "int32", revision, (TIME_CHUNK,), 0),
        )

    def write(self, group: zarr.Group) -> None:
        """Write an empty driver: the grid, and a time axis without months."""
        sizes = {"time": 0, "lat": self.grid.n_lat, "lon": self.grid.n_lon, "bnds": 2}
        create_arrays(group, self.variables, sizes)
        for name, values in self._coordinates.items():
            group[name][...] = values  # type: ignore[index]
        group.attrs.update(self.declaration.attributes)

    def differences(self, group: zarr.Group) -> list[str]:
        """Return how a stored driver differs from this declaration, one sentence each."""
        expected = zarr.create_group(zarr.storage.MemoryStore())
        self.write(expected)
        lines = attribute_differences(
            self.declaration.name, dict(group.attrs), self.declaration.attributes
        )
        return lines + arrays_differences(
            self.variables, dict(group.arrays()), dict(expected.arrays()), self._coordinates
        )

    @property
    def _coordinates(self) -> dict[str, np.ndarray]:
        return grid_values(self.grid) if self.declaration.kind == "field" else {}
