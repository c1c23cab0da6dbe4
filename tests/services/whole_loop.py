"""The loop on real services: PostgreSQL, S3, a Prefect server and its worker, and what they did."""

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
import s3fs
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder
from prefect.events.schemas.automations import AutomationCore
from services.postgres import PostgresServer
from services.prefect import PrefectServer, prefect_server, prefect_worker
from services.s3 import S3Server
from services.small_loop import World
from sqlalchemy import Engine, text

from flows.operations.workspace import Workspace
from storage.carbon_ecs import CarbonEcs
from storage.database import connect
from storage.settings import Settings

ROOT = Path(__file__).parents[2]
CPU_POOL = "tidenet-cpu"
HANGS_S = 300.0
"""After this a wait is given up: no measure of speed, only the end of a test that hangs."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Services:
    """Everything that runs, and how to look at what it did.

    Parameters
    ----------
    prefect, client
        The Prefect server, and a client of its API.
    s3, postgres
        The servers that keep what the loop makes.
    place
        URL of the folder in the bucket that everything lies in.
    provider
        Where product files are made before they are delivered.
    folder
        Logs and options.
    environment
        Settings and credentials for the worker.
    filesystem, engine
        The bucket, and the archive.
    """

    prefect: PrefectServer
    client: SyncPrefectClient
    s3: S3Server
    postgres: PostgresServer
    place: str
    provider: World
    folder: Path
    environment: Mapping[str, str]
    filesystem: s3fs.S3FileSystem
    engine: Engine

    @property
    def worker_log(self) -> Path:
        return self.folder / "worker.log"

    @property
    def secrets(self) -> dict[str, str]:
        """What no log may hold."""
        return {
            "S3 secret key": self.s3.secret_key,
            "S3 access key": self.s3.access_key,
            "database password": self.postgres.password,
        }

    @property
    def workspace(self) -> Workspace:
        """What an operation works with that is called in this process, past the network."""
        values = {
            name.removeprefix("TIDENET_").lower(): value
            for name, value in self.environment.items()
            if name.startswith("TIDENET_")
        }
        return Workspace(Settings(_env_file=None, **values))

    # --- S3 and PostgreSQL --------------------------------------------------------------------

    def deliver(self, month: str, content: bytes | None = None) -> None:
        """Let a month's file arrive in the landing bucket."""
        file = self.provider.deliver(month, content)
        self.filesystem.put_file(str(file), f"{self.place}/landing/{file.name}")

    def objects(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, as the server lists them now."""
        return sorted(self.filesystem.find(f"{self.place}/{prefix}"))

    def history(self) -> list[str]:
        """Return the record's snapshots."""
        return [snapshot.id for snapshot in CarbonEcs.open(f"{self.place}/record").history()]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the archive on PostgreSQL."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    # --- Prefect ------------------------------------------------------------------------------

    def tidenet_process(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        """Start the command line against these servers."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments],
            env={**self.prefect.environment, **self.environment, **changes},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def tidenet(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run the command line against these servers to its end."""
        process = self.tidenet_process(*arguments, **changes)
        output, _ = process.communicate(timeout=2 * HANGS_S)
        return subprocess.CompletedProcess(process.args, process.returncode, output, "")

    @contextmanager
    def worker(
        self, pool: str = CPU_POOL, log: str = "worker.log", **changes: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Let a worker take flow runs from a pool."""
        environment = {**self.environment, **changes}
        with prefect_worker(self.prefect, pool, environment, self.folder / log, ROOT) as running:
            yield running

    def hasten(self, automation: str, seconds: float) -> None:
        """Let an automation wait for less long than it does in service."""
        [found] = [one for one in self.client.read_automations() if one.name == automation]
        trigger = found.trigger.model_copy(update={"within": dt.timedelta(seconds=seconds)})
        wanted = AutomationCore(
            name=found.name,
            description=found.description,
            trigger=trigger,
            actions=found.actions,
        )
        self.client.update_automation(found.id, wanted)

    def start(self, name: str, **parameters: object) -> UUID:
        """Start a deployment with parameters and return its flow run's id."""
        deployment = self.client.read_deployment_by_name(f"{name}/{name}")
        return self.client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id

    def run(self, name: str, **parameters: object) -> FlowRun:
        """Run a deployment to its end."""
        return self.finished(self.start(name, **parameters))

    def finished(self, run_id: UUID) -> FlowRun:
        """Wait for the end of a flow run."""

        def ended() -> FlowRun | None:
            run = self.client.read_flow_run(run_id)
            return run if run.state is not None and run.state.is_final() else None

        return self.wait_for(ended, f"the end of flow run {run_id}")

    def quiet(self) -> None:
        """Wait until no flow run is under way or waits for its turn."""

        def none() -> bool:
            runs = [run for run in self.client.read_flow_runs() if not run.auto_scheduled]
            return all(run.state is not None and run.state.is_final() for run in runs)

        self.wait_for(none, "the end of every flow run")

    def runs_of(self, *names: str) -> list[FlowRun]:
        """Return the flow runs of deployments, without those scheduled for later."""
        wanted = DeploymentFilter(name=DeploymentFilterName(any_=list(names)))
        runs = self.client.read_flow_runs(deployment_filter=wanted)
        return [run for run in runs if not run.auto_scheduled]

    def known_runs(self, *names: str) -> set[UUID]:
        """Return the ids of `runs_of`."""
        return {run.id for run in self.runs_of(*names)}

    def triggered(self, name: str, known: set[UUID]) -> FlowRun:
        """Wait for a deployment's first flow run that was not known before, and for its end."""

        def new() -> FlowRun | None:
            runs = [run for run in self.runs_of(name) if run.id not in known]
            return min(runs, key=lambda run: str(run.created), default=None)

        return self.finished(self.wait_for(new, f"a run of {name}").id)

    def tasks_of(self, run_id: UUID) -> list[TaskRun]:
        """Return the task runs of a flow run."""
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        return self.client.read_task_runs(flow_run_filter=wanted)

    def published(self) -> list[str]:
        """Return the months that were announced so far, in the order of their events."""
        name = EventNameFilter(name=["carbon-ecs.month.published"])
        page = self.client.read_events(EventFilter(event=name, order=EventOrder.ASC), limit=50)
        events = list(page.events)
        while page.next_page:
            page = self.client.read_events_page(str(page.next_page))
            events += page.events
        return [str(event.payload["month"]) for event in events]

    def logs(self) -> str:
        """Return what server and worker wrote, and what flow runs sent to the server."""
        written = [log.read_text(errors="replace") for log in self.folder.glob("*.log")]
        runs = [
            record.message
            for run in self.client.read_flow_runs()
            for record in self.client.read_logs(
                LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])), limit=200
            )
        ]
        return "\n".join([*written, *runs])

    def wait_for(self, look: Callable[[], Found | None], what: str) -> Found:
        """Look again and again until something is there."""
        deadline = time.monotonic() + HANGS_S
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            time.sleep(0.3)
        log = self.worker_log.read_text(errors="replace") if self.worker_log.exists() else ""
        pytest.fail(f"{what} did not come; the worker's log ends:\n{log[-4000:]}")


@contextmanager
def running_services(
    folder: Path,
    postgres: PostgresServer,
    s3: S3Server,
    first: str,
    last: str,
    *,
    archive_server: PostgresServer | None = None,
    **settings: str,
) -> Iterator[Services]:
    """Start a Prefect server, and put the product files of a span of months into the bucket.

    The archive may lie on a server of its own, and the worker have further settings.

    This process's own environment reaches the bucket meanwhile, and knows no other settings.
    """
    provider = World.create(folder / "provider")
    provider.deliver_span(first, last)
    place = f"s3://{s3.bucket}/{uuid4().hex}"
    archive, behind_prefect = (archive_server or postgres).new_database(), postgres.new_database()
    engine = connect(archive, timeout_s=30)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("TIDENET_", "PREFECT_", "AWS_")):
                patch.delenv(name)
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        filesystem = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
        files = [str(file) for file in sorted((provider.home / "landing").iterdir())]
        filesystem.put(files, f"{place}/landing/")
        with (
            prefect_server(folder, behind_prefect) as server,
            SyncPrefectClient(server.api_url) as client,
        ):
            yield Services(
                prefect=server,
                client=client,
                s3=s3,
                postgres=postgres,
                place=place,
                provider=provider,
                folder=folder,
                environment=_worker_environment(folder, provider, s3, place, archive) | settings,
                filesystem=filesystem,
                engine=engine,
            )
    engine.dispose()
    (archive_server or postgres).drop_database(archive)
    postgres.drop_database(behind_prefect)


def _worker_environment(
    folder: Path, provider: World, s3: S3Server, place: str, database_url: str
) -> dict[str, str]:
    return {
        **s3.environment,
        "TIDENET_HOME": str(folder / "home"),
        "TIDENET_PRODUCT": "small",
        "TIDENET_PRODUCTS_FOLDER": str(provider.home / "products"),
        "TIDENET_DATABASE": database_url,
        "TIDENET_LANDING": f"{place}/landing",
        "TIDENET_RECORD": f"{place}/record",
        "TIDENET_PREDICTIONS": f"{place}/predictions",
        "TIDENET_MODELS": f"{place}/models",
        "TIDENET_QUARANTINE": f"{place}/quarantine",
        "TIDENET_ARCHIVE_STEP": "1.0",
        "TIDENET_N_MEMBERS": "4",
        "TIDENET_STALE_MONTHS": "0",
        "TIDENET_BACKFILL_WORKERS": "2",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
