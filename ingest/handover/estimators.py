"""Scale and offsets between two products, from the sums and maps of their common months.

For each region and calendar month: old = offset + scale x new.

**Scale.** Least squares would find a scale that is too small, as noise in the new product counts as
signal (errors in variables). Its values of the same calendar month of *another* year serve as the
instrument instead: they share the place's persistent pattern but not the noise, even where that is
correlated in space. Noise in the old product does no harm either (Wald 1940, Annals of Mathematical
Statistics 11, 284-300; Angrist and Krueger 2001, Journal of Economic Perspectives 15, 69-85). One
scale a region is pooled over the calendar months, and one a calendar month only from
`LONG_OVERLAP_YEARS` years on.

**Offsets.** Two or three differences a calendar month are few, so each calendar month's mean
difference is drawn towards two harmonics through all twelve, the more so the less it is known:
empirical Bayes with the variance between years and that of the departures from the harmonics
estimated from the differences themselves (Efron and Morris 1973, JASA 68, 117-130).

Standard errors of scales come from leaving calendar months, or years, out in turn (jackknife).
"""

from dataclasses import dataclass

import numpy as np

LONG_OVERLAP_YEARS = 10
"""Years of each calendar month from which on a calendar month has a scale of its own."""

# What is believed of a scale before any month was seen: near one, so uncertain.
_PRIOR_SCALE, _PRIOR_ERROR = 1.0, 0.5
# An instrument's covariance below so many of its standard errors tells nothing of the scale.
_LEAST_STRENGTH = 3.0
_HARMONICS = 2


@dataclass(frozen=True)
class Estimate:
    """Values and their standard errors, arrays of one shape."""

    value: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class PairSums:
    """Covariances between pairs of years of one calendar month, summed over regions' blocks.

    Parameters
    ----------
    calendar_month
        (pair,), 1 to 12.
    years
        (pair, 2) the two years.
    with_old, with_new
        (pair, region) area-weighted sums of products of anomalies from the region's mean: new of
        one year with old, and with new, of the other.
    """

    calendar_month: np.ndarray
    years: np.ndarray
    with_old: np.ndarray
    with_new: np.ndarray

    def without_year(self, year: int) -> "PairSums":
        """Return the pairs that a year has no part in."""
        kept = (self.years != year).all(axis=1)
        return PairSums(
            self.calendar_month[kept], self.years[kept], self.with_old[kept], self.with_new[kept]
        )


def pair_sums(
    new: np.ndarray,
    old: np.ndarray,
    weight: np.ndarray,
    months: np.ndarray,
    region: np.ndarray,
    n_regions: int,
) -> PairSums:
    """Return the covariances between every two years of each calendar month.

    Parameters
    ----------
    new, old
        (month, block), mmol m-2 d-1; anything where the weight is zero.
    weight
        (month, block), area in common; zero where there is none.
    months
        (month,) datetime64[M].
    region
        (block,) index of each block's region.
    n_regions
        How many regions there are.
    """
    number = months.astype(int)
    calendar, year = number % 12 + 1, number // 12 + 1970
    pairs = [
        (i, j)
        for i in range(len(months))
        for j in range(i + 1, len(months))
        if calendar[i] == calendar[j]
    ]
    with_old, with_new = np.zeros((len(pairs), n_regions)), np.zeros((len(pairs), n_regions))
    for position, (i, j) in enumerate(pairs):
        both = np.minimum(weight[i], weight[j]).astype(np.float64)
        used = both > 0
        at, w = region[used], both[used]
        xi, xj, yi, yj = (
            _anomaly(field[used].astype(np.float64), w, at, n_regions)
            for field in (new[i], new[j], old[i], old[j])
        )
        with_old[position] = np.bincount(at, w * (xi * yj + xj * yi), minlength=n_regions)
        with_new[position] = np.bincount(at, 2 * w * xi * xj, minlength=n_regions)
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    return PairSums(
        calendar[first], np.stack([year[first], year[second]], axis=1), with_old, with_new
    )


def _anomaly(field: np.ndarray, weight: np.ndarray, at: np.ndarray, n: int) -> np.ndarray:
    area = np.bincount(at, weight, minlength=n)
    total = np.bincount(at, weight * field, minlength=n)
    return field - (total / np.where(area > 0, area, 1.0))[at]


def fit_scales(pairs: PairSums) -> tuple[Estimate, Estimate]:
    """Return the scale of each region and calendar month (region, 12), and that of the whole (12,).

    A region's scale is drawn towards the whole's, and a calendar month's towards its region's, as
    offsets are towards their harmonics; the whole's towards one.
    """
    whole = _drawn(
        _jackknife(pairs.with_old.sum(axis=1), pairs.with_new.sum(axis=1), _by_month(pairs)),
        Estimate(np.array(_PRIOR_SCALE), np.array(0.0)),
        _PRIOR_ERROR**2,
    )
    n_regions = pairs.with_old.shape[1]
    own = [
        _jackknife(pairs.with_old[:, r], pairs.with_new[:, r], _by_month(pairs))
        for r in range(n_regions)
    ]
    regional = _drawn_together(_stacked(own), whole)
    months = _seasonal(pairs, regional)
    spread = np.ones(12)
    return months, Estimate(whole.value * spread, whole.error * spread)


def _seasonal(pairs: PairSums, regional: Estimate) -> Estimate:
    """Return a scale a calendar month (region, 12): its own only where years are many."""
    n_regions = len(regional.value)
    value = np.repeat(regional.value[:, None], 12, axis=1)
    error = np.repeat(regional.error[:, None], 12, axis=1)
    years = [len(np.unique(pairs.years[pairs.calendar_month == m])) for m in range(1, 13)]
    if min(years) < LONG_OVERLAP_YEARS:
        return Estimate(value, error)
    for r in range(n_regions):
        parts = []
        for m in range(1, 13):
            of = pairs.calendar_month == m
            present = np.unique(pairs.years[of])
            left_out = np.stack([(pairs.years[of] == year).any(axis=1) for year in present])
            parts.append(_jackknife(pairs.with_old[of, r], pairs.with_new[of, r], left_out))
        parent = Estimate(regional.value[r], regional.error[r])
        made = _drawn_together(_stacked(parts), parent)
        value[r], error[r] = made.value, made.error
    return Estimate(value, error)


def _by_month(pairs: PairSums) -> np.ndarray:
    """Return which pairs each calendar month has (group, pair)."""
    return np.stack([pairs.calendar_month == m for m in np.unique(pairs.calendar_month)])


def _jackknife(numerator: np.ndarray, denominator: np.ndarray, groups: np.ndarray) -> Estimate:
    """Return a ratio of sums with its error; not finite where the denominator is too weak.

    Parameters
    ----------
    numerator, denominator
        (pair,) terms of the sums.
    groups
        Boolean (group, pair): what each turn leaves out.
    """
    above, below = numerator.sum(), denominator.sum()
    unknown = Estimate(np.array(np.nan), np.array(np.inf))
    n = len(groups)
    if n < 3 or below <= 0:
        return unknown
    above_left = above - groups @ numerator
    below_left = below - groups @ denominator
    part = np.sqrt(n / (n - 1) * np.sum((below_left - below_left.mean()) ** 2))
    if (below_left <= 0).any() or below < _LEAST_STRENGTH * part:
        return unknown
    ratios = above_left / below_left
    error = np.sqrt((n - 1) / n * np.sum((ratios - ratios.mean()) ** 2))
    return Estimate(np.asarray(above / below), np.asarray(error))


def _stacked(parts: list[Estimate]) -> Estimate:
    return Estimate(
        np.array([float(part.value) for part in parts]),
        np.array([float(part.error) for part in parts]),
    )


def _drawn_together(own: Estimate, parent: Estimate) -> Estimate:
    """Return estimates drawn towards their parent by how much they truly differ from it."""
    known = np.isfinite(own.value)
    variance = 0.0
    if known.any():
        away = (own.value - parent.value)[known] ** 2 - own.error[known] ** 2
        variance = max(0.0, float(np.average(away, weights=1 / (own.error[known] ** 2 + 1e-12))))
    return _drawn(own, parent, variance)


def _drawn(own: Estimate, parent: Estimate, variance: float) -> Estimate:
    """Return the mean of an estimate and its parent by how well each tells the value."""
    known = np.isfinite(own.value)
    noise = np.where(known, own.error, np.inf) ** 2
    trust = np.where(known, variance / np.where(known, variance + noise, 1.0), 0.0)
    trust = np.where(known & (variance + noise == 0), 1.0, trust)
    value = np.where(known, own.value, 0.0) * trust + parent.value * (1 - trust)
    spread = trust * np.where(known, noise, 0.0) + (1 - trust) * parent.error**2
    unknown_error = variance * (1 - trust) * ~known
    return Estimate(value, np.sqrt(spread + unknown_error))


def fit_offsets(difference: np.ndarray, weight: np.ndarray, calendar_month: np.ndarray) -> Estimate:
    """Return the offset of each calendar month (12,) from the months' differences.

    Parameters
    ----------
    difference
        (month,) regional mean of old − scale x new, mmol m-2 d-1.
    weight
        (month,) area in common, above zero.
    calendar_month
        (month,), 1 to 12; every calendar month occurs.
    """
    position = calendar_month - 1
    count = np.bincount(position, minlength=12).astype(np.float64)
    area = np.bincount(position, weight, minlength=12)
    mean = np.bincount(position, weight * difference, minlength=12) / area
    freedom = max(1.0, float((count - 1).sum()))
    between_years = float(np.sum((difference - mean[position]) ** 2)) / freedom
    angle = 2 * np.pi * np.arange(12)[:, None] / 12 * np.arange(1, _HARMONICS + 1)
    design = np.hstack([np.ones((12, 1)), np.cos(angle), np.sin(angle)])
    information = np.linalg.inv(design.T @ (count[:, None] * design))
    smooth = design @ (information @ (design.T @ (count * mean)))
    smooth_error2 = between_years * np.einsum("mi,ij,mj->m", design, information, design)
    departure = mean - smooth
    free = 12 - design.shape[1]
    variance = max(0.0, float(np.sum(count * departure**2)) / free - between_years) / count.mean()
    noise = between_years / count
    trust = np.where(variance + noise > 0, variance / np.maximum(variance + noise, 1e-300), 1.0)
    error = np.sqrt(trust * noise + (1 - trust) * smooth_error2)
    return Estimate(smooth + trust * departure, error)
