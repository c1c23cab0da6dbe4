"""Fitting an EOF basis to the months of a record, however large, with gaps in them.

The modes are found by the method of snapshots (Sirovich 1987): the covariance of months, a small
matrix, is summed over bands of latitude, so that only a band of the record is in memory at a time.
Gaps are treated as DINEOF does (Beckers and Rixen 2003, J. Atmos. Oceanic Technol. 20, 1839-1856):
they start without an anomaly, are filled with what the modes make of the rest, and modes and
filling are improved in turns until they agree. Modes close to the noise count less in the filling,
as in regularised iterative PCA (Josse and Husson 2012, J. SFdS 153, 79-99).

A cell of an earlier month that was completed, not observed, is a gap: what was once guessed does
not confirm itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ingest.completion.amplitudes import CELLS_AT_ONCE
from storage.grid import Grid
from storage.months import calendar_months

# Values of the record in one band (months times cells of the whole rows).
VALUES_IN_BAND = 100_000_000
# Each round fills the gaps this often with the modes that it has.
_RECONSTRUCTIONS = 10
# Rounds end when the covariance of months changes by less than this part of itself: further ones
# no longer change how well gaps are filled.
CONVERGED = 5e-3
_MOST_ROUNDS = 6
# A completed value in the climatology counts as this part of an observed one.
_COMPLETED_WEIGHT = 0.05
# The residual variance of a cell is drawn to the mean of all as if by so many months.
_MONTHS_OF_MEAN = 6.0


class MonthReader(Protocol):
    """Reads rows of consecutive months; it travels to the workers of a cluster."""

    @property
    def grid(self) -> Grid:
        """The grid."""
        ...

    @property
    def months(self) -> np.ndarray:
        """The months, datetime64[M] (time,)."""
        ...

    def read(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the flux, float32 (time, row, lon), mmol m-2 d-1, and where it was observed."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayReader:
    """Months that are in memory.

    Parameters
    ----------
    grid
        The grid.
    months
        datetime64[M] (time,), consecutive.
    fco2
        float32 (time, lat, lon), mmol m-2 d-1, finite on the ocean.
    observed
        Boolean (time, lat, lon).
    """

    grid: Grid
    months: np.ndarray
    fco2: np.ndarray
    observed: np.ndarray

    def read(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return rows of all months."""
        return self.fco2[:, rows], self.observed[:, rows]


@dataclass(frozen=True)
class Modes:
    """The leading patterns in time.

    Parameters
    ----------
    series
        float64 (time, mode), orthonormal.
    power
        float64 (mode,), sum over months of the squared amplitudes, (mmol m-2 d-1)2, descending.
    shrinkage
        float64 (mode,), part of each that is not noise, 0 to 1.
    """

    series: np.ndarray
    power: np.ndarray
    shrinkage: np.ndarray


@dataclass(frozen=True)
class Patterns:
    """What the modes look like on some cells.

    Parameters
    ----------
    climatology
        float32 (12, cell), mmol m-2 d-1.
    patterns
        float32 (mode, cell).
    squares, counts
        float64 (cell,): sum over observed months of squared residuals, and their number.
    """

    climatology: np.ndarray
    patterns: np.ndarray
    squares: np.ndarray
    counts: np.ndarray


def free_months(n_months: int) -> int:
    """Return how many independent anomalies so many months have: each calendar mean takes one."""
    return n_months - 12


def anomalies(
    values: np.ndarray, observed: np.ndarray, calendar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the climatology (12, cell) and the anomalies (time, cell), NaN where not observed.

    Parameters
    ----------
    values
        float32 (time, cell), mmol m-2 d-1, complete.
    observed
        Boolean (time, cell).
    calendar
        Calendar month (time,), 1 to 12; each occurs.
    """
    climatology = np.empty((12, values.shape[1]), dtype=np.float32)
    anomaly = np.full(values.shape, np.nan, dtype=np.float32)
    for number in range(1, 13):
        rows = np.flatnonzero(calendar == number)
        weight = np.where(observed[rows], 1.0, _COMPLETED_WEIGHT)
        climatology[number - 1] = (weight * values[rows]).sum(axis=0) / weight.sum(axis=0)
        departure = values[rows] - climatology[number - 1]
        anomaly[rows] = np.where(observed[rows], departure, np.nan)
    return climatology, anomaly


def modes_of(covariance: np.ndarray, rank: int) -> Modes:
    """Return the leading modes of a covariance of months (time, time)."""
    import scipy.linalg

    power, series = scipy.linalg.eigh(covariance)
    power, series = np.maximum(power[::-1], 0.0), series[:, ::-1]
    n_noise = max(1, free_months(len(power)) - rank)
    noise = power[rank : rank + n_noise].sum() / n_noise
    # The sign of an eigenvector is arbitrary: the largest element is made positive.
    leading = series[np.abs(series).argmax(axis=0), np.arange(series.shape[1])]
    series = series * np.where(leading < 0, -1.0, 1.0)
    shrinkage = np.clip(1 - noise / np.maximum(power[:rank], 1e-30), 0.0, 1.0)
    return Modes(np.ascontiguousarray(series[:, :rank]), power[:rank], shrinkage)


def filled(
    anomaly: np.ndarray, calendar: np.ndarray, modes: Modes | None
) -> tuple[np.ndarray, np.ndarray]:
    """Fill the gaps of anomalies with what the modes make of the rest.

    A climatology of the observed years alone is off by the anomaly that these years happen to have.
    It is corrected along with the filling, until all years together have none.

    Parameters
    ----------
    anomaly
        float32 (time, cell), NaN where not observed.
    calendar
        Calendar month (time,), 1 to 12; each occurs.
    modes
        None to leave gaps without an anomaly.

    Returns
    -------
    tuple
        float64 anomalies (time, cell) without gaps, and the correction of the climatology
        (12, cell) that they are relative to.
    """
    gaps = np.isnan(anomaly)
    whole = np.where(gaps, 0.0, anomaly).astype(np.float64)
    correction = np.zeros((12, anomaly.shape[1]))
    if modes is None or not gaps.any():
        return whole, correction
    back = modes.series * modes.shrinkage
    averaging = (calendar == np.arange(1, 13)[:, None]).astype(np.float64)
    averaging /= averaging.sum(axis=1, keepdims=True)
    for _ in range(_RECONSTRUCTIONS):
        np.copyto(whole, back @ (modes.series.T @ whole), where=gaps)
        means = averaging @ whole
        whole -= means[calendar - 1]
        correction += means
    return whole, correction


def covariance_sum(
    anomaly: np.ndarray, calendar: np.ndarray, weights: np.ndarray, modes: Modes | None
) -> np.ndarray:
    """Return the sum over cells of weighted products of months (time, time), gaps filled."""
    total = np.zeros((len(anomaly), len(anomaly)))
    for part in _parts(anomaly.shape[1]):
        weighted = filled(anomaly[:, part], calendar, modes)[0] * np.sqrt(weights[part])
        total += weighted @ weighted.T
    return total


def patterns_of(
    climatology: np.ndarray, anomaly: np.ndarray, calendar: np.ndarray, modes: Modes
) -> Patterns:
    """Return the patterns of modes on some cells, and what they leave of the observed anomalies."""
    n_cells = anomaly.shape[1]
    patterns = np.empty((len(modes.power), n_cells), dtype=np.float32)
    corrected = np.empty_like(climatology)
    squares, counts = np.empty(n_cells), np.empty(n_cells)
    amplitudes = modes.series * np.sqrt(modes.power)
    for part in _parts(n_cells):
        whole, correction = filled(anomaly[:, part], calendar, modes)
        found = (modes.series.T @ whole) / np.sqrt(np.maximum(modes.power, 1e-30))[:, None]
        seen = np.isfinite(anomaly[:, part])
        residual = np.where(seen, whole - amplitudes @ found, 0.0)
        patterns[:, part] = found
        corrected[:, part] = climatology[:, part] + correction
        squares[part] = (residual**2).sum(axis=0)
        counts[part] = seen.sum(axis=0)
    return Patterns(corrected, patterns, squares, counts)


def residual_variance(found: Sequence[Patterns], n_months: int, rank: int) -> list[np.ndarray]:
    """Return the variance that the modes leave, float32 (cell,), of each part of the record.

    Fitted means and modes take freedom from the residuals. A cell that was rarely observed is drawn
    to the mean of all.
    """
    free = max(free_months(n_months) - rank, 1) / n_months
    total = sum(float(part.squares.sum()) for part in found)
    mean = total / max(1.0, free * sum(float(part.counts.sum()) for part in found))
    return [
        ((part.squares + _MONTHS_OF_MEAN * mean) / (part.counts * free + _MONTHS_OF_MEAN)).astype(
            np.float32
        )
        for part in found
    ]


def iterate(
    covariance_with: Callable[[Modes | None], np.ndarray],
    rank: int,
    start: Modes | None,
    *,
    converged: float = CONVERGED,
) -> Modes:
    """Improve modes and filling in turns until the covariance of months stays.

    Parameters
    ----------
    covariance_with
        Returns the covariance of months (time, time) with gaps filled by given modes.
    rank
        Number of modes.
    start
        First guess; None to begin without an anomaly in gaps.
    converged
        Rounds end when the covariance changes by less than this part of itself.
    """
    covariance = covariance_with(start)
    for _ in range(_MOST_ROUNDS):
        modes = modes_of(covariance, rank)
        again = covariance_with(modes)
        change = np.linalg.norm(again - covariance)
        covariance = again
        if change <= converged * np.linalg.norm(covariance):
            break
    return modes_of(covariance, rank)


def _parts(n_cells: int) -> list[slice]:
    return [slice(at, at + CELLS_AT_ONCE) for at in range(0, n_cells, CELLS_AT_ONCE)]


# --- bands of a record: each function is one task ------------------------------------------------


def bands_of(grid: Grid, n_months: int) -> list[slice]:
    """Return the bands of rows that a record of so many months is worked on in."""
    rows = max(1, VALUES_IN_BAND // (n_months * grid.n_lon))
    return [slice(at, min(at + rows, grid.n_lat)) for at in range(0, grid.n_lat, rows)]


def _read_cells(
    reader: MonthReader, rows: slice, ocean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    values, observed = reader.read(rows)
    return values[:, ocean], observed[:, ocean]


def read_sample(
    reader: MonthReader, rows: slice, ocean: np.ndarray, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return every ``stride``-th row and column of a band: values and flags (time, row, column)."""
    values, observed = reader.read(rows)
    first = (stride // 2 - rows.start) % stride
    chosen = np.s_[:, first::stride, stride // 2 :: stride]
    return np.ascontiguousarray(values[chosen]), observed[chosen] & ocean[chosen[1:]]


def band_covariance(
    reader: MonthReader, rows: slice, ocean: np.ndarray, modes: Modes | None
) -> np.ndarray:
    """Return a band's part of the covariance of months, weighted by area (m2)."""
    values, observed = _read_cells(reader, rows, ocean)
    calendar = calendar_months(reader.months)
    anomaly = anomalies(values, observed, calendar)[1]
    del values, observed
    return covariance_sum(anomaly, calendar, reader.grid.cell_area[rows][ocean], modes)


def band_patterns(reader: MonthReader, rows: slice, ocean: np.ndarray, modes: Modes) -> Patterns:
    """Return the patterns of modes on a band."""
    values, observed = _read_cells(reader, rows, ocean)
    calendar = calendar_months(reader.months)
    climatology, anomaly = anomalies(values, observed, calendar)
    del values, observed
    return patterns_of(climatology, anomaly, calendar, modes)


def band_arguments(reader: MonthReader, ocean: np.ndarray, *further: Any) -> list[tuple[Any, ...]]:
    """Return the arguments of one task for each band."""
    bands = bands_of(reader.grid, len(reader.months))
    return [(reader, rows, ocean[rows], *further) for rows in bands]
