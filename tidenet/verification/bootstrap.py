"""How sure a score is: block bootstrap over init months of sums that add up.

Forecasts of neighbouring months share their shocks and, with several leads, their valid months:
resampling single months would call far too much significant. Blocks of consecutive init months
are drawn instead, the axis closed to a circle (Kuensch 1989; Politis and Romano 1992). What is
drawn are sums, never fields: the totals of a resample are one matrix product away, and any score
of totals gets its interval in a fraction of a second. Two methods are compared on the same draws.

With few short blocks the percentiles of a bootstrap are too close together, so they are moved
away from the estimate by three factors on the standard error. (1) The variance of ``B`` blocks
around their own mean is ``(B - 1) / B`` of the true one. (2) It is uncertain: Student's t with
``B - 1`` degrees of freedom instead of the normal. (3) Dependence across the seams of blocks is
lost, a bias that falls as one over the length: from the variances with whole and with half blocks
it is extrapolated to none. Some 21 months hold three blocks of 6 and rank nothing; an interval
says so by its width and by the months that it carries.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tidenet.verification.monthly import (
    MonthlySums,
    Statistic,
    Totals,
    UnpairedMonthsError,
    listed,
)

N_RESAMPLES = 2000

LEAST_BLOCKS = 3
"""With fewer blocks nothing is known of their variance, and an interval has no ends."""


@dataclass(frozen=True)
class Interval:
    """A score with its bootstrap interval.

    Parameters
    ----------
    estimate, low, high
        The statistic of all months and the ends of its interval, which holds it, in the
        statistic's shape (``float(...)`` them where it is a single number).
    level
        Nominal coverage of the interval.
    n_months
        Init months that carry an observation.
    effective_months
        How many independent months would give this sampling variance, in the statistic's shape.
    block
        Length of the blocks, init months.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float
    n_months: int
    effective_months: np.ndarray
    block: int


@dataclass(frozen=True)
class PairedDifference(Interval):
    """Ours minus theirs on the same months.

    Parameters
    ----------
    p
        Two-sided p-value of no difference: below ``1 - level`` where the interval excludes zero,
        up to the step of the resamples.
    """

    p: np.ndarray


def block_length(n_months: int, window: int) -> int:
    """Return a block length for a number of init months.

    At least the window, the number of leads over which forecasts share valid months: errors
    inside it are dependent by construction. At least ``n ** (1/3)``, the rate at which the best
    length grows (Hall, Horowitz and Jing 1995). At most a third of the months: with fewer than
    three blocks there is nothing to resample.
    """
    wanted = max(window, int(np.ceil(n_months ** (1 / 3) - 1e-9)))
    return max(min(wanted, n_months // 3), 1)


def interval(sums: MonthlySums, statistic: Statistic, **options: Any) -> Interval:
    """Return one statistic with its interval; options as for `intervals`."""
    return intervals(sums, lambda totals: {"one": statistic(totals)}, **options)["one"]


def intervals(
    sums: MonthlySums,
    statistics: Callable[[Totals], Mapping[str, np.ndarray]],
    *,
    rng: np.random.Generator,
    window: int | None = None,
    block: int | None = None,
    level: float = 0.9,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, Interval]:
    """Return statistics of totals with their block-bootstrap intervals.

    Parameters
    ----------
    sums
        Sums by init month.
    statistics
        From totals to named arrays, such as `tidenet.verification.probability.probability_scores`.
    rng
        Draws the blocks.
    window
        Months over which forecasts overlap, for `block_length`; by default the longest lead (six
        where the leads were added up).
    block
        Block length, init months, in place of the one from `window`.
    level
        Nominal coverage.
    n_resamples
        Number of resamples.

    Returns
    -------
    dict of Interval
        NaN where a statistic is not defined. Resamples in which it is not are left out.
    """
    draws = _Draws.of(sums, rng, window, block, level, n_resamples)
    estimates, drawn, left_out = (
        statistics(totals)
        for totals in (sums.total(), draws.totals(sums.values), _without_each(sums.values))
    )
    return {
        name: draws.interval(np.asarray(estimates[name]), drawn[name], left_out[name])
        for name in estimates
    }


def paired_difference(
    ours: MonthlySums,
    theirs: MonthlySums,
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    window: int | None = None,
    block: int | None = None,
    level: float = 0.9,
    n_resamples: int = N_RESAMPLES,
) -> PairedDifference:
    """Return the difference of a statistic, ours minus theirs, with interval and p-value.

    Both are resampled with the same blocks, so that what the two have in common (easy and hard
    months) cancels.

    Parameters
    ----------
    ours, theirs
        Sums over the same init months, leads and cells.
    statistic
        Score of totals; larger is better where the sign of the difference is to mean so.
    rng, window, block, level, n_resamples
        As for `intervals`.

    Raises
    ------
    UnpairedMonthsError
        If init months, leads or the area verified differ.
    """
    _require_pairs(ours, theirs)
    both = {f"our {name}": value for name, value in ours.values.items()}
    both |= {f"their {name}": value for name, value in theirs.values.items()}

    def difference(totals: Totals) -> np.ndarray:
        our, their = (
            {n.removeprefix(side): v for n, v in totals.items() if n.startswith(side)}
            for side in ("our ", "their ")
        )
        return np.asarray(statistic(our)) - np.asarray(statistic(their))

    draws = _Draws.of(ours, rng, window, block, level, n_resamples)
    estimate = difference({name: value.sum(axis=0) for name, value in both.items()})
    drawn = difference(draws.totals(both))
    left_out = difference(_without_each(both))
    found = draws.interval(estimate, drawn, left_out)
    return PairedDifference(**vars(found), p=draws.p_of_zero(estimate, drawn, left_out))


def _require_pairs(ours: MonthlySums, theirs: MonthlySums) -> None:
    if ours.leads != theirs.leads or not np.array_equal(ours.init_months, theirs.init_months):
        only = np.setxor1d(ours.init_months, theirs.init_months)
        raise UnpairedMonthsError(
            "Two methods can only be compared on the same init months and leads.",
            found=f"leads {ours.leads} and {theirs.leads}; only one has {listed(only)}",
            expected="the same init months and leads",
            remedy="Score both on the same months, or cut both with common_months.",
        )
    mine, other = ours.values["weight"], theirs.values["weight"]
    apart = ~np.isclose(mine, other, rtol=1e-6)
    if apart.any():
        place = tuple(np.argwhere(apart)[0])
        raise UnpairedMonthsError(
            "Two methods can only be compared on the same observed cells.",
            found=f"{mine[place]:.6g} and {other[place]:.6g} km2 in {ours.init_months[place[0]]}, "
            f"lead {ours.leads[place[1]]}",
            expected="the same observed area in every month and lead",
            remedy="Score both against the same revision of the record and the same region.",
        )


@dataclass(frozen=True)
class _Draws:
    """Resamples of the init months: how often each month is in each, float64 (resample, month)."""

    counts: np.ndarray
    used: np.ndarray
    block: int
    level: float

    @classmethod
    def of(
        cls,
        sums: MonthlySums,
        rng: np.random.Generator,
        window: int | None,
        block: int | None,
        level: float,
        n_resamples: int,
    ) -> "_Draws":
        """Draw whole blocks, as many as hold the months; the last one is cut to fit."""
        n = len(sums.init_months)
        length = block or block_length(n, window or max(sums.leads) or 6)
        starts = rng.integers(0, n, size=(n_resamples, -(-n // length)))
        months = (starts[:, :, None] + np.arange(length)).reshape(n_resamples, -1)[:, :n] % n
        counts = np.zeros((n_resamples, n))
        np.add.at(counts, (np.arange(n_resamples)[:, None], months), 1.0)
        return cls(counts, sums.used, length, level)

    def totals(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the totals of each resample, (resample, lead, ...)."""
        return {name: np.tensordot(self.counts, value, axes=1) for name, value in values.items()}

    @cached_property
    def n_blocks(self) -> float:
        """Blocks with observations, the part-filled ones (of a season) counted as parts."""
        filled = _circular_sums(self.used.astype(float), self.block)
        square = float(np.square(filled).sum())
        return float(filled.sum()) ** 2 / square / self.block if square > 0 else 0.0

    def widened(self, estimate: np.ndarray, drawn: np.ndarray, left_out: np.ndarray) -> np.ndarray:
        """Return the resampled statistics, moved from the estimate for few and short blocks."""
        from scipy.stats import norm, t

        n, end = self.n_blocks, (1 + self.level) / 2
        few = np.sqrt(n / (n - 1)) * t.ppf(end, n - 1) / norm.ppf(end)
        _, drawn_variance, variance = self._variances(left_out)
        known = (drawn_variance > 0) & np.isfinite(variance)
        short = np.divide(variance, drawn_variance, out=np.ones_like(variance), where=known)
        moved: np.ndarray = estimate + few * np.sqrt(short) * (drawn - estimate)
        return moved

    def interval(self, estimate: np.ndarray, drawn: np.ndarray, left_out: np.ndarray) -> Interval:
        """Return the interval; without ends where there are fewer than three blocks."""
        low, high = np.full_like(estimate, -np.inf), np.full_like(estimate, np.inf)
        if self.n_blocks > LEAST_BLOCKS - 1e-6:
            tail = (1 - self.level) / 2
            moved = self.widened(estimate, drawn, left_out)
            low, high = _quantiles(moved, np.array([tail, 1 - tail]))
            # Resamples are never as flat or as reliable as all months: such a score only rises.
            low, high = np.minimum(low, estimate), np.maximum(high, estimate)
        undefined = np.isnan(estimate)
        n_months = int(self.used.sum())
        single, _, variance = self._variances(left_out)
        known = (variance > 0) & np.isfinite(single)
        ratio = np.divide(single, variance, out=np.ones_like(single), where=known)
        return Interval(
            estimate,
            np.where(undefined, np.nan, low),
            np.where(undefined, np.nan, high),
            self.level,
            n_months,
            np.where(undefined, np.nan, n_months * np.minimum(ratio, 1.0)),
            self.block,
        )

    def p_of_zero(
        self, estimate: np.ndarray, drawn: np.ndarray, left_out: np.ndarray
    ) -> np.ndarray:
        """Return the two-sided p-value of a difference of zero; 1 with fewer than three blocks."""
        if self.n_blocks < LEAST_BLOCKS - 1e-6:
            return np.where(np.isnan(estimate), np.nan, 1.0)
        moved = self.widened(estimate, drawn, left_out)
        tail = np.minimum((moved <= 0).mean(axis=0), (moved >= 0).mean(axis=0))
        least = 1 / len(self.counts)
        return np.where(np.isnan(estimate), np.nan, np.clip(2 * tail, least, 1.0))

    def _variances(self, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the variance of single months, of these blocks, and of blocks without end.

        All per month and of the jackknife's influence of each month on the statistic. With a bias
        that falls as one over the length (Kuensch 1989), twice the variance of whole blocks less
        that of half blocks is without it. It is kept between one and two times the former.
        """
        influence = left_out - left_out[self.used].mean(axis=0)
        influence[~self.used] = 0.0
        half = max(self.block // 2, 1)
        single, halves, whole = (
            np.square(_circular_sums(influence, length)).mean(axis=0) / length
            for length in (1, half, self.block)
        )
        if half == self.block:
            return single, whole, whole
        share = half / (self.block - half)
        return single, whole, np.clip(whole + share * (whole - halves), whole, 2 * whole)


def _circular_sums(values: np.ndarray, length: int) -> np.ndarray:
    """Return the sum of `length` values in a row from each place on, round the circle."""
    shifted = (np.roll(values, -k, axis=0) for k in range(length))
    return np.asarray(sum(shifted))


def _without_each(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the totals without each month in turn, (month, lead, ...)."""
    return {name: value.sum(axis=0) - value for name, value in values.items()}


def _quantiles(drawn: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return quantiles over the resamples, those without a value left out."""
    if not np.isnan(drawn).any():
        return np.quantile(drawn, levels, axis=0)
    flat = drawn.reshape(len(drawn), -1)
    columns = [column[~np.isnan(column)] for column in flat.T]
    ends = [np.quantile(c, levels) if c.size else np.full(len(levels), np.nan) for c in columns]
    return np.stack(ends, axis=-1).reshape(len(levels), *drawn.shape[1:])
