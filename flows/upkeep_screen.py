"""What the commands for upkeep and deployment print."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from flows.screen import CONSOLE, say

if TYPE_CHECKING:
    from flows.changes import Change
    from flows.operations.maintain import Maintained
    from storage.backup import Manifest


def print_changes(changes: "Sequence[Change]") -> None:
    """Print what registering with Prefect changed, then how much was as it should be."""
    same = [change for change in changes if change.done == "unchanged" and not change.details]
    for change in changes:
        if change not in same:
            details = f": {escape(change.details)}" if change.details else ""
            CONSOLE.print(f"{change.done:>10}  {change.kind} [bold]{change.name}[/]{details}")
    if same:
        say(f"{len(same)} unchanged.")


def print_maintained(done: "Maintained") -> None:
    """Print what the upkeep did, step by step."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", justify="right")
    grid.add_column()
    expired, collected, audited = done.expired, done.collected, done.audited
    grid.add_row("snapshots", f"{expired.n_expired} expired, {expired.n_kept} referred to and kept")
    grid.add_row("garbage", f"{collected.n_bytes / 1e6:.1f} MB in {collected.n_chunks} chunks")
    grid.add_row("audit", f"{audited.n_runs} runs, {audited.n_models} models looked at")
    for finding in audited.findings:
        text = f"{finding.subject}: {finding.found} {finding.remedy}"
        grid.add_row("found", f"[yellow]{escape(text)}[/]")
    for note in done.notes:
        grid.add_row("note", f"[yellow]{escape(note)}[/]")
    size = f"{done.backup.size_bytes / 1e6:.1f} MB, {sum(done.backup.rows.values())} rows"
    grid.add_row("backup", f"{done.backup.name}: {size}")
    CONSOLE.print(grid, highlight=False)


def print_backups(backups: "Sequence[Manifest]") -> None:
    """Print the backups that there are, oldest first."""
    table = Table("name", "made", "tables", "MB", "rows", header_style="bold")
    for one in backups:
        rows = str(sum(one.rows.values()))
        table.add_row(
            one.name, one.created_at[:16], one.revision, f"{one.size_bytes / 1e6:.1f}", rows
        )
    CONSOLE.print(table)
