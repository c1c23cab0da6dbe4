"""One month in a few numbers a region: what the statistical checks look at."""

from typing import TYPE_CHECKING

import numpy as np

from ingest.reader import ProductMonth
from storage.months import calendar_month
from storage.regions import region_masks

if TYPE_CHECKING:
    import pandas as pd

MINIMUM_YEARS = 5
"""Earlier years that show how much a calendar month differs from year to year."""

# Survey means of the East China Sea shelf and their spread over surveys, by season (Guo et al.
# 2015, Biogeosciences 12, 5495-5510): mmol m-2 d-1, positive out of the sea.
_SURVEYED = {
    "winter": (-10.0, 2.0),
    "spring": (-11.7, 3.6),
    "summer": (-3.5, 4.6),
    "autumn": (-2.3, 3.1),
}
_SEASONS = ("winter", "spring", "summer", "autumn")
# Months differ more than season means, and products more than surveys of one ship.
_SPREADS_ALLOWED = 3.0


def season(calendar: int) -> str:
    """Return the season of a calendar month (12, 1, 2: winter)."""
    return _SEASONS[calendar % 12 // 3]


def summarise(
    product_month: ProductMonth, ocean: np.ndarray, earlier: np.ndarray
) -> "pd.DataFrame":
    """Return one row for ``all`` ocean cells and for each region with an observed cell.

    Parameters
    ----------
    product_month
        The month.
    ocean
        Boolean (lat, lon), the record's mask.
    earlier
        float32 (year, lat, lon), the same calendar month in earlier years of the record.

    Returns
    -------
    pandas.DataFrame
        ``region``; ``minimum``, ``maximum``, ``mean`` (mmol m-2 d-1, positive out of the sea);
        ``z_score`` of the mean against the earlier years. Only in the row ``all``: ``amplitude``,
        the root mean square relative to theirs; ``pattern``, the correlation with their mean
        field; ``valid_fraction`` of the ocean cells, ``land_fraction`` (values on land, as a part
        of the ocean cells), ``jumpiness`` (median step between neighbours relative to the range).
        Only in the row ``ecs-shelf``: ``surveyed_low`` and ``surveyed_high``, what surveys of the
        season allow. Null where there is nothing to compare with.
    """
    import pandas as pd

    flux, area = product_month.fco2, product_month.grid.cell_area
    rows = []
    for name, mask in region_masks(product_month.grid, ocean).items():
        cells = mask & np.isfinite(flux)
        if not cells.any() and name != "all":
            continue
        row = {"region": name} | (_range(flux, area, cells) if cells.any() else {})
        if len(earlier) and cells.any():
            row |= _compared(flux, area, cells, earlier, whole=name == "all")
        if name == "all":
            row |= _agreement(flux, ocean) | {"jumpiness": _jumpiness(flux, ocean)}
        if name == "ecs-shelf":
            centre, spread = _SURVEYED[season(calendar_month(product_month.month))]
            row |= {
                "surveyed_low": centre - _SPREADS_ALLOWED * spread,
                "surveyed_high": centre + _SPREADS_ALLOWED * spread,
            }
        rows.append(row)
    columns = (
        *("region", "minimum", "maximum", "mean", "z_score", "amplitude", "pattern"),
        *("valid_fraction", "land_fraction", "jumpiness", "surveyed_low", "surveyed_high"),
    )
    return pd.DataFrame(rows, columns=list(columns)).astype(
        {name: "float64" for name in columns if name != "region"}
    )


def _range(flux: np.ndarray, area: np.ndarray, cells: np.ndarray) -> dict[str, float]:
    values = flux[cells]
    return {
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "mean": float(np.average(values, weights=area[cells])),
    }


def _compared(
    flux: np.ndarray, area: np.ndarray, cells: np.ndarray, earlier: np.ndarray, *, whole: bool
) -> dict[str, float]:
    """Return how the month compares with the same calendar month of earlier years.

    Only the whole map is large enough for its shape and size to be steady. One year shows which
    way round it is, two how large it is, several how much the years differ.
    """
    past = earlier[:, cells].astype(np.float64)
    weight = _share(area[cells])
    now = flux[cells].astype(np.float64)
    rms = float(np.sqrt((past**2 @ weight).mean()))
    compared: dict[str, float] = {}
    if whole:
        compared["pattern"] = _correlation(now, past.mean(axis=0), weight)
    if whole and len(past) >= 2 and rms > 0:
        compared["amplitude"] = float(np.sqrt(now**2 @ weight) / rms)
    if len(past) >= MINIMUM_YEARS:
        means = past @ weight
        # Years differ by at least a little that so few years need not have shown.
        spread = max(float(means.std(ddof=1)), 0.1 * rms, 0.3)
        # The mean of few years is itself uncertain.
        spread *= float(np.sqrt(1 + 1 / len(past)))
        compared["z_score"] = float((now @ weight - means.mean()) / spread)
    return compared


def _share(area: np.ndarray) -> np.ndarray:
    return area / area.sum()


def _correlation(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    a, b = a - a @ weight, b - b @ weight
    norm = float(np.sqrt((a**2 @ weight) * (b**2 @ weight)))
    return float((a * b) @ weight) / norm if norm > 0 else np.nan


def _agreement(flux: np.ndarray, ocean: np.ndarray) -> dict[str, float]:
    valid = np.isfinite(flux)
    return {
        "valid_fraction": float((valid & ocean).sum() / ocean.sum()),
        "land_fraction": float((valid & ~ocean).sum() / ocean.sum()),
    }


def _jumpiness(flux: np.ndarray, ocean: np.ndarray) -> float:
    """Return the median step between neighbouring ocean cells, relative to the 98 % range."""
    sea = np.where(ocean, flux, np.nan)
    steps = np.concatenate([np.abs(np.diff(sea, axis=axis)).ravel() for axis in (0, 1)])
    steps = steps[np.isfinite(steps)]
    if not steps.size:
        return float("nan")
    low, high = np.nanpercentile(sea, [1, 99])
    return float(np.median(steps) / (high - low)) if high > low else 0.0
