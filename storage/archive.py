"""The forecast archive: runs go in with all their rows, and come out by id, key or lineage.

A run and its rows become visible in one transaction. Runs are never changed: a rerun is a new run,
and views choose which one counts.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection, Engine, Row, case, func, insert, select, text, type_coerce

from storage import tables as t
from storage.archive_rows import (
    QUANTILES,
    CellRows,
    ForecastRun,
    IssuedKind,
    OutdatedRun,
    RegionalRows,
    ScoreRow,
    SkillRow,
    Trace,
    Unscored,
    WrittenRun,
    YearlyRows,
    new_run_id,
)
from storage.check_result import CheckResult
from storage.column_types import UtcDateTime
from storage.database import DatabaseRuleError, reading, transaction, without_credentials
from storage.dimensions import DimensionChangedError, UnknownRegionError
from storage.errors import TidenetError
from storage.ledger_rows import MonthRevision
from storage.months import Month, first_day
from storage.prediction_rows import (
    InvalidRowsError,
    check_rows,
    insert_cell_rows,
    insert_regional_rows,
    insert_yearly_rows,
)
from storage.registry import require_model
from storage.skill_queries import skill_table, unscored, write_scores
from storage.views import forecasts, latest_months, lineage_files, runs_current
from storage.views import outdated_runs as outdated_runs_view

__all__ = [
    "QUANTILES",
    "CellRows",
    "ClockJumpedError",
    "DimensionChangedError",
    "DuplicateRunError",
    "ForecastRun",
    "InvalidRowsError",
    "IssuedKind",
    "OutdatedRun",
    "RegionalRows",
    "ScoreRow",
    "SkillRow",
    "Trace",
    "UnknownRegionError",
    "UnknownRunError",
    "Unscored",
    "WrittenRun",
    "YearlyRows",
    "current_run",
    "find_run",
    "last_run",
    "latest_observed",
    "new_run_id",
    "outdated_runs",
    "run",
    "runs",
    "skill_table",
    "trace",
    "unscored",
    "write_run",
    "write_scores",
]

CLOCK_TOLERANCE = dt.timedelta(hours=1)
"""How far the clocks of two computers may disagree."""

_SAME_RUN = ("init_month", "model_version", "issued_kind", "seed", "n_leads", "n_members")


class DuplicateRunError(TidenetError):
    """A run id or idempotency key is already taken by another run."""


class ClockJumpedError(TidenetError):
    """A run says that it was made before what it read was there, or in the future."""


class UnknownRunError(TidenetError):
    """A run, or a lead or region of it, was asked for that is not in the archive."""


def write_run(
    engine: Engine,
    run: ForecastRun,
    regional: RegionalRows,
    cells: CellRows | None = None,
    *,
    yearly: YearlyRows | None = None,
    inputs: Iterable[MonthRevision] = (),
) -> WrittenRun:
    """Write a run with all its rows in one transaction.

    A run whose idempotency key is archived already writes nothing and returns the earlier run,
    also if two processes write it at the same time.

    Parameters
    ----------
    engine
        The archive database.
    run
        The run. Its model version and month revision are registered already.
    regional
        Its predictions by region; anomalies and area integrals are added here.
    cells
        Its predictions by cell of the archive grid; None to archive regions only.
    yearly
        Its sums by calendar year; None to archive none.
    inputs
        The month revisions that it read.

    Raises
    ------
    InvalidRowsError
        If the predictions do not fit the run; the message lists every reason.
    DuplicateRunError
        If its id, or its idempotency key, belongs to another run.
    ClockJumpedError
        If it was made before its init month was committed, or in the future.
    UnknownModelError
        If its model version is not registered.
    DimensionChangedError
        If a region or cell is archived with another shape or area.
    """
    check_rows(run, regional, cells, yearly)
    if cells is not None:
        _add_partition(engine, run.init_month)
    try:
        with transaction(engine) as connection:
            existing = _by_key(connection, run.idempotency_key)
            if existing is not None:
                return _earlier(existing, run)
            _refuse_clock(connection, run)
            lead_ids = _insert_run(connection, run, inputs)
            insert_regional_rows(connection, run, regional)
            if yearly is not None:
                insert_yearly_rows(connection, run, yearly)
            if cells is not None:
                insert_cell_rows(connection, run, lead_ids, cells)
    except DatabaseRuleError:
        # Another process may have written the same run since it was looked for.
        existing = find_run(engine, run.idempotency_key)
        if existing is None:
            _refuse_taken_id(engine, run)
            raise
        return _earlier(existing, run)
    return WrittenRun(run.id, created=True)


def find_run(engine: Engine, idempotency_key: str) -> ForecastRun | None:
    """Return the run with this idempotency key, or None."""
    with reading(engine) as connection:
        return _by_key(connection, idempotency_key)


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


def _add_partition(engine: Engine, init_month: Month) -> None:
    """Make room for cell rows of a year, in a transaction of its own: it locks but a moment."""
    if engine.dialect.name != "postgresql":
        return
    year = {"year": first_day(init_month).year}
    with reading(engine) as connection:
        known = "SELECT to_regclass('cell_predictions_' || CAST(:year AS text))"
        if connection.execute(text(known), year).scalar() is not None:
            return
    with transaction(engine) as connection:
        connection.execute(text("SELECT add_cell_partition(:year)"), year)


def _refuse_clock(connection: Connection, run: ForecastRun) -> None:
    revision = t.MonthRevision
    committed_at, now = connection.execute(
        select(
            select(revision.committed_at)
            .where(revision.id == run.month_revision_id)
            .scalar_subquery(),
            type_coerce(func.current_timestamp(), UtcDateTime),
        )
    ).one()
    early = committed_at is not None and run.created_at < committed_at - CLOCK_TOLERANCE
    if not early and run.created_at <= now + CLOCK_TOLERANCE:
        return
    raise ClockJumpedError(
        f"Run {run.id} cannot have been made at {run.created_at:%Y-%m-%d %H:%M:%S} UTC.",
        found=f"its init month was committed at {committed_at:%Y-%m-%d %H:%M:%S}"
        if early
        else f"the database's clock says {now:%Y-%m-%d %H:%M:%S}",
        expected="a time after what it read, and not in the future",
        remedy="Nothing was written. Set the clock of this computer, then make the run again.",
    )


def _insert_run(
    connection: Connection, run: ForecastRun, inputs: Iterable[MonthRevision]
) -> list[int]:
    """Add a run, what it read and its leads; return the leads' keys."""
    require_model(connection, run.model_version)
    clean = replace(run, fields_url=without_credentials(run.fields_url))
    connection.execute(insert(t.ForecastRun).values(**asdict(clean)))
    read = [
        {"run_id": run.id, "month": one.committed.month, "month_revision_id": one.id}
        for one in inputs
    ]
    if read:
        connection.execute(insert(t.RunInput), read)
    leads = [
        {
            "run_id": run.id,
            "init_month": run.init_month,
            "lead_months": lead,
            "valid_month": run.init_month + lead,
        }
        for lead in range(1, run.n_leads + 1)
    ]
    connection.execute(insert(t.ForecastLead), leads)
    query = (
        select(t.ForecastLead.id)
        .where(t.ForecastLead.run_id == run.id)
        .order_by(t.ForecastLead.lead_months)
    )
    return list(connection.execute(query).scalars())


def _by_key(connection: Connection, key: str) -> ForecastRun | None:
    row = connection.execute(
        select(t.ForecastRun).where(t.ForecastRun.idempotency_key == key)
    ).one_or_none()
    return None if row is None else _forecast_run(row)


def _earlier(existing: ForecastRun, run: ForecastRun) -> WrittenRun:
    """Return the earlier run, after a look whether it is the same one."""
    differences = [
        f"{name} {getattr(existing, name)} instead of {getattr(run, name)}"
        for name in _SAME_RUN
        if getattr(existing, name) != getattr(run, name)
    ]
    if differences:
        raise DuplicateRunError(
            f"The idempotency key of run {run.id} belongs to another run, {existing.id}.",
            found=", ".join(differences),
            remedy="Make the key from everything that makes the run one of a kind.",
        )
    return WrittenRun(existing.id, created=False)


def _refuse_taken_id(engine: Engine, run: ForecastRun) -> None:
    with reading(engine) as connection:
        taken = connection.execute(
            select(func.count()).select_from(t.ForecastRun).where(t.ForecastRun.id == run.id)
        ).scalar_one()
    if taken:
        raise DuplicateRunError(
            f"The run id {run.id} is already taken by another run.",
            remedy="Give every run an id of its own (new_run_id).",
        )


def _forecast_run(row: Row[Any]) -> ForecastRun:
    return ForecastRun(**row._mapping)
