"""A trained model as a version: everything that makes it, saved under a name made from it.

A version is weights, configuration, normalisation, data snapshot, code version and validation
figures, in one folder whose name ends in the digest over all of them. What differs from machine to
machine or from day to day (time, hardware, note) is in the registry's row and not in the name: the
same training gives the same version.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.operations.workspace import Workspace
from storage.months import Month
from storage.registry import ModelVersion, register_model

if TYPE_CHECKING:
    from storage.carbon_ecs import CarbonEcs
    from storage.weights import StoredModel
    from tidenet.forecasting import TideNetForecaster
    from tidenet.record import FluxRecord
    from tidenet.training.fit import Trained


def save_version(
    workspace: Workspace,
    trained: "Trained",
    record: "FluxRecord",
    validation: np.ndarray,
    *,
    snapshot_id: str,
    seed: int,
    note: str,
    metrics: Mapping[str, Any],
    row_metrics: Mapping[str, Any] | None = None,
    placement: str = "",
) -> ModelVersion:
    """Save a trained model and its twin, and register it.

    The twin is the same network with all else fitted before the validation block
    (`tidenet.training.fit.Trained.held_out`); later challengers are compared with it on months that
    the model itself has learned from.

    Parameters
    ----------
    trained
        The model for service, and the one for judgement.
    record
        What it was trained on.
    validation
        Months of the validation block, ascending.
    snapshot_id
        Snapshot of the record (see `data_snapshot`).
    seed, note
        As given by the user.
    metrics
        Figures of the validation block, part of the version.
    row_metrics
        Figures that are not part of the version, because they may differ between two runs of the
        same training: durations, losses by device.
    placement
        What hardware was asked for and why it was trained here.
    """
    forecaster, grid = trained.forecaster, record.grid.name
    training = {
        "snapshot_id": snapshot_id,
        "trained_from": str(record.first_month),
        "trained_until": str(record.last_month),
        "validated_from": str(validation[0]),
        "validated_until": str(validation[-1]),
        "seed": seed,
        "code_version": workspace.code_version,
    }
    name = f"tidenet-{str(record.last_month).replace('-', '')}"
    stored = _save(workspace, name, forecaster, training, metrics)
    twin_until: Month = validation[0] - 1
    twin_training = training | {"trained_until": str(twin_until)}
    twin = _save(workspace, f"{name}-twin", trained.held_out, twin_training, {})
    version = ModelVersion(
        version=stored.version,
        method=forecaster.name,
        grid=grid,
        weights_url=stored.uri,
        weights_sha256=stored.sha256,
        snapshot_id=snapshot_id,
        trained_from=record.first_month,
        trained_until=record.last_month,
        validated_from=validation[0],
        validated_until=validation[-1],
        seed=seed,
        code_version=workspace.code_version,
        created_at=workspace.now(),
        config=forecaster.config.model_dump(mode="json"),
        metrics={**metrics, **(row_metrics or {})},
        libraries=workspace.libraries,
        hardware=workspace.hardware,
        note=note,
        twin_url=twin.uri,
        twin_sha256=twin.sha256,
        twin_until=twin_until,
        placement=placement,
    )
    register_model(workspace.engine, version)
    return version


def data_snapshot(store: "CarbonEcs", until: Month, drivers: tuple[str, ...] = ()) -> str:
    """Return the snapshot that made the months up to a cut-off what they are.

    Later snapshots hold the same of them. It is named in place of the record's newest, so that a
    later month makes no other version of a model that has not read it.

    Parameters
    ----------
    store
        The record as it was read.
    until
        Last month that was read.
    drivers
        Drivers that were read besides the flux.
    """
    for snapshot in store.history():
        about = snapshot.metadata
        if "driver" in about and about["driver"] not in drivers:
            continue
        months = [about["month"]] if "month" in about else list(about.get("revisions", ()))
        if any(np.datetime64(month, "M") <= until for month in months):
            return snapshot.id
    return store.snapshot_id  # the commits were expired


def training_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a saved model's metadata say of its training; empty if nothing."""
    training = metadata.get("training")
    return dict(training) if isinstance(training, Mapping) else {}


def describe(version: ModelVersion) -> dict[str, Any]:
    """Return a version as plain values, for tables and JSON."""
    return {name: value for name, value in asdict(version).items() if value not in ("", None, {})}


def _save(
    workspace: Workspace,
    name: str,
    forecaster: "TideNetForecaster",
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> "StoredModel":
    from storage.weights import save_model
    from tidenet.belonging import PARTS, part_digests

    tensors = forecaster.tensors()
    content = {PARTS: part_digests(tensors), "training": dict(training), "metrics": dict(metrics)}
    return save_model(
        workspace.settings.models_url,
        name,
        tensors,
        forecaster.metadata() | content,
        workspace.patience,
    )
