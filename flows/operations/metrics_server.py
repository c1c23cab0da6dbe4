"""The exporter that Prometheus scrapes: it asks the archive now and then, and outlives it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from flows.operations.metrics import Sample, families, measure
from flows.operations.workspace import Workspace
from storage.errors import TidenetError
from storage.outside import redact

KEEP_S = 15.0
"""How long an answer is given again before the archive is asked anew (seconds)."""

ANSWER_S = 10.0
"""Longest wait for one answer of the archive (seconds): scrapers do not wait for long."""


class AddressUnusableError(TidenetError):
    """The metrics cannot be served at the address that the settings name."""


class ArchiveCollector(Collector):
    """Asks the archive when Prometheus scrapes, and gives its answer again for a while.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    report
        Told in one sentence when the archive stops answering, and when it answers again.
    keep_s
        How long an answer is given again (seconds): also that there is none.
    clock
        Seconds that only go forwards.
    """

    def __init__(
        self,
        workspace: Workspace,
        report: Callable[[str], None],
        *,
        keep_s: float = KEEP_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = workspace
        self._report = report
        self._keep_s = keep_s
        self._clock = clock
        self._lock = Lock()
        self._samples: list[Sample] = []
        self._read_at: float | None = None
        self._trouble = ""

    def collect(self) -> Iterator[Metric]:
        """Return every metric that has a value now; scrapes at the same time share one look."""
        with self._lock:
            if self._read_at is None or self._clock() - self._read_at >= self._keep_s:
                self._samples = self._read()
                self._read_at = self._clock()
            return iter(families(self._samples))

    def _read(self) -> list[Sample]:
        begun = self._clock()
        build: Sample = ("tidenet_build_info", (self._workspace.code_version,), 1)
        try:
            found = measure(self._workspace)
        except (TidenetError, SQLAlchemyError) as error:
            self._say(f"The archive does not answer. {redact(str(error))}")
            return [build, ("tidenet_archive_up", (), 0)]
        self._say("")
        took = self._clock() - begun
        return [
            build,
            ("tidenet_archive_up", (), 1),
            ("tidenet_archive_read_seconds", (), took),
            *found,
        ]

    def _say(self, trouble: str) -> None:
        """Report a change, not every scrape."""
        if trouble != self._trouble:
            self._report(trouble or "The archive answers again.")
        self._trouble = trouble


@contextmanager
def serving(
    workspace: Workspace,
    host: str,
    port: int,
    report: Callable[[str], None],
    keep_s: float = KEEP_S,
) -> Iterator[str]:
    """Serve the metrics as long as the context lasts, and yield their URL.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    host, port
        Where to listen; port 0 for any free one.
    report, keep_s
        As for `ArchiveCollector`.

    Raises
    ------
    AddressUnusableError
        If nothing can listen there.
    """
    registry = CollectorRegistry()
    registry.register(ArchiveCollector(_impatient(workspace), report, keep_s=keep_s))
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        raise AddressUnusableError(
            "The metrics cannot be served at this address.",
            found=f"{host}:{port}: {error}",
            remedy="Choose another: --port and --host, or TIDENET_METRICS_PORT and ..._HOST.",
        ) from error
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _impatient(workspace: Workspace) -> Workspace:
    """Return a workspace that gives up soon: the next scrape tries again."""
    answer_s = min(workspace.settings.timeout_s, ANSWER_S)
    changes = {"timeout_s": answer_s, "attempts": 1}
    return Workspace(workspace.settings.model_copy(update=changes), workspace.now)
