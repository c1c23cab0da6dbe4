"""The ``tidenet`` command line.

Exit codes: 0 done; 1 a named error, printed with what to do; 2 wrong usage; 3 done, but something
has to be seen to: a product file was refused or waits, a run does not come out the same, an audit
found something.

Imports of the heavy libraries happen inside the commands, so that ``--help`` answers at once.
"""

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.archive_cli import audit, reproduce
from flows.command import EXIT_REFUSED, named_errors, workspace_of
from flows.drivers_cli import drivers_app
from flows.evaluate_cli import evaluate
from flows.export_cli import export
from flows.maintain_cli import backup, maintain, restore
from flows.metrics_cli import metrics
from flows.models_cli import models_app
from flows.prefect_cli import backfill, deploy
from flows.products_cli import products_app
from flows.query_cli import OPEN_ENDED, query
from flows.train_cli import train

app = typer.Typer(
    help="Forecasts of the sea-air CO2 flux of the East China Sea.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(models_app, name="models")
app.add_typer(products_app, name="products")
app.command("train")(train)
app.command("backfill")(backfill)
app.command("deploy")(deploy)
app.command("maintain")(maintain)
app.command("backup")(backup)
app.command("restore")(restore)
app.command("evaluate")(evaluate)
app.command("query", context_settings=OPEN_ENDED)(query)
app.command("reproduce")(reproduce)
app.command("audit")(audit)
app.command("export")(export)
app.command("metrics")(metrics)
app.add_typer(drivers_app, name="drivers")


@app.callback()
def main(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            envvar="TIDENET_HOME",
            help="Folder with the record, the archive and their settings (.env) [tidenet-data].",
        ),
    ] = None,
) -> None:
    """Remember the home folder for the command that follows."""
    context.obj = home


@app.command()
@named_errors
def ingest(
    context: typer.Context,
    product: Annotated[
        str | None, typer.Option(help="Product specification [TIDENET_PRODUCT].")
    ] = None,
    month: Annotated[
        list[str] | None,
        typer.Option(metavar="YYYY-MM", help="Only this month; may be given several times."),
    ] = None,
    accept: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Accept this file in spite of its warnings."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why it is accepted; recorded.")] = "",
    again: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Take months anew though their files have not changed; why is recorded.",
        ),
    ] = "",
) -> None:
    """Look for new or changed files; check, complete and commit them, one month a transaction."""
    from flows.operations.ingest import Acceptance, Outcome
    from flows.operations.ingest import ingest as operation
    from flows.screen import print_ingested, progress_bar
    from storage.months import month as parse_month

    if bool(accept) != bool(reason.strip()):
        raise typer.BadParameter("--accept FILE and --reason TEXT go together.")
    acceptance = Acceptance(Path(accept).name, reason.strip()) if accept else None
    with progress_bar("Ingesting") as progress:
        ingested = operation(
            workspace_of(context),
            product,
            months=[parse_month(text) for text in month] if month else None,
            acceptance=acceptance,
            again=again.strip(),
            progress=progress,
        )
    print_ingested(ingested)
    if any(file.outcome in (Outcome.QUARANTINED, Outcome.WAITING) for file in ingested):
        raise typer.Exit(EXIT_REFUSED)


@app.command()
@named_errors
def handover(
    context: typer.Context,
    to: Annotated[str, typer.Option(metavar="PRODUCT", help="The product that goes on.")],
) -> None:
    """Compare a new product with the record, so that going on with it puts no step into it."""
    from flows.operations.handover import fit_handover
    from flows.screen import print_handover, progress_bar

    with progress_bar("Comparing") as progress:
        fitted = fit_handover(workspace_of(context), to, progress=progress)
    print_handover(fitted)


@app.command("refresh-basis")
@named_errors
def refresh_basis(
    context: typer.Context,
    until: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="Last month to fit on [last of the record]."),
    ] = None,
) -> None:
    """Fit the EOF basis that gaps of later months are filled with."""
    from flows.operations.basis import refresh_basis as operation
    from flows.screen import print_basis, progress_bar
    from storage.months import month as parse_month

    with progress_bar("Fitting the basis") as progress:
        basis = operation(
            workspace_of(context), until=parse_month(until) if until else None, progress=progress
        )
    print_basis(basis)


@app.command()
@named_errors
def forecast(
    context: typer.Context,
    init: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="Last observed month to use [all that are due]."),
    ] = None,
    as_of: Annotated[
        dt.datetime | None,
        typer.Option(
            metavar="UTC",
            help="Replay: read nothing that became known after this moment.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the ensemble.")] = 0,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Make a new run even if the same one exists.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why it is made; recorded with the run.")] = "",
) -> None:
    """Forecast the next months with the champion model, into the archive."""
    from flows.operations.due import forecast_due
    from flows.operations.forecast import forecast as operation
    from flows.screen import print_forecast, progress_bar
    from storage.months import month as parse_month

    workspace = workspace_of(context)
    if init is None and as_of is None and not rerun and not reason.strip():
        with progress_bar("Forecasts") as progress:
            *earlier, run = forecast_due(workspace, seed=seed, progress=progress)
    else:
        earlier = []
        run = operation(
            workspace,
            init=parse_month(init) if init else None,
            as_of=None if as_of is None else as_of.replace(tzinfo=dt.UTC),
            seed=seed,
            rerun=rerun,
            reason=reason.strip(),
        )
    for one in earlier:
        print_forecast(workspace, one)
    print_forecast(workspace, run)


@app.command()
@named_errors
def verify(
    context: typer.Context,
    again: Annotated[
        str,
        typer.Option(
            metavar="REASON", help="Score what is scored already anew, too; why is recorded."
        ),
    ] = "",
) -> None:
    """Score every archived forecast whose valid month has been observed."""
    from flows.operations.verify import verify as operation
    from flows.screen import progress_bar, say

    with progress_bar("Verifying") as progress:
        verified = operation(workspace_of(context), again=again.strip(), progress=progress)
    say(
        f"{verified.n_scored} forecast months of {verified.n_runs} runs scored."
        if verified.n_scored
        else "Nothing new to score."
    )
    if verified.drift is not None:
        say(verified.drift.reason)
    for run_id, found in verified.lost:
        say(f"Not scored: run {run_id}, whose fields are gone or damaged ({found}).")
    if verified.lost:
        say("What can be done about it: tidenet audit.")
        raise typer.Exit(EXIT_REFUSED)


@app.command()
@named_errors
def status(context: typer.Context) -> None:
    """Show the record, the quarantine, the champion, the last forecast, its skill, the overdue."""
    from flows.operations.status import status as operation
    from flows.screen import print_status

    print_status(operation(workspace_of(context)))


@app.command()
@named_errors
def skill(
    context: typer.Context,
    region: Annotated[str, typer.Option(help="Region name.")] = "all",
) -> None:
    """Show the archived forecasts' skill by lead, read back from the archive."""
    from flows.screen import print_skill
    from storage.archive import skill_table

    print_skill(skill_table(workspace_of(context).engine, region=region))


@app.command()
@named_errors
def picture(
    context: typer.Context,
    valid: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM", help="Month to draw [last that was forecast and observed]."
        ),
    ] = None,
    lead: Annotated[int, typer.Option(min=1, max=12, help="Lead months.")] = 1,
    to: Annotated[Path | None, typer.Option(help="PNG file to write.", dir_okay=False)] = None,
) -> None:
    """Draw forecast, observation and their difference for one month."""
    from flows.operations.picture import draw_month
    from flows.screen import say
    from storage.months import month as parse_month

    month = parse_month(valid) if valid else None
    say(str(draw_month(workspace_of(context), valid_month=month, lead=lead, file=to)))


@app.command()
@named_errors
def sql(
    context: typer.Context,
    statement: Annotated[str, typer.Argument(help="One SELECT statement.")],
) -> None:
    """Ask the archive one question in SQL; nothing can be changed."""
    from flows.screen import print_rows
    from storage.database import read_only_query

    columns, rows = read_only_query(workspace_of(context).engine, statement)
    print_rows(columns, rows)


@app.command()
@named_errors
def migrate(context: typer.Context) -> None:
    """Bring the archive's tables to the version that this software needs."""
    from flows.operations.workspace import read_settings
    from flows.screen import say
    from storage.database import connect
    from storage.database import migrate as operation

    settings = read_settings(context.obj)
    if settings.database_url.startswith("sqlite"):
        settings.home.mkdir(parents=True, exist_ok=True)
    engine = connect(
        settings.database_url, timeout_s=settings.timeout_s, attempts=settings.attempts
    )
    say(f"The archive is at version {operation(engine)}.")


@app.command()
@named_errors
def demo(
    folder: Annotated[
        Path, typer.Option(help="Where to keep the demonstration.", file_okay=False)
    ] = Path("tidenet-demo"),
) -> None:
    """Run the whole loop on synthetic data: ingest, train, forecast, new months, verify."""
    from flows.demo import run_demo

    run_demo(folder)


if __name__ == "__main__":
    sys.exit(app())
