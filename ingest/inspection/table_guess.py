"""A specification suggested for a text table of monthly values."""

import json
import re
from pathlib import Path

from ingest.inspection.name_guess import without_dates

_LARGEST_BYTES = 50_000_000


def guess_table(path: Path, file_name: str) -> list[str] | None:
    """Return the lines of a specification for a table of atmospheric CO2; None if it is none.

    Tables by month are only known of CO2: other quantities come as maps.
    """
    cells = _cells(path)
    if cells is None:
        return None
    delimiter, header, row = cells
    named = header if len(header) == len(row) else []
    when = _when(named, row)
    if when is None:
        return None
    lines, used = when
    bands = _bands(named, row, used)
    if not bands:
        return None
    fits = "" if named or not header else "  # check: the header has other columns than the rows"
    return [
        f"title: Table like {json.dumps(file_name)[1:-1]}",
        f"file_pattern: {json.dumps(without_dates(file_name))}",
        "holds: series",
        "grid: global-1deg",
        "time: variable",
        "table:",
        "  quantity: xco2_air  # check",
        "  units: ppm  # check",
        *(f"  {line}" for line in lines),
        f"  bands:{fits}",
        *(f"    - {band}" for band in bands),
        *([] if delimiter == "," else [f"  delimiter: {json.dumps(delimiter)}"]),
        *([] if header else ["  header: false"]),
    ]


def _cells(path: Path) -> tuple[str | None, list[str], list[str]] | None:
    """Return the delimiter, the header (empty if there is none) and the first row of numbers."""
    if path.stat().st_size > _LARGEST_BYTES:
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")][:2]
    if len(lines) < 2 or "\0" in text or lines[0].lstrip().startswith("<"):
        return None
    delimiter = next((d for d in (",", ";", "\t") if d in lines[1]), None)
    split = [
        [c.strip() for c in (line.split(delimiter) if delimiter else line.split())]
        for line in lines
    ]
    header = [] if _number(split[0][0]) is not None or _dated(split[0][0]) else split[0]
    return delimiter, header, split[1]


def _when(named: list[str], row: list[str]) -> tuple[list[str], set[int]] | None:
    """Return the lines that say where the time is, and the columns that they take."""
    lower = [name.lower() for name in named]
    if _dated(row[0]):
        dates = {i for i, cell in enumerate(row) if _dated(cell) or _decimal_year(cell)}
        return [f"date: {_column(named, 0)}"], dates
    if "year" in lower and "month" in lower:
        year, calendar = lower.index("year"), lower.index("month")
        decimal = {i for i, cell in enumerate(row) if _decimal_year(cell)}
        lines = [f"year: {_column(named, year)}", f"month: {_column(named, calendar)}"]
        return lines, {year, calendar} | decimal
    if len(row) > 2 and re.fullmatch(r"(19|20)\d\d", row[0]) and re.fullmatch(r"\d{1,2}", row[1]):
        decimal = {i for i, cell in enumerate(row) if _decimal_year(cell)}
        return ["year: 0", "month: 1"], {0, 1} | decimal
    first = next((i for i, cell in enumerate(row) if _decimal_year(cell)), None)
    return None if first is None else ([f"decimal_year: {_column(named, first)}"], {first})


def _bands(named: list[str], row: list[str], used: set[int]) -> list[str]:
    """Return the columns of values: those that are called by latitudes, else the first."""
    values = [
        i
        for i, cell in enumerate(row)
        if i not in used and (number := _number(cell)) is not None and 150 <= number <= 1000
    ]
    by_latitude = []
    for i in values:
        match = re.search(r"(\d+(?:\.\d+)?)\s*([NS])\b", named[i] if named else "")
        if match is not None:
            latitude = float(match[1]) * (1 if match[2] == "N" else -1)
            by_latitude.append(f"{{column: {_column(named, i)}, latitude: {latitude:g}}}")
    return by_latitude or [f"{{column: {_column(named, i)}}}  # check" for i in values[:1]]


def _column(named: list[str], position: int) -> str:
    return json.dumps(named[position]) if named else str(position)


def _dated(cell: str) -> bool:
    return re.match(r"(19|20)\d{2}-(0[1-9]|1[0-2])(?!\d)", cell) is not None


def _decimal_year(cell: str) -> bool:
    return re.fullmatch(r"(19|20)\d{2}\.\d+", cell) is not None


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
