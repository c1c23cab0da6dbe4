"""What people see on a terminal: tables, errors and one-line messages."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from flows.operations.forecast import MadeForecast
    from flows.operations.ingest import IngestedFile
    from flows.operations.status import Status
    from flows.operations.train import TrainedVersion
    from flows.operations.workspace import Workspace
    from storage.errors import TidenetError

CONSOLE = Console()
OUTCOME_STYLES = {"committed": "green", "revised": "cyan", "waiting": "yellow", "quarantined": "red"}
UNITS = "mmol m-2 d-1"


def say(text: str) -> None:
    """Print one message as it is."""
    CONSOLE.print(text, markup=False, highlight=False, soft_wrap=True)


def print_error(error: "TidenetError") -> None:
    """Print a named error: what went wrong, what was found and expected, what to do."""
    console = Console(stderr=True)
    console.print(f"[bold red]{type(error).__name__}[/]  {escape(error.message)}", highlight=False)
    for label, text in (
        ("found", error.found),
        ("expected", error.expected),
        ("what to do", error.remedy),
    ):
        if text:
            console.print(f"  [dim]{label:>10}[/]  {escape(text)}", highlight=False)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print the answer of a query as a table."""
    table = Table(*columns, header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else _short(value) for value in row))
    CONSOLE.print(table)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))


def print_ingested(files: "Sequence[IngestedFile]") -> None:
    """Print what became of each file that is not simply unchanged."""
    if not files:
        say("No product files found.")
        return
    changed = [file for file in files if file.outcome != "unchanged"]
    unchanged = len(files) - len(changed)
    committed = [file for file in changed if file.outcome in ("committed", "revised")]
    refused = [file for file in changed if file not in committed]
    if len(committed) > 1 and all(file.outcome == "committed" for file in committed):
        say(f"{len(committed)} months committed: {committed[0].month} to {committed[-1].month}.")
    else:
        for file in committed:
            say(f"{file.month} {file.outcome} from {file.file_name}: snapshot {file.snapshot_id}.")
    if unchanged:
        say(f"{unchanged} files unchanged.")
    for file in refused:
        style = OUTCOME_STYLES[file.outcome]
        CONSOLE.print(f"[{style}]{file.outcome}[/]  {escape(file.file_name)}", highlight=False)
        CONSOLE.print(f"  {escape(file.message)}", highlight=False, soft_wrap=True)


def print_trained(trained: "TrainedVersion") -> None:
    """Print a new model version and whether it became the champion."""
    say(f"Model version {trained.version} ({trained.duration_s:.0f} s).")
    say(trained.reason)


def print_forecast(workspace: "Workspace", run: "MadeForecast") -> None:
    """Print a run's regional forecast, read back from the archive."""
    from sqlalchemy import text

    state = "" if run.created else " (it existed already; --rerun makes another)"
    say(f"Run {run.run_id}{state}: {run.init_month} with {run.model_version}.")
    with workspace.engine.connect() as connection:
        answer = connection.execute(
            text(
                "SELECT lead_months, valid_month, mean, q05, q95, climatology, flux_tgc "
                "FROM regional_predictions WHERE run_id = :run AND region = 'all' "
                "ORDER BY lead_months"
            ),
            {"run": run.run_id},
        )
        rows = answer.fetchall()
    table = Table(
        *("lead", "month", "mean", "90 % interval", "climatology", "Tg C / month"),
        title=f"All ocean cells, {UNITS}, positive out of the sea",
        title_style="dim",
        header_style="bold",
    )
    for lead, valid, mean, low, high, climatology, integral in rows:
        interval = f"{low:+.2f} .. {high:+.2f}"
        table.add_row(
            str(lead), str(valid)[:7], f"{mean:+.2f}", interval, f"{climatology:+.2f}",
            f"{integral:+.3f}",
        )
    CONSOLE.print(table)
