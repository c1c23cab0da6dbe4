"""Hindcasts for many init months: what the model would have said, from what was known then."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from flows.operations.forecast import InSampleError, MadeForecast, current_champion, make_run
from flows.operations.issue import issue_of
from flows.operations.known import Known, known
from flows.operations.models import load_model
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.archive import find_run
from storage.months import Month, month_range
from storage.registry import ModelVersion, model

if TYPE_CHECKING:
    from tidenet.forecasting import TideNetForecaster


@dataclass(frozen=True)
class Hindcasts:
    """Makes hindcasts with one model from one snapshot, which is loaded once.

    Parameters
    ----------
    now
        The record at its snapshot.
    model
        The model.
    seed
        Seed of the ensembles.
    """

    now: Known
    model: ModelVersion
    seed: int

    @classmethod
    def of(
        cls, workspace: Workspace, model_version: str, snapshot_id: str, seed: int
    ) -> "Hindcasts":
        """Return those of a model and snapshot named by another process."""
        now = Known(workspace, workspace.record(snapshot_id), None)
        return cls(now, model(workspace.engine, model_version), seed)

    @cached_property
    def forecaster(self) -> "TideNetForecaster":
        """The loaded model."""
        store = self.now.store
        return load_model(self.now.workspace, self.model, store.grid, store.ocean)

    def exists(self, init_month: Month) -> bool:
        """Return whether the hindcast from an init month is in the archive."""
        issue = issue_of(self.now, self.model, init_month, kind="hindcast", seed=self.seed)
        return find_run(self.now.workspace.engine, issue.key()) is not None

    def make(self, init_month: Month) -> MadeForecast:
        """Make the hindcast from an init month, or find it in the archive."""
        return make_run(
            self.now,
            self.model,
            init_month,
            kind="hindcast",
            seed=self.seed,
            forecaster=self.forecaster,
        )


@dataclass(frozen=True)
class Plan:
    """What a backfill has to do.

    Parameters
    ----------
    hindcasts
        Model, snapshot and seed.
    wanted
        Every init month that was asked for.
    missing
        Those without a hindcast.
    """

    hindcasts: Hindcasts
    wanted: tuple[Month, ...]
    missing: tuple[Month, ...]


def plan_backfill(workspace: Workspace, first: Month, last: Month, *, seed: int = 0) -> Plan:
    """Return what is missing of the hindcasts from some init months.

    Each hindcast is given the record up to its init month and nothing later. Init months that the
    champion was trained or validated on are refused: a score on them would be no forecast's score.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    first, last
        First and last init month, both included.
    seed
        Seed of the ensembles.

    Raises
    ------
    InSampleError
        If an init month lies inside the champion's training span.
    LedgerBehindRecordError
        If the record does not hold an init month.
    """
    now = known(workspace)
    hindcasts = Hindcasts(now, current_champion(now), seed)
    _refuse_in_sample(hindcasts.model, first)
    wanted = tuple(month_range(first, last))
    return Plan(hindcasts, wanted, tuple(m for m in wanted if not hindcasts.exists(m)))


def backfill(
    workspace: Workspace,
    first: Month,
    last: Month,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> list[MadeForecast]:
    """Make a hindcast from every init month that has none yet, one after another, in this process.

    Parameters as `plan_backfill`, whose errors it raises; ``progress`` is called after each month.
    """
    plan = plan_backfill(workspace, first, last, seed=seed)
    made = []
    for done, init_month in enumerate(plan.wanted, start=1):
        made.append(plan.hindcasts.make(init_month))
        progress(done, len(plan.wanted), str(init_month))
    return made


def _refuse_in_sample(model: ModelVersion, first: Month) -> None:
    """Raise InSampleError if targets from this init month on were seen in training."""
    if first < model.trained_until:
        raise InSampleError(
            f"{model.version} has learned from months that these hindcasts would forecast.",
            found=f"init months from {first}, training until {model.trained_until}",
            expected=f"init months from {model.trained_until} on",
            remedy="Choose later init months, or train a model that ends earlier (train --until).",
        )
