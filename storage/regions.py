"""Regions that fluxes are averaged and integrated over.

The domains follow the division of the East China Sea shelf that oceanographers use (Guo et al.
2015, Biogeosciences 12, 5495-5510): Changjiang plume, Zhejiang-Fujian coast, northern, middle and
southern shelf. They are drawn here as simple polygons, an approximation of the published map,
clipped to ocean cells. Every grid has the region ``all`` besides.
"""

from dataclasses import dataclass

import numpy as np

from storage.grid import Grid


@dataclass(frozen=True)
class Region:
    """A named area.

    Parameters
    ----------
    name
        Key used in tables, for example ``changjiang-plume``.
    title
        Name for people.
    vertices
        Corners (lon, lat) in degrees, in order around the polygon; empty for the whole grid.
    """

    name: str
    title: str
    vertices: tuple[tuple[float, float], ...] = ()

    def contains(self, grid: Grid) -> np.ndarray:
        """Return which cell centres lie inside, boolean (n_lat, n_lon)."""
        if not self.vertices:
            return np.ones(grid.shape, dtype=bool)
        from matplotlib.path import Path

        lon, lat = np.meshgrid(grid.lon, grid.lat)
        points = np.column_stack([lon.ravel(), lat.ravel()])
        return Path(self.vertices).contains_points(points).reshape(grid.shape)


REGIONS = (
    Region("all", "All ocean cells of the grid"),
    Region(
        "ecs-shelf",
        "East China Sea shelf",
        ((121.0, 33.0), (128.0, 33.0), (128.0, 28.5), (126.5, 27.0), (122.5, 25.0), (119.0, 25.0)),
    ),
    Region(
        "changjiang-plume",
        "Changjiang plume",
        ((121.0, 33.0), (126.0, 33.0), (126.0, 28.5), (121.0, 28.5)),
    ),
    Region(
        "zhejiang-fujian-coast",
        "Zhejiang-Fujian coast",
        ((121.0, 28.5), (123.0, 28.5), (121.0, 25.0), (119.0, 25.0)),
    ),
    Region(
        "northern-shelf",
        "Northern shelf",
        ((126.0, 33.0), (128.0, 33.0), (128.0, 28.5), (126.0, 28.5)),
    ),
    Region(
        "middle-shelf",
        "Middle shelf",
        ((123.0, 28.5), (128.0, 28.5), (126.5, 27.0), (122.14, 27.0)),
    ),
    Region(
        "southern-shelf",
        "Southern shelf",
        ((122.14, 27.0), (126.5, 27.0), (122.5, 25.0), (121.0, 25.0)),
    ),
    Region(
        "yellow-sea",
        "Yellow Sea",
        ((119.0, 37.5), (127.0, 37.5), (127.0, 33.0), (119.0, 33.0)),
    ),
)


def region_masks(grid: Grid, ocean: np.ndarray) -> dict[str, np.ndarray]:
    """Return the ocean cells of each region that has any on this grid.

    Parameters
    ----------
    grid
        The grid of the mask.
    ocean
        Boolean (n_lat, n_lon), True on ocean cells.

    Returns
    -------
    dict
        Region name to boolean (n_lat, n_lon), in the order of `REGIONS`.
    """
    masks = {region.name: region.contains(grid) & ocean for region in REGIONS}
    return {name: mask for name, mask in masks.items() if mask.any()}
