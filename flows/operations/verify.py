"""Score every archived forecast whose valid month has been observed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING

from flows.operations.drift import check_drift
from flows.operations.fields import at_lead
from flows.operations.input_drift import check_input_drift
from flows.operations.observe import observe
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.archive import ScoreRow, Unscored, unscored, write_scores
from storage.drift_checks import DriftCheck, last_drift_check
from storage.flux_month import Quality
from storage.input_drift_checks import InputDriftCheck, last_input_drift_checks
from storage.region_rows import regions_of_runs
from storage.registry import champion

if TYPE_CHECKING:
    import xarray as xr

    from tidenet.verification import PredictedMonth, ReferenceMonth, SkillSums


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
    inputs
        The newest look at each statistic of what the champion is given.
    alarms
        What looks that are new with this verification say of drift, one sentence each.
    n_observed
        Revisions of months whose observed fluxes were newly archived.
    lost
        Id of each run whose fields are gone or damaged, and what was found. It is not scored.
    """

    n_runs: int
    n_scored: int
    drift: DriftCheck | None = None
    n_observed: int = 0
    lost: tuple[tuple[str, str], ...] = ()
    inputs: tuple[InputDriftCheck, ...] = ()
    alarms: tuple[str, ...] = ()


def verify(workspace: Workspace, *, again: str = "", progress: Progress = no_progress) -> Verified:
    """Score each lead of each run against the latest revision of its valid month.

    Before that, the months' observed fluxes are archived by region and cell (`observe`).

    A run is scored over the regions that it is archived for, as they were drawn then. Only cells
    that were observed count, not those that ingest completed. A month that was revised since it was
    last scored against is scored again; the older scores stay. Scores of one valid month are
    written in one transaction. Then the champion's skill is held against its hindcast's, and what
    it is given against its training.

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
    fields = _Fields(workspace)
    done = 0
    for _, group in groupby(
        pending, key=lambda item: (item.valid_month, item.observed_snapshot_id)
    ):
        items = list(group)
        write_scores(workspace.engine, _score(workspace, items, fields, again))
        done += len(items)
        progress(done, len(pending), str(items[0].valid_month))
    seen_before = _looks(workspace, store.grid.name)
    drift = check_drift(workspace, store.grid.name)
    inputs = check_input_drift(workspace, store.grid.name)
    alarms = [
        look.reason
        for look in _looks(workspace, store.grid.name)
        if look.drifting and look not in seen_before
    ]
    scored = [item for item in pending if item.run_id not in fields.lost]
    return Verified(
        len({item.run_id for item in scored}),
        len(scored),
        drift,
        n_observed,
        tuple(fields.lost.items()),
        inputs,
        tuple(alarms),
    )


def _looks(workspace: Workspace, grid: str) -> tuple[DriftCheck | InputDriftCheck, ...]:
    """Return the newest looks at the champion that there are so far."""
    model = champion(workspace.engine, grid)
    if model is None:
        return ()
    drift = last_drift_check(workspace.engine, model.version)
    inputs = last_input_drift_checks(workspace.engine, model.version).values()
    return (drift, *inputs) if drift is not None else tuple(inputs)


class _Fields:
    """The gridded fields of the runs that are scored, opened once each.

    A run has leads in several months, and opening it on S3 takes longer than reading one of them.
    A run whose fields are gone or damaged is remembered as lost, and the others are scored.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._patience = workspace.patience
        self._opened: dict[str, xr.Dataset] = {}
        self.lost: dict[str, str] = {}

    def at_lead(self, item: Unscored) -> "tuple[PredictedMonth, ReferenceMonth] | None":
        """Return one lead of a run, or None if its fields are lost."""
        from storage.gridded import FIELD_ERRORS, read_run

        if item.run_id in self.lost:
            return None
        try:
            if item.run_id not in self._opened:
                self._opened[item.run_id] = read_run(item.fields_url, self._patience)
            return at_lead(self._opened[item.run_id], item.lead_months)
        except FIELD_ERRORS as error:
            self.lost[item.run_id] = f"{item.fields_url}: {str(error).splitlines()[0]}"
            return None


def _score(
    workspace: Workspace, items: list[Unscored], fields: _Fields, again: str
) -> Iterator[ScoreRow]:
    """Yield the score rows of runs that are all valid in one month."""
    from storage.regions import region_masks
    from tidenet.verification import score_month

    store = workspace.record(items[0].observed_snapshot_id)
    observed = store.read_month(items[0].valid_month)
    regions = regions_of_runs(workspace.engine, {item.run_id for item in items})
    masks = region_masks(store.grid, store.ocean, set(chain(*regions.values())))
    for item in items:
        own = {r.name: masks[r.name] for r in regions[item.run_id] if r.name in masks}
        read = fields.at_lead(item)
        if read is None:
            continue
        sums = score_month(
            *read,
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
