"""What the record holds of each month, by region and archive cell: what forecasts are held against.

Rows belong to one revision of a month. A revised month has further rows, and the old ones stay.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine, func, select

from storage import tables as t
from storage.bulk import insert_columns
from storage.database import on_conflict_do_nothing, reading, transaction
from storage.dimensions import add_cells, add_regions
from storage.grid import Grid
from storage.months import Month, days_in
from storage.prediction_rows import TGC_PER_MMOL
from storage.regions import Region
from storage.views import latest_months


@dataclass(frozen=True)
class Unobserved:
    """A revision of a month whose regions are not all in the archive yet.

    Parameters
    ----------
    month_revision_id, month, snapshot_id
        The revision, and the snapshot that its commit made.
    is_latest
        Whether it is the month's latest: the newest snapshot holds it, too.
    """

    month_revision_id: int
    month: Month
    snapshot_id: str
    is_latest: bool


@dataclass(frozen=True)
class ObservedRows:
    """One month of the record: fluxes in mmol m-2 d-1, positive out of the sea.

    Parameters
    ----------
    month_revision_id, month
        The revision.
    created_at
        When the rows were computed (aware, UTC).
    regions
        The regions.
    area_m2, mean, uncertainty, observed_share
        Of each region (n_regions,): ocean area, area mean of the flux, standard uncertainty of
        that mean if all cells err together, and share of the area that was observed (0 to 1).
    grid, index, cell_area_m2
        The archive grid, row-major positions of its cells (n_cells,) and their ocean area.
    cell_mean, cell_observed_share
        Of each archive cell (n_cells,).
    """

    month_revision_id: int
    month: Month
    created_at: dt.datetime
    regions: tuple[Region, ...]
    area_m2: np.ndarray
    mean: np.ndarray
    uncertainty: np.ndarray
    observed_share: np.ndarray
    grid: Grid
    index: np.ndarray
    cell_area_m2: np.ndarray
    cell_mean: np.ndarray
    cell_observed_share: np.ndarray


def unobserved(engine: Engine, regions: Sequence[Region]) -> tuple[Unobserved, ...]:
    """Return every revision of a month that lacks a row of one of these regions, by month."""
    revision, row = t.MonthRevision, t.RegionalObservation
    names = [region.name for region in regions]
    n_known = (
        select(func.count())
        .where(row.month_revision_id == revision.id, row.region.in_(names))
        .scalar_subquery()
    )
    latest = latest_months.c.month_revision_id
    query = (
        select(revision.id, revision.month, revision.snapshot_id, latest.is_not(None))
        .outerjoin(latest_months, latest == revision.id)
        .where(n_known < len(names))
        .order_by(revision.month, revision.revision)
    )
    with reading(engine) as connection:
        return tuple(Unobserved(*row) for row in connection.execute(query))


def write_observation(engine: Engine, rows: ObservedRows) -> None:
    """Write what one revision of a month holds, in one transaction; rows that are there stay.

    Raises
    ------
    DimensionChangedError
        If a region or cell is archived with another shape or area.
    """
    factor = rows.area_m2 * days_in(rows.month) * TGC_PER_MMOL
    values = [
        {
            "month_revision_id": rows.month_revision_id,
            "region": region.name,
            "area_m2": float(rows.area_m2[i]),
            "mean": float(rows.mean[i]),
            "uncertainty": float(rows.uncertainty[i]),
            "observed_share": float(rows.observed_share[i]),
            "flux_tgc": float(rows.mean[i] * factor[i]),
            "flux_tgc_uncertainty": float(rows.uncertainty[i] * factor[i]),
            "created_at": rows.created_at,
        }
        for i, region in enumerate(rows.regions)
    ]
    with transaction(engine) as connection:
        add_regions(connection, rows.regions)
        connection.execute(on_conflict_do_nothing(connection, t.RegionalObservation), values)
        if not _has_cells(connection, rows.month_revision_id):
            _insert_cells(connection, rows)


def _has_cells(connection: Connection, month_revision_id: int) -> bool:
    cells = t.CellObservation
    query = select(cells.cell_id).where(cells.month_revision_id == month_revision_id).limit(1)
    return connection.execute(query).first() is not None


def _insert_cells(connection: Connection, rows: ObservedRows) -> None:
    keys = add_cells(connection, rows.grid, rows.index, rows.cell_area_m2)
    columns = {
        "month_revision_id": np.full(len(keys), rows.month_revision_id, np.int32),
        "cell_id": keys.astype(np.int32),
        "mean": rows.cell_mean.astype(np.float32),
        "observed_share": rows.cell_observed_share.astype(np.float32),
    }
    insert_columns(connection, "cell_observations", columns)
