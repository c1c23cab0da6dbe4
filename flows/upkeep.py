"""The flow that keeps the house: old snapshots, garbage, audit, database, backup."""

from dataclasses import asdict
from typing import Any

from prefect import flow, get_run_logger, task

from flows import artifacts
from flows.steady import RECORD, STEADY, load, was_started_before, workspace


@task(name="expire-snapshots", timeout_seconds=2 * 3600, **STEADY)
def expire_snapshots() -> dict[str, Any]:
    """Let old snapshots go that nothing refers to."""
    load("flows.operations.maintain", *RECORD)
    from flows.operations.maintain import expire

    return asdict(expire(workspace()))


@task(name="collect-garbage", timeout_seconds=2 * 3600, **STEADY)
def collect_garbage() -> dict[str, Any]:
    """Delete what no snapshot holds any more."""
    load("flows.operations.maintain", *RECORD)
    from flows.operations.maintain import collect

    return asdict(collect(workspace()))


@task(name="audit-archive", timeout_seconds=6 * 3600, **STEADY)
def audit_archive() -> list[str]:
    """Look whether every row, field, model and snapshot is whole; return what is not."""
    load("flows.operations.audit", *RECORD)
    from flows.operations.audit import audit

    return [f"{one.subject}: {one.found} {one.remedy}" for one in audit(workspace()).findings]


@task(name="vacuum-database", timeout_seconds=3 * 3600, **STEADY)
def vacuum_database() -> list[str]:
    """Clean the database up; return what could not be done."""
    from storage.database_upkeep import vacuum

    return list(vacuum(workspace().engine))


@task(name="back-up", timeout_seconds=7 * 3600, **STEADY)
def back_up() -> dict[str, Any]:
    """Copy the database; return the copy's name and size."""
    from flows.operations.maintain import copy_database

    made = copy_database(workspace())
    return {"name": made.name, "size_bytes": made.size_bytes, "rows": sum(made.rows.values())}


@flow(name="maintenance", timeout_seconds=20 * 3600)
def maintenance() -> dict[str, Any]:
    """Expire old snapshots that nothing refers to, collect garbage, audit, vacuum, back up."""
    was_started_before()
    logger = get_run_logger()
    done = {
        "expired": expire_snapshots(),
        "collected": collect_garbage(),
        "findings": audit_archive(),
        "notes": vacuum_database(),
        "backup": back_up(),
    }
    for text in (*done["findings"], *done["notes"]):
        logger.warning("%s", text)
    artifacts.maintenance(done)
    return done
