"""Train TIDE-Net on the record, register the version, decide whether it is the champion."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.operations.judgement import judge
from flows.operations.promotion import settle
from flows.operations.versions import data_snapshot, save_version
from flows.operations.workspace import Progress, Workspace, flux_record, no_progress
from storage.errors import TidenetError
from storage.months import Month

if TYPE_CHECKING:
    from tidenet.configuration import TideNetConfig
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
    promote: bool = False,
    progress: Progress = no_progress,
) -> TrainedVersion:
    """Train on the record up to a cut-off month; later months are not read.

    The new model becomes the champion if the grid has none yet, or if it passes the gate
    (`flows.operations.promotion`). The decision is recorded with its figures.

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
        Make it the champion whatever the comparison says, if it can be served.
    progress
        Called with epoch, number of epochs and the losses.
    """
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
    duration = time.monotonic() - started
    validation = record.months[-chosen.validation_months :]
    judgement = judge(workspace, trained.held_out, record, validation, seed)
    version = save_version(
        workspace,
        trained,
        record,
        validation,
        snapshot_id=data_snapshot(store, record.last_month, tuple(record.drivers)),
        seed=seed,
        note=note,
        metrics=judgement.metrics,
    )
    decision = settle(workspace, version, trained.forecaster, record, judgement, by_hand=promote)
    return TrainedVersion(version.version, decision.promoted, decision.reason, duration)


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
