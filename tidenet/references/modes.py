"""Leading patterns (EOFs) and how they evolve: linear inverse model, correction by modes."""

from dataclasses import dataclass

import numpy as np

from tidenet.references.anomalies import Anomalies, AnomalyForecast, Sea, pairs
from tidenet.references.damping import Parts

STABLE = 0.98
"""Largest growth a month of a linear inverse model: what would grow is made to fade."""

PRIOR_MONTHS = 20.0
"""Months of zero correction that a mode's fit is averaged with."""


def leading_patterns(values: np.ndarray, sea: Sea, n_patterns: int) -> np.ndarray:
    """Return the leading EOFs (pattern, cell), orthonormal under weights ``area / sum(area)``."""
    root = np.sqrt(sea.weight / sea.weight.sum())
    _, _, patterns = np.linalg.svd(values * root, full_matrices=False)
    kept: np.ndarray = patterns[:n_patterns] / root
    return kept.astype(np.float32)


def strengths(values: np.ndarray, patterns: np.ndarray, sea: Sea) -> np.ndarray:
    """Return the strength of each pattern (..., pattern) in rows (..., cell)."""
    projected: np.ndarray = (values * (sea.weight / sea.weight.sum())) @ patterns.T
    return projected


@dataclass(frozen=True)
class InverseModel:
    """Linear inverse model: ``p(t + k) = B^k p(t)`` of the patterns' strengths.

    Penland and Sardeshmukh (1995).

    Parameters
    ----------
    patterns
        float32 (pattern, cell).
    powers
        ``B^k`` for each lead (lead, pattern, pattern).
    """

    patterns: np.ndarray
    powers: np.ndarray

    n_history = 1

    def forecast(self, anomalies: Anomalies, positions: np.ndarray) -> np.ndarray:
        """Return the patterns as they will be (init, lead, cell)."""
        now = strengths(anomalies.values[positions], self.patterns, anomalies.sea)
        later: np.ndarray = np.einsum("kqp,tp->tkq", self.powers, now) @ self.patterns
        return later.astype(np.float32)


def fit_inverse_model(
    anomalies: Anomalies, n_leads: int, n_patterns: int = 10, parts: Parts = None
) -> InverseModel:
    """Fit on lag-1 covariances; at most one pattern for every six months."""
    n_patterns = max(1, min(n_patterns, len(anomalies) // 6))
    patterns = leading_patterns(anomalies.values, anomalies.sea, n_patterns)
    strength = strengths(anomalies.values, patterns, anomalies.sea)
    start = pairs(len(anomalies), 1, parts)
    now, later = strength[start], strength[start + 1]
    covariance = now.T @ now
    covariance += 1e-3 * np.trace(covariance) / n_patterns * np.eye(n_patterns)
    matrix = np.linalg.solve(covariance, now.T @ later).T
    growth = float(np.abs(np.linalg.eigvals(matrix)).max())
    matrix *= min(1.0, STABLE / max(growth, 1e-9))
    powers = [np.linalg.matrix_power(matrix, lead) for lead in range(1, n_leads + 1)]
    return InverseModel(patterns, np.stack(powers))


@dataclass(frozen=True)
class ModeCorrected:
    """Another forecast, with the memory of the largest pattern put right.

    A local method sees one cell and its neighbours at a time; a pattern as large as the sea may
    last longer than any cell of it lets one guess.

    Parameters
    ----------
    base
        The forecast that is corrected.
    patterns
        float32 (pattern, cell).
    gain
        What is added of each pattern's strength now (lead, pattern).
    """

    base: AnomalyForecast
    patterns: np.ndarray
    gain: np.ndarray

    n_history = 1

    def forecast(self, anomalies: Anomalies, positions: np.ndarray) -> np.ndarray:
        """Return the corrected forecast (init, lead, cell)."""
        now = strengths(anomalies.values[positions], self.patterns, anomalies.sea)
        added = (now[:, None] * self.gain) @ self.patterns
        total: np.ndarray = self.base.forecast(anomalies, positions) + added
        return total.astype(np.float32)


def correct_modes(
    base: AnomalyForecast,
    anomalies: Anomalies,
    n_leads: int,
    n_patterns: int = 1,
    parts: Parts = None,
) -> ModeCorrected:
    """Regress what a forecast misses of each pattern on the pattern's strength now."""
    patterns = leading_patterns(anomalies.values, anomalies.sea, n_patterns)
    strength = strengths(anomalies.values, patterns, anomalies.sea)
    forecast = base.forecast(anomalies, np.arange(len(anomalies)))
    foreseen = strengths(forecast, patterns, anomalies.sea)
    gain = np.zeros((n_leads, n_patterns), dtype=np.float32)
    for lead in range(1, n_leads + 1):
        start = pairs(len(anomalies), lead, parts)
        if not len(start):  # no stretch is longer than the lead: nothing says what to correct
            continue
        now = strength[start]
        missed = strength[start + lead] - foreseen[start, lead - 1]
        prior = np.square(now).mean(axis=0) * PRIOR_MONTHS
        gain[lead - 1] = (now * missed).sum(axis=0) / (np.square(now).sum(axis=0) + prior + 1e-9)
    return ModeCorrected(base, patterns, gain)
