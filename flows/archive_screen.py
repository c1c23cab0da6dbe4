"""What ``tidenet reproduce`` and ``tidenet audit`` print."""

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from flows.screen import CONSOLE, UNITS, say

if TYPE_CHECKING:
    from flows.operations.audit import Audited
    from flows.operations.reproduce import Reproduction


def print_reproduction(result: "Reproduction") -> None:
    """Say whether the same came out; if not, where it differs and what has changed since."""
    run = result.run
    if result.identical:
        say(f"Identical: run {run.id} (init {run.init_month}, {run.model_version}), bit by bit.")
    elif result.fields == "missing" and not result.differences:
        say(
            f"Identical rows, but the gridded fields of run {run.id} are gone: "
            "tidenet audit --fix puts them back."
        )
    else:
        verdict = "within 1e-4" if result.within_tolerance else "DIFFERENT"
        say(f"{verdict}: run {run.id} (init {run.init_month}, {run.model_version}).")
        table = Table(
            *("what", "values that differ", f"largest ({UNITS})", "where", "small"),
            header_style="bold",
        )
        for one in result.differences:
            share = f"{one.n_different} of {one.n_values}"
            small = "yes" if one.within else "no"
            table.add_row(one.what, share, f"{one.largest:.3g}", one.where, small)
        CONSOLE.print(table)
    if result.environment:
        changed = Table("environment", "then", "now", header_style="bold")
        for row in result.environment:
            changed.add_row(*(escape(text) for text in row))
        CONSOLE.print(changed)
    elif not result.identical:
        say("Nothing that was recorded of the environment has changed.")


def print_audit(audited: "Audited") -> None:
    """Print what is not as it should be, and what to do about each."""
    seen = f"{audited.n_runs} runs, {audited.n_models} models, {audited.n_groups} groups of fields"
    if not audited.findings:
        say(f"Everything is in order: {seen}.")
        return
    say(f"{len(audited.findings)} findings in {seen}.")
    table = Table("kind", "concerns", "found", "what to do", header_style="bold")
    for one in audited.findings:
        done = f"[green]{escape(one.mended)}[/]" if one.mended else escape(one.remedy)
        table.add_row(one.kind, escape(one.subject), escape(one.found), done)
    CONSOLE.print(table)
