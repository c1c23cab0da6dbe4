"""From the maps of a file to a complete field: what is ocean, what is missing, what fills it.

Nothing later than the training period decides anything: the ocean, the values that mean missing and
the climatology behind filled cells come from its months, and a gap is filled from its own month.
"""

from dataclasses import dataclass

import numpy as np

from ingest.field.errors import NoOceanError

LEAST_PRESENT = 0.5
"""Part of the training months in which a cell must have a value to count as ocean."""

LEAST_OBSERVED = 0.5
"""Part of a block's ocean that must have values for its mean to count as observed."""

LARGEST = 1e15
"""No quantity of the sea is larger; what is, means missing."""

USUAL_FILLS: tuple[float, ...] = (
    *(0.0, -1000.0, -888.0, -8888.0, -100.0, 1e10),
    *(-9999.0, -999.0, -99.0, -999.9, -99.99, -9999.9, -99999.0, -999999.0, -1e10),
    *(-32768.0, -32767.0, -32766.0, 32767.0, 9999.0, 999.0, 99999.0, 999999.0),
)
"""What files write for no value, often without saying so."""

FAR_OUT = 10.0
"""Such a value means missing if it lies so many standard deviations off all others."""

GAP_REACH = 2.0
"""Reach (cells, Gaussian) of the anomalies around a gap."""

_ROUNDS = 3
"""How often the climatology is made anew from a field that was filled with it."""

_LITTLE = 0.1
"""Weight of no anomaly at all: where little is known around a gap, it is filled calmly."""


@dataclass
class Survey:
    """What the maps of the training period hold, cell by cell.

    Parameters
    ----------
    count
        Months with a value (lat, lon).
    low, high
        Smallest and largest value (lat, lon).
    """

    count: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def blank(cls, shape: tuple[int, int]) -> "Survey":
        """Return one of no months."""
        return cls(np.zeros(shape, dtype=int), np.full(shape, np.inf), np.full(shape, -np.inf))

    def add(self, values: np.ndarray) -> None:
        """Add a month (lat, lon), NaN where nothing is."""
        self.count += np.isfinite(values)
        self.low = np.fmin(self.low, values)
        self.high = np.fmax(self.high, values)

    def ocean(self, n_months: int) -> np.ndarray:
        """Return the cells that have values most of the time, and not always the same.

        Raises
        ------
        NoOceanError
            If there is none.
        """
        there = self.count >= max(LEAST_PRESENT * n_months, 2)
        ocean: np.ndarray = there & (self.high > self.low)
        if not ocean.any():
            raise NoOceanError(
                "No cell has enough values that change."
                if there.any()
                else "No cell has values most of the time.",
                found=f"{int(there.sum())} of {there.size} cells with values in half of the "
                f"{n_months} training months that have any, at most {int(self.count.max())}",
                expected="cells with values in half of these months that change",
                remedy="Choose another variable, or another training period.",
            )
        return ocean


@dataclass
class FillSearch:
    """Looks for values that mean missing without being declared.

    Parameters
    ----------
    candidates
        Values that may mean missing.
    counts
        How often each of them occurs.
    n, mean, square, low, high
        Number, mean, summed squared deviation and range of all other values, as far as they say
        what is usual.
    """

    candidates: tuple[float, ...]
    counts: np.ndarray
    n: int = 0
    mean: float = 0.0
    square: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    @classmethod
    def among(cls, candidates: tuple[float, ...] = USUAL_FILLS) -> "FillSearch":
        """Return one that has seen nothing."""
        return cls(candidates, np.zeros(len(candidates), dtype=int))

    def add(self, values: np.ndarray, *, usual: bool) -> None:
        """Look at a month (lat, lon), NaN where nothing is; ``usual``: it says what is usual."""
        present = values[np.isfinite(values)]
        fills = np.isin(present, np.asarray(self.candidates, dtype=present.dtype))
        for number, fill in enumerate(self.candidates if fills.any() else ()):
            self.counts[number] += int((present == present.dtype.type(fill)).sum())
        rest = present[~fills].astype(np.float64)
        if not (usual and rest.size):
            return
        # Mean and squares of two parts together (Chan, Golub and LeVeque 1983).
        mean, total = rest.mean(), self.n + rest.size
        shift = mean - self.mean
        self.square += np.square(rest - mean).sum() + shift**2 * self.n * rest.size / total
        self.mean += shift * rest.size / total
        self.n = total
        self.low, self.high = min(self.low, rest.min()), max(self.high, rest.max())

    def found(self) -> tuple[float, ...]:
        """Return the values that mean missing."""
        if self.n < 2:
            return ()
        std, span = np.sqrt(self.square / self.n), self.high - self.low
        return tuple(
            fill
            for fill, count in zip(self.candidates, self.counts, strict=True)
            if count
            and abs(fill - self.mean) > FAR_OUT * std
            # Zero is often meant: it has to lie far from any other value.
            and (fill != 0 or not self.low - span <= fill <= self.high + span)
        )


def without(values: np.ndarray, fills: tuple[float, ...]) -> np.ndarray:
    """Return values with NaN where they are one of some values, or larger than anything."""
    values = np.where(np.abs(values) > LARGEST, np.nan, values)
    for fill in fills:
        values[values == values.dtype.type(fill)] = np.nan
    return values


def block_means(values: np.ndarray, weight: np.ndarray, factor: int) -> np.ndarray:
    """Return area-weighted means over blocks of the cells that have values.

    Parameters
    ----------
    values
        (lat, lon), NaN where nothing is.
    weight
        Cell area on ocean cells, 0 elsewhere (lat, lon).
    factor
        Cells per block and direction.

    Returns
    -------
    numpy.ndarray
        float32, NaN where less than half of a block's ocean has values.
    """
    present = np.where(np.isfinite(values), weight, 0.0)
    area, seen = (_block_sums(x, factor) for x in (weight, present))
    total = _block_sums(np.where(present > 0, values, 0.0) * present, factor)
    enough = (seen > 0) & (seen >= LEAST_OBSERVED * area)
    return np.where(enough, total / np.where(seen > 0, seen, 1.0), np.nan).astype(np.float32)


def ocean_blocks(ocean: np.ndarray, factor: int) -> np.ndarray:
    """Return the blocks (lat, lon) at least half of whose cells are ocean; any, where none is."""
    wet = _block_sums(ocean.astype(np.float64), factor)
    blocks: np.ndarray = wet >= 0.5 * _block_sums(np.ones(ocean.shape), factor)
    return blocks if blocks.any() else wet > 0


def completed(
    values: np.ndarray, ocean: np.ndarray, calendar: np.ndarray, n_training: int
) -> np.ndarray:
    """Fill the gaps over the ocean.

    A gap gets the climatology of its calendar month in the training period, plus the mean of the
    anomalies around it in the same month, the less the farther they are.

    Parameters
    ----------
    values
        float32 (time, lat, lon), NaN where nothing is.
    ocean
        Boolean (lat, lon).
    calendar
        Calendar month of each step, 1 to 12 (time,).
    n_training
        Steps of the training period, from the first on.

    Returns
    -------
    numpy.ndarray
        float32 (time, lat, lon): complete over the ocean, NaN elsewhere.
    """
    whole = np.where(ocean, values, np.nan).astype(np.float32)
    gaps = ocean & ~np.isfinite(whole)
    if not gaps.any():
        return whole
    training = slice(0, n_training)
    usual = _usual(whole[training], ocean, calendar[training])
    # Cells miss different years, and so would have the climatology of different years: what is
    # filled near what lies around it makes up for that.
    for _ in range(_ROUNDS):
        filled = _filled(whole[training], gaps[training], usual, calendar[training], ocean)
        usual = _usual(filled, ocean, calendar[training])
    return _filled(whole, gaps, usual, calendar, ocean)


def _filled(
    values: np.ndarray,
    gaps: np.ndarray,
    usual: np.ndarray,
    calendar: np.ndarray,
    ocean: np.ndarray,
) -> np.ndarray:
    """Return a copy (time, lat, lon) whose gaps are filled around the usual maps of the months."""
    whole = values.copy()
    for step in np.flatnonzero(gaps.any(axis=(1, 2))):
        mean = usual[calendar[step] - 1]
        anomaly = np.where(gaps[step], np.nan, whole[step] - mean)
        whole[step] = np.where(gaps[step], mean + _around(anomaly, ocean), whole[step])
    return whole


def _usual(values: np.ndarray, ocean: np.ndarray, calendar: np.ndarray) -> np.ndarray:
    """Return the mean of each calendar month, float64 (12, lat, lon), complete over the ocean.

    A calendar month in which a cell never has a value is the cell's own mean plus what the whole
    sea does in that month.
    """
    mean = np.full((12, *ocean.shape), np.nan)
    for month in range(12):
        fields = values[calendar == month + 1]
        count = np.isfinite(fields).sum(axis=0)
        total = np.nansum(fields, axis=0, dtype=np.float64)
        mean[month] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    known = np.isfinite(mean)
    own = np.where(known, mean, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    for month in range(12):
        here = known[month] & ocean
        shift = (mean[month][here] - own[here]).mean() if here.any() else 0.0
        mean[month] = np.where(known[month], mean[month], own + shift)
    return mean


def _around(anomaly: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    """Return a Gaussian mean of the anomalies that are there (lat, lon)."""
    from scipy.ndimage import gaussian_filter

    there = ocean & np.isfinite(anomaly)
    total = gaussian_filter(np.where(there, anomaly, 0.0), GAP_REACH, mode="constant")
    weight = gaussian_filter(there.astype(np.float64), GAP_REACH, mode="constant")
    smooth: np.ndarray = total / (weight + _LITTLE)
    return smooth


def _block_sums(values: np.ndarray, factor: int) -> np.ndarray:
    rows, columns = (-(-side // factor) for side in values.shape)
    pad = [(0, n * factor - side) for n, side in zip((rows, columns), values.shape, strict=True)]
    blocks = np.pad(values, pad).reshape(rows, factor, columns, factor)
    total: np.ndarray = blocks.sum(axis=(1, 3))
    return total
