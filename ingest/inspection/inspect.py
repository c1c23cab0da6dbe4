"""What a product file holds beside what its specification expects, point by point.

The reader stops at the first thing that is wrong. Here everything is looked at, so that a person
who writes a specification sees all that is left to do.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.container import LARGEST_AXIS, Container, RawVariable, opened
from ingest.decoding import decoded
from ingest.errors import RefusedFileError
from ingest.inspection.points import Point, Points, Verdict
from ingest.inspection.quantity_points import look_at_quantity, range_in_words, variable_in_words
from ingest.orientation import to_grid
from ingest.quantities import FLUX, QUANTITIES
from ingest.reader import month_and_step, several_months
from ingest.reading import Reading
from ingest.specification import ProductSpecification, TableLayout
from ingest.text_tables import months_in_table, read_table
from ingest.times import stated_months
from storage.grid import Grid
from storage.months import Month, month

_MOST_LISTED = 60
_WHOLE_FILE = "a whole NetCDF or HDF5 file"
_WHO_SAYS = {
    "variable": "said by the time variable",
    "name": "said by the file's name",
    "both": "said alike by name and time variable",
    "fixed": "said by the specification",
}


@dataclass(frozen=True)
class Inspection:
    """Everything that was found in a file.

    Parameters
    ----------
    file_name
        The provider's name of the file.
    product
        The product that it was compared with; None if with none.
    month
        The month that was looked at; None if nothing says one.
    points
        The points, in the order in which the reader comes to them.
    """

    file_name: str
    product: str | None
    month: Month | None
    points: tuple[Point, ...]

    @property
    def fits(self) -> bool:
        """Whether the file was compared with a product, and nothing does not fit."""
        return self.product is not None and not self.problems

    @property
    def problems(self) -> tuple[Point, ...]:
        """The points that do not fit."""
        return tuple(point for point in self.points if point.verdict is Verdict.FAILS)


def inspect(
    path: Path,
    specification: ProductSpecification | None,
    *,
    file_name: str,
    now: dt.datetime,
    wanted: Month | None = None,
) -> Inspection:
    """Look at every point of a file; nothing that is wrong with it raises.

    Parameters
    ----------
    path
        The file on the local disk.
    specification
        What to expect in it; None only lists what is there.
    file_name
        The provider's name of the file.
    now
        The present moment.
    wanted
        The month to look at in a file that holds several; None for its last.
    """
    points = Points()
    if specification is None:
        _list_contents(path, points)
        return Inspection(file_name, None, None, points.all)
    look = _Look(path, specification, file_name, now, points)
    if specification.table is not None:
        found = look.at_table(specification.table, wanted)
    else:
        found = look.at_file(wanted)
    return Inspection(file_name, specification.name, found, points.all)


def months_in_words(months: Iterable[Month]) -> str:
    """Return how many months there are, and the first and the last."""
    held = sorted(months)
    if len(held) < 2:
        return str(held[0]) if held else "no month"
    return f"{len(held)} months, {held[0]} to {held[-1]}"


class _Look:
    """Looks at one file of a product."""

    def __init__(
        self,
        path: Path,
        specification: ProductSpecification,
        file_name: str,
        now: dt.datetime,
        points: Points,
    ) -> None:
        self.path = path
        self.specification = specification
        self.file_name = file_name
        self.now = now
        self.points = points

    def at_file(self, wanted: Month | None) -> Month | None:
        """Look at a NetCDF or HDF5 file; return the month that was looked at."""
        self._name()
        with self.points.guarded("file", _WHOLE_FILE), opened(self.path) as container:
            size = f"{len(container.variables)} variables, {self._size}"
            self.points.fits("file", _WHOLE_FILE, size)
            found, step = self._month(container, wanted)
            # Where nothing says a month, names with one in them are looked for in the present one.
            reading = Reading(container, self.specification, found or self._this_month, step)
            on_grid = self._coordinates(reading)
            for quantity, declared in self.specification.quantities.items():
                look_at_quantity(reading, quantity, declared, self.points, on_grid=on_grid)
            # A mask on another grid says nothing that the coordinates did not say.
            if FLUX in self.specification.quantities and on_grid:
                self._mask(reading)
            return found
        return None

    def at_table(self, layout: TableLayout, wanted: Month | None) -> Month | None:
        """Look at a text table; return the month that was looked at."""
        self._name()
        known = QUANTITIES[layout.quantity]
        with self.points.guarded("file", "a text table with rows of months"):
            held = months_in_table(self.path, layout)
            self.points.fits("file", "a text table with rows of months", self._size)
            found = wanted or max((m for m in held if m <= self._this_month), default=None)
            self.points.note("month", f"{months_in_words(held)}; {found} looked at")
            if found is None:
                return None
            what, expected = (
                f"{layout.quantity}: values",
                f"{known.low:g} to {known.high:g} {known.units}",
            )
            with self.points.guarded(what, expected):
                grid = self.specification.target_grid
                values, error = read_table(self.path, layout, grid, found)
                self.points.fits(what, expected, range_in_words(values, known.units))
                sure = np.isfinite(error).any()
                stated = f"{np.nanmean(error):g} {known.units}" if sure else "unknown"
                self.points.note(f"{layout.quantity}: uncertainty", stated)
            return found
        return None

    @property
    def _size(self) -> str:
        return f"{self.path.stat().st_size / 1e6:.2f} MB"

    @property
    def _this_month(self) -> Month:
        return month(self.now.date())

    @property
    def _latest_possible(self) -> Month:
        """The last month that a file of calendar months may hold, as far as its name says."""
        back = (self._this_month - months for months in range(12))
        possible = (m for m in back if self.specification.may_hold(self.file_name, m))
        return next(possible, self._this_month)

    def _name(self) -> None:
        spec = self.specification
        patterns = (spec.file_pattern, spec.preliminary_pattern)
        expected = " or ".join(pattern for pattern in patterns if pattern)
        if spec.matches(self.file_name):
            found = f"{self.file_name} ({spec.stage_of(self.file_name)})"
            self.points.fits("name", expected, found)
        else:
            remedy = "Give the file its name again, or correct file_pattern in the specification."
            self.points.fails("name", expected, self.file_name, remedy)

    def _month(self, container: Container, wanted: Month | None) -> tuple[Month | None, int]:
        """Look at the month; return it with its step, or None and the first step."""
        spec = self.specification
        expected = _WHO_SAYS[spec.time] if spec.holds == "month" else f"holds a {spec.holds}"
        with self.points.guarded("month", expected):
            if spec.holds == "month":
                found, step = month_and_step(container, spec, self.file_name, self.now, None)
                words = f"{found} ({self._said(container)})"
            elif spec.holds == "climatology":
                chosen = wanted or self._latest_possible
                found, step = month_and_step(container, spec, self.file_name, self.now, chosen)
                words = f"looked at for {found}"
            else:
                held = several_months(container, spec)
                of_file = [m for m in held if spec.may_hold(self.file_name, m)]
                past = (m for m in of_file if m <= self._this_month)
                chosen = wanted or max(past, default=self._this_month)
                found, step = month_and_step(container, spec, self.file_name, self.now, chosen)
                words = f"{months_in_words(held)}; {found} looked at"
            self.points.fits("month", expected, words)
            return found, step
        return wanted or spec.month_of(self.file_name), 0

    def _said(self, container: Container) -> str:
        named = self.specification.month_of(self.file_name)
        said = [] if named is None else [f"the name says {named}"]
        try:
            stated = stated_months(container, self.specification)
            said.append(f"the time variable {months_in_words(stated)}")
        except RefusedFileError:
            said.append("no usable time variable")
        return ", ".join(said)

    def _coordinates(self, reading: Reading) -> bool:
        """Look at the coordinates; return whether they are those of the grid."""
        spec, grid = self.specification, self.specification.target_grid
        expected = _grid_in_words(grid)
        if spec.rows is not None:
            self.points.note("coordinates", f"not looked for; rows are {spec.rows}", expected)
            return True
        with self.points.guarded("coordinates", expected):
            lat = reading.first_present(spec.latitude, "latitude")
            lon = reading.first_present(spec.longitude, "longitude")
            fills = spec.fill_values
            axes = [decoded(a, a.values(most=LARGEST_AXIS), fills) for a in (lat, lon)]
            blank = np.broadcast_to(np.False_, (axes[0].size, axes[1].size))
            to_grid(blank, axes[0], axes[1], grid)
            self.points.fits("coordinates", expected, _axes_in_words((lat, lon), axes))
            return True
        return False

    def _mask(self, reading: Reading) -> None:
        mask = self.specification.mask
        if mask.variable is None:
            found = f"where any of the first {mask.first_months} months has a value"
            self.points.note("ocean mask", found)
            return
        expected = f"{mask.variable}, not zero on {mask.marks}"
        with self.points.guarded("ocean mask", expected):
            ocean = reading.ocean()
            assert ocean is not None
            found = f"{int(ocean.sum())} of {ocean.size} cells are ocean"
            self.points.fits("ocean mask", expected, found)


def _list_contents(path: Path, points: Points) -> None:
    """List the variables of a file that is compared with no product."""
    with points.guarded("file", _WHOLE_FILE), opened(path) as container:
        n = len(container.variables)
        points.note("file", f"{n} variables, {path.stat().st_size / 1e6:.2f} MB")
        for variable in list(container.variables.values())[:_MOST_LISTED]:
            keys = ("standard_name", "long_name", "units")
            said = [str(variable.attributes[k]) for k in keys if variable.attributes.get(k)]
            points.note(variable.name, "; ".join([variable_in_words(variable), *said]))
        if n > _MOST_LISTED:
            points.note("file", f"and {n - _MOST_LISTED} variables more")


def _grid_in_words(grid: Grid) -> str:
    return (
        f"{grid.n_lat} x {grid.n_lon} cells of {grid.step:.6g} degrees, the first at "
        f"{grid.lat[0]:g} N, {grid.lon[0]:g} E"
    )


def _axes_in_words(axes: tuple[RawVariable, RawVariable], values: list[np.ndarray]) -> str:
    (lat, lon), (rows, columns) = axes, values
    order = "rows from the south" if rows[0] < rows[-1] else "rows from the north: turned"
    return (
        f"{lat.name} {rows[0]:g} to {rows[-1]:g}, {lon.name} {columns[0]:g} to "
        f"{columns[-1]:g}; {order}"
    )
