"""Choosing the number of modes: what fills withheld values of withheld months best.

An arriving month is not among those that the basis was fitted on. So whole blocks of consecutive
months are withheld from the fit, cloud-shaped patches of their observed values are hidden, and the
rest of each month fills them, just as `ingest.completion.complete` does. The same values tell how
much the surroundings of a gap add to the modes, and how far the error estimate is from the errors
found.

All of this runs on a thinned grid: the patterns are smooth, and a few thousand cells suffice.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ingest.completion.amplitudes import estimate_amplitudes, misfit, reconstruct
from ingest.completion.cloud_shapes import cloud_shape
from ingest.completion.local_mean import SCALES_DEG, Surroundings, surroundings
from ingest.completion.modes import (
    ArrayReader,
    Modes,
    anomalies,
    covariance_sum,
    free_months,
    iterate,
    patterns_of,
    residual_variance,
)
from ingest.completion.tasks import Run
from storage.eof_basis import EofBasis, RankScore
from storage.errors import TidenetError
from storage.months import calendar_months

RANKS = (1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 40)
"""Numbers of modes that are tried."""
# Cells that may count as one observation, in cells of the thinned grid.
_FOOTPRINTS = (1.0, 4.0, 16.0, 64.0)
_MOST_CELLS = 6_000
_FOLDS = 6
_MOST_MONTHS_IN_FOLD = 12
# Modes of a fold need not be exact to tell ranks apart.
_CONVERGED = 1e-2
# Part of the ocean that a patch hides, and its width in degrees or cells, whichever is more.
_PARTS = (0.1, 0.6)
_SCALE_DEG, _SCALE_CELLS = (0.7, 2.5), (1.5, 4.0)
# A month is tried only if this part of the ocean is left to fill the patch from.
_LEAST_LEFT = 0.05
# Directions in which the surroundings vary too little to be told apart are left alone.
_RIDGE = 1e-6


class TooFewMonthsError(TidenetError):
    """A record is too short, or too empty, for an EOF basis."""


@dataclass(frozen=True)
class Choice:
    """What cross-validation found.

    Parameters
    ----------
    rank
        Number of modes.
    modes
        These modes on the thinned grid: a first guess for the whole one.
    footprint_m2, local_gain, local_explained, calibration, scores
        See `storage.eof_basis.EofBasis`.
    """

    rank: int
    modes: Modes
    footprint_m2: float
    local_gain: tuple[float, ...]
    local_explained: tuple[float, ...]
    calibration: float
    scores: tuple[RankScore, ...]


@dataclass(frozen=True, eq=False)
class _Fold:
    """Months to learn from, and months to fill, with the patches hidden in each."""

    sample: ArrayReader
    ocean: np.ndarray
    learned: np.ndarray
    tested: np.ndarray
    hidden: np.ndarray


@dataclass(frozen=True)
class _Sums:
    """Sums over a month's hidden cells, of area a: y is what the modes leave, m are local means.

    ``mm`` (..., scale, scale), ``my`` (..., scale), ``yy`` (...), ``area`` (...); the leading axes
    are rank, footprint and month.
    """

    mm: np.ndarray
    my: np.ndarray
    yy: np.ndarray
    area: np.ndarray

    def errors(self, gain: np.ndarray) -> np.ndarray:
        """Return the sum of squared errors if the local means are added with a gain (scale,)."""
        quadratic = np.einsum("...st,s,t->...", self.mm, gain, gain)
        return self.yy - 2 * self.my @ gain + quadratic

    def gain(self) -> np.ndarray:
        """Return the gain (scale,) with the smallest errors, for one rank and footprint."""
        return _least_squares(self.mm.sum(axis=0), self.my.sum(axis=0))


def thinning(n_cells: int) -> int:
    """Return the stride of the grid that cross-validation runs on."""
    return max(1, int(np.ceil(np.sqrt(n_cells / _MOST_CELLS))))


def choose_rank(
    sample: ArrayReader, ocean: np.ndarray, candidates: Sequence[int], run: Run
) -> Choice:
    """Cross-validate the number of modes and everything that goes with it.

    Parameters
    ----------
    sample
        The record on a thinned grid.
    ocean
        Boolean (lat, lon), its mask.
    candidates
        Numbers of modes, ascending; the months that a fold learns from must support them.
    run
        Runs the folds.

    Raises
    ------
    TooFewMonthsError
        If too little was observed to withhold anything.
    """
    folds = _folds(sample, ocean)
    fewest = min(len(fold.learned) for fold in folds)
    ranks = [rank for rank in candidates if rank <= free_months(fewest) * 3 // 4] or [1]
    parts = run("choosing the rank", _fold_sums, [(fold, ranks) for fold in folds])
    sums = _joined(parts)
    best, footprints, gains, scores = _best(sums, ranks)
    rank, cells = ranks[best], footprints[best]
    tested = run(
        "calibrating the error",
        _fold_errors,
        [(fold, rank, cells, tuple(gains[best])) for fold in folds],
    )
    explained, calibration = _calibrate(np.concatenate(tested, axis=1))
    return Choice(
        rank=rank,
        modes=_fit(sample, ocean, np.arange(len(sample.months)), rank, None)[1],
        footprint_m2=_footprint_m2(sample, ocean, cells),
        local_gain=tuple(float(value) for value in gains[best]),
        local_explained=tuple(float(value) for value in explained),
        calibration=calibration,
        scores=scores,
    )


# --- what is withheld -----------------------------------------------------------------------------


def _folds(sample: ArrayReader, ocean: np.ndarray) -> list[_Fold]:
    """Return blocks of consecutive months, with patches that follow from the data alone."""
    values = np.where(sample.observed, sample.fco2, np.float32(np.nan))
    digest = hashlib.sha256(values.tobytes()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    n_months = len(sample.months)
    blocks = np.array_split(np.arange(n_months), min(_FOLDS, n_months // 12))
    folds = []
    for block in blocks:
        step = -(-len(block) // _MOST_MONTHS_IN_FOLD)
        tested = block[::step]
        seen = sample.observed[tested] & ocean
        hidden = np.stack([_patch(sample, ocean, rng) for _ in tested]) & seen
        left = (seen & ~hidden).sum(axis=(1, 2)) >= _LEAST_LEFT * ocean.sum()
        usable = left & hidden.any(axis=(1, 2))
        learned = np.setdiff1d(np.arange(n_months), block)
        if usable.any():
            folds.append(_Fold(sample, ocean, learned, tested[usable], hidden[usable]))
    if not folds:
        raise TooFewMonthsError(
            "Too little of the record was observed for an EOF basis.",
            found=f"no month in which {_LEAST_LEFT:.0%} of the ocean are left beside a patch",
            remedy="Go on without one: gaps are filled all the same.",
        )
    return folds


def _patch(sample: ArrayReader, ocean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    degrees, cells = rng.uniform(*_SCALE_DEG), rng.uniform(*_SCALE_CELLS)
    scale = max(degrees / sample.grid.step, cells)
    return cloud_shape(ocean, rng.uniform(*_PARTS), scale, rng)


# --- one fold: one task ---------------------------------------------------------------------------


def _fold_sums(fold: _Fold, ranks: Sequence[int]) -> _Sums:
    """Fill the hidden values of a fold with each rank and footprint."""
    n_scales = len(SCALES_DEG)
    shape = (len(ranks), len(_FOOTPRINTS), len(fold.tested))
    sums = _Sums(
        np.zeros((*shape, n_scales, n_scales)),
        np.zeros((*shape, n_scales)),
        np.zeros(shape),
        np.zeros(shape),
    )
    around = [_around(fold, k) for k in range(len(fold.tested))]
    modes = None
    for i, rank in enumerate(ranks):
        basis, modes = _fit(fold.sample, fold.ocean, fold.learned, rank, modes)
        for j, cells in enumerate(_FOOTPRINTS):
            for k in range(len(fold.tested)):
                filled = _fill(fold, k, basis, cells, around[k])
                area, left, means = filled.area, filled.left, filled.means
                sums.mm[i, j, k] = (means * area) @ means.T
                sums.my[i, j, k] = (means * area) @ left
                sums.yy[i, j, k] = (area * left**2).sum()
                sums.area[i, j, k] = area.sum()
    return sums


def _fold_errors(
    fold: _Fold, rank: int, footprint_cells: float, gain: tuple[float, ...]
) -> np.ndarray:
    """Return for each hidden value: weight, squared error, variance of modes, of residual, trusts.

    Each month counts as much as any other, however much of it is hidden.
    """
    basis, _ = _fit(fold.sample, fold.ocean, fold.learned, rank, None)
    rows = []
    for k in range(len(fold.tested)):
        filled = _fill(fold, k, basis, footprint_cells, _around(fold, k))
        squared = (filled.left - np.array(gain) @ filled.means) ** 2
        weight = np.full(len(squared), 1 / max(1, len(squared)))
        rows.append(np.stack([weight, squared, filled.variance, filled.residual, *filled.trusts]))
    return np.concatenate(rows, axis=1)


@dataclass(frozen=True)
class _Filled:
    """Hidden cells of one month.

    Their area (m2), what the modes leave of the truth, the local means (scale, cell) of that and
    their trusts, the error variance of the modes and the variance of what they do not explain.
    """

    area: np.ndarray
    left: np.ndarray
    means: np.ndarray
    trusts: np.ndarray
    variance: np.ndarray
    residual: np.ndarray


def _around(fold: _Fold, k: int) -> Surroundings:
    shown = fold.sample.observed[fold.tested[k]] & fold.ocean & ~fold.hidden[k]
    return surroundings(shown, fold.ocean, fold.sample.grid.step)


def _fill(
    fold: _Fold, k: int, basis: EofBasis, footprint_cells: float, around: Surroundings
) -> _Filled:
    ocean, sample = fold.ocean, fold.sample
    at = fold.tested[k]
    number = int(calendar_months(sample.months[at : at + 1])[0])
    truth = sample.fco2[at][ocean] - basis.climatology[number - 1]
    hidden = fold.hidden[k][ocean]
    shown = np.where(sample.observed[at][ocean] & ~hidden, truth, np.nan)
    footprint = _footprint_m2(sample, ocean, footprint_cells)
    modes, variance = reconstruct(basis, estimate_amplitudes(basis, shown, footprint))
    left = shown - modes
    unusual = misfit(basis, left)
    residual = np.full(ocean.shape, np.nan)
    residual[ocean] = left
    unit = np.eye(len(SCALES_DEG))
    means, trusts = (
        np.stack([around.on_cells(blocks, one)[ocean][hidden] for one in unit])
        for blocks in (around.means(residual), around.trusts)
    )
    return _Filled(
        area=sample.grid.cell_area[ocean][hidden],
        left=(truth - modes)[hidden],
        means=means,
        trusts=trusts,
        variance=unusual * variance[hidden],
        residual=unusual * basis.residual_variance[hidden].astype(np.float64),
    )


def _fit(
    sample: ArrayReader, ocean: np.ndarray, learned: np.ndarray, rank: int, start: Modes | None
) -> tuple[EofBasis, Modes]:
    """Fit a basis on some months of the thinned grid."""
    values, observed = sample.fco2[learned][:, ocean], sample.observed[learned][:, ocean]
    calendar = calendar_months(sample.months[learned])
    climatology, anomaly = anomalies(values, observed, calendar)
    weights = sample.grid.cell_area[ocean]
    weights = weights / weights.sum()
    modes = iterate(
        lambda guess: covariance_sum(anomaly, calendar, weights, guess),
        rank,
        start,
        converged=_CONVERGED,
    )
    found = patterns_of(climatology, anomaly, calendar, modes)
    basis = EofBasis(
        grid=sample.grid,
        ocean=ocean,
        first_month=sample.months[learned[0]],
        last_month=sample.months[learned[-1]],
        climatology=found.climatology,
        patterns=found.patterns,
        variances=modes.power / free_months(len(learned)),
        residual_variance=residual_variance([found], len(learned), rank)[0],
        footprint_m2=0.0,
        local_gain=(),
        local_explained=(),
        calibration=1.0,
        scores=(),
    )
    return basis, modes


# --- the choice -----------------------------------------------------------------------------------


def _joined(parts: Sequence[_Sums]) -> _Sums:
    """Return the sums of all folds, months one after the other."""
    fields = ("mm", "my", "yy", "area")
    return _Sums(*(np.concatenate([getattr(part, f) for part in parts], axis=2) for f in fields))


def _best(
    sums: _Sums, ranks: Sequence[int]
) -> tuple[int, list[float], list[np.ndarray], tuple[RankScore, ...]]:
    """Return the index of the chosen rank; each rank's footprint and gain; the table.

    The smallest rank counts as best whose squared error lies within one standard error of the
    smallest one, the standard error of their difference over months.
    """
    footprints, gains, errors = [], [], []
    for i in range(len(ranks)):
        tried = []
        for j, cells in enumerate(_FOOTPRINTS):
            one = replace(
                sums, mm=sums.mm[i, j], my=sums.my[i, j], yy=sums.yy[i, j], area=sums.area[i, j]
            )
            gain = one.gain()
            tried.append((one.errors(gain), cells, gain))
        least = min(tried, key=lambda row: float(row[0].sum()))
        errors.append(least[0])
        footprints.append(least[1])
        gains.append(least[2])
    area = sums.area[0, 0]
    lowest = min(range(len(ranks)), key=lambda i: float(errors[i].sum()))
    scores = []
    for rank, squared in zip(ranks, errors, strict=True):
        difference = squared - errors[lowest]
        spread = float(difference.std(ddof=1)) * np.sqrt(len(difference))
        behind = float(difference.sum() / spread) if spread > 0 else 0.0
        scores.append(RankScore(rank, float(np.sqrt(squared.sum() / area.sum())), behind))
    chosen = next(i for i, score in enumerate(scores) if score.behind <= 1)
    return chosen, footprints, gains, tuple(scores)


def _calibrate(tested: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the part of the residual variance that each local mean explains, and the calibration.

    With the part x of scale s, trusted by t, the error variance is proportional to
    v + r (1 - sum of x t): v of the modes, r of the residual. Solved for x by least squares.
    """
    weight, squared, variance, residual = tested[:4]
    trusts = tested[4:]
    whole = np.maximum(variance + residual, 1e-12)
    columns = np.concatenate([np.ones((1, len(whole))), -trusts * residual / whole])
    weighted = columns * weight
    solved = _least_squares(weighted @ columns.T, weighted @ (squared / whole))
    explained = np.clip(solved[1:] / max(solved[0], 1e-12), 0.0, 0.95)
    expected = np.maximum(variance + residual * (1 - explained @ trusts), 1e-12)
    return explained, float(np.sqrt(np.average(squared / expected, weights=weight)))


def _least_squares(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the x >= 0 with the smallest error from normal equations."""
    from scipy.optimize import nnls

    n = len(vector)
    ridge = _RIDGE * max(float(np.trace(matrix)) / n, 1e-12)
    root = np.linalg.cholesky(matrix + ridge * np.eye(n))
    solution: np.ndarray = nnls(root.T, np.linalg.solve(root, vector))[0]
    return solution


def _footprint_m2(sample: ArrayReader, ocean: np.ndarray, cells: float) -> float:
    return cells * float(sample.grid.cell_area[ocean].mean())
