"""The months of the record as the ledger has them: their revisions, and what those hold."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Engine, Row, select

from storage import tables as t
from storage.database import reading
from storage.ledger_rows import MonthCommitted, MonthRevision
from storage.months import Month
from storage.views import latest_months as latest_months_view


def latest_revision(engine: Engine, month: Month) -> MonthRevision | None:
    """Return the latest revision of a month, or None if the ledger has none."""
    query = select(latest_months_view).where(latest_months_view.c.month == month)
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _month_revision(row)


def latest_months(
    engine: Engine, until: Month | None = None, *, since: Month | None = None
) -> tuple[MonthRevision, ...]:
    """Return the latest revision of every month (from one, up to one), by month."""
    query = select(latest_months_view).order_by(latest_months_view.c.month)
    if since is not None:
        query = query.where(latest_months_view.c.month >= since)
    if until is not None:
        query = query.where(latest_months_view.c.month <= until)
    with reading(engine) as connection:
        return tuple(_month_revision(row) for row in connection.execute(query))


def revisions_of(engine: Engine, numbers: Mapping[Month, int]) -> dict[Month, MonthRevision]:
    """Return given revisions of months, as far as the ledger has them, by month.

    Parameters
    ----------
    engine
        The archive database.
    numbers
        The revision wanted of each month.
    """
    if not numbers:
        return {}
    revision, file = t.MonthRevision, t.ProductFile
    columns = [getattr(revision, field.name) for field in fields(MonthCommitted)]
    query = (
        select(
            revision.id.label("month_revision_id"),
            *columns,
            revision.product_file_id,
            file.product,
            file.url.label("file_url"),
            file.sha256.label("file_sha256"),
            file.stage,
        )
        .join(file, file.id == revision.product_file_id)
        .where(revision.month.between(min(numbers), max(numbers)))
    )
    with reading(engine) as connection:
        rows = [row for row in connection.execute(query) if numbers.get(row.month) == row.revision]
    return {row.month: _month_revision(row) for row in rows}


def newest_commit(engine: Engine, as_of: dt.datetime) -> MonthCommitted | None:
    """Return the last commit of any month up to a moment (aware, UTC), or None."""
    revision = t.MonthRevision
    query = (
        select(*(getattr(revision, field.name) for field in fields(MonthCommitted)))
        .where(revision.committed_at <= as_of)
        .order_by(revision.id.desc())
        .limit(1)
    )
    with reading(engine) as connection:
        row = connection.execute(query).mappings().one_or_none()
    return None if row is None else MonthCommitted(**row)


def content_of(revisions: Iterable[MonthRevision]) -> str:
    """Return the hexadecimal SHA-256 of the content of months, given in their order.

    It changes if, and only if, one of them is revised to other content.
    """
    lines = (f"{r.committed.month} {r.committed.content_hash}\n" for r in revisions)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def preliminary_months(engine: Engine) -> tuple[MonthRevision, ...]:
    """Return the latest revision of the months for which no final file was accepted, by month."""
    view = latest_months_view
    query = select(view).where(view.c.stage == "preliminary").order_by(view.c.month)
    with reading(engine) as connection:
        return tuple(_month_revision(row) for row in connection.execute(query))


def _month_revision(row: Row[Any]) -> MonthRevision:
    names = [field.name for field in fields(MonthCommitted)]
    return MonthRevision(
        id=row.month_revision_id,
        committed=MonthCommitted(**{name: getattr(row, name) for name in names}),
        product_file_id=row.product_file_id,
        product=row.product,
        url=row.file_url,
        sha256=row.file_sha256,
        stage=row.stage,
    )
