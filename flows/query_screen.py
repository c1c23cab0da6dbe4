"""What ``tidenet query`` prints."""

import csv
import datetime as dt
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from flows.screen import CONSOLE, print_rows, say

if TYPE_CHECKING:
    from storage.named_queries import Answer, NamedQuery


def print_queries(queries: "Iterable[NamedQuery]") -> None:
    """List the named queries with what each answers and what it asks for."""
    table = Table("query", "answers", "options (default)", header_style="bold")
    for query in queries:
        options = ", ".join(
            f"--{p.name.replace('_', '-')} ({'required' if p.default is None else p.default})"
            for p in query.parameters
        )
        table.add_row(query.name, escape(query.question), escape(options.replace("null", "none")))
    CONSOLE.print(table)


def print_query(query: "NamedQuery") -> None:
    """Print a query: question, parameters and SQL."""
    say(f"{query.question}\n{query.about}\n")
    for parameter in query.parameters:
        default = "required" if parameter.default is None else f"default {parameter.default}"
        say(f"  --{parameter.name.replace('_', '-')}: {parameter.meaning} ({default})")
    say(f"{query.statement}")


def print_answer(answer: "Answer", form: str) -> None:
    """Print rows as a table for people, or as CSV or JSON (an array of objects) for programs."""
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([_for_csv(value) for value in row] for row in answer.rows)
    elif form == "json":
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        sys.stdout.write(json.dumps(rows, indent=2, default=_text) + "\n")
    elif answer.rows:
        print_rows(answer.columns, [[_for_table(value) for value in row] for row in answer.rows])
    else:
        say("No rows.")


def _for_csv(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else _dated(value)


def _for_table(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def _dated(value: Any) -> Any:
    return _text(value) if isinstance(value, dt.date | dt.datetime) else value


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
