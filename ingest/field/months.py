"""Which month each step of a time axis is of, however it is written."""

import re
from collections import Counter

import numpy as np

from ingest.container import Container, RawVariable
from ingest.decoding import decoded
from ingest.errors import RefusedFileError
from ingest.field.calendars import months_since
from ingest.field.errors import DuplicateMonthsError, FieldTimeError, MissingMonthsError
from storage.months import Month

MOST_MISSING = 0.1
"""Part of the months that may be missing between others; they are filled, and no truth."""

_EARLIEST, _LATEST = np.array(["0001-01", "9999-01"], dtype="datetime64[M]")
_MOST_TIMES = 100_000
_DATE = re.compile(r"(\d{4})(?:[-/._ ](0?[1-9]|1[0-2])|(0[1-9]|1[0-2])(?:\d\d)?)(?!\d)")
_SINCE = re.compile(r"^\s*\w+\s+since\s+", re.IGNORECASE)


def months_of(
    container: Container, variable: RawVariable, time: int, first_month: Month | None = None
) -> np.ndarray:
    """Return the month of each step, datetime64[M] (time,), in the file's order.

    Understood are times since a date in any calendar, months and years since a date, YYYYMM and
    YYYYMMDD as numbers, decimal years, and dates as texts. Where the axis has bounds, their middle
    counts: some stamp a month at its end.

    Parameters
    ----------
    container, variable
        The file, and the field in it.
    time
        Position of its time dimension.
    first_month
        Month of the first step; the axis is not read then and steps are months in a row.

    Raises
    ------
    FieldTimeError
        If there is no time axis, or it cannot be understood.
    """
    n_steps, dim = variable.shape[time], variable.dims[time]
    if first_month is not None:
        return first_month + np.arange(n_steps)
    axis = _axis(container, dim, n_steps)
    try:
        months = _stamped(container, axis)
        if not ((months >= _EARLIEST) & (months < _LATEST)).all():
            raise ValueError(f"years from {months.min()} to {months.max()}")
    except (ValueError, TypeError, OverflowError, RefusedFileError) as error:
        shown = " ".join(str(error).split())[:200]
        raise FieldTimeError(
            f"The time axis {axis.name} cannot be understood.",
            found=shown,
            expected="days (or another unit) since a date, decimal years, YYYYMM, YYYYMMDD, or "
            "texts like 2001-01 or 2001-01-15",
            remedy="Correct the file, or say the month of its first step: --first-month YYYY-MM.",
        ) from error
    return months


def in_order(months: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all months from the first to the last, and the position of each, -1 if it is missing.

    Raises
    ------
    DuplicateMonthsError
        If a month occurs more than once; the message names them.
    MissingMonthsError
        If more than `MOST_MISSING` are not there; the message names them.
    """
    counts = Counter(months.tolist())
    twice = sorted(month for month, count in counts.items() if count > 1)
    if twice:
        named = np.array(twice, dtype="datetime64[M]")
        raise DuplicateMonthsError(
            "Some months occur more than once.",
            found=f"{len(months)} steps, more than one for {listed(named)}",
            expected="one step for each month",
            remedy="Make monthly means first (cdo monmean), or take the repeated steps out.",
        )
    wanted = np.arange(months.min(), months.max() + 1)
    _refuse_many_missing(wanted, np.isin(wanted, months))
    positions = np.full(len(wanted), -1)
    positions[(months - wanted[0]).astype(int)] = np.arange(len(months))
    return wanted, positions


def _refuse_many_missing(months: np.ndarray, there: np.ndarray) -> None:
    missing = months[~there]
    if len(missing) > MOST_MISSING * len(months):
        raise MissingMonthsError(
            "Many months are missing.",
            found=f"{len(months) - len(missing)} months from {months[0]} to {months[-1]}, "
            f"without {listed(missing)}",
            expected=f"{len(months)} months, at most {MOST_MISSING:.0%} of them missing",
            remedy="Add the missing months, or give a file that begins after them.",
        )


def without_empty_ends(months: np.ndarray, counts: np.ndarray) -> slice:
    """Return the part from the first to the last month that has values.

    Parameters
    ----------
    months
        All months, in order.
    counts
        Number of values in each.

    Raises
    ------
    MissingMonthsError
        If more than `MOST_MISSING` of this part have no value at all.
    """
    there = np.flatnonzero(counts)
    if not there.size:
        return slice(0, 0)
    part = slice(int(there[0]), int(there[-1]) + 1)
    _refuse_many_missing(months[part], counts[part] > 0)
    return part


def _axis(container: Container, dim: str, n_steps: int) -> RawVariable:
    along = [
        v
        for v in container.variables.values()
        if v.dims[:1] == (dim,)
        and v.shape[:1] == (n_steps,)
        and len(v.shape) == (2 if v.dtype == np.dtype("S1") else 1)
        and n_steps <= _MOST_TIMES
    ]
    own = [v for v in along if v.name == dim]
    told = [v for v in along if _SINCE.match(str(v.attributes.get("units", "")))]
    named = [v for v in along if v.name.rsplit("/", 1)[-1].lower() in ("time", "date", "yyyymm")]
    best = own or told or named
    if not best:
        raise FieldTimeError(
            "The file has no time axis.",
            found=f"no variable along {dim} ({n_steps} steps)",
            expected="a variable that says the month of each step",
            remedy="Say the month of the first step: --first-month YYYY-MM.",
        )
    return best[0]


def _stamped(container: Container, axis: RawVariable) -> np.ndarray:
    """Return the months of times; of the middle of their bounds, where these lie beside them."""
    if axis.dtype.kind in "SUOT":
        return _of_texts(axis.texts())
    if axis.dtype.kind not in "fiu":
        raise ValueError(f"values of the type {axis.dtype}")
    units = str(axis.attributes.get("units", ""))
    calendar = str(axis.attributes.get("calendar", "standard")).lower()
    values = decoded(axis, axis.values())
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} times are missing")
    months = _months(values + _rounding(axis.dtype, values), units, calendar)
    bounds = container.variables.get(str(axis.attributes.get("bounds", "")))
    if bounds is None or bounds.shape != (*axis.shape, 2) or bounds.dtype.kind not in "fiu":
        return months
    middle = decoded(bounds, bounds.values()).mean(axis=1)
    if not np.isfinite(middle).all():
        return months
    units = str(bounds.attributes.get("units", units))
    middles = _months(middle, units, str(bounds.attributes.get("calendar", calendar)).lower())
    return middles if (np.abs((middles - months).astype(int)) <= 1).all() else months


def _rounding(dtype: np.dtype, values: np.ndarray) -> float:
    """Return how much a time of this precision may lie before the midnight that it means."""
    return float(np.spacing(np.abs(values).max().astype(dtype))) if dtype.kind == "f" else 0.0


def _months(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    if _SINCE.match(units):
        return months_since(values, units, calendar)
    return _written_out(values, units)


def _of_texts(texts: list[str]) -> np.ndarray:
    """Return months of dates that begin with year and month, with or without a mark between."""
    dates = [_DATE.match(text) for text in texts]
    named = [f"{date[1]}-{int(date[2] or date[3]):02d}" for date in dates if date is not None]
    if len(named) < len(texts):
        raise ValueError(f"texts {texts[:3]}")
    return np.array(named, dtype="datetime64[M]")


def _written_out(values: np.ndarray, units: str) -> np.ndarray:
    """Return months that are written as YYYYMM, YYYYMMDD or decimal years."""
    whole = np.floor(values + 1e-6)
    for digits in (6, 8):
        years, rest = np.divmod(whole, 10 ** (digits - 4))
        calendar = rest if digits == 6 else rest // 100
        if ((years >= 1) & (years <= 9999) & (calendar >= 1) & (calendar <= 12)).all() and (
            whole >= 10 ** (digits - 1)
        ).all():
            numbers = (years.astype(int) - 1970) * 12 + calendar.astype(int) - 1
            return numbers.astype("datetime64[M]")
    years = np.floor(values)
    if ((values > 1500) & (values < 2500)).all() and (values != years).any():
        numbers = (years.astype(int) - 1970) * 12 + np.floor((values - years) * 12 + 1e-3)
        return numbers.astype(int).astype("datetime64[M]")
    raise ValueError(f"values {values[:3].tolist()} with units {units!r}")


def listed(months: np.ndarray) -> str:
    """Return months for a message, the first eight by name."""
    more = f" and {len(months) - 8} more" if len(months) > 8 else ""
    return ", ".join(str(month) for month in months[:8]) + more
