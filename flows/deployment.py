"""Everything that Prefect has to know, registered: pools, queues, deployments, automations.

Registering again changes nothing but what differs, and says what that was. What stands in
``prefect.yaml`` is left to ``prefect deploy``; the rest goes through Prefect's client.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

from flows.alarms import register_automations, trigger_shown
from flows.changes import Change
from flows.placement import GPU_POOL
from storage.errors import TidenetError
from storage.settings import Settings

ROOT = Path(__file__).parents[1]
CPU_POOL = "tidenet-cpu"

QUEUES = {"monthly": 1, "upkeep": 2, "learning": 3, "by-hand": 4}
"""Queues of the CPU pool with their priority: a month never waits for a backfill."""

DEPLOY_LIMIT_S = 600


class DeploymentFailedError(TidenetError):
    """Prefect would not register the deployments."""


class PrefectUnavailableError(TidenetError):
    """The Prefect server does not answer."""


@dataclass(frozen=True)
class PoolTemplates:
    """Where flow runs of the pools happen.

    Parameters
    ----------
    pool_type
        As Prefect names it: ``process``, ``kubernetes``, ``docker``.
    cpu, gpu
        Base job templates (JSON files); None for Prefect's own.
    """

    pool_type: str = "process"
    cpu: Path | None = None
    gpu: Path | None = None


def deploy(settings: Settings, templates: PoolTemplates, root: Path = ROOT) -> list[Change]:
    """Register everything with the Prefect server of the environment (``PREFECT_API_URL``).

    Parameters
    ----------
    settings
        Where alarms go.
    templates
        Where flow runs happen.
    root
        Folder with ``prefect.yaml``, ``deploy/`` and ``flows/``.

    Raises
    ------
    PrefectUnavailableError
        If there is no server.
    DeploymentFailedError
        If Prefect refuses something; its own words are in the message.
    """
    with get_client(sync_client=True) as client:
        _require_server(client)
        changes = _register_pools(client, templates)
        before = _deployments(client)
        _run_prefect_deploy(root)
        after = _deployments(client)
        changes += _compared(before, after, _declared(root))
        changes += register_automations(client, settings, root / "deploy" / "automations.yaml")
    return changes


def _require_server(client: SyncPrefectClient) -> None:
    trouble = client.api_healthcheck()
    if trouble is not None:
        raise PrefectUnavailableError(
            "The Prefect server does not answer.",
            found=f"{client.api_url}: {trouble}",
            remedy="Start it (prefect server start), or correct PREFECT_API_URL.",
        )


# --- pools and queues -----------------------------------------------------------------------------


def _register_pools(client: SyncPrefectClient, templates: PoolTemplates) -> list[Change]:
    changes = []
    for name, file in ((CPU_POOL, templates.cpu), (GPU_POOL, templates.gpu)):
        template = json.loads(file.read_text()) if file is not None else None
        changes.append(_register_pool(client, name, templates.pool_type, template))
    for name, priority in QUEUES.items():
        changes.append(_register_queue(client, name, priority))
    return changes


def _register_pool(
    client: SyncPrefectClient, name: str, pool_type: str, template: Mapping[str, Any] | None
) -> Change:
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        given = {} if template is None else {"base_job_template": dict(template)}
        client.create_work_pool(WorkPoolCreate(name=name, type=pool_type, **given))
        return Change("work pool", name, "created", pool_type)
    if pool.type != pool_type:
        return Change(
            "work pool", name, "unchanged", f"stays of type {pool.type}: delete it for {pool_type}"
        )
    if template is not None and pool.base_job_template != template:
        client.update_work_pool(name, WorkPoolUpdate(base_job_template=dict(template)))
        return Change("work pool", name, "changed", "base job template")
    return Change("work pool", name, "unchanged")


def _register_queue(client: SyncPrefectClient, name: str, priority: int) -> Change:
    full_name = f"{CPU_POOL}/{name}"
    try:
        queue = client.read_work_queue_by_name(name, work_pool_name=CPU_POOL)
    except ObjectNotFound:
        client.create_work_queue(name, work_pool_name=CPU_POOL, priority=priority)
        return Change("work queue", full_name, "created", f"priority {priority}")
    if queue.priority != priority:
        client.update_work_queue(queue.id, priority=priority)
        return Change(
            "work queue",
            f"{CPU_POOL}/{name}",
            "changed",
            f"priority {queue.priority} to {priority}",
        )
    return Change("work queue", full_name, "unchanged")


# --- deployments ----------------------------------------------------------------------------------


def _run_prefect_deploy(root: Path) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=DEPLOY_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeploymentFailedError(
            "Prefect did not end registering the deployments.",
            found=f"nothing within {DEPLOY_LIMIT_S} s",
            remedy="Look at the Prefect server's log, then run tidenet deploy again.",
        ) from error
    if done.returncode:
        raise DeploymentFailedError(
            "Prefect would not register the deployments.",
            found=" ".join((done.stderr or done.stdout).split("\n")[-6:]).strip(),
            remedy="Correct prefect.yaml, then run tidenet deploy again.",
        )


def _declared(root: Path) -> list[str]:
    return [
        one["name"] for one in yaml.safe_load((root / "prefect.yaml").read_text())["deployments"]
    ]


def _deployments(client: SyncPrefectClient) -> dict[str, dict[str, Any]]:
    """Return what is registered of each deployment, as far as it is ours to declare."""
    found = {}
    for one in client.read_deployments(limit=200):
        if "tidenet" not in one.tags:
            continue
        options = one.concurrency_options
        found[one.name] = {
            "entrypoint": one.entrypoint,
            "path": one.path,
            "description": one.description,
            "tags": sorted(one.tags),
            "parameters": one.parameters,
            "form": one.parameter_openapi_schema,
            "schedules": sorted(_schedule(schedule) for schedule in one.schedules),
            "work pool": f"{one.work_pool_name}/{one.work_queue_name}",
            "concurrency": f"{_limit(one)} {options.collision_strategy if options else ''}",
            "triggers": _triggers(client, one.id),
        }
    return found


def _schedule(schedule: Any) -> str:
    """Return a schedule for people; ours are all cron lines."""
    what = schedule.schedule
    cron = getattr(what, "cron", None) or str(what)
    return f"{cron} {getattr(what, 'timezone', '')} {'on' if schedule.active else 'off'}"


def _limit(deployment: Any) -> int | None:
    limit = deployment.global_concurrency_limit
    return None if limit is None else int(limit.limit)


def _triggers(client: SyncPrefectClient, deployment_id: Any) -> list[Any]:
    owned = client.read_resource_related_automations(f"prefect.deployment.{deployment_id}")
    return sorted((trigger_shown(one) for one in owned), key=str)


def _compared(
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Mapping[str, Any]],
    declared: list[str],
) -> list[Change]:
    changes = []
    for name in declared:
        if name not in before:
            changes.append(Change("deployment", name, "created"))
            continue
        different = [key for key, value in after[name].items() if before[name].get(key) != value]
        details = "; ".join(
            f"{key}: {before[name].get(key)} to {after[name][key]}"
            if len(str(after[name][key])) < 80
            else key
            for key in different
        )
        changes.append(Change("deployment", name, "changed" if different else "unchanged", details))
    for name in sorted(set(after) - set(declared)):
        remedy = "no longer declared; remove it: prefect deployment delete"
        changes.append(Change("deployment", name, "left over", remedy))
    return changes
