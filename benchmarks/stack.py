"""Everything that runs in service, as processes of this machine: PostgreSQL, S3, Prefect server.

The tests' services start them; other than there, Prefect keeps its own settings, so that it looks
as often (and as seldom) as it does in service.
"""

import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from unittest.mock import patch
from uuid import uuid4

import s3fs
from prefect.client.orchestration import SyncPrefectClient
from services.postgres import PostgresServer, create_server, destroy
from services.prefect import PrefectServer, free_port, process
from services.s3 import S3Server
from services.small_loop import World
from services.whole_loop import Services

from benchmarks.filled_home import Size, describe, say, say_some, write_files
from flows.operations.ingest import ingest
from flows.operations.train import train
from storage.database import connect

START_S = 120.0


@dataclass(frozen=True)
class Stack:
    """The services, and the process of the Prefect server."""

    services: Services
    server: Popen[bytes]
    home: Path

    def deliver(self, name: str) -> None:
        """Let a product file arrive in the landing bucket."""
        landing = f"{self.services.place}/landing/{name}"
        self.services.filesystem.put_file(str(self.home / "landing" / name), landing)


@contextmanager
def running_stack(folder: Path, size: Size, n_more: int, s3: S3Server) -> Iterator[Stack]:
    """Start everything but the worker, with a record and a champion.

    Parameters
    ----------
    folder
        Logs, and what lies on this machine.
    size
        Of the sea and its record.
    n_more
        Months after the record whose files are made, to arrive later.
    s3
        The S3 server that keeps everything.
    """
    home = folder / "home"
    settings = describe(home, size)
    postgres = create_server("")
    try:
        with (
            patch.dict(os.environ, s3.environment),
            _prefect(folder, postgres) as (prefect, server),
            SyncPrefectClient(prefect.api_url) as client,
        ):
            place, archive = f"s3://{s3.bucket}/{uuid4().hex}", postgres.new_database()
            services = Services(
                prefect=prefect,
                client=client,
                s3=s3,
                postgres=postgres,
                place=place,
                provider=World(home),
                folder=folder,
                environment={
                    **s3.environment,
                    **settings,
                    **_places(place),
                    "TIDENET_HOME": str(home),
                    "TIDENET_DATABASE": archive,
                    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
                },
                filesystem=s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True),
                engine=connect(archive, timeout_s=30),
            )
            _fill(services, home, size, n_more)
            yield Stack(services, server, home)
            services.engine.dispose()
    finally:
        destroy(postgres)


def _places(place: str) -> dict[str, str]:
    names = ("landing", "record", "predictions", "models", "quarantine", "backup")
    return {f"TIDENET_{name.upper()}": f"{place}/{name}" for name in names}


def _fill(services: Services, home: Path, size: Size, n_more: int) -> None:
    """Put the record's files into the bucket, ingest them and train, past Prefect."""
    write_files(home / "landing", size, n_more)
    files = sorted(str(file) for file in (home / "landing").iterdir())
    services.filesystem.put(files[: len(files) - n_more], f"{services.place}/landing/")
    workspace = services.workspace
    ingest(workspace, progress=say_some)
    say("training")
    train(workspace, until=size.trained_until, config_file=home / "training.yaml")
    workspace.engine.dispose()


@contextmanager
def _prefect(
    folder: Path, postgres: PostgresServer
) -> Iterator[tuple[PrefectServer, Popen[bytes]]]:
    """Start a Prefect server with its own settings, its database on PostgreSQL."""
    port = free_port()
    api_url = f"http://127.0.0.1:{port}/api"
    database = postgres.new_database().replace("postgresql://", "postgresql+asyncpg://")
    environment = {
        **os.environ,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    arguments = [sys.executable, "-m", "prefect", "server", "start"]
    arguments += ["--host", "127.0.0.1", "--port", str(port)]
    log = folder / "prefect-server.log"
    with process(arguments, environment, log, folder) as running:
        _wait_until_ready(f"{api_url}/health", log)
        yield PrefectServer(api_url, environment), running


def _wait_until_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"the Prefect server did not start:\n{log.read_text()[-3000:]}")


def memory_mb(*processes: int) -> dict[str, float]:
    """Return the proportional share of memory of each process and its children (MB).

    By name and number of the process; what processes share is counted once (PSS).
    """
    import psutil

    found = {}
    for pid in processes:
        first = psutil.Process(pid)
        for one in (first, *first.children(recursive=True)):
            found[f"{one.name()} {one.pid}"] = one.memory_full_info().pss / 1e6
    return found
