"""What the Prefect UI shows of a run: reports, maps, tables.

An artifact is for looking at. Where one cannot be made, the log says so, and the run goes on.
"""

import base64
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.steady import workspace
from storage.months import month as parse_month


def _for_looking_at(make: Callable[..., None]) -> Callable[..., None]:
    """Let a run go on though its artifact could not be made."""

    @wraps(make)
    def made(*args: Any, **kwargs: Any) -> None:
        try:
            make(*args, **kwargs)
        except Exception as error:
            get_run_logger().warning("No artifact: %s: %s", type(error).__name__, error)

    return made


@_for_looking_at
def validation_report(product: str | None, months: Sequence[str]) -> None:
    """Show what the checks said of months that were just looked at."""
    from flows.operations.artifacts import validation_report as report

    if not months:
        return
    here = workspace()
    text = report(here, product or here.settings.product, [parse_month(month) for month in months])
    create_markdown_artifact(text, key="validation-report", description="Checks of new months")


@_for_looking_at
def forecast_map(run_id: str, init_month: str) -> None:
    """Show a run as a map and as a table by region."""
    from flows.operations.artifacts import forecast_map as drawn
    from flows.operations.artifacts import forecast_summary

    here = workspace()
    image = base64.b64encode(drawn(here, run_id)).decode()
    create_image_artifact(
        f"data:image/png;base64,{image}",
        key="forecast-map",
        description=f"Forecast from {init_month}, run {run_id}",
    )
    create_markdown_artifact(
        forecast_summary(here, run_id),
        key="forecast-by-region",
        description=f"Forecast from {init_month}, run {run_id}",
    )


@_for_looking_at
def skill_table() -> None:
    """Show the champion's skill by lead."""
    from flows.operations.artifacts import skill_report

    here = workspace()
    rows = skill_report(here, here.record().grid.name)
    if rows:
        create_table_artifact(
            rows, key="skill-by-lead", description="Skill of the champion by lead"
        )


@_for_looking_at
def promotion(version: str) -> None:
    """Show the decision about a model and the figures that it rests on."""
    from flows.operations.artifacts import promotion_report

    text = promotion_report(workspace(), version)
    create_markdown_artifact(text, key="promotion", description=f"Decision about {version}")


@_for_looking_at
def maintenance(done: dict[str, Any]) -> None:
    """Show what the upkeep did and found."""
    expired, collected, backup = done["expired"], done["collected"], done["backup"]
    lines = [
        f"- {expired['n_expired']} snapshots expired, {expired['n_kept']} referred to and kept",
        f"- {collected['n_bytes'] / 1e6:.1f} MB of garbage collected",
        f"- backup {backup['name']}: {backup['size_bytes'] / 1e6:.1f} MB, {backup['rows']} rows",
        *(f"- {text}" for text in (*done["findings"], *done["notes"])),
    ]
    create_markdown_artifact("\n".join(lines), key="maintenance", description="Weekly upkeep")


class ProgressBar:
    """One bar in the Prefect UI for work that is done by many tasks.

    Parameters
    ----------
    key
        Name of the artifact.
    description
        What is being done.
    """

    def __init__(self, key: str, description: str) -> None:
        self.key = key
        self.description = description
        self._id: UUID | None = None
        self._shown = -1

    def show(self, done: int, total: int) -> None:
        """Show how far it is; whole per cents only, so that it costs nothing."""
        percent = 100 * done // total
        if percent != self._shown:
            self._shown = percent
            self._update(float(percent), f"{self.description}: {done} of {total}")

    @_for_looking_at
    def _update(self, percent: float, description: str) -> None:
        if self._id is None:
            made: Any = create_progress_artifact(percent, key=self.key, description=description)
            self._id = made
        else:
            update_progress_artifact(self._id, progress=percent, description=description)
