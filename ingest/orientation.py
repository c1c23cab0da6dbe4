"""Bringing a map to the record's orientation, or refusing it where its grid is another one."""

import numpy as np

from ingest.errors import GridMismatchError
from storage.grid import Grid

# How far a coordinate may be off, in cells: single precision keeps 0.01 degree to about 0.001.
_TOLERANCE = 0.01


def to_grid(values: np.ndarray, lat: np.ndarray, lon: np.ndarray, grid: Grid) -> np.ndarray:
    """Return a map on a grid: rows south to north, columns west to east from the grid's first.

    Rows are flipped and longitudes wrapped by whole turns where the coordinates say so. Nothing is
    interpolated.

    Parameters
    ----------
    values
        (lat, lon) in the file's order.
    lat, lon
        The file's cell centres, degrees.
    grid
        The grid that they must be.

    Raises
    ------
    GridMismatchError
        If the coordinates are not the grid's; the message says how they differ.
    """
    lat, lon = np.asarray(lat, np.float64).ravel(), np.asarray(lon, np.float64).ravel()
    wrapped = grid.lon[0] - grid.step / 2 + (lon - grid.lon[0] + grid.step / 2) % 360
    if values.shape == grid.shape and np.isfinite(lat).all() and np.isfinite(wrapped).all():
        rows, columns = np.argsort(lat), np.argsort(wrapped)
        if _same(lat[rows], grid.lat, grid) and _same(wrapped[columns], grid.lon, grid):
            return values[np.ix_(rows, columns)]
    raise GridMismatchError(
        f"The file is not on the grid {grid.name}.",
        found=f"{values.shape[0]} x {values.shape[1]} cells, {_span(lat, 'N')}, {_span(lon, 'E')}",
        expected=f"{grid.n_lat} x {grid.n_lon} cells, {_span(grid.lat, 'N')}, "
        f"{_span(grid.lon, 'E')}",
        remedy="Name the right grid in the specification, or ask the provider for the usual one.",
    )


def implied_on_grid(values: np.ndarray, grid: Grid, *, north_first: bool, name: str) -> np.ndarray:
    """Return a map without coordinates on the grid whose bounds and row order are declared.

    Parameters
    ----------
    values
        (lat, lon) in the file's order, columns from the west.
    grid
        The declared grid.
    north_first
        Whether the first row is the northernmost.
    name
        The variable, for messages.

    Raises
    ------
    GridMismatchError
        If it has another number of rows or columns.
    """
    if values.shape != grid.shape:
        raise GridMismatchError(
            f"The variable {name} has another shape than the grid {grid.name}.",
            found=f"{values.shape[0]} x {values.shape[1]} cells, without coordinates",
            expected=f"{grid.n_lat} x {grid.n_lon} cells",
            remedy="Declare the bounds of the file's own grid in the product specification.",
        )
    return values[::-1] if north_first else values


def _same(found: np.ndarray, expected: np.ndarray, grid: Grid) -> bool:
    return bool(np.abs(found - expected).max() <= _TOLERANCE * grid.step)


def _span(values: np.ndarray, direction: str) -> str:
    finite = values[np.isfinite(values)]
    if finite.size < 2:
        return f"{finite.size} usable coordinates ({direction})"
    step = (finite[-1] - finite[0]) / (len(finite) - 1)
    return f"{finite[0]:.4f} to {finite[-1]:.4f} {direction} by {step:.4f}"
