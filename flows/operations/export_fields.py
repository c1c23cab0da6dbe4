"""The gridded fields of a run, lead by lead, with the grid that they lie on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.operations.workspace import Progress
from storage.archive import ForecastRun
from storage.grid import Grid
from storage.locations import Location, Patience, storage_errors

if TYPE_CHECKING:
    import xarray as xr


@contextmanager
def opened_fields(
    run: ForecastRun, patience: Patience, progress: Progress
) -> "Iterator[xr.Dataset]":
    """Open the fields of a run, once they are known to be those that were written.

    Raises
    ------
    MissingFieldsError
        If they are gone.
    CorruptFieldsError
        If they are not those that were written.
    StoreUnavailableError
        If they cannot be reached.
    """
    from storage.gridded import read_run, verify_run

    progress(0, run.n_leads, "checksum")
    verify_run(run.fields_url, run.fields_sha256, patience)
    with read_run(run.fields_url, patience) as fields:
        yield fields


def loaded(fields: "xr.Dataset", run: ForecastRun) -> "xr.Dataset":
    """Return some of a run's fields with their values in memory; raises StoreUnavailableError."""
    with storage_errors(Location.parse(run.fields_url), "read"):
        return fields.compute()


def by_lead(
    fields: "xr.Dataset", run: ForecastRun, progress: Progress
) -> "Iterator[tuple[int, xr.Dataset]]":
    """Yield each lead, 1 to n_leads, with its fields (..., lat, lon) in memory, one at a time.

    Fields without a lead are left out.
    """
    changing = fields[[name for name, field in fields.data_vars.items() if "lead" in field.dims]]
    for done, lead in enumerate(fields["lead"].values.tolist()):
        progress(done, run.n_leads, f"lead {lead}")
        yield lead, loaded(changing.sel(lead=lead), run)
    progress(run.n_leads, run.n_leads, "")


def grid_of(fields: "xr.Dataset") -> Grid:
    """Return the grid that fields (..., lat, lon) lie on."""
    lat, lon = fields["lat"].values, fields["lon"].values
    along = lon if len(lon) > 1 else lat
    step = round(float(along[-1] - along[0]) / max(1, len(along) - 1), 6)
    return Grid(
        name=str(fields.attrs.get("grid", "")),
        south=round(float(lat[0]) - step / 2, 6),
        west=round(float(lon[0]) - step / 2, 6),
        step=step,
        n_lat=len(lat),
        n_lon=len(lon),
    )
