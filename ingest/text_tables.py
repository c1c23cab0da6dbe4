"""Text tables of monthly values, such as the marine boundary layer's CO2 by latitude.

Columns are found by position where the header does not fit the rows: published tables have headers
with fewer names than their rows have columns.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ingest.container import beginning
from ingest.errors import (
    InvalidEncodingError,
    InvalidTimeError,
    MissingMonthError,
    UnreadableFileError,
    VariableNotFoundError,
)
from ingest.quantities import QUANTITIES
from ingest.specification import TableLayout
from ingest.units import conversion
from storage.errors import InvalidMonthError
from storage.grid import Grid
from storage.months import Month, month

_LARGEST_BYTES = 50_000_000


def months_in_table(path: Path, layout: TableLayout) -> list[Month]:
    """Return the months that have a row, ascending. Raises as `read_table`."""
    return sorted({value for value, _ in _rows(path, layout)})


def read_table(
    path: Path, layout: TableLayout, grid: Grid, wanted: Month
) -> tuple[np.ndarray, np.ndarray]:
    """Return a month's values and their standard deviation on a grid, (lat, lon).

    Bands are interpolated linearly in latitude; beyond the first and the last, theirs are taken.

    Raises
    ------
    UnreadableFileError
        If the file is no text table.
    VariableNotFoundError
        If a column is not there.
    InvalidEncodingError
        If a value is no number, or one that the quantity cannot have.
    InvalidTimeError, MissingMonthError
        If a row does not say a month, or none is of the month.
    """
    rows = [row for value, row in _rows(path, layout) if value == wanted]
    if not rows:
        held = months_in_table(path, layout)
        raise MissingMonthError(
            f"The table does not hold {wanted}.",
            found=f"{len(held)} months, {held[0]} to {held[-1]}" if held else "no month",
            expected=str(wanted),
            remedy="Fetch a newer table.",
        )
    convert = conversion(layout.units, layout.quantity)
    bands = sorted(layout.bands, key=lambda band: band.latitude or 0.0)
    known = QUANTITIES[layout.quantity]
    means = []
    for band in bands:
        numbers = [_value(row, band.column, path) for row in rows]
        mean = float(convert(np.array(numbers)).mean())
        if not known.low <= mean <= known.high:
            raise InvalidEncodingError(
                f"A value is impossible for the {known.title}.",
                found=f"{mean:g} {known.units} in column {band.column!r} of {wanted}",
                expected=f"{known.low:g} to {known.high:g} {known.units}",
                remedy="Check the table's fill values, and column and units in the specification.",
            )
        means.append(mean)
    latitudes = [0.0 if band.latitude is None else band.latitude for band in bands]
    column = np.interp(grid.lat, latitudes, means)
    error = np.nan if layout.uncertainty is None else layout.uncertainty
    if layout.uncertainty_column is not None:
        stated = [_value(row, layout.uncertainty_column, path) for row in rows]
        error = float(convert.of_error(np.array(stated)).mean())
    values = np.repeat(column[:, None], grid.n_lon, axis=1)
    return values, np.full(grid.shape, error)


Row = dict[int | str, str]


def _rows(path: Path, layout: TableLayout) -> Iterator[tuple[Month, Row]]:
    """Return each row with its month; cells by position, and by name where the header fits."""
    header: list[str] = []
    first = True
    for number, cells in enumerate(_lines(path, layout), start=1):
        if first and layout.header:
            header, first = [cell.strip() for cell in cells], False
            continue
        first = False
        row: Row = dict(enumerate(cell.strip() for cell in cells))
        if len(header) == len(cells):
            row |= dict(zip(header, row.values(), strict=True))
        yield _month_of(row, layout, path, number), row


def _lines(path: Path, layout: TableLayout) -> Iterator[list[str]]:
    beginning(path)
    if path.stat().st_size > _LARGEST_BYTES:
        raise _no_table(path, f"{path.stat().st_size} bytes")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_table(path, str(error)) from error
    kept = [
        line
        for line in text.splitlines()
        if line.strip() and not (layout.comment and line.startswith(layout.comment))
    ]
    if not kept or any("\0" in line or line.lstrip().startswith("<") for line in kept[:5]):
        raise _no_table(path, "no line of a table" if not kept else repr(kept[0][:80]))
    if layout.delimiter is None:
        yield from (line.split() for line in kept)
    else:
        try:
            yield from csv.reader(kept, delimiter=layout.delimiter)
        except csv.Error as error:
            raise _no_table(path, str(error)) from error


def _no_table(path: Path, found: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"{path.name} cannot be read as a table.",
        found=found,
        expected="a text file with one row a month",
        remedy="Fetch it again; if it is the same, ask the provider.",
    )


def _month_of(row: Row, layout: TableLayout, path: Path, number: int) -> Month:
    try:
        if layout.date is not None:
            text = _cell(row, layout.date, path)
            match = re.match(r"(\d{4})-(\d{2})(?!\d)", text)
            return month(f"{match[1]}-{match[2]}" if match else text)
        if layout.decimal_year is not None:
            value = float(_cell(row, layout.decimal_year, path))
            if not 1000 <= value < 3000:
                raise ValueError(f"the year {value:g}")
            year = int(value)
            # Middles and beginnings of months both fall into the month.
            return month(f"{year:04d}-{int((value - year) * 12 + 1e-3) + 1:02d}")
        assert layout.year is not None and layout.month is not None
        said, calendar = (float(_cell(row, c, path)) for c in (layout.year, layout.month))
        if said != int(said) or calendar != int(calendar):
            raise ValueError(f"year {said:g}, month {calendar:g}")
        return month(f"{int(said):04d}-{int(calendar):02d}")
    except (ValueError, InvalidMonthError) as error:
        raise InvalidTimeError(
            f"Row {number} of {path.name} does not say its month.",
            found=" ".join(str(error).split())[:200],
            expected="a year and a month",
            remedy="Check the columns of the time in the product specification.",
        ) from error


def _cell(row: Row, column: int | str, path: Path) -> str:
    if column not in row:
        names = [str(key) for key in row if isinstance(key, str)]
        raise VariableNotFoundError(
            f"{path.name} has no column {column!r}.",
            found=f"{sum(isinstance(key, int) for key in row)} columns"
            + (f": {', '.join(names)}" if names else ", with a header that does not fit them"),
            expected=f"column {column!r}",
            remedy="Correct the column in the product specification; positions count from 0.",
        )
    return row[column]


def _value(row: Row, column: int | str, path: Path) -> float:
    text = _cell(row, column, path)
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InvalidEncodingError(
            f"A value of {path.name} is no number.",
            found=f"{text!r} in column {column!r}",
            expected="a number",
            remedy="Ask the provider for a correct table.",
        )
    return value
