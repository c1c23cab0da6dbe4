"""How fast anomalies fade: lagged regression of each cell on itself.

The damping of a cell is shrunk by how well it is known: it counts in full only where the
differences between cells are larger than the uncertainty of one (empirical Bayes). What differs
between calendar months is shrunk in the same way.
"""

from dataclasses import dataclass

import numpy as np

from tidenet.references.anomalies import Anomalies, pairs

Parts = list[tuple[int, int]] | None


@dataclass(frozen=True)
class Damping:
    """Anomalies that fade at each cell's own rate.

    Parameters
    ----------
    factor
        Part that is left at each lead, float32 (lead, cell), or (lead, 12, cell) where it depends
        on the calendar month that the forecast starts in.
    """

    factor: np.ndarray

    n_history = 1

    def forecast(self, anomalies: Anomalies, positions: np.ndarray) -> np.ndarray:
        """Return the faded anomaly (init, lead, cell)."""
        now = anomalies.values[positions][:, None]
        if self.factor.ndim == 2:
            return self.factor * now
        return self.factor[:, anomalies.calendar[positions]].swapaxes(0, 1) * now


def fit_damping(anomalies: Anomalies, n_leads: int, parts: Parts = None) -> Damping:
    """Regress the anomaly ``k`` months later on the anomaly now, through the origin, cell by cell.

    Slopes are shrunk towards the area mean and clipped to 0 .. 1.
    """
    factor = np.empty((n_leads, anomalies.values.shape[1]), dtype=np.float32)
    for lead in range(1, n_leads + 1):
        start = pairs(len(anomalies), lead, parts)
        now, later = anomalies.values[start], anomalies.values[start + lead]
        product = np.einsum("tc,tc->c", now, later, dtype=np.float64)
        square = np.einsum("tc,tc->c", now, now, dtype=np.float64)
        slope = product / np.maximum(square, 1e-9)
        factor[lead - 1] = shrink_to_mean(slope, len(start), anomalies.sea.weight)
    return Damping(factor)


def shrink_to_mean(slope: np.ndarray, n_pairs: int, weight: np.ndarray) -> np.ndarray:
    """Shrink each cell's slope (cell,) from ``n_pairs`` pairs towards the area mean; 0 to 1."""
    mean = np.average(slope, weights=weight)
    noise = np.maximum(1 - np.square(slope), 0.0) / max(n_pairs, 1)
    between = np.average(np.square(slope - mean), weights=weight)
    between -= np.average(noise, weights=weight)
    if between <= 0:
        return np.clip(np.full_like(slope, mean), 0.0, 1.0)
    trust = between / (between + noise)
    return np.clip(trust * slope + (1 - trust) * mean, 0.0, 1.0)


def fit_seasonal_damping(anomalies: Anomalies, n_leads: int, parts: Parts = None) -> Damping:
    """Fit a damping for each cell and calendar month.

    A calendar month is fitted together with its neighbours (weights 1, 2, 1). Its departure from
    the cell's damping of the whole year is shrunk towards the area mean of such departures.
    """
    year = fit_damping(anomalies, n_leads, parts).factor
    factor = np.repeat(year[:, None], 12, axis=1)
    for lead in range(1, n_leads + 1):
        start = pairs(len(anomalies), lead, parts)
        apart = (anomalies.calendar[start] - np.arange(12)[:, None] + 6) % 12 - 6
        for month, closeness in enumerate(np.maximum(2 - np.abs(apart), 0)):
            own = factor[lead - 1, month]
            own += _seasonal_departure(
                anomalies, start[closeness > 0], closeness[closeness > 0], lead, year[lead - 1]
            )
    return Damping(np.clip(factor, 0.0, 1.0))


def _seasonal_departure(
    anomalies: Anomalies, start: np.ndarray, closeness: np.ndarray, lead: int, year: np.ndarray
) -> np.ndarray:
    if len(start) < 4:
        return np.zeros_like(year)
    now, later = anomalies.values[start], anomalies.values[start + lead]
    square = np.einsum("t,tc,tc->c", closeness, now, now)
    missed = np.einsum("t,tc,tc->c", closeness, now, later - year * now)
    departure = missed / np.maximum(square, 1e-9)
    weight = anomalies.sea.weight
    mean = np.average(departure, weights=weight * np.maximum(square, 1e-9))
    pairs_worth = np.maximum(square / max(float(square.mean()), 1e-9) * len(start), 1.0)
    noise = np.maximum(1 - np.square(year), 0.05) / pairs_worth
    spread = np.average(np.square(departure - mean), weights=weight)
    between = max(float(spread - np.average(noise, weights=weight)), 0.0)
    trust = between / (between + noise)
    shrunk: np.ndarray = mean + trust * (departure - mean)
    return shrunk.astype(np.float32)
