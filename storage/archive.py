"""The forecast archive: runs go in with all their rows, and come out by id, key or lineage.

A run and its rows become visible in one transaction. Runs are never changed: a rerun is a new run,
and views choose which one counts.
"""

from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection, Engine, Row, case, func, insert, select

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
    new_run_id,
)
from storage.check_result import CheckResult
from storage.database import DatabaseRuleError, reading, transaction, without_credentials
from storage.errors import TidenetError
from storage.months import Month
from storage.prediction_rows import (
    DimensionChangedError,
    InvalidRowsError,
    check_rows,
    insert_cell_rows,
    insert_regional_rows,
)
from storage.registry import require_model
from storage.skill_queries import UnknownRegionError, skill_table, unscored, write_scores
from storage.views import latest_months, lineage, runs_current
from storage.views import outdated_runs as outdated_runs_view

__all__ = [
    "QUANTILES",
    "CellRows",
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

_SAME_RUN = ("init_month", "model_version", "issued_kind", "seed", "n_leads", "n_members")


class DuplicateRunError(TidenetError):
    """A run id or idempotency key is already taken by another run."""


class UnknownRunError(TidenetError):
    """A run, or a lead or region of it, was asked for that is not in the archive."""


def write_run(
    engine: Engine, run: ForecastRun, regional: RegionalRows, cells: CellRows | None = None
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

    Raises
    ------
    InvalidRowsError
        If the predictions do not fit the run; the message lists every reason.
    DuplicateRunError
        If its id, or its idempotency key, belongs to another run.
    UnknownModelError
        If its model version is not registered.
    DimensionChangedError
        If a region or cell is archived with another shape or area.
    """
    check_rows(run, regional, cells)
    try:
        with transaction(engine) as connection:
            existing = _by_key(connection, run.idempotency_key)
            if existing is not None:
                return _earlier(existing, run)
            _insert(connection, run, regional, cells)
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
    query = (
        select(lineage, *checks)
        .outerjoin(t.Check, t.Check.product_file_id == lineage.c.product_file_id)
        .where(
            lineage.c.run_id == run_id,
            lineage.c.region == region,
            lineage.c.lead_months == lead_months,
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


def _insert(
    connection: Connection, run: ForecastRun, regional: RegionalRows, cells: CellRows | None
) -> None:
    require_model(connection, run.model_version)
    clean = replace(run, fields_url=without_credentials(run.fields_url))
    connection.execute(insert(t.ForecastRun).values(**asdict(clean)))
    months = [run.init_month + lead for lead in range(1, run.n_leads + 1)]
    connection.execute(
        insert(t.ForecastLead),
        [
            {
                "run_id": run.id,
                "init_month": run.init_month,
                "lead_months": lead,
                "valid_month": valid,
            }
            for lead, valid in enumerate(months, start=1)
        ],
    )
    insert_regional_rows(connection, run, regional)
    if cells is not None:
        query = (
            select(t.ForecastLead.id)
            .where(t.ForecastLead.run_id == run.id)
            .order_by(t.ForecastLead.lead_months)
        )
        insert_cell_rows(connection, list(connection.execute(query).scalars()), cells)


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
