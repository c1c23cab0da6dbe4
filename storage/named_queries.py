"""Questions to the archive that have a name: each is one SQL file in ``storage/queries``.

A file begins with comments: the question, what to know about the answer, and a line for each
parameter, ``-- :name kind = default (meaning)``. Values are bound, never pasted into the SQL.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, Date, Double, Engine, Integer, Text, bindparam, text
from sqlalchemy.types import TypeEngine

from storage import tables as t
from storage.column_types import MonthDate, UtcDateTime
from storage.database import reading
from storage.errors import TidenetError
from storage.months import first_day, month
from storage.views import VIEWS

FOLDER = Path(__file__).parent / "queries"

_PARAMETER = re.compile(r"-- :(\w+) (\w+)(?: = (\S+))? \((.+)\)")


class UnknownQueryError(TidenetError):
    """There is no named query of this name."""


class InvalidParameterError(TidenetError):
    """A query's parameters are unknown, missing or no values of their kind."""


def _parse_text(value: str) -> str:
    return value


def _parse_month(value: str) -> dt.date:
    return first_day(month(value))


def _parse_time(value: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


KINDS: Mapping[str, tuple[Callable[[str], Any], TypeEngine[Any], str]] = {
    "text": (_parse_text, Text(), "a text"),
    "integer": (int, Integer(), "a whole number"),
    "number": (float, Double(), "a number"),
    "month": (_parse_month, Date(), "a month such as 2018-07"),
    "time": (_parse_time, UtcDateTime(), "a time such as 2018-07-31T12:00 (UTC)"),
}
"""Kind of a parameter, how it is read, its type in SQL and what it is called for people."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query.

    Parameters
    ----------
    name, kind, meaning
        Its name, one of `KINDS`, and what it means.
    default
        As text; None if it has to be given.
    """

    name: str
    kind: str
    meaning: str
    default: str | None

    def value(self, given: object) -> Any:
        """Return the value of a given text, or of the default where None is given."""
        said = self.default if given is None else str(given)
        if said is None or said == "null":
            return None
        parse, _, _ = KINDS[self.kind]
        return parse(said)


@dataclass(frozen=True)
class NamedQuery:
    """A question to the archive.

    Parameters
    ----------
    name
        How it is asked for.
    question, about
        What it answers, and what to know about the answer.
    parameters
        Its parameters.
    statement
        SQL that both databases understand, with ``:name`` for a parameter.
    """

    name: str
    question: str
    about: str
    parameters: tuple[Parameter, ...]
    statement: str


@dataclass(frozen=True)
class Answer:
    """The rows that a query returned.

    Parameters
    ----------
    columns
        Their names.
    rows
        Values in this order: numbers, texts, dates, aware times, booleans and None.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@cache
def named_queries() -> Mapping[str, NamedQuery]:
    """Return all named queries by name."""
    return {path.stem: _read(path) for path in sorted(FOLDER.glob("*.sql"))}


def named_query(name: str) -> NamedQuery:
    """Return a named query.

    Raises
    ------
    UnknownQueryError
        If there is none of this name; the message lists those that there are.
    """
    try:
        return named_queries()[name]
    except KeyError:
        raise UnknownQueryError(
            "There is no query of this name.",
            found=repr(name),
            expected=", ".join(named_queries()),
            remedy="Choose one of these, or write your own: tidenet sql 'SELECT ...'.",
        ) from None


def ask(engine: Engine, name: str, parameters: Mapping[str, object] | None = None) -> Answer:
    """Ask a named question in one read-only transaction.

    Parameters
    ----------
    engine
        The archive database.
    name
        Name of the query.
    parameters
        Values by name: texts as on the command line, or numbers, dates, times; those that are not
        given have their defaults.

    Raises
    ------
    UnknownQueryError
        If there is no such query.
    InvalidParameterError
        If a parameter is unknown, missing or no value of its kind; all of them are listed.
    """
    query = named_query(name)
    values = bind(query, parameters or {})
    binds = [bindparam(p.name, type_=KINDS[p.kind][1]) for p in query.parameters]
    with reading(engine) as connection:
        result = connection.execute(text(query.statement).bindparams(*binds), values)
        columns = tuple(result.keys())
        kinds = [_column_type(column) for column in columns]
        rows = tuple(
            tuple(_plain(value, kind) for value, kind in zip(row, kinds, strict=True))
            for row in result
        )
    return Answer(columns, rows)


def bind(query: NamedQuery, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the value of every parameter of a query. Raises InvalidParameterError as `ask`."""
    known = {parameter.name: parameter for parameter in query.parameters}
    wrong = [f"no parameter {name!r}" for name in given if name not in known]
    values = {}
    for name, parameter in known.items():
        if given.get(name) is None and parameter.default is None:
            wrong.append(f"{name} is missing")
            continue
        try:
            values[name] = parameter.value(given.get(name))
        except (ValueError, TidenetError):
            wrong.append(f"{name} is {str(given[name])[:40]!r}, not {KINDS[parameter.kind][2]}")
    if wrong:
        takes = ", ".join(f"{p.name} ({KINDS[p.kind][2]})" for p in query.parameters)
        raise InvalidParameterError(
            f"The query {query.name} cannot be asked so.",
            found="; ".join(wrong),
            expected=takes or "no parameters",
            remedy=f"It is told by `tidenet query {query.name} --sql`.",
        )
    return values


def _read(path: Path) -> NamedQuery:
    lines = path.read_text(encoding="utf-8").splitlines()
    n = next(i for i, line in enumerate(lines) if not line.startswith("--"))
    found = [_PARAMETER.fullmatch(line) for line in lines[:n]]
    words = [
        line.removeprefix("-- ")
        for line, match in zip(lines[:n], found, strict=True)
        if match is None
    ]
    return NamedQuery(
        name=path.stem,
        question=words[0],
        about=" ".join(words[1:]),
        parameters=tuple(Parameter(m[1], m[2], m[4], m[3]) for m in found if m is not None),
        statement="\n".join(lines[n:]),
    )


@cache
def _column_types() -> Mapping[str, TypeEngine[Any]]:
    tables = [*t.Table.metadata.tables.values(), *VIEWS.tables.values()]
    return {column.name: column.type for table in tables for column in table.columns}


def _column_type(name: str) -> TypeEngine[Any] | None:
    return _column_types().get(name)


def _plain(value: Any, kind: TypeEngine[Any] | None) -> Any:
    """Return what a column holds as both databases have it: SQLite gives dates as text."""
    if isinstance(value, str) and isinstance(kind, MonthDate):
        return dt.date.fromisoformat(value)
    if isinstance(value, str) and isinstance(kind, UtcDateTime):
        return dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)
    if isinstance(value, str) and isinstance(kind, JSON):
        return json.loads(value)
    if isinstance(value, int) and isinstance(kind, Boolean):
        return bool(value)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC)
    if hasattr(value, "as_tuple"):  # PostgreSQL's sums and averages of integers are decimals
        return float(value)
    return value
