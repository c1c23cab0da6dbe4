"""Weights between two regular grids on the sphere, one direction at a time.

On regular grids the part of a target cell that lies in a source cell is the product of a part along
latitude and one along longitude: two small sparse matrices a pair of grids, made once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from storage.errors import TidenetError
from storage.grid import Grid

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Overlaps narrower than this (degrees) are the rounding of edges.
_ROUNDING_DEG = 1e-9
# Source cells taken along on each side of a target window: neighbours for interpolation.
_MARGIN = 2
# The hump 1 - |x|^power, x from -1 to 1 across a cell: zero at the edges, flat inside.
_HUMP_POWER = 4
# Columns that span a turn but for this part of one are global.
_SAME_TURN = 1e-6


class DisjointGridsError(TidenetError):
    """Two grids have no area in common."""


@dataclass(frozen=True)
class AxisWeights:
    """Weights along one direction, for the n source cells that matter and the m target cells.

    Parameters
    ----------
    cells
        (n,) position of each in the source; one column may occur twice, a turn apart.
    overlap
        (m, n) part of each target cell that lies in each source cell.
    back
        (n, m) of each source cell's part inside the target, what lies in each target cell.
    reached
        (n,) whether any of the source cell lies in the target.
    linear
        (m, n) weights of linear interpolation; empty where a target cell lies outside the source.
    hump
        (m, n) `overlap` times a hump in each source cell, of mean one over the cell.
    centres, places
        (n,) and (m,) centres of source and target cells, degrees.
    home
        (m,) the source cell with most of each target cell, -1 if none.
    """

    cells: np.ndarray
    overlap: "csr_array"
    back: "csr_array"
    reached: np.ndarray
    linear: "csr_array"
    hump: "csr_array"
    centres: np.ndarray
    places: np.ndarray
    home: np.ndarray


@lru_cache(maxsize=32)
def grid_weights(source: Grid, target: Grid) -> tuple[AxisWeights, AxisWeights]:
    """Return the weights along latitude and longitude, made once for a pair of grids."""
    rows = np.arange(source.n_lat)
    south, north = np.clip(source.lat_bounds, -90, 90).T
    edges = np.clip(np.append(target.lat_bounds[:, 0], target.lat_bounds[-1, 1]), -90, 90)
    lat = _axis(rows, south, north, edges, measure=lambda x: np.sin(np.deg2rad(x)))
    # Not the rounded bounds: every column of a grid is equally wide, as in its cell areas.
    edges = target.west + target.step * np.arange(target.n_lon + 1)
    lon = _axis(*_columns(source, edges[0], edges[-1]), edges, measure=lambda x: x)
    if not (lat.reached.any() and lon.reached.any()):
        raise DisjointGridsError(
            "The two grids have no area in common.",
            found=f"{source.name}: {_window(source)}",
            expected=f"some of {target.name}: {_window(target)}",
            remedy="Name the right grid in the product specification.",
        )
    return lat, lon


def _window(grid: Grid) -> str:
    north, east = grid.south + grid.step * grid.n_lat, grid.west + grid.step * grid.n_lon
    return f"{grid.south:g} to {north:g} N, {grid.west:g} to {east:g} E"


def _columns(source: Grid, west: float, east: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return position, west and east edge of the columns around a window, by whole turns."""
    margin = _MARGIN * source.step
    # A column that repeats the first one, a turn later, is the same column.
    n_once = min(source.n_lon, int(np.floor(360 / source.step + _SAME_TURN)))
    edges = source.west + source.step * np.arange(n_once + 1)
    first = int(np.floor((west - margin - edges[-1]) / 360))
    last = int(np.ceil((east + margin - edges[0]) / 360))
    turns = 360.0 * np.arange(first, last + 1)
    wests = (turns[:, None] + edges[:-1]).ravel()
    easts = (turns[:, None] + edges[1:]).ravel()
    near = (easts > west - margin) & (wests < east + margin)
    return np.tile(np.arange(n_once), len(turns))[near], wests[near], easts[near]


def _axis(
    cells: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    edges: np.ndarray,
    *,
    measure: Callable[[np.ndarray], np.ndarray],
) -> AxisWeights:
    """Return the weights from source cells (n,) with these edges to target cells (m + 1 edges)."""
    from scipy.sparse import csr_array

    step = float((upper - lower).max(initial=0.0))
    margin = _MARGIN * step
    near = (upper > edges[0] - margin) & (lower < edges[-1] + margin)
    cells, lower, upper = cells[near], lower[near], upper[near]
    shape = (len(edges) - 1, len(cells))
    # Every edge of either grid ends a piece; a piece lies in at most one cell of each.
    breaks = np.unique(np.concatenate([lower, upper, edges]))
    breaks = breaks[np.append(True, np.diff(breaks) > _ROUNDING_DEG)]
    middle = (breaks[:-1] + breaks[1:]) / 2
    to = np.searchsorted(edges, middle, side="right") - 1
    of = np.searchsorted(lower, middle, side="right") - 1
    both = (to >= 0) & (to < shape[0]) & (of >= 0)
    both[both] &= middle[both] < upper[of[both]]
    size, middle = np.diff(measure(breaks))[both], middle[both]
    to, of = to[both], of[both]
    part = size / np.diff(measure(edges))[to]
    inside = np.bincount(of, size, minlength=shape[1])
    bend = 1 - np.abs(2 * (middle - lower[of]) / (upper - lower)[of] - 1) ** _HUMP_POWER
    mean_bend = np.bincount(of, size * bend, minlength=shape[1])[of] / inside[of]
    overlap = csr_array((part, (to, of)), shape=shape)
    centres, places = (lower + upper) / 2, (edges[:-1] + edges[1:]) / 2
    home = np.full(shape[0], -1)
    for i in np.argsort(part, kind="stable"):  # the largest part is written last
        home[to[i]] = of[i]
    return AxisWeights(
        cells=cells,
        overlap=overlap,
        back=csr_array((size / inside[of], (of, to)), shape=shape[::-1]),
        reached=inside > 0,
        linear=_linear(centres, places, home, widest=1.5 * step),
        hump=csr_array((part * bend / mean_bend, (to, of)), shape=shape),
        centres=centres,
        places=places,
        home=home,
    )


def _linear(
    centres: np.ndarray, places: np.ndarray, home: np.ndarray, *, widest: float
) -> "csr_array":
    """Return the weights (m, n) of linear interpolation between neighbouring centres."""
    from scipy.sparse import csr_array

    shape = (len(places), len(centres))
    to = np.flatnonzero(home >= 0)
    left = np.clip(np.searchsorted(centres, places[to], side="right") - 1, 0, shape[1] - 1)
    right = np.minimum(left + 1, shape[1] - 1)
    gap = centres[right] - centres[left]
    joined = (gap > 0) & (gap < widest)
    share = np.where(joined, (places[to] - centres[left]) / np.where(joined, gap, 1.0), 0.0)
    # Outside the first and last centre, and beside a gap between columns, the nearest one.
    left = np.where(joined & (share >= 0), left, home[to])
    right = np.where(joined, right, left)
    share = np.clip(share, 0.0, 1.0)
    weights = np.concatenate([1 - share, share])
    columns = np.concatenate([left, right])
    return csr_array((weights, (np.tile(to, 2), columns)), shape=shape)
