"""Put what the record holds of each month into the archive: what forecasts are held against."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.operations.rows import archive_factor
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.flux_month import Quality
from storage.observations import ObservedRows, Unobserved, unobserved, write_observation
from storage.record_errors import MonthNotInRecordError, RecordNotFoundError
from storage.regions import Region, region_masks

if TYPE_CHECKING:
    from storage.carbon_ecs import CarbonEcs
    from tidenet.aggregates import RegionMeans


@dataclass(frozen=True)
class _Averaging:
    """What is the same for every month."""

    regions: tuple[Region, ...]
    means: "RegionMeans"
    factor: int


def observe(
    workspace: Workspace, store: "CarbonEcs", *, progress: Progress = no_progress
) -> tuple[int, int]:
    """Archive every revision of a month by region and archive cell, unless it is there already.

    A region that was added since is archived for all months. A superseded revision whose snapshot
    has expired cannot be read any more and is left out.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    store
        The record at its latest snapshot.
    progress
        Called after each revision.

    Returns
    -------
    tuple
        Number of revisions that were archived, and that could not be read any more.
    """
    from tidenet.aggregates import RegionMeans

    masks = region_masks(store.grid, store.ocean, workspace.regions)
    averaging = _Averaging(
        tuple(region for region in workspace.regions if region.name in masks),
        RegionMeans(masks, store.grid.cell_area),
        archive_factor(store.grid, workspace.settings.archive_step),
    )
    pending = unobserved(workspace.engine, averaging.regions)
    gone = 0
    for done, item in enumerate(pending, start=1):
        try:
            source = store if item.is_latest else workspace.record(item.snapshot_id)
            write_observation(workspace.engine, _rows(workspace, source, item, averaging))
        except (MonthNotInRecordError, RecordNotFoundError):
            gone += 1
        progress(done, len(pending), str(item.month))
    return len(pending) - gone, gone


def _rows(
    workspace: Workspace, store: "CarbonEcs", item: Unobserved, averaging: _Averaging
) -> ObservedRows:
    from tidenet.aggregates import observed_cells

    held = store.read_month(item.month)
    seen = held.quality == Quality.OBSERVED
    cells = observed_cells(store.grid, held.fco2, seen, store.ocean, averaging.factor)
    coarse = store.grid.coarsened(averaging.factor)
    return ObservedRows(
        month_revision_id=item.month_revision_id,
        month=item.month,
        created_at=workspace.now(),
        regions=averaging.regions,
        area_m2=averaging.means.area_m2,
        mean=averaging.means(held.fco2),
        uncertainty=averaging.means(held.uncertainty),
        # (A mean of ones may come out a hair above one.)
        observed_share=np.clip(averaging.means(seen.astype(np.float64)), 0.0, 1.0),
        grid=coarse,
        index=cells["row"] * coarse.n_lon + cells["column"],
        cell_area_m2=cells["area_m2"],
        cell_mean=cells["mean"],
        cell_observed_share=np.clip(cells["observed_share"], 0.0, 1.0),
    )
