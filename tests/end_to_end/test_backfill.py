"""Hindcasts side by side through Prefect: in processes, on a Dask cluster, and after a kill."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun
from services.prefect import PrefectServer, prefect_server
from services.small_loop import TINY, World, all_passed
from services.whole_loop import HANGS_S, ROOT

from flows.operations.backfill import backfill
from flows.operations.train import train
from storage.months import month

pytestmark = pytest.mark.xdist_group("backfill")

FIRST, LAST = "2014-01", "2014-08"


@dataclass(frozen=True)
class Backfills:
    """A trained world, and a Prefect server."""

    world: World
    server: PrefectServer
    client: SyncPrefectClient

    def start(self, first: str, last: str, **settings: str) -> subprocess.Popen[str]:
        environment = {
            **self.server.environment,
            "TIDENET_HOME": str(self.world.home),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            **settings,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "backfill", "--from", first, "--to", last],
            env=environment,
            cwd=self.world.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, first: str, last: str, **settings: str) -> str:
        running = self.start(first, last, **settings)
        output, _ = running.communicate(timeout=2 * HANGS_S)
        assert running.returncode == 0, output
        return " ".join(output.split())

    def newest(self) -> FlowRun:
        return max(self.client.read_flow_runs(), key=lambda run: str(run.created))

    def tasks(self, run: FlowRun) -> list[TaskRun]:
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        found = self.client.read_task_runs(flow_run_filter=wanted)
        return [task for task in found if task.name.startswith("make-hindcast")]

    def hindcasts(self) -> int:
        return int(self.world.rows("SELECT count(*) FROM forecast_runs")[0][0])

    def numbers(self, world: World | None = None) -> list[tuple]:
        return (world or self.world).rows(
            "SELECT r.init_month, region, lead_months, mean, q05, q95 FROM regional_predictions "
            "AS p JOIN forecast_runs AS r ON r.id = p.run_id ORDER BY 1, 2, 3"
        )


@pytest.fixture(scope="module")
def backfills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfills]:
    folder = tmp_path_factory.mktemp("backfill")
    world = World.create(folder / "home")
    world.deliver_span("2010-01", "2015-03")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.quality._validate", all_passed)
        world.ingest()
    train(world.workspace, until=month("2013-12"), config=TINY)
    with prefect_server(folder) as server, SyncPrefectClient(server.api_url) as client:
        yield Backfills(world, server, client)


@pytest.fixture(scope="module")
def killed(backfills: Backfills) -> int:
    """A backfill is killed with its processes in the middle; how many hindcasts there are then."""
    running = backfills.start(FIRST, LAST)
    deadline = time.monotonic() + HANGS_S
    while backfills.hindcasts() < 2:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = psutil.Process(running.pid)
    for process in (*family.children(recursive=True), family):
        process.kill()
    running.wait()
    return backfills.hindcasts()


@pytest.fixture(scope="module")
def resumed(backfills: Backfills, killed: int) -> str:
    return backfills.run(FIRST, LAST)


def test_a_backfill_that_was_killed_goes_on_where_it_was(killed: int, resumed: str) -> None:
    assert 2 <= killed < 8
    assert f"{8 - killed} hindcasts made, {killed} existed already." in resumed


def test_each_hindcast_is_a_task_and_only_so_many_run_at_a_time(
    backfills: Backfills, killed: int, resumed: str
) -> None:
    run = backfills.newest()
    assert run.state_name == "Completed"
    tasks = backfills.tasks(run)
    assert len(tasks) == 8 - killed
    begun = [(task.start_time, 1) for task in tasks]
    ended = [(task.end_time, -1) for task in tasks]
    at_a_time = np.cumsum([step for _, step in sorted(begun + ended, key=lambda one: str(one[0]))])
    assert at_a_time.max() <= 2


def test_what_came_out_is_what_comes_out_one_by_one(
    backfills: Backfills, resumed: str, tmp_path: Path
) -> None:
    copy = World.create(tmp_path / "home")
    copy.deliver_span("2010-01", "2015-03")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.quality._validate", all_passed)
        copy.ingest()
    train(copy.workspace, until=month("2013-12"), config=TINY)
    backfill(copy.workspace, month(FIRST), month(LAST))
    there, here = backfills.numbers(), backfills.numbers(copy)
    assert [row[:3] for row in there] == [row[:3] for row in here]
    np.testing.assert_allclose(
        [row[3:] for row in there], [row[3:] for row in here], rtol=1e-5, atol=1e-6
    )
    assert backfills.world.count("skill_scores") > 0


def test_one_bar_shows_the_progress(backfills: Backfills, resumed: str) -> None:
    found = backfills.client.request("POST", "/artifacts/latest/filter", json={}).json()
    [bar] = [one for one in found if one["key"] == "backfill"]
    assert bar["data"] == 100.0
    assert "Hindcasts: " in bar["description"]


def test_nothing_is_started_where_nothing_is_missing(backfills: Backfills, resumed: str) -> None:
    before = backfills.newest().id
    assert "0 hindcasts made, 8 existed already." in backfills.run(FIRST, LAST)
    assert backfills.newest().id == before


def test_a_dask_cluster_makes_them_by_setting(
    backfills: Backfills, resumed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    monkeypatch.setenv("TIDENET_HOME", str(backfills.world.home))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    monkeypatch.chdir(backfills.world.home)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        workers = {str(worker.pid) for worker in cluster.workers.values()}
        said = backfills.run(
            "2014-09", "2014-12", TIDENET_DASK_SCHEDULER=str(cluster.scheduler_address)
        )
    assert "4 hindcasts made, 0 existed already." in said
    assert len(workers) == 2
    assert len(backfills.tasks(backfills.newest())) == 4
    hardware = backfills.world.rows("SELECT DISTINCT hardware FROM forecast_runs")
    assert all("CPU, 1 threads" in text for (text,) in hardware)
