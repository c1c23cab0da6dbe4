"""Any monthly field of any sea as a record that methods can be evaluated on, outside the record."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.months import Month

if TYPE_CHECKING:
    from tidenet.record import FluxRecord


@dataclass(frozen=True)
class FieldRecord:
    """A field of a file, ready to be forecast.

    Parameters
    ----------
    record
        The field as a record. Its values are in ``units``, whatever they are: nothing guards them.
    variable, units
        As the file says; ``units`` is empty where it says none.
    train_until
        Last month of the training period, which its ocean and the filling of its gaps come from.
    notes
        What was done to it that a person should know.
    """

    record: "FluxRecord"
    variable: str
    units: str
    train_until: Month
    notes: tuple[str, ...]


def read_field(
    source: str,
    variable: str | None = None,
    *,
    train_until: Month | None = None,
    coarsen: int | None = None,
    first_month: Month | None = None,
    timeout_s: float = 60.0,
    attempts: int = 3,
) -> FieldRecord:
    """Read a monthly (time, lat, lon) field from a NetCDF file or Zarr store.

    Parameters
    ----------
    source
        Path or URL of the file or store.
    variable
        Its name; None if there is one only.
    train_until
        Last month of the first training period; None for three quarters of the months. Nothing
        later has a part in what counts as ocean and what fills gaps.
    coarsen
        Cells per block that it is averaged to; None for what keeps the work small.
    first_month
        Month of the first step, where the file does not say it.
    timeout_s, attempts
        How long to wait for a remote file, and how often to try.

    Raises
    ------
    FieldError
        If it is no such field, named more closely (`ingest.field.errors`).
    RefusedFileError
        If the file is damaged or its values cannot be decoded (`ingest.errors`).
    SourceUnavailableError
        If a remote file cannot be had.
    """
    from ingest.field.reading import FieldRequest
    from ingest.field.reading import read_field as read
    from tidenet.record import FluxRecord

    request = FieldRequest(source, variable, train_until, coarsen, first_month)
    found = read(request, timeout_s=timeout_s, attempts=attempts)
    record = FluxRecord(found.grid, found.ocean, found.first_month, found.values, found.observed)
    return FieldRecord(record, found.variable, found.units, found.train_until, found.notes)
