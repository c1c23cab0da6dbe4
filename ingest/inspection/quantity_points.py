"""One quantity of a product file, looked at point by point."""

from typing import Any

import numpy as np

from ingest.container import RawVariable
from ingest.decoding import decoded, kept_by, refuse_impossible
from ingest.inspection.points import Points
from ingest.quantities import FLUX, QUANTITIES
from ingest.reading import Reading, sign_of
from ingest.specification import Flags, Variable
from ingest.units import Conversion, conversion

_ENCODING = (
    *("_FillValue", "missing_value", "valid_min", "valid_max", "valid_range"),
    *("scale_factor", "add_offset"),
)
_REPEATED = 0.05
"""Part of all values that share the lowest or the highest one, from which a fill is suspected."""


def look_at_quantity(
    reading: Reading, quantity: str, declared: Variable, points: Points, *, on_grid: bool
) -> None:
    """Add the points of one quantity.

    Parameters
    ----------
    reading
        The file and the month.
    quantity, declared
        The quantity, and how the specification says it is found.
    points
        Where to add them.
    on_grid
        Whether the file's coordinates are those of the product's grid.
    """
    _Look(reading, quantity, declared, points, on_grid=on_grid).run()


def range_in_words(values: np.ndarray, units: str) -> str:
    """Return lowest, highest and mean value, and how many are missing."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return "no value"
    missing = values.size - finite.size
    return (
        f"{finite.min():.6g} to {finite.max():.6g} {units}, mean {finite.mean():.6g}; "
        f"{missing} of {values.size} missing"
    )


def variable_in_words(variable: RawVariable) -> str:
    """Return a variable's dimensions and type."""
    sizes = zip(variable.dims, variable.shape, strict=True)
    return f"({', '.join(f'{dim} {length}' for dim, length in sizes)}) {variable.dtype}"


class _Look:
    def __init__(
        self,
        reading: Reading,
        quantity: str,
        declared: Variable,
        points: Points,
        *,
        on_grid: bool,
    ) -> None:
        self.reading = reading
        self.quantity = quantity
        self.known = QUANTITIES[quantity]
        self.declared = declared
        self.points = points
        self.on_grid = on_grid

    def run(self) -> None:
        names = [self.reading.filled_in(name) for name in self.declared.names]
        expected = f"one of {', '.join(names)}" if len(names) > 1 else names[0]
        with self.points.guarded(self._of("variable"), expected):
            variable = self.reading.first_present(self.declared.names, self.known.title)
            found = f"{variable.name} {variable_in_words(variable)}"
            self.points.fits(self._of("variable"), expected, found)
            convert = self._units(variable)
            sign = self._direction(variable) if self.quantity == FLUX else 1.0
            self.points.note(self._of("missing values"), self._encoding(variable))
            flagged = self.declared.flags is None or self._flags(self.declared.flags)
            sound = self.on_grid and convert is not None and sign is not None and flagged
            self._values(variable, convert, sign, sound=sound)
            self._uncertainty()

    def _of(self, what: str) -> str:
        return f"{self.quantity}: {what}"

    def _units(self, variable: RawVariable) -> Conversion | None:
        stated = variable.attributes.get("units")
        text = self.declared.units or stated or self.declared.units_if_missing
        expected = f"convertible to {self.known.units}"
        with self.points.guarded(self._of("units"), expected):
            convert = conversion(None if text is None else str(text), self.quantity)
            found = f"{text}: {_conversion_in_words(convert, self.known.units)}"
            if self.declared.units is not None and str(stated) != self.declared.units:
                found += f" (the specification's; the file says {stated})"
            elif not stated:
                found += " (the specification's; the file says none)"
            self.points.fits(self._of("units"), expected, found)
            return convert
        return None

    def _direction(self, variable: RawVariable) -> float | None:
        expected = f"positive {self.declared.positive}"
        with self.points.guarded(self._of("direction"), expected):
            sign = sign_of(variable, self.declared)
            keys = ("standard_name", "long_name", "positive")
            said = [str(variable.attributes[k]) for k in keys if variable.attributes.get(k)]
            turned = "taken as it is" if sign > 0 else "times -1, as ours is positive out"
            found = f"{'; '.join(said) or 'the file says none'}: {turned}"
            self.points.fits(self._of("direction"), expected, found)
            return sign
        return None

    def _encoding(self, variable: RawVariable) -> str:
        attributes = variable.attributes
        found = [f"{key} {_number(attributes[key])}" for key in _ENCODING if key in attributes]
        fills = self.reading.specification.fill_values
        if fills:
            found.append(f"the specification's {', '.join(f'{fill:g}' for fill in fills)}")
        return "; ".join(found) or "none declared; NaN and the NetCDF library's fill count as such"

    def _flags(self, flags: Flags) -> bool:
        """Look at the quality variable; return whether it can be used."""
        kept = f"keep {', '.join(map(str, flags.keep))}" if flags.keep else ""
        expected = f"{flags.variable}, {kept or f'none of the bits {flags.without_bits}'}"
        with self.points.guarded(self._of("flags"), expected):
            variable = self.reading.first_present((flags.variable,), "quality variable")
            good = kept_by(flags, variable, self.reading.raw_plane(variable))
            found = f"{int(good.sum())} of {good.size} cells kept"
            self.points.fits(self._of("flags"), expected, found)
            return True
        return False

    def _values(
        self,
        variable: RawVariable,
        convert: Conversion | None,
        sign: float | None,
        *,
        sound: bool,
    ) -> None:
        what, expected = self._of("values"), self._possible()
        with self.points.guarded(what, expected):
            if sound:
                values = self.reading.field(self.quantity, self.declared).values
            else:
                # As they lie there: what is wrong elsewhere must not hide them.
                raw = self.reading.raw_plane(variable)
                values = decoded(variable, raw, self.reading.specification.fill_values)
                values = (sign or 1.0) * (values if convert is None else convert(values))
            units = self.known.units if convert is not None else "in the file's own units"
            found = f"{range_in_words(values, units)}{_repeated_extreme(values)}"
            if convert is None:
                self.points.note(what, found, expected)
            elif not np.isfinite(values).any():
                self.points.fails(what, expected, found, "Fetch it again, or ask the provider.")
            elif self._outside_limits(values):
                remedy = "Check units and fill values, or widen limits in the specification."
                self.points.fails(what, expected, found, remedy)
            else:
                refuse_impossible(values, self.quantity, variable)
                self.points.fits(what, expected, found)

    def _possible(self) -> str:
        limits = self.reading.specification.limits
        low, high = self.known.low, self.known.high
        if self.quantity == FLUX:
            low, high = limits.minimum, limits.maximum
        return f"{low:g} to {high:g} {self.known.units}"

    def _outside_limits(self, values: np.ndarray) -> bool:
        limits = self.reading.specification.limits
        with np.errstate(invalid="ignore"):
            outside = (values < limits.minimum) | (values > limits.maximum)
        return self.quantity == FLUX and bool(outside.any())

    def _uncertainty(self) -> None:
        names = [self.reading.filled_in(name) for name in self.declared.uncertainty_names]
        present = next((n for n in names if n in self.reading.container.variables), None)
        if present is not None:
            found = f"variable {present}"
        elif self.declared.uncertainty is not None:
            found = f"{self.declared.uncertainty:g} {self.known.units}, the specification's"
        else:
            found = "unknown"
        expected = f"one of {', '.join(names)}" if names else ""
        self.points.note(self._of("uncertainty"), found, expected)


def _conversion_in_words(convert: Conversion, units: str) -> str:
    if convert.factor == 1 and convert.offset == 0:
        return f"the same as {units}"
    times = f"times {convert.factor:.6g}" if convert.factor != 1 else ""
    plus = f"{convert.offset:+g}" if convert.offset else ""
    return f"{' '.join(part for part in (times, plus) if part)} gives {units}"


def _repeated_extreme(values: np.ndarray) -> str:
    """Return a hint where the lowest or highest value is that of many cells, as a fill is."""
    finite = values[np.isfinite(values)]
    if finite.size < 100:
        return ""
    for extreme in (finite.min(), finite.max()):
        share = float((finite == extreme).mean())
        if _REPEATED < share < 1:
            return f"; {share:.0%} of the values are {extreme:.6g}: is that a fill value?"
    return ""


def _number(value: Any) -> str:
    array = np.atleast_1d(np.asarray(value)).ravel()
    shown = (f"{v:g}" if array.dtype.kind in "fiu" else str(v) for v in array[:4].tolist())
    return ", ".join(shown)
