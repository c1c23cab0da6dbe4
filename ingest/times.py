"""Which month a file, or a step of its time axis, is of."""

import datetime as dt
from collections.abc import Sequence

import numpy as np

from ingest.container import Container, RawVariable
from ingest.decoding import decoded
from ingest.errors import (
    FutureMonthError,
    InvalidTimeError,
    ManyTimesError,
    TimeMismatchError,
)
from ingest.specification import ProductSpecification
from storage.months import Month, month

_MOST_TIMES = 100_000
# Calendars in which a month is the month that everybody means.
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")


def month_of_file(
    container: Container, specification: ProductSpecification, file_name: str, now: dt.datetime
) -> Month:
    """Return the month of a file that holds one.

    Raises
    ------
    InvalidTimeError, ManyTimesError, TimeMismatchError, FutureMonthError
        If nothing says the month, or two say different ones, or it has not come yet.
    """
    named = specification.month_of(file_name)
    stated = None
    if specification.time in ("variable", "both"):
        times = stated_months(container, specification)
        if len(times) != 1:
            raise ManyTimesError(
                "The file does not hold exactly one month.",
                found=f"{len(times)} times",
                expected="1",
                remedy="Split it into one file a month, or write 'holds: series'.",
            )
        stated = times[0]
    if named is None and stated is None:
        raise InvalidTimeError(
            "Nothing says which month this is.",
            found=file_name,
            expected=specification.file_pattern,
            remedy="Give the file the name that the specification expects.",
        )
    if specification.time == "both" and named is not None and stated != named:
        raise TimeMismatchError(
            "The file's name and its time variable disagree.",
            found=f"name {named}, time {stated}",
            expected="the same month in both",
            remedy="Ask the provider which one is right.",
        )
    wanted = stated if specification.time == "variable" or named is None else named
    assert wanted is not None
    refuse_future(wanted, now)
    return wanted


def refuse_future(wanted: Month, now: dt.datetime) -> None:
    """Refuse a month that has not begun. Raises FutureMonthError."""
    if wanted > month(now.date()):
        raise FutureMonthError(
            f"{wanted} has not begun yet.",
            found=str(wanted),
            expected=f"a month up to {month(now.date())}",
            remedy="Check the year in the file's name, and this machine's clock.",
        )


def stated_months(container: Container, specification: ProductSpecification) -> Sequence[Month]:
    """Return the months of a file's time axis, in its order.

    Raises
    ------
    InvalidTimeError
        If there is no time variable, or it cannot be understood.
    """
    name = next((n for n in specification.time_names if n in container.variables), None)
    if name is None:
        raise InvalidTimeError(
            "The file has no time variable.",
            found=", ".join(container.variables) or "no variables",
            expected=" or ".join(specification.time_names),
            remedy="If the name alone says the month, write 'time: name' in the specification.",
        )
    variable = container.variables[name]
    if variable.size > _MOST_TIMES:
        raise ManyTimesError(
            "The time variable claims to hold more steps than any record of months.",
            found=f"{variable.size} times",
            expected=f"at most {_MOST_TIMES}",
            remedy="Ask the provider for a correct file.",
        )
    return months_of_axis(variable)


def months_of_axis(variable: RawVariable) -> list[Month]:
    """Return the months of a time variable, in its order. Raises InvalidTimeError."""
    import xarray as xr

    numbers = variable.dtype.kind in "iuf"
    values = decoded(variable, variable.values()).ravel() if numbers else np.array([np.nan])
    keys = ("units", "calendar")
    attributes = {key: variable.attributes[key] for key in keys if key in variable.attributes}
    calendar = str(attributes.get("calendar", "standard")).lower()
    try:
        if calendar not in _CALENDARS:
            raise ValueError(f"the calendar {calendar!r} has other months")
        if not np.isfinite(values).all():
            raise ValueError("a missing time" if numbers else f"type {variable.dtype}")
        dataset = xr.decode_cf(xr.Dataset({"time": ("time", values, attributes)}))
        return [_month(value) for value in dataset["time"].values]
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        shown = values[:1].tolist()
        raise InvalidTimeError(
            "The time variable cannot be understood.",
            found=f"{shown} in {attributes.get('units')!r}, calendar {calendar!r} "
            f"({' '.join(str(error).split())[:120]})",
            expected="days, hours or seconds since a date, in the standard calendar",
            remedy="Ask the provider, or write 'time: name' in the specification.",
        ) from error


def _month(value: object) -> Month:
    # Dates outside the range of nanoseconds come as objects with a calendar.
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return month(np.datetime64(text))
