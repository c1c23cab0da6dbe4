"""The flows that go back: hindcasts for many init months, and months that are taken again."""

from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.futures import as_completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from flows import artifacts
from flows.monthly import announce, ingest_files, refuse_quarantined, score_forecasts
from flows.operations.backfill import Hindcasts, plan_backfill
from flows.operations.workspace import Progress, no_progress
from flows.parameters import First, Last, Product, Reason, Seed, Workers
from flows.steady import NETWORK, RECORD, STEADY, load, was_started_before, workspace
from storage.months import month as parse_month
from storage.months import month_range
from storage.settings import Settings

shown_progress: ContextVar[Progress] = ContextVar("shown_progress", default=no_progress)
"""Where a backfill shows its progress besides the Prefect UI; the command line sets it."""


# --- hindcasts ------------------------------------------------------------------------------------


@task(name="make-hindcast", timeout_seconds=3600, **STEADY)
def make_hindcast(
    init: str, model_version: str, snapshot_id: str, seed: int, threads: int
) -> dict[str, Any]:
    """Make one hindcast, in whatever process the task runner chose; return its run's id."""
    load(*NETWORK, *RECORD)
    import torch

    torch.set_num_threads(threads)
    made = _hindcasts(model_version, snapshot_id, seed).make(parse_month(init))
    return {"init_month": init, "run_id": made.run_id, "created": made.created}


@lru_cache(maxsize=1)
def _hindcasts(model_version: str, snapshot_id: str, seed: int) -> Hindcasts:
    """Return what a process makes hindcasts with: loaded once, not once a month."""
    return Hindcasts.of(workspace(), model_version, snapshot_id, seed)


@flow(name="backfill", timeout_seconds=25 * 3600)
def backfill_hindcasts(
    first: First, last: Last, seed: Seed = 0, workers: Workers = None
) -> dict[str, Any]:
    """Make hindcasts for many init months side by side, then score them.

    What exists is left alone, so that a backfill that was stopped goes on where it was.
    """
    was_started_before()
    here = workspace()
    plan = plan_backfill(here, parse_month(first), parse_month(last), seed=seed)
    n_existing = len(plan.wanted) - len(plan.missing)
    failed = _make_missing(plan, seed, here.settings, workers) if plan.missing else []
    made = len(plan.missing) - len(failed)
    get_run_logger().info("%d hindcasts made, %d existed already.", made, n_existing)
    scored = score_forecasts()
    if failed:
        raise failed[0]
    artifacts.skill_table()
    return {"made": made, "existed": n_existing, "n_scored": scored["n_scored"]}


def _make_missing(
    plan: Any, seed: int, settings: Settings, workers: int | None
) -> list[BaseException]:
    """Make what a plan lacks, a few side by side; return the errors of those that failed."""
    n_workers = min(workers or settings.backfill_workers, len(plan.missing))
    progress, bar = shown_progress.get(), artifacts.ProgressBar("backfill", "Hindcasts")
    errors: list[BaseException] = []
    with task_runner(settings, n_workers) as runner:
        given = {
            "model_version": plan.hindcasts.model.version,
            "snapshot_id": plan.hindcasts.now.store.snapshot_id,
            "seed": seed,
            "threads": threads_of(settings, n_workers),
        }
        futures = [
            runner.submit(make_hindcast, parameters={"init": str(init), **given})
            for init in plan.missing
        ]
        for done, future in enumerate(as_completed(futures), start=1):
            result = future.result(raise_on_failure=False)
            if isinstance(result, BaseException):
                errors.append(result)
            progress(done, len(futures), f"{len(errors)} failed" if errors else "")
            bar.show(done, len(futures))
    return errors


def task_runner(settings: Settings, n_workers: int) -> AbstractContextManager[TaskRunner[Any]]:
    """Return what runs hindcasts side by side: processes of this machine, or a Dask cluster."""
    if settings.dask_scheduler:
        from prefect_dask import DaskTaskRunner

        dask: AbstractContextManager[TaskRunner[Any]] = DaskTaskRunner(
            address=settings.dask_scheduler
        )
        return dask
    return ProcessPoolTaskRunner(max_workers=n_workers)


def threads_of(settings: Settings, n_workers: int) -> int:
    """Return how many threads a hindcast may use, so that those side by side share the cores.

    On a Dask cluster one: there, each worker's own threads are what runs side by side.
    """
    import os

    return 1 if settings.dask_scheduler else max(1, (os.cpu_count() or 1) // n_workers)


# --- months that are taken again ------------------------------------------------------------------


@flow(name="reprocess", timeout_seconds=25 * 3600)
def reprocess(first: First, last: Last, reason: Reason, product: Product = None) -> dict[str, Any]:
    """Read, check and complete months again though their files have not changed.

    For a corrected specification or a new completion basis. What comes out otherwise is a revision
    of its month; forecasts that had read it are made again.
    """
    was_started_before()
    months = [str(month) for month in month_range(parse_month(first), parse_month(last))]
    files = ingest_files(product, months, again=reason)
    announce(files, product)
    refuse_quarantined(files)
    outcomes = [file["outcome"] for file in files]
    return {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
