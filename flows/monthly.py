"""The flows of every month: a month arrives, is forecast from, and earlier forecasts are scored.

Thin tasks around the operations, handing each other ids and small records. Settings come from the
environment of the worker (``TIDENET_*``, ``AWS_*``). A flow can be called from Python like any
function, run from its deployment in ``prefect.yaml``, or started by hand in the Prefect UI.
"""

import datetime as dt
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.events import emit_event

from flows import artifacts
from flows.parameters import AsOf, Init, Months, Product, Seed, Where
from flows.placement import run_on_gpu
from flows.steady import CHECKS, NETWORK, RECORD, STEADY, load, was_started_before, workspace
from storage.errors import TidenetError
from storage.months import month as parse_month

PUBLISHED = "carbon-ecs.month.published"
"""Event of every month that was committed to the record; forecast and verification follow it."""

DRIFTING = "tide-net.drift.detected"
"""Event of a look that finds the champion, or what it is given, drifting; retraining follows it."""

WATCHED = "tidenet.watched"
"""Event of every look for what is late. Its absence is the alarm that nobody looks."""

OVERDUE = "tidenet.{what}.overdue"
"""Event of a month, or a forecast, that should be there by now."""


class FilesRefusedError(TidenetError):
    """Product files were put into quarantine."""


# --- a month arrives ------------------------------------------------------------------------------


@task(name="ingest-files", timeout_seconds=6 * 3600, **STEADY)
def ingest_files(
    product: str | None, months: list[str] | None, again: str = ""
) -> list[dict[str, Any]]:
    """Ingest what is new; return one small record a file."""
    load("flows.operations.ingest", *CHECKS, *RECORD)
    from flows.operations.ingest import ingest

    chosen = [parse_month(text) for text in months] if months else None
    return [
        {
            "file": file.file_name,
            "month": None if file.month is None else str(file.month),
            "outcome": str(file.outcome),
            "message": file.message,
            "snapshot_id": file.snapshot_id,
        }
        for file in ingest(workspace(), product, months=chosen, again=again)
    ]


@task(name="renew-drivers", timeout_seconds=4 * 3600, **STEADY)
def renew_drivers() -> list[dict[str, Any]]:
    """Take new months of the record's drivers; return what could not be taken of each."""
    load("flows.operations.drivers", *CHECKS, *RECORD)
    from flows.operations.drivers import renew_drivers as operation

    return [
        {
            "driver": driver.name,
            "added": len(driver.added),
            "revised": len(driver.revised),
            "problems": [f"{month}: {why}" for month, why in driver.problems],
        }
        for driver in operation(workspace())
    ]


@flow(name="ingest-monthly", timeout_seconds=8 * 3600)
def ingest_monthly(product: Product = None, months: Months = None) -> list[dict[str, Any]]:
    """Look for new or changed product files; check, complete and commit them.

    Raises
    ------
    FilesRefusedError
        If a file was put into quarantine. Months that were good are committed all the same.
    """
    was_started_before()
    files = ingest_files(product, months)
    announce(files, product)
    return refuse_quarantined(files)


@task(name="look-for-unheard", timeout_seconds=600, **STEADY)
def look_for_unheard() -> list[dict[str, Any]]:
    """Return the last month as if it had just come, if what follows a month has not followed it."""
    from flows.operations.due import unheard_month

    found = unheard_month(workspace())
    if found is None:
        return []
    month, snapshot_id = found
    return [{"month": str(month), "outcome": "known", "snapshot_id": snapshot_id}]


def announce(files: list[dict[str, Any]], product: str | None) -> None:
    """Renew the drivers, then let everybody know which months were published.

    Where none was, the last one is announced if nobody heard of it: whoever committed it may have
    died before saying so, or worked by hand. Hearing of a month twice changes nothing.

    Parameters
    ----------
    files
        What an ingest did.
    product
        The product that it was asked to ingest.
    """
    logger = get_run_logger()
    _renew_drivers_if_possible()
    published = [file for file in files if file["outcome"] in ("committed", "revised")]
    looked_at = published or look_for_unheard()
    for file in looked_at:
        logger.info("%s %s: snapshot %s", file["month"], file["outcome"], file["snapshot_id"])
        emit_event(
            event=PUBLISHED,
            resource={
                "prefect.resource.id": f"carbon-ecs.month.{file['month']}",
                "carbon-ecs.snapshot": file["snapshot_id"],
                # Triggers act on the newest one: a backlog of years is one forecast, not hundreds.
                "carbon-ecs.newest": str(file is looked_at[-1]).lower(),
            },
            payload=file,
        )
    changed = [file for file in files if file["outcome"] != "unchanged" and file["month"]]
    artifacts.validation_report(product, [file["month"] for file in changed])


def _renew_drivers_if_possible() -> None:
    """Renew the drivers before anybody hears of a month: a forecast may read both.

    One that reads a driver which is missing says so by itself; the others need not wait for it.
    """
    logger = get_run_logger()
    drivers = renew_drivers(return_state=True)
    if not drivers.is_completed():
        logger.warning("drivers were not renewed: %s", drivers.message)
        return
    for driver in drivers.result():
        for problem in driver["problems"]:
            logger.warning("driver %s, %s", driver["driver"], problem)


def refuse_quarantined(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what an ingest did; raises FilesRefusedError if it put a file into quarantine."""
    for file in files:
        if file["outcome"] == "waiting":
            get_run_logger().warning("%s waits: %s", file["file"], file["message"])
    refused = [file for file in files if file["outcome"] == "quarantined"]
    if refused:
        raise FilesRefusedError(
            f"{len(refused)} product file(s) are in quarantine.",
            found="; ".join(f"{file['file']}: {file['message']}" for file in refused),
            remedy="See tidenet status; replace the files, or accept a warning with a reason.",
        )
    return files


# --- it is forecast from --------------------------------------------------------------------------


@task(name="make-forecasts", timeout_seconds=2 * 3600, **STEADY)
def make_forecasts(
    init: str | None, as_of: dt.datetime | None, seed: int, placement: str
) -> list[dict[str, Any]]:
    """Make every forecast that is due, or the one from an init month; return the runs' ids."""
    load("flows.operations.due", *NETWORK, *RECORD)
    from flows.operations.due import forecast_due
    from flows.operations.forecast import forecast

    if init is None and as_of is None:
        made = forecast_due(workspace(), seed=seed, placement=placement)
    else:
        wanted = parse_month(init) if init else None
        made = (forecast(workspace(), init=wanted, as_of=as_of, seed=seed, placement=placement),)
    return [
        {
            "run_id": run.run_id,
            "init_month": str(run.init_month),
            "model_version": run.model_version,
            "created": run.created,
        }
        for run in made
    ]


@flow(name="forecast", timeout_seconds=3 * 3600)
def forecast_months(
    init: Init = None, as_of: AsOf = None, seed: Seed = 0, where: Where = "gpu-or-here"
) -> list[dict[str, Any]]:
    """Forecast the next months with the champion model, into the archive."""
    was_started_before()
    placement = ""
    if where == "gpu-or-here":
        parameters = {"init": init, "as_of": as_of, "seed": seed, "where": "here"}
        wait_s = workspace().settings.gpu_wait_s
        _, placement = run_on_gpu("forecast/forecast-on-gpu", parameters, wait_s)
    # After a run on the GPU this finds what that one made, and makes nothing.
    runs = make_forecasts(init, as_of, seed, placement)
    get_run_logger().info("%s", placement or "Computed here.")
    for run in runs[-1:]:
        artifacts.forecast_map(run["run_id"], run["init_month"])
    return runs


# --- earlier forecasts are scored -----------------------------------------------------------------


@task(name="score-forecasts", timeout_seconds=2 * 3600, **STEADY)
def score_forecasts() -> dict[str, Any]:
    """Score what has been observed; return how much was new, and what is drifting."""
    load("flows.operations.verify", *RECORD)
    from flows.operations.verify import verify

    verified = verify(workspace())
    for run_id, found in verified.lost:
        get_run_logger().warning("Run %s was not scored, its fields are lost: %s", run_id, found)
    return {
        "n_runs": verified.n_runs,
        "n_scored": verified.n_scored,
        "n_lost": len(verified.lost),
        "alarms": list(verified.alarms),
    }


@flow(name="verify", timeout_seconds=3 * 3600)
def verify_forecasts() -> dict[str, Any]:
    """Score every archived forecast whose valid month has been observed; look for drift."""
    was_started_before()
    verified = score_forecasts()
    if verified["alarms"]:
        reason = " ".join(verified["alarms"])
        get_run_logger().warning("%s", reason)
        emit_event(
            event=DRIFTING,
            resource={"prefect.resource.id": "tide-net.champion"},
            payload={"reason": reason},
        )
    artifacts.skill_table()
    return verified


# --- what did not happen --------------------------------------------------------------------------


@task(name="look-for-overdue", timeout_seconds=600, **STEADY)
def look_for_overdue() -> list[dict[str, str]]:
    """Return what should be there by now and is not."""
    from flows.operations.status import status

    return [{"what": late.what, "message": late.message} for late in status(workspace()).overdue]


@flow(name="watch", timeout_seconds=1200)
def watch() -> list[dict[str, str]]:
    """Raise an alarm for each month and forecast that is late, and say that somebody looked."""
    late = look_for_overdue()
    for one in late:
        get_run_logger().warning("Overdue: %s", one["message"])
        emit_event(
            event=OVERDUE.format(what=one["what"]),
            resource={"prefect.resource.id": f"tidenet.{one['what']}"},
            payload=one,
        )
    emit_event(event=WATCHED, resource={"prefect.resource.id": "tidenet.watch"}, payload={})
    return late
