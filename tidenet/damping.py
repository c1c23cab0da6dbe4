"""How fast anomalies fade and drift: lagged regression and a shrunken trend, cell by cell.

Both are fitted on standardised anomalies of the training months and both are shrunk by how well
they are known: the estimate of a cell counts in full only where the differences between cells are
larger than the uncertainty of one (empirical Bayes).
"""

from dataclasses import dataclass

import numpy as np

from storage.months import Month
from tidenet.climatology import AnomalySeries


def fit_damping(series: AnomalySeries, n_leads: int) -> np.ndarray:
    """Return what part of an anomaly is left after 1 .. n_leads months.

    The regression of the anomaly ``k`` months later on the anomaly now, through the origin, shrunk
    towards the area mean and clipped to 0 .. 1.

    Returns
    -------
    numpy.ndarray
        float32 (lead, lat, lon); 0 on land.
    """
    record = series.record
    damping = np.zeros((n_leads, *record.grid.shape), dtype=np.float32)
    for lead in range(1, n_leads + 1):
        product = np.zeros(record.grid.shape)
        square = np.zeros(record.grid.shape)
        for start in range(len(series) - lead):
            now = series[start]
            product += now * series[start + lead]
            square += np.square(now)
        slope = product[record.ocean] / np.maximum(square[record.ocean], 1e-12)
        damping[lead - 1][record.ocean] = np.clip(
            _shrink_to_mean(slope, len(series) - lead, record.weight[record.ocean]), 0.0, 1.0
        )
    return damping


def _shrink_to_mean(slope: np.ndarray, n: int, weight: np.ndarray) -> np.ndarray:
    """Shrink each cell's slope (cell,) from ``n`` pairs towards the area mean."""
    mean = np.average(slope, weights=weight)
    noise = np.maximum(1 - np.square(slope), 0.0) / n
    between = np.average(np.square(slope - mean), weights=weight) - np.average(
        noise, weights=weight
    )
    if between <= 0:
        return np.full_like(slope, mean)
    trust = between / (between + noise)
    return trust * slope + (1 - trust) * mean


@dataclass(frozen=True)
class Trend:
    """A linear drift of the standardised anomaly.

    Parameters
    ----------
    slope
        float32 (lat, lon), standard deviations per month; 0 on land.
    centre
        Middle of the training period, in months since 1970-01, where the drift is zero.
    """

    slope: np.ndarray
    centre: float

    def at(self, month: Month) -> np.ndarray:
        """Return the drift in a month (lat, lon), standard deviations."""
        return self.slope * np.float32(month.astype(int) - self.centre)


def fit_trend(series: AnomalySeries, memory: np.ndarray) -> Trend:
    """Fit a linear trend per cell, shrunk towards none.

    Parameters
    ----------
    series
        Anomalies of the training period.
    memory
        Part of an anomaly left after one month (lat, lon). Months that remember each other are
        fewer than they look, ``(1 + r) / (1 - r)`` times fewer, and the slope is known as much
        worse.
    """
    record = series.record
    time = np.arange(len(series)) - (len(series) - 1) / 2
    product = np.zeros(record.grid.shape)
    square = np.zeros(record.grid.shape)
    for position, offset in enumerate(time):
        anomaly = series[position]
        product += offset * anomaly
        square += np.square(anomaly)
    ocean, weight = record.ocean, record.weight[record.ocean]
    slope = product[ocean] / np.sum(time**2)
    rest = square[ocean] / len(time) - slope**2 * np.mean(time**2)
    r = np.clip(memory[ocean], 0.0, 0.95)
    noise = np.maximum(rest, 0.0) / np.sum(time**2) * (1 + r) / (1 - r)
    signal = np.average(slope**2 - noise, weights=weight)
    shrunk = np.zeros(record.grid.shape, dtype=np.float32)
    if signal > 0:
        shrunk[ocean] = slope * signal / (signal + noise)
    first = int(record.first_month.astype(int))
    return Trend(shrunk, first + (len(time) - 1) / 2)
