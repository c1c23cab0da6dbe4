"""A run's fields as one NetCDF-4 file after the CF conventions (1.11).

The file is made in memory: HDF5 ends the whole process when it meets a full disk.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.operations.export_fields import by_lead, grid_of, loaded
from flows.operations.fields import STANDARD_NAME
from flows.operations.workspace import Progress
from storage.grid import Grid
from storage.months import Month

if TYPE_CHECKING:
    import h5netcdf
    import xarray as xr

    from flows.operations.export import Exported

CONVENTIONS = "CF-1.11"
EPOCH = "days since 1970-01-01"
REFERENCES = (
    "TIDE-Net: https://github.com/Son4ta/TIDE-Net; "
    "method and measured skill: docs/skill.md of tidenet"
)
COMMENT = (
    "The flux is positive out of the sea: uptake is negative. A month's time is its first day. "
    "Lead k is valid k months after the last observed month used, to whose end the data reach."
)
WGS_84 = {
    "grid_mapping_name": "latitude_longitude",
    "geographic_crs_name": "WGS 84",
    "horizontal_datum_name": "World Geodetic System 1984",
    "reference_ellipsoid_name": "WGS 84",
    "prime_meridian_name": "Greenwich",
    "longitude_of_prime_meridian": 0.0,
    "semi_major_axis": 6378137.0,
    "inverse_flattening": 298.257223563,
}
MONTHLY_MEAN = "area: mean time: mean"
CELL_METHODS = {
    "fco2_mean": MONTHLY_MEAN,
    "fco2": MONTHLY_MEAN,
    "fco2_spread": f"{MONTHLY_MEAN} realization: standard_deviation",
    "climatology": MONTHLY_MEAN,
    "damped_persistence": MONTHLY_MEAN,
}
"""Of all others it is only said that they are means over a cell."""

_CHUNK = 512


def write_netcdf(
    path: Path, fields: "xr.Dataset", exported: "Exported", progress: Progress
) -> None:
    """Write all fields of a run, unchanged, with what CF asks to be said about them.

    Parameters
    ----------
    path
        The file. Making it takes up to three times its size of memory.
    fields
        Fields (lead, lat, lon), (lead, quantile, lat, lon) and (lat, lon), NaN where there is no
        ocean.
    exported
        The run.
    progress
        Told of each lead.
    """
    import h5netcdf

    memory = io.BytesIO()
    with h5netcdf.File(memory, "w") as file:
        file.attrs.update(_global_attributes(exported))
        file.dimensions = {str(dim): size for dim, size in fields.sizes.items()} | {"bnds": 2}
        _add_place(file, grid_of(fields))
        _add_time(file, exported.run.init_month, fields["lead"].values)
        _add(file, "quantile", ("quantile",), fields["quantile"].values, **_QUANTILE)
        for name, field in fields.data_vars.items():
            _add_field(file, str(name), field)
        unchanging = [name for name, field in fields.data_vars.items() if "lead" not in field.dims]
        for name, field in loaded(fields[unchanging], exported.run).data_vars.items():
            file[name][...] = field.values
        for place, (_, month) in enumerate(by_lead(fields, exported.run, progress)):
            for name, field in month.data_vars.items():
                file[name][place] = field.values
    path.write_bytes(memory.getbuffer())


def _global_attributes(exported: "Exported") -> dict[str, str]:
    run = exported.run
    source = f"model {run.model_version} (method {exported.model.method}), {run.n_members} members"
    return {
        "Conventions": CONVENTIONS,
        "title": exported.title,
        "source": source,
        "history": f"{_moment(run.created_at)}: computed by tidenet {run.code_version}\n"
        f"{_moment(exported.exported_at)}: exported by {exported.exported_by}",
        "references": REFERENCES,
        "comment": COMMENT,
        **exported.provenance,
    }


def _moment(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


# --- coordinates ----------------------------------------------------------------------------------

_QUANTILE = {"units": "1", "long_name": "probability of a flux that is not higher"}
_LEAD = {"units": "1", "long_name": "lead, months after the last observed month used"}
_DAYS = {"units": EPOCH, "calendar": "standard", "units_metadata": "leap_seconds: utc"}


def _add_place(file: "h5netcdf.File", grid: Grid) -> None:
    """Add lat and lon with their bounds, the area of the cells and the reference system."""
    from rasterio.crs import CRS

    _add_axis(file, "lat", grid.lat, grid.lat_bounds, "latitude", "degrees_north", "Y")
    _add_axis(file, "lon", grid.lon, grid.lon_bounds, "longitude", "degrees_east", "X")
    wkt = CRS.from_epsg(4326).to_wkt(version="WKT2_2019")
    _add(file, "crs", (), np.int32(0), **WGS_84, crs_wkt=wkt)
    _add(
        file,
        "cell_area",
        ("lat", "lon"),
        grid.cell_area,
        standard_name="cell_area",
        long_name="area of the whole cell, land included",
        units="m2",
        grid_mapping="crs",
    )


def _add_axis(
    file: "h5netcdf.File",
    name: str,
    values: np.ndarray,
    bounds: np.ndarray,
    standard_name: str,
    units: str,
    axis: str,
) -> None:
    _add(
        file,
        name,
        (name,),
        values,
        standard_name=standard_name,
        long_name=f"{standard_name} of the cell centre",
        units=units,
        axis=axis,
        bounds=f"{name}_bnds",
    )
    _add(file, f"{name}_bnds", (name, "bnds"), bounds)


def _add_time(file: "h5netcdf.File", init_month: Month, leads: np.ndarray) -> None:
    """Add leads, the months that they are valid in, and the month that they count from."""
    valid = init_month + leads
    _add(file, "lead", ("lead",), leads.astype(np.int32), **_LEAD)
    _add(
        file,
        "time",
        ("lead",),
        _days(valid),
        standard_name="time",
        long_name="valid month",
        bounds="time_bnds",
        **_DAYS,
    )
    _add(file, "time_bnds", ("lead", "bnds"), _days(np.stack([valid, valid + 1], axis=1)))
    _add(
        file,
        "forecast_reference_time",
        (),
        _days(init_month),
        standard_name="forecast_reference_time",
        long_name="last observed month used",
        **_DAYS,
    )
    # A month is no unit of time in CF: days are, and they differ from month to month.
    _add(
        file,
        "forecast_period",
        ("lead",),
        _days(valid) - _days(init_month),
        standard_name="forecast_period",
        long_name="time since the reference time",
        units="days",
    )


def _days(months: Any) -> np.ndarray:
    """Return days from 1970-01-01 to the first day of months, int32."""
    return np.asarray(months).astype("datetime64[D]").astype(np.int32)


# --- variables ------------------------------------------------------------------------------------


def _add(
    file: "h5netcdf.File", name: str, dims: tuple[str, ...], values: Any, **attributes: Any
) -> None:
    """Add a variable with its values, all of which are there."""
    variable = file.create_variable(name, dims, data=np.asarray(values))
    variable.attrs.update(attributes)


def _add_field(file: "h5netcdf.File", name: str, field: "xr.DataArray") -> None:
    """Add a field without values yet; chunks are small enough to be read in parts."""
    chunks = (1,) * (field.ndim - 2) + tuple(min(_CHUNK, n) for n in field.shape[-2:])
    variable = file.create_variable(
        name,
        field.dims,
        np.float32,
        fillvalue=np.float32(np.nan),
        chunks=chunks,
        compression="gzip",
        compression_opts=4,
        shuffle=True,
    )
    variable.attrs.update(field.attrs)
    attributes = {
        "standard_name": STANDARD_NAME,
        "cell_methods": CELL_METHODS.get(name, "area: mean"),
        "cell_measures": "area: cell_area",
        "grid_mapping": "crs",
        "coordinates": "forecast_reference_time",
    }
    if "lead" in field.dims:
        attributes["coordinates"] = "time forecast_period forecast_reference_time"
    if name == "fco2_mean":
        attributes["ancillary_variables"] = "fco2_spread"
    variable.attrs.update(attributes)
