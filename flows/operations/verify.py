"""Score every archived forecast whose valid month has been observed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING

from flows.operations.drift import check_drift
from flows.operations.fields import at_lead
from flows.operations.observe import observe
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.archive import ScoreRow, Unscored, unscored, write_scores
from storage.drift_checks import DriftCheck
from storage.flux_month import Quality
from storage.region_rows import regions_of_runs

if TYPE_CHECKING:
    import xarray as xr

    from tidenet.verification import SkillSums


@dataclass(frozen=True)
class Verified:
    """What a verification did.

    Parameters
    ----------
    n_runs
        Runs with at least one newly scored lead.
    n_scored
        Newly scored leads.
    drift
        The newest look at the champion's drift; None if there is too little to look at.
    n_observed
        Revisions of months whose observed fluxes were newly archived.
    """

    n_runs: int
    n_scored: int
    drift: DriftCheck | None = None
    n_observed: int = 0


def verify(workspace: Workspace, *, again: str = "", progress: Progress = no_progress) -> Verified:
    """Score each lead of each run against the latest revision of its valid month.

    Before that, the months' observed fluxes are archived by region and cell (`observe`).

    A run is scored over the regions that it is archived for, as they were drawn then. Only cells
    that were observed count, not those that ingest completed. A month that was revised since it was
    last scored against is scored again; the older scores stay. Scores of one valid month are
    written in one transaction. Then the champion's skill is held against its hindcast's.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    again
        Why what is scored already is scored anew; empty to leave it. Earlier scorings stay.
    progress
        Called after each month.
    """
    store = workspace.record()
    if store.last_month is None:
        return Verified(0, 0)
    n_observed, _ = observe(workspace, store, progress=progress)
    pending = unscored(workspace.engine, store.last_month, again=bool(again))
    fields: dict[str, xr.Dataset] = {}
    done = 0
    for _, group in groupby(
        pending, key=lambda item: (item.valid_month, item.observed_snapshot_id)
    ):
        items = list(group)
        write_scores(workspace.engine, _score(workspace, items, fields, again))
        done += len(items)
        progress(done, len(pending), str(items[0].valid_month))
    drift = check_drift(workspace, store.grid.name)
    return Verified(len({item.run_id for item in pending}), len(pending), drift, n_observed)


def _score(
    workspace: Workspace, items: list[Unscored], fields: "dict[str, xr.Dataset]", again: str
) -> Iterator[ScoreRow]:
    """Yield the score rows of runs that are all valid in one month.

    ``fields`` keeps the opened runs by URL: each has leads in several months, and opening a run
    on S3 takes longer than reading one of its leads.
    """
    from storage.gridded import read_run
    from storage.regions import region_masks
    from tidenet.verification import score_month

    store = workspace.record(items[0].observed_snapshot_id)
    observed = store.read_month(items[0].valid_month)
    regions = regions_of_runs(workspace.engine, {item.run_id for item in items})
    masks = region_masks(store.grid, store.ocean, set(chain(*regions.values())))
    for item in items:
        own = {r.name: masks[r.name] for r in regions[item.run_id] if r.name in masks}
        if item.fields_url not in fields:
            fields[item.fields_url] = read_run(item.fields_url, workspace.patience)
        predicted, reference = at_lead(fields[item.fields_url], item.lead_months)
        sums = score_month(
            predicted,
            reference,
            observed.fco2,
            observed.quality == Quality.OBSERVED,
            store.grid.cell_area,
            own,
        )
        for row in sums:
            yield _as_row(item, row, workspace, again)


def _as_row(item: Unscored, sums: "SkillSums", workspace: Workspace, again: str) -> ScoreRow:
    return ScoreRow(
        run_id=item.run_id,
        lead_months=item.lead_months,
        region=sums.region,
        valid_month=item.valid_month,
        month_revision_id=item.month_revision_id,
        n_cells=sums.n_cells,
        weight_sum=sums.weight,
        se_model=sums.squared_error,
        se_climatology=sums.squared_error_climatology,
        se_persistence=sums.squared_error_persistence,
        se_damped_persistence=sums.squared_error_damped_persistence,
        error=sums.error,
        abs_error=sums.absolute_error,
        crps=sums.crps,
        crps_climatology=sums.crps_climatology,
        fa_oa=sums.anomaly_product,
        fa_sq=sums.forecast_anomaly_squared,
        oa_sq=sums.observed_anomaly_squared,
        fa=sums.forecast_anomaly,
        oa=sums.observed_anomaly,
        inside_50=sums.inside_50,
        inside_90=sums.inside_90,
        created_at=workspace.now(),
        scoring=item.scoring,
        reason=again if item.scoring > 1 else "",
    )
