"""Averages over the surroundings of each ocean cell, and how far each of them can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Averages over wider and wider surroundings (degrees); the narrowest that saw enough counts most.
SCALES_DEG = (0.3, 1.0, 3.0)
# The averages run on a grid of at most so many cells a side: such anomalies are smooth on it.
_COARSE_CELLS = 200
# Part of the weight around a cell at which an average counts half.
_HALF_WEIGHT = 0.05


@dataclass(frozen=True)
class Surroundings:
    """What was seen around each cell.

    Parameters
    ----------
    shape
        Rows and columns of the grid.
    factor
        Cells a side of the blocks that the averages are taken on.
    sigmas
        Widths of the Gaussian averages, in blocks.
    weights
        Weight of the cells that were seen, for each width (scale, row, column).
    trusts
        Part that each average has in the estimate; they add up to at most 1.
    """

    shape: tuple[int, ...]
    factor: int
    sigmas: tuple[float, ...]
    weights: np.ndarray
    trusts: np.ndarray

    def means(self, anomaly: np.ndarray) -> np.ndarray:
        """Return the averages (scale, row, column) of blocks, each times its trust.

        Parameters
        ----------
        anomaly
            (lat, lon), NaN exactly where nothing was seen.
        """
        total = _block_sums(np.where(np.isfinite(anomaly), anomaly, 0.0), self.factor)
        means = []
        for sigma, weight, trust in zip(self.sigmas, self.weights, self.trusts, strict=True):
            weighted = _gaussian(total, sigma)
            mean = np.divide(weighted, weight, out=np.zeros_like(weight), where=weight > 1e-9)
            means.append(trust * mean)
        return np.stack(means)

    def on_cells(self, blocks: np.ndarray, factors: Sequence[float] | np.ndarray) -> np.ndarray:
        """Return the sum over scales of blocks (scale, row, column) times factors, (lat, lon)."""
        total = np.zeros(blocks.shape[1:])
        for part, factor in zip(blocks, factors, strict=True):
            total += factor * part
        return _refined(total, self.factor, self.shape)


def surroundings(seen: np.ndarray, ocean: np.ndarray, step: float) -> Surroundings:
    """Look around each cell.

    Parameters
    ----------
    seen, ocean
        Boolean (lat, lon).
    step
        Cell size (degrees).
    """
    factor = max(1, -(-max(seen.shape) // _COARSE_CELLS))
    count = _block_sums(seen.astype(np.float64), factor)
    sea = _block_sums(ocean.astype(np.float64), factor)
    trusted = np.zeros_like(count)
    sigmas, weights, trusts = [], [], []
    for scale in SCALES_DEG:
        sigma = scale / (step * factor)
        weight, all_sea = _gaussian(count, sigma), _gaussian(sea, sigma)
        share = np.divide(weight, all_sea, out=np.zeros_like(weight), where=all_sea > 1e-9)
        trust = share / (share + _HALF_WEIGHT) * (1 - trusted)
        trusted += trust
        sigmas.append(sigma)
        weights.append(weight)
        trusts.append(trust)
    return Surroundings(seen.shape, factor, tuple(sigmas), np.stack(weights), np.stack(trusts))


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    averaged: np.ndarray = gaussian_filter(values, sigma, mode="constant", truncate=3.0)
    return averaged


def _block_sums(values: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return values.astype(np.float64)
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], factor), axis=0)
    return np.add.reduceat(rows, np.arange(0, values.shape[1], factor), axis=1).astype(np.float64)


def _refined(values: np.ndarray, factor: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return coarse values on the fine grid, bilinear between block centres."""
    if factor == 1:
        return values
    from scipy.ndimage import map_coordinates

    rows, columns = ((np.arange(n) + 0.5) / factor - 0.5 for n in shape)
    grid = np.meshgrid(rows, columns, indexing="ij")
    refined: np.ndarray = map_coordinates(values, grid, order=1, mode="nearest")
    return refined
