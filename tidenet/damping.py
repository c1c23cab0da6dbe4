"""How fast anomalies fade: lagged regression on the last month, and on the last year besides.

All is fitted on standardised anomalies of the training months. The damping of a cell is shrunk by
how well it is known: it counts in full only where the differences between cells are larger than
the uncertainty of one (empirical Bayes). The memory of the last year is the same for all cells.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class SlowMemory:
    """What the last month and the mean of the last year say together.

    Month-to-month noise hides slow anomalies, such as a warm decade or a growing sink, in a single
    month; the mean over a year shows them. A fitted linear trend would show them too, but it goes
    on for ever where the record is short and slow swings look like trends.

    Parameters
    ----------
    now, year
        Weights of the last anomaly and of the year's mean anomaly at each lead, 0 to 1, float32
        (lead,).
    """

    now: np.ndarray
    year: np.ndarray

    def departure(self, damping: np.ndarray, last: np.ndarray, year: np.ndarray) -> np.ndarray:
        """Return what it adds to damped persistence (lead, lat, lon), standard deviations.

        Parameters
        ----------
        damping
            (lead, lat, lon).
        last, year
            Last anomaly and mean anomaly of the last year (lat, lon).
        """
        now, slow = self.now[:, None, None], self.year[:, None, None]
        departure: np.ndarray = (now - damping) * last + slow * year
        return departure


def fit_slow_memory(series: AnomalySeries, n_leads: int, n_months: int) -> SlowMemory:
    """Regress later anomalies on the last one and on the mean of the last ``n_months``.

    One pair of weights per lead for all ocean cells, weighted by area; a pair with a negative
    weight is replaced by the best single predictor.
    """
    record = series.record
    weight = record.weight[record.ocean]
    moments = np.zeros((n_leads, 5))
    recent: list[np.ndarray] = []
    for position in range(len(series)):
        recent = [*recent, series[position][record.ocean]][-n_months:]
        if len(recent) < n_months:
            continue
        last, year = recent[-1], np.mean(recent, axis=0)
        for lead in range(1, min(n_leads, len(series) - 1 - position) + 1):
            later = series[position + lead][record.ocean]
            pairs = (last * last, last * year, year * year, last * later, year * later)
            moments[lead - 1] += [np.dot(weight, pair) for pair in pairs]
    weights = np.array([_two_weights(*m) for m in moments], dtype=np.float32)
    return SlowMemory(weights[:, 0], weights[:, 1])


def _two_weights(xx: float, xm: float, mm: float, xy: float, my: float) -> tuple[float, float]:
    """Solve a regression on two predictors with weights of 0 to 1 from its second moments."""
    determinant = xx * mm - xm**2
    if determinant > 1e-9 * xx * mm:
        now, year = (mm * xy - xm * my) / determinant, (xx * my - xm * xy) / determinant
        if now >= 0 and year >= 0:
            return min(now, 1.0), min(year, 1.0)
    gain_now = max(xy, 0.0) ** 2 / xx if xx > 0 else 0.0
    gain_year = max(my, 0.0) ** 2 / mm if mm > 0 else 0.0
    if gain_now >= gain_year:
        return (min(max(xy, 0.0) / xx, 1.0) if xx > 0 else 0.0), 0.0
    return 0.0, min(my / mm, 1.0)
