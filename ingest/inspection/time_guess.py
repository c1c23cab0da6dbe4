"""How an unknown file says its month, guessed from its name, its time axis and its variables."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.container import Container, RawVariable
from ingest.errors import RefusedFileError
from ingest.inspection.name_guess import NameGuess, guess_calendar_month, guess_name, without_dates
from ingest.times import months_of_axis
from storage.months import Month, month

_DATED = re.compile(r"(?<!\d)((?:19|20)\d{2})(0[1-9]|1[0-2])(?!\d)")
_NO_MONTH = "2000-01"


@dataclass(frozen=True)
class TimeGuess:
    """How a file seems to say its month.

    Parameters
    ----------
    pattern
        Pattern of its name.
    holds, says
        What a file holds, and what says the month, as a specification has it.
    variable
        The time variable; None if there is none.
    fixed_month
        The month where nothing says one.
    month
        The month that the name says, for names of variables with a year in them.
    doubts, name_doubts
        What a person has to look at.
    """

    pattern: str
    holds: str = "month"
    says: str = "both"
    variable: str | None = None
    fixed_month: str | None = None
    month: Month | None = None
    dated_names: bool = False
    doubts: tuple[str, ...] = ()
    name_doubts: tuple[str, ...] = field(default=())

    def in_names(self, name: str) -> str:
        """Return a variable's name with placeholders for what changes from month to month."""
        if self.dated_names:
            return _DATED.sub("{year}{month}", name)
        if self.month is not None:
            year = re.escape(str(self.month)[:4])
            return re.sub(rf"(?<!\d){year}(?!\d)", "{year}", name)
        return name


def guess_time(container: Container, file_name: str, maps: Sequence[RawVariable]) -> TimeGuess:
    """Return how a file seems to say its month."""
    named = guess_name(file_name)
    dated = [f"{m[1]}-{m[2]}" for m in (_DATED.search(v.name) for v in maps) if m is not None]
    if dated:
        return _by_names_of_variables(file_name, named, [month(text) for text in dated])
    axis = _time_axis(container)
    name = None if axis is None else axis.name
    try:
        stated = None if axis is None else months_of_axis(axis)
    except RefusedFileError as error:
        said = error.found.partition(", calendar")[0]
        stated, trouble = None, f"the time variable says {said}"
    else:
        trouble = ""
    if stated is not None and len(stated) > 1:
        return _several(file_name, named, stated, name)
    if stated is not None and len(stated) == 1:
        if named.month is None:
            doubt = ("its name says no month: one file is taken to hold them all",)
            return TimeGuess(
                without_dates(file_name), "series", "variable", name, name_doubts=doubt
            )
        if named.month != stated[0]:
            trouble = f"the time variable says {stated[0]}"
    doubts = (trouble,) if trouble else ()
    if named.month is not None:
        says = "name" if trouble or stated is None else "both"
        return TimeGuess(
            named.pattern, "month", says, name, None, named.month, False, doubts, named.doubts
        )
    calendar = guess_calendar_month(file_name)
    if calendar is not None and named.says == set():
        return TimeGuess(
            calendar.pattern,
            "climatology",
            "name",
            name,
            doubts=doubts,
            name_doubts=calendar.doubts,
        )
    pattern = without_dates(file_name)
    return TimeGuess(pattern, "month", "fixed", name, _NO_MONTH, doubts=doubts)


def _by_names_of_variables(file_name: str, named: NameGuess, held: list[Month]) -> TimeGuess:
    """Return the guess where each month is a variable that is called after it."""
    years = {str(value)[:4] for value in held}
    if named.month is not None and set(held) == {named.month}:
        return TimeGuess(named.pattern, "month", "name", month=named.month, dated_names=True)
    if named.says == {"year"} and len(years) == 1:
        return TimeGuess(named.pattern, "year", "name", dated_names=True)
    return TimeGuess(without_dates(file_name), "series", "name", dated_names=True)


def _several(
    file_name: str, named: NameGuess, stated: Sequence[Month], name: str | None
) -> TimeGuess:
    years = {str(value)[:4] for value in stated}
    if named.says == {"year"} and len(years) == 1 and years.pop() in file_name:
        return TimeGuess(named.pattern, "year", "variable", name)
    return TimeGuess(without_dates(file_name), "series", "variable", name)


def _time_axis(container: Container) -> RawVariable | None:
    axes = [v for v in container.variables.values() if len(v.dims) <= 1 and v.dtype.kind in "iuf"]
    called = [v for v in axes if v.name.lower() in ("time", "t", "date")]
    since = [v for v in axes if " since " in str(v.attributes.get("units", ""))]
    return next(iter([*called, *since]), None)
