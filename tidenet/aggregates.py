"""From gridded forecasts to rows: regions, archive cells, quantiles and area integrals.

A mean over an area is weighted by the area of ocean cells. The quantiles of a regional mean are
those of the members' regional means, not means of cell quantiles.
"""

from collections.abc import Mapping

import numpy as np

from storage.grid import Grid
from storage.months import days_in
from tidenet.forecaster import QUANTILES, Forecast
from tidenet.identity import refuse_differences

G_PER_MMOL_C = 12.011e-3
"""Grams of carbon in a millimole of CO2 (IUPAC standard atomic weight of carbon)."""

_QUANTILE_COLUMNS = tuple(f"q{round(100 * level):02d}" for level in QUANTILES)


def quantiles(members: np.ndarray, levels: tuple[float, ...] = QUANTILES) -> np.ndarray:
    """Return quantiles over the first axis (quantile, ...), float32; NaN where members are NaN.

    The rank of the quantile ``p`` among ``n`` members is ``p (n + 1)`` (Weibull's plotting
    position): if truth and members come from one distribution, the truth then lies below it with
    probability ``p``, also for a small ensemble. Other definitions are too narrow for 20 members.
    """
    ordered = np.sort(members, axis=0)
    n = len(ordered)
    result = np.empty((len(levels), *members.shape[1:]), dtype=np.float32)
    for position, level in enumerate(levels):
        rank = min(max(level * (n + 1) - 1, 0.0), n - 1.0)
        below = int(rank)
        above = min(below + 1, n - 1)
        share = np.float32(rank - below)
        result[position] = ordered[below] * (1 - share) + ordered[above] * share
    return result


def quantile_fields(forecast: Forecast) -> np.ndarray:
    """Return quantiles of the members at `QUANTILES`, float32 (lead, quantile, lat, lon)."""
    by_lead = (quantiles(forecast.members[:, lead]) for lead in range(forecast.n_leads))
    return np.stack(list(by_lead))


def spread_fields(forecast: Forecast) -> np.ndarray:
    """Return the standard deviation of the members, float32 (lead, lat, lon); 0 for one member."""
    return spread(forecast.members)


def spread(members: np.ndarray) -> np.ndarray:
    """Return the members' sample standard deviation over the first axis, float32."""
    if len(members) < 2:
        return np.where(np.isnan(members[0]), np.nan, 0.0).astype(np.float32)
    return members.std(axis=0, ddof=1).astype(np.float32)


def integral_tg_c(flux: np.ndarray, area_m2: np.ndarray | float, months: np.ndarray) -> np.ndarray:
    """Return a mean flux over an area as an amount per month, Tg C, positive out of the sea.

    Parameters
    ----------
    flux
        Area mean, mmol m-2 d-1.
    area_m2
        The area, m2.
    months
        The valid month of each value, datetime64[M]; it says how many days.
    """
    days = np.array([days_in(month) for month in np.ravel(months)]).reshape(np.shape(months))
    amount: np.ndarray = np.asarray(flux, np.float64) * area_m2 * days * (G_PER_MMOL_C * 1e-12)
    return amount


def regional_rows(
    forecast: Forecast,
    references: Mapping[str, Forecast],
    region_masks: Mapping[str, np.ndarray],
    area: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return one row per region and lead, as columns of equal length.

    Parameters
    ----------
    forecast
        The forecast.
    references
        The forecasts ``climatology`` and ``damped-persistence`` of the same init month.
    region_masks
        Name to boolean (lat, lon), ocean cells only.
    area
        Cell area (lat, lon), m2.

    Returns
    -------
    dict
        ``region`` (str), ``lead_months``, ``valid_month`` (datetime64[M]), ``n_cells``,
        ``area_m2``; ``mean``, ``spread``, ``q05``, ``q25``, ``q50``, ``q75``, ``q95``,
        ``climatology``, ``damped_persistence`` of the regional mean flux (mmol m-2 d-1);
        ``p_source``, the part of members whose regional mean is out of the sea;
        ``members``, the members' regional means, one more axis (row, member);
        ``integral_tg_c``, ``integral_q05_tg_c``, ``integral_q95_tg_c``,
        ``climatology_integral_tg_c`` (Tg C per month). Positive is out of the sea.
    """
    names = list(region_masks)
    weights = {n: np.where(region_masks[n], area, 0.0) for n in names}
    leads = np.arange(1, forecast.n_leads + 1)
    parts = [
        _mean_rows(_Averager(weights[n][None]), forecast, references, keep_members=True)
        for n in names
    ]
    rows: dict[str, np.ndarray] = {
        "region": np.repeat(np.array(names, dtype=object), len(leads)),
        "lead_months": np.tile(leads, len(names)),
        "valid_month": np.tile(forecast.valid_months, len(names)),
        "n_cells": np.repeat([int((w > 0).sum()) for w in weights.values()], len(leads)),
        "area_m2": np.repeat([w.sum() for w in weights.values()], len(leads)),
    }
    rows |= {key: np.concatenate([part[key][:, 0] for part in parts]) for key in parts[0]}
    for column, source in (
        ("integral_tg_c", "mean"),
        ("integral_q05_tg_c", "q05"),
        ("integral_q95_tg_c", "q95"),
        ("climatology_integral_tg_c", "climatology"),
    ):
        rows[column] = integral_tg_c(rows[source], rows["area_m2"], rows["valid_month"])
    return rows


def yearly_sums(rows: Mapping[str, np.ndarray], n_leads: int) -> dict[str, np.ndarray]:
    """Return what a forecast says of each calendar year that it reaches, region by region.

    Months are summed member by member: the quantiles are those of the sum.

    Parameters
    ----------
    rows
        What `regional_rows` returned.
    n_leads
        Lead months of the forecast.

    Returns
    -------
    dict
        ``years``, ``n_months`` (year,); ``mean``, ``spread`` (year, region) and ``quantiles``
        (year, quantile, region), Tg C, positive out of the sea.
    """
    months = rows["valid_month"][:n_leads]
    calendar = months.astype("datetime64[Y]").astype(int) + 1970
    years, n_months = np.unique(calendar, return_counts=True)
    in_year = (calendar == years[:, None]).astype(np.float64)
    area, valid = rows["area_m2"][:, None], rows["valid_month"][:, None]
    members = integral_tg_c(rows["members"], area, np.broadcast_to(valid, rows["members"].shape))
    by_region = members.reshape(-1, n_leads, members.shape[1])
    sums = np.einsum("yl,rlm->myr", in_year, by_region)
    best = rows["integral_tg_c"].reshape(-1, n_leads)
    return {
        "years": years,
        "n_months": n_months,
        "mean": in_year @ best.T,
        "spread": spread(sums),
        "quantiles": np.moveaxis(quantiles(sums), 0, 1),
    }


class RegionMeans:
    """Area means over the ocean cells of several regions, for many fields of one grid.

    Parameters
    ----------
    region_masks
        Name to boolean (lat, lon), ocean cells only.
    area
        Cell area (lat, lon), m2.

    Attributes
    ----------
    area_m2
        Ocean area of each region (region,), m2.
    """

    def __init__(self, region_masks: Mapping[str, np.ndarray], area: np.ndarray) -> None:
        self._cells = [np.flatnonzero(mask) for mask in region_masks.values()]
        self._weights = [area.ravel()[cells] for cells in self._cells]
        self.area_m2 = np.array([weights.sum() for weights in self._weights])

    def __call__(self, field: np.ndarray) -> np.ndarray:
        """Return the mean of a field (lat, lon) over each region (region,), float64."""
        flat = field.ravel()
        pairs = zip(self._cells, self._weights, strict=True)
        return np.array([flat[cells] @ weights for cells, weights in pairs]) / self.area_m2


def observed_cells(
    grid: Grid, fco2: np.ndarray, observed: np.ndarray, ocean: np.ndarray, factor: int
) -> dict[str, np.ndarray]:
    """Return one observed month on the archive grid, in the order of `cell_rows`.

    Returns
    -------
    dict
        ``row``, ``column``, ``area_m2``, ``mean`` and ``observed_share``, each (cell,).
    """
    coarse = grid.coarsened(factor)
    average = _BlockAverager(grid, coarse, np.where(ocean, grid.cell_area, 0.0), factor)
    row, column = np.nonzero(average.total.reshape(coarse.shape) > 0)
    wet = np.ravel_multi_index((row, column), coarse.shape)
    return {
        "row": row,
        "column": column,
        "area_m2": average.total[wet],
        "mean": average(fco2)[wet],
        "observed_share": average(observed.astype(np.float64))[wet],
    }


def cell_rows(
    forecast: Forecast, references: Mapping[str, Forecast], ocean: np.ndarray, factor: int
) -> dict[str, np.ndarray]:
    """Return one row per lead and archive cell with any ocean, as columns of equal length.

    Archive cells are the blocks of ``factor`` x ``factor`` cells of ``grid.coarsened(factor)``;
    their values are means over their ocean cells, weighted by area, so that area integrals over
    archive cells and over cells agree.

    Returns
    -------
    dict
        ``row``, ``column`` (in the coarsened grid), ``lat``, ``lon`` (its centres, degrees),
        ``lead_months``, ``valid_month``, ``area_m2`` (of the ocean cells), and ``mean``,
        ``spread``, ``q05`` .. ``q95``, ``p_source``, ``climatology``, ``damped_persistence`` as in
        `regional_rows`. Ordered by lead, then row, then column.
    """
    grid = forecast.grid
    coarse = grid.coarsened(factor)
    average = _BlockAverager(grid, coarse, np.where(ocean, grid.cell_area, 0.0), factor)
    row, column = np.nonzero(average.total.reshape(coarse.shape) > 0)
    wet = np.ravel_multi_index((row, column), coarse.shape)
    values = _mean_rows(average, forecast, references)
    n_leads, n_cells = forecast.n_leads, len(row)
    rows: dict[str, np.ndarray] = {
        "row": np.tile(row, n_leads),
        "column": np.tile(column, n_leads),
        "lat": np.tile(coarse.lat[row], n_leads),
        "lon": np.tile(coarse.lon[column], n_leads),
        "lead_months": np.repeat(np.arange(1, n_leads + 1), n_cells),
        "valid_month": np.repeat(forecast.valid_months, n_cells),
        "area_m2": np.tile(average.total[wet], n_leads),
    }
    return rows | {key: value[:, wet].ravel() for key, value in values.items()}


class _Averager:
    """Area-weighted means over whole maps: one mean per weight map (mean, lat, lon)."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights
        self.total: np.ndarray = weights.sum(axis=(1, 2))

    def __call__(self, field: np.ndarray) -> np.ndarray:
        clean = np.where(self.weights > 0, field, 0.0)
        mean: np.ndarray = (clean * self.weights).sum(axis=(1, 2)) / self.total
        return mean


class _BlockAverager:
    """Area-weighted means over the ocean cells of every block, blocks in row-major order."""

    def __init__(self, grid: Grid, coarse: Grid, weight: np.ndarray, factor: int) -> None:
        self.weight = weight
        self.shape = coarse.shape
        self.pad = (
            (0, coarse.n_lat * factor - grid.n_lat),
            (0, coarse.n_lon * factor - grid.n_lon),
        )
        self.factor = factor
        self.total = self._sum(weight)
        self.safe = np.where(self.total > 0, self.total, 1.0)

    def __call__(self, field: np.ndarray) -> np.ndarray:
        return self._sum(np.where(self.weight > 0, field, 0.0) * self.weight) / self.safe

    def _sum(self, field: np.ndarray) -> np.ndarray:
        rows, columns = self.shape
        padded = np.pad(field, self.pad)
        blocks = padded.reshape(rows, self.factor, columns, self.factor)
        total: np.ndarray = blocks.sum(axis=(1, 3)).ravel()
        return total


def _mean_rows(
    average: "_Averager | _BlockAverager",
    forecast: Forecast,
    references: Mapping[str, Forecast],
    *,
    keep_members: bool = False,
) -> dict[str, np.ndarray]:
    """Return the values of each lead and area (lead, area), of members (lead, area, member)."""
    _require_same_leads(forecast, references)
    rows: dict[str, list[np.ndarray]] = {}
    for lead in range(forecast.n_leads):
        members = np.stack([average(member) for member in forecast.members[:, lead]])
        values = {
            "mean": average(forecast.mean[lead]),
            "spread": spread(members),
            **dict(zip(_QUANTILE_COLUMNS, quantiles(members), strict=True)),
            "p_source": (members > 0).mean(axis=0),
            "climatology": average(references["climatology"].mean[lead]),
            "damped_persistence": average(references["damped-persistence"].mean[lead]),
        }
        if keep_members:
            values["members"] = members.T
        for key, value in values.items():
            rows.setdefault(key, []).append(value.astype(np.float64))
    return {key: np.stack(value) for key, value in rows.items()}


def _require_same_leads(forecast: Forecast, references: Mapping[str, Forecast]) -> None:
    lines = []
    for name, reference in references.items():
        if reference.init_month != forecast.init_month:
            lines.append(f"{name}: init {reference.init_month} instead of {forecast.init_month}")
        if reference.n_leads < forecast.n_leads:
            lines.append(f"{name}: {reference.n_leads} leads instead of {forecast.n_leads}")
        if reference.grid != forecast.grid:
            lines.append(f"{name}: grid {reference.grid.name} instead of {forecast.grid.name}")
    refuse_differences(lines)
