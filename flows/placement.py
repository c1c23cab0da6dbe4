"""Work that asks for a GPU: on a worker of the GPU pool if there is one, else where the run is."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, WorkerStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled

from flows.operations.workspace import best_device

GPU_POOL = "tidenet-gpu"
POLL_S = 3.0

ASKED = "A GPU was asked for"


def run_on_gpu(deployment: str, parameters: Mapping[str, Any], wait_s: float) -> tuple[bool, str]:
    """Run a deployment of the GPU pool, and return whether it did, with what to record.

    Parameters
    ----------
    deployment
        ``flow/deployment`` of the GPU pool.
    parameters
        Of the flow.
    wait_s
        Longest wait for a worker to start it (seconds). It is cancelled then.

    Returns
    -------
    tuple
        True if it was completed there. Otherwise the work is still to be done here, and the text
        says why it is done here.
    """
    if best_device() == "cuda":
        return False, f"{ASKED}; this worker has one."
    logger = get_run_logger()
    with get_client(sync_client=True) as client:
        if not _has_worker(client):
            return False, f"{ASKED}; no worker of {GPU_POOL} is online: computed on the CPU."
        started = run_deployment(deployment, parameters=dict(parameters), timeout=0)
        assert isinstance(started, FlowRun)
        logger.info("Handed to the GPU pool as flow run %s.", started.name)
        ended = _ended(client, started.id, wait_s)
    if ended is None:
        return False, (
            f"{ASKED}; no worker of {GPU_POOL} took it up within {wait_s:g} s: computed on the CPU."
        )
    if ended.state is not None and ended.state.is_completed():
        return True, f"{ASKED}; flow run {ended.name} of {GPU_POOL} did it."
    logger.warning("The run on the GPU ended as %s: done here instead.", ended.state_name)
    return False, f"{ASKED}; flow run {ended.name} ended as {ended.state_name}: done on the CPU."


def _has_worker(client: SyncPrefectClient) -> bool:
    try:
        workers = client.read_workers_for_work_pool(GPU_POOL)
    except ObjectNotFound:
        return False
    return any(worker.status == WorkerStatus.ONLINE for worker in workers)


def _ended(client: SyncPrefectClient, run_id: UUID, wait_s: float) -> FlowRun | None:
    """Return a flow run at its end; None if nobody started it in time, and it is cancelled."""
    deadline = time.monotonic() + wait_s
    while True:
        run = client.read_flow_run(run_id)
        state = run.state
        if state is not None and state.is_final():
            return run
        waiting = state is None or state.is_scheduled() or state.is_pending()
        if waiting and time.monotonic() > deadline:
            client.set_flow_run_state(run_id, Cancelled(message="Nobody took it up."), force=True)
            return None
        time.sleep(POLL_S)
