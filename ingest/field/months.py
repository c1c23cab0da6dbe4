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

_MOST_TIMES = 100_000
_SINCE = re.compile(r"^\s*\w+\s+since\s+", re.IGNORECASE)


def months_of(
    container: Container, variable: RawVariable, time: int, first_month: Month | None = None
) -> np.ndarray:
    """Return the month of each step, datetime64[M] (time,), in the file's order.

    Understood are times since a date in any calendar, months and years since a date, YYYYMM and
    YYYYMMDD as numbers, and decimal years. Where the axis has bounds, their middle counts: some
    stamp a month at its end.

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
        values, units, calendar = _stated(container, axis)
        months = _months(values, units, calendar)
    except (ValueError, TypeError, OverflowError, RefusedFileError) as error:
        shown = " ".join(str(error).split())[:200]
        raise FieldTimeError(
            f"The time axis {axis.name} cannot be understood.",
            found=shown,
            expected="days (or another unit) since a date, YYYYMM, YYYYMMDD, or decimal years",
            remedy="Correct the file, or say the month of its first step: --first-month YYYY-MM.",
        ) from error
    return months


def in_order(months: np.ndarray) -> np.ndarray:
    """Return the positions that put months in order, every month once and none left out.

    Raises
    ------
    DuplicateMonthsError
        If a month occurs more than once; the message names them.
    MissingMonthsError
        If one between the first and last is not there; the message names them.
    """
    counts = Counter(months.tolist())
    twice = sorted(month for month, count in counts.items() if count > 1)
    if twice:
        named = np.array(twice, dtype="datetime64[M]")
        raise DuplicateMonthsError(
            "Some months occur more than once.",
            found=f"{len(months)} steps, more than one for {_listed(named)}",
            expected="one step for each month",
            remedy="Make monthly means first (cdo monmean), or take the repeated steps out.",
        )
    order = np.argsort(months)
    _require_gapless(months[order])
    return order


def _require_gapless(months: np.ndarray) -> None:
    wanted = np.arange(months[0], months[-1] + 1)
    missing = np.setdiff1d(wanted, months)
    if missing.size:
        raise MissingMonthsError(
            "Some months are missing.",
            found=f"{len(months)} months from {months[0]} to {months[-1]}, "
            f"without {_listed(missing)}",
            expected=f"all {len(wanted)} months",
            remedy="Add the missing months, or give a file that begins after them.",
        )


def refuse_empty_months(months: np.ndarray, counts: np.ndarray) -> slice:
    """Return the part that has values: months at either end may be empty, none in between.

    Parameters
    ----------
    months
        All months, in order.
    counts
        Number of values in each.

    Raises
    ------
    MissingMonthsError
        If a month between others has no value at all.
    """
    there = np.flatnonzero(counts)
    if there.size:
        part = slice(int(there[0]), int(there[-1]) + 1)
        kept = months[part]
        _require_gapless(kept[counts[part] > 0])
        return part
    return slice(0, 0)


def _axis(container: Container, dim: str, n_steps: int) -> RawVariable:
    along = [
        v
        for v in container.variables.values()
        if v.dims == (dim,) and v.shape == (n_steps,) and n_steps <= _MOST_TIMES
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


def _stated(container: Container, axis: RawVariable) -> tuple[np.ndarray, str, str]:
    """Return times, their units and calendar; the middle of bounds where there are any."""
    if axis.dtype.kind not in "fiu":
        raise ValueError(f"values of the type {axis.dtype}")
    units = str(axis.attributes.get("units", ""))
    calendar = str(axis.attributes.get("calendar", "standard")).lower()
    values = decoded(axis, axis.values())
    bounds = container.variables.get(str(axis.attributes.get("bounds", "")))
    if bounds is not None and bounds.shape == (*axis.shape, 2) and bounds.dtype.kind in "fiu":
        middle = decoded(bounds, bounds.values()).mean(axis=1)
        if np.isfinite(middle).all():
            values = middle
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} times are missing")
    return values, units, calendar


def _months(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    if _SINCE.match(units):
        return months_since(values, units, calendar)
    return _written_out(values, units)


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


def _listed(months: np.ndarray) -> str:
    """Return months for a message, the first eight by name."""
    more = f" and {len(months) - 8} more" if len(months) > 8 else ""
    return ", ".join(str(month) for month in months[:8]) + more
