"""Train TIDE-Net on the record, register the version, decide whether it is the champion."""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.operations.drivers import needed_drivers
from flows.operations.judgement import judge
from flows.operations.options import training_options
from flows.operations.promotion import settle
from flows.operations.versions import data_snapshot, save_version
from flows.operations.workspace import Progress, Workspace, flux_record, no_progress
from storage.months import Month

if TYPE_CHECKING:
    from tidenet.configuration import TideNetConfig
    from tidenet.record import FluxRecord
    from tidenet.training import TrainingProgress


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
    config_file: str | Path | None = None,
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
        Training options, as a value, or as the name of a recipe or a YAML file, above which the
        environment stands (`flows.operations.options`). How far a forecast reaches is taken from
        the settings where nothing else says it.
    seed
        Seed of every random choice.
    note
        Name of the experiment; kept with the version.
    promote
        Make it the champion whatever the comparison says, if it can be served.
    progress
        Called with epoch, number of epochs and the losses.
    """
    from tidenet.training import train_and_hold_out
    from tidenet.training.tracking import open_tracker

    settings = workspace.settings
    chosen = config or training_options(config_file, n_leads=settings.n_leads)
    store = workspace.record()
    record = flux_record(store, None, until, needed_drivers(chosen.model_dump()))
    started = time.monotonic()
    checkpoint = settings.home.absolute() / "training" / _key(chosen, record, seed)
    curves = settings.home.absolute() / "tracking"
    run = f"{workspace.now():%Y%m%dT%H%M%S}-{note or 'train'}"
    with open_tracker(settings.tracker, curves, run, chosen.model_dump()) as tracker:
        trained = train_and_hold_out(
            record,
            chosen,
            seed=seed,
            progress=_report(progress),
            checkpoint=checkpoint,
            tracker=tracker,
        )
    shutil.rmtree(checkpoint, ignore_errors=True)
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
        row_metrics={"training": [report.describe() for report in trained.reports]},
    )
    decision = settle(workspace, version, trained.forecaster, record, judgement, by_hand=promote)
    return TrainedVersion(version.version, decision.promoted, decision.reason, duration)


def _key(config: "TideNetConfig", record: "FluxRecord", seed: int) -> str:
    """Return the name of a training: the same options, months and seed go on where they were."""
    parts = (config.model_dump_json(), str(record.first_month), str(record.last_month), str(seed))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def _report(progress: Progress) -> "Callable[[TrainingProgress], None]":
    def show(now: "TrainingProgress") -> None:
        detail = f"loss {now.loss:.4f}, validation {now.validation_loss:.4f}"
        progress(now.epoch, now.n_epochs, detail)

    return show
