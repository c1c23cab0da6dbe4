"""Any monthly field of any sea as a record that methods can be evaluated on, outside the record."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import TidenetError
from storage.months import Month
from tidenet.errors import NotEnoughMonthsError

if TYPE_CHECKING:
    from tidenet.record import FluxRecord

LEAST_MONTHS = 36
"""Two years that a climatology can be told from, and one to test it on."""

LEAST_CELLS = 4
"""Ocean cells; fewer make no field."""


class TooFewCellsError(TidenetError):
    """A field has hardly any ocean."""


class InvalidCoarseningError(TidenetError):
    """Cells are to be put together in a number that makes no blocks."""


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
    source: str | Path,
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
    NotEnoughMonthsError, TooFewCellsError
        If it has fewer than `LEAST_MONTHS` months or `LEAST_CELLS` ocean cells.
    InvalidCoarseningError
        If ``coarsen`` is less than 1.
    """
    from ingest.field.reading import FieldRequest
    from ingest.field.reading import read_field as read
    from tidenet.record import FluxRecord

    if coarsen is not None and coarsen < 1:
        raise InvalidCoarseningError(
            "Cells cannot be put together so.",
            found=f"--coarsen {coarsen}",
            expected="1, to keep every cell, or more",
            remedy="Leave it out to keep the work small.",
        )
    request = FieldRequest(str(source), variable, train_until, coarsen, first_month)
    found = read(request, timeout_s=timeout_s, attempts=attempts)
    record = FluxRecord(found.grid, found.ocean, found.first_month, found.values, found.observed)
    _require_enough(record, found.variable)
    return FieldRecord(record, found.variable, found.units, found.train_until, found.notes)


def _require_enough(record: "FluxRecord", variable: str) -> None:
    n_months, n_cells = len(record.fco2), int(record.ocean.sum())
    if n_months < LEAST_MONTHS:
        raise NotEnoughMonthsError(
            f"{variable} has too few months to learn from and to test on.",
            found=f"{n_months} months, {record.first_month} to {record.last_month}",
            expected=f"at least {LEAST_MONTHS}",
            remedy="Give a longer series.",
        )
    if n_cells < LEAST_CELLS:
        raise TooFewCellsError(
            f"{variable} has hardly any ocean.",
            found=f"{n_cells} of {record.ocean.size} cells with values that change",
            expected=f"at least {LEAST_CELLS}",
            remedy="Give a larger region, or a smaller --coarsen.",
        )
