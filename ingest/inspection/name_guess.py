"""What a file's name says about its month, guessed: a pattern for a product specification."""

import re
from dataclasses import dataclass, field

from ingest.file_names import FileNames
from storage.months import Month

_YEAR = r"(?:19|20)\d{2}"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY_OF_YEAR = r"(?:00[1-9]|0[1-9]\d|[12]\d\d|3[0-5]\d|36[0-6])"

# What is replaced, in this order; the first that is found decides.
_FORMS = (
    # Time of a whole period by days of the year: S20080012008031.
    (rf"(?<!\d){_YEAR}{_DAY_OF_YEAR}{_YEAR}{_DAY_OF_YEAR}(?!\d)", "{year}{doy}*"),
    # First and last day of a month: 20080101_20080131.
    (
        rf"(?<!\d)({_YEAR}{_MONTH})01([-_.])\1(?:2[89]|3[01])(?!\d)",
        r"{year}{month}01\2{year}{month}*",
    ),
    (rf"(?<!\d){_YEAR}{_MONTH}(0[1-9]|[12]\d|3[01])(?!\d)", r"{year}{month}\1"),
    (rf"(?<!\d){_YEAR}{_MONTH}(?!\d)", "{year}{month}"),
    (rf"(?<!\d){_YEAR}([-_.]){_MONTH}(?!\d)", r"{year}\1{month}"),
    (rf"(?<!\d){_YEAR}(?!\d)", "{year}"),
)


@dataclass(frozen=True)
class NameGuess:
    """What a file name seems to say.

    Parameters
    ----------
    pattern
        The name with placeholders.
    month
        The month it says; None if none, or only a year or a calendar month.
    doubts
        What a person has to look at.
    """

    pattern: str
    month: Month | None
    doubts: tuple[str, ...] = field(default=())

    @property
    def says(self) -> set[str]:
        """Its placeholders."""
        return set(re.findall(r"\{(\w+)\}", self.pattern))


def guess_name(file_name: str) -> NameGuess:
    """Return what the name of a file seems to say about its month.

    Long runs of digits besides the month, as of dates of creation, become ``*``.
    """
    for expression, placeholders in _FORMS:
        matches = list(re.finditer(expression, file_name))
        if not matches:
            continue
        first = matches[0]
        pattern = _rest(file_name[: first.start()]) + first.expand(placeholders)
        pattern += _rest(file_name[first.end() :])
        doubts = []
        if len(matches) > 1:
            others = ", ".join(match[0] for match in matches[1:])
            doubts.append(f"the month is read from {first[0]}, not from {others}")
        month = FileNames(pattern).month_of(file_name)
        if month is None and placeholders != "{year}":
            continue
        return NameGuess(pattern, month, tuple(doubts))
    return NameGuess(_rest(file_name), None)


def guess_calendar_month(file_name: str) -> NameGuess | None:
    """Return what a name says that has the number of a calendar month, and no year."""
    matches = list(re.finditer(rf"(?<!\d){_MONTH}(?!\d)", file_name))
    if not matches:
        return None
    first = matches[0]
    pattern = file_name[: first.start()] + "{month}" + file_name[first.end() :]
    return NameGuess(pattern, None, (f"{first[0]} in the name is taken as the calendar month",))


def _rest(text: str) -> str:
    return re.sub(r"\d{6,}", "*", text)


def without_dates(file_name: str) -> str:
    """Return a pattern for the names of files that hold all months: ``*`` for every date."""
    return _rest(re.sub(rf"(?<!\d){_YEAR}(?:\d\d){{0,2}}(?!\d)", "*", file_name))
