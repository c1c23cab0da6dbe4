"""The whole loop on real services, run by Prefect alone.

Each step is a fixture that happens once; the tests look at what it left behind.
"""

import datetime as dt
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun, TaskRun
from services.postgres import PostgresServer
from services.s3 import S3Server
from services.whole_loop import Services, running_services

from storage.months import month, month_range

pytestmark = pytest.mark.xdist_group("prefect")

ROOT = Path(__file__).parents[2]
FIRST, LAST = "2010-01", "2014-12"
TRAIN_UNTIL = "2013-12"
HINDCASTS = ("2014-08", LAST)
NEW, DAMAGED = "2015-01", "2015-02"
TINY = """\
working_cells: 16
hidden_channels: 8
n_modes: 2
n_spectral_cells: 1
refiner_channels: [8]
fusion_channels: [8]
refiner_steps: 2
n_epochs: 1
n_history: 3
validation_months: 12
n_patterns: 4
"""


# --- the services ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def services(
    postgres_server: PostgresServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """Everything but the worker: servers, an empty archive, and five years in the bucket."""
    folder = tmp_path_factory.mktemp("services")
    (folder / "tiny.yaml").write_text(TINY)
    with running_services(folder, postgres_server, s3_server, FIRST, LAST) as running:
        yield running


# --- the steps ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def working(services: Services) -> Iterator[Services]:
    """The deployments are registered, and a worker takes flow runs."""
    done = services.tidenet("deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    with services.worker():
        yield services


@dataclass(frozen=True)
class Ingested:
    """An ingest by command line, the runs that it triggered, and the months it announced."""

    services: Services
    watched: subprocess.CompletedProcess[str]
    forecast: FlowRun
    verify: FlowRun
    n_triggered: int
    published: list[str]


@pytest.fixture(scope="module")
def filled(working: Services) -> Ingested:
    """Five years in the record. There is no model yet, so that the triggered forecast fails."""
    known = working.known_runs("forecast", "verify")
    watched = working.prefect.command(
        *("deployment", "run", "ingest-monthly/ingest-monthly"),
        *("--watch", "--watch-interval", "1"),
        cwd=working.folder,
    )
    forecast, verify = (working.triggered(name, known) for name in ("forecast", "verify"))
    n_triggered = len(working.known_runs("forecast", "verify") - known)
    return Ingested(working, watched, forecast, verify, n_triggered, working.published())


@pytest.fixture(scope="module")
def hindcast(filled: Ingested) -> Services:
    """A champion that learned from four years, and scored hindcasts from the fifth."""
    services = filled.services
    options = str(services.folder / "tiny.yaml")
    trained = services.run("retrain", until=TRAIN_UNTIL, config_file=options, note="first")
    assert trained.state_name == "Completed", trained.state
    first, last = HINDCASTS
    made = services.run("backfill", first=first, last=last)
    assert made.state_name == "Completed", made.state
    return services


@dataclass(frozen=True)
class Arrival:
    """A new month's file, and what followed from it."""

    services: Services
    ingest: FlowRun
    forecast: FlowRun
    verify: FlowRun


@pytest.fixture(scope="module")
def arrived(hindcast: Services) -> Arrival:
    """One more month in the bucket; only the ingest is started."""
    hindcast.deliver(NEW)
    known = hindcast.known_runs("forecast", "verify")
    ingest = hindcast.run("ingest-monthly")
    forecast, verify = (hindcast.triggered(name, known) for name in ("forecast", "verify"))
    return Arrival(hindcast, ingest, forecast, verify)


@dataclass(frozen=True)
class Refusal:
    """A damaged file's flow run, and the record's history before it."""

    services: Services
    run: FlowRun
    history: list[str]
    known: set[UUID]


@pytest.fixture(scope="module")
def refused(arrived: Arrival) -> Refusal:
    """The next month's file arrives cut off half-way."""
    services = arrived.services
    history, known = services.history(), services.known_runs("forecast", "verify")
    whole = services.provider.deliver(DAMAGED).read_bytes()
    services.deliver(DAMAGED, whole[: len(whole) // 2])
    return Refusal(services, services.run("ingest-monthly"), history, known)


def days(first: str, last: str) -> list[dt.date]:
    """Return the first days of months, as the archive gives them."""
    return [each.astype(object) for each in month_range(month(first), month(last))]


# --- the first ingest -----------------------------------------------------------------------------


def test_the_backlog_is_ingested_from_the_bucket(filled: Ingested) -> None:
    assert filled.watched.returncode == 0, filled.watched.stdout + filled.watched.stderr
    assert filled.services.rows("SELECT count(*), min(month), max(month) FROM latest_months") == [
        (60, days(FIRST, FIRST)[0], days(LAST, LAST)[0])
    ]
    assert len(filled.services.objects("record")) > 60


def test_a_backlog_announces_every_month_and_triggers_one_forecast(filled: Ingested) -> None:
    months = [str(each) for each in month_range(month(FIRST), month(LAST))]
    assert filled.published == months
    assert filled.n_triggered == 2  # one forecast and one verification


def test_a_named_error_fails_the_run_at_once_with_what_to_do(filled: Ingested) -> None:
    assert filled.forecast.state_name == "Failed"
    assert "no champion" in str(filled.forecast.state.message)
    assert "tidenet train" in str(filled.forecast.state.message)
    (task,) = filled.services.tasks_of(filled.forecast.id)
    assert task.run_count == 1


def test_verifying_before_there_is_a_forecast_is_no_error(filled: Ingested) -> None:
    assert filled.verify.state_name == "Completed"


# --- model and hindcasts --------------------------------------------------------------------------


def test_the_champion_and_its_weights_are_where_the_settings_say(hindcast: Services) -> None:
    ((version, url),) = hindcast.rows(
        "SELECT model_version, weights_url FROM champion JOIN model_versions ON "
        "version = model_version"
    )
    assert version.startswith("tidenet-201312")
    assert url.startswith(f"{hindcast.place}/models/")
    assert any(version in key for key in hindcast.objects("models"))


def test_every_hindcast_has_its_fields_in_the_bucket_and_its_scores_in_sql(
    hindcast: Services,
) -> None:
    runs = hindcast.rows(
        "SELECT init_month, fields_url FROM forecast_runs WHERE issued_kind = 'hindcast' ORDER BY 1"
    )
    assert [init for init, _ in runs] == days(*HINDCASTS)
    assert all(hindcast.filesystem.exists(url) for _, url in runs)
    scored = hindcast.rows(
        "SELECT init_month, count(*) FROM scores_current "
        f"WHERE region = 'ecs-shelf' AND valid_month <= '{LAST}-01' GROUP BY 1 ORDER BY 1"
    )
    # From August four months were observed, from November one, from December none.
    assert scored == list(zip(days("2014-08", "2014-11"), (4, 3, 2, 1), strict=True))


# --- a new month ----------------------------------------------------------------------------------


def test_a_new_month_is_forecast_from_without_anybodys_help(arrived: Arrival) -> None:
    assert arrived.ingest.state_name == "Completed"
    assert arrived.forecast.state_name == "Completed", arrived.forecast.state
    found = arrived.services.rows(
        "SELECT init_month, count(*) FROM forecast_latest WHERE issued_kind = 'live' "
        "AND region = 'ecs-shelf' GROUP BY 1"
    )
    assert found == [(days(NEW, NEW)[0], 6)]


def test_the_earlier_forecasts_of_it_are_verified_without_anybodys_help(arrived: Arrival) -> None:
    assert arrived.verify.state_name == "Completed", arrived.verify.state
    found = arrived.services.rows(
        "SELECT init_month, lead_months FROM scores_current "
        f"WHERE region = 'ecs-shelf' AND valid_month = '{NEW}-01' ORDER BY 1"
    )
    assert found == list(zip(days(*HINDCASTS), (5, 4, 3, 2, 1), strict=True))
    ((n_months, rmse),) = arrived.services.rows(
        "SELECT n_months, rmse FROM skill_by_lead WHERE region = 'ecs-shelf' AND lead_months = 1"
    )
    assert n_months == len(found)
    assert 0 < rmse < 10


def test_what_triggered_the_forecast_was_the_published_month(arrived: Arrival) -> None:
    assert arrived.services.published()[-1] == NEW
    for run in (arrived.forecast, arrived.verify):
        assert run.created_by is not None
        assert run.created_by.type == "AUTOMATION"


# --- a damaged file -------------------------------------------------------------------------------


def test_a_damaged_file_fails_its_flow_run_with_the_reason(refused: Refusal) -> None:
    assert refused.run.state_name == "Failed"
    said = str(refused.run.state.message)
    for words in ("FilesRefusedError", "SMALL_201502.nc", "in quarantine", "What to do"):
        assert words in said


def test_a_damaged_file_is_kept_in_the_quarantine_bucket_with_its_report(refused: Refusal) -> None:
    names = [key.rpartition("/")[2] for key in refused.services.objects("quarantine")]
    assert {"SMALL_201502.nc", "report.json"} <= set(names)
    assert refused.services.rows("SELECT file_name FROM quarantine_open") == [("SMALL_201502.nc",)]


def test_a_damaged_file_leaves_the_record_and_the_forecasts_alone(refused: Refusal) -> None:
    assert refused.services.history() == refused.history
    assert refused.services.published()[-1] == NEW
    assert refused.services.known_runs("forecast", "verify") == refused.known


# --- without a worker -----------------------------------------------------------------------------


def call(services: Services, statement: str, **changes: str) -> subprocess.Popen[str]:
    """Start plain Python that calls a flow, against the server."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from flows.monthly import *; print('RESULT', {statement})"],
        env={**services.prefect.environment, **services.environment, **changes},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_flow_is_a_function_and_finds_what_exists(refused: Refusal) -> None:
    before = refused.services.rows("SELECT id FROM forecast_runs ORDER BY id")
    output, errors = call(refused.services, "forecast_months()").communicate(timeout=300)
    result = re.search(r"RESULT (.*)", output)
    assert result is not None, errors
    assert "'created': False" in result[1] and f"'init_month': '{NEW}'" in result[1]
    assert refused.services.rows("SELECT id FROM forecast_runs ORDER BY id") == before


def test_a_database_that_is_down_is_tried_again(
    filled: Ingested, throwaway_postgres: PostgresServer
) -> None:
    services = filled.services
    throwaway_postgres.stop()
    running = call(
        services,
        "verify_forecasts()",
        TIDENET_DATABASE=throwaway_postgres.url(),
        TIDENET_ATTEMPTS="1",
        TIDENET_TIMEOUT_S="2",
    )

    def waiting() -> TaskRun | None:
        assert running.poll() is None, "it gave up"
        by_hand = (run for run in services.client.read_flow_runs() if not run.deployment_id)
        tasks = (task for run in by_hand for task in services.tasks_of(run.id))
        return next((task for task in tasks if task.state_name == "AwaitingRetry"), None)

    task = services.wait_for(waiting, "a task that waits to be tried again")
    throwaway_postgres.start()
    output, errors = running.communicate(timeout=300)
    assert "'n_scored': 0" in output, errors
    assert "DatabaseUnavailableError" in errors
    assert services.client.read_task_run(task.id).run_count == 2
    assert throwaway_postgres.password not in errors


# --- secrets --------------------------------------------------------------------------------------


def test_no_log_holds_a_secret(refused: Refusal) -> None:
    logs = refused.services.logs()
    assert "SMALL_201502.nc" in logs
    secrets = refused.services.secrets
    assert [name for name, secret in secrets.items() if secret in logs] == []
