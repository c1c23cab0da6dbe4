"""Hindcasts for many init months: what the model would have said, from what was known then."""

from flows.operations.forecast import InSampleError, MadeForecast, current_champion, make_run
from flows.operations.known import known
from flows.operations.models import load_model
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.months import Month, month_range
from storage.registry import ModelVersion


def backfill(
    workspace: Workspace,
    first: Month,
    last: Month,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> list[MadeForecast]:
    """Make a hindcast from every init month that has none yet.

    Each hindcast is given the record up to its init month and nothing later. Init months that the
    champion was trained or validated on are refused: a score on them would be no forecast's score.

    Parameters
    ----------
    first, last
        First and last init month, both included.
    seed
        Seed of the ensembles.
    progress
        Called after each init month.

    Raises
    ------
    InSampleError
        If an init month lies inside the champion's training span.
    """
    now = known(workspace)
    model = current_champion(now)
    refuse_in_sample(model, first)
    init_months = month_range(first, last)
    forecaster = load_model(workspace, model, now.store.grid, now.store.ocean)
    made = []
    for done, init_month in enumerate(init_months, start=1):
        made.append(
            make_run(
                now,
                model,
                init_month,
                kind="hindcast",
                seed=seed,
                forecaster=forecaster,
            )
        )
        progress(done, len(init_months), str(init_month))
    return made


def refuse_in_sample(model: ModelVersion, first: Month) -> None:
    """Raise InSampleError if targets from this init month on were seen in training."""
    if first < model.trained_until:
        raise InSampleError(
            f"{model.version} has learned from months that these hindcasts would forecast.",
            found=f"init months from {first}, training until {model.trained_until}",
            expected=f"init months from {model.trained_until} on",
            remedy="Choose later init months, or train a model that ends earlier (train --until).",
        )
