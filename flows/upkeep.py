"""The flow that keeps the house: old snapshots, garbage, audit, database, backup."""

from typing import Any

from prefect import flow

from flows.steady import was_started_before


@flow(name="maintenance", timeout_seconds=8 * 3600)
def maintenance() -> dict[str, Any]:
    """Expire old snapshots that nothing refers to, collect garbage, audit, vacuum, back up."""
    was_started_before()
    return {}
