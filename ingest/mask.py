"""The ocean mask that a record begins with, and stays with."""

from collections.abc import Sequence

import numpy as np

from ingest.errors import EmptyMonthError
from ingest.reader import ProductMonth
from ingest.specification import Mask


def ocean_mask(mask: Mask, months: Sequence[ProductMonth]) -> np.ndarray:
    """Return the ocean cells of a product, boolean (lat, lon).

    Parameters
    ----------
    mask
        What the specification says: a variable of the file, or the union of the cells that have a
        value in any of the first months.
    months
        As many first months as the specification asks for.

    Raises
    ------
    EmptyMonthError
        If no cell is ocean.
    """
    if mask.variable is not None and months[0].ocean is not None:
        ocean = months[0].ocean
    else:
        ocean = np.logical_or.reduce([np.isfinite(month.fco2) for month in months])
    if not ocean.any():
        raise EmptyMonthError(
            "The product's ocean mask is empty.",
            found="no ocean cell",
            remedy="Check the mask in the product specification.",
        )
    return ocean
