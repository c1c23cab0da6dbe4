"""How fast anomalies fade: lagged regression on the last month, and on the last year besides.

All is fitted on standardised anomalies of the training months. The damping of a cell is shrunk by
how well it is known: it counts in full only where the differences between cells are larger than
the uncertainty of one (empirical Bayes). The memory of the last year has one weight for all cells.
"""

import numpy as np

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


def fit_slow_memory(series: AnomalySeries, damping: np.ndarray, n_months: int) -> np.ndarray:
    """Regress what damped persistence misses on the mean anomaly of the last ``n_months``.

    Month-to-month noise hides slow anomalies, such as a warm decade or a growing sink, in a single
    month; the mean over a year shows them. A fitted linear trend would show them too, but it goes
    on for ever where the record is short and slow swings look like trends.

    Parameters
    ----------
    series
        Anomalies of the training period.
    damping
        Part of an anomaly that is left at each lead (lead, lat, lon).
    n_months
        Months in the mean.

    Returns
    -------
    numpy.ndarray
        One weight per lead for all ocean cells, 0 to 1, float32 (lead,).
    """
    record = series.record
    ocean, weight = record.ocean, record.weight[record.ocean]
    product, square = np.zeros(len(damping)), np.zeros(len(damping))
    recent: list[np.ndarray] = []
    for position in range(len(series)):
        recent = [*recent, series[position][ocean]][-n_months:]
        if len(recent) < n_months:
            continue
        year = np.mean(recent, axis=0)
        for lead in range(1, min(len(damping), len(series) - 1 - position) + 1):
            missed = series[position + lead][ocean] - damping[lead - 1][ocean] * recent[-1]
            product[lead - 1] += np.dot(weight, year * missed)
            square[lead - 1] += np.dot(weight, year * year)
    slope = np.where(square > 0, product / np.where(square > 0, square, 1.0), 0.0)
    return np.clip(slope, 0.0, 1.0).astype(np.float32)
