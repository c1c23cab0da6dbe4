"""Calibration of spread: factors fitted on hindcasts of the validation block, and nothing else.

How wide an ensemble has to be is learnt from few years: one unusual year may be half of the
block. So every factor is shrunk as far as it is badly known: that of a season to its lead's, that
of a lead to the mean of the leads, and their mean to 1 (empirical Bayes, by moments, on the
logarithm of the variance). The mean of the forecast is never changed.
"""

from dataclasses import dataclass, replace

import numpy as np

from storage.errors import TidenetError
from tidenet.forecaster import Forecast
from tidenet.verification.monthly import SEASONS, season_of

PRIOR_LOG_SD = np.log(2.0)
"""Before any hindcast, the true error variance is taken to be within a factor of two, either way,
of the predicted one in two cases of three."""

YEAR_SD = 0.5
"""Before any hindcast, how much the mean squared error of a year varies, as a part of itself."""

YEAR_SD_WEIGHT = 2.0
"""Years that this presumption counts for beside those that were seen."""

ODD_YEAR = 2.0
"""A year whose error is this many times the median year's counts as this many times only."""

INNER, OUTER = 0.67448975, 1.64485363
"""Half widths of the central 50 and 90 % intervals of the standard normal."""

TAIL_YEARS = 2.0
"""Years that the normal shape counts for beside those that were seen."""

_FACTOR_LIMITS = (0.5, 2.0)


class NoHindcastsError(TidenetError):
    """There is nothing to fit a calibration on."""


@dataclass(frozen=True)
class SpreadFactors:
    """Factors on the standard deviation of an ensemble.

    Parameters
    ----------
    factor
        float32 (lead, 4), seasons in the order of `tidenet.verification.monthly.SEASONS`, of the
        valid month.
    unshrunk
        float32 (lead,) square root of the mean ratio of error variance to predicted variance.
    standard_error
        Of the logarithm of `factor`, the overall level.
    n_months
        Init months fitted on.
    """

    factor: np.ndarray
    unshrunk: np.ndarray
    standard_error: float
    n_months: int

    def at(self, valid_months: np.ndarray) -> np.ndarray:
        """Return the factor of each lead for the month that it is valid in, float32 (lead,)."""
        chosen: np.ndarray = self.factor[np.arange(len(self.factor)), season_of(valid_months)]
        return chosen


@dataclass(frozen=True)
class TailMap:
    """A monotone map of standardised errors that is odd, so that it moves no mean.

    A normal error of the size of the 50 % interval's end becomes `inner` times larger, one of the
    90 % interval's end and beyond `outer` times; linear between.
    """

    inner: float = 1.0
    outer: float = 1.0

    def apply(self, z: np.ndarray) -> np.ndarray:
        """Return mapped standardised errors, in the shape and type of `z`."""
        size = np.abs(z)
        known = (0.0, INNER, OUTER)
        mapped = np.interp(size, known, (0.0, INNER * self.inner, OUTER * self.outer))
        mapped = np.where(size > OUTER, size * self.outer, mapped)
        return np.copysign(mapped, z).astype(z.dtype)


def variance_ratios(errors: np.ndarray, variance: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return squared error over predicted variance, (month, lead), mean over the area.

    Parameters
    ----------
    errors
        Observed minus forecast (month, lead, height, width), not used to fit the forecast.
    variance
        Predicted, (lead, height, width) or (month, lead, height, width), in the errors' units
        squared. Where it is below a hundredth of the mean it counts as that.
    weight
        Area (height, width) or anything that broadcasts to `errors`; 0 on land, where errors and
        variance may hold anything.

    Returns
    -------
    numpy.ndarray
        float64; NaN for a month and lead without weight.
    """
    weight = np.broadcast_to(weight, errors.shape)
    there = weight > 0
    variance = np.where(there, np.broadcast_to(variance, errors.shape), 0.0)
    total = weight.sum(axis=(-2, -1))
    mean = _over((weight * variance).sum(axis=(-2, -1)), total)
    least = 0.01 * np.nan_to_num(mean)[..., None, None]
    ratio = np.square(np.where(there, errors, 0.0)) / np.maximum(np.maximum(variance, least), 1e-30)
    return _over((weight * ratio).sum(axis=(-2, -1)), total)


def regional_ratios(
    errors: np.ndarray, variance_of_mean: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Return squared error of the regional mean over its predicted variance, (month, lead).

    The check on correlated errors: an ensemble may be right in every cell and far too sure of the
    sum of them. One value a month: only the mean over many says something.

    Parameters
    ----------
    errors, weight
        As for `variance_ratios`.
    variance_of_mean
        Predicted variance of the area-weighted mean, (lead,) or (month, lead).
    """
    weight = np.broadcast_to(weight, errors.shape)
    total = weight.sum(axis=(-2, -1))
    mean = _over((weight * np.where(weight > 0, errors, 0.0)).sum(axis=(-2, -1)), total)
    return _over(np.square(mean), np.broadcast_to(variance_of_mean, mean.shape))


def fit_spread_factors(
    ratios: np.ndarray, init_months: np.ndarray, *, block_months: int = 12
) -> SpreadFactors:
    """Fit factors on the standard deviation.

    Parameters
    ----------
    ratios
        Squared error over predicted variance (month, lead), from `variance_ratios`, from
        `regional_ratios` or from added-up sums; NaN where there is none.
    init_months
        datetime64[M] (month,), rising. Lead ``k`` in column ``k - 1`` is valid ``k`` months later.
    block_months
        Months in a row that count as one independent case.

    Raises
    ------
    NoHindcastsError
        If a lead has no ratio.
    """
    init_months = np.asarray(init_months, dtype="datetime64[M]")
    there = np.isfinite(ratios)
    if not len(ratios) or not there.any(axis=0).all():
        raise NoHindcastsError(
            "There is nothing to fit the spread on.",
            found=f"{int(there.sum())} hindcasts in {len(ratios)} init months",
            expected="at least one observed hindcast at every lead",
            remedy="Make the validation block longer than the longest lead.",
        )
    block = ((init_months - init_months[0]).astype(int)) // block_months
    season = season_of(init_months[:, None] + np.arange(1, ratios.shape[1] + 1))
    tamed = _without_odd_blocks(ratios, block)
    years = len(ratios) / block_months
    lead_ratio = _mean(tamed)
    relative = tamed / np.maximum(lead_ratio, 1e-30)

    # The level: what the leads have in common. Their errors go together, so that many leads
    # know it no better than one.
    log_lead = np.log(np.maximum(lead_ratio, 1e-3))
    common = _mean(relative, axis=1)
    level, level_error = float(log_lead.mean()), _noise(common, block, years)
    level_weight = PRIOR_LOG_SD**2 / (PRIOR_LOG_SD**2 + level_error)
    by_lead = _shrunk(log_lead - level, _noise(relative - common + 1, block, years))
    by_season = _season_effects(relative, season, block, years)

    # Not the variance that is most likely, but its mean: what is not known makes wider.
    uncertainty = level_weight * level_error
    variance = level * level_weight + uncertainty / 2 + by_lead[:, None] + by_season
    factor = np.clip(np.exp(variance / 2), *_FACTOR_LIMITS)
    return SpreadFactors(
        factor.astype(np.float32),
        np.sqrt(_mean(ratios)).astype(np.float32),
        float(np.sqrt(uncertainty) / 2),
        len(ratios),
    )


def fit_tail_map(
    standardised: np.ndarray, weight: np.ndarray, *, block_months: int = 12
) -> TailMap:
    """Fit the shape of the errors' distribution, the same for all leads and seasons.

    Parameters
    ----------
    standardised
        Errors over the calibrated standard deviation (month, lead, height, width).
    weight
        As for `variance_ratios`.
    block_months
        Months in a row that count as one independent case.

    Notes
    -----
    The median and the 90 % quantile of the size of the errors, over those of the normal, as
    logarithms, shrunk to the normal's shape by ``years / (years + TAIL_YEARS)``.
    """
    weight = np.broadcast_to(weight, standardised.shape)
    there = weight > 0
    if not there.any():
        raise NoHindcastsError(
            "There is nothing to fit the shape of the errors on.",
            found="no observed cell",
            expected="hindcasts of observed months",
            remedy="Make the validation block longer than the longest lead.",
        )
    size, w = np.abs(standardised[there]), weight[there]
    order = np.argsort(size)
    below = np.cumsum(w[order]) / w.sum()
    at = np.minimum(np.searchsorted(below, (0.5, 0.9)), len(order) - 1)
    years = len(standardised) / block_months
    trust = years / (years + TAIL_YEARS)
    sizes = np.maximum(size[order][at], 1e-3)
    inner, outer = np.exp(trust * np.log(sizes / (INNER, OUTER)))
    return TailMap(float(inner), float(np.clip(outer, 0.6 * inner, 2.5 * inner)))


def variance_of_mean(
    patterns: np.ndarray, local_std: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what coherent patterns and local noise give to the variance of the regional mean.

    Parameters
    ----------
    patterns
        (pattern, lead, height, width), each times one normal number for the whole map.
    local_std
        (lead, height, width), independent from cell to cell.
    weight
        Area (height, width), 0 on land.

    Returns
    -------
    tuple of numpy.ndarray
        Two float64 (lead,), whose sum is the variance of the mean.
    """
    share = weight / weight.sum()
    coherent = np.square((patterns * share).sum(axis=(-2, -1))).sum(axis=0)
    local = np.square(local_std * share).sum(axis=(-2, -1))
    return coherent, local


def coherent_and_local_factors(
    cell_factor: np.ndarray,
    regional_factor: np.ndarray,
    patterns: np.ndarray,
    local_std: np.ndarray,
    weight: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return factors on patterns and local noise that make cells and the regional mean right.

    Parameters
    ----------
    cell_factor, regional_factor
        (lead,) factor wanted on the standard deviation of cells, and of the regional mean.
    patterns, local_std, weight
        As for `variance_of_mean`.

    Returns
    -------
    tuple of numpy.ndarray
        Factors on the standard deviation (lead,). Where no pair of them does both, the cells are
        made right and the regional mean comes as near as it can.
    """
    share = weight / weight.sum()
    far, near = variance_of_mean(patterns, local_std, weight)
    coherent = (np.square(patterns).sum(axis=0) * share).sum(axis=(-2, -1))
    local = (np.square(local_std) * share).sum(axis=(-2, -1))
    cells = np.square(cell_factor) * (coherent + local)
    region = np.square(regional_factor) * (far + near)
    # cells = a coherent + b local and region = a far + b near, for a and b not negative.
    both = coherent * near - local * far
    a = _over(cells * near - region * local, both, otherwise=np.square(cell_factor))
    a = np.clip(a, 0.0, _over(cells, coherent, otherwise=np.inf))
    b = _over(np.maximum(cells - a * coherent, 0.0), local, otherwise=np.square(cell_factor))
    return np.sqrt(a), np.sqrt(b)


def recalibrated(
    forecast: Forecast, factors: SpreadFactors, tails: TailMap | None = None
) -> Forecast:
    """Return a forecast with its members moved around its best estimate, which stays."""
    factor = factors.at(forecast.valid_months)
    members = np.empty_like(forecast.members)
    for lead, mean in enumerate(forecast.mean):
        error = forecast.members[:, lead] - mean
        if tails is not None:
            spread = np.sqrt(np.square(error).mean(axis=0))
            error = tails.apply(error / np.where(spread > 0, spread, 1.0)) * spread
        members[:, lead] = mean + factor[lead] * error
    return replace(forecast, members=members)


def _without_odd_blocks(ratios: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return the ratios with blocks of unusual size brought down, where three or more tell."""
    names = np.unique(block)
    if len(names) < 3:
        return ratios
    level = np.array([float(_mean(ratios[block == name].ravel())) for name in names])
    limit = ODD_YEAR * np.nanmedian(level)
    scale = np.minimum(limit / np.maximum(level, 1e-30), 1.0)
    tamed: np.ndarray = ratios * scale[np.searchsorted(names, block)][:, None]
    return tamed


def _noise(relative: np.ndarray, block: np.ndarray, years: float) -> float:
    """Return the sampling variance of a mean over the blocks of values around one (month, any).

    The variance between blocks is itself known from few of them: it is averaged with what is
    presumed of a year.
    """
    means = np.stack([_mean(relative[block == name]) for name in np.unique(block)])
    freedom = len(means) - 1
    around = np.square(means - _mean(means))
    seen = float(np.nansum(around) / np.isfinite(around).sum()) * len(means) if freedom else 0.0
    between = (YEAR_SD_WEIGHT * YEAR_SD**2 + seen) / (YEAR_SD_WEIGHT + freedom)
    return between / max(years, 1.0)


def _shrunk(effects: np.ndarray, noise: float) -> np.ndarray:
    """Return effects around zero, shrunk by the share of their variance that is not noise."""
    square = float(np.mean(np.square(effects)))
    shrunk: np.ndarray = effects * (max(square - noise, 0.0) / square if square > 0 else 0.0)
    return shrunk


def _season_effects(
    relative: np.ndarray, season: np.ndarray, block: np.ndarray, years: float
) -> np.ndarray:
    """Return log effects of the season (lead, 4), shrunk to none; their mean variance is one."""
    blocks = np.unique(block)
    table = np.stack(
        [
            [_mean(np.where(season == column, relative, np.nan)[block == name]) for name in blocks]
            for column in range(len(SEASONS))
        ],
        axis=-1,
    )
    mean = np.nan_to_num(_mean(table), nan=1.0)
    effects = np.log(np.maximum(mean, 1e-3))
    effects -= effects.mean(axis=1, keepdims=True)
    # Against the year's own level: how a season departs from its year, year by year.
    departure = (table - _mean(table, axis=2) + 1).reshape(len(blocks), -1)
    noise = _noise(departure, blocks, years)
    shrunk = _shrunk(effects, noise)
    centred: np.ndarray = shrunk - np.log(np.exp(shrunk).mean(axis=1, keepdims=True))
    return centred


def _mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the mean of what is there, NaN where nothing is; the axis of leads or seasons kept."""
    keep = axis > 0
    count = np.isfinite(values).sum(axis=axis, keepdims=keep)
    return _over(np.nansum(values, axis=axis, keepdims=keep), count.astype(float))


def _over(
    upper: np.ndarray, lower: np.ndarray, otherwise: np.ndarray | float = np.nan
) -> np.ndarray:
    """Return a quotient, and something else where nothing is below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: np.ndarray = np.where(
            lower != 0, upper / np.where(lower != 0, lower, 1), otherwise
        )
    return quotient
