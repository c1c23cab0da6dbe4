"""Reading one variable of an opened file: found, decoded, in its units, on the product's grid."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingest.container import LARGEST_AXIS, LARGEST_CELLS, Container, RawVariable
from ingest.decoding import decoded, kept_by, refuse_impossible, refuse_negative
from ingest.errors import (
    EmptyMonthError,
    InvalidEncodingError,
    SignError,
    VariableNotFoundError,
    ZeroMonthError,
)
from ingest.orientation import implied_on_grid, to_grid
from ingest.quantities import FLUX, QUANTITIES
from ingest.specification import ProductSpecification, Variable
from ingest.units import Conversion, conversion
from storage.months import Month


@dataclass(frozen=True)
class Field:
    """One quantity of one month.

    Parameters
    ----------
    values
        float64 (lat, lon) in the quantity's units; NaN where there is none.
    uncertainty
        float64 (lat, lon), one standard deviation in the same units; NaN where unknown.
    variable, units
        What it was called, and its units in the file.
    """

    values: np.ndarray
    uncertainty: np.ndarray
    variable: str
    units: str


class Reading:
    """Reads variables of one file and one month."""

    def __init__(
        self, container: Container, specification: ProductSpecification, wanted: Month, step: int
    ) -> None:
        self.container = container
        self.specification = specification
        self.wanted = wanted
        self.step = step

    def field(self, quantity: str, declared: Variable) -> Field:
        """Return one quantity in its units, oriented as the grid."""
        variable = self.first_present(declared.names, QUANTITIES[quantity].title)
        self._refuse_timeless(variable)
        units = declared.units or _units_of(variable) or declared.units_if_missing
        convert = conversion(units, quantity)
        values = convert(self.plane(variable))
        if declared.flags is not None:
            flags = self.first_present((declared.flags.variable,), "quality variable")
            good = kept_by(declared.flags, flags, self.raw_plane(flags))
            values = np.where(self._on_grid(good.astype(float), flags) > 0, values, np.nan)
        if quantity == FLUX:
            values = values * sign_of(variable, declared)
        _refuse_nothing(values, variable.name, zero_is_missing=quantity == FLUX)
        refuse_impossible(values, quantity, variable)
        uncertainty = self._uncertainty(quantity, declared, values, convert)
        return Field(values, uncertainty, variable.name, str(units))

    def ocean(self) -> np.ndarray | None:
        """Return the file's ocean mask, boolean (lat, lon); None if the product has none."""
        mask = self.specification.mask
        if mask.variable is None:
            return None
        variable = self.first_present((mask.variable,), "ocean mask")
        if variable.dtype.kind == "b":
            marked = self._on_grid(self.raw_plane(variable), variable)
        else:
            marked = np.nan_to_num(self.plane(variable)) != 0
        return marked if mask.marks == "ocean" else ~marked

    def _uncertainty(
        self, quantity: str, declared: Variable, values: np.ndarray, convert: Conversion
    ) -> np.ndarray:
        names = [n for n in map(self.filled_in, declared.uncertainty_names)]
        present = [n for n in names if n in self.container.variables]
        if present:
            variable = self.container.variables[present[0]]
            own_units = None if declared.units else _units_of(variable)
            stated = self.plane(variable)
            refuse_negative(stated, variable)
            return (conversion(own_units, quantity) if own_units else convert).of_error(stated)
        constant = declared.uncertainty if declared.uncertainty is not None else np.nan
        # A constant of a flux is given where the month is completed, cell by cell.
        constant = np.nan if declared.positive is not None else constant
        return np.where(np.isfinite(values), constant, np.nan)

    def filled_in(self, name: str) -> str:
        """Return a declared name with the month's year and number in place of placeholders."""
        year, number = str(self.wanted).split("-")
        return name.replace("{year}", year).replace("{month}", number)

    def first_present(self, names: tuple[str, ...], what: str) -> RawVariable:
        """Return the first variable of these names that is there, or raise with those that are."""
        filled = [self.filled_in(name) for name in names]
        for name in filled:
            if name in self.container.variables:
                return self.container.variables[name]
        held = ", ".join(f"{v.name}{v.dims}" for v in self.container.variables.values())
        raise VariableNotFoundError(
            f"The variable of the {what} is not in the file.",
            found=held[:600] or "no variables",
            expected=f"one of {', '.join(filled)}",
            remedy="If it has another name, add that to the product specification.",
        )

    def plane(self, variable: RawVariable) -> np.ndarray:
        """Return a variable's map of the month, decoded, on the product's grid."""
        sizes = dict(zip(variable.dims, variable.shape, strict=True))
        shape = tuple(sizes[dim] for dim in self._axes(variable))
        if shape != self.specification.target_grid.shape and math.prod(shape) <= LARGEST_CELLS:
            # Refused, with what its grid is, before millions of values are read.
            self._on_grid(np.broadcast_to(np.nan, shape), variable)
        raw = self.raw_plane(variable)
        fills = self.specification.fill_values
        return self._on_grid(decoded(variable, raw, fills), variable)

    def raw_plane(self, variable: RawVariable) -> np.ndarray:
        """Return a variable's two-dimensional map of the month, rows first, as it lies there."""
        rows, columns = self._axes(variable)
        index: list[Any] = []
        for dim, length in zip(variable.dims, variable.shape, strict=True):
            if dim in (rows, columns):
                index.append(slice(None))
            elif dim == self._time_dim and length > 1 and self._has_steps(length):
                index.append(self.step)
            elif length == 1:
                index.append(0)
            else:
                raise self._no_map(variable, (rows, columns))
        kept = [dim for dim in variable.dims if dim in (rows, columns)]
        values = variable.values(tuple(index))
        return values if kept == [rows, columns] else values.T

    def _axes(self, variable: RawVariable) -> tuple[str, str]:
        if self.specification.rows is not None:
            sized = zip(variable.dims, variable.shape, strict=True)
            long = [d for d, n in sized if n > 1 and d != self._time_dim]
            if len(long) != 2:
                raise self._no_map(variable, ("rows", "columns"))
            return long[0], long[1]
        lat = self.first_present(self.specification.latitude, "latitude")
        lon = self.first_present(self.specification.longitude, "longitude")
        if len(lat.dims) != 1 or len(lon.dims) != 1 or lat.dims == lon.dims:
            raise InvalidEncodingError(
                "Latitude and longitude are not the two axes of a regular grid.",
                found=f"latitude over {lat.dims}, longitude over {lon.dims}",
                expected="one dimension each",
                remedy="Only regular latitude-longitude grids are read; ask for such a version.",
            )
        if not {lat.dims[0], lon.dims[0]} <= set(variable.dims):
            raise self._no_map(variable, (lat.dims[0], lon.dims[0]))
        return lat.dims[0], lon.dims[0]

    def _no_map(self, variable: RawVariable, axes: tuple[str, ...]) -> InvalidEncodingError:
        sizes = dict(zip(variable.dims, variable.shape, strict=True))
        return InvalidEncodingError(
            f"The variable {variable.name} is not one map.",
            found=f"dimensions {sizes}",
            expected=f"{', '.join(axes)}, and no other of more than one step",
            remedy="Deliver one month a file, on the declared grid.",
        )

    def _on_grid(self, values: np.ndarray, variable: RawVariable) -> np.ndarray:
        grid = self.specification.target_grid
        if self.specification.rows is not None:
            north_first = self.specification.rows == "north-first"
            return implied_on_grid(values, grid, north_first=north_first, name=variable.name)
        fills = self.specification.fill_values
        axes = []
        for names, what in (
            (self.specification.latitude, "latitude"),
            (self.specification.longitude, "longitude"),
        ):
            axis = self.first_present(names, what)
            axes.append(decoded(axis, axis.values(most=LARGEST_AXIS), fills))
        return to_grid(values, axes[0], axes[1], grid)

    def _refuse_timeless(self, variable: RawVariable) -> None:
        """Refuse a single map in a file of several months: it would serve every one of them."""
        specification = self.specification
        by_time = specification.holds in ("year", "series") and not month_patterns(specification)
        if by_time and self._time_dim not in variable.dims:
            raise self._no_map(variable, ("time", *self._axes(variable)))

    def _has_steps(self, length: int) -> bool:
        """Return whether a time axis of this length says which step is the month's."""
        if self.specification.holds == "climatology":
            return length == 12
        return self.specification.holds != "month"

    @property
    def _time_dim(self) -> str | None:
        for name in self.specification.time_names:
            if name in self.container.variables:
                dims = self.container.variables[name].dims
                return dims[0] if dims else None
        return None


def _units_of(variable: RawVariable) -> str | None:
    units = variable.attributes.get("units")
    # A long text is no unit, and takes long to be read as one.
    return None if units is None else " ".join(str(units).split())[:200]


def sign_of(variable: RawVariable, declared: Variable) -> float:
    """Return 1 for a flux that is positive out of the sea, -1 for one that is positive into it.

    Raises
    ------
    SignError
        If the file's words contradict the specification, or have to say it and do not.
    """
    keys = ("standard_name", "long_name", "positive")
    said = " ".join(str(variable.attributes.get(key, "")) for key in keys).lower()
    down = bool(re.search(r"downward|positive (into|in) the|positive down|\bdown\b", said))
    up = bool(re.search(r"upward|positive out|positive up|\bup\b", said))
    wanted = declared.positive
    contradicts = (wanted == "up" and down) or (wanted == "down" and up)
    if contradicts or (wanted == "stated" and up == down):
        raise SignError(
            "The file and the specification say opposite directions of the flux."
            if contradicts
            else "The file does not say which direction of the flux is positive.",
            found=f"{said.strip()!r}",
            expected=f"positive {wanted}" if contradicts else "upward or downward",
            remedy="Correct 'positive' in the specification if the provider's words are right.",
        )
    return 1.0 if wanted == "up" or (wanted == "stated" and up) else -1.0


def _refuse_nothing(values: np.ndarray, name: str, *, zero_is_missing: bool) -> None:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise EmptyMonthError(
            "The month is empty.",
            found=f"no value in {name}",
            expected="values on ocean cells",
            remedy="Fetch the file again later; the provider may not have finished it.",
        )
    if zero_is_missing and not finite.any():
        raise ZeroMonthError(
            "The month is all zeros.",
            found=f"{finite.size} zeros in {name}",
            expected="flux that differs from place to place",
            remedy="Ask the provider: missing data were filled with zeros.",
        )


def month_patterns(specification: ProductSpecification) -> list[str]:
    """Return the declared variable names that say a month."""
    return [n for v in specification.quantities.values() for n in v.names if "{month}" in n]
