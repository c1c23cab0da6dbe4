"""Writing a forecast run: everything it says becomes visible in one transaction, once."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, replace

from sqlalchemy import Connection, Engine, func, insert, select, text, type_coerce

from storage import tables as t
from storage.archive_rows import CellRows, ForecastRun, RegionalRows, WrittenRun, YearlyRows
from storage.column_types import UtcDateTime
from storage.database import DatabaseRuleError, reading, transaction, without_credentials
from storage.errors import TidenetError
from storage.ledger_rows import MonthRevision
from storage.months import Month, first_day
from storage.prediction_rows import (
    check_rows,
    insert_cell_rows,
    insert_regional_rows,
    insert_yearly_rows,
)
from storage.registry import require_model
from storage.run_queries import find_run, run_with_key

CLOCK_TOLERANCE = dt.timedelta(hours=1)
"""How far the clocks of two computers may disagree."""

_SAME_RUN = ("init_month", "model_version", "issued_kind", "seed", "n_leads", "n_members")


class DuplicateRunError(TidenetError):
    """A run id or idempotency key is already taken by another run."""


class ClockJumpedError(TidenetError):
    """A run says that it was made before what it read was there, or in the future."""


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
            existing = run_with_key(connection, run.idempotency_key)
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
