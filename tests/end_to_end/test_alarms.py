"""Alarms that ring by themselves, drift that leads to retraining, and work that asks for a GPU."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from prefect.client.schemas.objects import FlowRun
from services.postgres import PostgresServer
from services.s3 import S3Server
from services.small_loop import TINY, all_passed, dataset, flux
from services.webhook import Webhook, listening
from services.whole_loop import Services, running_services

from flows.operations.ingest import ingest
from flows.operations.train import train
from storage.months import month, month_range

pytestmark = pytest.mark.xdist_group("alarms")

FIRST, LAST, TRAIN_UNTIL = "2010-01", "2014-12", "2013-12"
SHIFTED = [str(each) for each in month_range(month("2014-01"), month(LAST))]
RESTLESS = "tidenet: nobody watches"


@dataclass(frozen=True)
class Alarms:
    """The services, and what was posted to the webhook."""

    services: Services
    hook: Webhook

    def heard(self, subject: str) -> str:
        """Wait for an alarm and return its text."""
        return self.services.wait_for(lambda: self.hook.body_of(subject), f"the alarm {subject!r}")


@pytest.fixture(scope="module")
def alarms(
    postgres_server: PostgresServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alarms]:
    """Everything is deployed; the record ends years ago, and no model was trained."""
    folder: Path = tmp_path_factory.mktemp("alarms")
    (folder / "tiny.yaml").write_text(
        "".join(f"{name}: {value}\n" for name, value in TINY.model_dump(mode="json").items())
    )
    with (
        listening() as hook,
        running_services(
            folder,
            postgres_server,
            s3_server,
            FIRST,
            LAST,
            TIDENET_EXPECTED_DAYS="20",
            TIDENET_ALARM_WEBHOOK=hook.url,
        ) as services,
    ):
        # From 2014 on the sea is another one than the one that is learned from.
        for name in SHIFTED:
            other = (flux(month(name)) + 6).astype(np.float32)
            services.provider.deliver(name, dataset(month(name), other))
            file = services.provider.path(name)
            services.filesystem.put_file(str(file), f"{services.place}/landing/{file.name}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ingest.quality._validate", all_passed)
            ingest(services.workspace)
        done = services.tidenet("deploy")
        assert done.returncode == 0, done.stdout
        yield Alarms(services, hook)


# --- workers --------------------------------------------------------------------------------------


def test_workers_that_are_gone_ring(alarms: Alarms) -> None:
    with alarms.services.worker(log="leaving-worker.log"):
        log = alarms.services.folder / "leaving-worker.log"
        alarms.services.wait_for(lambda: "started!" in log.read_text(), "the worker")
    assert "tidenet-cpu" in alarms.heard("tidenet: the workers are gone")


@pytest.fixture(scope="module")
def working(alarms: Alarms) -> Iterator[Alarms]:
    with alarms.services.worker():
        yield alarms


@pytest.fixture(scope="module")
def watched(working: Alarms) -> FlowRun:
    """The daily look for what is late."""
    return working.services.run("watch")


def test_a_month_that_did_not_come_by_the_expected_day_rings(
    working: Alarms, watched: FlowRun
) -> None:
    assert watched.state_name == "Completed"
    assert "2015-01 to 20" in working.heard("tidenet: a month is overdue")
    assert "expected 20 days after" in working.heard("tidenet: a month is overdue")


def test_a_forecast_that_was_not_made_rings(working: Alarms, watched: FlowRun) -> None:
    assert "from 2014-12 (none)" in working.heard("tidenet: a forecast is overdue")


def test_a_run_that_fails_rings_with_its_reason(working: Alarms) -> None:
    assert working.services.run("forecast").state_name == "Failed"
    assert "no champion" in working.heard("tidenet: forecast Failed")


def test_that_nobody_looks_rings(working: Alarms, watched: FlowRun) -> None:
    working.services.hasten(RESTLESS, 10)
    assert "tidenet-cpu" in working.heard(RESTLESS)


# --- drift ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drifted(working: Alarms) -> tuple[FlowRun, FlowRun]:
    """A model that learned from another sea is verified; what follows, follows by itself."""
    services = working.services
    train(services.workspace, until=month(TRAIN_UNTIL), config=TINY)
    known = services.known_runs("retrain")
    verified = services.run("verify")
    return verified, services.triggered("retrain", known)


def test_input_that_left_what_was_learned_from_leads_to_retraining(
    working: Alarms, drifted: tuple[FlowRun, FlowRun]
) -> None:
    verified, retrained = drifted
    assert verified.state_name == "Completed"
    assert retrained.created_by is not None
    assert retrained.created_by.type == "AUTOMATION"
    assert "the mean flux has left" in working.heard("tidenet: the model drifts")
    looks = working.services.rows(
        "SELECT statistic, drifting, level > 0 FROM input_drift_checks ORDER BY statistic"
    )
    assert ("mean", True, True) in looks


def test_drift_that_was_seen_once_rings_once(
    working: Alarms, drifted: tuple[FlowRun, FlowRun]
) -> None:
    known = working.services.known_runs("retrain")
    before = working.hook.subjects().count("tidenet: the model drifts")
    assert working.services.run("verify").state_name == "Completed"
    assert working.hook.subjects().count("tidenet: the model drifts") == before
    assert working.services.known_runs("retrain") == known


# --- a GPU ----------------------------------------------------------------------------------------


def test_without_a_gpu_worker_the_cpu_forecasts_and_the_run_says_so(
    working: Alarms, drifted: tuple[FlowRun, FlowRun]
) -> None:
    assert working.services.run("forecast").state_name == "Completed"
    [(placement,)] = working.services.rows("SELECT placement FROM forecast_runs")
    assert placement == (
        "A GPU was asked for; no worker of tidenet-gpu is online: computed on the CPU."
    )


def test_with_a_gpu_worker_it_does_the_work(
    working: Alarms, drifted: tuple[FlowRun, FlowRun]
) -> None:
    services = working.services
    before = services.rows("SELECT id FROM forecast_runs")
    with services.worker("tidenet-gpu", "gpu-worker.log"):
        log = services.folder / "gpu-worker.log"
        services.wait_for(lambda: "started!" in log.read_text(), "the GPU worker")
        assert services.run("forecast", init="2014-11").state_name == "Completed"
    handed = services.runs_of("forecast-on-gpu")
    assert [run.state_name for run in handed] == ["Completed"]
    made = services.rows("SELECT id, placement FROM forecast_runs ORDER BY created_at")
    assert len(made) == len(before) + 1  # it was not computed a second time here
    assert made[-1][1] == ""


# --- the UI ---------------------------------------------------------------------------------------


def test_a_run_shows_its_results_in_the_ui(
    working: Alarms, drifted: tuple[FlowRun, FlowRun]
) -> None:
    services = working.services
    services.wait_for(lambda: services.rows("SELECT 1 FROM forecast_runs") or None, "a forecast")
    found = {
        str(one["key"]): one
        for one in services.client.request("POST", "/artifacts/filter", json={"limit": 200}).json()
    }
    assert {"forecast-map", "forecast-by-region"} <= set(found)
    assert found["forecast-map"]["data"].startswith("data:image/png;base64,")
    assert "ecs-shelf" in found["forecast-by-region"]["data"]


def test_no_log_holds_the_address_of_the_webhook(alarms: Alarms) -> None:
    assert "secret-token" not in alarms.services.logs()
