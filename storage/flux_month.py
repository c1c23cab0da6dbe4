"""One month of the record, as it travels from ingest to the store."""

import enum
import hashlib
from dataclasses import dataclass

import numpy as np

from storage.grid import Grid
from storage.months import Month


class Quality(enum.IntEnum):
    """Where a cell's value comes from (CF flag values of the variable ``quality``)."""

    LAND = 0
    OBSERVED = 1
    COMPLETED = 2
    OUTSIDE_PRODUCT = 3


@dataclass(frozen=True)
class SourceFile:
    """The provider's file that a month was made from.

    Parameters
    ----------
    product
        Name of the product specification.
    url
        Where the file was found, without credentials.
    sha256
        Hexadecimal digest of its bytes.
    """

    product: str
    url: str
    sha256: str


@dataclass(frozen=True)
class FluxMonth:
    """A complete month, ready to be committed.

    Parameters
    ----------
    month
        The month (datetime64[M]).
    grid
        The grid of the arrays.
    fco2
        float32 (lat, lon), mmol m-2 d-1, positive out of the sea; NaN on land and outside
        the product.
    quality
        uint8 (lat, lon), values of `Quality`.
    uncertainty
        float32 (lat, lon), one standard deviation of fco2 in mmol m-2 d-1; NaN where unknown.
    source
        The file it was made from.
    """

    month: Month
    grid: Grid
    fco2: np.ndarray
    quality: np.ndarray
    uncertainty: np.ndarray
    source: SourceFile

    def content_hash(self) -> str:
        """Return the hexadecimal SHA-256 of the three arrays' bytes (not of the source)."""
        digest = hashlib.sha256()
        for array in (self.fco2, self.quality, self.uncertainty):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
