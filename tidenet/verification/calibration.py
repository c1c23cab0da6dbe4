"""Calibration of spread: factors fitted on hindcasts of the validation block, and nothing else.

How wide an ensemble has to be is learnt from few years: one unusual year may be half of the
block. So every factor is shrunk as far as it is badly known: that of a season to its lead's, that
of a lead to the mean of the leads, and their mean to 1 (empirical Bayes, by moments, on the
logarithm of the variance). The mean of the forecast is never changed.
"""

from dataclasses import dataclass

import numpy as np

from storage.errors import TidenetError
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


def fit_spread_factors(
    ratios: np.ndarray, init_months: np.ndarray, *, block_months: int = 12
) -> SpreadFactors:
    """Fit factors on the standard deviation.

    Parameters
    ----------
    ratios
        Squared error over predicted variance (month, lead), from `variance_ratios` or
        from added-up sums; NaN where there is none.
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


def _over(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return a quotient, NaN where nothing is below."""
    quotient: np.ndarray = np.where(lower != 0, upper / np.where(lower != 0, lower, 1), np.nan)
    return quotient
