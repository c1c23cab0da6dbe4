"""Local propagator: what a month makes of its neighbourhood, learned place by place.

Anomalies move, spread and fade. The anomaly of a cell a month later is a weighted sum of the
anomalies around it now; the weights follow the currents and are fitted by ridge regression on the
departures from damped persistence, with the statistics of neighbouring cells pooled so that some
two hundred months are enough. Applied again and again, it carries anomalies along for months: a
linear inverse model (Penland and Sardeshmukh 1995) that is local in space instead of truncated to
a few patterns.
"""

from dataclasses import dataclass

import numpy as np

from tidenet.references.anomalies import Anomalies, Sea, pairs
from tidenet.references.damping import Parts, fit_damping

RADIUS = 3
"""Reach of the weights (cells): anomalies may travel this far in a month."""

POOLING = 5.0
"""Reach (cells, Gaussian) over which places share what they have learned."""

RIDGE = 0.1
"""Variance (standardised) that is added to each neighbour's: pulls towards damped persistence."""

CHUNK = 512
"""Cells whose covariances are formed at once: bounds the memory."""


@dataclass(frozen=True)
class Propagator:
    """One month's propagation, applied as often as there are leads.

    Parameters
    ----------
    weights
        float32 (cell, neighbour), neighbours in the order of `neighbourhood`.
    n_leads
        Leads that it gives.
    """

    weights: np.ndarray
    n_leads: int

    n_history = 1

    def forecast(self, anomalies: Anomalies, positions: np.ndarray) -> np.ndarray:
        """Return the propagated anomaly (init, lead, cell)."""
        now = anomalies.values[positions]
        leads = []
        for _ in range(self.n_leads):
            now = np.einsum("tcp,cp->tc", neighbours(now, anomalies.sea), self.weights)
            leads.append(now)
        return np.stack(leads, axis=1)


def fit_propagator(anomalies: Anomalies, n_leads: int, parts: Parts = None) -> Propagator:
    """Fit on anomalies that have neither season nor trend left."""
    sea, start = anomalies.sea, pairs(len(anomalies), 1, parts)
    damping = fit_damping(anomalies, 1, parts).factor[0]
    around = neighbours(anomalies.values[start], sea)
    missed = anomalies.values[start + 1] - damping * anomalies.values[start]
    n = around.shape[-1]
    rows = np.triu_indices(n)
    covariance = np.empty((len(rows[0]), len(damping)), dtype=np.float32)
    for cells in _chunks(len(damping)):
        product = np.einsum("tcp,tcq->pqc", around[:, cells], around[:, cells], optimize=True)
        covariance[:, cells] = product[rows]
    cross = np.einsum("tcp,tc->pc", around, missed, optimize=True)
    pooled = sea.smooth(covariance, POOLING) / len(start)
    cross = sea.smooth(cross, POOLING) / len(start)
    weights = np.empty((len(damping), n))
    for cells in _chunks(len(damping)):
        matrix = np.zeros((len(damping[cells]), n, n))
        matrix[:, rows[0], rows[1]] = pooled[:, cells].T
        matrix[:, rows[1], rows[0]] = pooled[:, cells].T
        matrix += RIDGE * np.eye(n)
        weights[cells] = np.linalg.solve(matrix, cross[:, cells].T[..., None])[..., 0]
    weights[:, neighbourhood().index((0, 0))] += damping
    return Propagator(weights.astype(np.float32), n_leads)


def neighbourhood() -> list[tuple[int, int]]:
    """Return the neighbours as (rows north, columns east), the cell itself among them."""
    reach = range(-RADIUS, RADIUS + 1)
    return [(y, x) for y in reach for x in reach if y * y + x * x <= RADIUS**2 + 1]


def neighbours(values: np.ndarray, sea: Sea) -> np.ndarray:
    """Return the anomalies around each cell (time, cell, neighbour), 0 where there is land."""
    maps = np.pad(sea.maps(values), [(0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)])
    height, width = sea.ocean.shape
    around = np.empty((*values.shape, len(neighbourhood())), dtype=np.float32)
    for number, (y, x) in enumerate(neighbourhood()):
        shifted = maps[:, RADIUS + y : RADIUS + y + height, RADIUS + x : RADIUS + x + width]
        around[..., number] = shifted[:, sea.ocean]
    return around


def _chunks(n_cells: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, n_cells, CHUNK)]
