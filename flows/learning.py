"""The flows that learn: retraining with its decision, and the basis that gaps are filled with."""

from typing import Any

from prefect import flow, get_run_logger, task

from flows import artifacts
from flows.parameters import ConfigFile, Note, Seed, Until, Where
from flows.placement import run_on_gpu
from flows.steady import NETWORK, RECORD, STEADY, load, was_started_before, workspace
from storage.months import month as parse_month


@task(name="train-model", timeout_seconds=24 * 3600, **STEADY)
def train_model(
    until: str | None, config_file: str | None, seed: int, note: str, placement: str
) -> dict[str, Any]:
    """Train and register a model; return its version and whether it was promoted."""
    load("flows.operations.train", *NETWORK, *RECORD)
    from flows.operations.train import train

    trained = train(
        workspace(),
        until=parse_month(until) if until else None,
        config_file=config_file,
        seed=seed,
        note=note,
        placement=placement,
    )
    return {"version": trained.version, "promoted": trained.promoted, "reason": trained.reason}


@flow(name="retrain", timeout_seconds=25 * 3600)
def retrain(
    until: Until = None,
    config_file: ConfigFile = None,
    seed: Seed = 0,
    note: Note = "",
    where: Where = "gpu-or-here",
) -> dict[str, Any]:
    """Train TIDE-Net and promote the new version only if it beats the champion."""
    was_started_before()
    placement = ""
    if where == "gpu-or-here":
        parameters = {"until": until, "config_file": config_file, "seed": seed, "note": note}
        wait_s = workspace().settings.gpu_wait_s
        done, placement = run_on_gpu(
            "retrain/retrain-on-gpu", parameters | {"where": "here"}, wait_s
        )
        if done:
            return {"where": placement}
    trained = train_model(until, config_file, seed, note, placement)
    get_run_logger().info("%s %s", trained["reason"], placement)
    artifacts.promotion(trained["version"])
    return trained


@task(name="fit-completion-basis", timeout_seconds=4 * 3600, **STEADY)
def fit_completion_basis(until: str | None) -> dict[str, Any]:
    """Fit and save the EOF basis that gaps are filled with; return its id and rank."""
    load("flows.operations.basis", *RECORD)
    from flows.operations.basis import refresh_basis

    basis = refresh_basis(workspace(), until=parse_month(until) if until else None)
    return {"id": basis.id, "rank": basis.rank, "last_month": str(basis.last_month)}


@flow(name="refresh-completion-basis", timeout_seconds=5 * 3600)
def refresh_completion_basis(until: Until = None) -> dict[str, Any]:
    """Fit the EOF basis that gaps of later months are filled with."""
    was_started_before()
    return fit_completion_basis(until)
