"""Methods that learn each cell by itself, or look for similar months: ridge and analogues."""

from dataclasses import dataclass

import numpy as np

from tidenet.references.anomalies import Anomalies, Sea, pairs

RIDGE_MONTHS = 300.0
"""Months that the area's common regression counts for in each cell's own."""

RECENT = 3
"""Last months that the ridge regression sees one by one, beside the mean of the last year."""


@dataclass(frozen=True)
class Ridge:
    """Regression of each cell on its last months, its last year and the area mean.

    Parameters
    ----------
    coefficients
        float32 (lead, cell, predictor).
    """

    coefficients: np.ndarray

    n_history = 12

    def forecast(self, anomalies: Anomalies, positions: np.ndarray) -> np.ndarray:
        """Return the regression's forecast (init, lead, cell)."""
        predictors = _predictors(anomalies, positions)
        return np.einsum("tcp,kcp->tkc", predictors, self.coefficients, optimize=True)


def fit_ridge(anomalies: Anomalies, n_leads: int) -> Ridge:
    """Fit cell by cell, pulled towards the regression that all cells have in common."""
    coefficients = []
    weight = anomalies.sea.weight / anomalies.sea.weight.sum()
    for lead in range(1, n_leads + 1):
        start = pairs(len(anomalies), lead)
        start = start[start >= Ridge.n_history - 1]
        x, y = _predictors(anomalies, start), anomalies.values[start + lead]
        square = np.einsum("tcp,tcq->cpq", x, x, optimize=True)
        product = np.einsum("tcp,tc->cp", x, y, optimize=True)
        unit = np.eye(x.shape[-1])
        common = np.linalg.solve(
            np.tensordot(weight, square, axes=1) + 1e-3 * unit, weight @ product
        )
        own = np.linalg.solve(
            square + RIDGE_MONTHS * unit, (product + RIDGE_MONTHS * common)[..., None]
        )
        coefficients.append(own[..., 0])
    return Ridge(np.stack(coefficients).astype(np.float32))


def _predictors(anomalies: Anomalies, positions: np.ndarray) -> np.ndarray:
    """Return (init, cell, predictor)."""
    values = anomalies.values
    recent = [values[positions - back] for back in range(RECENT)]
    year = np.mean([values[positions - back] for back in range(Ridge.n_history)], axis=0)
    area = np.broadcast_to(anomalies.sea.mean(values[positions])[:, None], year.shape)
    return np.stack([*recent, year, area], axis=-1)


@dataclass(frozen=True)
class Analogue:
    """The mean of what followed the most similar months of the training period.

    Similar is a small area-weighted squared distance over the last two months, among months at
    most one calendar month off (Lorenz 1969). The mean is scaled by how well such means did among
    the training months themselves.

    Parameters
    ----------
    library
        Anomalies of the training period (time, cell).
    scale
        Factor on the mean at each lead (lead,).
    """

    library: Anomalies
    scale: np.ndarray

    n_history = 2
    n_analogues = 6

    def forecast(self, anomalies: Anomalies, positions: np.ndarray) -> np.ndarray:
        """Return the scaled mean of the analogues' sequels (init, lead, cell)."""
        n_leads = len(self.scale)
        rows = []
        for position in positions:
            last = anomalies.values[position - self.n_history + 1 : position + 1]
            calendar = int(anomalies.calendar[position])
            rows.append(_sequel(self.library, last, calendar, n_leads))
        total: np.ndarray = np.stack(rows) * self.scale[:, None]
        return total


def fit_analogue(anomalies: Anomalies, n_leads: int) -> Analogue:
    """Keep the training period, and measure how far its analogues are to be trusted."""
    n = Analogue.n_history
    product, square = np.zeros(n_leads), np.zeros(n_leads)
    for position in range(n - 1, len(anomalies) - n_leads):
        last = anomalies.values[position - n + 1 : position + 1]
        calendar = int(anomalies.calendar[position])
        mean = _sequel(anomalies, last, calendar, n_leads, apart_from=position)
        came = anomalies.values[position + 1 : position + 1 + n_leads]
        product += anomalies.sea.mean(mean * came)
        square += anomalies.sea.mean(mean * mean)
    scale = np.clip(product / np.maximum(square, 1e-9), 0.0, 1.0)
    return Analogue(anomalies, scale.astype(np.float32))


def _sequel(
    library: Anomalies,
    last: np.ndarray,
    calendar: int,
    n_leads: int,
    apart_from: int | None = None,
) -> np.ndarray:
    """Return the mean of what followed the nearest months of a library (lead, cell).

    A month of the library itself is kept apart from those within a year of it.
    """
    n = len(last)
    candidates = np.arange(n - 1, len(library) - n_leads)
    off = np.abs((library.calendar[candidates] - calendar + 6) % 12 - 6)
    candidates = candidates[off <= 1]
    if apart_from is not None:
        candidates = candidates[np.abs(candidates - apart_from) > 12]
    if len(candidates) == 0:
        return np.zeros((n_leads, last.shape[1]), dtype=np.float32)
    distance = [_distance(library.values[i - n + 1 : i + 1], last, library.sea) for i in candidates]
    nearest = candidates[np.argsort(distance, kind="stable")[: Analogue.n_analogues]]
    mean: np.ndarray = np.mean([library.values[i + 1 : i + 1 + n_leads] for i in nearest], axis=0)
    return mean


def _distance(one: np.ndarray, other: np.ndarray, sea: Sea) -> float:
    return float(sea.mean(np.square(one - other)).sum())
