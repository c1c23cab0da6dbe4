"""The commands of ``tidenet`` that work through Prefect: deploy, backfill."""

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.command import named_errors, workspace_of


@named_errors
def deploy(
    context: typer.Context,
    pool_type: Annotated[
        str, typer.Option(help="Where flow runs happen: process, kubernetes, docker.")
    ] = "process",
    cpu_template: Annotated[
        Path | None,
        typer.Option(help="Base job template of the CPU pool (JSON).", exists=True, dir_okay=False),
    ] = None,
    gpu_template: Annotated[
        Path | None,
        typer.Option(help="Base job template of the GPU pool (JSON).", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Register pools, deployments and automations with the Prefect server; say what changed."""
    _quiet_prefect()
    from flows.deployment import PoolTemplates
    from flows.deployment import deploy as operation
    from flows.screen import print_changes

    settings = workspace_of(context).settings
    print_changes(operation(settings, PoolTemplates(pool_type, cpu_template, gpu_template)))


@named_errors
def backfill(
    context: typer.Context,
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM", help="First init month.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM", help="Last init month.")],
    seed: Annotated[int, typer.Option(help="Seed of the ensembles.")] = 0,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes side by side [TIDENET_BACKFILL_WORKERS]."),
    ] = None,
) -> None:
    """Make hindcasts for many init months; what exists already is left alone."""
    from flows.screen import progress_bar, say
    from storage.months import month as parse_month

    parse_month(first), parse_month(last)
    _quiet_prefect()
    # The flow, and the processes that it starts, read the settings of this home.
    os.environ["TIDENET_HOME"] = str(workspace_of(context).settings.home.absolute())
    from flows.history import backfill_hindcasts, shown_progress

    with progress_bar("Hindcasts") as progress:
        shown_progress.set(progress)
        done = backfill_hindcasts(first, last, seed=seed, workers=workers)
    say(f"{done['made']} hindcasts made, {done['existed']} existed already.")


def _quiet_prefect() -> None:
    """Leave the screen to the command: Prefect's own words only where something is wrong."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
