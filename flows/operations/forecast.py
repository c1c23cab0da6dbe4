"""Forecast the next months with the champion model and archive the run."""

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.operations.drivers import needed_drivers
from flows.operations.fields import gridded_fields
from flows.operations.issue import Issue, issue_of
from flows.operations.known import Known, known
from flows.operations.models import load_model
from flows.operations.rows import cell_rows, regional_rows
from flows.operations.workspace import Workspace, flux_record
from storage.archive import (
    ForecastRun,
    IssuedKind,
    current_run,
    find_run,
    new_run_id,
    write_run,
)
from storage.errors import TidenetError
from storage.months import Month, month, months_between
from storage.regions import check_on_grid
from storage.registry import ModelVersion

if TYPE_CHECKING:
    from storage.carbon_ecs import CarbonEcs
    from tidenet.forecaster import Forecast
    from tidenet.forecasting import TideNetForecaster
    from tidenet.record import FluxRecord


class NoChampionError(TidenetError):
    """There is no model to forecast with."""


class StaleInputError(TidenetError):
    """The newest month of the record is too old to forecast from."""


class InSampleError(TidenetError):
    """A hindcast would be made for months that the model has learned from."""


@dataclass(frozen=True)
class MadeForecast:
    """An archived run.

    Parameters
    ----------
    run_id
        Its id in the archive.
    init_month
        Last observed month used.
    model_version
        The model.
    created
        False if the same run existed already and nothing was computed.
    """

    run_id: str
    init_month: Month
    model_version: str
    created: bool


def forecast(
    workspace: Workspace,
    *,
    init: Month | None = None,
    as_of: dt.datetime | None = None,
    seed: int = 0,
    rerun: bool = False,
    reason: str = "",
    placement: str = "",
) -> MadeForecast:
    """Forecast from one init month with the champion.

    A run from the last month of the record is ``live``, one from an earlier month, or from what was
    known at an earlier moment, a ``backfill``.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    init
        Last observed month to use; None for the last of the record. Later months are not read.
    as_of
        Replay: nothing that became known after this moment is read (aware, UTC), neither months
        nor revisions nor drivers nor models. None for the present.
    seed
        Seed of the ensemble.
    rerun
        Make a new run, with a new id, even if the same one exists.
    reason
        Why it is made, for the archive; empty for what can be told without asking.
    placement
        What hardware was asked for and why it runs here, for the archive.

    Raises
    ------
    StaleInputError
        If the last month of the record is too old and the settings want no forecast from it.
    NoChampionError, LedgerBehindRecordError, NothingKnownError
        If there is no model, or no such month.
    """
    then = known(workspace, as_of)
    init_month = then.last_month if init is None else init
    model = current_champion(then)
    newest = init_month == then.last_month
    kind: IssuedKind = "live" if newest and as_of is None else "backfill"
    return make_run(
        then,
        model,
        init_month,
        kind=kind,
        seed=seed,
        rerun=rerun,
        reason=reason,
        placement=placement,
        degraded=_staleness(then, init_month) if newest else "",
    )


def current_champion(then: Known) -> ModelVersion:
    """Return the champion of the record's grid.

    Raises
    ------
    NoChampionError
        If no model was promoted yet.
    """
    model = then.champion()
    if model is None:
        raise NoChampionError(
            f"There is no champion model for the grid {then.store.grid.name}.",
            remedy="Train one first: tidenet train.",
        )
    return model


def _staleness(then: Known, newest: Month) -> str:
    """Return why the newest month is too old to forecast from as if it were the last; or nothing.

    Raises
    ------
    StaleInputError
        If it is, and the settings want no forecast then.
    """
    settings = then.workspace.settings
    behind = months_between(newest, month(then.moment.date()) - 1)
    if settings.stale_months == 0 or behind <= settings.stale_months:
        return ""
    found = f"The newest month of the record, {newest}, is {behind} months behind"
    if settings.stale_input == "refuse":
        raise StaleInputError(
            "The record is too old to forecast from.",
            found=found,
            expected=f"at most {settings.stale_months} months (TIDENET_STALE_MONTHS)",
            remedy="Ingest newer months; TIDENET_STALE_INPUT=degraded forecasts all the same.",
        )
    return f"{found}, more than {settings.stale_months}."


def _why(workspace: Workspace, issue: Issue, *, rerun: bool) -> str:
    """Return why a run is made, as far as the archive tells."""
    earlier = current_run(workspace.engine, issue.init_month, issue.model.version, issue.kind)
    if rerun:
        return "made again by hand"
    if earlier is None:
        return {
            "live": "a new last month of the record",
            "backfill": "asked for from an earlier month",
            "hindcast": "to measure skill",
        }[issue.kind]
    if (earlier.seed, earlier.n_members) != (issue.seed, issue.n_members):
        return f"another seed or number of members than run {earlier.id}"
    return f"what run {earlier.id} had read was revised"


def make_run(
    then: Known,
    model: ModelVersion,
    init_month: Month,
    *,
    kind: IssuedKind,
    seed: int,
    rerun: bool = False,
    reason: str = "",
    placement: str = "",
    degraded: str = "",
    forecaster: "TideNetForecaster | None" = None,
) -> MadeForecast:
    """Compute and archive one run, unless the same one exists.

    The gridded fields are written first; the rows become visible in one transaction after them.
    If the process dies in between, fields without rows stay behind and the run is made again.

    Parameters
    ----------
    then
        What is read: the record at a snapshot, which is recorded with the run.
    reason
        Why it is made; empty for what can be told without asking.
    placement
        What hardware was asked for and why it runs here.
    degraded
        Why the run is less than it should be; empty if it is not.
    forecaster
        The loaded model, where a caller makes many runs; None to load it here.
    """
    from storage.gridded import write_run as write_fields

    workspace, store = then.workspace, then.store
    check_on_grid(workspace.regions, store.grid, store.ocean)
    settings = workspace.settings
    issue = issue_of(then, model, init_month, kind=kind, seed=seed)
    key = issue.key()
    existing = find_run(workspace.engine, key)
    if existing is not None and not rerun:
        return MadeForecast(existing.id, init_month, model.version, created=False)
    started = time.monotonic()
    run_id = new_run_id()
    forecaster = forecaster or load_model(workspace, model, store.grid, store.ocean)
    drivers = needed_drivers(model.config)
    record = read_inputs(store, forecaster.n_history, init_month, drivers)
    predicted, references = predict(
        forecaster, record, init_month, seed=seed, n_members=issue.n_members
    )
    dataset = gridded_fields(predicted, references, forecaster.climatology.std)
    stored = write_fields(
        f"{settings.predictions_url}/{init_month}/{run_id}.zarr", dataset, workspace.patience
    )
    run = ForecastRun(
        id=run_id,
        init_month=init_month,
        n_leads=predicted.n_leads,
        n_members=len(predicted.members),
        model_version=model.version,
        snapshot_id=store.snapshot_id,
        month_revision_id=issue.inputs[-1].id,
        seed=seed,
        issued_kind=kind,
        created_at=workspace.now(),
        fields_url=stored.uri,
        fields_sha256=stored.sha256,
        code_version=workspace.code_version,
        first_month=issue.first_read,
        idempotency_key=f"{key}:{run_id}" if rerun else key,
        duration_s=time.monotonic() - started,
        libraries=workspace.libraries,
        hardware=workspace.hardware,
        degraded=bool(degraded),
        degraded_reason=degraded,
        reason=reason or _why(workspace, issue, rerun=rerun),
        known_at=then.as_of,
        placement=placement,
    )
    regional, yearly = regional_rows(predicted, references, record.ocean, workspace.regions)
    cells = cell_rows(predicted, references, record.ocean, settings.archive_step)
    written = write_run(workspace.engine, run, regional, cells, yearly=yearly, inputs=issue.inputs)
    return MadeForecast(written.run_id, init_month, model.version, created=written.created)


def predict(
    forecaster: "TideNetForecaster",
    record: "FluxRecord",
    init_month: Month,
    *,
    seed: int,
    n_members: int,
) -> "tuple[Forecast, dict[str, Forecast]]":
    """Return the forecast and the reference forecasts of the same init month.

    The random generator is made from the seed and the init month alone, so that a run is the same
    whether it is made by itself or in the middle of a backfill.
    """
    numbers = [seed, int(init_month.astype(int))]
    predicted = forecaster.forecast(
        record, init_month, n_members=n_members, rng=np.random.default_rng(numbers)
    )
    beside = {
        name: reference.forecast(
            record, init_month, n_members=2, rng=np.random.default_rng(numbers)
        )
        for name, reference in forecaster.references.items()
    }
    return predicted, beside


def read_inputs(
    store: "CarbonEcs", n_history: int, init_month: Month, drivers: Sequence[str]
) -> "FluxRecord":
    """Return the months that the model needs, none after the init month: the input cut-off.

    Raises
    ------
    MissingDriverError
        If a driver that it reads does not reach the init month.
    """
    first = max(store.months()[0], init_month - (n_history - 1))
    return flux_record(store, first, init_month, drivers)
