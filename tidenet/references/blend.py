"""The best linear forecast: several methods, each weighted by how it did on months left out.

No method is the best for every sea and lead. Here each forecasts blocks of months that it was not
fitted on, and the weights at each lead minimise the squared error of the weighted mean. A couple
of hundred months cannot tell weights apart well: they are pulled towards weights that have done
well on many seas, never below zero, and add up to one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidenet.references.anomalies import Anomalies, pairs, split_off
from tidenet.references.damping import Damping, Parts, fit_damping, fit_seasonal_damping
from tidenet.references.modes import ModeCorrected, correct_modes
from tidenet.references.propagator import Propagator, fit_propagator

PRIOR = {"damped": 0.1, "seasonal": 0.4, "propagated": 0.5, "mode": 0.0}
"""Weights that are used where the data do not say otherwise."""

CAUTION = 6.0
"""How strongly they are kept: the larger, the more months it takes to move the weights."""

BLOCKS, GAP = 5, 3
"""Blocks that are left out in turn, and months left out on either side of each."""

PRIOR_TRUST_MONTHS = 60.0
"""Months of full trust that the measured trust in a forecast is averaged with."""


_Methods = tuple[Damping, Damping, Propagator, ModeCorrected]


@dataclass(frozen=True)
class Blend:
    """A weighted mean of forecasts.

    Parameters
    ----------
    damped, seasonal, propagated, mode
        The forecasts, in the order of `PRIOR`.
    weights
        float32 (lead, method).
    trust
        Factor on the weighted mean by lead and calendar month of the valid month, float32
        (lead, 12): below 1 where forecasts of left-out months were too bold, so that a forecast
        without skill relaxes to the expected season.
    """

    damped: Damping
    seasonal: Damping
    propagated: Propagator
    mode: ModeCorrected
    weights: np.ndarray
    trust: np.ndarray

    n_history = 1

    def forecast(self, anomalies: Anomalies, positions: np.ndarray) -> np.ndarray:
        """Return the weighted mean (init, lead, cell)."""
        propagated = self.propagated.forecast(anomalies, positions)
        parts = [
            self.damped.forecast(anomalies, positions),
            self.seasonal.forecast(anomalies, positions),
            propagated,
            self.mode.forecast(anomalies, positions),
        ]
        weights = self.weights.T[:, None, :, None]
        total: np.ndarray = sum(w * part for w, part in zip(weights, parts, strict=True))
        leads = np.arange(len(self.weights))
        valid = (anomalies.calendar[positions][:, None] + 1 + leads) % 12
        return total * self.trust[leads, valid][..., None]

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays to save."""
        return {
            "damped": self.damped.factor,
            "seasonal": self.seasonal.factor,
            "propagator": self.propagated.weights,
            "patterns": self.mode.patterns,
            "gain": self.mode.gain,
            "weights": self.weights,
            "trust": self.trust,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> "Blend":
        """Rebuild one from what `tensors` returned."""
        propagator = Propagator(tensors["propagator"], len(tensors["weights"]))
        return cls(
            Damping(tensors["damped"]),
            Damping(tensors["seasonal"]),
            propagator,
            ModeCorrected(propagator, tensors["patterns"], tensors["gain"]),
            tensors["weights"],
            tensors["trust"],
        )


@dataclass(frozen=True)
class FittedBlend:
    """A blend, and what it forecast from each month when it had not been fitted on it.

    Parameters
    ----------
    blend
        Fitted on all months.
    left_out
        Forecast from each row by methods that were fitted without the block around it, float32
        (time, lead, cell).
    """

    blend: Blend
    left_out: np.ndarray


def fit_blend(anomalies: Anomalies, n_leads: int) -> FittedBlend:
    """Fit every method on all months, and the weights on months left out.

    Parameters
    ----------
    anomalies
        Without season and trend (`tidenet.references.cycle`).
    n_leads
        Leads that it shall give.
    """
    n, prior = len(anomalies), np.array(list(PRIOR.values()))
    left_out = np.zeros((len(prior), n, n_leads, anomalies.values.shape[1]), dtype=np.float32)
    for block, rest in split_off(n, BLOCKS, GAP):
        methods = _fit_methods(anomalies, n_leads, rest)
        left_out[:, block] = [method.forecast(anomalies, block) for method in methods]
    weights = np.stack([_weigh(p, prior, n) for p in _error_products(left_out, anomalies)])
    blended = np.einsum("kj,jtkc->tkc", weights.astype(np.float32), left_out)
    trust = _trust(blended, anomalies)
    valid = (anomalies.calendar[:, None] + 1 + np.arange(n_leads)) % 12
    blended *= trust[np.arange(n_leads), valid][..., None]
    methods = _fit_methods(anomalies, n_leads, None)
    return FittedBlend(Blend(*methods, weights.astype(np.float32), trust), blended)


def _fit_methods(anomalies: Anomalies, n_leads: int, parts: Parts) -> _Methods:
    propagator = fit_propagator(anomalies, n_leads, parts)
    return (
        fit_damping(anomalies, n_leads, parts),
        fit_seasonal_damping(anomalies, n_leads, parts),
        propagator,
        correct_modes(propagator, anomalies, n_leads, parts=parts),
    )


def _error_products(forecasts: np.ndarray, anomalies: Anomalies) -> Iterator[np.ndarray]:
    """Yield for each lead the mean products of the methods' errors (method, method)."""
    share = anomalies.sea.weight / anomalies.sea.weight.sum()
    for lead in range(1, forecasts.shape[2] + 1):
        start = pairs(len(anomalies), lead)
        errors = anomalies.values[start + lead] - forecasts[:, start, lead - 1]
        yield np.einsum("itc,jtc,c->ij", errors, errors, share, optimize=True) / len(start)


def _trust(forecasts: np.ndarray, anomalies: Anomalies) -> np.ndarray:
    """Return how far forecasts of left-out months are to be trusted, float32 (lead, 12), 0 to 1.

    The slope of the regression of what came on what was forecast, for the valid months of a season
    (a calendar month and its neighbours), averaged with `PRIOR_TRUST_MONTHS` of full trust.
    """
    n_leads = forecasts.shape[1]
    trust = np.ones((n_leads, 12), dtype=np.float32)
    for lead in range(1, n_leads + 1):
        start = pairs(len(anomalies), lead)
        foreseen, came = forecasts[start, lead - 1], anomalies.values[start + lead]
        product = anomalies.sea.mean(foreseen * came)
        square = anomalies.sea.mean(np.square(foreseen))
        prior = float(square.mean()) * PRIOR_TRUST_MONTHS
        apart = np.abs((anomalies.calendar[start + lead] - np.arange(12)[:, None] + 6) % 12 - 6)
        for month, near in enumerate(apart <= 1):
            slope = (product[near].sum() + prior) / max(square[near].sum() + prior, 1e-12)
            trust[lead - 1, month] = np.clip(slope, 0.0, 1.0)
    return trust


def _weigh(product: np.ndarray, prior: np.ndarray, n_months: int) -> np.ndarray:
    """Return the non-negative weights that add up to one and minimise the error (method,).

    Minimises ``w' P w + c |w - prior|^2``, with ``c`` the mean square error times `CAUTION` over
    the number of months.
    """
    from scipy.optimize import nnls

    n = len(prior)
    caution = np.sqrt(np.trace(product) / n * CAUTION / n_months)
    # Where all methods err alike, the least eigenvalues are rounding and may be negative.
    values, vectors = np.linalg.eigh(product + 1e-9 * np.eye(n))
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    sum_to_one = 1e3 * np.ones((1, n))
    system = np.concatenate([root, caution * np.eye(n), sum_to_one])
    wanted = np.concatenate([np.zeros(n), caution * prior, [1e3]])
    weights, _ = nnls(system, wanted)
    normalised: np.ndarray = weights / weights.sum()
    return normalised


def describe_weights(blend: Blend) -> dict[str, Any]:
    """Return the weights by method and lead, for people: rounded, JSON-able."""
    return {
        name: [round(float(w), 2) for w in column]
        for name, column in zip(PRIOR, blend.weights.T, strict=True)
    }
