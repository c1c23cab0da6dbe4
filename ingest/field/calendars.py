"""Months of times since a date, in the calendars of the CF conventions."""

import re

import numpy as np

from storage.months import month

_UNITS = {
    "days": ("day", "days", "d"),
    "hours": ("hour", "hours", "hr", "hrs", "h"),
    "minutes": ("minute", "minutes", "min", "mins"),
    "seconds": ("second", "seconds", "sec", "secs", "s"),
    "milliseconds": ("millisecond", "milliseconds", "msec", "msecs", "ms"),
    "microseconds": ("microsecond", "microseconds", "us"),
    "nanoseconds": ("nanosecond", "nanoseconds", "ns"),
    "weeks": ("week", "weeks"),
    "months": ("month", "months", "mon", "mons"),
    "years": ("year", "years", "yr", "yrs", "common_year", "common_years"),
}
_PER_DAY = {
    "days": 1.0,
    "hours": 24.0,
    "minutes": 1440.0,
    "seconds": 86400.0,
    "milliseconds": 86400e3,
    "microseconds": 86400e6,
    "nanoseconds": 86400e9,
    "weeks": 1 / 7,
}
_SINCE = re.compile(
    r"\s*(?P<unit>\w+)\s+since\s+(?P<year>-?\d{1,4})-(?P<month>\d{1,2})(-(?P<day>\d{1,2}))?"
    r"([T ]+(?P<hour>\d{1,2})(:(?P<minute>\d{1,2}))?)?",
    re.IGNORECASE,
)
_GREGORIAN = ("standard", "gregorian", "proleptic_gregorian", "")
_NO_LEAP = ("noleap", "365_day")
_ALL_LEAP = ("all_leap", "366_day")
_LENGTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_ADOPTED = (1582, 10, 15)
"""First day of the Gregorian calendar; the standard calendar is the Julian one before."""

_ROUNDING_DAYS = 1e-6
"""Sums of days and hours may lie a little before the midnight that they mean."""


def months_since(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    """Return the months of times since a date, datetime64[M] (time,).

    Parameters
    ----------
    values
        Numbers, float64 (time,).
    units
        ``days since 1950-01-01`` and the like.
    calendar
        A calendar of the CF conventions; empty for the standard one.

    Raises
    ------
    ValueError
        If units or calendar are not understood.
    """
    match = _SINCE.match(units)
    unit = None if match is None else _unit(match["unit"])
    if match is None or unit is None:
        raise ValueError(f"units {units!r}")
    start = int(match["year"]), int(match["month"]), int(match["day"] or 1)
    if not (1 <= start[1] <= 12 and 1 <= start[2] <= 31):
        raise ValueError(f"units {units!r}")
    if unit in ("months", "years"):
        steps = values * (12 if unit == "years" else 1)
        first = (start[0] - 1970) * 12 + start[1] - 1
        return _from_numbers(first + np.floor(steps + 1e-3))
    hours = int(match["hour"] or 0) + int(match["minute"] or 0) / 60
    days = np.floor(values / _PER_DAY[unit] + hours / 24 + _ROUNDING_DAYS)
    return _months_of_days(start, days, calendar)


def _unit(word: str) -> str | None:
    return next((unit for unit, words in _UNITS.items() if word.lower() in words), None)


def _months_of_days(start: tuple[int, int, int], days: np.ndarray, calendar: str) -> np.ndarray:
    """Return the month of each whole day after a first one."""
    year, month_number, day = start
    if calendar in _GREGORIAN:
        number = _day_number(start, mixed=calendar != "proleptic_gregorian") + days
        dates: np.ndarray = number.astype(int).astype("datetime64[D]").astype("datetime64[M]")
        return dates
    if calendar == "julian":
        number = _julian_day_number(*start) + days
        return np.array([_julian_month(int(n)) for n in number], dtype="datetime64[M]")
    if calendar == "360_day":
        number = (year * 12 + month_number - 1) * 30 + day - 1 + days
        return _from_numbers(number // 30 - 1970 * 12)
    if calendar in (*_NO_LEAP, *_ALL_LEAP):
        lengths = _LENGTHS + (np.arange(12) == 1) * (calendar in _ALL_LEAP)
        ends = np.cumsum(lengths)
        number = year * ends[-1] + ends[month_number - 1] - lengths[month_number - 1] + day - 1
        years, within = np.divmod(number + days, ends[-1])
        return _from_numbers((years - 1970) * 12 + np.searchsorted(ends, within, side="right"))
    raise ValueError(f"the calendar {calendar!r}")


def _from_numbers(numbers: np.ndarray) -> np.ndarray:
    if not (np.abs(numbers) < 12 * 10_000).all():
        raise ValueError("years that nobody has seen")
    months: np.ndarray = np.asarray(numbers).astype(int).astype("datetime64[M]")
    return months


def _day_number(start: tuple[int, int, int], *, mixed: bool) -> int:
    """Return the days from 1970-01-01 to a date; before 1582 in the Julian calendar if mixed."""
    if mixed and start < _ADOPTED:
        return _julian_day_number(*start)
    year, month_number, day = start
    first = (np.datetime64("1970-01", "M") + (year - 1970) * 12 + month_number - 1).astype(
        "datetime64[D]"
    )
    return int(first.astype(int)) + day - 1


_EPOCH_JULIAN_DAY = 2440588
"""Julian day number of 1970-01-01."""


def _julian_day_number(year: int, month_number: int, day: int) -> int:
    """Return the days from 1970-01-01 (Gregorian) to a date of the Julian calendar.

    The usual integer formula for Julian day numbers (Explanatory Supplement to the Astronomical
    Almanac, 1992, section 12.95).
    """
    shift = (14 - month_number) // 12
    y, m = year + 4800 - shift, month_number + 12 * shift - 3
    return day + (153 * m + 2) // 5 + 365 * y + y // 4 - 32083 - _EPOCH_JULIAN_DAY


def _julian_month(days: int) -> np.datetime64:
    """Return the month of the Julian calendar that a day after 1970-01-01 (Gregorian) lies in."""
    c = days + _EPOCH_JULIAN_DAY + 32082
    d = (4 * c + 3) // 1461
    m = (5 * (c - 1461 * d // 4) + 2) // 153
    return month(f"{d - 4800 + m // 10:04d}-{m + 3 - 12 * (m // 10):02d}")
