"""Scoring forecasts: sums that add up exactly, and the scores made from them.

What is kept of a comparison are area-weighted sums, not means or ratios. Sums of months, leads and
runs add up to the sums of them all, so a score over any selection is exact.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np

from tidenet.forecaster import QUANTILES

_KM2 = 1e-6


@dataclass(frozen=True)
class SkillSums:
    """Area-weighted sums over the observed cells of a region; weights in km2.

    Fluxes are in mmol m-2 d-1; an anomaly is the departure from the training period's climatology.

    Parameters
    ----------
    region
        Name of the region.
    n_cells, weight
        Number of observed cells, and the sum of their areas (km2).
    squared_error, squared_error_climatology, squared_error_persistence,
    squared_error_damped_persistence
        Of the forecast's mean and of the references.
    error, absolute_error
        Forecast minus observed, and its size.
    crps, crps_climatology
        Continuous ranked probability score of the forecast, and of the normal distribution with
        climatological mean and standard deviation.
    anomaly_product, forecast_anomaly_squared, observed_anomaly_squared, forecast_anomaly,
    observed_anomaly
        What anomaly correlations are made of.
    variance
        Of the forecast's members.
    inside_50, inside_90
        Area where the observed value lies inside the central 50 and 90 % interval.
    """

    region: str
    n_cells: int
    weight: float
    squared_error: float
    squared_error_climatology: float
    squared_error_persistence: float
    squared_error_damped_persistence: float
    error: float
    absolute_error: float
    crps: float
    crps_climatology: float
    anomaly_product: float
    forecast_anomaly_squared: float
    observed_anomaly_squared: float
    forecast_anomaly: float
    observed_anomaly: float
    variance: float
    inside_50: float
    inside_90: float


@dataclass(frozen=True)
class PredictedMonth:
    """The fields of one forecast at one lead (lat, lon), mmol m-2 d-1.

    Parameters
    ----------
    mean, spread
        Best estimate and standard deviation of the members.
    quantiles
        (quantile, lat, lon) at `tidenet.forecaster.QUANTILES`.
    members
        (member, lat, lon), or None where they were not kept: the CRPS is then that of the normal
        distribution with this mean and spread.
    """

    mean: np.ndarray
    spread: np.ndarray
    quantiles: np.ndarray
    members: np.ndarray | None = None


@dataclass(frozen=True)
class ReferenceMonth:
    """The reference fields of the same valid month (lat, lon), mmol m-2 d-1."""

    climatology_mean: np.ndarray
    climatology_std: np.ndarray
    persistence: np.ndarray
    damped_persistence: np.ndarray


def score_month(
    predicted: PredictedMonth,
    reference: ReferenceMonth,
    observed: np.ndarray,
    observed_cells: np.ndarray,
    area: np.ndarray,
    region_masks: Mapping[str, np.ndarray],
) -> list[SkillSums]:
    """Score one lead of one run against what was observed.

    Parameters
    ----------
    predicted, reference
        The forecast's fields and those that it is held against.
    observed
        Observed flux (lat, lon), mmol m-2 d-1.
    observed_cells
        Boolean (lat, lon): cells whose value was observed, not completed. Others have no weight.
    area
        Cell area (lat, lon), m2.
    region_masks
        Name to boolean (lat, lon).

    Returns
    -------
    list of SkillSums
        One per region, in the order of `region_masks`; all sums 0 where nothing was observed.
    """
    weight = np.where(observed_cells & np.isfinite(observed), area * _KM2, 0.0)
    values = _cell_scores(predicted, reference, observed)
    # A cell without weight may hold anything, NaN included: it is replaced, not multiplied away.
    weighted = {name: np.where(weight > 0, value, 0.0) * weight for name, value in values.items()}
    rows = []
    for region, mask in region_masks.items():
        counted = mask & (weight > 0)
        sums = {name: float(value[mask].sum()) for name, value in weighted.items()}
        rows.append(SkillSums(region, int(counted.sum()), float(weight[mask].sum()), **sums))
    return rows


def _cell_scores(
    predicted: PredictedMonth, reference: ReferenceMonth, observed: np.ndarray
) -> dict[str, np.ndarray]:
    """Return every summand of `SkillSums` per cell (lat, lon), float64."""
    truth = observed.astype(np.float64)
    error = predicted.mean - truth
    forecast_anomaly = predicted.mean - reference.climatology_mean
    anomaly = truth - reference.climatology_mean
    low, lower, _, upper, high = predicted.quantiles
    assert len(QUANTILES) == len(predicted.quantiles)
    if predicted.members is not None:
        crps = crps_of_members(predicted.members, truth)
    else:
        crps = crps_of_normal(predicted.mean, predicted.spread, truth)
    return {
        "squared_error": error**2,
        "squared_error_climatology": anomaly**2,
        "squared_error_persistence": (reference.persistence - truth) ** 2,
        "squared_error_damped_persistence": (reference.damped_persistence - truth) ** 2,
        "error": error,
        "absolute_error": np.abs(error),
        "crps": crps,
        "crps_climatology": crps_of_normal(
            reference.climatology_mean, reference.climatology_std, truth
        ),
        "anomaly_product": forecast_anomaly * anomaly,
        "forecast_anomaly_squared": forecast_anomaly**2,
        "observed_anomaly_squared": anomaly**2,
        "forecast_anomaly": forecast_anomaly,
        "observed_anomaly": anomaly,
        "variance": np.square(predicted.spread, dtype=np.float64),
        "inside_50": ((lower <= truth) & (truth <= upper)).astype(np.float64),
        "inside_90": ((low <= truth) & (truth <= high)).astype(np.float64),
    }


def crps_of_members(members: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the fair CRPS of an ensemble (lat, lon).

    ``mean|x - y| - sum_ij |x_i - x_j| / (2 m (m - 1))`` (Ferro 2014), the second sum from the
    sorted members, without an array of pairs. It does not depend on the ensemble's size, on
    average. A single member has its absolute error.
    """
    n = len(members)
    distance: np.ndarray = np.abs(members - observed).mean(axis=0, dtype=np.float64)
    if n == 1:
        return distance
    rank = (2 * np.arange(1, n + 1) - n - 1).reshape(n, *[1] * (members.ndim - 1))
    ordered = np.sort(members, axis=0).astype(np.float64)
    return distance - (rank * ordered).sum(axis=0) / (n * (n - 1))


def crps_of_normal(mean: np.ndarray, std: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the CRPS of a normal distribution (Gneiting and Raftery 2007, eq. 21).

    ``s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))`` with ``z = (y - mean) / s``; the absolute
    error where the standard deviation is 0.
    """
    from scipy.special import ndtr

    distance = observed - np.asarray(mean, dtype=np.float64)
    s = np.asarray(std, dtype=np.float64)
    z = distance / np.where(s > 0, s, 1.0)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    value = s * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.where(s > 0, value, np.abs(distance))


def add_up(sums: Iterable[SkillSums]) -> SkillSums:
    """Return the sums of several months, leads or runs together.

    The region is kept where all agree and is ``mixed`` where they do not.
    """
    rows = list(sums)
    regions = {row.region for row in rows}
    names = [field.name for field in fields(SkillSums) if field.name != "region"]
    totals = {name: sum(getattr(row, name) for row in rows) for name in names}
    return SkillSums(region=regions.pop() if len(regions) == 1 else "mixed", **totals)


def scores(sums: SkillSums) -> dict[str, float]:
    """Return the scores of added-up sums; NaN where one is not defined.

    Returns
    -------
    dict
        ``msss``, ``msss_persistence``, ``msss_damped_persistence``: mean squared error skill
        against climatology, persistence, damped persistence (1 is perfect, 0 no better).
        ``acc``, ``acc_centred``: anomaly correlation without and with the mean taken out.
        ``bias``, ``rmse``, ``mae``, ``crps``: mmol m-2 d-1. ``crpss``: CRPS skill against
        climatology dressed with its own spread. ``spread_skill``: root mean variance of the
        members over the RMSE. ``coverage_50``, ``coverage_90``: part of the area inside.
    """
    weight = sums.weight

    def skill(own: float, reference: float) -> float:
        return 1 - own / reference if reference > 0 else float("nan")

    def mean(total: float) -> float:
        return total / weight if weight > 0 else float("nan")

    mse = mean(sums.squared_error)
    return {
        "msss": skill(sums.squared_error, sums.squared_error_climatology),
        "msss_persistence": skill(sums.squared_error, sums.squared_error_persistence),
        "msss_damped_persistence": skill(sums.squared_error, sums.squared_error_damped_persistence),
        "acc": _correlation(
            sums.anomaly_product, sums.forecast_anomaly_squared, sums.observed_anomaly_squared
        ),
        "acc_centred": _centred_correlation(sums),
        "bias": mean(sums.error),
        "rmse": float(np.sqrt(mse)),
        "mae": mean(sums.absolute_error),
        "crps": mean(sums.crps),
        "crpss": skill(sums.crps, sums.crps_climatology),
        "spread_skill": float(np.sqrt(mean(sums.variance) / mse)) if mse > 0 else float("nan"),
        "coverage_50": mean(sums.inside_50),
        "coverage_90": mean(sums.inside_90),
    }


def _centred_correlation(sums: SkillSums) -> float:
    if sums.weight <= 0:
        return float("nan")
    f, o = sums.forecast_anomaly, sums.observed_anomaly
    return _correlation(
        sums.anomaly_product - f * o / sums.weight,
        sums.forecast_anomaly_squared - f * f / sums.weight,
        sums.observed_anomaly_squared - o * o / sums.weight,
    )


def _correlation(product: float, first: float, second: float) -> float:
    if first <= 0 or second <= 0:
        return float("nan")
    return float(product / np.sqrt(first * second))
