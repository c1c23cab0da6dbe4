"""What `tidenet deploy` registers, on a real Prefect server: deployments, pools, automations."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Task
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flows import Flow, load_flow_from_entrypoint
from services.postgres import PostgresServer
from services.prefect import PrefectServer, prefect_server

import flows.history
import flows.learning
import flows.monthly
import flows.upkeep

pytestmark = pytest.mark.xdist_group("deployments")

ROOT = Path(__file__).parents[2]
DECLARED = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
AUTOMATIONS = yaml.safe_load((ROOT / "deploy" / "automations.yaml").read_text())["automations"]
WANTED = {
    "ingest-monthly", "forecast", "forecast-on-gpu", "verify", "watch", "retrain",
    "retrain-on-gpu", "refresh-completion-basis", "maintenance", "backfill", "reprocess",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrefectServer]:
    """A Prefect server that nothing is registered with."""
    folder = tmp_path_factory.mktemp("deployments")
    behind = postgres_server.new_database()
    with prefect_server(folder, behind) as running:
        yield running
    postgres_server.drop_database(behind)


@pytest.fixture(scope="module")
def client(server: PrefectServer) -> Iterator[SyncPrefectClient]:
    with SyncPrefectClient(server.api_url) as found:
        yield found


def deploy(server: PrefectServer, home: Path, root: Path = ROOT, **changes: str) -> str:
    """Register what a checkout declares, and return what that said."""
    code = (
        "import sys; from pathlib import Path; from flows.deployment import PoolTemplates, deploy;"
        "from flows.upkeep_screen import print_changes; from flows.operations.workspace import "
        "read_settings; print_changes(deploy(read_settings(), PoolTemplates(), Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        env={**server.environment, "TIDENET_HOME": str(home), "COLUMNS": "300", **changes},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def first_time(server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    return deploy(server, tmp_path_factory.mktemp("home"))


# --- what stands in the files ---------------------------------------------------------------------


def test_every_flow_that_is_asked_for_has_a_deployment() -> None:
    assert {one["name"] for one in DECLARED} == WANTED


@pytest.mark.parametrize("declared", DECLARED, ids=lambda one: one["name"])
def test_a_deployment_says_what_it_does_where_and_with_what(
    declared: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert declared["description"] and "tidenet" in declared["tags"]
    assert declared["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    on_gpu = declared["name"].endswith("-on-gpu")
    assert declared["work_pool"]["name"] == ("tidenet-gpu" if on_gpu else "tidenet-cpu")
    assert declared["work_pool"]["work_queue_name"]
    found = load_flow_from_entrypoint(declared["entrypoint"])
    assert isinstance(found, Flow)
    assert found.name == declared["name"].removesuffix("-on-gpu")
    assert found.timeout_seconds is not None and found.timeout_seconds > 0
    found.validate_parameters(declared["parameters"])
    assert set(declared["parameters"]) == set(found.parameters.properties)


def tasks() -> list[Task[..., Any]]:
    modules = (flows.monthly, flows.learning, flows.history, flows.upkeep)
    found = {
        value.name: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Task)
    }
    return [found[name] for name in sorted(found)]


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_every_task_has_a_time_limit_and_retries_with_jitter(task: Task[..., Any]) -> None:
    assert task.timeout_seconds is not None and task.timeout_seconds > 0
    assert task.retries >= 1
    assert task.retry_jitter_factor
    assert callable(task.retry_delay_seconds) or task.retry_delay_seconds
    assert task.retry_condition_fn is not None


# --- what a server makes of them ------------------------------------------------------------------


def test_everything_is_registered(first_time: str, client: SyncPrefectClient) -> None:
    found = {one.name: one for one in client.read_deployments(limit=200)}
    assert set(found) == WANTED
    for one in DECLARED:
        registered = found[one["name"]]
        assert registered.description == one["description"]
        assert set(registered.tags) == set(one["tags"])
        assert len(registered.schedules) == len(one["schedules"])
        assert registered.work_pool_name == one["work_pool"]["name"]
        assert registered.work_queue_name == one["work_pool"]["work_queue_name"]
        assert registered.global_concurrency_limit is not None
        assert registered.global_concurrency_limit.limit == 1
        assert f"created  deployment {one['name']}" in first_time
    names = {one.name for one in client.read_automations()}
    assert {one["name"] for one in AUTOMATIONS} < names
    triggered = {name.partition("__")[0] for name in names if "__automation" in name}
    assert triggered == {"forecast", "verify", "retrain"}
    queues = {queue.name: queue.priority for queue in client.read_work_queues()}
    assert queues["monthly"] < queues["by-hand"]


def test_parameters_are_a_form_that_explains_and_refuses(
    first_time: str, client: SyncPrefectClient
) -> None:
    for one in client.read_deployments(limit=200):
        schema = one.parameter_openapi_schema
        assert one.enforce_parameter_schema
        for name, field in (schema or {}).get("properties", {}).items():
            assert field.get("description"), f"{one.name}: {name}"
    forecast = client.read_deployment_by_name("forecast/forecast")
    for wrong in ({"init": "May 2024"}, {"seed": -1}, {"where": "moon"}):
        with pytest.raises(PrefectHTTPStatusError, match="409"):
            client.create_flow_run_from_deployment(forecast.id, parameters=wrong)
    run = client.create_flow_run_from_deployment(forecast.id, parameters={"init": "2024-05"})
    client.delete_flow_run(run.id)


def test_registering_again_changes_nothing(
    server: PrefectServer, client: SyncPrefectClient, first_time: str, tmp_path: Path
) -> None:
    def state() -> list[Any]:
        deployments = [
            one.model_dump(include={"name", "parameters", "tags", "entrypoint", "work_queue_name"})
            for one in client.read_deployments(limit=200)
        ]
        return [
            sorted(deployments, key=lambda one: str(one["name"])),
            sorted(one.name for one in client.read_automations()),
            sorted(queue.name for queue in client.read_work_queues()),
        ]

    before = state()
    said = deploy(server, tmp_path)
    assert not re.search(r"^ *(created|changed|removed|left over)", said, re.MULTILINE), said
    assert f"{len(DECLARED) + len(AUTOMATIONS) + 6} unchanged" in said
    assert state() == before


def test_what_changed_is_said(
    server: PrefectServer, client: SyncPrefectClient, first_time: str, tmp_path: Path
) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "flows", root / "flows")
    (root / "deploy").mkdir()
    text = (ROOT / "prefect.yaml").read_text()
    (root / "prefect.yaml").write_text(text.replace('cron: "0 12 * * *"', 'cron: "30 12 * * *"'))
    changed = {"automations": [dict(one) for one in AUTOMATIONS[:-1]]}
    changed["automations"][0]["description"] = "Another description."
    (root / "deploy" / "automations.yaml").write_text(yaml.safe_dump(changed))
    said = deploy(server, tmp_path, root)
    assert re.search(r"changed  deployment watch: .*schedules: .*30 12", said), said
    assert f"changed  automation {AUTOMATIONS[0]['name']}: description" in said
    assert f"removed  automation {AUTOMATIONS[-1]['name']}" in said
    back = deploy(server, tmp_path)
    assert f"created  automation {AUTOMATIONS[-1]['name']}" in back
    assert "changed  deployment watch" in back


def test_a_deployment_that_is_no_longer_declared_is_named(
    server: PrefectServer, client: SyncPrefectClient, first_time: str, tmp_path: Path
) -> None:
    watch = client.read_deployment_by_name("watch/watch")
    client.create_deployment(flow_id=watch.flow_id, name="old-one", tags=["tidenet"])
    said = deploy(server, tmp_path)
    assert "left over  deployment old-one" in said
    client.delete_deployment(client.read_deployment_by_name("watch/old-one").id)


def test_the_address_of_the_webhook_is_kept_as_a_secret(
    server: PrefectServer, client: SyncPrefectClient, first_time: str, tmp_path: Path
) -> None:
    address = "https://hooks.example.org/token-1234567"
    said = deploy(server, tmp_path, TIDENET_ALARM_WEBHOOK=address)
    assert "created  notification custom-webhook/tidenet-alarms" in said
    block = client.read_block_document_by_name(
        "tidenet-alarms", "custom-webhook", include_secrets=False
    )
    assert "token-1234567" not in block.model_dump_json()
    alarms = [one for one in client.read_automations() if one.name in names_of_alarms()]
    assert {action.type for one in alarms for action in one.actions} == {"send-notification"}
    assert "unchanged" in deploy(server, tmp_path, TIDENET_ALARM_WEBHOOK=address)
    assert "token-1234567" not in said
    deploy(server, tmp_path)


def names_of_alarms() -> set[str]:
    return {one["name"] for one in AUTOMATIONS if "alarm" in one}


def test_a_block_that_does_not_exist_is_named(server: PrefectServer, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"UnknownBlockError.*slack-webhook/nobody"):
        deploy(server, tmp_path, TIDENET_ALARM_BLOCK="slack-webhook/nobody")


def test_without_a_server_that_is_said(server: PrefectServer, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="PrefectUnavailableError"):
        deploy(server, tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api")
