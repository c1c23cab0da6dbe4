"""The network's own, coarser grid, and the ways there and back that never touch land."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

MULTIPLE = 8
"""Height and width are padded to a multiple of this, so that a U-Net can halve them."""


@dataclass(frozen=True)
class WorkingGrid:
    """Blocks of ``factor`` x ``factor`` cells, padded to a height and width that divide by 8.

    Parameters
    ----------
    weight
        Cell area on ocean cells and 0 on land (lat, lon); any unit.
    factor
        Cells per block and direction.
    """

    weight: np.ndarray
    factor: int

    @classmethod
    def fitting(cls, weight: np.ndarray, most_cells: int) -> "WorkingGrid":
        """Return the finest one whose longer side has at most ``most_cells`` cells."""
        return cls(weight, -(-max(weight.shape) // most_cells))

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, padding included."""
        rows, columns = (
            -(-side // (self.factor * MULTIPLE)) * MULTIPLE for side in self.weight.shape
        )
        return rows, columns

    @cached_property
    def block_weight(self) -> np.ndarray:
        """Ocean area of each block (height, width), float64; 0 on land and padding."""
        return self._sum_blocks(self.weight)

    @cached_property
    def mask(self) -> np.ndarray:
        """1 where a block has any ocean, 0 on land and padding; float32 (height, width)."""
        return (self.block_weight > 0).astype(np.float32)

    def coarsen(self, fields: np.ndarray) -> np.ndarray:
        """Return area-weighted block means over ocean cells.

        Parameters
        ----------
        fields
            (..., lat, lon); whatever stands on land is not read.

        Returns
        -------
        numpy.ndarray
            float32 (..., height, width); 0 where a block has no ocean.
        """
        weighted = np.where(self.weight > 0, fields, 0.0) * self.weight
        total = self._sum_blocks(weighted)
        safe = np.where(self.block_weight > 0, self.block_weight, 1.0)
        return (total / safe).astype(np.float32)

    def refine(self, coarse: np.ndarray) -> np.ndarray:
        """Return fields interpolated between block centres, on all cells.

        Interpolation is bilinear over ocean blocks only: a land block has no part in its
        neighbours' values.

        Parameters
        ----------
        coarse
            (..., height, width), float32.

        Returns
        -------
        numpy.ndarray
            float32 (..., lat, lon); meaningful on ocean cells.
        """
        rows, columns = self._interpolation
        values: np.ndarray = (rows @ (coarse * self.mask) @ columns.T) / self._reach
        return values

    def interpolated_variance(self) -> np.ndarray:
        """Return the variance that interpolated unit white noise has on each cell (lat, lon)."""
        rows, columns = self._interpolation
        values: np.ndarray = (rows**2 @ self.mask @ (columns**2).T) / self._reach**2
        return values

    @cached_property
    def _reach(self) -> np.ndarray:
        rows, columns = self._interpolation
        reach = rows @ self.mask @ columns.T
        return np.where(reach > 0, reach, np.float32(1.0))

    @cached_property
    def _interpolation(self) -> tuple[np.ndarray, np.ndarray]:
        return (
            _linear_weights(self.weight.shape[0], self.shape[0], self.factor),
            _linear_weights(self.weight.shape[1], self.shape[1], self.factor),
        )

    def _sum_blocks(self, fields: np.ndarray) -> np.ndarray:
        height, width = self.shape
        rows, columns = fields.shape[-2:]
        pad = [(0, 0)] * (fields.ndim - 2)
        pad += [(0, height * self.factor - rows), (0, width * self.factor - columns)]
        padded = np.pad(fields, pad)
        blocks = padded.reshape(*fields.shape[:-2], height, self.factor, width, self.factor)
        total: np.ndarray = blocks.sum(axis=(-3, -1))
        return total


def _linear_weights(n_cells: int, n_blocks: int, factor: int) -> np.ndarray:
    """Return the weight of each block centre at each cell, float32 (n_cells, n_blocks)."""
    position = np.clip((np.arange(n_cells) + 0.5) / factor - 0.5, 0, n_blocks - 1)
    lower = np.floor(position).astype(int)
    upper = np.minimum(lower + 1, n_blocks - 1)
    share = (position - lower).astype(np.float32)
    weights = np.zeros((n_cells, n_blocks), dtype=np.float32)
    cells = np.arange(n_cells)
    np.add.at(weights, (cells, lower), 1 - share)
    np.add.at(weights, (cells, upper), share)
    return weights
