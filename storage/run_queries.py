"""Looking runs up: by id, key or place, and where a value comes from."""

from dataclasses import fields
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, case, select

from storage import tables as t
from storage.archive_rows import ForecastRun, IssuedKind, OutdatedRun, Trace
from storage.check_result import CheckResult
from storage.database import reading
from storage.errors import TidenetError
from storage.months import Month
from storage.prediction_rows import QUANTILE_COLUMNS
from storage.views import forecasts, latest_months, lineage_files, runs_current
from storage.views import outdated_runs as outdated_runs_view

_VALUES = (
    "mean",
    "spread",
    *QUANTILE_COLUMNS,
    "p_source",
    "climatology",
    "damped_persistence",
)


class UnknownRunError(TidenetError):
    """A run, or a lead or region of it, was asked for that is not in the archive."""


def find_run(engine: Engine, idempotency_key: str) -> ForecastRun | None:
    """Return the run with this idempotency key, or None."""
    with reading(engine) as connection:
        return run_with_key(connection, idempotency_key)


def run(engine: Engine, run_id: str) -> ForecastRun:
    """Return a run by its id.

    Raises
    ------
    UnknownRunError
        If there is none.
    """
    with reading(engine) as connection:
        row = connection.execute(
            select(t.ForecastRun).where(t.ForecastRun.id == run_id)
        ).one_or_none()
    if row is None:
        raise UnknownRunError(
            "No run of this id is in the archive.",
            found=repr(run_id),
            remedy="List the runs: tidenet sql 'SELECT run_id, init_month FROM runs_current'",
        )
    return _forecast_run(row)


def last_run(engine: Engine, issued_kind: IssuedKind | None = None) -> ForecastRun | None:
    """Return the run with the latest init month (and of those the newest), or None."""
    query = select(t.ForecastRun).order_by(
        t.ForecastRun.init_month.desc(), t.ForecastRun.created_at.desc()
    )
    if issued_kind is not None:
        query = query.where(t.ForecastRun.issued_kind == issued_kind)
    with reading(engine) as connection:
        row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _forecast_run(row)


def current_run(
    engine: Engine, init_month: Month, model_version: str, issued_kind: IssuedKind
) -> ForecastRun | None:
    """Return the run that counts of an init month, model and kind, or None."""
    view = runs_current.c
    query = (
        select(t.ForecastRun)
        .join(runs_current, view.run_id == t.ForecastRun.id)
        .where(
            view.init_month == init_month,
            view.model_version == model_version,
            view.issued_kind == issued_kind,
        )
    )
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _forecast_run(row)


def runs(
    engine: Engine, *, model_version: str | None = None, issued_kind: IssuedKind | None = None
) -> tuple[ForecastRun, ...]:
    """Return runs by init month and time of creation."""
    query = select(t.ForecastRun).order_by(t.ForecastRun.init_month, t.ForecastRun.created_at)
    if model_version is not None:
        query = query.where(t.ForecastRun.model_version == model_version)
    if issued_kind is not None:
        query = query.where(t.ForecastRun.issued_kind == issued_kind)
    with reading(engine) as connection:
        return tuple(_forecast_run(row) for row in connection.execute(query))


def latest_observed(
    engine: Engine, lead_months: int, valid_month: Month | None = None
) -> tuple[str, Month] | None:
    """Return the run and valid month of the latest forecast of a month that has been observed.

    Parameters
    ----------
    engine
        The archive database.
    lead_months
        The lead.
    valid_month
        Only this valid month; None for the latest that there is.

    Returns
    -------
    tuple or None
        Id of the run and valid month: of several runs a live one before a backfill before a
        hindcast, and then the newest. None if there is no such forecast.
    """
    lead, runs = t.ForecastLead, runs_current.c
    kinds = case({"live": 1, "backfill": 2}, value=runs.issued_kind, else_=3)
    query = (
        select(lead.run_id, lead.valid_month)
        .join(runs_current, runs.run_id == lead.run_id)
        .join(latest_months, latest_months.c.month == lead.valid_month)
        .where(lead.lead_months == lead_months)
        .order_by(lead.valid_month.desc(), kinds, runs.created_at.desc(), runs.run_id)
        .limit(1)
    )
    if valid_month is not None:
        query = query.where(lead.valid_month == valid_month)
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else (row.run_id, row.valid_month)


def outdated_runs(engine: Engine) -> tuple[OutdatedRun, ...]:
    """Return the current runs that read an older content of a month than its latest, newest first.

    Only months that were read count, and only their content: a month that was revised and revised
    back makes no run outdated. Which content a run read is told by its snapshot, where a month made
    that, else by the time when the run began.
    """
    view = outdated_runs_view
    query = select(view).order_by(view.c.init_month.desc(), view.c.created_at.desc(), view.c.run_id)
    with reading(engine) as connection:
        return tuple(OutdatedRun(**row) for row in connection.execute(query).mappings())


def trace(engine: Engine, run_id: str, region: str, lead_months: int) -> Trace:
    """Return where one archived value comes from, in one query.

    Raises
    ------
    UnknownRunError
        If the archive holds no such prediction.
    """
    checks = [
        getattr(t.Check, field.name).label(f"check_{field.name}") for field in fields(CheckResult)
    ]
    taken = {"run_id", "region", "lead_months", "init_month", "valid_month", "issued_kind"}
    taken |= {"created_at", "mean", "model_version"}
    of_file = {field.name for field in fields(Trace)} & set(lineage_files.c.keys()) - taken
    query = (
        select(
            *(forecasts.c[name] for name in sorted(taken)),
            *(lineage_files.c[name] for name in sorted(of_file)),
            t.ForecastRun.snapshot_id,
            t.ModelVersion.weights_sha256,
            t.ModelVersion.snapshot_id.label("model_snapshot_id"),
            *checks,
        )
        .join(t.ForecastRun, t.ForecastRun.id == forecasts.c.run_id)
        .join(t.ModelVersion, t.ModelVersion.version == forecasts.c.model_version)
        .join(
            lineage_files,
            (lineage_files.c.run_id == forecasts.c.run_id)
            & (lineage_files.c.month == forecasts.c.init_month),
        )
        .outerjoin(t.Check, t.Check.product_file_id == lineage_files.c.product_file_id)
        .where(
            forecasts.c.run_id == run_id,
            forecasts.c.region == region,
            forecasts.c.lead_months == lead_months,
        )
        .order_by(t.Check.id)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).mappings().all()
    if not rows:
        raise UnknownRunError(
            "The archive holds no such prediction.",
            found=f"run {run_id}, region {region}, lead {lead_months}",
            remedy="List them: tidenet sql 'SELECT run_id, region, lead_months FROM forecasts'",
        )
    names = [field.name for field in fields(Trace) if field.name != "checks"]
    results = tuple(
        CheckResult(**{field.name: row[f"check_{field.name}"] for field in fields(CheckResult)})
        for row in rows
        if row["check_name"] is not None
    )
    return Trace(**{name: rows[0][name] for name in names}, checks=results)


def run_with_key(connection: Connection, key: str) -> ForecastRun | None:
    """Return the run with an idempotency key, in an open transaction, or None."""
    row = connection.execute(
        select(t.ForecastRun).where(t.ForecastRun.idempotency_key == key)
    ).one_or_none()
    return None if row is None else _forecast_run(row)


def _forecast_run(row: Row[Any]) -> ForecastRun:
    return ForecastRun(**row._mapping)


def archived_regions(engine: Engine, run_id: str, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return a run's regional rows: column name to float64 (lead, region), in the given order."""
    row = t.RegionalPrediction
    query = (
        select(row.region, row.lead_months, *(getattr(row, name) for name in _VALUES))
        .where(row.run_id == run_id)
        .order_by(row.lead_months)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    by_region = {name: np.array([r[2:] for r in rows if r.region == name]) for name in names}
    return {
        column: np.stack([by_region[name][:, k] for name in names], axis=1)
        for k, column in enumerate(_VALUES)
    }


def archived_cells(engine: Engine, run_id: str, index: np.ndarray) -> dict[str, np.ndarray]:
    """Return a run's cell rows: column name to float64 (lead, cell); empty if it has none.

    Parameters
    ----------
    engine
        The archive database.
    run_id
        The run.
    index
        Positions of the cells on the archive grid, in the order of the result (n_cells,).
    """
    row, lead, cell = t.CellPrediction, t.ForecastLead, t.Cell
    query = (
        select(cell.cell_index, *(getattr(row, name) for name in _VALUES))
        .join(lead, (lead.id == row.lead_id) & (lead.init_month == row.init_month))
        .join(cell, cell.id == row.cell_id)
        .where(lead.run_id == run_id)
        .order_by(lead.lead_months, cell.cell_index)
    )
    with reading(engine) as connection:
        rows = np.array(connection.execute(query).all(), dtype=np.float64)
    if not len(rows):
        return {}
    by_lead = rows.reshape(-1, len(index), rows.shape[1])
    # Rows come by position; the caller's cells may be in another order.
    place = np.searchsorted(by_lead[0, :, 0], index)
    return {name: by_lead[:, place, k] for k, name in enumerate(_VALUES, start=1)}


def archive_grid_of(engine: Engine, run_id: str) -> str | None:
    """Return the name of the grid that a run's cells are archived on, or None if it has none."""
    row, lead = t.CellPrediction, t.ForecastLead
    query = (
        select(t.Cell.grid)
        .join(row, row.cell_id == t.Cell.id)
        .join(lead, (lead.id == row.lead_id) & (lead.init_month == row.init_month))
        .where(lead.run_id == run_id)
        .limit(1)
    )
    with reading(engine) as connection:
        return connection.execute(query).scalar()
