"""The commands of ``tidenet`` that work through Prefect: deploy, backfill."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import named_errors, workspace_of

if TYPE_CHECKING:
    from storage.settings import Settings

SERVER_START_S = 120


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
    from flows.upkeep_screen import print_changes

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
    """Make hindcasts for many init months side by side, and score them; what exists is left alone.

    Through Prefect: with its server where PREFECT_API_URL names one, else with one of its own.
    """
    from flows.operations.backfill import plan_backfill
    from flows.screen import progress_bar, say
    from storage.months import month as parse_month

    workspace = workspace_of(context)
    # What is wrong with the question is said before Prefect starts; so is that nothing is missing.
    plan = plan_backfill(workspace, parse_month(first), parse_month(last), seed=seed)
    made = 0
    if plan.missing:
        _quiet_prefect()
        with _settings_of(workspace.settings), _server(), progress_bar("Hindcasts") as progress:
            from flows.history import backfill_hindcasts, shown_progress

            shown_progress.set(progress)
            made = backfill_hindcasts(first, last, seed=seed, workers=workers)["made"]
    say(f"{made} hindcasts made, {len(plan.wanted) - made} existed already.")


@contextmanager
def _settings_of(settings: "Settings") -> Iterator[None]:
    """Let the flow, and the processes that it starts, read the settings of this home."""
    before = os.environ.get("TIDENET_HOME")
    os.environ["TIDENET_HOME"] = str(settings.home.absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ["TIDENET_HOME"]
        else:
            os.environ["TIDENET_HOME"] = before


@contextmanager
def _server() -> Iterator[None]:
    """Start a Prefect server where the environment names none, for this process and its own.

    Left to itself, each of the processes that make hindcasts would start one.
    """
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if PREFECT_API_URL.value():
        yield
        return
    server = SubprocessASGIServer()
    server.start(timeout=SERVER_START_S)
    try:
        with temporary_settings({PREFECT_API_URL: server.api_url}):
            yield
    finally:
        server.stop()


def _quiet_prefect() -> None:
    """Leave the screen to the command: Prefect's own words only where something is wrong."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
