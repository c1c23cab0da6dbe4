"""Completing a month: isolated spikes out, gaps filled, every cell flagged with its uncertainty.

A gap is filled with the calendar month's mean of earlier years plus the anomaly of what was
observed around it: a Gaussian average over ocean cells, shrunk towards no anomaly where little was
observed near by. Only this month and earlier years of the record are used, so that the same file
gives the same month whenever it is ingested.
"""

from dataclasses import dataclass

import numpy as np

from ingest.errors import TooLittleObservedError
from ingest.reader import ProductMonth
from storage.flux_month import FluxMonth, Quality, SourceFile

# Averages over wider and wider surroundings (degrees); the narrowest that saw enough counts most.
SCALES_DEG = (0.3, 1.0, 3.0)
# Part of the year-to-year variance that an average of each width tells of a cell inside a gap: the
# wider it is, the less. Measured on synthetic months, whose truth under the clouds is known.
EXPLAINED = (0.85, 0.35, 0.0)
# The averages run on a grid of at most so many cells a side: such anomalies are smooth on it.
_COARSE_CELLS = 200
# Part of the weight around a cell at which an average counts half.
_HALF_WEIGHT = 0.05
# A spike stands out from the median of its 3 x 3 cells by so many robust standard deviations of all
# such differences, and by so many mmol m-2 d-1.
_SPIKE_DEVIATIONS = 15.0
_SPIKE_FLUX = 8.0
_MAD_TO_STD = 1.4826


@dataclass(frozen=True)
class Completion:
    """A completed month, and what was done to it.

    Parameters
    ----------
    month
        Ready to be committed.
    n_observed, n_completed, n_spikes
        Ocean cells with an observed value, with a filled one, and of these, removed spikes.
    """

    month: FluxMonth
    n_observed: int
    n_completed: int
    n_spikes: int


def complete_month(
    product_month: ProductMonth,
    ocean: np.ndarray,
    earlier: np.ndarray,
    *,
    observed_uncertainty: float,
    source: SourceFile,
) -> Completion:
    """Complete a month on the record's ocean cells.

    Parameters
    ----------
    product_month
        The month, as read.
    ocean
        Boolean (lat, lon), the record's mask.
    earlier
        float32 (year, lat, lon): the same calendar month in earlier years of the record.
    observed_uncertainty
        One standard deviation of an observed cell whose file states none, mmol m-2 d-1.
    source
        The file, for the record's history.

    Raises
    ------
    TooLittleObservedError
        If no ocean cell was observed.
    """
    flux = np.where(ocean, product_month.fco2, np.nan).astype(np.float32)
    if not np.isfinite(flux).any():
        raise TooLittleObservedError(
            "No ocean cell was observed.",
            found=f"0 of {int(ocean.sum())} cells",
            expected="some observed cells",
            remedy="Fetch the file again later, or ask the provider.",
        )
    background, spread = _background(flux, ocean, earlier)
    spikes = _spikes(flux - background)
    flux[spikes] = np.nan
    observed = np.isfinite(flux)
    gaps = ocean & ~observed
    anomaly, explained = _spatial_mean(flux - background, ocean, product_month.grid.step)
    filled = np.where(gaps, background + anomaly, flux).astype(np.float32)
    quality = np.zeros(ocean.shape, dtype=np.uint8)
    quality[observed] = Quality.OBSERVED
    quality[gaps] = Quality.COMPLETED
    stated = np.where(
        np.isfinite(product_month.uncertainty), product_month.uncertainty, observed_uncertainty
    )
    # What the neighbours do not tell about the anomaly, besides the error of an observation.
    guessed = np.sqrt(spread**2 * (1 - explained) + observed_uncertainty**2)
    uncertainty = np.where(observed, stated, np.where(gaps, guessed, np.nan)).astype(np.float32)
    month = FluxMonth(
        month=product_month.month,
        grid=product_month.grid,
        fco2=filled,
        quality=quality,
        uncertainty=uncertainty,
        source=source,
    )
    return Completion(month, int(observed.sum()), int(gaps.sum()), int(spikes.sum()))


def _spikes(anomaly: np.ndarray) -> np.ndarray:
    """Return cells that stand out alone from their neighbours, boolean (lat, lon).

    Looking at anomalies leaves features alone that are there every year, however sharp.
    """
    from scipy.ndimage import median_filter

    seen = np.isfinite(anomaly)
    # Missing neighbours count as typical cells: they must not make a spike of a coastal one.
    typical = float(np.median(anomaly[seen]))
    around = median_filter(np.where(seen, anomaly, typical), size=3, mode="nearest")
    difference = np.where(seen, np.abs(anomaly - around), 0.0)
    scale = _MAD_TO_STD * float(np.median(difference[seen]))
    found = difference > max(_SPIKE_FLUX, _SPIKE_DEVIATIONS * scale)
    return found & (_neighbours(seen) == 8) & (_neighbours(found) == 0)


def _neighbours(flags: np.ndarray) -> np.ndarray:
    """Return how many of the eight neighbours are set."""
    padded = np.pad(flags.astype(np.int8), 1)
    n, m = flags.shape
    shifts = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    return np.sum([padded[i : i + n, j : j + m] for i, j in shifts], axis=0)


def _background(
    flux: np.ndarray, ocean: np.ndarray, earlier: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is expected without this month, and its standard deviation (lat, lon).

    The mean over earlier years of the calendar month; in the record's first year, the month's own
    mean over all observed cells.
    """
    own = flux[np.isfinite(flux)]
    spread = np.full(ocean.shape, float(own.std()), dtype=np.float32)
    if len(earlier) == 0:
        return np.where(ocean, float(own.mean()), np.nan).astype(np.float32), spread
    mean = earlier.mean(axis=0)
    if len(earlier) >= 3:
        spread = np.where(ocean, earlier.std(axis=0, ddof=1), np.nan)
    return np.where(ocean, mean, np.nan).astype(np.float32), spread.astype(np.float32)


def _spatial_mean(
    anomaly: np.ndarray, ocean: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the anomaly around each cell, and the part of its variance known by it (lat, lon)."""
    from scipy.ndimage import gaussian_filter

    factor = max(1, -(-max(anomaly.shape) // _COARSE_CELLS))
    seen = np.isfinite(anomaly)
    total = _block_sums(np.where(seen, anomaly, 0.0), factor)
    count = _block_sums(seen.astype(np.float64), factor)
    sea = _block_sums(ocean.astype(np.float64), factor)
    estimate = np.zeros_like(total)
    trusted = np.zeros_like(total)
    explained = np.zeros_like(total)
    for scale, telling in zip(SCALES_DEG, EXPLAINED, strict=True):
        sigma = scale / (step * factor)
        weighted, weight, all_sea = (
            gaussian_filter(values, sigma, mode="constant", truncate=3.0)
            for values in (total, count, sea)
        )
        share = np.divide(weight, all_sea, out=np.zeros_like(weight), where=all_sea > 1e-9)
        mean = np.divide(weighted, weight, out=np.zeros_like(weight), where=weight > 1e-9)
        trust = share / (share + _HALF_WEIGHT) * (1 - trusted)
        estimate += trust * mean
        explained += trust * telling
        trusted += trust
    return _refined(estimate, factor, anomaly.shape), _refined(explained, factor, anomaly.shape)


def _block_sums(values: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return values.astype(np.float64)
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], factor), axis=0)
    return np.add.reduceat(rows, np.arange(0, values.shape[1], factor), axis=1).astype(np.float64)


def _refined(values: np.ndarray, factor: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return coarse values on the fine grid, bilinear between block centres."""
    if factor == 1:
        return values
    from scipy.ndimage import map_coordinates

    rows, columns = ((np.arange(n) + 0.5) / factor - 0.5 for n in shape)
    grid = np.meshgrid(rows, columns, indexing="ij")
    return map_coordinates(values, grid, order=1, mode="nearest")
