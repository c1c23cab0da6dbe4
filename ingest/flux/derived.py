"""A month of flux from a month of drivers: brought to one grid, put through the bulk formula."""

from collections.abc import Mapping

import numpy as np

from ingest.errors import EmptyMonthError
from ingest.flux.bulk import flux_from_drivers
from ingest.quantities import FLUX, QUANTITIES
from ingest.reader import DeliveredMonth, ProductMonth
from ingest.regridding.regrid import regrid
from ingest.specification import DerivedProduct
from storage.months import Month


def derive_month(
    product: DerivedProduct, month: Month, delivered: Mapping[str, DeliveredMonth]
) -> ProductMonth:
    """Compute the flux of a month where every driver has a value.

    Errors of a driver are taken as wholly correlated between neighbouring cells: a mean over cells
    is no more certain than they are.

    Parameters
    ----------
    product
        The product, with its grid and the options of the formula.
    month
        The month of all drivers.
    delivered
        By quantity, the month that delivers it.

    Raises
    ------
    RefusedFileError
        If a driver is missing or has impossible values (see `ingest.flux.drivers`).
    EmptyMonthError
        If no cell has a value of every driver.
    """
    grid = product.target_grid
    drivers: dict[str, np.ndarray] = {}
    errors: dict[str, np.ndarray] = {}
    for quantity, source in delivered.items():
        field = source.fields[quantity]
        drivers[quantity] = regrid(field.values, source.grid, grid).values
        if np.isfinite(field.uncertainty).any():
            errors[quantity] = regrid(field.uncertainty, source.grid, grid).values
    estimate = flux_from_drivers(drivers, errors, product.flux)
    if not np.isfinite(estimate.fco2).any():
        seen = (f"{name} {int(np.isfinite(values).sum())}" for name, values in drivers.items())
        raise EmptyMonthError(
            "No cell has a value of every driver.",
            found=f"cells with a value: {', '.join(seen)}",
            expected="cells where all of them have one",
            remedy="Look at the drivers' maps: tidenet products preview FILE.",
        )
    return ProductMonth(
        month=month,
        grid=grid,
        fco2=estimate.fco2,
        uncertainty=estimate.uncertainty,
        ocean=None,
        variable=f"computed from {', '.join(sorted(delivered))}",
        units=QUANTITIES[FLUX].units,
    )
