"""Regions and archive cells: what predictions, observations and scores refer to."""

from collections.abc import Iterable, Sequence

import numpy as np
from sqlalchemy import Connection, Engine, select

from storage import tables as t
from storage.database import on_conflict_do_nothing, reading
from storage.errors import TidenetError
from storage.grid import Grid
from storage.regions import REGIONS, Region


class DimensionChangedError(TidenetError):
    """A region or archive cell is known to the archive with another shape or area."""


class UnknownRegionError(TidenetError):
    """A region was asked for that the archive does not hold."""


def region_names(engine: Engine) -> tuple[str, ...]:
    """Return the names of all regions in the archive, sorted."""
    with reading(engine) as connection:
        return tuple(connection.execute(select(t.Region.name).order_by(t.Region.name)).scalars())


def require_region(engine: Engine, name: str) -> None:
    """Raise UnknownRegionError, listing those that there are, unless there is such a region.

    The built-in ones may be asked for before anything was forecast.
    """
    known = sorted({*region_names(engine), *(region.name for region in REGIONS)})
    if name not in known:
        raise UnknownRegionError(
            "The archive holds no region of this name.",
            found=repr(name),
            expected=", ".join(known),
            remedy="Choose one of these, or draw it in the file that TIDENET_REGIONS names.",
        )


def add_regions(connection: Connection, regions: Iterable[Region]) -> None:
    """Add the regions that the archive does not know yet.

    Raises
    ------
    DimensionChangedError
        If it knows one of them with another shape.
    """
    rows = []
    for region in regions:
        west, south, east, north = region.bounds or (None, None, None, None)
        rows.append(
            {
                "name": region.name,
                "title": region.title,
                "definition": region.definition,
                "west": west,
                "south": south,
                "east": east,
                "north": north,
            }
        )
    if not rows:
        return
    connection.execute(on_conflict_do_nothing(connection, t.Region), rows)
    known = connection.execute(select(t.Region.name, t.Region.definition))
    archived = {name: definition for name, definition in known}
    changed = [str(row["name"]) for row in rows if archived[row["name"]] != row["definition"]]
    if changed:
        raise DimensionChangedError(
            "Regions are in the archive with another shape.",
            found=", ".join(changed),
            remedy="Give a region that is drawn anew a new name: its rows mean something else.",
        )


def add_cells(
    connection: Connection, grid: Grid, index: Sequence[int] | np.ndarray, area_m2: np.ndarray
) -> np.ndarray:
    """Return the keys of archive cells (n_cells,), adding those that are new.

    Parameters
    ----------
    connection
        The open transaction.
    grid
        The archive grid.
    index
        Row-major positions on it (n_cells,).
    area_m2
        Ocean area of each (n_cells,), m2.

    Raises
    ------
    DimensionChangedError
        If the archive knows one of them with another ocean area.
    """
    positions = np.asarray(index, dtype=int)
    area = np.asarray(area_m2, dtype=float)
    known = _known_cells(connection, grid.name)
    new = [i for i, cell in enumerate(positions.tolist()) if cell not in known]
    if new:
        row, column = np.divmod(positions, grid.n_lon)
        connection.execute(
            on_conflict_do_nothing(connection, t.Cell),
            [
                {
                    "grid": grid.name,
                    "cell_index": int(positions[i]),
                    "lat": float(grid.lat[row[i]]),
                    "lon": float(grid.lon[column[i]]),
                    "area_m2": float(area[i]),
                }
                for i in new
            ],
        )
        known = _known_cells(connection, grid.name)
    found = np.array([known[cell] for cell in positions.tolist()], dtype=float).reshape(-1, 2)
    changed = ~np.isclose(found[:, 1], area, rtol=1e-5)
    if changed.any():
        raise DimensionChangedError(
            f"Cells of the archive grid {grid.name} are archived with another ocean area.",
            found=f"{np.count_nonzero(changed)} of {len(positions)} cells differ",
            remedy="Archive a record with another ocean mask in a database of its own.",
        )
    return found[:, 0].astype(int)


def _known_cells(connection: Connection, grid: str) -> dict[int, tuple[int, float]]:
    query = select(t.Cell.cell_index, t.Cell.id, t.Cell.area_m2).where(t.Cell.grid == grid)
    return {index: (key, area) for index, key, area in connection.execute(query)}
