"""Regions that fluxes are averaged and integrated over: the built-in ones, and any polygon.

The built-in domains follow the division of the East China Sea shelf that oceanographers use (Guo et
al. 2015, Biogeosciences 12, 5495-5510): Changjiang plume, Zhejiang-Fujian coast, northern, middle
and southern shelf. They are drawn here as simple polygons, an approximation of the published map,
clipped to ocean cells. Every grid has the region ``all`` besides. `storage.region_files` reads
regions of the user's own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from storage.errors import TidenetError
from storage.grid import Grid

# Degrees east and north: where to look for the owner of a cell centre on an edge. Along no meridian
# or parallel, so that it leaves those edges; far above rounding and far below a cell.
_ASIDE = (3e-10, -1e-9)


class RegionOutsideGridError(TidenetError):
    """A region of the user's has no ocean cell of the grid."""


@dataclass(frozen=True)
class Region:
    """A named area.

    Parameters
    ----------
    name
        Key used in tables, for example ``changjiang-plume``.
    title
        Name for people.
    geometry
        GeoJSON geometry: a Polygon or MultiPolygon of closed rings (lon, lat) in degrees; None for
        the whole grid. Kept as tuples of floats.
    """

    name: str
    title: str
    geometry: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        # Equal regions are equal whether their rings came as lists (JSON) or as tuples.
        if self.geometry is not None:
            object.__setattr__(self, "geometry", _as(tuple, self.geometry))

    @property
    def definition(self) -> dict[str, Any]:
        """The GeoJSON geometry in plain lists; empty for the whole grid."""
        return {} if self.geometry is None else _as(list, self.geometry)

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east and north end (degrees); None for the whole grid."""
        return None if self.geometry is None else self._polygon.bounds

    def contains(self, grid: Grid) -> np.ndarray:
        """Return which cell centres lie inside, boolean (n_lat, n_lon).

        A centre exactly on an edge belongs to the region to its south, on a meridian to its east:
        of regions that share the edge, to one.
        """
        if self.geometry is None:
            return np.ones(grid.shape, dtype=bool)
        import shapely

        shapely.prepare(self._polygon)
        lon, lat = grid.lon[None, :], grid.lat[:, None]
        inside: np.ndarray = shapely.contains_xy(self._polygon, lon, lat)
        row, column = np.nonzero(shapely.intersects_xy(self._polygon, lon, lat) & ~inside)
        east, north = _ASIDE
        inside[row, column] = shapely.contains_xy(
            self._polygon, grid.lon[column] + east, grid.lat[row] + north
        )
        return inside

    @cached_property
    def _polygon(self) -> Any:
        import shapely

        return shapely.geometry.shape(self.definition)


def _as(sequence: type[list] | type[tuple], geometry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a geometry whose coordinates are nested in one type of sequence."""

    def nested(part: Any) -> Any:
        return sequence(map(nested, part)) if isinstance(part, list | tuple) else float(part)

    return {"type": geometry["type"], "coordinates": nested(geometry["coordinates"])}


def _drawn(name: str, title: str, *corners: tuple[float, float]) -> Region:
    """Return the region with these corners (lon, lat), in order around it."""
    return Region(name, title, {"type": "Polygon", "coordinates": [[*corners, corners[0]]]})


REGIONS = (
    Region("all", "All ocean cells of the grid"),
    _drawn(
        "ecs-shelf",
        "East China Sea shelf",
        (121.0, 33.0),
        (128.0, 33.0),
        (128.0, 28.5),
        (126.5, 27.0),
        (122.5, 25.0),
        (119.0, 25.0),
    ),
    _drawn(
        "changjiang-plume",
        "Changjiang plume",
        (121.0, 33.0),
        (126.0, 33.0),
        (126.0, 28.5),
        (121.0, 28.5),
    ),
    _drawn(
        "zhejiang-fujian-coast",
        "Zhejiang-Fujian coast",
        (121.0, 28.5),
        (123.0, 28.5),
        (121.0, 25.0),
        (119.0, 25.0),
    ),
    _drawn(
        "northern-shelf",
        "Northern shelf",
        (126.0, 33.0),
        (128.0, 33.0),
        (128.0, 28.5),
        (126.0, 28.5),
    ),
    _drawn(
        "middle-shelf", "Middle shelf", (123.0, 28.5), (128.0, 28.5), (126.5, 27.0), (122.14, 27.0)
    ),
    _drawn(
        "southern-shelf",
        "Southern shelf",
        (122.14, 27.0),
        (126.5, 27.0),
        (122.5, 25.0),
        (121.0, 25.0),
    ),
    _drawn("yellow-sea", "Yellow Sea", (119.0, 37.5), (127.0, 37.5), (127.0, 33.0), (119.0, 33.0)),
)
"""The built-in regions."""


def region_masks(
    grid: Grid, ocean: np.ndarray, regions: Iterable[Region] = REGIONS
) -> dict[str, np.ndarray]:
    """Return the ocean cells of each region that has any on this grid.

    Parameters
    ----------
    grid
        The grid of the mask.
    ocean
        Boolean (n_lat, n_lon), True on ocean cells.
    regions
        The regions; by default the built-in ones.

    Returns
    -------
    dict
        Region name to boolean (n_lat, n_lon), in the order of `regions`.
    """
    masks = {region.name: region.contains(grid) & ocean for region in regions}
    return {name: mask for name, mask in masks.items() if mask.any()}


def check_on_grid(regions: Iterable[Region], grid: Grid, ocean: np.ndarray) -> None:
    """Check that every region but the built-in ones has an ocean cell of the grid.

    Parameters
    ----------
    regions
        The regions.
    grid
        The grid of the mask.
    ocean
        Boolean (n_lat, n_lon), True on ocean cells.

    Raises
    ------
    RegionOutsideGridError
        If one has none; all of them are listed.
    """
    own = [region for region in regions if region not in REGIONS]
    found = region_masks(grid, ocean, own)
    empty = [region for region in own if region.name not in found]
    if empty:
        raise RegionOutsideGridError(
            "Regions have no ocean cell of the grid.",
            found="; ".join(f"{region.name}, {_where(region, grid)}" for region in empty),
            expected=f"polygons with ocean cells of {grid.name}, {_span(*_ends(grid))}",
            remedy="Correct their polygons in the file that TIDENET_REGIONS names, or leave them "
            "out. Positions are [longitude, latitude], with longitudes as the grid counts them.",
        )


def _where(region: Region, grid: Grid) -> str:
    """Say where a polygon lies, and why it has no ocean cell."""
    west, south, east, north = region.bounds or _ends(grid)
    grid_west, grid_south, grid_east, grid_north = _ends(grid)
    if west >= grid_east or east <= grid_west or south >= grid_north or north <= grid_south:
        why = "outside the grid"
    elif region.contains(grid).any():
        why = "only land"
    else:
        why = "no cell centre inside"
    return f"{_span(west, south, east, north)} ({why})"


def _ends(grid: Grid) -> tuple[float, float, float, float]:
    lon, lat = grid.lon_bounds, grid.lat_bounds
    return float(lon[0, 0]), float(lat[0, 0]), float(lon[-1, 1]), float(lat[-1, 1])


def _span(west: float, south: float, east: float, north: float) -> str:
    return f"longitude {west:g} to {east:g}, latitude {south:g} to {north:g}"
