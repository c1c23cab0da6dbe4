"""Grids of files from elsewhere: rows and columns may differ in size, and from one another."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from storage.grid import EARTH_RADIUS_M, Grid


@dataclass(frozen=True)
class FieldGrid(Grid):
    """A grid of rows and columns of any width.

    ``step`` is the mean height of a row (degrees).

    Parameters
    ----------
    lat_edges, lon_edges
        Edges of the rows and columns, rising (n_lat + 1,) and (n_lon + 1,), degrees north and
        east. Empty latitudes or longitudes mean that nobody knows where the cells lie: all have
        one area then.
    """

    lat_edges: tuple[float, ...] = ()
    lon_edges: tuple[float, ...] = ()

    @classmethod
    def around(cls, name: str, lat: np.ndarray, lon: np.ndarray) -> "FieldGrid":
        """Return the grid whose cells lie around centres and meet half-way between them.

        Parameters
        ----------
        name
            What to call it.
        lat, lon
            Centres, rising, degrees.
        """
        typical = [float(np.median(np.diff(axis))) for axis in (lat, lon) if len(axis) > 1]
        alone = typical[0] if typical else 1.0
        lat_edges = np.clip(_edges(lat, alone), -90.0, 90.0)
        return cls.between(name, lat_edges, _edges(lon, alone))

    @classmethod
    def between(cls, name: str, lat_edges: np.ndarray, lon_edges: np.ndarray) -> "FieldGrid":
        """Return the grid with these edges."""
        rows, columns = (tuple(round(float(e), 6) for e in x) for x in (lat_edges, lon_edges))
        n_lat, n_lon = len(rows) - 1, len(columns) - 1
        step = round((rows[-1] - rows[0]) / n_lat, 6)
        return cls(name, rows[0], columns[0], step, n_lat, n_lon, rows, columns)

    @classmethod
    def nowhere(cls, name: str, n_lat: int, n_lon: int) -> "FieldGrid":
        """Return a grid of equal cells that lie nowhere on the globe: at the equator, 0.1 degree.

        There the areas of cells of one size differ by less than their rounding for any small grid.
        """
        return cls(name, 0.0, 0.0, 0.1, n_lat, n_lon)

    @cached_property
    def lat(self) -> np.ndarray:
        """Latitudes of the row centres (n_lat,), degrees north, ascending, float64."""
        return self.lat_bounds.mean(axis=1)

    @cached_property
    def lon(self) -> np.ndarray:
        """Longitudes of the column centres (n_lon,), degrees east, ascending, float64."""
        return self.lon_bounds.mean(axis=1)

    @cached_property
    def lat_bounds(self) -> np.ndarray:
        """South and north edge of each row (n_lat, 2), degrees north."""
        return _pairs(self.lat_edges or self.south + self.step * np.arange(self.n_lat + 1))

    @cached_property
    def lon_bounds(self) -> np.ndarray:
        """West and east edge of each column (n_lon, 2), degrees east."""
        return _pairs(self.lon_edges or self.west + self.step * np.arange(self.n_lon + 1))

    @property
    def is_placed(self) -> bool:
        """Whether it is known where on the globe the cells lie."""
        return bool(self.lat_edges)

    @cached_property
    def cell_area(self) -> np.ndarray:
        """Area of each cell (n_lat, n_lon), m2, exact on the sphere."""
        if not self.is_placed:
            side = EARTH_RADIUS_M * np.deg2rad(self.step)
            return np.full(self.shape, side**2)
        sines = np.sin(np.deg2rad(self.lat_bounds))
        widths = np.deg2rad(np.diff(self.lon_bounds, axis=1))[:, 0]
        return EARTH_RADIUS_M**2 * np.outer(sines[:, 1] - sines[:, 0], widths)

    def coarsened(self, factor: int) -> "FieldGrid":
        """Return the grid whose cells are blocks of ``factor`` x ``factor`` cells of this one.

        Rows and columns that do not fill a whole block make a last, smaller one.
        """
        if factor == 1:
            return self
        name = f"{self.name}/{factor}"
        if not self.is_placed:
            n_lat, n_lon = (-(-side // factor) for side in self.shape)
            return FieldGrid(name, 0.0, 0.0, self.step * factor, n_lat, n_lon)
        lat, lon = (_every(edges, factor) for edges in (self.lat_edges, self.lon_edges))
        return FieldGrid.between(name, lat, lon)


def _edges(centres: np.ndarray, alone: float) -> np.ndarray:
    """Return the edges of cells; ``alone`` is the width of an only one."""
    if len(centres) == 1:
        return np.array([centres[0] - alone / 2, centres[0] + alone / 2])
    middle = (centres[:-1] + centres[1:]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


def _pairs(edges: "np.ndarray | tuple[float, ...]") -> np.ndarray:
    edges = np.asarray(edges, dtype=np.float64)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _every(edges: tuple[float, ...], factor: int) -> np.ndarray:
    return np.asarray([*edges[:-1:factor], edges[-1]])
