"""A month a fault: servers, workers and the network fail, and nobody helps.

Each fault is a fixture that happens once, one after the other, on one loop of real services. What
was promised and seen stands in docs/reliability.md.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psutil
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Pending
from services.faulty_network import FaultyNetwork, faulty_network
from services.postgres import PostgresServer, create_server, destroy
from services.s3 import S3Server
from services.small_loop import TINY, World, all_passed
from services.whole_loop import HANGS_S, ROOT, Services, running_services

from flows.operations.due import forecast_due
from flows.operations.ingest import ingest
from flows.operations.train import train
from flows.operations.verify import verify
from flows.operations.workspace import Workspace
from storage.months import month, month_range

pytestmark = pytest.mark.xdist_group("faults")

FIRST, LAST, TRAIN_UNTIL = "2010-01", "2014-06", "2013-12"
MONTHS = [str(each) for each in month_range(month("2014-07"), month("2015-02"))]
(
    KILLED_INGEST, KILLED_FORECAST, CRASHED, NO_DATABASE, NO_S3, NO_NETWORK, TWICE, DISK_FULL,
) = MONTHS  # fmt: skip
QUANTITIES = "region, lead_months, mean, spread, q05, q25, q50, q75, q95, climatology"


# --- the loop -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loop:
    """The services, what is between the worker and S3, and who reads meanwhile."""

    services: Services
    network: FaultyNetwork
    archive: PostgresServer
    reader: Path
    story: list[str] = field(default_factory=list)

    def arrives(self, name: str) -> None:
        self.services.deliver(name)
        self.story.append(name)

    def settled(self, name: str) -> dict[str, Any]:
        """Wait until a month is ingested, forecast from, and earlier forecasts of it scored."""

        def look() -> dict[str, Any] | None:
            rows = self.services.rows(
                f"""
                SELECT
                  (SELECT count(*) FROM month_revisions WHERE month = '{name}-01') AS revisions,
                  (SELECT count(*) FROM forecast_runs WHERE init_month = '{name}-01') AS runs,
                  (SELECT count(*) FROM forecast_latest WHERE init_month = '{name}-01'
                    AND region = 'all') AS leads,
                  (SELECT count(*) FROM forecast_leads AS l LEFT JOIN skill_scores AS s
                     ON s.run_id = l.run_id AND s.lead_months = l.lead_months AND s.region = 'all'
                   WHERE l.valid_month = '{name}-01' AND s.run_id IS NULL) AS unscored,
                  (SELECT count(*) FROM skill_scores WHERE valid_month = '{name}-01') AS scores
                """
            )
            [(revisions, runs, leads, unscored, scores)] = rows
            found = {"revisions": revisions, "runs": runs, "leads": leads, "scores": scores}
            done = revisions and runs and leads and not unscored and (scores or name == MONTHS[0])
            return found if done else None

        return self.services.wait_for(look, f"{name} to be ingested, forecast from and verified")


@pytest.fixture(scope="module")
def loop(
    postgres_server: PostgresServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Loop]:
    """Four and a half years in the record, a champion, a worker, and somebody who reads."""
    folder = tmp_path_factory.mktemp("faults")
    archive = create_server()
    with (
        faulty_network(s3_server.endpoint) as network,
        running_services(
            folder,
            postgres_server,
            s3_server,
            FIRST,
            LAST,
            archive_server=archive,
            AWS_ENDPOINT_URL=network.url,
            TIDENET_TIMEOUT_S="10",
            TIDENET_ATTEMPTS="2",
        ) as services,
    ):
        prepare(services.workspace)
        done = services.tidenet("deploy")
        assert done.returncode == 0, done.stdout + done.stderr
        # In service it takes longer until a run counts as dead, or is started again.
        services.hasten("tidenet: go on with runs that died", 40)
        services.hasten("tidenet: go on with runs that crashed", 15)
        services.hasten("tidenet: go on with runs that never began", 40)
        with reading(services, s3_server, folder / "reader.json") as reader:
            yield Loop(services, network, archive, reader)
    destroy(archive)


def prepare(workspace: Workspace) -> None:
    """Ingest what is there, train, and make the first forecast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.quality._validate", all_passed)
        ingest(workspace)
    train(workspace, until=month(TRAIN_UNTIL), config=TINY)
    forecast_due(workspace)
    verify(workspace)


@contextmanager
def reading(services: Services, s3: S3Server, file: Path) -> Iterator[Path]:
    """Let somebody read the record and the archive all the time, past the faulty network."""
    environment = {**services.environment, **s3.environment, "TIDENET_ATTEMPTS": "1"}
    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests'}"
    running = subprocess.Popen(
        [sys.executable, "-m", "services.watching_reader", str(file)],
        env={**services.prefect.environment, **environment},
        stderr=(services.folder / "reader.err").open("w"),
    )
    try:
        yield file
        assert running.poll() is None, (services.folder / "reader.err").read_text()
    finally:
        running.kill()
        running.wait()


def kill(worker: subprocess.Popen[bytes]) -> None:
    """End a worker and its flow runs with SIGKILL, the worker first: it reports nothing."""
    family = psutil.Process(worker.pid)
    for process in (family, *family.children(recursive=True)):
        process.kill()
    worker.wait()


def engine_of(worker: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the process of a worker's flow run."""
    deadline = time.monotonic() + HANGS_S
    while time.monotonic() < deadline:
        for child in psutil.Process(worker.pid).children(recursive=True):
            if "prefect.engine" in " ".join(child.cmdline()):
                return child
        time.sleep(0.05)
    pytest.fail("the worker started no flow run")


def held(network: FaultyNetwork) -> None:
    assert network.held.wait(HANGS_S), "nothing was held up"


# --- the faults, one a month ----------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """A fault, what came of it, and the flow run that it struck."""

    loop: Loop
    state: dict[str, Any]
    run: FlowRun


COMMIT = r"^PUT /\S*/record/\S*(refs|repo|snapshots)"
FIELDS = r"^PUT /\S*/predictions/"
SCORING = r"^GET /\S*/predictions/"


@pytest.fixture(scope="module")
def killed_ingest(loop: Loop) -> Fault:
    """The worker and its ingest are killed while the month is being committed."""
    loop.arrives(KILLED_INGEST)
    with loop.services.worker() as worker, loop.network.holding(COMMIT):
        run_id = loop.services.start("ingest-monthly")
        held(loop.network)
        kill(worker)
    with loop.services.worker():
        state = loop.settled(KILLED_INGEST)
        run = loop.services.finished(run_id)
        loop.services.quiet()
    return Fault(loop, state, run)


@pytest.fixture(scope="module")
def killed_forecast(killed_ingest: Fault) -> Fault:
    """The worker is killed while forecast and verification are at work."""
    loop = killed_ingest.loop
    loop.arrives(KILLED_FORECAST)
    known = loop.services.known_runs("forecast", "verify")
    with loop.services.worker() as worker, loop.network.holding(f"{FIELDS}|{SCORING}"):
        loop.services.start("ingest-monthly")
        held(loop.network)

        def both_run() -> list[FlowRun] | None:
            runs = loop.services.runs_of("forecast", "verify")
            busy = [run for run in runs if run.id not in known and run.state_name == "Running"]
            return busy if len(busy) == 2 else None

        runs = loop.services.wait_for(both_run, "forecast and verification side by side")
        kill(worker)
    with loop.services.worker():
        state = loop.settled(KILLED_FORECAST)
        forecast, verification = (loop.services.finished(run.id) for run in runs)
        loop.services.quiet()
    assert verification.state_name == "Completed", verification.state
    return Fault(loop, state, forecast)


@pytest.fixture(scope="module")
def never_begun(killed_forecast: Fault) -> UUID:
    """A run is as a worker leaves it that is ended between taking it up and starting it."""
    services = killed_forecast.loop.services
    run_id = services.start("watch")
    services.client.set_flow_run_state(run_id, Pending(), force=True)
    return run_id


@pytest.fixture(scope="module")
def crashed(killed_forecast: Fault, never_begun: UUID) -> Fault:
    """The ingest's own process is killed, as for want of memory; the worker lives."""
    loop = killed_forecast.loop
    loop.arrives(CRASHED)
    with loop.services.worker() as worker:
        with loop.network.holding(COMMIT):
            run_id = loop.services.start("ingest-monthly")
            held(loop.network)
            engine_of(worker).kill()
        state = loop.settled(CRASHED)
        run = loop.services.finished(run_id)
        loop.services.finished(never_begun)
        loop.services.quiet()
    return Fault(loop, state, run)


@pytest.fixture(scope="module")
def working(crashed: Fault) -> Iterator[Loop]:
    """A worker that lives through what follows."""
    with crashed.loop.services.worker():
        yield crashed.loop
        crashed.loop.services.quiet()


@pytest.fixture(scope="module")
def no_database(working: Loop) -> Fault:
    """The archive's PostgreSQL is stopped in the middle of an ingest, and started again."""
    working.arrives(NO_DATABASE)
    with working.network.holding(COMMIT):
        run_id = working.services.start("ingest-monthly")
        held(working.network)
        working.archive.stop()
    time.sleep(5)
    working.archive.start()
    return Fault(working, working.settled(NO_DATABASE), working.services.finished(run_id))


@pytest.fixture(scope="module")
def no_s3(no_database: Fault) -> Fault:
    """S3 answers 503 for 20 s, from the middle of an ingest on."""
    loop = no_database.loop
    loop.arrives(NO_S3)
    with loop.network.holding(COMMIT):
        run_id = loop.services.start("ingest-monthly")
        held(loop.network)
        loop.network.unavailable = True
    time.sleep(20)
    loop.network.unavailable = False
    return Fault(loop, loop.settled(NO_S3), loop.services.finished(run_id))


@pytest.fixture(scope="module")
def no_network(no_s3: Fault) -> Fault:
    """The network is cut for 30 s while a forecast writes its fields."""
    loop = no_s3.loop
    loop.arrives(NO_NETWORK)
    known = loop.services.known_runs("forecast")
    with loop.network.holding(FIELDS):
        loop.services.start("ingest-monthly")
        held(loop.network)
        loop.network.cut = True
    time.sleep(30)
    loop.network.cut = False
    state = loop.settled(NO_NETWORK)
    return Fault(loop, state, loop.services.triggered("forecast", known))


@pytest.fixture(scope="module")
def twice(no_network: Fault) -> Fault:
    """The schedule fires twice, two workers take it up, and a third ingest knows no limit."""
    loop = no_network.loop
    loop.arrives(TWICE)
    with loop.services.worker(log="second-worker.log"):
        run_id, other = (loop.services.start("ingest-monthly") for _ in range(2))
        by_hand = [
            loop.services.tidenet_process("ingest"),
            loop.services.tidenet_process("ingest"),
        ]
        for process in by_hand:
            output, _ = process.communicate(timeout=HANGS_S)
            assert process.returncode == 0, output
        runs = [loop.services.tidenet_process("forecast") for _ in range(2)]
        for process in runs:
            output, _ = process.communicate(timeout=HANGS_S)
            assert process.returncode == 0, output
        state = loop.settled(TWICE)
        assert loop.services.finished(other).state_name == "Completed"
        return Fault(loop, state, loop.services.finished(run_id))


@pytest.fixture(scope="module")
def disk_full(twice: Fault, tmp_path_factory: pytest.TempPathFactory) -> Fault:
    """The worker's disk has no room for the file that it fetches; then it has."""
    loop = twice.loop
    loop.arrives(DISK_FULL)
    downloads = tmp_path_factory.mktemp("full") / "downloads"
    downloads.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(downloads)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("filling a disk needs root")
    try:
        full = loop.services.tidenet("ingest", TIDENET_DOWNLOADS=str(downloads))
        before = loop.services.rows("SELECT max(month) FROM month_revisions")
    finally:
        subprocess.run(["umount", "-l", str(downloads)], check=True)
    assert full.returncode == 1, full.stdout
    assert "DownloadFolderError" in full.stdout
    assert before == [(month(TWICE).astype(object),)]
    run_id = loop.services.start("ingest-monthly")
    return Fault(loop, loop.settled(DISK_FULL), loop.services.finished(run_id))


# --- what was promised ----------------------------------------------------------------------------

ONCE = {"revisions": 1, "runs": 1, "leads": 6}


def once(state: dict[str, Any]) -> dict[str, Any]:
    return {name: state[name] for name in ONCE}


def test_an_ingest_that_was_killed_with_its_worker_goes_on_by_itself(killed_ingest: Fault) -> None:
    assert killed_ingest.run.state_name == "Completed", killed_ingest.run.state
    assert killed_ingest.run.run_count == 2
    assert once(killed_ingest.state) == ONCE


def test_forecast_and_verification_that_were_killed_go_on(killed_forecast: Fault) -> None:
    assert killed_forecast.run.run_count == 2
    assert once(killed_forecast.state) == ONCE


def test_a_run_whose_process_was_killed_is_started_again(crashed: Fault) -> None:
    assert crashed.run.state_name == "Completed", crashed.run.state
    assert crashed.run.run_count == 2
    assert once(crashed.state) == ONCE


def test_a_run_that_its_worker_left_before_it_began_is_done(
    crashed: Fault, never_begun: UUID
) -> None:
    run = crashed.loop.services.finished(never_begun)
    assert run.state_name == "Completed", run.state
    assert run.run_count == 1


def test_an_ingest_outlives_a_restart_of_the_database(no_database: Fault) -> None:
    assert no_database.run.state_name == "Completed", no_database.run.state
    assert once(no_database.state) == ONCE


def test_an_ingest_outlives_an_s3_that_is_unavailable_for_a_while(no_s3: Fault) -> None:
    assert no_s3.run.state_name == "Completed", no_s3.run.state
    assert once(no_s3.state) == ONCE
    assert no_s3.loop.network.n_refused > 0


def test_a_forecast_outlives_a_cut_network(no_network: Fault) -> None:
    assert no_network.run.state_name == "Completed", no_network.run.state
    assert once(no_network.state) == ONCE


def test_work_that_is_started_twice_is_done_once(twice: Fault) -> None:
    assert twice.run.state_name == "Completed", twice.run.state
    assert once(twice.state) == ONCE
    commits = twice.loop.services.workspace.record().history()
    assert [commit.metadata.get("month") for commit in commits].count(TWICE) == 1


def test_a_full_disk_is_named_and_leaves_nothing_behind(disk_full: Fault) -> None:
    assert disk_full.run.state_name == "Completed", disk_full.run.state
    assert once(disk_full.state) == ONCE


def test_nobody_ever_read_a_torn_month_or_half_a_run(disk_full: Fault) -> None:
    seen = json.loads(disk_full.loop.reader.read_text())
    assert seen["torn"] == []
    assert seen["looks"] > 20


def test_the_state_is_that_of_a_loop_without_faults(disk_full: Fault, tmp_path: Path) -> None:
    disturbed = disk_full.loop.services.workspace
    calm = World.create(tmp_path / "home")
    calm.deliver_span(FIRST, LAST)
    prepare(calm.workspace)
    for name in MONTHS:
        calm.deliver(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ingest.quality._validate", all_passed)
            ingest(calm.workspace)
        forecast_due(calm.workspace)
        verify(calm.workspace)
    assert disturbed.record().content_hash() == calm.workspace.record().content_hash()
    predictions = (
        f"SELECT r.init_month, {QUANTITIES} FROM regional_predictions AS p "
        "JOIN forecast_runs AS r ON r.id = p.run_id ORDER BY r.init_month, region, lead_months"
    )
    scores = (
        "SELECT r.init_month, region, lead_months, n_cells, se_model, crps FROM skill_scores AS s "
        "JOIN forecast_runs AS r ON r.id = s.run_id ORDER BY r.init_month, region, lead_months"
    )
    for statement in (predictions, scores):
        there, here = disk_full.loop.services.rows(statement), calm.rows(statement)
        assert len(there) == len(here) > 0
        for one, other in zip(there, here, strict=True):
            assert (str(one[0]), *one[1:3]) == (str(other[0])[:10], *other[1:3])
            np.testing.assert_allclose(one[3:], other[3:], rtol=1e-5, atol=1e-6)


def test_the_log_names_every_fault_and_no_secret(disk_full: Fault) -> None:
    services = disk_full.loop.services
    logs = services.logs()
    secrets = services.secrets | {"archive password": disk_full.loop.archive.password}
    assert [name for name, secret in secrets.items() if secret in logs] == []
    for words in ("DatabaseUnavailableError", "StoreUnavailableError"):
        assert words in logs
