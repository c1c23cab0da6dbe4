"""Reading a product file into one month of what it delivers, on the product's grid.

Nothing is guessed. Missing values, packing, units, direction, time and coordinates are decoded as
the file and the specification say, and refused with a named error where the two disagree.
"""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.container import Container, opened
from ingest.errors import (
    ManyTimesError,
    MissingMonthError,
)
from ingest.quantities import FLUX
from ingest.reading import Field, Reading, month_patterns
from ingest.specification import ProductSpecification
from ingest.text_tables import months_in_table, read_table
from ingest.times import month_of_file, refuse_future, stated_months
from storage.grid import Grid
from storage.months import Month, calendar_month, month


@dataclass(frozen=True)
class DeliveredMonth:
    """One month as a provider delivered it, in our units and orientation.

    Parameters
    ----------
    month
        The month.
    grid
        The product's grid.
    fields
        What the product delivers, by quantity.
    ocean
        Boolean (lat, lon) from the file's mask variable; None if the product has none.
    """

    month: Month
    grid: Grid
    fields: Mapping[str, Field]
    ocean: np.ndarray | None = None


@dataclass(frozen=True)
class ProductMonth:
    """One month of flux, in the record's units, sign and orientation.

    Parameters
    ----------
    month
        The month.
    grid
        The grid of the arrays.
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
    path: Path,
    specification: ProductSpecification,
    *,
    file_name: str,
    now: dt.datetime,
    wanted: Month | None = None,
) -> ProductMonth:
    """Read the flux of a product file that delivers one. Parameters and errors as `read_month`."""
    delivered = read_month(path, specification, file_name=file_name, now=now, wanted=wanted)
    flux = delivered.fields[FLUX]
    return ProductMonth(
        month=delivered.month,
        grid=delivered.grid,
        fco2=flux.values.astype(np.float32),
        uncertainty=flux.uncertainty.astype(np.float32),
        ocean=delivered.ocean,
        variable=flux.variable,
        units=flux.units,
    )


def read_month(
    path: Path,
    specification: ProductSpecification,
    *,
    file_name: str,
    now: dt.datetime,
    wanted: Month | None = None,
) -> DeliveredMonth:
    """Read and decode a month of a product file.

    Parameters
    ----------
    path
        The file on the local disk.
    specification
        What to expect in it.
    file_name
        The provider's name of the file: it may say the month.
    now
        The present moment; a month that has not begun yet is refused.
    wanted
        The month to read from a file that holds several, or a calendar month of any year; None for
        the month of a file that holds one.

    Raises
    ------
    RefusedFileError
        One of its subclasses, each named after what is wrong (see `ingest.errors`).
    """
    if specification.table is not None:
        assert wanted is not None
        refuse_future(wanted, now)
        grid = specification.target_grid
        values, uncertainty = read_table(path, specification.table, grid, wanted)
        quantity = specification.table.quantity
        field = Field(values, uncertainty, quantity, specification.table.units)
        return DeliveredMonth(wanted, grid, {quantity: field})
    with opened(path) as container:
        found, step = month_and_step(container, specification, file_name, now, wanted)
        reading = Reading(container, specification, found, step)
        fields = {
            quantity: reading.field(quantity, variable)
            for quantity, variable in specification.quantities.items()
        }
        return DeliveredMonth(found, specification.target_grid, fields, reading.ocean())


def months_in(
    path: Path, specification: ProductSpecification, *, file_name: str, now: dt.datetime
) -> list[Month]:
    """Return the months that a file holds, ascending; of future ones none.

    For a calendar month of any year (a climatology) that is none: it has no month of its own.
    Raises as `read_month`.
    """
    if specification.table is not None:
        held = months_in_table(path, specification.table)
    elif specification.holds == "climatology":
        return []
    else:
        with opened(path) as container:
            if specification.holds == "month":
                return [month_of_file(container, specification, file_name, now)]
            held = several_months(container, specification)
    held = [value for value in held if specification.may_hold(file_name, value)]
    return sorted({value for value in held if value <= month(now.date())})


def month_and_step(
    container: Container,
    specification: ProductSpecification,
    file_name: str,
    now: dt.datetime,
    wanted: Month | None,
) -> tuple[Month, int]:
    """Return the month to read and its position on the time axis."""
    if specification.holds == "month":
        return month_of_file(container, specification, file_name, now), 0
    assert wanted is not None
    refuse_future(wanted, now)
    if specification.holds == "climatology":
        if not specification.may_hold(file_name, wanted):
            raise MissingMonthError(
                "The file is of another calendar month.",
                found=file_name,
                expected=specification.file_name(wanted),
                remedy="Take the file of the calendar month.",
            )
        return wanted, calendar_month(wanted) - 1
    held = several_months(container, specification)
    positions = [position for position, value in enumerate(held) if value == wanted]
    if len(positions) > 1:
        raise ManyTimesError(
            f"The file holds {wanted} more than once.",
            found=f"{len(positions)} times",
            expected="1",
            remedy="Ask the provider which one is right.",
        )
    if not positions:
        raise MissingMonthError(
            f"The file does not hold {wanted}.",
            found=f"{len(held)} months, {min(held)} to {max(held)}" if held else "no month",
            expected=str(wanted),
            remedy="Fetch a newer file, or ask for a month that it holds.",
        )
    return wanted, positions[0]


def several_months(container: Container, specification: ProductSpecification) -> list[Month]:
    """Return the months of a file that holds several: of its time axis, or of variable names."""
    patterns = month_patterns(specification)
    if not patterns:
        return list(stated_months(container, specification))
    texts = (re.escape(pattern) for pattern in patterns)
    expressions = [
        text.replace(r"\{year\}", r"(?P<y>\d{4})").replace(r"\{month\}", r"(?P<m>0[1-9]|1[0-2])")
        for text in texts
    ]
    matches = (re.fullmatch(e, name) for e in expressions for name in container.variables)
    return [month(f"{match['y']}-{match['m']}") for match in matches if match is not None]
