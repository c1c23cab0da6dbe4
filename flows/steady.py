"""What makes every flow steady: retries, bounded restarts, and the workspace of the worker.

Every task may run twice: the operations find what is done and leave it alone. That is what makes
retries safe after a crash, which rolls nothing back, and what lets a flow run that died be started
again and go on.
"""

import importlib
import threading
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.tasks import exponential_backoff

from flows.operations.workspace import Workspace, read_settings
from storage.errors import TidenetError

MOST_STARTS = 4
"""How often one flow run may be started. A run that dies each time, for want of memory say, would
die for ever."""


class DiesAgainAndAgainError(TidenetError):
    """A flow run was started anew several times and died each time."""


def is_worth_a_retry(_task: Any, _run: Any, state: Any) -> bool:
    """Return whether a failed task may do better the next time.

    A named error that a person has to act on will not go away by itself: trying again would only
    delay its message. What is outside may come back.
    """
    from ingest.errors import SourceUnavailableError
    from storage.database import DatabaseUnavailableError
    from storage.locations import StoreUnavailableError
    from storage.record_errors import ConcurrentWriteError

    error = state.result(raise_on_failure=False)
    comes_back = (
        DatabaseUnavailableError,
        StoreUnavailableError,
        SourceUnavailableError,
        ConcurrentWriteError,
    )
    return isinstance(error, comes_back) or not isinstance(error, TidenetError)


STEADY: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=10),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_worth_a_retry,
}
"""Options of every task."""


RECORD = ("icechunk", "s3fs", "xarray", "zarr")
"""Libraries that read and write the record and archived fields."""

CHECKS = ("great_expectations", "h5netcdf")
"""Libraries that read and check product files."""

NETWORK = ("accelerate", "diffusers", "safetensors.torch", "torch")
"""Libraries that a network is trained and run with."""


def load(*modules: str) -> None:
    """Import modules in a thread of their own, where no interruption reaches.

    Prefect ends a task whose time is up, or whose place in its queue is lost, by an exception in
    the middle of whatever its thread does. In the middle of an import that leaves half a module
    behind, and all that follows in the same process fails or hangs, retries included.
    """
    thread = threading.Thread(target=lambda: [importlib.import_module(name) for name in modules])
    thread.start()
    thread.join()


def workspace() -> Workspace:
    """Return the workspace that the worker's environment describes."""
    return Workspace(read_settings())


def was_started_before() -> bool:
    """Return whether this flow run was started before, and died.

    Raises
    ------
    DiesAgainAndAgainError
        If it was started too often.
    """
    starts = flow_run.run_count or 1
    if starts > MOST_STARTS:
        raise DiesAgainAndAgainError(
            "This run has died each time that it was started.",
            found=f"start number {starts}",
            expected=f"at most {MOST_STARTS} starts",
            remedy="Look at the worker's log for what killed it (often memory), then start it by "
            "hand: what it had finished is kept.",
        )
    return starts > 1
