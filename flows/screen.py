"""What people see on a terminal: tables, errors and one-line messages."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from flows.operations.basis import RefreshedBasis
    from flows.operations.forecast import MadeForecast
    from flows.operations.handover import FittedHandOver
    from flows.operations.ingest import IngestedFile
    from flows.operations.status import Status
    from flows.operations.train import TrainedVersion
    from flows.operations.workspace import Workspace
    from storage.errors import TidenetError
    from storage.score_rows import SkillRow

CONSOLE = Console()
OUTCOME_STYLES = {
    "committed": "green",
    "revised": "cyan",
    "waiting": "yellow",
    "quarantined": "red",
}
UNITS = "mmol m-2 d-1"


def say(text: str) -> None:
    """Print one message as it is."""
    CONSOLE.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a progress bar on a terminal; nothing elsewhere (cron, pipes)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None, detail="")

        def show(done: int, total: int, detail: str) -> None:
            progress.update(task, completed=done, total=total, detail=detail)

        yield show


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
    """Print the answer of a query as a table, whole where nothing limits its width."""
    table = Table(*columns, header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else _short(value) for value in row))
    if CONSOLE.is_terminal:
        CONSOLE.print(table)
        return
    needed = CONSOLE.measure(table, options=CONSOLE.options.update(width=10_000)).maximum
    Console(width=max(CONSOLE.width, needed)).print(table)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))


def print_ingested(files: "Sequence[IngestedFile]") -> None:
    """Print what became of each file that is not simply unchanged."""
    if not files:
        say(
            "No files of this product lie in the landing zone (TIDENET_LANDING). "
            "What they must be called is in the product specification (file_pattern)."
        )
        return
    changed = [file for file in files if file.outcome != "unchanged"]
    unchanged = len(files) - len(changed)
    committed = [file for file in changed if file.outcome in ("committed", "revised")]
    kept = [file for file in changed if file.outcome == "kept"]
    refused = [file for file in changed if file not in committed and file not in kept]
    if len(committed) > 1 and all(file.outcome == "committed" for file in committed):
        say(f"{len(committed)} months committed: {committed[0].month} to {committed[-1].month}.")
    else:
        for file in committed:
            say(f"{file.month} {file.outcome} from {file.file_name}: snapshot {file.snapshot_id}.")
    if unchanged:
        say(f"{unchanged} files unchanged.")
    for message, same in groupby(kept, key=lambda file: file.message):
        say(f"{len(list(same))} months kept as they are. {message}")
    waiting = [file for file in refused if file.outcome == "waiting"]
    for file in [file for file in refused if file not in waiting]:
        style = OUTCOME_STYLES[file.outcome]
        CONSOLE.print(f"[{style}]{file.outcome}[/]  {escape(file.file_name)}", highlight=False)
        CONSOLE.print(f"  {escape(file.message)}", highlight=False, soft_wrap=True)
    if waiting:
        # They all wait for the same thing: the first one's message says it.
        names = waiting[0].file_name if len(waiting) == 1 else f"{len(waiting)} files"
        span = f"{waiting[0].month} to {waiting[-1].month}" if len(waiting) > 1 else ""
        CONSOLE.print(f"[yellow]waiting[/]  {escape(names)} {span}", highlight=False)
        CONSOLE.print(f"  {escape(waiting[0].message)}", highlight=False, soft_wrap=True)


def print_handover(fitted: "FittedHandOver") -> None:
    """Print what a new product is corrected with, by region."""
    correction = fitted.correction
    say(
        f"{correction.new_product} after {correction.old_product}: {correction.n_months} common "
        f"months, {correction.first_month} to {correction.last_month}. Root mean squared "
        f"difference {correction.rmse_before:.2f} before, {correction.rmse_after:.2f} after "
        f"({UNITS})."
    )
    table = Table(
        *("region", "scale", "shift in Jan, Apr, Jul, Oct", "residual"),
        title=f"corrected = scale x new + shift, {UNITS}",
        title_style="dim",
        header_style="bold",
    )
    for region, group in groupby(correction.terms, key=lambda term: term.region):
        terms = sorted(group, key=lambda term: term.calendar_month)
        shifts = " ".join(f"{t.offset:+.2f}" for t in terms if t.calendar_month % 3 == 1)
        residual = sum(term.residual for term in terms) / len(terms)
        table.add_row(region, f"{terms[0].scale:.3f}", shifts, f"{residual:.2f}")
    CONSOLE.print(table)
    for name, why in fitted.refused:
        say(f"{name} was not used: {why}")


def print_basis(basis: "RefreshedBasis") -> None:
    """Print a completion basis and how its rank was chosen."""
    say(
        f"Basis {basis.id}: {basis.rank} modes of {basis.first_month} to {basis.last_month}, "
        "used for later months."
    )
    table = Table(
        *("modes", f"RMSE of withheld cells ({UNITS})"), header_style="bold", title_style="dim"
    )
    for score in basis.scores:
        mark = " (chosen)" if score.rank == basis.rank else ""
        table.add_row(str(score.rank), f"{score.rmse:.3f}{mark}")
    CONSOLE.print(table)


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
                "SELECT lead_months, valid_month, mean, q05, q95, climatology, flux_tgc_mean "
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
            str(lead),
            str(valid)[:7],
            f"{mean:+.2f}",
            interval,
            f"{climatology:+.2f}",
            f"{integral:+.3f}",
        )
    CONSOLE.print(table)


def print_skill(rows: "Sequence[SkillRow]") -> None:
    """Print skill by lead, one table for each model and kind of forecast."""
    if not rows:
        say("No forecast has been scored yet: tidenet verify.")
        return
    for (model, kind), group in groupby(rows, key=lambda row: (row.model_version, row.issued_kind)):
        table = Table(
            *("lead", "clim.", "90 % of it", "damped", "pers.", "ACC", "CRPSS", "RMSE", "bias"),
            *("in90", "n"),
            title=f"{model}, {kind}, region {rows[0].region}\n"
            "MSSS against climatology (with 90 % interval), damped persistence and persistence: "
            f"1 perfect, 0 no better\nRMSE and bias in {UNITS}; in90: observed inside the 90 % "
            "interval; n: months",
            title_justify="left",
            title_style="dim",
            header_style="bold",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for row in group:
            table.add_row(*_skill_cells(row))
        CONSOLE.print(table)


def _skill_cells(row: "SkillRow") -> tuple[str, ...]:
    low, high = row.msss_climatology_low, row.msss_climatology_high
    return (
        str(row.lead_months),
        _signed(row.msss_climatology),
        "" if low is None or high is None else f"{low:+.2f}..{high:+.2f}",
        _signed(row.msss_damped_persistence),
        _signed(row.msss_persistence),
        _signed(row.acc),
        _signed(row.crpss),
        "" if row.rmse is None else f"{row.rmse:.2f}",
        _signed(row.bias),
        "" if row.coverage_90 is None else f"{row.coverage_90:.0%}",
        str(row.n_months),
    )


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


def print_status(status: "Status") -> None:
    """Print where things stand, on one screen."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", justify="right")
    grid.add_column()
    span = f"{status.first_month} to {status.last_month}, {status.n_months} months"
    empty = "empty: put product files into the landing zone, then tidenet ingest"
    grid.add_row("record", span if status.last_month is not None else empty)
    grid.add_row("product", f"{status.product} in {escape(status.home)}")
    grid.add_row("champion", _model_line(status))
    grid.add_row("last forecast", _run_line(status))
    for row in status.skill:
        if row.lead_months in (1, 3, 6):
            grid.add_row(
                f"skill, lead {row.lead_months}",
                f"MSSS {_signed(row.msss_climatology)} against climatology, "
                f"{_signed(row.msss_damped_persistence)} against damped persistence "
                f"({row.issued_kind}, {row.n_months} months)",
            )
    if status.drift is not None:
        style = "red" if status.drift.drifting else "green"
        grid.add_row("drift", f"[{style}]{escape(status.drift.reason)}[/]")
    for label, style, files in (
        ("quarantined", "red", status.quarantined),
        ("waiting", "yellow", status.waiting),
    ):
        for file in files:
            grid.add_row(
                label, f"[{style}]{escape(file.file.file_name)}[/]: {escape(file.message)}"
            )
    if not status.quarantined:
        grid.add_row("quarantined", "nothing")
    if status.preliminary:
        grid.add_row("preliminary", ", ".join(str(month) for month in status.preliminary))
    by_kind = sorted(status.outdated, key=lambda run: run.issued_kind)
    for kind, runs in groupby(by_kind, key=lambda run: run.issued_kind):
        several = [f"{run.init_month} ({run.revised_month} changed since)" for run in runs]
        again = "tidenet backfill" if kind == "hindcast" else "tidenet forecast --init YYYY-MM"
        grid.add_row("outdated", f"[yellow]{kind} from {_few(several)}[/]; anew: {again}")
    for late in status.overdue:
        grid.add_row("overdue", f"[yellow]{escape(late.message)}[/]")
    if not status.overdue:
        grid.add_row("overdue", "nothing")
    CONSOLE.print(grid, highlight=False)


def _few(texts: list[str], most: int = 6) -> str:
    """Return texts as one, the first of many with how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _model_line(status: "Status") -> str:
    if status.model is None:
        return "none: tidenet train"
    return f"{status.model.version}, trained to {status.model.trained_until}"


def _run_line(status: "Status") -> str:
    if status.run is None:
        return "none: tidenet forecast"
    run = status.run
    return (
        f"from {run.init_month}, {run.n_leads} months, {run.issued_kind}, "
        f"made {run.created_at:%Y-%m-%d %H:%M} UTC, run {run.id}"
    )
