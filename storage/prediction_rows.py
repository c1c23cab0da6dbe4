"""From a run's arrays to table rows: what is checked, and what is derived on the way in."""

from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy import Connection, insert

from storage import tables as t
from storage.archive_rows import CellRows, ForecastRun, RegionalRows, YearlyRows
from storage.bulk import insert_columns
from storage.dimensions import add_cells, add_regions
from storage.errors import TidenetError
from storage.months import days_in

QUANTILE_COLUMNS = ("q05", "q25", "q50", "q75", "q95")

TGC_PER_MMOL = 12.011e-15
"""Tg of carbon in one mmol of CO2 (molar mass of carbon 12.011 g/mol)."""


class InvalidRowsError(TidenetError):
    """Predictions do not fit their run: wrong shape, not a number, quantiles out of order."""


def check_rows(
    run: ForecastRun,
    regional: RegionalRows,
    cells: CellRows | None,
    yearly: YearlyRows | None,
) -> None:
    """Check that predictions fit their run.

    Raises
    ------
    InvalidRowsError
        If not; the message lists every reason.
    """
    wrong = list(_misfits("regional", run.n_leads, len(regional.regions), regional))
    if yearly is not None:
        wrong += _yearly_misfits(yearly, run.n_leads)
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
    per_lead = {"mean", "spread", "p_source", "climatology", "damped_persistence"}
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


def _yearly_misfits(rows: YearlyRows, n_leads: int) -> Iterator[str]:
    n_years, n_regions = len(rows.years), len(rows.regions)
    for column, shape in (
        ("mean", (n_years, n_regions)),
        ("spread", (n_years, n_regions)),
        ("quantiles", (n_years, len(QUANTILE_COLUMNS), n_regions)),
    ):
        values = np.asarray(getattr(rows, column))
        if values.shape != shape:
            yield f"yearly {column} has shape {values.shape} instead of {shape}"
        elif not np.isfinite(values).all():
            yield f"yearly {column} holds {np.count_nonzero(~np.isfinite(values))} non-numbers"
    if sum(rows.n_months) != n_leads:
        yield f"the years hold {sum(rows.n_months)} months, not one for each of {n_leads} leads"


def insert_regional_rows(connection: Connection, run: ForecastRun, rows: RegionalRows) -> None:
    """Add a run's regional rows, with anomalies and area integrals.

    The integral of a quantile of the area mean is that quantile of the integral: both are the mean
    times the same area and days.
    """
    add_regions(connection, rows.regions)
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
                    "region": region.name,
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


def insert_yearly_rows(connection: Connection, run: ForecastRun, rows: YearlyRows) -> None:
    """Add what a run says of each calendar year that it reaches; its regions are there already."""
    ends = np.cumsum(rows.n_months)
    values = [
        {
            "run_id": run.id,
            "region": region.name,
            "year": int(year),
            "first_valid_month": run.init_month + int(ends[y] - rows.n_months[y] + 1),
            "last_valid_month": run.init_month + int(ends[y]),
            "n_months": int(rows.n_months[y]),
            "flux_tgc_mean": float(rows.mean[y, i]),
            "flux_tgc_spread": float(rows.spread[y, i]),
            **{
                f"flux_tgc_{name}": float(value)
                for name, value in zip(QUANTILE_COLUMNS, rows.quantiles[y, :, i], strict=True)
            },
        }
        for y, year in enumerate(rows.years)
        for i, region in enumerate(rows.regions)
    ]
    connection.execute(insert(t.YearlyPrediction), values)


def insert_cell_rows(
    connection: Connection, run: ForecastRun, lead_ids: Sequence[int], rows: CellRows
) -> None:
    """Add a run's cell rows in bulk.

    Parameters
    ----------
    connection
        The open transaction.
    run
        The run.
    lead_ids
        Key of each lead (n_leads,).
    rows
        The predictions.
    """
    cell_ids = add_cells(connection, rows.grid, rows.index, rows.area_m2)
    n_leads, n_cells = len(lead_ids), len(cell_ids)

    def flat(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values, dtype=np.float32).ravel()

    quantiles = {name: flat(rows.quantiles[:, k]) for k, name in enumerate(QUANTILE_COLUMNS)}
    columns = {
        "lead_id": np.repeat(np.asarray(lead_ids, np.int32), n_cells),
        "cell_id": np.tile(cell_ids.astype(np.int32), n_leads),
        "init_month": np.full(n_leads * n_cells, run.init_month, dtype="datetime64[M]"),
        "mean": flat(rows.mean),
        "spread": flat(rows.spread),
        **quantiles,
        "p_source": flat(rows.p_source),
        "climatology": flat(rows.climatology),
        "damped_persistence": flat(rows.damped_persistence),
    }
    insert_columns(connection, "cell_predictions", columns)
