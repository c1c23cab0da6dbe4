"""Product files of the synthetic sea, as a provider would deliver them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingest.catalogue import load_files_product
from ingest.synthetic.sea import SyntheticMonth, SyntheticSea
from storage.grid import Grid
from storage.months import Month, first_day

if TYPE_CHECKING:
    import xarray as xr

PRODUCT = "synthetic-ecs"
FILL_VALUE = -9999.0


def file_name(wanted: Month) -> str:
    """Return the name of a month's file."""
    return load_files_product(PRODUCT).file_name(wanted)


def write_months(
    folder: Path,
    grid: Grid,
    months: Sequence[Month],
    *,
    seed: int,
    progress: Callable[[int, int, str], None],
) -> int:
    """Write the product files of consecutive months that are not there yet.

    Parameters
    ----------
    folder
        Where to write.
    grid
        The files' grid.
    months
        Consecutive months.
    seed
        Seed of the sea.
    progress
        Called after each month.

    Returns
    -------
    int
        How many files were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if all((folder / file_name(wanted)).exists() for wanted in months):
        return 0
    sea = SyntheticSea(grid, seed)
    written = 0
    for done, made in enumerate(sea.months(months[0], months[-1]), start=1):
        target = folder / file_name(made.month)
        if not target.exists():
            part = target.with_suffix(".part")
            as_dataset(made, sea).to_netcdf(part, engine="h5netcdf", encoding=_encoding())
            part.replace(target)
            written += 1
        progress(done, len(months), str(made.month))
    return written


def as_dataset(made: SyntheticMonth, sea: SyntheticSea) -> "xr.Dataset":
    """Return a month as the dataset that its product file holds."""
    import xarray as xr

    days = (made.month.astype("datetime64[D]") - np.datetime64("2003-01-01")).astype(int)
    return xr.Dataset(
        {
            "fco2": (
                ("time", "lat", "lon"),
                made.observed[None],
                {
                    "standard_name": "surface_upward_mole_flux_of_carbon_dioxide",
                    "long_name": "synthetic sea-air CO2 flux, positive out of the sea",
                    "units": "mmol m-2 d-1",
                },
            ),
            "ocean": (
                ("lat", "lon"),
                sea.ocean.astype(np.int8),
                {
                    "long_name": "synthetic ocean mask",
                    "flag_values": np.array([0, 1], np.int8),
                    "flag_meanings": "land ocean",
                },
            ),
        },
        coords={
            "time": ("time", [days], {"units": "days since 2003-01-01", "calendar": "standard"}),
            "lat": ("lat", sea.grid.lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", sea.grid.lon, {"units": "degrees_east", "standard_name": "longitude"}),
        },
        attrs={
            "title": f"Synthetic sea-air CO2 flux, {first_day(made.month):%B %Y}",
            "source": f"synthetic: made by tidenet from seed {sea.seed}, not observed",
            "comment": "Synthetic, for demonstration and tests; it says nothing about a real sea.",
            "Conventions": "CF-1.11",
        },
    )


def _encoding() -> dict[str, dict[str, object]]:
    return {
        "fco2": {"_FillValue": np.float32(FILL_VALUE), "zlib": True, "complevel": 2},
        "ocean": {"_FillValue": None, "zlib": True},
        "time": {"dtype": "int32", "_FillValue": None},
        "lat": {"_FillValue": None},
        "lon": {"_FillValue": None},
    }
