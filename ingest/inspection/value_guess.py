"""What the values and the words of an unknown file's variable seem to mean."""

import re

import numpy as np

from ingest.container import RawVariable
from ingest.decoding import decoded
from ingest.errors import RefusedFileError
from ingest.inspection.grid_guess import GridGuess
from ingest.quantities import QUANTITIES
from ingest.units import conversion

# Numbers that providers write for "nothing here".
_USUAL_FILLS = (-9999.0, -999.0, -99.0, -32767.0, -32768.0, 9999.0, 99999.0, 32767.0, 1e20, 1e30)
_MOST_FILLS = 3


def guess_fills(variable: RawVariable, quantity: str, grid: GridGuess) -> list[float]:
    """Return values of a map that seem to mean missing though the file does not say so.

    Those are its lowest or highest values, where they repeat and are impossible for the quantity,
    or usual as fills.
    """
    try:
        values = decoded(variable, _one_map(variable, grid))
    except RefusedFileError:
        return []
    known = QUANTITIES[quantity]
    try:
        convert = conversion(str(variable.attributes.get("units", known.units)), quantity)
    except RefusedFileError:
        convert = conversion(known.units, quantity)
    finite = values[np.isfinite(values)]
    fills: list[float] = []
    while finite.size and len(fills) < _MOST_FILLS:
        for extreme in (float(finite.min()), float(finite.max())):
            same = finite == extreme
            possible = known.low <= float(convert(np.array(extreme))) <= known.high
            usual = any(np.isclose(extreme, fill, rtol=1e-6) for fill in _USUAL_FILLS)
            if int(same.sum()) > 1 and (usual or not possible):
                fills.append(extreme)
                finite = finite[~same]
                break
        else:
            break
    return fills


def said_direction(variable: RawVariable) -> tuple[str, str]:
    """Return which direction a flux is positive in (``up``, ``down``), and what is unsure of it."""
    keys = ("standard_name", "long_name", "positive")
    said = " ".join(str(variable.attributes.get(key, "")) for key in keys).lower()
    down = bool(re.search(r"downward|into (the )?(sea|ocean)|positive down|\bdown\b", said))
    up = bool(re.search(r"upward|out of (the )?(sea|ocean)|positive up|\bup\b", said))
    if up == down:
        return "up", "the file does not say whether up is out of the sea; down is into it"
    return ("up" if up else "down"), ""


def _one_map(variable: RawVariable, grid: GridGuess) -> np.ndarray:
    """Return the first map of a variable; without coordinates, every long dimension is of it."""
    sizes = zip(variable.dims, variable.shape, strict=True)
    whole = (n > 1 if grid.rows is not None else dim in grid.dims for dim, n in sizes)
    return variable.values(tuple(slice(None) if kept else 0 for kept in whole))
