"""Reading a product file into one month of flux on the product's grid.

Nothing is guessed. Missing values, packing, units, direction, time and coordinates are decoded as
the file and the specification say, and refused with a named error where the two disagree.
"""

import datetime as dt
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingest.errors import (
    EmptyMonthError,
    FutureMonthError,
    InvalidEncodingError,
    InvalidTimeError,
    ManyTimesError,
    SignError,
    TimeMismatchError,
    UnreadableFileError,
    VariableNotFoundError,
    ZeroMonthError,
)
from ingest.orientation import to_grid
from ingest.specification import ProductSpecification
from ingest.units import to_canonical
from storage.grid import Grid
from storage.months import Month, month

if TYPE_CHECKING:
    import xarray as xr

_LARGEST_CELLS = 50_000_000
_KINDS = {
    b"CDF\x01": "a NetCDF-3 file",
    b"CDF\x02": "a NetCDF-3 file",
    b"CDF\x05": "a NetCDF-3 file",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"GRIB": "a GRIB file",
    b"%PDF": "a PDF document",
}


@dataclass(frozen=True)
class ProductMonth:
    """One month as a provider delivered it, in the record's units, sign and orientation.

    Parameters
    ----------
    month
        The month.
    grid
        The product's grid.
    fco2
        float32 (lat, lon), mmol m-2 d-1, positive out of the sea; NaN where not observed.
    uncertainty
        float32 (lat, lon), one standard deviation, mmol m-2 d-1; NaN where unknown.
    ocean
        Boolean (lat, lon) from the file's mask variable; None if the product has none.
    variable, units
        What the flux was called, and its units in the file.
    """

    month: Month
    grid: Grid
    fco2: np.ndarray
    uncertainty: np.ndarray
    ocean: np.ndarray | None
    variable: str
    units: str


def read_product_file(
    path: Path, specification: ProductSpecification, *, file_name: str, now: dt.datetime
) -> ProductMonth:
    """Read and decode a product file.

    Parameters
    ----------
    path
        The file on the local disk.
    specification
        What to expect in it.
    file_name
        The provider's name of the file: it says the month.
    now
        The present moment; a month that has not begun yet is refused.

    Raises
    ------
    RefusedFileError
        One of its subclasses, each named after what is wrong (see `ingest.errors`).
    """
    with warnings.catch_warnings():
        # What the decoder warns of is checked below, and refused by name.
        warnings.simplefilter("ignore")
        dataset = _open(path)
        with dataset:
            try:
                return _decode(dataset, specification, file_name, now)
            except (OSError, RuntimeError) as error:  # damage that shows when values are read
                raise _unreadable(path, error) from error


def _decode(
    dataset: "xr.Dataset", specification: ProductSpecification, file_name: str, now: dt.datetime
) -> ProductMonth:
    wanted = _month(dataset, specification, file_name, now)
    name = _first_present(dataset, specification.variables, "flux")
    variable = dataset[name]
    _refuse_contradicting_direction(variable, specification)
    units = variable.attrs.get("units") or specification.units_if_missing
    factor = to_canonical(units)
    sign = 1.0 if specification.positive == "up" else -1.0
    values, ocean = _on_grid(dataset, name, specification)
    fco2 = (values * (factor * sign)).astype(np.float32)
    _refuse_nothing(fco2, name)
    uncertainty = np.full_like(fco2, np.nan)
    present = [n for n in specification.uncertainty_variables if n in dataset.variables]
    if present:
        errors, _ = _on_grid(dataset, present[0], specification)
        uncertainty = np.abs(errors * to_canonical(dataset[present[0]].attrs.get("units")))
    return ProductMonth(
        month=wanted,
        grid=specification.target_grid,
        fco2=fco2,
        uncertainty=uncertainty.astype(np.float32),
        ocean=ocean,
        variable=name,
        units=str(units),
    )


# --- the file -------------------------------------------------------------------------------------


def _open(path: Path) -> "xr.Dataset":
    """Open a NetCDF-4 file without any decoding."""
    import xarray as xr

    try:
        return xr.open_dataset(path, engine="h5netcdf", decode_cf=False, cache=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UnreadableFileError:
    head = path.read_bytes()[:512] if path.exists() else b""
    size = path.stat().st_size if path.exists() else 0
    return UnreadableFileError(
        f"{path.name} cannot be read.",
        found=f"{_looks_like(head)}, {size} bytes ({_one_line(error)})",
        expected="a whole NetCDF-4 file",
        remedy="Fetch it again; if it is the same, ask the provider.",
    )


def _looks_like(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "a NetCDF-4 (HDF5) file that is damaged or cut off"
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            return kind
    if re.match(rb"\s*(<!doctype html|<html|<\?xml)", head, re.IGNORECASE):
        return "a web page, as servers send it instead of a file (a login or an error)"
    return f"bytes that begin with {head[:8]!r}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


# --- what it holds --------------------------------------------------------------------------------


def _first_present(dataset: "xr.Dataset", names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in dataset.variables:
            return name
    held = ", ".join(f"{name}{dataset[name].dims}" for name in map(str, dataset.variables))
    raise VariableNotFoundError(
        f"The {what} variable is not in the file.",
        found=held or "no variables",
        expected=f"one of {', '.join(names)}",
        remedy="If the flux has another name, add it to the product specification.",
    )


def _refuse_contradicting_direction(
    variable: "xr.DataArray", specification: ProductSpecification
) -> None:
    said = " ".join(
        str(variable.attrs.get(key, "")) for key in ("standard_name", "long_name", "positive")
    ).lower()
    down = bool(re.search(r"downward|positive (into|in) the|positive down|\bdown\b", said))
    up = bool(re.search(r"upward|positive out|positive up|\bup\b", said))
    if (specification.positive == "up" and down) or (specification.positive == "down" and up):
        raise SignError(
            "The file and the specification say opposite directions of the flux.",
            found=f"{said.strip()!r}",
            expected=f"positive {specification.positive}",
            remedy="Correct 'positive' in the specification if the provider's words are right.",
        )


def _decoded(variable: "xr.DataArray", specification: ProductSpecification) -> np.ndarray:
    """Return a variable as float64 with NaN where it is missing, packing undone."""
    raw = variable.values
    if raw.dtype.kind not in "fiu":
        raise InvalidEncodingError(
            f"The variable {variable.name} holds no numbers.",
            found=f"type {raw.dtype}",
            expected="floating point or integers",
            remedy="Name the right variable in the product specification.",
        )
    attributes = variable.attrs
    missing = np.zeros(raw.shape, dtype=bool)
    for key in ("_FillValue", "missing_value"):
        for fill in np.atleast_1d(attributes.get(key, [])):
            missing |= raw == np.asarray(fill).astype(raw.dtype)
    scale = _number(variable, "scale_factor", 1.0)
    offset = _number(variable, "add_offset", 0.0)
    values = raw.astype(np.float64) * scale + offset
    for fill in specification.fill_values:
        missing |= (raw == fill) | (values == fill)
    values[missing | ~np.isfinite(values)] = np.nan
    return values


def _number(variable: "xr.DataArray", key: str, default: float) -> float:
    value = np.asarray(variable.attrs.get(key, default))
    ok = value.size == 1 and value.dtype.kind in "fiu" and np.isfinite(value).all()
    if not ok or (key == "scale_factor" and float(value.ravel()[0]) == 0):
        raise InvalidEncodingError(
            f"The {key} of {variable.name} is not usable.",
            found=repr(variable.attrs.get(key)),
            expected="one number that is not zero" if key == "scale_factor" else "one number",
            remedy="Ask the provider for a correct file.",
        )
    return float(value.ravel()[0])


def _on_grid(
    dataset: "xr.Dataset", name: str, specification: ProductSpecification
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a decoded variable, and the file's ocean mask, on the product's grid."""
    lat_name = _first_present(dataset, specification.latitude, "latitude")
    lon_name = _first_present(dataset, specification.longitude, "longitude")
    lat, lon = (_decoded(dataset[n], specification) for n in (lat_name, lon_name))

    def field(variable: str) -> np.ndarray:
        array = dataset[variable]
        if array.size > _LARGEST_CELLS:
            raise InvalidEncodingError(
                f"The variable {variable} claims to be far larger than a month can be.",
                found=f"shape {array.shape}",
                expected=f"shape {specification.target_grid.shape}",
                remedy="Ask the provider for a correct file.",
            )
        plane = _plane(array, dataset[lat_name].dims, dataset[lon_name].dims)
        return to_grid(_decoded(plane, specification), lat, lon, specification.target_grid)

    mask = specification.mask.variable
    ocean = None
    if mask is not None:
        ocean = np.nan_to_num(field(_first_present(dataset, (mask,), "ocean mask"))) != 0
    return field(name), ocean


def _plane(
    array: "xr.DataArray", lat_dims: tuple[object, ...], lon_dims: tuple[object, ...]
) -> "xr.DataArray":
    """Return a variable as (lat, lon): single times and depths dropped, axes in order."""
    if len(lat_dims) != 1 or len(lon_dims) != 1 or lat_dims == lon_dims:
        raise InvalidEncodingError(
            "Latitude and longitude are not the two axes of a regular grid.",
            found=f"latitude over {lat_dims}, longitude over {lon_dims}",
            expected="one dimension each",
            remedy="This product needs regridding before it can be ingested.",
        )
    order = (lat_dims[0], lon_dims[0])
    others = [dim for dim in array.dims if dim not in order]
    if any(array.sizes[dim] != 1 for dim in others) or not set(order) <= set(array.dims):
        raise InvalidEncodingError(
            f"The variable {array.name} is not one map.",
            found=f"dimensions {dict(array.sizes)}",
            expected=f"{order[0]} and {order[1]}, and no other of more than one step",
            remedy="Deliver one month a file, on the declared grid.",
        )
    return array.isel({dim: 0 for dim in others}).transpose(*order)


def _refuse_nothing(fco2: np.ndarray, name: str) -> None:
    finite = fco2[np.isfinite(fco2)]
    if finite.size == 0:
        raise EmptyMonthError(
            "The month is empty.",
            found=f"no value in {name}",
            expected="values on ocean cells",
            remedy="Fetch the file again later; the provider may not have finished it.",
        )
    if not finite.any():
        raise ZeroMonthError(
            "The month is all zeros.",
            found=f"{finite.size} zeros in {name}",
            expected="flux that differs from place to place",
            remedy="Ask the provider: missing data were filled with zeros.",
        )


# --- when -----------------------------------------------------------------------------------------


def _month(
    dataset: "xr.Dataset", specification: ProductSpecification, file_name: str, now: dt.datetime
) -> Month:
    named = specification.month_of(file_name)
    stated = None if specification.time == "name" else _stated_month(dataset)
    if named is None and stated is None:
        raise InvalidTimeError(
            "Nothing says which month this is.",
            found=file_name,
            expected=specification.file_pattern,
            remedy="Give the file the name that the specification expects.",
        )
    if specification.time == "both" and named is not None and stated != named:
        raise TimeMismatchError(
            "The file's name and its time variable disagree.",
            found=f"name {named}, time {stated}",
            expected="the same month in both",
            remedy="Ask the provider which one is right.",
        )
    wanted = stated if specification.time == "variable" or named is None else named
    assert wanted is not None
    if wanted > month(now.date()):
        raise FutureMonthError(
            f"{wanted} has not begun yet.",
            found=str(wanted),
            expected=f"a month up to {month(now.date())}",
            remedy="Check the year in the file's name, and this machine's clock.",
        )
    return wanted


def _stated_month(dataset: "xr.Dataset") -> Month:
    import xarray as xr

    if "time" not in dataset.variables:
        raise InvalidTimeError(
            "The file has no time variable.",
            found=", ".join(map(str, dataset.variables)),
            expected="time",
            remedy="If the name alone says the month, write 'time: name' in the specification.",
        )
    time = dataset["time"]
    if time.size != 1:
        raise ManyTimesError(
            "The file does not hold exactly one month.",
            found=f"{time.size} times",
            expected="1",
            remedy="Split it into one file a month.",
        )
    try:
        decoded = xr.decode_cf(dataset[["time"]])["time"].values.ravel()[0]
        return month(
            np.datetime64(decoded.isoformat() if hasattr(decoded, "isoformat") else decoded)
        )
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise InvalidTimeError(
            "The time variable cannot be understood.",
            found=f"{time.values.ravel()[0]!r} in {time.attrs.get('units')!r}",
            expected="a number of days or hours since a date, with its units",
            remedy="Ask the provider, or write 'time: name' in the specification.",
        ) from error
