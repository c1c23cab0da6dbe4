"""A real Prefect server and worker, as separate processes."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 90.0
STOP_S = 20.0


@dataclass(frozen=True)
class PrefectServer:
    """A running server: its API and the environment that clients need."""

    api_url: str
    environment: Mapping[str, str]

    def command(
        self, *arguments: str, cwd: Path, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the prefect command line against this server."""
        return subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=cwd,
            env={**self.environment, **(extra or {})},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(
    arguments: list[str], environment: Mapping[str, str], log: Path, cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in a session of its own; stop it politely, then by force."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            arguments,
            env=dict(environment),
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGTERM)
            try:
                running.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()


@contextmanager
def prefect_server(folder: Path, database_url: str = "") -> Iterator[PrefectServer]:
    """Start a server on a free port.

    Its database is the PostgreSQL one at a URL, or SQLite in the folder: that one is locked now
    and then when several runs report at a time.
    """
    port = free_port()
    api_url = f"http://127.0.0.1:{port}/api"
    environment = {
        **os.environ,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "INFO",
        # The scheduler, triggers and workers look often, so that a test need not wait for them.
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "2",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "2",
        # The place of a run that was killed is free soon.
        "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "30",
        "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "2",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
    }
    if database_url:
        connection_url = database_url.replace("postgresql://", "postgresql+asyncpg://")
        environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = connection_url
    arguments = [sys.executable, "-m", "prefect", "server", "start"]
    arguments += ["--host", "127.0.0.1", "--port", str(port)]
    log = folder / "prefect-server.log"
    with process(arguments, environment, log, folder) as running:
        _wait_until_ready(running, f"{api_url}/health", log)
        yield PrefectServer(api_url, environment)


@contextmanager
def prefect_worker(
    server: PrefectServer, pool: str, extra: Mapping[str, str], log: Path, cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker of a process work pool; its flow runs find `extra` in their environment."""
    arguments = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
    with process(arguments, {**server.environment, **extra}, log, cwd) as running:
        yield running


def _wait_until_ready(running: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if running.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(
        f"the Prefect server did not start; its log ends:\n{log.read_text()[-3000:]}"
    )
