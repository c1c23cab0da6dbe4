"""Train TIDE-Net on the record, register the version, decide whether it is the champion."""

import getpass
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.operations.workspace import Progress, Workspace, flux_record, no_progress
from storage.errors import TidenetError
from storage.months import Month
from storage.registry import (
    ModelVersion,
    Promotion,
    champion,
    record_promotion,
    register_model,
)

if TYPE_CHECKING:
    from storage.grid import Grid
    from tidenet.configuration import TideNetConfig
    from tidenet.forecaster import Forecaster
    from tidenet.forecasting import TideNetForecaster
    from tidenet.record import FluxRecord
    from tidenet.training import TrainingProgress


class InvalidConfigurationError(TidenetError):
    """A training configuration does not hold what it should."""


@dataclass(frozen=True)
class TrainedVersion:
    """A registered model version.

    Parameters
    ----------
    version
        Its name in the registry.
    promoted
        Whether it became the champion.
    reason
        Why, or why not: one sentence with the numbers.
    duration_s
        Time that training took (seconds).
    """

    version: str
    promoted: bool
    reason: str
    duration_s: float


def train(
    workspace: Workspace,
    *,
    until: Month | None = None,
    config: "TideNetConfig | None" = None,
    config_file: Path | None = None,
    seed: int = 0,
    note: str = "",
    progress: Progress = no_progress,
) -> TrainedVersion:
    """Train on the record up to a cut-off month; later months are not read.

    The new model becomes the champion if the grid has none yet, or if its mean squared error on its
    validation block is below the champion's on the same months.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    until
        Last month to learn from, validation included; None for the last of the record.
    config, config_file
        Training options, as a value or as a YAML file; None for the defaults.
    seed
        Seed of every random choice.
    note
        Name of the experiment; kept with the version.
    progress
        Called with epoch, number of epochs and the losses.
    """
    from storage.weights import save_model
    from tidenet.configuration import TideNetConfig
    from tidenet.training import train as train_network

    chosen = config or (read_config(config_file) if config_file else TideNetConfig())
    store = workspace.record()
    record = flux_record(store, None, until)
    started = time.monotonic()
    forecaster = train_network(record, chosen, seed=seed, progress=_report(progress))
    duration = time.monotonic() - started
    validation = record.months[-chosen.validation_months :]
    numbers = _compare_with_champion(workspace, forecaster, record, validation, seed)
    stored = save_model(
        workspace.settings.models_url,
        f"tidenet-{str(record.last_month).replace('-', '')}",
        forecaster.tensors(),
        forecaster.metadata(),
        workspace.patience,
    )
    version = ModelVersion(
        version=stored.version,
        method=forecaster.name,
        grid=record.grid.name,
        weights_url=stored.uri,
        weights_sha256=stored.sha256,
        snapshot_id=store.snapshot_id,
        trained_from=record.first_month,
        trained_until=record.last_month,
        validated_from=validation[0],
        validated_until=validation[-1],
        seed=seed,
        code_version=workspace.code_version,
        created_at=workspace.now(),
        config=chosen.model_dump(mode="json"),
        metrics=numbers,
        libraries=workspace.libraries,
        hardware=workspace.hardware,
        note=note,
    )
    register_model(workspace.engine, version)
    promoted, reason = _decide(numbers)
    previous = numbers.get("champion")
    if previous != stored.version:
        decision = Promotion(
            model_version=stored.version,
            promoted=promoted,
            reason=reason,
            decided_by=getpass.getuser(),
            decided_at=workspace.now(),
            numbers=numbers,
            previous_champion=previous,
        )
        record_promotion(workspace.engine, decision)
    return TrainedVersion(stored.version, promoted, reason, duration)


def read_config(file: Path) -> "TideNetConfig":
    """Read training options from a YAML file.

    Raises
    ------
    InvalidConfigurationError
        If it is not YAML or names an option that does not exist or has a wrong value.
    """
    import pydantic
    import yaml

    from tidenet.configuration import TideNetConfig

    try:
        return TideNetConfig.model_validate(yaml.safe_load(file.read_text()) or {})
    except (yaml.YAMLError, pydantic.ValidationError, OSError) as error:
        raise InvalidConfigurationError(
            f"{file} is not a training configuration.",
            found=str(error).replace("\n", " "),
            expected=f"YAML with options among {', '.join(TideNetConfig.model_fields)}",
            remedy="Correct the file; options that are left out keep their defaults.",
        ) from error


def _report(progress: Progress) -> "Callable[[TrainingProgress], None]":
    def show(now: "TrainingProgress") -> None:
        detail = f"loss {now.loss:.4f}, validation {now.validation_loss:.4f}"
        progress(now.epoch, now.n_epochs, detail)

    return show


def _compare_with_champion(
    workspace: Workspace,
    challenger: "TideNetForecaster",
    record: "FluxRecord",
    validation: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Return the skill of challenger, champion and damped persistence on the validation block.

    The champion may have learned from some of these months, which can only favour it: the
    comparison errs towards keeping what is in service.
    """
    from tidenet.evaluation import evaluate
    from tidenet.skill import add_up, scores

    current = champion(workspace.engine, record.grid.name)
    candidates: dict[str, Forecaster] = {
        "challenger": challenger,
        "damped-persistence": challenger.references["damped-persistence"],
    }
    if current is not None:
        candidates["champion"] = load_model(workspace, current, record.grid, record.ocean)
    first, last = validation[0] - 1, validation[-1] - challenger.n_leads
    first = max(first, record.first_month + challenger.n_history - 1)
    init_months = list(np.arange(first, last + 1))
    rows = evaluate(
        candidates,
        record,
        init_months,
        climatology=challenger.climatology,
        references=challenger.references,
        seed=seed,
    )
    numbers: dict[str, Any] = {
        "validation": f"{validation[0]}..{validation[-1]}",
        "n_init_months": len(init_months),
    }
    for name in candidates:
        total = scores(add_up(row.sums for row in rows if row.method == name))
        numbers[f"msss_{name}"] = round(total["msss"], 4)
        numbers[f"rmse_{name}"] = round(total["rmse"], 4)
    if current is not None:
        numbers["champion"] = current.version
    return numbers


def _decide(numbers: dict[str, Any]) -> tuple[bool, str]:
    skill = numbers["msss_challenger"]
    damped = numbers["msss_damped-persistence"]
    block = f"on {numbers['validation']} (MSSS {skill:+.3f}, damped persistence {damped:+.3f})"
    if "champion" not in numbers:
        return True, f"Champion: the first model of this grid {block}."
    ours, theirs = numbers["rmse_challenger"], numbers["rmse_champion"]
    name = numbers["champion"]
    if ours < theirs:
        return True, f"Champion: RMSE {ours:.3f} against {theirs:.3f} of {name} {block}."
    return False, f"Not promoted: RMSE {ours:.3f} against {theirs:.3f} of {name} {block}."


def load_model(
    workspace: Workspace, version: ModelVersion, grid: "Grid", ocean: np.ndarray
) -> "TideNetForecaster":
    """Load a registered TIDE-Net for a grid and its ocean mask.

    Raises
    ------
    MissingWeightsError, CorruptWeightsError
        If its files are gone or are not what was registered.
    IncompatibleModelError
        If it belongs to another grid or mask.
    """
    from storage.weights import load_model as load_weights
    from tidenet.forecasting import TideNetForecaster
    from tidenet.loading import load_forecaster

    tensors, metadata = load_weights(
        version.weights_url, version.weights_sha256, workspace.patience
    )
    forecaster = load_forecaster(tensors, metadata, grid, ocean)
    assert isinstance(forecaster, TideNetForecaster)  # the registry holds no other method
    return forecaster
