"""Grids: regular lat-lon, cell-centred, latitude ascending, each a named and frozen value."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from storage.errors import UnknownGridError

EARTH_RADIUS_M = 6_371_007.181
"""Radius (m) of the sphere with the area of the WGS 84 ellipsoid (authalic radius)."""


@dataclass(frozen=True)
class Grid:
    """A regular lat-lon grid.

    Parameters
    ----------
    name
        The name that stores, settings and product specifications know it by.
    south, west
        Outer edge of the first row and column (degrees north, degrees east).
    step
        Cell size (degrees), the same in both directions.
    n_lat, n_lon
        Number of rows (south to north) and columns (west to east).
    """

    name: str
    south: float
    west: float
    step: float
    n_lat: int
    n_lon: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.n_lat, self.n_lon

    @cached_property
    def lat(self) -> np.ndarray:
        """Latitudes of the cell centres (n_lat,), degrees north, ascending, float64."""
        return np.round(self.south + self.step * (np.arange(self.n_lat) + 0.5), 6)

    @cached_property
    def lon(self) -> np.ndarray:
        """Longitudes of the cell centres (n_lon,), degrees east, ascending, float64."""
        return np.round(self.west + self.step * (np.arange(self.n_lon) + 0.5), 6)

    @cached_property
    def lat_bounds(self) -> np.ndarray:
        """South and north edge of each row (n_lat, 2), degrees north."""
        edges = np.round(self.south + self.step * np.arange(self.n_lat + 1), 6)
        return np.stack([edges[:-1], edges[1:]], axis=1)

    @cached_property
    def lon_bounds(self) -> np.ndarray:
        """West and east edge of each column (n_lon, 2), degrees east."""
        edges = np.round(self.west + self.step * np.arange(self.n_lon + 1), 6)
        return np.stack([edges[:-1], edges[1:]], axis=1)

    @cached_property
    def cell_area(self) -> np.ndarray:
        """Area of each cell (n_lat, n_lon), m2, exact on the sphere."""
        sines = np.sin(np.deg2rad(self.lat_bounds))
        rows = EARTH_RADIUS_M**2 * np.deg2rad(self.step) * (sines[:, 1] - sines[:, 0])
        return np.repeat(rows[:, None], self.n_lon, axis=1)

    def coarsened(self, factor: int) -> "Grid":
        """Return the grid whose cells are blocks of ``factor`` x ``factor`` cells of this one.

        Rows and columns that do not fill a whole block are kept in a last, partly empty one.
        """
        if factor == 1:
            return self
        return Grid(
            name=f"{self.name}/{factor}",
            south=self.south,
            west=self.west,
            step=round(self.step * factor, 6),
            n_lat=-(-self.n_lat // factor),
            n_lon=-(-self.n_lon // factor),
        )


GRIDS = {
    grid.name: grid
    for grid in (
        # East China Sea, Yellow Sea and Bohai, about 1 km: the grid of the Carbon-ECS record.
        Grid("carbon-ecs", south=23.0, west=117.0, step=0.01, n_lat=1900, n_lon=1500),
        # The same window ten times coarser, for first runs, demonstration and tests.
        Grid("carbon-ecs-10", south=23.0, west=117.0, step=0.1, n_lat=190, n_lon=150),
        # East Asian seas for global one-degree products.
        Grid("east-asia-1deg", south=5.0, west=105.0, step=1.0, n_lat=45, n_lon=45),
        # The whole globe, as one-degree drivers are delivered.
        Grid("global-1deg", south=-90.0, west=-180.0, step=1.0, n_lat=180, n_lon=360),
    )
}


def grid_named(name: str) -> Grid:
    """Return a declared grid.

    Raises
    ------
    UnknownGridError
        If no grid of that name is declared; the message lists those that are.
    """
    try:
        return GRIDS[name]
    except KeyError:
        raise UnknownGridError(
            "No grid of this name is declared.",
            found=repr(name),
            expected=", ".join(sorted(GRIDS)),
            remedy="Name one of these as the grid in the product specification.",
        ) from None
