"""The EOF basis that gaps of later months are filled with, as it travels between rooms."""

import hashlib
from dataclasses import dataclass

import numpy as np

from storage.grid import Grid
from storage.months import Month


@dataclass(frozen=True)
class RankScore:
    """How well withheld values were filled with so many modes.

    Parameters
    ----------
    rank
        Number of modes.
    rmse
        Area-weighted root mean square error at withheld cells of withheld months, mmol m-2 d-1.
    behind
        How far the mean square error lies above that of the best rank, in standard errors of the
        difference over months; 0 for the best.
    """

    rank: int
    rmse: float
    behind: float


@dataclass(frozen=True, eq=False)
class EofBasis:
    """Climatology, empirical orthogonal functions and what they leave unexplained.

    Cells are the ocean cells in order of rows, then columns.

    Parameters
    ----------
    grid
        The record's grid.
    ocean
        Boolean (lat, lon), the record's mask.
    first_month, last_month
        Span of the months that it was fitted on.
    climatology
        float32 (12, cell), mmol m-2 d-1, January to December, positive out of the sea.
    patterns
        float32 (mode, cell), dimensionless; each has an area-weighted mean square of 1.
    variances
        float64 (mode,), variance of each pattern's amplitude, (mmol m-2 d-1)2, descending.
    residual_variance
        float32 (cell,), variance of what the modes do not explain, (mmol m-2 d-1)2.
    footprint_m2
        Area over which that residual goes together: cells within it count as one observation.
    local_gain
        Factor of the residual's average over each of the local surroundings.
    local_explained
        Part of the residual's variance that each of these averages explains where it is trusted.
    calibration
        Factor of the error estimate that makes it the error found at withheld values.
    scores
        The cross-validation of the rank, one row for each rank that was tried.
    id
        Name under which it is stored; empty before that.
    """

    grid: Grid
    ocean: np.ndarray
    first_month: Month
    last_month: Month
    climatology: np.ndarray
    patterns: np.ndarray
    variances: np.ndarray
    residual_variance: np.ndarray
    footprint_m2: float
    local_gain: tuple[float, ...]
    local_explained: tuple[float, ...]
    calibration: float
    scores: tuple[RankScore, ...]
    id: str = ""

    @property
    def rank(self) -> int:
        """Number of modes."""
        return len(self.patterns)

    def content_hash(self) -> str:
        """Return the hexadecimal SHA-256 of everything that a filled value depends on."""
        digest = hashlib.sha256()
        numbers = [self.footprint_m2, *self.local_gain, *self.local_explained, self.calibration]
        for array in (
            self.ocean,
            self.climatology,
            self.patterns,
            self.variances,
            self.residual_variance,
            np.array(numbers, dtype=np.float64),
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(f"{self.grid}{self.first_month}{self.last_month}".encode())
        return digest.hexdigest()
