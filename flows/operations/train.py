"""Train TIDE-Net on the record, register the version, decide whether it is the champion."""

import getpass
import time
from collections.abc import Callable, Mapping
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


MINIMUM_COMMON_MONTHS = 12
"""Init months, unseen by both, that a comparison with the champion needs."""


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
    promote: bool = False,
    progress: Progress = no_progress,
) -> TrainedVersion:
    """Train on the record up to a cut-off month; later months are not read.

    The new model becomes the champion if the grid has none yet, or if its error is smaller than the
    champion's on validation months that neither has learned from. The decision is recorded.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    until
        Last month to learn from, validation included; None for the last of the record.
    config, config_file
        Training options, as a value or as a YAML file; None for the defaults. How far a forecast
        reaches is taken from the settings where the file does not say it.
    seed
        Seed of every random choice.
    note
        Name of the experiment; kept with the version.
    promote
        Make it the champion whatever the comparison says.
    progress
        Called with epoch, number of epochs and the losses.
    """
    from storage.weights import save_model
    from tidenet.configuration import TideNetConfig
    from tidenet.training import train_and_hold_out

    n_leads = workspace.settings.n_leads
    if config is not None:
        chosen = config
    elif config_file is not None:
        chosen = read_config(config_file, n_leads)
    else:
        chosen = TideNetConfig(n_leads=n_leads)
    store = workspace.record()
    record = flux_record(store, None, until)
    started = time.monotonic()
    trained = train_and_hold_out(record, chosen, seed=seed, progress=_report(progress))
    forecaster = trained.forecaster
    duration = time.monotonic() - started
    validation = record.months[-chosen.validation_months :]
    numbers = _judge(workspace, trained.held_out, record, validation, seed)
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
    promoted, reason = _decide(numbers, by_hand=promote)
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


def read_config(file: Path, n_leads: int) -> "TideNetConfig":
    """Read training options from a YAML file.

    Parameters
    ----------
    file
        The file; options that it leaves out keep their defaults.
    n_leads
        Lead months where the file does not say them.

    Raises
    ------
    InvalidConfigurationError
        If it is not YAML or names an option that does not exist or has a wrong value.
    """
    import pydantic
    import yaml

    from tidenet.configuration import TideNetConfig

    try:
        stated = yaml.safe_load(file.read_text()) or {}
        return TideNetConfig.model_validate({"n_leads": n_leads} | stated)
    except (yaml.YAMLError, pydantic.ValidationError, OSError, TypeError) as error:
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


def _judge(
    workspace: Workspace,
    held_out: "TideNetForecaster",
    record: "FluxRecord",
    validation: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Return the skill of challenger, champion and damped persistence on the validation block.

    The challenger is judged as it was before it saw these months. The champion is judged on those
    of them that it has not learned from either, beside the challenger on the same ones.
    """
    n_leads = held_out.n_leads
    first = max(validation[0] - 1, record.first_month + held_out.n_history - 1)
    init_months = np.arange(first, validation[-1] - n_leads + 1)
    judged: dict[str, Forecaster] = {
        "challenger": held_out,
        "damped-persistence": held_out.references["damped-persistence"],
    }
    numbers: dict[str, Any] = {"validation": f"{validation[0]}..{validation[-1]}"}
    numbers |= _skill(judged, held_out, record, init_months, seed)
    current = champion(workspace.engine, record.grid.name)
    if current is None:
        return numbers
    unseen = init_months[init_months >= current.trained_until]
    numbers |= {"champion": current.version, "n_common": len(unseen)}
    if len(unseen) >= MINIMUM_COMMON_MONTHS:
        rivals = {
            "challenger_common": held_out,
            "champion_common": load_model(workspace, current, record.grid, record.ocean),
        }
        numbers |= _skill(rivals, held_out, record, unseen, seed)
    return numbers


def _skill(
    forecasters: "Mapping[str, Forecaster]",
    judge: "TideNetForecaster",
    record: "FluxRecord",
    init_months: np.ndarray,
    seed: int,
) -> dict[str, float]:
    """Return MSSS against climatology and RMSE over all leads of some forecasters."""
    from tidenet.verification import add_up, scores
    from tidenet.verification.hindcasts import evaluate

    rows = evaluate(
        forecasters,
        record,
        list(init_months),
        climatology=judge.climatology,
        references=judge.references,
        n_members=2,
        seed=seed,
    )
    numbers = {}
    for name in forecasters:
        total = scores(add_up(row.sums for row in rows if row.method == name))
        numbers[f"msss_{name}"] = round(total["msss"], 4)
        numbers[f"rmse_{name}"] = round(total["rmse"], 4)
    return numbers


def _decide(numbers: dict[str, Any], *, by_hand: bool) -> tuple[bool, str]:
    """Return whether a challenger becomes the champion, and why, with the numbers."""
    skill, damped = numbers["msss_challenger"], numbers["msss_damped-persistence"]
    block = (
        f"MSSS against climatology {skill:+.3f} (damped persistence {damped:+.3f}) "
        f"on {numbers['validation']}"
    )
    if by_hand:
        return True, f"Champion, promoted by hand. {block}."
    if "champion" not in numbers:
        return True, f"Champion, the first model of this grid. {block}."
    name, n_common = numbers["champion"], numbers["n_common"]
    if n_common < MINIMUM_COMMON_MONTHS:
        return False, (
            f"Not promoted: {name} has learned from all but {n_common} init months, "
            f"{MINIMUM_COMMON_MONTHS} are needed for a comparison (--promote decides by hand). "
            f"{block}."
        )
    ours, theirs = numbers["rmse_challenger_common"], numbers["rmse_champion_common"]
    verdict = "Champion" if ours < theirs else "Not promoted"
    return ours < theirs, (
        f"{verdict}: RMSE {ours:.3f} against {theirs:.3f} of {name} on {n_common} init months "
        f"that neither has learned from. {block}."
    )


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
