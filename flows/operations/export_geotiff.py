"""A run's fields as maps for GIS programs: one cloud-optimised GeoTIFF a lead.

Each map is made in memory first, so that a full disk shows while it is written and not afterwards.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flows.operations.export_fields import by_lead, grid_of
from flows.operations.export_files import map_name
from flows.operations.fields import STANDARD_NAME, UNITS
from flows.operations.workspace import Progress
from storage.grid import Grid

if TYPE_CHECKING:
    import xarray as xr

    from flows.operations.export import Exported

_LAYOUT = {
    "driver": "COG",
    "compress": "deflate",
    "predictor": "floating_point",
    "blocksize": 256,
    "overview_resampling": "average",
}


def write_geotiffs(
    folder: Path, fields: "xr.Dataset", exported: "Exported", progress: Progress
) -> None:
    """Write a map of each lead into a folder: EPSG:4326, north up, NaN where there is no ocean.

    Parameters
    ----------
    folder
        An empty folder.
    fields
        Fields (lead, lat, lon) and (lead, quantile, lat, lon), mmol m-2 d-1, rows from the south.
    exported
        The run.
    progress
        Told of each lead.
    """
    init_month, grid = exported.run.init_month, grid_of(fields)
    for lead, month in by_lead(fields, exported.run, progress):
        valid_month = str(init_month + lead)
        tags = {
            "TIFFTAG_IMAGEDESCRIPTION": f"{exported.title}, valid in {valid_month}",
            "TIFFTAG_SOFTWARE": exported.exported_by,
            "TIFFTAG_DATETIME": f"{exported.exported_at:%Y:%m:%d %H:%M:%S}",
            "standard_name": STANDARD_NAME,
            "units": UNITS,
            "positive": "out of the sea",
            "lead_months": str(lead),
            "valid_month": valid_month,
            **exported.provenance,
        }
        file = folder / map_name(str(init_month), lead, valid_month)
        file.write_bytes(_map(bands(month), grid, tags))


def bands(month: "xr.Dataset") -> dict[str, "xr.DataArray"]:
    """Return what a map shows, by name of the band, each (lat, lon)."""
    quantiles = month["fco2"]
    return {
        "mean": month["fco2_mean"],
        "spread": month["fco2_spread"],
        **{
            f"q{round(100 * q):02d}": quantiles.sel(quantile=q)
            for q in quantiles["quantile"].values
        },
        "climatology": month["climatology"],
        "damped_persistence": month["damped_persistence"],
    }


def _map(fields: dict[str, "xr.DataArray"], grid: Grid, tags: dict[str, str]) -> bytes:
    """Return a GeoTIFF with a band for each field."""
    from rasterio import Affine
    from rasterio.crs import CRS
    from rasterio.io import MemoryFile

    north = float(grid.lat_bounds[-1, 1])
    with MemoryFile() as memory:
        with memory.open(
            width=grid.n_lon,
            height=grid.n_lat,
            count=len(fields),
            dtype="float32",
            nodata=np.nan,
            crs=CRS.from_epsg(4326),
            transform=Affine(grid.step, 0, grid.west, 0, -grid.step, north),
            **_LAYOUT,
        ) as image:
            image.update_tags(**tags)
            image.descriptions = tuple(fields)
            image.units = (UNITS,) * len(fields)
            for number, field in enumerate(fields.values(), start=1):
                image.write(field.values[::-1], number)
                image.update_tags(number, long_name=field.attrs.get("long_name", ""))
        return memory.read()
