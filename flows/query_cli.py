"""``tidenet query``: the archive's named questions, answered as a table, CSV or JSON."""

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import named_errors, workspace_of

if TYPE_CHECKING:
    from collections.abc import Iterable

OPEN_ENDED = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of the command: a query's own parameters are options that typer does not know."""


class Format(enum.StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@named_errors
def query(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Name of the query; without one they are listed.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the rows.")] = Format.TABLE,
    sql: Annotated[
        bool, typer.Option("--sql", help="Show the question, its parameters and its SQL instead.")
    ] = False,
) -> None:
    """Answer a named question; its parameters are options: query forecast --region yellow-sea."""
    from flows.query_screen import print_answer, print_queries, print_query
    from storage.named_queries import ask, named_queries, named_query

    if name is None:
        print_queries(named_queries().values())
    elif sql:
        print_query(named_query(name))
    else:
        given = read_options(context.args)
        print_answer(ask(workspace_of(context).engine, name, given), form)


def read_options(arguments: "Iterable[str]") -> dict[str, str]:
    """Return ``--region all --lead-months=4`` as names and values.

    Raises
    ------
    typer.BadParameter
        If it is not a list of options, each with its value.
    """
    values: dict[str, str] = {}
    waiting: str | None = None
    for argument in arguments:
        if waiting is not None:
            values[waiting], waiting = argument, None
        elif argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            key = name.replace("-", "_")
            if equals:
                values[key] = value
            else:
                waiting = key
        else:
            raise typer.BadParameter(f"{argument!r} belongs to no option.")
    if waiting is not None:
        raise typer.BadParameter(f"--{waiting.replace('_', '-')} has no value.")
    return values
