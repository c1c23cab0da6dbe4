"""The maps of an unknown file and the grid that they lie on, guessed from its coordinates."""

import json
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from ingest.container import LARGEST_AXIS, Container, RawVariable
from ingest.decoding import decoded
from ingest.errors import RefusedFileError
from ingest.orientation import to_grid
from storage.grid import GRIDS, Grid

_LATITUDE = (r"^lat(itude)?$|^nav_lat$|^y$", "degrees?_?n(orth)?$")
_LONGITUDE = (r"^lon(gitude)?$|^nav_lon$|^x$", "degrees?_?e(ast)?$")


@dataclass(frozen=True)
class GridGuess:
    """Where the maps of a file seem to lie.

    Parameters
    ----------
    maps
        The variables that are maps.
    dims
        Names of the dimensions of rows and columns.
    text
        The grid as a specification writes it.
    latitude, longitude
        Variables of the coordinates; None if there are none.
    rows
        Guessed order of the rows of a file without coordinates.
    doubts
        What a person has to look at.
    """

    maps: tuple[RawVariable, ...]
    dims: tuple[str, ...]
    text: str
    latitude: str | None = None
    longitude: str | None = None
    rows: str | None = None
    doubts: tuple[str, ...] = ()


def guess_grid(container: Container, name: str) -> GridGuess:
    """Return the maps of a file and their grid, called by a name if it has to be declared."""
    lat = _axis(container, "latitude", *_LATITUDE)
    lon = _axis(container, "longitude", *_LONGITUDE)
    if lat is None or lon is None:
        return _without_coordinates(container, name)
    dims = (lat.dims[0], lon.dims[0])
    maps = tuple(v for v in container.variables.values() if set(dims) <= set(v.dims))
    text, doubts = _declared(lat, lon, name)
    return GridGuess(maps, dims, text, lat.name, lon.name, None, doubts)


def _axis(container: Container, standard_name: str, names: str, units: str) -> RawVariable | None:
    axes = [v for v in container.variables.values() if len(v.dims) == 1 and v.size > 1]
    tests = (
        lambda v: v.attributes.get("standard_name") == standard_name,
        lambda v: re.search(names, v.name.lower()),
        lambda v: re.search(units, str(v.attributes.get("units", "")).lower().replace(" ", "_")),
    )
    return next((v for test in tests for v in axes if test(v)), None)


def _declared(lat: RawVariable, lon: RawVariable, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the grid of two coordinates: a known one by name, else declared."""
    try:
        axes = (decoded(axis, axis.values(most=LARGEST_AXIS)) for axis in (lat, lon))
        rows, columns = (np.sort(values.ravel()) for values in axes)
    except RefusedFileError as error:
        return _placeholder(name, lat.size, lon.size), (f"coordinates: {error.message}",)
    for known in GRIDS.values():
        if _lies_on(rows, columns, known):
            return known.name, ()
    grid = _fitted(rows, columns, name)
    if grid is None:
        doubt = "the coordinates are not evenly spaced: only regular grids are read"
        return _placeholder(name, rows.size, columns.size), (doubt,)
    return _in_yaml(grid), ()


def _fitted(rows: np.ndarray, columns: np.ndarray, name: str) -> Grid | None:
    """Return the regular grid of two axes, ascending; None if there is none."""
    if min(rows.size, columns.size) < 4 or not np.isfinite([*rows[:1], *rows[-1:]]).all():
        return None
    # A window across the meridian where longitudes begin again lies beyond the widest gap.
    gaps = np.diff(np.append(columns, columns[0] + 360.0))
    first = int(np.argmax(gaps)) + 1
    if 0 < first < columns.size and gaps.max() > 1.5 * float(np.median(gaps)):
        columns = np.concatenate([columns[first:], columns[:first] + 360.0])
    step = (rows[-1] - rows[0]) / (rows.size - 1)
    whole = round(1 / step) if 0 < step < 1 else 0
    if whole and abs(1 / step - whole) < 1e-3 * whole:
        step = 1 / whole
    step = step if whole else round(float(step), 6)
    if not 0 < step <= 10:
        return None
    south, west = round(rows[0] - step / 2, 4), round(columns[0] - step / 2, 4)
    grid = Grid(name, float(south), float(west), float(step), rows.size, columns.size)
    return grid if _lies_on(rows, columns, grid) and -181 <= west <= 360 else None


def _lies_on(rows: np.ndarray, columns: np.ndarray, grid: Grid) -> bool:
    if (rows.size, columns.size) != grid.shape:
        return False
    try:
        to_grid(np.broadcast_to(np.False_, grid.shape), rows, columns, grid)
    except RefusedFileError:
        return False
    return True


def _without_coordinates(container: Container, name: str) -> GridGuess:
    """Return the maps that most variables look like, on a grid that is known by its size only."""
    flat = [v for v in container.variables.values() if _is_map(v)]
    if not flat:
        return GridGuess((), (), _placeholder(name, 4, 4), doubts=("the file holds no map",))
    shape = Counter(_long(v) for v in flat).most_common(1)[0][0]
    maps = tuple(v for v in flat if _long(v) == shape)
    same = [grid.name for grid in GRIDS.values() if grid.shape == shape]
    doubt = "the file has no coordinates: these bounds are a guess from the size alone"
    text = same[0] if same else _placeholder(name, *shape)
    dims = tuple(d for d, n in zip(maps[0].dims, maps[0].shape, strict=True) if n > 1)
    return GridGuess(maps, dims, text, rows="north-first", doubts=(doubt,))


def _is_map(variable: RawVariable) -> bool:
    return len(_long(variable)) == 2 and min(_long(variable)) >= 4


def _long(variable: RawVariable) -> tuple[int, ...]:
    return tuple(length for length in variable.shape if length > 1)


def _placeholder(name: str, n_lat: int, n_lon: int) -> str:
    """Return a grid of a size: the globe where the shape is the globe's, else from 0 N, 0 E."""
    n_lat, n_lon = max(n_lat, 4), max(n_lon, 4)
    if n_lon == 2 * n_lat:
        return _in_yaml(Grid(name, -90.0, -180.0, 180.0 / n_lat, n_lat, n_lon))
    step = min(1.0, 90.0 / n_lat, 360.0 / n_lon)
    return _in_yaml(Grid(name, 0.0, 0.0, round(step, 6), n_lat, n_lon))


def _in_yaml(grid: Grid) -> str:
    return (
        f"{{name: {json.dumps(grid.name)}, south: {grid.south:g}, west: {grid.west:g}, "
        f"step: {grid.step!r}, n_lat: {grid.n_lat}, n_lon: {grid.n_lon}}}"
    )
