"""Train TIDE-Net on the record, register the version, decide whether it is the champion."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.operations.drivers import needed_drivers
from flows.operations.judgement import judge
from flows.operations.options import training_options
from flows.operations.promotion import settle
from flows.operations.versions import data_snapshot, save_version
from flows.operations.workspace import Progress, Workspace, flux_record, no_progress
from storage.months import Month

if TYPE_CHECKING:
    from tidenet.configuration import TideNetConfig
    from tidenet.training import TrainingProgress
    from tidenet.training.tracking import Tracker


class HelperDone(SystemExit):
    """Ends a process that only helped another one to train: judging and saving are not its own."""


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
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    note: str = "",
    promote: bool = False,
    fresh: bool = False,
    placement: str = "",
    progress: Progress = no_progress,
) -> TrainedVersion:
    """Train on the record up to a cut-off month; later months are not read.

    The new model becomes the champion if the grid has none yet, or if it passes the gate
    (`flows.operations.promotion`). The decision is recorded with its figures.

    The training is kept in ``training/`` of the home folder while it goes on: after an
    interruption, the same training (record, options, seed and software) goes on from there, to the
    same result.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    until
        Last month to learn from, validation included; None for the last of the record.
    config
        Training options, as a value.
    config_file, options
        In place of a value: a shipped setting or a file, and single options that go before it and
        the environment (`flows.operations.options.training_options`).
    seed
        Seed of every random choice.
    note
        Name of the experiment; kept with the version.
    promote
        Make it the champion whatever the comparison says, if it can be served.
    fresh
        Start again even if such a training was interrupted.
    placement
        What hardware was asked for and why it runs here, for the registry.
    progress
        Called with epoch, number of epochs and the losses.

    Raises
    ------
    HelperDone
        In the processes of ``accelerate launch`` that only help the main one.
    """
    from accelerate import PartialState

    from tidenet.training import train_and_hold_out

    settings = workspace.settings
    config = config or training_options(config_file or "", options, settings)
    store = workspace.record()
    record = flux_record(store, None, until, needed_drivers(config.model_dump()))
    snapshot_id = data_snapshot(store, record.last_month, tuple(record.drivers))
    run = _run_name(workspace, config, snapshot_id, record.last_month, seed)
    checkpoint = settings.home.absolute() / "training" / run
    if fresh:
        shutil.rmtree(checkpoint, ignore_errors=True)
    started = time.monotonic()
    with _tracker(workspace, run, config, seed, note) as tracker:
        trained = train_and_hold_out(
            record,
            config,
            seed=seed,
            progress=_report(progress),
            checkpoint=checkpoint,
            tracker=tracker,
        )
    if not PartialState().is_main_process:
        raise HelperDone
    duration = time.monotonic() - started
    validation = record.months[-config.validation_months :]
    judgement = judge(workspace, trained.held_out, record, validation, seed)
    version = save_version(
        workspace,
        trained,
        record,
        validation,
        snapshot_id=snapshot_id,
        seed=seed,
        note=note,
        metrics=judgement.metrics,
        row_metrics={"training": [report.describe() for report in trained.reports]},
        placement=placement,
    )
    decision = settle(workspace, version, trained.forecaster, record, judgement, by_hand=promote)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return TrainedVersion(version.version, decision.promoted, decision.reason, duration)


def _run_name(
    workspace: Workspace, config: "TideNetConfig", snapshot_id: str, until: Month, seed: int
) -> str:
    """Return a name made from all that decides the result of a training."""
    decisive = {
        "config": config.model_dump(mode="json"),
        "snapshot_id": snapshot_id,
        "until": str(until),
        "seed": seed,
        "code_version": workspace.code_version,
        "libraries": workspace.libraries,
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return f"tidenet-{str(until).replace('-', '')}-{digest[:12]}"


def _tracker(
    workspace: Workspace, run: str, config: "TideNetConfig", seed: int, note: str
) -> "AbstractContextManager[Tracker | None]":
    from tidenet.training.tracking import open_tracker

    settings = workspace.settings
    options = config.model_dump(mode="json") | {"seed": seed, "note": note}
    return open_tracker(settings.tracker, settings.home.absolute() / "curves", run, options)


def _report(progress: Progress) -> "Callable[[TrainingProgress], None]":
    def show(now: "TrainingProgress") -> None:
        detail = f"loss {now.loss:.4f}, validation {now.validation_loss:.4f}"
        progress(now.epoch, now.n_epochs, detail)

    return show
