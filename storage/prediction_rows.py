"""From a run's arrays to table rows: what is checked, derived and how it gets in quickly."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert, select

from storage import tables as t
from storage.archive_rows import CellRows, ForecastRun, RegionalRows
from storage.database import on_conflict_do_nothing
from storage.errors import TidenetError
from storage.months import days_in
from storage.regions import REGIONS

QUANTILE_COLUMNS = ("q05", "q25", "q50", "q75", "q95")
CELL_COLUMNS = ("mean", "spread", *QUANTILE_COLUMNS, "p_source", "climatology")

TGC_PER_MMOL = 12.011e-15
"""Tg of carbon in one mmol of CO2 (molar mass of carbon 12.011 g/mol)."""


class InvalidRowsError(TidenetError):
    """Predictions do not fit their run: wrong shape, not a number, quantiles out of order."""


class DimensionChangedError(TidenetError):
    """A region or archive cell is known to the archive with another shape or area."""


def check_rows(run: ForecastRun, regional: RegionalRows, cells: CellRows | None) -> None:
    """Check that predictions fit their run.

    Raises
    ------
    InvalidRowsError
        If not; the message lists every reason.
    """
    wrong = list(_misfits("regional", run.n_leads, len(regional.regions), regional))
    declared = {region.name for region in REGIONS}
    wrong += [f"region {name!r} is unknown" for name in regional.regions if name not in declared]
    if cells is not None:
        wrong += _misfits("cell", run.n_leads, len(cells.index), cells)
    if wrong:
        raise InvalidRowsError(
            f"The predictions of run {run.id} cannot be archived.",
            found="; ".join(wrong),
            expected=f"{run.n_leads} leads of finite numbers with ordered quantiles",
            remedy="Nothing was written. Correct the forecast.",
        )


def _misfits(name: str, n_leads: int, n: int, rows: RegionalRows | CellRows) -> Iterator[str]:
    per_lead = {"mean", "spread", "p_source", "climatology"}
    if isinstance(rows, RegionalRows):
        per_lead.add("damped_persistence")
    shapes: dict[str, tuple[int, ...]] = {column: (n_leads, n) for column in sorted(per_lead)}
    shapes |= {"quantiles": (n_leads, len(QUANTILE_COLUMNS), n), "area_m2": (n,)}
    for column, shape in shapes.items():
        values = np.asarray(getattr(rows, column))
        if values.shape != shape:
            yield f"{name} {column} has shape {values.shape} instead of {shape}"
        elif not np.isfinite(values).all():
            yield f"{name} {column} holds {np.count_nonzero(~np.isfinite(values))} non-numbers"
        elif column == "quantiles" and (np.diff(values, axis=1) < 0).any():
            yield f"{name} quantiles are out of order"
        elif column == "p_source" and (values.min(initial=0) < 0 or values.max(initial=0) > 1):
            yield f"{name} p_source lies outside 0 to 1"
        elif column == "spread" and values.min(initial=0) < 0:
            yield f"{name} spread is negative"


def insert_regional_rows(connection: Connection, run: ForecastRun, rows: RegionalRows) -> None:
    """Add a run's regional rows, with anomalies and area integrals.

    The integral of a quantile of the area mean is that quantile of the integral: both are the mean
    times the same area and days.
    """
    _add_regions(connection, rows.regions)
    values = []
    for lead in range(1, run.n_leads + 1):
        valid_month = run.init_month + lead
        for i, region in enumerate(rows.regions):
            quantiles = dict(zip(QUANTILE_COLUMNS, rows.quantiles[lead - 1, :, i], strict=True))
            area = float(rows.area_m2[i])
            mean = float(rows.mean[lead - 1, i])
            climatology = float(rows.climatology[lead - 1, i])
            factor = area * days_in(valid_month) * TGC_PER_MMOL
            values.append(
                {
                    "run_id": run.id,
                    "region": region,
                    "lead_months": lead,
                    "valid_month": valid_month,
                    "area_m2": area,
                    "mean": mean,
                    "spread": float(rows.spread[lead - 1, i]),
                    "p_source": float(rows.p_source[lead - 1, i]),
                    "climatology": climatology,
                    "damped_persistence": float(rows.damped_persistence[lead - 1, i]),
                    "anomaly": mean - climatology,
                    "flux_tgc_mean": mean * factor,
                    **{name: float(value) for name, value in quantiles.items()},
                    **{f"flux_tgc_{name}": float(v) * factor for name, v in quantiles.items()},
                }
            )
    connection.execute(insert(t.RegionalPrediction), values)


def _add_regions(connection: Connection, names: tuple[str, ...]) -> None:
    wanted = {region.name: region for region in REGIONS if region.name in names}
    rows = [
        {
            "name": region.name,
            "title": region.title,
            "definition": {"vertices": [list(corner) for corner in region.vertices]},
        }
        for region in wanted.values()
    ]
    connection.execute(on_conflict_do_nothing(connection, t.Region), rows)
    known = connection.execute(select(t.Region.name, t.Region.definition))
    archived = {name: definition for name, definition in known}
    changed = [row["name"] for row in rows if archived[row["name"]] != row["definition"]]
    if changed:
        raise DimensionChangedError(
            "Regions are in the archive with another shape.",
            found=", ".join(str(name) for name in changed),
            remedy="Give a region that is drawn anew a new name: its rows mean something else.",
        )


def insert_cell_rows(connection: Connection, lead_ids: list[int], rows: CellRows) -> None:
    """Add a run's cell rows in bulk.

    Parameters
    ----------
    connection
        The open transaction.
    lead_ids
        Key of each lead (n_leads,).
    rows
        The predictions.
    """
    cell_ids = _add_cells(connection, rows)
    for lead, lead_id in enumerate(lead_ids):
        columns = [
            rows.mean[lead],
            rows.spread[lead],
            *rows.quantiles[lead],
            rows.p_source[lead],
            rows.climatology[lead],
        ]
        values = np.stack(columns, axis=1).astype(np.float32)
        if connection.dialect.name == "postgresql":
            _copy(connection, lead_id, cell_ids, values)
        else:
            _execute_many(connection, lead_id, cell_ids, values)


def _add_cells(connection: Connection, rows: CellRows) -> np.ndarray:
    """Return the keys of the cells (n_cells,), adding those that are new."""
    known = _known_cells(connection, rows.grid.name)
    index = np.asarray(rows.index, dtype=int)
    area = np.asarray(rows.area_m2, dtype=float)
    new = [i for i, cell in enumerate(index.tolist()) if cell not in known]
    if new:
        row, column = np.divmod(index, rows.grid.n_lon)
        connection.execute(
            on_conflict_do_nothing(connection, t.Cell),
            [
                {
                    "grid": rows.grid.name,
                    "cell_index": int(index[i]),
                    "lat": float(rows.grid.lat[row[i]]),
                    "lon": float(rows.grid.lon[column[i]]),
                    "area_m2": float(area[i]),
                }
                for i in new
            ],
        )
        known = _known_cells(connection, rows.grid.name)
    found = np.array([known[cell] for cell in index.tolist()], dtype=float).reshape(-1, 2)
    changed = ~np.isclose(found[:, 1], area, rtol=1e-5)
    if changed.any():
        raise DimensionChangedError(
            f"Cells of the archive grid {rows.grid.name} are archived with another ocean area.",
            found=f"{np.count_nonzero(changed)} of {len(index)} cells differ",
            remedy="Archive a record with another ocean mask in a database of its own.",
        )
    return found[:, 0].astype(int)


def _known_cells(connection: Connection, grid: str) -> dict[int, tuple[int, float]]:
    query = select(t.Cell.cell_index, t.Cell.id, t.Cell.area_m2).where(t.Cell.grid == grid)
    return {index: (key, area) for index, key, area in connection.execute(query)}


def _execute_many(
    connection: Connection, lead_id: int, cell_ids: np.ndarray, values: np.ndarray
) -> None:
    names = ", ".join(("lead_id", "cell_id", *CELL_COLUMNS))
    marks = ", ".join("?" * (2 + len(CELL_COLUMNS)))
    driver: Any = connection.connection.driver_connection
    driver.executemany(
        f"INSERT INTO cell_predictions ({names}) VALUES ({marks})",  # noqa: S608 - own names
        (
            (lead_id, cell, *row)
            for cell, row in zip(cell_ids.tolist(), values.tolist(), strict=True)
        ),
    )


def _copy(connection: Connection, lead_id: int, cell_ids: np.ndarray, values: np.ndarray) -> None:
    """Send rows in COPY's binary format: each field is its length and its big-endian bytes."""
    fields: list[tuple[str, str]] = [("n_fields", ">i2")]
    for name, form in (("lead_id", ">i4"), ("cell_id", ">i4"), *((c, ">f4") for c in CELL_COLUMNS)):
        fields += [(f"{name}_length", ">i4"), (name, form)]
    rows = np.empty(len(cell_ids), dtype=fields)
    for name, _ in fields[1::2]:
        rows[name] = 4
    rows["n_fields"] = 2 + len(CELL_COLUMNS)
    rows["lead_id"] = lead_id
    rows["cell_id"] = cell_ids
    for i, name in enumerate(CELL_COLUMNS):
        rows[name] = values[:, i]
    names = ", ".join(("lead_id", "cell_id", *CELL_COLUMNS))
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY cell_predictions ({names}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff")
