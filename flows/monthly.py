"""The Prefect flows: thin tasks around the operations, handing each other ids and small records.

Settings come from the environment of the worker (``TIDENET_*``, ``AWS_*``). A flow can be called
from Python like any function, run from its deployment in ``prefect.yaml``, or started by hand in
the Prefect UI. Every task may run twice: the operations find what is done and leave it alone.
That is what makes retries safe after a crash, which rolls nothing back.
"""

from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.tasks import exponential_backoff

from flows.operations.workspace import Workspace, read_settings
from storage.errors import TidenetError
from storage.months import month as parse_month

PUBLISHED = "carbon-ecs.month.published"
"""Event emitted for every month that was committed to the record."""

STEADY: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=10),
    "retry_jitter_factor": 0.5,
    # A named error will not go away by itself: trying again would only delay its message.
    "retry_condition_fn": lambda _task, _run, state: not _is_named(state),
}


class FilesRefusedError(TidenetError):
    """Product files were put into quarantine."""


def _is_named(state: Any) -> bool:
    """Whether a failed state holds an error that a person has to act on."""
    from storage.database import DatabaseUnavailableError

    error = state.result(raise_on_failure=False)
    return isinstance(error, TidenetError) and not isinstance(error, DatabaseUnavailableError)


def _workspace() -> Workspace:
    return Workspace(read_settings())


@task(name="ingest-files", timeout_seconds=6 * 3600, **STEADY)
def ingest_files(product: str | None, months: list[str] | None) -> list[dict[str, Any]]:
    """Ingest what is new; return one small record a file."""
    from flows.operations.ingest import ingest

    chosen = [parse_month(text) for text in months] if months else None
    return [
        {
            "file": file.file_name,
            "month": str(file.month),
            "outcome": str(file.outcome),
            "message": file.message,
            "snapshot_id": file.snapshot_id,
        }
        for file in ingest(_workspace(), product, months=chosen)
    ]


@task(name="renew-drivers", timeout_seconds=4 * 3600, **STEADY)
def renew_drivers() -> list[dict[str, Any]]:
    """Take new months of the record's drivers; return what could not be taken of each."""
    from flows.operations.drivers import renew_drivers as operation

    return [
        {
            "driver": driver.name,
            "added": len(driver.added),
            "revised": len(driver.revised),
            "problems": [f"{month}: {why}" for month, why in driver.problems],
        }
        for driver in operation(_workspace())
    ]


@task(name="make-forecast", timeout_seconds=2 * 3600, **STEADY)
def make_forecast(init: str | None, seed: int) -> dict[str, Any]:
    """Forecast from one init month; return the run's id."""
    from flows.operations.forecast import forecast

    run = forecast(_workspace(), init=parse_month(init) if init else None, seed=seed)
    return {
        "run_id": run.run_id,
        "init_month": str(run.init_month),
        "model_version": run.model_version,
        "created": run.created,
    }


@task(name="score-forecasts", timeout_seconds=2 * 3600, **STEADY)
def score_forecasts() -> dict[str, int]:
    """Score what has been observed; return how much was new."""
    from flows.operations.verify import verify

    verified = verify(_workspace())
    for run_id, found in verified.lost:
        get_run_logger().warning("Run %s was not scored, its fields are lost: %s", run_id, found)
    return {
        "n_runs": verified.n_runs,
        "n_scored": verified.n_scored,
        "n_lost": len(verified.lost),
    }


@task(name="train-model", timeout_seconds=24 * 3600, **STEADY)
def train_model(until: str | None, config_file: str | None, seed: int, note: str) -> dict[str, Any]:
    """Train and register a model; return its version and whether it was promoted."""
    from flows.operations.train import train

    trained = train(
        _workspace(),
        until=parse_month(until) if until else None,
        config_file=config_file,
        seed=seed,
        note=note,
    )
    return {
        "version": trained.version,
        "promoted": trained.promoted,
        "reason": trained.reason,
    }


@task(name="make-hindcasts", timeout_seconds=24 * 3600, **STEADY)
def make_hindcasts(first: str, last: str, seed: int) -> dict[str, int]:
    """Make hindcasts that do not exist yet; return how many were made and how many existed."""
    from flows.operations.backfill import backfill

    runs = backfill(_workspace(), parse_month(first), parse_month(last), seed=seed)
    made = sum(run.created for run in runs)
    return {"made": made, "existed": len(runs) - made}


@task(name="fit-completion-basis", timeout_seconds=4 * 3600, **STEADY)
def fit_completion_basis(until: str | None) -> dict[str, Any]:
    """Fit and save the EOF basis that gaps are filled with; return its id and rank."""
    from flows.operations.basis import refresh_basis

    basis = refresh_basis(_workspace(), until=parse_month(until) if until else None)
    return {"id": basis.id, "rank": basis.rank, "last_month": str(basis.last_month)}


@flow(name="ingest-monthly", timeout_seconds=8 * 3600)
def ingest_monthly(
    product: str | None = None, months: list[str] | None = None
) -> list[dict[str, Any]]:
    """Look for new or changed product files; check, complete and commit them.

    Parameters
    ----------
    product
        Name of the product specification; None for the setting ``TIDENET_PRODUCT``.
    months
        Only these months (YYYY-MM); None for whatever is new.

    Raises
    ------
    FilesRefusedError
        If a file was put into quarantine. Months that were good are committed all the same.
    """
    logger = get_run_logger()
    files = ingest_files(product, months)
    # Before anybody hears of the month: a forecast may read both. One that reads a driver which is
    # missing says so by itself; the others need not wait for it.
    drivers = renew_drivers(return_state=True)
    if drivers.is_completed():
        for driver in drivers.result():
            for problem in driver["problems"]:
                logger.warning("driver %s, %s", driver["driver"], problem)
    else:
        logger.warning("drivers were not renewed: %s", drivers.message)
    published = [file for file in files if file["outcome"] in ("committed", "revised")]
    for file in published:
        logger.info("%s %s: snapshot %s", file["month"], file["outcome"], file["snapshot_id"])
        emit_event(
            event=PUBLISHED,
            resource={
                "prefect.resource.id": f"carbon-ecs.month.{file['month']}",
                "carbon-ecs.snapshot": file["snapshot_id"],
                # Triggers act on the newest one: a backlog of years is one forecast, not hundreds.
                "carbon-ecs.newest": str(file is published[-1]).lower(),
            },
            payload=file,
        )
    for file in files:
        if file["outcome"] == "waiting":
            logger.warning("%s waits: %s", file["file"], file["message"])
    refused = [file for file in files if file["outcome"] == "quarantined"]
    if refused:
        raise FilesRefusedError(
            f"{len(refused)} product file(s) are in quarantine.",
            found="; ".join(f"{file['file']}: {file['message']}" for file in refused),
            remedy="See tidenet status; replace the files, or accept a warning with a reason.",
        )
    return files


@flow(name="refresh-completion-basis", timeout_seconds=5 * 3600)
def refresh_completion_basis(until: str | None = None) -> dict[str, Any]:
    """Fit the EOF basis that gaps of later months are filled with.

    Parameters
    ----------
    until
        Last month to fit on (YYYY-MM); None for the last of the record.
    """
    return fit_completion_basis(until)


@flow(name="forecast", timeout_seconds=3 * 3600)
def forecast_months(init: str | None = None, seed: int = 0) -> dict[str, Any]:
    """Forecast the next months with the champion model, into the archive.

    Parameters
    ----------
    init
        Last observed month to use (YYYY-MM); None for the last of the record.
    seed
        Seed of the ensemble.
    """
    return make_forecast(init, seed)


@flow(name="verify", timeout_seconds=3 * 3600)
def verify_forecasts() -> dict[str, int]:
    """Score every archived forecast whose valid month has been observed."""
    return score_forecasts()


@flow(name="retrain", timeout_seconds=25 * 3600)
def retrain(
    until: str | None = None, config_file: str | None = None, seed: int = 0, note: str = ""
) -> dict[str, Any]:
    """Train TIDE-Net and promote the new version only if it beats the champion.

    Parameters
    ----------
    until
        Last month to learn from (YYYY-MM); None for the last of the record.
    config_file
        YAML file with training options, on the worker; None for the defaults.
    seed
        Seed of every random choice.
    note
        Name of the experiment; kept with the version.
    """
    return train_model(until, config_file, seed, note)


@flow(name="backfill", timeout_seconds=25 * 3600)
def backfill_hindcasts(first: str, last: str, seed: int = 0) -> dict[str, int]:
    """Make hindcasts for many init months, then score them.

    Parameters
    ----------
    first, last
        First and last init month (YYYY-MM), both included.
    seed
        Seed of the ensembles.
    """
    made = make_hindcasts(first, last, seed)
    return made | score_forecasts()
