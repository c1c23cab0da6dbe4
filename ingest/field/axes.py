"""Which dimensions of a variable are time, latitude and longitude, and where its cells lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from ingest.container import Container, RawVariable
from ingest.decoding import decoded
from ingest.errors import RefusedFileError
from ingest.field.errors import FieldAxesError, FieldVariableError
from ingest.field.grid import FieldGrid

TIME_NAMES = ("time", "t", "month", "months", "date", "time_counter", "ntime", "yyyymm")
LAT_NAMES = ("lat", "latitude", "y", "nav_lat", "nlat", "lats", "j", "yt_ocean", "rlat", "yh")
LON_NAMES = ("lon", "longitude", "x", "nav_lon", "nlon", "lons", "i", "xt_ocean", "rlon", "xh")
_LAT_UNITS = ("degrees_north", "degree_north", "degrees_n", "degreesn", "degree_n")
_LON_UNITS = ("degrees_east", "degree_east", "degrees_e", "degreese", "degree_e")
_LAT_2D = ("nav_lat", "lat", "latitude", "tlat", "geolat", "xlat", "lat_rho", "gphit")
_LON_2D = ("nav_lon", "lon", "longitude", "tlon", "geolon", "xlong", "lon_rho", "glamt")


@dataclass(frozen=True)
class FieldAxes:
    """How the map of a month is taken from a variable.

    Parameters
    ----------
    time, lat, lon
        Positions of these dimensions in the variable. Others have one step.
    grid
        Where the cells lie, in the order of ``rows`` and ``columns``.
    rows, columns
        Positions in the file, south to north and west to east; repeated columns are left out.
    notes
        What was found that a person should know.
    """

    time: int
    lat: int
    lon: int
    grid: FieldGrid
    rows: np.ndarray
    columns: np.ndarray
    notes: tuple[str, ...] = field(default=())

    def turned(self, values: np.ndarray) -> np.ndarray:
        """Return values in the variable's order as (time, lat, lon) on the grid."""
        others = [n for n in range(values.ndim) if n not in (self.time, self.lat, self.lon)]
        ordered = np.transpose(values, [*others, self.time, self.lat, self.lon])
        ordered = ordered.reshape(ordered.shape[-3:])
        return ordered[:, self.rows[:, None], self.columns[None, :]]


def chosen_variable(container: Container, name: str | None) -> RawVariable:
    """Return the variable to read: the one named, or the only field that there is.

    Raises
    ------
    FieldVariableError
        If it is not there, is no field, or several are and none is named.
    """
    fields = _fields(container)
    if name is None and len(fields) == 1:
        return container.variables[fields[0]]
    maps = (f"{v.name}: {_sizes(v)}" for v in container.variables.values() if len(v.shape) > 1)
    shown = ", ".join(fields) or "; ".join(["none", *islice(maps, 5)])
    if name is None:
        raise FieldVariableError(
            "It is not clear which variable to read.",
            found=f"variables with time, latitude and longitude: {shown}",
            expected="one",
            remedy="Name it: --variable NAME."
            if fields
            else "Give a file with a variable (time, lat, lon).",
        )
    close = [n for n in container.variables if n == name or n.rsplit("/", 1)[-1] == name]
    if len(close) != 1:
        raise FieldVariableError(
            f"There is no variable {name}.",
            found=f"variables with time, latitude and longitude: {shown}",
            expected=name,
            remedy="Name one of these: --variable NAME.",
        )
    variable = container.variables[close[0]]
    if variable.dtype.kind not in "fiu" or len(variable.shape) < 3:
        raise FieldVariableError(
            f"The variable {name} is no field.",
            found=f"type {variable.dtype}, dimensions {_sizes(variable)}",
            expected="numbers with time, latitude and longitude",
            remedy=f"Name another one: {shown}.",
        )
    return variable


def field_axes(container: Container, variable: RawVariable) -> FieldAxes:
    """Return the roles of a variable's dimensions and its grid.

    Raises
    ------
    FieldAxesError
        If they are not time, latitude and longitude; the message says what they are.
    """
    time, lat, lon = _roles(container, variable)
    if variable.size == 0:
        raise FieldAxesError(
            f"{variable.name} holds no values.",
            found=_sizes(variable),
            expected="months, rows and columns",
            remedy="Give a file that was written to its end.",
        )
    names = variable.dims[lat], variable.dims[lon]
    shape = variable.shape[lat], variable.shape[lon]
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    try:
        centres = _centres(container, names)
    except RefusedFileError as error:
        raise FieldAxesError(
            "Latitude or longitude cannot be read.", found=str(error), remedy="Correct the file."
        ) from error
    if centres is None:
        note = "no latitudes and longitudes: all cells count alike, rows as they lie in the file"
        grid = FieldGrid.nowhere(variable.name, *shape)
        return FieldAxes(time, lat, lon, grid, rows, columns, (note,))
    lats, lons = centres
    _require_coordinates(lats, names[0])
    _require_coordinates(lons, names[1])
    if np.abs(lats).max() > 90.01 or np.abs(lons).max() > 720.01:
        note = "coordinates are no degrees: all cells count alike"
        rows = rows if lats[0] <= lats[-1] else rows[::-1]
        grid = FieldGrid.nowhere(variable.name, *shape)
        return FieldAxes(time, lat, lon, grid, rows, columns, (note,))
    rows = np.argsort(lats, kind="stable")
    _require_apart(lats[rows], names[0])
    columns, lons = _round_the_globe(lons)
    _require_apart(lons, names[1])
    notes = []
    if len(columns) < shape[1]:
        notes.append(f"{shape[1] - len(columns)} repeated longitudes left out")
    if lons[0] < 180 <= lons[-1] or lons[-1] - lons[0] > 350:
        notes.append(f"longitudes put in order from {lons[0]:g} to {lons[-1]:g} E")
    grid = FieldGrid.around(variable.name, lats[rows], lons)
    return FieldAxes(time, lat, lon, grid, rows, columns, tuple(notes))


def _fields(container: Container) -> list[str]:
    """Return the variables that may be meant: of three long dimensions, or else of three at all."""
    numbers = [
        v
        for v in container.variables.values()
        if v.dtype.kind in "fiu"
        and len(v.shape) >= 3
        and not v.name.lower().endswith(("_bnds", "_bounds", "_vertices"))
        and _said_role(v.attributes) not in ("time", "lat", "lon")
    ]
    timed = [v for v in numbers if any(_plays(container, dim, "time") for dim in v.dims)]
    numbers = timed or numbers
    long = [v.name for v in numbers if sum(size > 1 for size in v.shape) == 3]
    return long or [v.name for v in numbers if sum(size > 1 for size in v.shape) < 3]


def _roles(container: Container, variable: RawVariable) -> tuple[int, int, int]:
    """Return the positions of time, latitude and longitude."""
    found: dict[str, int] = {}
    for role in ("time", "lat", "lon"):
        for position, dim in enumerate(variable.dims):
            is_free = position not in found.values()
            if is_free and role not in found and _plays(container, dim, role):
                found[role] = position
    left = [n for n, size in enumerate(variable.shape) if n not in found.values() and size > 1]
    missing = [role for role in ("time", "lat", "lon") if role not in found]
    # What has no telling name is taken in the usual order, if nothing else is left over.
    if len(left) == len(missing):
        found |= dict(zip(missing, left, strict=True))
        left = []
    if left or len(found) < 3:
        extra = [f"{variable.dims[n]} ({variable.shape[n]})" for n in left]
        raise FieldAxesError(
            f"The dimensions of {variable.name} are not time, latitude and longitude.",
            found=_sizes(variable)
            + (f"; what {', '.join(extra)} is for is not clear" if extra else ""),
            expected="(time, lat, lon); others with one step only",
            remedy="Choose one level or member first (ncks -d depth,0, or xarray's isel).",
        )
    return found["time"], found["lat"], found["lon"]


def _plays(container: Container, dim: str, role: str) -> bool:
    """Return whether a dimension's coordinate or name says that it plays a role."""
    short = dim.rsplit("/", 1)[-1].lower()
    coordinate = container.variables.get(dim)
    if coordinate is not None and (said := _said_role(coordinate.attributes)):
        return said == role
    names = {"time": TIME_NAMES, "lat": LAT_NAMES, "lon": LON_NAMES}[role]
    return short in names


def _said_role(attributes: Mapping[str, object]) -> str | None:
    """Return the role that a coordinate's attributes say it has."""
    try:
        said = {k: str(attributes.get(k, "")).strip().lower() for k in _TELLING}
    except RefusedFileError:
        return None
    if said["standard_name"] == "latitude" or said["units"] in _LAT_UNITS or said["axis"] == "y":
        return "lat"
    if said["standard_name"] == "longitude" or said["units"] in _LON_UNITS or said["axis"] == "x":
        return "lon"
    if said["standard_name"] == "time" or " since " in said["units"] or said["axis"] == "t":
        return "time"
    return "other" if said["axis"] == "z" or said["positive"] in ("up", "down") else None


_TELLING = ("standard_name", "units", "axis", "positive")


def _centres(container: Container, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return latitudes and longitudes of the cells' centres; None if nothing says them."""
    pair = []
    for dim, known, role in zip(names, (_LAT_2D, _LON_2D), ("lat", "lon"), strict=True):
        along = [
            v for v in container.variables.values() if v.dims == (dim,) and v.dtype.kind in "fiu"
        ]
        named = [v for v in along if _last(v) == _short(dim) or _last(v) in known]
        told = [v for v in along if _said_role(v.attributes) == role]
        best = told or named
        pair.append(best[0] if best else None)
    if pair[0] is not None and pair[1] is not None:
        return _values(pair[0]), _values(pair[1])
    return _from_maps(container, names)


def _from_maps(
    container: Container, names: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return coordinates that are given as maps, where rows and columns are straight."""
    maps: dict[str, RawVariable] = {}
    for variable in container.variables.values():
        if sorted(variable.dims[-2:]) != sorted(names) or variable.size > 50_000_000:
            continue
        role = _said_role(variable.attributes)
        if role == "lat" or _last(variable) in _LAT_2D:
            maps.setdefault("lat", variable)
        elif role == "lon" or _last(variable) in _LON_2D:
            maps.setdefault("lon", variable)
    if len(maps) < 2:
        return None
    lat, lon = (_map(maps[role], names) for role in ("lat", "lon"))
    lon = np.rad2deg(np.unwrap(np.deg2rad(lon), axis=1))
    rows, columns = np.nanmean(lat, axis=1), np.nanmean(lon, axis=0)
    height = np.median(np.abs(np.diff(rows))) if len(rows) > 1 else 1.0
    width = np.median(np.abs(np.diff(columns))) if len(columns) > 1 else 1.0
    off = np.nanmax(np.abs(lat - rows[:, None])) / height, np.nanmax(np.abs(lon - columns)) / width
    if max(off) > 0.25:
        raise FieldAxesError(
            "The grid is not one of straight rows and columns.",
            found=f"latitudes that differ within a row by {2 * off[0]:.1f} rows, longitudes within "
            f"a column by {2 * off[1]:.1f} columns",
            expected="one latitude for each row and one longitude for each column",
            remedy="Bring it to a lat-lon grid first (cdo remapbil, or xesmf).",
        )
    return rows, columns


def _map(variable: RawVariable, names: tuple[str, str]) -> np.ndarray:
    values = _values(variable)
    values = values.reshape(-1, *values.shape[-2:])[0]
    return values if variable.dims[-2] == names[0] else values.T


def _values(variable: RawVariable) -> np.ndarray:
    return decoded(variable, variable.values())


def _last(variable: RawVariable) -> str:
    return _short(variable.name)


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1].lower()


def _require_coordinates(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        raise FieldAxesError(
            f"Coordinates along {name} are missing.",
            found=f"{int(np.count_nonzero(~np.isfinite(values)))} of {len(values)} without a value",
            expected="a number for each",
            remedy="Correct the file.",
        )


def _require_apart(values: np.ndarray, name: str) -> None:
    if len(values) > 1 and (np.diff(values) <= 0).any():
        same = values[1:][np.diff(values) <= 0][0]
        raise FieldAxesError(
            f"Coordinates along {name} are repeated.",
            found=f"{same:g} more than once",
            expected="each coordinate once",
            remedy="Correct the file.",
        )


def _round_the_globe(lons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an order from west to east, and the longitudes rising in it.

    The sequence starts behind the widest gap, so that a sea on both sides of the date line, or of
    Greenwich, stays in one piece. Longitudes that are the same but for whole turns are taken once.
    """
    turned = np.round(lons % 360, 6) % 360
    order = np.argsort(turned, kind="stable")
    values = turned[order]
    fresh = np.concatenate([[True], np.diff(values) > 1e-5])
    order, values = order[fresh], values[fresh]
    if len(values) < 2:
        return order, lons[order]
    gaps = np.diff(np.concatenate([values, [values[0] + 360]]))
    # Of equal gaps, as all round the globe, the one where the file itself begins.
    widest = np.flatnonzero(gaps > gaps.max() - 1e-3)
    starts = (widest + 1) % len(values)
    first = next((s for s in starts if order[s] == 0), starts[0])
    order, values = np.roll(order, -first), np.roll(values, -first)
    rising = np.where(np.arange(len(values)) >= len(values) - first, values + 360, values)
    offset = 360 * np.round((lons[order[0]] - rising[0]) / 360)
    if rising[0] + offset < -180 - 1e-6 or rising[-1] + offset > 540:
        offset = 0.0
    return order, rising + offset


def _sizes(variable: RawVariable) -> str:
    pairs: Sequence[str] = [
        f"{dim} ({size})" for dim, size in zip(variable.dims, variable.shape, strict=True)
    ]
    return ", ".join(pairs) or "none"
