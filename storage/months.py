"""Months as values.

A month is a ``numpy.datetime64`` with unit ``M``: it adds and subtracts as an integer number of
months, sorts, hashes, and prints as ``2018-01``. In stores and tables it is its first day,
00:00 UTC.
"""

import datetime as dt
import re
from collections.abc import Iterable

import numpy as np

from storage.errors import InvalidMonthError

Month = np.datetime64

_PATTERN = re.compile(r"(\d{4})-(\d{2})(-\d{2})?")


def month(value: str | dt.date | np.datetime64) -> Month:
    """Return the month that a text (``2018-01``), date or datetime64 lies in.

    Raises
    ------
    InvalidMonthError
        If the text is not ``YYYY-MM`` or the month is not 01 to 12.
    """
    if isinstance(value, str):
        match = _PATTERN.fullmatch(value.strip())
        if match is None or not 1 <= int(match[2]) <= 12:
            raise InvalidMonthError(
                "This is not a month.",
                found=repr(value),
                expected="YYYY-MM, for example 2018-01",
                remedy="Write the year with four digits and the month with two.",
            )
        return np.datetime64(f"{match[1]}-{match[2]}", "M")
    if isinstance(value, dt.date):
        return np.datetime64(f"{value.year:04d}-{value.month:02d}", "M")
    return value.astype("datetime64[M]")


def first_day(value: Month) -> dt.date:
    """Return the first day of a month, the form kept in tables."""
    return value.astype("datetime64[D]").astype(object)


def calendar_month(value: Month) -> int:
    """Return the calendar month, 1 (January) to 12 (December)."""
    return int(value.astype("datetime64[M]").astype(int)) % 12 + 1


def calendar_months(values: Iterable[Month]) -> np.ndarray:
    """Return the calendar month, 1 to 12, of each month."""
    return np.asarray(list(values), dtype="datetime64[M]").astype(int) % 12 + 1


def days_in(value: Month) -> int:
    """Return the number of days of a month."""
    return int(((value + 1).astype("datetime64[D]") - value.astype("datetime64[D]")).astype(int))


def month_range(first: Month, last: Month) -> list[Month]:
    """Return every month from first to last, both included; empty if last is earlier."""
    return list(np.arange(month(first), month(last) + 1, dtype="datetime64[M]"))


def months_between(earlier: Month, later: Month) -> int:
    """Return how many months later the second month is than the first (negative if before)."""
    return int((month(later) - month(earlier)).astype(int))
