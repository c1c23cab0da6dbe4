"""A month of a driver for the record: brought to its grid and its sea, or one number of a table.

Gaps stay gaps (NaN): what a forecast puts in their place is fitted on its own training period.
"""

from collections.abc import Mapping

import numpy as np

from ingest.errors import EmptyMonthError
from ingest.flux.options import FluxOptions
from ingest.flux.transfer import bulk_transfer
from ingest.reader import DeliveredMonth
from ingest.regridding.regrid import Regridder
from ingest.specification import ProductSpecification
from storage.grid import Grid


def is_index(specification: ProductSpecification) -> bool:
    """Return whether a product is one number a month: a table whose values hold everywhere."""
    table = specification.table
    return table is not None and all(band.latitude is None for band in table.bands)


def index_value(delivered: DeliveredMonth, quantity: str) -> np.ndarray:
    """Return the number of a month, float32 ()."""
    return np.asarray(delivered.fields[quantity].values.flat[0], dtype=np.float32)


def driver_field(
    delivered: DeliveredMonth, quantity: str, grid: Grid, ocean: np.ndarray
) -> np.ndarray:
    """Return a quantity on the record's grid, float32 (lat, lon); NaN on land and in gaps.

    Where the record is finer, values are plainly bilinear and stay within the range of the
    product's; beyond a coarse product's coast the nearest value counts (`Regridder`).

    Parameters
    ----------
    delivered
        The month as its product delivers it.
    quantity
        Which of its fields.
    grid, ocean
        The record's grid, and its ocean mask, boolean (lat, lon).

    Raises
    ------
    EmptyMonthError
        If no ocean cell gets a value.
    DisjointGridsError
        If product and record have no area in common.
    """
    values = delivered.fields[quantity].values
    if delivered.grid != grid:
        values = Regridder(delivered.grid, grid, keep_means=False)(values).values
    return _at_sea(values, ocean, quantity)


def transfer_field(
    delivered: Mapping[str, DeliveredMonth], grid: Grid, ocean: np.ndarray, options: FluxOptions
) -> np.ndarray:
    """Return the bulk transfer on the record's grid, float32 (lat, lon), mmol m-2 d-1 uatm-1.

    Parameters
    ----------
    delivered
        By quantity, the month that delivers it.
    grid, ocean
        The record's.
    options
        How the flux is computed.

    Raises
    ------
    RefusedFileError
        If wind, temperature or salinity are missing or have impossible values, or no ocean cell
        has all of them.
    """
    fields = {name: driver_field(month, name, grid, ocean) for name, month in delivered.items()}
    transfer = np.broadcast_to(bulk_transfer(fields, options), grid.shape)
    return _at_sea(transfer, ocean, "transfer")


def _at_sea(values: np.ndarray, ocean: np.ndarray, name: str) -> np.ndarray:
    made = np.where(ocean, values, np.nan).astype(np.float32)
    if not np.isfinite(made).any():
        raise EmptyMonthError(
            f"No ocean cell of the record has a value of {name}.",
            found=f"{int(np.isfinite(values).sum())} cells with a value, all of them on land",
            expected="values on ocean cells",
            remedy="Look at the product's map: tidenet products preview FILE.",
        )
    return made
