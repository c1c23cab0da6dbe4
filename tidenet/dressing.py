"""From one best estimate to an ensemble: the errors that such forecasts have been seen to make.

An ensemble member is the best estimate plus an error that is drawn, not measured. What is drawn
looks like the errors of past forecasts: the leading patterns of their residual maps, all leads
together, each times an independent normal number, so that members are coherent in space and from
lead to lead and the spread of a regional mean is right, not only that of a cell. What these
patterns leave out is added as local noise with the variance that is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tidenet.working_grid import WorkingGrid


@dataclass(frozen=True)
class Dressing:
    """Error statistics of a forecast method, in standard deviations of the flux.

    Parameters
    ----------
    patterns
        float32 (pattern, lead, height, width) on the working grid; their squares add up to the
        variance that they carry.
    local_std
        float32 (lead, height, width), standard deviation of what the patterns leave out.
    """

    patterns: np.ndarray
    local_std: np.ndarray

    def scaled(self, factor: np.ndarray) -> "Dressing":
        """Return the same errors, larger or smaller by a factor per lead (lead,)."""
        factor = np.asarray(factor, dtype=np.float32)[:, None, None]
        return replace(self, patterns=self.patterns * factor, local_std=self.local_std * factor)

    def variance(self) -> np.ndarray:
        """Return the error variance on the working grid, float32 (lead, height, width)."""
        total: np.ndarray = np.square(self.patterns).sum(axis=0) + np.square(self.local_std)
        return total

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays to save."""
        return {"patterns": self.patterns, "local_std": self.local_std}


def dress(
    best: np.ndarray,
    spread: Sequence[np.ndarray],
    dressing: Dressing,
    grid: WorkingGrid,
    noise: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return members around a best estimate.

    Parameters
    ----------
    best
        (lead, lat, lon), mmol m-2 d-1.
    spread
        For each lead the standard deviation of the valid month (lat, lon), mmol m-2 d-1.
    dressing, grid
        The errors to draw, and the working grid that they are kept on.
    noise
        Local noise of unit variance (member, lead, height, width).
    rng
        Draws the strength of each pattern.

    Returns
    -------
    numpy.ndarray
        float32 (member, lead, lat, lon), mmol m-2 d-1; NaN on land.
    """
    strengths = rng.standard_normal((len(noise), len(dressing.patterns)), dtype=np.float32)
    # Interpolation averages neighbours and so makes independent noise smaller; undo that.
    grow = 1 / np.sqrt(np.where(grid.weight > 0, grid.interpolated_variance(), 1.0))
    members = np.empty((len(noise), *best.shape), dtype=np.float32)
    for member, strength in enumerate(strengths):
        coherent = np.tensordot(strength, dressing.patterns, axes=1)
        local = dressing.local_std * noise[member]
        for lead in range(len(best)):
            error = grid.refine(coherent[lead]) + grid.refine(local[lead]) * grow
            members[member, lead] = best[lead] + spread[lead] * error
    return members


def white_noise(
    rng: np.random.Generator, grid: WorkingGrid, n_members: int, n_leads: int
) -> np.ndarray:
    """Return independent unit noise, float32 (member, lead, height, width)."""
    return rng.standard_normal((n_members, n_leads, *grid.shape), dtype=np.float32)


def fit_dressing(
    residuals: np.ndarray,
    grid: WorkingGrid,
    n_patterns: int,
    *,
    inflation: float = 1.0,
    detail_variance: np.ndarray | None = None,
) -> Dressing:
    """Fit on residual maps of past forecasts.

    Parameters
    ----------
    residuals
        Observed minus forecast (n, lead, height, width) on the working grid, in standard
        deviations of the valid month; 0 on land.
    grid
        The working grid.
    n_patterns
        Most patterns to keep.
    inflation
        Factor on the variance, for the degrees of freedom that fitting has used up.
    detail_variance
        Error variance inside the blocks (lead, height, width), which residuals of block means do
        not show.
    """
    variance = np.square(residuals).mean(axis=0) * inflation
    if detail_variance is not None:
        variance = variance + detail_variance
    patterns = _leading_patterns(residuals, grid.block_weight, n_patterns)
    patterns *= np.float32(np.sqrt(inflation))
    local = np.maximum(variance - np.square(patterns).sum(axis=0), 0.0)
    return Dressing(patterns, np.sqrt(local).astype(np.float32))


def _leading_patterns(maps: np.ndarray, weight: np.ndarray, n_patterns: int) -> np.ndarray:
    """Return the leading patterns of the maps' (uncentred) covariance, scaled by their strength.

    `maps` is (n, lead, height, width). With far fewer maps than cells, the small matrix of inner
    products between maps has the same leading directions as the large one between cells.
    """
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    root = np.broadcast_to(np.sqrt(weight / weight.sum()), maps.shape[1:]).reshape(-1)
    weighted = flat * root
    strength, vectors = np.linalg.eigh(weighted @ weighted.T)
    keep = np.argsort(strength)[::-1][:n_patterns]
    patterns = vectors[:, keep].T @ flat / np.sqrt(len(maps))
    # The sign of an eigenvector is arbitrary; fixing it keeps members the same everywhere.
    sign = np.sign(patterns.sum(axis=1, keepdims=True))
    patterns *= np.where(sign == 0, 1.0, sign)
    return patterns.reshape(-1, *maps.shape[1:]).astype(np.float32)
