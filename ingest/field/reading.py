"""Reading a file as a monthly field that forecasts can be tried on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ingest.container import LARGEST_CELLS, RawVariable
from ingest.decoding import decoded
from ingest.errors import RefusedFileError
from ingest.field import cells
from ingest.field.axes import FieldAxes, chosen_variable, field_axes
from ingest.field.errors import FieldTimeError, FieldTooLargeError, NoAnomaliesError
from ingest.field.grid import FieldGrid
from ingest.field.months import in_order, listed, months_of, without_empty_ends
from ingest.field.stores import opened_store
from storage.months import Month

MOST_CELLS = 20_000
"""Cells up to which a field is taken as it is, 140 x 140; a larger one is made coarser."""

MOST_VALUES = 250_000_000
"""Cells times months that are worked on at most: 1 GB, and as much again for what is made of it."""

HELD_VALUES = 60_000_000
"""Values up to which a variable is read at once; a larger one is read in parts, three times."""

TRAINING_SHARE = 0.75
"""Part of the months that is the training period where nobody says its end."""

_SEARCHED_MONTHS = 24
"""Months of a large variable in which undeclared fill values are looked for."""


@dataclass(frozen=True)
class MonthlyField:
    """A field of consecutive months, complete over its ocean.

    Parameters
    ----------
    variable, units
        As the file says; ``units`` is empty where it says none.
    grid
        Rows from south to north, columns from west to east.
    ocean
        Boolean (lat, lon), cells that are forecast.
    first_month
        The month of ``values[0]``.
    values
        float32 (time, lat, lon) in ``units``, NaN where there is no ocean.
    observed
        Boolean (time, lat, lon), where the file has a value. The others are filled: inputs, not
        truth.
    train_until
        Last month of the training period, which the ocean and the filling come from.
    coarsened
        Cells of the file per block and direction.
    notes
        What was done to it that a person should know.
    """

    variable: str
    units: str
    grid: FieldGrid
    ocean: np.ndarray
    first_month: Month
    values: np.ndarray
    observed: np.ndarray
    train_until: Month
    coarsened: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FieldRequest:
    """What to read.

    Parameters
    ----------
    source
        Path or URL of a NetCDF file or Zarr store.
    variable
        Its name; None if there is one only.
    train_until
        Last month of the training period; None for three quarters of the months.
    coarsen
        Cells per block and direction; None for what keeps the work small.
    first_month
        Month of the first step, where the file does not say it.
    """

    source: str
    variable: str | None = None
    train_until: Month | None = None
    coarsen: int | None = None
    first_month: Month | None = None


def read_field(
    request: FieldRequest, *, timeout_s: float = 60.0, attempts: int = 3
) -> MonthlyField:
    """Read a monthly field.

    Raises
    ------
    FieldError
        If it is none, named more closely (`ingest.field.errors`).
    RefusedFileError
        If the file is damaged or its values cannot be decoded (`ingest.errors`).
    SourceUnavailableError
        If a remote file cannot be had.
    """
    with opened_store(request.source, timeout_s=timeout_s, attempts=attempts) as container:
        variable = chosen_variable(container, request.variable)
        axes = field_axes(container, variable)
        months = months_of(container, variable, axes.time, request.first_month)
        months, positions = in_order(months)
        return _field(_Maps.of(variable, axes, positions), months, request)


def _field(maps: "_Maps", months: np.ndarray, request: FieldRequest) -> MonthlyField:
    notes = list(maps.axes.notes)
    factor = _factor(maps.axes.grid.shape, len(months), request.coarsen)
    if factor > 1:
        how = "asked for" if request.coarsen else "to keep the work small; --coarsen N sets it"
        notes.append(f"means over {factor} x {factor} cells ({how})")
    train_until = _training_end(months, request.train_until)
    fine, fills = _ocean(maps, _months_up_to(train_until, months[0]), notes)
    area = maps.axes.grid.cell_area
    weight = np.where(fine, area, 0.0)
    steps = maps.months(range(len(months)), fills)
    means = np.stack([cells.block_means(values, weight, factor) for values in steps])
    ocean = cells.ocean_blocks(fine, factor)
    counts = np.isfinite(means[:, ocean]).sum(axis=1)
    part = without_empty_ends(months, counts)
    if part != slice(0, len(months)):
        notes.append(f"{len(months) - len(months[part])} empty months at the ends left out")
    means, months, counts = means[part], months[part], counts[part]
    if (counts == 0).any():
        notes.append(f"without values, and filled: {listed(months[counts == 0])}")
    train_until = _training_end(months, train_until)
    _refuse_one_year(means[:, ocean], maps.variable.name)
    if step := _coarse_step(means[:, ocean]):
        notes.append(f"kept in single precision, so in steps of {step:g}")
    observed = np.isfinite(means) & ocean
    part_filled = 1 - observed.sum() / (ocean.sum() * len(months))
    if part_filled:
        notes.append(f"{100 * part_filled:.2g} % of the values filled: input, but not truth")
    calendar, n_training = months.astype(int) % 12 + 1, _months_up_to(train_until, months[0])
    # What comes later is not known to a forecast, not even how large it is.
    units, unit = _units(maps.variable), _magnitude(means[:n_training, ocean])
    if unit != 1.0:
        units = f"{unit:g} {units}".strip()
        means = (means / unit).astype(np.float32)
    return MonthlyField(
        maps.variable.name,
        units,
        maps.axes.grid.coarsened(factor),
        ocean,
        months[0],
        cells.completed(means, ocean, calendar, n_training),
        observed,
        train_until,
        factor,
        tuple(notes),
    )


def _ocean(
    maps: "_Maps", n_training: int, notes: list[str]
) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return the ocean cells (lat, lon), and values that mean missing though not declared."""
    fills = maps.undeclared_fills(n_training)
    if fills:
        shown = ", ".join(f"{fill:g}" for fill in fills)
        notes.append(f"{shown} taken as missing, though not declared")
    survey, n_full = cells.Survey.blank(maps.axes.grid.shape), 0
    for values in maps.months(range(n_training), fills):
        survey.add(values)
        n_full += bool(np.isfinite(values).any())
    ocean = survey.ocean(n_full)
    unmoved = int((survey.high == survey.low).sum())
    if unmoved:
        notes.append(f"{unmoved} cells that never change left out")
    return ocean, fills


def _refuse_one_year(values: np.ndarray, name: str) -> None:
    """Refuse values (time, cell) that repeat one year. Raises NoAnomaliesError."""
    later, earlier = values[12:], values[:-12]
    little = 1e-6 * float(np.nanstd(values, dtype=np.float64))
    if len(later) and np.allclose(later, earlier, rtol=0, atol=little, equal_nan=True):
        raise NoAnomaliesError(
            f"{name} repeats one year: there is nothing to forecast but the calendar.",
            found="every month is as it was a year before",
            expected="years that differ",
            remedy="Choose another variable, or a file that holds no climatology.",
        )


def _coarse_step(values: np.ndarray) -> float:
    """Return the step of single precision where it matters to how (time, cell) changes, else 0."""
    std = np.nanstd(values.astype(np.float64), axis=0).mean()
    step = float(np.spacing(np.float32(np.nanmax(np.abs(values)))))
    return step if step > 0.01 * std else 0.0


def _months_up_to(last: Month, first: Month) -> int:
    return int((last - first).astype(int)) + 1


@dataclass(frozen=True)
class _Maps:
    """The maps of a variable, month after month."""

    variable: RawVariable
    axes: FieldAxes
    order: np.ndarray
    held: np.ndarray | None

    @classmethod
    def of(cls, variable: RawVariable, axes: FieldAxes, order: np.ndarray) -> "_Maps":
        if np.prod(axes.grid.shape) > LARGEST_CELLS:
            raise FieldTooLargeError(
                "One month of the field is larger than can be worked on.",
                found=f"{axes.grid.shape[0]} x {axes.grid.shape[1]} cells",
                expected=f"at most {LARGEST_CELLS}",
                remedy="Cut out the sea of interest first.",
            )
        held = None
        if variable.size <= HELD_VALUES:
            held = variable.values(most=HELD_VALUES)
        return cls(variable, axes, order, held)

    def months(
        self, steps: "range | np.ndarray", fills: tuple[float, ...] = ()
    ) -> Iterator[np.ndarray]:
        """Yield months (lat, lon), float32, NaN where nothing is.

        Parameters
        ----------
        steps
            Positions in time order.
        fills
            Values that mean missing besides the declared ones.
        """
        part, first = self.held, 0
        for step in steps:
            position = int(self.order[step])
            if position < 0:
                yield np.full(self.axes.grid.shape, np.nan, dtype=np.float32)
                continue
            if part is None or not first <= position < first + part.shape[self.axes.time]:
                part, first = self._part_with(position)
            yield cells.without(self._month(part, position - first), fills)

    def _part_with(self, position: int) -> tuple[np.ndarray, int]:
        """Return steps in a row as they lie in the file, and the position of the first.

        Files often keep many months of few cells together: reading month after month would unpack
        all of them for each.
        """
        n_steps = self.variable.shape[self.axes.time]
        at_once = max(HELD_VALUES * n_steps // self.variable.size, 1)
        first = position // at_once * at_once
        index = [slice(None)] * len(self.variable.shape)
        index[self.axes.time] = slice(first, min(first + at_once, n_steps))
        most = max(HELD_VALUES, LARGEST_CELLS)
        return self.variable.values(tuple(index), most=most), first

    def undeclared_fills(self, n_training: int) -> tuple[float, ...]:
        """Return values that mean missing without being declared.

        They are looked for in all months, and held against the other values of the training
        period. In a variable that is not held, some months have to do.
        """
        search = cells.FillSearch.among(self._candidates())
        steps = np.arange(len(self.order))
        if self.held is None:
            steps = np.unique(np.linspace(0, steps[-1], _SEARCHED_MONTHS).astype(int))
        for step, values in zip(steps, self.months(steps), strict=True):
            search.add(values, usual=bool(step < n_training))
        return search.found()

    def _month(self, part: np.ndarray, position: int) -> np.ndarray:
        raw = part.take([position], axis=self.axes.time)
        # Half precision cannot hold the numbers that decoding compares with.
        values = decoded(self.variable, raw.astype("f4") if raw.dtype == "f2" else raw)
        with np.errstate(over="ignore"):
            return self.axes.turned(values)[0].astype(np.float32)

    def _candidates(self) -> tuple[float, ...]:
        """Return the usual fill values, packed ones also as they look unpacked."""
        try:
            scale = float(self.variable.attributes.get("scale_factor", 1.0))
            offset = float(self.variable.attributes.get("add_offset", 0.0))
        except (RefusedFileError, TypeError, ValueError):
            return cells.USUAL_FILLS
        unpacked = [fill * scale + offset for fill in cells.USUAL_FILLS if fill]
        return tuple(dict.fromkeys([*cells.USUAL_FILLS, *unpacked]))


def _factor(shape: tuple[int, int], n_months: int, asked: int | None) -> int:
    """Return the cells per block and direction."""

    def n_cells(factor: int) -> int:
        return int(np.prod([-(-side // factor) for side in shape]))

    if asked is None:
        factor = 1
        while n_cells(factor) > MOST_CELLS:
            factor += 1
        return factor
    if n_cells(asked) * n_months > MOST_VALUES:
        raise FieldTooLargeError(
            "The field is larger than can be worked on.",
            found=f"{n_cells(asked)} cells in {n_months} months",
            expected=f"at most {MOST_VALUES} values",
            remedy="Choose a larger --coarsen, or leave it out.",
        )
    return asked


def _training_end(months: np.ndarray, asked: Month | None) -> Month:
    """Return the last month of the training period."""
    if asked is None:
        last: Month = months[max(int(TRAINING_SHARE * len(months)) - 1, 0)]
        return last
    if not months[0] <= asked < months[-1]:
        raise FieldTimeError(
            "The training period does not end inside the field.",
            found=f"{asked}; the field has values from {months[0]} to {months[-1]}",
            expected="a month inside, with later ones to test on",
            remedy="Choose another month: --train-until YYYY-MM.",
        )
    return asked


def _units(variable: RawVariable) -> str:
    try:
        said = variable.attributes.get("units", "")
    except RefusedFileError:
        return ""
    return said.strip() if isinstance(said, str) else ""


def _magnitude(values: np.ndarray) -> float:
    """Return the power of ten to count in where single precision could be left, else 1."""
    std = float(np.nanstd(values, dtype=np.float64))
    if std == 0 or 1e-4 <= std <= 1e6:
        return 1.0
    return float(10.0 ** np.floor(np.log10(std)))
