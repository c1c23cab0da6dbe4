"""``tidenet metrics``: an exporter for Prometheus."""

import signal
import threading
from typing import Annotated

import typer

from flows.command import named_errors, workspace_of


@named_errors
def metrics(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to listen on; 0: any free one [TIDENET_METRICS_PORT]."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [TIDENET_METRICS_HOST].")
    ] = None,
    keep: Annotated[
        float,
        typer.Option(min=0, help="Seconds for which an answer of the archive is given again."),
    ] = 15.0,
) -> None:
    """Serve the archive's state to Prometheus until ended by Ctrl-C or SIGTERM."""
    from flows.operations.metrics_server import serving
    from flows.screen import say

    workspace = workspace_of(context)
    settings = workspace.settings
    chosen = settings.metrics_port if port is None else port
    ended = threading.Event()
    with serving(workspace, host or settings.metrics_host, chosen, say, keep) as url:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        say(f"Metrics for Prometheus: {url} (Ctrl-C ends)")
        ended.wait()
