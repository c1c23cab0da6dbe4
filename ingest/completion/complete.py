"""Completing a month: isolated spikes out, gaps filled, every cell flagged with its uncertainty.

With an EOF basis of earlier months, a gap is filled with the calendar month's mean, the modes whose
amplitudes are estimated from what was observed (DINEOF's reconstruction, see
`ingest.completion.amplitudes`), and what the modes leave of the observed anomaly around the gap. A
young record has no basis: then the anomaly around the gap is all there is beside the mean of
earlier years.

Only this month, earlier years of the record and the basis are used, so that the same file gives the
same month whenever it is ingested.
"""

from dataclasses import dataclass

import numpy as np

from ingest.completion.amplitudes import (
    EofBasis,
    estimate_amplitudes,
    misfit,
    reconstruct,
    require_fit,
)
from ingest.completion.local_mean import surroundings
from ingest.completion.tasks import one_thread
from ingest.errors import TooLittleObservedError
from ingest.reader import ProductMonth
from storage.flux_month import FluxMonth, Quality, SourceFile
from storage.months import calendar_month

# Part of the year-to-year variance that an average of each width tells of a cell inside a gap: the
# wider it is, the less. Measured on synthetic months, whose truth under the clouds is known.
EXPLAINED = (0.85, 0.35, 0.0)
# Least part of the ocean cells that a month is completed from.
LEAST_OBSERVED = 0.05
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
    method
        How gaps were filled: ``gaussian``, ``eof:BASIS:RANK``, or nothing where there were none.
    """

    month: FluxMonth
    n_observed: int
    n_completed: int
    n_spikes: int
    method: str

    @property
    def spike_rate(self) -> float:
        """Part of the delivered ocean cells that were removed as spikes."""
        return self.n_spikes / (self.n_observed + self.n_spikes)


@dataclass(frozen=True)
class _Filling:
    """What every cell of the ocean would be filled with (lat, lon), and its standard deviation."""

    flux: np.ndarray
    error: np.ndarray
    method: str


def complete_month(
    product_month: ProductMonth,
    ocean: np.ndarray,
    earlier: np.ndarray,
    *,
    observed_uncertainty: float,
    source: SourceFile,
    basis: EofBasis | None = None,
) -> Completion:
    """Complete a month on the record's ocean cells.

    The uncertainty of a filled cell is the error of the filling and that of an observation, added
    as variances: a filled cell is never more certain than an observed one.

    Parameters
    ----------
    product_month
        The month, as read.
    ocean
        Boolean (lat, lon), the record's mask.
    earlier
        float32 (year, lat, lon): the same calendar month in earlier years of the record. Not looked
        at where there is a basis, which has its own climatology.
    observed_uncertainty
        One standard deviation of an observed cell whose file states none, mmol m-2 d-1.
    source
        The file, for the record's history.
    basis
        Fitted on months before this one; None where the record is too young for one.

    Raises
    ------
    TooLittleObservedError
        If fewer than `LEAST_OBSERVED` of the ocean cells were observed.
    BasisMismatchError
        If the basis belongs to another grid or mask.
    """
    flux = np.where(ocean, product_month.fco2, np.nan).astype(np.float32)
    _refuse_too_little(flux, ocean)
    if basis is None:
        background, spread = _background(flux, ocean, earlier)
    else:
        require_fit(basis, product_month.grid, ocean)
        background = _on_grid(basis.climatology[calendar_month(product_month.month) - 1], ocean)
    spikes = _spikes(flux - background)
    flux[spikes] = np.nan
    observed = np.isfinite(flux)
    gaps = ocean & ~observed
    if basis is None:
        filling = _by_surroundings(flux, background, spread, ocean, product_month.grid.step)
    else:
        filling = _by_modes(flux, background, basis)
    quality = np.zeros(ocean.shape, dtype=np.uint8)
    quality[observed] = Quality.OBSERVED
    quality[gaps] = Quality.COMPLETED
    stated = np.where(
        np.isfinite(product_month.uncertainty), product_month.uncertainty, observed_uncertainty
    )
    # A filled value stands for an observation, which is itself not the truth.
    guessed = np.sqrt(filling.error**2 + observed_uncertainty**2)
    uncertainty = np.where(observed, stated, np.where(gaps, guessed, np.nan)).astype(np.float32)
    month = FluxMonth(
        month=product_month.month,
        grid=product_month.grid,
        fco2=np.where(gaps, filling.flux, flux).astype(np.float32),
        quality=quality,
        uncertainty=uncertainty,
        source=source,
    )
    method = filling.method if gaps.any() else ""
    return Completion(month, int(observed.sum()), int(gaps.sum()), int(spikes.sum()), method)


def _refuse_too_little(flux: np.ndarray, ocean: np.ndarray) -> None:
    n_seen, n_ocean = int(np.isfinite(flux).sum()), int(ocean.sum())
    if n_seen == 0 or n_seen < LEAST_OBSERVED * n_ocean:
        raise TooLittleObservedError(
            "Too little of the ocean was observed; the rest would be invented.",
            found=f"{n_seen} of {n_ocean} cells",
            expected=f"at least {LEAST_OBSERVED:.0%} of them",
            remedy="Fetch the file again later, or ask the provider.",
        )


def _by_modes(flux: np.ndarray, background: np.ndarray, basis: EofBasis) -> _Filling:
    """Fill with the climatology, the modes and the surroundings of what they leave."""
    ocean = basis.ocean
    anomaly = (flux - background)[ocean]
    with one_thread():  # the same bytes on any number of cores
        modes, variance = reconstruct(basis, estimate_amplitudes(basis, anomaly))
    left = anomaly - modes
    residual = _on_grid(left, ocean)
    around = surroundings(np.isfinite(residual), ocean, basis.grid.step)
    local = around.on_cells(around.means(residual), basis.local_gain)[ocean]
    explained = around.on_cells(around.trusts, basis.local_explained)[ocean]
    expected = variance + basis.residual_variance * (1 - explained)
    error = basis.calibration * np.sqrt(misfit(basis, left) * expected)
    filled = _on_grid(modes + local, ocean) + background
    return _Filling(filled, _on_grid(error, ocean), f"eof:{basis.id}:{basis.rank}")


def _by_surroundings(
    flux: np.ndarray, background: np.ndarray, spread: np.ndarray, ocean: np.ndarray, step: float
) -> _Filling:
    """Fill with the background and the anomaly around, shrunk where little was observed near by."""
    anomaly = flux - background
    around = surroundings(np.isfinite(anomaly), ocean, step)
    local = around.on_cells(around.means(anomaly), (1.0,) * len(EXPLAINED))
    explained = around.on_cells(around.trusts, EXPLAINED)
    # What the neighbours do not tell about the anomaly.
    error = np.sqrt(spread**2 * (1 - explained))
    return _Filling(background + local, error, "gaussian")


def _on_grid(values: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    """Return values of ocean cells as a map (lat, lon), NaN on land."""
    field = np.full(ocean.shape, np.nan, dtype=values.dtype)
    field[ocean] = values
    return field


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
