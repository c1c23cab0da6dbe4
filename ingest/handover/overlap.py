"""The months that two products have in common, and the hand-over fitted on them.

Sums over each region's common cells give the offsets and what they leave; means over blocks of
cells give the scale. `ingest.handover.estimators` has the estimators.
"""

import calendar
from dataclasses import dataclass

import numpy as np

from ingest.handover.correction import HandOver, HandOverMismatchError, Term, regions_of
from ingest.handover.estimators import Estimate, PairSums, fit_offsets, fit_scales, pair_sums
from storage.errors import TidenetError
from storage.grid import Grid
from storage.months import Month, calendar_months, month

MINIMUM_MONTHS = 24
"""Common months without which no hand-over is fitted."""
MINIMUM_PER_CALENDAR_MONTH = 2
"""Common months of each calendar month, in all and for a region to have terms of its own."""
MINIMUM_CELLS = 3
"""Common cells without which a month does not count, in all and in a region."""

# A month with less than this part of the common cells of the fullest month does not count.
_LEAST_PART = 0.1
# Maps of a month are kept as means over blocks, at most so many a side.
_BLOCKS = 200


class InsufficientOverlapError(TidenetError):
    """Two products have too few months in common to be joined without a step."""


class OverlapStatistics:
    """What is kept of two products' common months, added one at a time.

    A month costs a few sums a region, and means over at most 200 x 200 blocks: 60 months on the
    0.01-degree grid take some 20 MB.

    Parameters
    ----------
    grid
        The record's grid, which both products' months are on.
    old_product, new_product
        Names of the product specifications.
    """

    def __init__(self, grid: Grid, old_product: str, new_product: str) -> None:
        self.grid = grid
        self.old_product = old_product
        self.new_product = new_product
        self._months: dict[Month, _CommonMonth] = {}

    def add(self, wanted: Month, old: np.ndarray, new: np.ndarray) -> None:
        """Add a month of both products; one that was added before is replaced.

        Parameters
        ----------
        wanted
            The month.
        old, new
            (lat, lon), mmol m-2 d-1, positive out of the sea; NaN where not observed. Give
            observed values only: completed cells would tell of the completion.

        Raises
        ------
        HandOverMismatchError
            If an array is not one of the grid.
        """
        for values in (old, new):
            if values.shape != self.grid.shape:
                raise HandOverMismatchError(
                    f"The array is not one of the grid {self.grid.name}.",
                    found=f"shape {values.shape}",
                    expected=f"shape {self.grid.shape}",
                    remedy="Regrid both products to the record's grid.",
                )
        self._months[month(wanted)] = _common_month(self.grid, old, new)

    def fit(self) -> HandOver:
        """Return the hand-over that these months tell.

        Raises
        ------
        InsufficientOverlapError
            If they are too few; the message says how many are missing, by calendar month.
        """
        months = self._counted()
        when = np.array(months)
        common = [self._months[m] for m in months]
        names = regions_of(self.grid)[1]
        sums = np.stack([one.sums for one in common])
        region = regions_of(_block_grid(self.grid))
        # Blocks and cells list the same regions, unless a block hides one smaller than itself.
        at = np.array([names.index(n) if n in names else len(names) - 1 for n in region[1]])
        pairs = pair_sums(
            new=np.stack([one.new.ravel() for one in common]),
            old=np.stack([one.old.ravel() for one in common]),
            weight=np.stack([one.area.ravel() for one in common]),
            months=when,
            region=at[region[0].ravel()],
            n_regions=len(names),
        )
        fitted = _fit(when, sums, pairs)
        left_out = _squares_of_left_out_years(when, sums, pairs)
        before = float(_square(sums, np.array(1.0), np.array(0.0)).sum())
        after = _squares(when, sums, fitted) if left_out is None else left_out
        area = float(sums[..., _AREA].sum())
        return HandOver(
            old_product=self.old_product,
            new_product=self.new_product,
            grid=self.grid.name,
            first_month=str(months[0]),
            last_month=str(months[-1]),
            n_months=len(months),
            terms=_terms(names, fitted),
            rmse_before=float(np.sqrt(max(0.0, before) / area)),
            rmse_after=float(np.sqrt(max(0.0, after) / area)),
            years_left_out=left_out is not None,
        )

    def _counted(self) -> list[Month]:
        """Return the months with enough common cells, in order, if there are enough of them."""
        cells = {m: int(one.sums[:, _COUNT].sum()) for m, one in self._months.items()}
        least = max(MINIMUM_CELLS, _LEAST_PART * max(cells.values(), default=0))
        counted = sorted(m for m, n in cells.items() if n >= least)
        have = np.bincount(calendar_months(counted), minlength=13)[1:]
        lacking = {
            m: int(MINIMUM_PER_CALENDAR_MONTH - n)
            for m, n in enumerate(have, start=1)
            if n < MINIMUM_PER_CALENDAR_MONTH
        }
        if len(counted) >= MINIMUM_MONTHS and not lacking:
            return counted
        span = f", {counted[0]} to {counted[-1]}" if counted else ""
        few = len(cells) - len(counted)
        note = f", besides {few} with fewer than {int(np.ceil(least))} common cells" if few else ""
        missing = "; ".join(f"{calendar.month_name[m]} lacks {n}" for m, n in lacking.items())
        more = max(MINIMUM_MONTHS - len(counted), sum(lacking.values()))
        raise InsufficientOverlapError(
            f"{self.old_product} and {self.new_product} have too few months in common.",
            found=f"{len(counted)} common months{span}{note}",
            expected=f"at least {MINIMUM_MONTHS}, with {MINIMUM_PER_CALENDAR_MONTH} of each "
            f"calendar month: {more} more{f' ({missing})' if missing else ''}",
            remedy="Add months that both products cover, or keep the new product in a record of "
            "its own until there are enough.",
        )


# --- months in common -----------------------------------------------------------------------------

# Columns of the sums over a region's common cells: how many, their area, and area-weighted sums.
_COUNT, _AREA, _X, _Y, _XX, _XY, _YY = range(7)


@dataclass(frozen=True)
class _CommonMonth:
    """One month of both products: x is the new one, y the old one.

    Parameters
    ----------
    sums
        float64 (region, 7), see the columns above; areas in mean cells of the grid.
    new, old, area
        float32 (lat, lon) of the block grid: means over a block's common cells, and their area.
    """

    sums: np.ndarray
    new: np.ndarray
    old: np.ndarray
    area: np.ndarray


def _common_month(grid: Grid, old: np.ndarray, new: np.ndarray) -> _CommonMonth:
    index, names = regions_of(grid)
    common = np.isfinite(old) & np.isfinite(new)
    area = np.where(common, grid.cell_area / grid.cell_area.mean(), 0.0)
    x, y = (np.where(common, values, 0.0).astype(np.float64) for values in (new, old))
    at, w, xs, ys = index[common], area[common], x[common], y[common]
    columns = (np.ones_like(w), w, w * xs, w * ys, w * xs * xs, w * xs * ys, w * ys * ys)
    sums = np.stack([np.bincount(at, column, minlength=len(names)) for column in columns], axis=1)
    block_area, block_x, block_y = (_block_sums(part, grid) for part in (area, area * x, area * y))
    divisor = np.where(block_area > 0, block_area, 1.0)
    maps = (block_x / divisor, block_y / divisor, block_area)
    return _CommonMonth(sums, *(part.astype(np.float32) for part in maps))


def _block_factor(grid: Grid) -> int:
    return max(1, -(-max(grid.shape) // _BLOCKS))


def _block_grid(grid: Grid) -> Grid:
    return grid.coarsened(_block_factor(grid))


def _block_sums(values: np.ndarray, grid: Grid) -> np.ndarray:
    starts = [np.arange(0, n, _block_factor(grid)) for n in grid.shape]
    return np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)


# --- fitting --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fitted:
    """Terms of each region and calendar month, all arrays (region, 12)."""

    scale: Estimate
    offset: Estimate
    n_months: np.ndarray
    n_cells: np.ndarray
    residual: np.ndarray


def _fit(months: np.ndarray, sums: np.ndarray, pairs: PairSums) -> _Fitted:
    """Fit every region on sums (month, region, 7); what it cannot tell, all regions tell."""
    which = calendar_months(months)
    scales, whole_scale = fit_scales(pairs)
    whole = sums.sum(axis=1)
    whole_offset = _offsets(whole, which, whole_scale)
    whole_residual = _residuals(whole, which, whole_scale.value, whole_offset.value)
    rows = []
    for r in range(sums.shape[1]):
        own = sums[:, r]
        counted = own[:, _COUNT] >= max(MINIMUM_CELLS, _LEAST_PART * own[:, _COUNT].max())
        n_months = np.bincount(which[counted], minlength=13)[1:]
        n_cells = np.zeros(12)
        np.maximum.at(n_cells, which - 1, own[:, _COUNT])
        scale, offset, residual = whole_scale, whole_offset, whole_residual
        if n_months.min() >= MINIMUM_PER_CALENDAR_MONTH:
            scale = Estimate(scales.value[r], scales.error[r])
            offset = _offsets(own[counted], which[counted], scale)
            residual = _residuals(own[counted], which[counted], scale.value, offset.value)
        rows.append((*_pair(scale), *_pair(offset), n_months, n_cells, residual))
    columns = [np.stack(column) for column in zip(*rows, strict=True)]
    return _Fitted(Estimate(*columns[:2]), Estimate(*columns[2:4]), *columns[4:])


def _pair(estimate: Estimate) -> tuple[np.ndarray, np.ndarray]:
    return estimate.value, estimate.error


def _offsets(sums: np.ndarray, which: np.ndarray, scale: Estimate) -> Estimate:
    """Return the offsets (12,) of one region's sums (month, 7) of these calendar months."""
    mean_new = sums[:, _X] / sums[:, _AREA]
    difference = sums[:, _Y] / sums[:, _AREA] - scale.value[which - 1] * mean_new
    offset = fit_offsets(difference, sums[:, _AREA], which)
    count = np.bincount(which - 1, minlength=12)
    by_scale = scale.error * np.bincount(which - 1, mean_new, minlength=12) / count
    return Estimate(offset.value, np.hypot(offset.error, by_scale))


def _residuals(
    sums: np.ndarray, which: np.ndarray, scale: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """Return the standard deviation (12,) over the cells of one region's sums (month, 7)."""
    squares = _square(sums, scale[which - 1], offset[which - 1])
    total = np.bincount(which - 1, squares, minlength=12)
    area = np.bincount(which - 1, sums[:, _AREA], minlength=12)
    return np.sqrt(np.maximum(total, 0.0) / area)


def _square(sums: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return the area-weighted sum of (old − offset − scale x new)² from sums (..., 7)."""
    n, x, y, xx, xy, yy = (sums[..., column] for column in range(_AREA, _YY + 1))
    return (
        yy
        - 2 * offset * y
        - 2 * scale * xy
        + n * offset**2
        + 2 * offset * scale * x
        + scale**2 * xx
    )


def _squares(months: np.ndarray, sums: np.ndarray, fitted: _Fitted) -> float:
    """Return the sum of squares that a fit leaves in these months' sums (month, region, 7)."""
    which = calendar_months(months) - 1
    scale, offset = fitted.scale.value[:, which].T, fitted.offset.value[:, which].T
    return float(_square(sums, scale, offset).sum())


def _squares_of_left_out_years(
    months: np.ndarray, sums: np.ndarray, pairs: PairSums
) -> float | None:
    """Return the sum of squares, each year corrected by a fit on the others; None if too few."""
    year = months.astype("datetime64[Y]").astype(int) + 1970
    total = 0.0
    for left_out in np.unique(year):
        kept = year != left_out
        have = np.bincount(calendar_months(months[kept]), minlength=13)[1:]
        if have.min() < MINIMUM_PER_CALENDAR_MONTH:
            return None
        fitted = _fit(months[kept], sums[kept], pairs.without_year(int(left_out)))
        total += _squares(months[~kept], sums[~kept], fitted)
    return total


def _terms(names: tuple[str, ...], fitted: _Fitted) -> tuple[Term, ...]:
    return tuple(
        Term(
            region=name,
            calendar_month=m + 1,
            scale=float(fitted.scale.value[r, m]),
            scale_error=float(fitted.scale.error[r, m]),
            offset=float(fitted.offset.value[r, m]),
            offset_error=float(fitted.offset.error[r, m]),
            n_months=int(fitted.n_months[r, m]),
            n_cells=int(fitted.n_cells[r, m]),
            residual=float(fitted.residual[r, m]),
        )
        for r, name in enumerate(names)
        for m in range(12)
    )
