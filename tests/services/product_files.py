"""Small product files, good ones and damaged ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
import yaml

from ingest.catalogue import parse_product
from ingest.specification import ProductSpecification, Variable
from storage.grid import Grid

SPECIFICATION = """\
title: A small product
file_pattern: FLUX_{year}{month}.nc
grid: {name: small, south: 25.0, west: 120.0, step: 0.5, n_lat: 16, n_lon: 14}
quantities:
  fco2: {names: [fco2, flux], positive: up, uncertainty: 1.5}
fill_values: [-9999]
"""
NAME = "FLUX_201801.nc"


def specification(**changes: object) -> ProductSpecification:
    """Return the small product with keys changed, those of its flux or of the product."""
    content = yaml.safe_load(SPECIFICATION)
    for key, value in changes.items():
        place = content["quantities"]["fco2"] if key in Variable.model_fields else content
        place[key] = value
    product = parse_product("small", yaml.safe_dump(content))
    assert isinstance(product, ProductSpecification)
    return product


def smooth_field(grid: Grid, mean: float = -10.0) -> np.ndarray:
    """Return a smooth field (lat, lon) around a mean, mmol m-2 d-1; land in the west is NaN."""
    lon, lat = np.meshgrid(grid.lon, grid.lat)
    field = mean + 2.0 * np.sin(lat / 2) + 1.5 * np.cos(lon / 1.5)
    return np.where(lon < 121.5, np.nan, field).astype(np.float32)


def good_dataset(grid: Grid, when: str = "2018-01", mean: float = -10.0) -> xr.Dataset:
    """Return a product file's content, undecoded: fill values, units and time as numbers."""
    days = (np.datetime64(when, "D") - np.datetime64("2000-01-01")).astype(int)
    field = smooth_field(grid, mean)
    return xr.Dataset(
        {
            "fco2": (
                ("time", "lat", "lon"),
                np.where(np.isnan(field), -9999.0, field)[None].astype(np.float32),
                {"units": "mmol m-2 d-1", "_FillValue": np.float32(-9999.0)},
            )
        },
        coords={
            "time": ("time", [days], {"units": "days since 2000-01-01"}),
            "lat": ("lat", grid.lat, {"units": "degrees_north"}),
            "lon": ("lon", grid.lon, {"units": "degrees_east"}),
        },
    )


def write(path: Path, grid: Grid, change: Callable[[xr.Dataset], xr.Dataset] | None = None) -> Path:
    """Write a good file, changed on the way."""
    dataset = good_dataset(grid)
    dataset = dataset if change is None else change(dataset)
    dataset.to_netcdf(path, engine="h5netcdf")
    return path
