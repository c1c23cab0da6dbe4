"""File names of a product: a pattern that says which month a file is of."""

import datetime as dt
import re
from functools import cached_property

from storage.months import Month, first_day, month

_PLACEHOLDERS = {
    "year": r"\d{4}",
    "month": r"0[1-9]|1[0-2]",
    "doy": r"0[0-9]{2}|[12][0-9]{2}|3[0-5][0-9]|36[0-6]",
}
_NEEDED: dict[str, tuple[set[str], ...]] = {
    "month": ({"year", "month"}, {"year", "doy"}),
    "year": ({"year"},),
    "series": (set(),),
    "climatology": ({"month"}, set()),
}


class FileNames:
    """The names of a product's files.

    Parameters
    ----------
    pattern
        A file name with ``{year}``, ``{month}`` and ``{doy}`` (day of the year on which the month
        begins), and ``*`` for what varies. A placeholder that occurs again repeats its value.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def check(self, holds: str, *, dated: bool) -> None:
        """Raise ValueError if the pattern does not say what files of this kind have to say."""
        unknown = set(re.findall(r"\{(.*?)\}", self.pattern)) - set(_PLACEHOLDERS)
        if unknown:
            raise ValueError(f"{self.pattern}: {{{unknown.pop()}}} is no placeholder")
        if dated and self._said not in _NEEDED[holds]:
            ways = " or ".join(_in_words(need) for need in _NEEDED[holds])
            raise ValueError(f"{self.pattern} must contain {ways} (holds: {holds})")

    def match(self, file_name: str) -> re.Match[str] | None:
        """Return the match of a file name, with what its placeholders are."""
        return self._expression.fullmatch(file_name)

    def month_of(self, file_name: str) -> Month | None:
        """Return the month that a file name says; None if it does not say one."""
        match = self.match(file_name)
        if match is None:
            return None
        said = match.groupdict()
        if "year" in said and "month" in said:
            return month(f"{said['year']}-{said['month']}")
        if "year" in said and "doy" in said:
            day = dt.date(int(said["year"]), 1, 1) + dt.timedelta(int(said["doy"]) - 1)
            # A day in the middle of a month names a period that is not that month.
            return month(day) if day.day == 1 and day.year == int(said["year"]) else None
        return None

    def allows(self, file_name: str, wanted: Month) -> bool:
        """Return whether nothing in a file name speaks against a month."""
        match = self.match(file_name)
        if match is None:
            return False
        year, number = str(wanted).split("-")
        said = match.groupdict()
        return said.get("year", year) == year and said.get("month", number) == number

    def file_name(self, wanted: Month) -> str:
        """Return the name of a month's file; a * in it stays."""
        year, number = str(wanted).split("-")
        day = first_day(wanted).timetuple().tm_yday
        values = {"year": year, "month": number, "doy": f"{day:03d}"}
        return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], self.pattern)

    @property
    def _said(self) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", self.pattern))

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        text = ""
        seen: set[str] = set()
        for part in re.split(r"(\{\w+\}|\*)", self.pattern):
            name = part.strip("{}")
            if part == "*":
                text += ".*"
            elif part.startswith("{") and name in seen:
                text += f"(?P={name})"
            elif part.startswith("{"):
                seen.add(name)
                text += f"(?P<{name}>{_PLACEHOLDERS.get(name, '.*?')})"
            else:
                text += re.escape(part)
        return re.compile(text)


def _in_words(placeholders: set[str]) -> str:
    names = sorted(placeholders, reverse=True)
    return " and ".join(f"{{{name}}}" for name in names) or "no placeholder"
