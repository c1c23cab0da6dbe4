"""Regridding between regular grids on the sphere: conservative, coast-aware, weights kept.

Where the target is coarser (or as fine, but shifted) a target cell is the area-weighted mean of the
sea in it. Where it is finer, values are bilinear between the centres of source cells; a smooth hump
inside each source cell then gives the cell its own mean back, which bilinear values alone lose.
So in both directions the area integral over the covered parts is that of the source, and refining
followed by coarsening gives the first field again.

On regular grids the weights of an area are the product of those of a latitude and of a longitude:
two small sparse matrices a pair of grids, applied from the left and from the right.
"""

# xarray-regrid (0.4.2) was tried in its place. Its conservative method is as exact on nested grids,
# but drops target cells whose centre lies outside the outermost source centres (6 % of the integral
# from 0.7 to 1 degree), splits cells by degrees and not by area (2e-5), does not tell what part of
# a cell was covered, and makes dense weights at each call. Its linear method loses every cell next
# to land (29 % of the integral of a 1-degree month of the East China Sea on the 0.01-degree grid).

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ingest.errors import GridMismatchError
from ingest.regridding.weights import AxisWeights, grid_weights
from storage.grid import Grid

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ingest.reader import ProductMonth

LEAST_COVERED = 1e-4
"""Least part of a target cell that must be covered by observed source cells for it to be kept.

Below it are slivers, where rounded edges of the two grids cross; coastal cells are above it.
"""

# Steps that differ by less than this part are the same.
_SAME_STEP = 1e-6
# Beyond the last sea centre, finer cells take its value up to so many source cells away (along
# either direction; the last digit is for rounding).
_REACH = 1.5001
# A finer target cell belongs to the sea where at least this part of it is covered by the source's.
_SEA_PART = 0.5


@dataclass(frozen=True)
class Regridded:
    """A field on another grid.

    Parameters
    ----------
    values
        (lat, lon) on the target, of the source's floating type; NaN where nothing was near.
    covered
        float64 (lat, lon), 0 to 1: the part of each target cell's area that lies in source cells
        with a value. The sum of values x covered x cell area is the source's integral over the
        part of its area that lies in the target. Cells beyond a coast that took the nearest
        value have 0.
    """

    values: np.ndarray
    covered: np.ndarray


@dataclass(frozen=True)
class Regridder:
    """The way from one grid to another.

    Longitudes are compared by whole turns: a source from 0 to 360 or from -180 to 180 serves a
    target across either seam.

    Parameters
    ----------
    source, target
        The grids.
    least_covered
        Least part of a target cell that must be covered by source cells with a value, 0 to 1;
        only where the target is not finer.
    keep_means
        Whether each source cell keeps its mean where the target is finer. Without, values are
        plainly bilinear and never leave the range of the source's.
    """

    source: Grid
    target: Grid
    least_covered: float = LEAST_COVERED
    keep_means: bool = True

    @property
    def refines(self) -> bool:
        """Whether the target is finer: then bilinear, else area-conservative."""
        return self.target.step < self.source.step * (1 - _SAME_STEP)

    def __call__(self, values: np.ndarray) -> Regridded:
        """Return a field on the target grid.

        Only finite source cells count, with their weights scaled to one, so that no value of land
        reaches the sea.

        Parameters
        ----------
        values
            (lat, lon) on the source, NaN where there is no value.

        Raises
        ------
        GridMismatchError
            If the array is not one of the source grid.
        DisjointGridsError
            If the grids have no area in common.
        """
        kind = np.result_type(values.dtype, np.float32)
        patch = self._patch(values).astype(np.float64)
        seen = np.isfinite(patch)
        patch = np.where(seen, patch, 0.0)
        covered = self._covered(seen)
        made = self._bilinear(patch, seen, covered) if self.refines else self._mean(patch, covered)
        kept = np.where(np.isfinite(made), covered, 0.0)
        return Regridded(made.astype(kind), kept)

    def covered(self, flags: np.ndarray) -> np.ndarray:
        """Return the part of each target cell that lies in marked source cells, float64 (lat, lon).

        Parameters
        ----------
        flags
            Boolean (lat, lon) on the source.
        """
        return self._covered(self._patch(flags))

    def _axes(self) -> tuple[AxisWeights, AxisWeights]:
        return grid_weights(self.source, self.target)

    def _patch(self, values: np.ndarray) -> np.ndarray:
        """Return the source cells that matter, in the target's order of longitudes."""
        if values.shape != self.source.shape:
            raise GridMismatchError(
                f"The array is not one of the grid {self.source.name}.",
                found=f"shape {values.shape}",
                expected=f"shape {self.source.shape}",
                remedy="Name the right grid in the product specification.",
            )
        lat, lon = self._axes()
        return values[np.ix_(lat.cells, lon.cells)]

    def _covered(self, seen: np.ndarray) -> np.ndarray:
        lat, lon = self._axes()
        return np.clip(_apply(lat.overlap, seen.astype(np.float64), lon.overlap), 0.0, 1.0)

    def _mean(self, patch: np.ndarray, covered: np.ndarray) -> np.ndarray:
        lat, lon = self._axes()
        total = _apply(lat.overlap, patch, lon.overlap)
        enough = covered > self.least_covered
        return np.divide(total, covered, out=np.full(total.shape, np.nan), where=enough)

    def _bilinear(self, patch: np.ndarray, seen: np.ndarray, covered: np.ndarray) -> np.ndarray:
        lat, lon = self._axes()
        weight = _apply(lat.linear, seen.astype(np.float64), lon.linear)
        total = _apply(lat.linear, patch, lon.linear)
        made = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 1e-9)
        _extend(made, patch, seen, lat, lon, _REACH * self.source.step)
        if not self.keep_means:
            return made
        # What each source cell's mean has lost, given back by a hump that ends at the cell's edge.
        whole = np.where(covered > 0, made, 0.0)
        inside = seen & np.outer(lat.reached, lon.reached)
        missing = np.where(inside, patch - _apply(lat.back, whole, lon.back), 0.0)
        humps = _apply(lat.hump, missing, lon.hump)
        np.divide(humps, covered, out=humps, where=covered > 0)
        return made + humps


def regrid(values: np.ndarray, source: Grid, target: Grid) -> Regridded:
    """Return a field on another grid; see `Regridder`.

    Parameters
    ----------
    values
        (lat, lon) on the source, NaN where there is no value.
    source, target
        The grids.
    """
    return Regridder(source, target)(values)


def regrid_ocean(ocean: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Return which target cells are sea by the source's mask, boolean (lat, lon).

    A coarser cell is sea if any of it is, as its sea part has a value; a finer one if at least
    half of it is.

    Parameters
    ----------
    ocean
        Boolean (lat, lon) on the source.
    source, target
        The grids.
    """
    way = Regridder(source, target)
    return way.covered(ocean) >= (_SEA_PART if way.refines else LEAST_COVERED)


def regrid_month(product_month: "ProductMonth", target: Grid) -> "ProductMonth":
    """Return a product's month on another grid.

    The errors of one product's neighbouring cells come from the same algorithm, air pressure and
    wind: they are taken as wholly correlated, so the uncertainty of a mean is the mean uncertainty.
    Root-of-n averaging would promise far too much. A finer cell has the uncertainty of the source
    cells around it; what lies between their centres was not resolved, and is not added.

    Beyond a coarse product's coast, finer cells take the nearest value within one and a half
    source cells: the record's own mask says which of them are sea. `ocean` is the product's mask
    (see `regrid_ocean`), without these.

    Parameters
    ----------
    product_month
        The month as read.
    target
        The record's grid.

    Raises
    ------
    DisjointGridsError
        If the product has no area in common with the target.
    """
    source = product_month.grid
    if source == target:
        return product_month
    fco2 = regrid(product_month.fco2, source, target).values
    known = np.isfinite(product_month.fco2) & np.isfinite(product_month.uncertainty)
    uncertainty = np.full(target.shape, np.nan, dtype=np.float32)
    if known.any():
        stated = np.where(known, product_month.uncertainty, np.nan)
        uncertainty = Regridder(source, target, keep_means=False)(stated).values
    ocean = product_month.ocean
    return replace(
        product_month,
        grid=target,
        fco2=fco2.astype(np.float32),
        uncertainty=uncertainty.astype(np.float32),
        ocean=None if ocean is None else regrid_ocean(ocean, source, target),
    )


# --- the work -------------------------------------------------------------------------------------


def _apply(lat: "csr_array", values: np.ndarray, lon: "csr_array") -> np.ndarray:
    """Return lat @ values @ lon.T, in the order that makes the smaller array between."""
    if lat.shape[0] * values.shape[1] <= values.shape[0] * lon.shape[0]:
        return np.ascontiguousarray((lon @ (lat @ values).T).T)
    return lat @ np.ascontiguousarray((lon @ values.T).T)


def _extend(
    made: np.ndarray,
    patch: np.ndarray,
    seen: np.ndarray,
    lat: AxisWeights,
    lon: AxisWeights,
    reach: float,
) -> None:
    """Give cells beyond the last sea centre the nearest value among 3 x 3 source cells."""
    from scipy.ndimage import binary_dilation

    near = binary_dilation(seen, np.ones((3, 3), dtype=bool))
    inside = np.outer(lat.home >= 0, lon.home >= 0)
    rows, columns = np.nonzero(np.isnan(made) & inside & near[np.ix_(lat.home, lon.home)])
    nearest = np.full(len(rows), np.inf)
    for shift in np.ndindex(3, 3):
        i, north = _neighbour(lat, rows, shift[0] - 1, reach)
        j, east = _neighbour(lon, columns, shift[1] - 1, reach)
        distance = np.where(seen[i, j], np.hypot(north, east), np.inf)
        closer = distance < nearest
        made[rows[closer], columns[closer]] = patch[i[closer], j[closer]]
        nearest[closer] = distance[closer]


def _neighbour(
    axis: AxisWeights, targets: np.ndarray, shift: int, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a neighbour of each target's source cell, and the way to its centre in degrees."""
    cells = np.clip(axis.home[targets] + shift, 0, len(axis.cells) - 1)
    way = np.abs(axis.centres[cells] - axis.places[targets])
    return cells, np.where(way <= reach, way, np.inf)
