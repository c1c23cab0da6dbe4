"""Yearly HDF5 files of the TIDE-Net research code: months of the record, written for its users.

The product ``tidenet-hdf5`` reads such files back. The layout is that of the research code, so that
it reads them unchanged: one file a year, ``fco2_processed/YYYYMM`` (float32, NaN on land and where
there is no value) and ``land_mask`` (boolean, True on land). It has no place for coordinates, units
or direction; they are added as attributes, which the research code passes over.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import TidenetError
from storage.grid import Grid
from storage.months import Month

GROUP = "fco2_processed"
LAND = "land_mask"


class ExportError(TidenetError):
    """Months of the record cannot be written where they are wanted."""


def write_tidenet_hdf5(
    folder: Path,
    months: Iterable[tuple[Month, np.ndarray]],
    *,
    grid: Grid,
    ocean: np.ndarray,
    name: str = "fco2",
) -> tuple[Path, ...]:
    """Write months as ``<folder>/<name>_YYYY.h5``, and return the files.

    Rows lie from north to south: the research code treats a map as an image, whose first row is
    the uppermost, and crops it by counting from there. A file has a temporary name until it is
    whole; one of the same name is then replaced, with every month that it held. The same months
    give the same bytes.

    Parameters
    ----------
    folder
        Where to; made if it is not there.
    months
        Each month with its flux, (lat, lon), mmol m-2 d-1, positive out of the sea, rows from
        south to north as everywhere here; in order of time. One at a time is asked for.
    grid, ocean
        Grid of the fluxes, and boolean (lat, lon), True on ocean cells.
    name
        What file names begin with.

    Raises
    ------
    ExportError
        If the folder cannot be written.
    ValueError
        If months are out of order, or arrays not of the grid's shape.
    """
    if ocean.shape != grid.shape:
        raise ValueError(f"the mask has the shape {ocean.shape}, the grid {grid.shape}")
    written = []
    for year, of_year in groupby(_ascending(months), key=lambda item: str(item[0])[:4]):
        target = folder / f"{name}_{year}.h5"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_year(target, of_year, grid, ocean)
        except OSError as error:
            raise ExportError(
                f"{target.name} cannot be written.",
                found=" ".join(str(error).split())[:300],
                expected=f"a folder with room in it: {folder}",
                remedy="Name another folder, or make room.",
            ) from error
        written.append(target)
    return tuple(written)


def _write_year(
    target: Path, months: Iterable[tuple[Month, np.ndarray]], grid: Grid, ocean: np.ndarray
) -> None:
    import h5py

    # The research code takes every *.h5 of the folder: the temporary name must not be one.
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with h5py.File(part, "w") as file:
            file.attrs.update(_file_attributes(grid))
            file.create_dataset(LAND, data=~ocean[::-1], **_packing(grid))
            for month, fco2 in months:
                if fco2.shape != grid.shape:
                    raise ValueError(f"{month} has the shape {fco2.shape}, the grid {grid.shape}")
                field = np.where(ocean, fco2, np.nan)[::-1].astype(np.float32)
                key = f"{GROUP}/{str(month).replace('-', '')}"
                stored = file.create_dataset(key, data=field, **_packing(grid))
                stored.attrs.update(_FLUX_ATTRIBUTES)
        with part.open("rb") as whole:
            os.fsync(whole.fileno())
        part.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


_FLUX_ATTRIBUTES = {
    "units": "mmol m-2 d-1",
    "standard_name": "surface_upward_mole_flux_of_carbon_dioxide",
    "long_name": "sea-air CO2 flux, positive out of the sea",
}


def _file_attributes(grid: Grid) -> dict[str, Any]:
    return {
        "title": "Monthly sea-air CO2 flux in the layout of the TIDE-Net research code",
        "grid": grid.name,
        "rows": "north-first",
        "south": float(grid.lat_bounds[0, 0]),
        "north": float(grid.lat_bounds[-1, 1]),
        "west": float(grid.lon_bounds[0, 0]),
        "east": float(grid.lon_bounds[-1, 1]),
        "step": grid.step,
    }


def _packing(grid: Grid) -> dict[str, Any]:
    """Return chunks of about a quarter of a million cells, for crops of an image."""
    chunks = (min(grid.n_lat, 512), min(grid.n_lon, 512))
    return {"chunks": chunks, "compression": "gzip", "compression_opts": 4, "shuffle": True}


def _ascending(
    months: Iterable[tuple[Month, np.ndarray]],
) -> Iterator[tuple[Month, np.ndarray]]:
    last: Month | None = None
    for month, fco2 in months:
        if last is not None and month <= last:
            raise ValueError(f"{month} comes after {last}")
        last = month
        yield month, fco2
