"""A small foreign sea, and the odd ways in which its monthly maps are written to files."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ingest.field.reading import FieldRequest, MonthlyField, read_field
from storage.months import month

LAT, LON = np.arange(30.5, 38.5), np.arange(140.5, 150.5)
N_MONTHS = 60
FIRST = np.datetime64("2001-01", "M")
UNTIL = month("2004-06")


def ocean() -> np.ndarray:
    """Return the ocean cells (lat, lon): a coast without symmetry."""
    sea = np.ones((len(LAT), len(LON)), dtype=bool)
    sea[:3, :2] = False
    sea[7, 4:6] = False
    return sea


def sea(n_months: int = N_MONTHS, seed: int = 0) -> np.ndarray:
    """Return monthly maps (time, lat, lon), NaN on land: a season, and anomalies that fade."""
    rng = np.random.default_rng(seed)
    anomaly, maps = np.zeros((len(LAT), len(LON))), []
    north = np.linspace(0, 1, len(LAT))[:, None]
    for step in range(n_months):
        anomaly = 0.8 * anomaly + 0.6 * rng.standard_normal(anomaly.shape)
        season = 15 + 5 * np.cos(2 * np.pi * step / 12) - 3 * north
        maps.append(np.where(ocean(), season + anomaly, np.nan))
    return np.array(maps)


def days(n_months: int = N_MONTHS, day: int = 15) -> np.ndarray:
    """Return a day in each month as days since 1950-01-01."""
    months = (FIRST + np.arange(n_months)).astype("datetime64[D]") + (day - 1)
    numbers: np.ndarray = (months - np.datetime64("1950-01-01")).astype(int)
    return numbers


def dataset(values: np.ndarray | None = None, **changes: Any) -> xr.Dataset:
    """Return a plain dataset of ``sst(time, lat, lon)``.

    Parameters
    ----------
    values
        The maps; by default `sea`.
    changes
        ``time``, ``lat``, ``lon``: other coordinate values; ``units``, ``calendar``: of time;
        ``dims``: names of the three dimensions; ``attributes``: of the variable.
    """
    values = sea() if values is None else values
    time, lat, lon = changes.get("dims", ("time", "lat", "lon"))
    times = changes.get("time", days(len(values)))
    said = {"units": changes.get("units", "days since 1950-01-01")}
    if "calendar" in changes:
        said["calendar"] = changes["calendar"]
    return xr.Dataset(
        {"sst": ((time, lat, lon), values, {"units": "degC"} | changes.get("attributes", {}))},
        coords={
            time: (time, times, {k: v for k, v in said.items() if v}),
            lat: (lat, changes.get("lat", LAT), {"units": "degrees_north"}),
            lon: (lon, changes.get("lon", LON), {"units": "degrees_east"}),
        },
    )


def netcdf(found: xr.Dataset, folder: Path, *, kind: str = "NETCDF4", **encoding: Any) -> str:
    """Write a dataset as it is to a NetCDF file; return its path."""
    path = folder / "field.nc"
    engine: Any = "scipy" if kind.startswith("NETCDF3") else "h5netcdf"
    plain = {name: {"_FillValue": None} for name in found.variables}
    plain["sst"] = {"_FillValue": None} | encoding
    written: Any = kind
    found.to_netcdf(path, engine=engine, format=written, encoding=plain)
    return str(path)


def placed(lat: np.ndarray = LAT, lon: np.ndarray = LON, n_months: int = 40) -> xr.Dataset:
    """Return a dataset whose every value is told by its place and month alone."""
    dims = ("time", "lat", "lon")
    values = _of_places(np.asarray(lat), np.asarray(lon), n_months).astype(np.float32)
    return dataset(values, lat=lat, lon=lon, dims=dims)


def is_placed(found: MonthlyField) -> None:
    """Check that every value is the one that belongs to its place and month."""
    expected = _of_places(found.grid.lat, found.grid.lon, len(found.values))
    assert found.ocean.all()
    np.testing.assert_allclose(found.values, expected, atol=1e-4)


def _of_places(lat: np.ndarray, lon: np.ndarray, n_months: int) -> np.ndarray:
    number, east = np.arange(n_months)[:, None, None], np.deg2rad(lon)
    swell = np.sin(0.7 * number + 0.2 * lat[:, None])
    values: np.ndarray = lat[:, None] / 9 + 3 * np.sin(east) + np.cos(2 * east) + 2 * swell
    return values


def read(source: Any, **options: Any) -> MonthlyField:
    """Read a field that is trained until `UNTIL`, unless it is said otherwise."""
    return read_field(FieldRequest(str(source), **({"train_until": UNTIL} | options)))


def same_as_plain(found: MonthlyField, atol: float = 1e-5) -> None:
    """Compare with the sea as it was made."""
    assert np.array_equal(found.ocean, ocean())
    assert found.first_month == FIRST
    np.testing.assert_allclose(found.values, sea().astype("f4"), atol=atol)
    assert np.array_equal(found.observed, np.broadcast_to(ocean(), found.values.shape))
    np.testing.assert_allclose(found.grid.lat, LAT)
