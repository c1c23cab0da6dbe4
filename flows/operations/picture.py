"""A map of what was forecast for a month, what was observed, and the difference."""

from pathlib import Path

import numpy as np

from flows.operations.workspace import Workspace
from storage.archive import latest_observed
from storage.archive import run as archived_run
from storage.errors import TidenetError
from storage.flux_month import Quality
from storage.months import Month


class NothingToDrawError(TidenetError):
    """No forecast of an observed month is in the archive."""


def draw_month(
    workspace: Workspace,
    *,
    valid_month: Month | None = None,
    lead: int = 1,
    file: Path | None = None,
) -> Path:
    """Write a PNG with forecast, observation and difference, and return its path.

    Parameters
    ----------
    valid_month
        The month; None for the last one that was both forecast at this lead and observed.
    lead
        Lead months.
    file
        Where to write; None for ``pictures/`` in the home folder.

    Raises
    ------
    NothingToDrawError
        If the archive holds no such forecast, or the month has not been observed.
    """
    from storage.gridded import read_run
    from tidenet.plots import forecast_map

    found = latest_observed(workspace.engine, lead, valid_month)
    if found is None:
        raise NothingToDrawError(
            "The archive holds no such forecast of an observed month.",
            expected=f"lead {lead}, valid in {valid_month or 'any observed month'}",
            remedy="Make hindcasts (tidenet backfill), or choose another month or lead.",
        )
    run_id, month = found
    run = archived_run(workspace.engine, run_id)
    fields = read_run(run.fields_url, workspace.patience)
    store = workspace.record()
    observed = store.read_month(month)
    figure = forecast_map(
        fields["fco2_mean"].sel(lead=lead).values,
        np.where(observed.quality == Quality.OBSERVED, observed.fco2, np.nan),
        grid=store.grid,
        ocean=store.ocean,
        init_month=run.init_month,
        valid_month=month,
        source=f"{observed.source.product}, {run.model_version}",
    )
    target = file or workspace.settings.home / "pictures" / f"fco2_{month}_lead{lead}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    return target
