"""Hand-overs between products: what the months of a new product are corrected with, and since when.

Rows are only added: of the fits of two products on a grid, the newest counts.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from storage import tables as t
from storage.database import DatabaseRuleError, reading, transaction
from storage.handover_text import InvalidHandOverError, text_sha256
from storage.months import Month
from storage.views import handover_current

__all__ = [
    "HandOver",
    "HandOverFitted",
    "HandOverTerm",
    "InvalidHandOverError",
    "current_handover",
    "record_handover",
]


@dataclass(frozen=True)
class HandOverTerm:
    """One term: corrected = scale x new + shift (mmol m-2 d-1, positive out of the sea).

    Parameters
    ----------
    region
        Part of the sea; the parts of a hand-over do not overlap.
    calendar_month
        1 to 12.
    scale
        Factor on the new product, above 0.
    shift
        What is added to the scaled new product (mmol m-2 d-1).
    n_months, n_cells
        Months and cells that it was fitted on.
    residual
        Standard deviation of what it does not explain (mmol m-2 d-1).
    """

    region: str
    calendar_month: int
    scale: float
    shift: float
    n_months: int
    n_cells: int
    residual: float


@dataclass(frozen=True)
class HandOverFitted:
    """A hand-over as it was fitted.

    Parameters
    ----------
    old_product, new_product
        The product that the record was made from so far, and the one that is corrected to fit it.
    grid
        Name of the grid that they were compared on.
    overlap_first, overlap_last
        First and last month of their overlap.
    n_months
        Months of the overlap that were used.
    rmse_before, rmse_after
        Root mean squared difference of the products, and of the old and the corrected new one
        (mmol m-2 d-1).
    parameters
        The whole fitted value as JSON: what it can be made from again.
    snapshot_id
        Snapshot of the Carbon-ECS repository that it was fitted on.
    fitted_at
        When (aware, UTC).
    fitted_by
        Who or what fitted it.
    terms
        Its terms, by region and calendar month.
    """

    old_product: str
    new_product: str
    grid: str
    overlap_first: Month
    overlap_last: Month
    n_months: int
    rmse_before: float
    rmse_after: float
    parameters: Mapping[str, Any]
    snapshot_id: str
    fitted_at: dt.datetime
    fitted_by: str
    terms: tuple[HandOverTerm, ...]

    def sha256(self) -> str:
        """Return the hexadecimal SHA-256 of the parameters as canonical JSON.

        It is that of the text in the record's own attributes (`CarbonEcs.handovers`).

        Raises
        ------
        InvalidHandOverError
            If the parameters are no JSON: an unknown type, or a number that is not finite.
        """
        return text_sha256(self.parameters)


@dataclass(frozen=True)
class HandOver:
    """A hand-over in the database.

    Parameters
    ----------
    id
        Its key: what month revisions refer to.
    fit
        1 for the first fit of its products, 2 for the next other one, ...
    sha256
        Hexadecimal digest of its parameters.
    fitted
        What was fitted.
    """

    id: int
    fit: int
    sha256: str
    fitted: HandOverFitted


_COLUMNS = tuple(field.name for field in fields(HandOverFitted) if field.name != "terms")


def record_handover(engine: Engine, fitted: HandOverFitted) -> int:
    """Record a hand-over with its terms, and return its key.

    The same parameters as those of the newest fit of its products add nothing, also if two
    processes record them at the same time.

    Raises
    ------
    InvalidHandOverError
        If the parameters are no JSON.
    DatabaseRuleError
        If a value is impossible: a term twice, a scale that is not above 0, ...
    """
    digest = fitted.sha256()
    try:
        with transaction(engine) as connection:
            return _add(connection, fitted, digest)
    except DatabaseRuleError as error:
        if "uq_handovers_fit" not in str(error):
            raise
    # Another process recorded a fit of these products meanwhile.
    with transaction(engine) as connection:
        return _add(connection, fitted, digest)


def current_handover(
    engine: Engine, old_product: str, new_product: str, grid: str
) -> HandOver | None:
    """Return the newest hand-over from one product to another on a grid, or None."""
    view = handover_current
    query = (
        select(t.HandOver)
        .join(view, view.c.handover_id == t.HandOver.id)
        .where(
            view.c.old_product == old_product,
            view.c.new_product == new_product,
            view.c.grid == grid,
        )
    )
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        terms = _terms(connection, row.id)
    values = {name: getattr(row, name) for name in _COLUMNS}
    return HandOver(row.id, row.fit, row.sha256, HandOverFitted(**values, terms=terms))


def _add(connection: Connection, fitted: HandOverFitted, digest: str) -> int:
    table = t.HandOver
    latest = connection.execute(
        select(table.id, table.fit, table.sha256)
        .where(
            table.old_product == fitted.old_product,
            table.new_product == fitted.new_product,
            table.grid == fitted.grid,
        )
        .order_by(table.fit.desc())
        .limit(1)
    ).one_or_none()
    if latest is not None and latest.sha256 == digest:
        return int(latest.id)
    values = {name: getattr(fitted, name) for name in _COLUMNS} | {
        "fit": 1 if latest is None else latest.fit + 1,
        "sha256": digest,
    }
    inserted = connection.execute(insert(table).values(**values)).inserted_primary_key
    assert inserted is not None
    key = int(inserted[0])
    rows = [{"handover_id": key, **asdict(term)} for term in fitted.terms]
    if rows:
        connection.execute(insert(t.HandOverTerm), rows)
    return key


def _terms(connection: Connection, handover_id: int) -> tuple[HandOverTerm, ...]:
    table = t.HandOverTerm
    query = select(*(getattr(table, field.name) for field in fields(HandOverTerm))).where(
        table.handover_id == handover_id
    )
    terms = [HandOverTerm(**row) for row in connection.execute(query).mappings()]
    # Sorted here: databases differ in how they order text.
    return tuple(sorted(terms, key=lambda term: (term.region, term.calendar_month)))
