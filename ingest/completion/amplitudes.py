"""Estimating a month from an EOF basis: amplitudes from what was seen, with their error.

The amplitudes are the posterior mean of optimal interpolation in the space of the modes, with the
modes' variances as prior and what they do not explain as noise; the posterior covariance gives the
error of the reconstruction (Beckers, Barth and Alvera-Azcarate 2006, Ocean Science 2, 183-199,
doi:10.5194/os-2-183-2006). What is left unexplained goes together over an area, so that the cells
of a fine grid are not independent observations: the noise of each is raised until as many cells as
that area holds weigh as much as one.
"""

from dataclasses import dataclass

import numpy as np

from storage.eof_basis import EofBasis, RankScore
from storage.errors import TidenetError
from storage.grid import Grid

__all__ = [
    "Amplitudes",
    "BasisMismatchError",
    "EofBasis",
    "RankScore",
    "estimate_amplitudes",
    "misfit",
    "reconstruct",
    "require_fit",
]

# Cells that are worked on at once: a fixed number, so that sums are always taken in one order.
CELLS_AT_ONCE = 16_384
# No residual variance is believed to be smaller than this part of its mean over the cells.
_LEAST_NOISE = 0.01


class BasisMismatchError(TidenetError):
    """An EOF basis belongs to another grid or ocean mask than the month."""


@dataclass(frozen=True)
class Amplitudes:
    """How strong each mode is in a month.

    Parameters
    ----------
    mean
        float64 (mode,), mmol m-2 d-1.
    precision
        float64 (mode, mode), inverse of the covariance of its error, (mmol m-2 d-1)-2.
    """

    mean: np.ndarray
    precision: np.ndarray


def require_fit(basis: EofBasis, grid: Grid, ocean: np.ndarray) -> None:
    """Raise unless a basis has this grid and mask.

    Raises
    ------
    BasisMismatchError
        If it has another grid or another ocean mask.
    """
    if basis.grid != grid:
        found, expected = str(basis.grid), str(grid)
    elif not np.array_equal(basis.ocean, ocean):
        differing = int((basis.ocean != ocean).sum())
        found, expected = f"{differing} cells of the mask differ", "the record's ocean mask"
    else:
        return
    raise BasisMismatchError(
        "The EOF basis does not fit the record.",
        found=found,
        expected=expected,
        remedy="Fit it anew on this record (tidenet refresh-basis).",
    )


def estimate_amplitudes(
    basis: EofBasis, anomaly: np.ndarray, footprint_m2: float | None = None
) -> Amplitudes:
    """Estimate how strong each mode is, from the cells that were seen.

    Parameters
    ----------
    basis
        The basis.
    anomaly
        float (cell,), departure from the climatology, mmol m-2 d-1; NaN where not seen.
    footprint_m2
        Another footprint than the basis has.
    """
    import scipy.linalg

    footprint = basis.footprint_m2 if footprint_m2 is None else footprint_m2
    crowded = np.maximum(1.0, footprint / basis.grid.cell_area[basis.ocean])
    least = _LEAST_NOISE * float(basis.residual_variance.mean(dtype=np.float64))
    noise = np.maximum(basis.residual_variance, max(least, 1e-12)) * crowded
    precision = np.diag(1 / np.maximum(basis.variances, 1e-12))
    weighted = np.zeros(basis.rank)
    for start in range(0, len(anomaly), CELLS_AT_ONCE):
        part = slice(start, start + CELLS_AT_ONCE)
        seen = np.isfinite(anomaly[part])
        patterns = basis.patterns[:, part][:, seen].astype(np.float64)
        scaled = patterns / noise[part][seen]
        precision += scaled @ patterns.T
        weighted += scaled @ anomaly[part][seen].astype(np.float64)
    factor = scipy.linalg.cho_factor(precision)
    return Amplitudes(scipy.linalg.cho_solve(factor, weighted), precision)


def reconstruct(basis: EofBasis, amplitudes: Amplitudes) -> tuple[np.ndarray, np.ndarray]:
    """Return the anomaly that the modes make up (cell,), and its error variance (cell,)."""
    import scipy.linalg

    anomaly = np.empty(basis.patterns.shape[1])
    variance = np.empty_like(anomaly)
    root = scipy.linalg.cholesky(amplitudes.precision, lower=True)
    for start in range(0, len(anomaly), CELLS_AT_ONCE):
        part = slice(start, start + CELLS_AT_ONCE)
        patterns = basis.patterns[:, part].astype(np.float64)
        anomaly[part] = amplitudes.mean @ patterns
        scaled = scipy.linalg.solve_triangular(root, patterns, lower=True)
        variance[part] = (scaled**2).sum(axis=0)
    return anomaly, variance


def misfit(basis: EofBasis, residual: np.ndarray) -> float:
    """Return how unusual a month is: mean square of what the modes leave of it, over the usual one.

    A month unlike those that the basis was fitted on leaves more, where it was seen and where not.

    Parameters
    ----------
    basis
        The basis.
    residual
        float (cell,), what the modes leave of the observed anomaly; NaN where not seen.
    """
    seen = np.isfinite(residual)
    usual = float(basis.residual_variance[seen].mean(dtype=np.float64))
    return float(np.mean(residual[seen] ** 2, dtype=np.float64)) / max(usual, 1e-12)
