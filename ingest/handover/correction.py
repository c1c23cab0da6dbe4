"""Hand-over from one product to the next, so that the change puts no step into the record.

The two products' common months say, for each calendar month and region, old = offset + scale x new
(`ingest.handover.overlap` fits it). The new product's later months are corrected by it, smoothly
across the borders of regions, and their uncertainty grows by what the correction leaves.

What it assumes: the relation of the overlap holds on; regions, not cells, differ.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from storage.errors import InvalidMonthError, TidenetError
from storage.grid import Grid
from storage.months import calendar_month, month
from storage.regions import REGIONS

if TYPE_CHECKING:
    from ingest.reader import ProductMonth

ELSEWHERE = "elsewhere"
"""The region of every cell that lies in no other."""

# Standard deviation of the blend across the borders of regions.
_BLEND_DEG = 0.3
_GIVEN_BACK = 4
# Not among the parts: they overlap others.
_OVERLAPPING = {"all", "ecs-shelf"}
_FORMAT = 1


class HandOverMismatchError(TidenetError):
    """Arrays or a month are not on the grid of the hand-over."""


class InvalidHandOverError(TidenetError):
    """A text is not a hand-over as this version writes it."""


@dataclass(frozen=True)
class Term:
    """The relation in one region and calendar month: old = offset + scale x new.

    Parameters
    ----------
    region
        Name of the region (see `regions_of`).
    calendar_month
        1 to 12.
    scale, scale_error
        Without unit, and its standard error.
    offset, offset_error
        mmol m-2 d-1, and its standard error, that from the scale included.
    n_months
        Common months that it was fitted on. A region with too few has the terms of all regions
        together, and the number that it has itself.
    n_cells
        Common cells of the fullest of these months.
    residual
        Standard deviation over cells of old − (offset + scale x new), mmol m-2 d-1. Both products'
        own noise is in it.
    """

    region: str
    calendar_month: int
    scale: float
    scale_error: float
    offset: float
    offset_error: float
    n_months: int
    n_cells: int
    residual: float


@dataclass(frozen=True)
class HandOver:
    """How a new product's months are brought to the level of an old one's.

    Parameters
    ----------
    old_product, new_product
        Names of the product specifications.
    grid
        Name of the record's grid.
    first_month, last_month
        First and last common month (YYYY-MM).
    n_months
        Common months that counted.
    terms
        One for each region of the grid and calendar month.
    rmse_before, rmse_after
        Area-weighted root mean square of old − new over the common cells, mmol m-2 d-1, as
        delivered and corrected. A scale above one raises the new product's noise with its signal,
        so where noise rules, the second need not be the smaller one.
    years_left_out
        Whether `rmse_after` was found on years that the correction was not fitted on. With fewer
        than three years it cannot be, and is somewhat too small.
    """

    old_product: str
    new_product: str
    grid: str
    first_month: str
    last_month: str
    n_months: int
    terms: tuple[Term, ...]
    rmse_before: float
    rmse_after: float
    years_left_out: bool

    @cached_property
    def _terms(self) -> dict[tuple[str, int], Term]:
        return {(term.region, term.calendar_month): term for term in self.terms}

    def term(self, region: str, calendar_month: int) -> Term:
        """Return the relation of a region and calendar month (1 to 12)."""
        return self._terms[region, calendar_month]

    def apply(self, product_month: "ProductMonth") -> "ProductMonth":
        """Return a month of the new product at the old one's level.

        The uncertainty of a cell becomes that of scale x new and the residual, as independent
        errors; the residual alone where the product states none.

        Parameters
        ----------
        product_month
            A month of the new product on the record's grid.

        Raises
        ------
        HandOverMismatchError
            If it is on another grid.
        """
        grid = product_month.grid
        index, names = regions_of(grid)
        if grid.name != self.grid or not {(name, 1) for name in names} <= set(self._terms):
            raise HandOverMismatchError(
                "The month is not on the grid of the hand-over.",
                found=f"grid {grid.name}, regions {', '.join(names)}",
                expected=f"grid {self.grid}",
                remedy="Regrid the month to the record's grid, or fit the hand-over on this one.",
            )
        which = calendar_month(product_month.month)
        terms = [self.term(name, which) for name in names]
        scale = _map_of([term.scale for term in terms], grid)
        offset = _map_of([term.offset for term in terms], grid)
        left = _blended(np.array([term.residual**2 for term in terms])[index], grid)
        stated = np.nan_to_num(product_month.uncertainty, nan=0.0)
        uncertainty = np.sqrt((scale * stated) ** 2 + left)
        seen = np.isfinite(product_month.fco2)
        return replace(
            product_month,
            fco2=(offset + scale * product_month.fco2).astype(np.float32),
            uncertainty=np.where(seen, uncertainty, np.nan).astype(np.float32),
        )

    def to_json(self) -> str:
        """Return a text that `from_json` reads, with every number exact."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "HandOver":
        """Read what `to_json` wrote.

        Raises
        ------
        InvalidHandOverError
            If the text is not that.
        """
        try:
            held = json.loads(text)
            if held.pop("format") != _FORMAT:
                raise ValueError("another format")
            terms = tuple(_checked(Term, term) for term in held.pop("terms"))
            made = _checked(cls, {**held, "terms": terms})
            month(made.first_month), month(made.last_month)
            regions = sorted({term.region for term in terms})
            expected = [(region, m) for region in regions for m in range(1, 13)]
            if (
                sorted((term.region, term.calendar_month) for term in terms) != expected
                or not terms
            ):
                raise ValueError("not one term for each region and calendar month")
            return made
        except (ValueError, KeyError, TypeError, AttributeError, InvalidMonthError) as error:
            raise InvalidHandOverError(
                "This is not a hand-over between products.",
                found=f"{text[:80]!r} ({error})",
                expected=f"what HandOver.to_json writes (format {_FORMAT})",
                remedy="Fit the hand-over again.",
            ) from error


# --- regions --------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def regions_of(grid: Grid) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the regions that a grid is divided into: every cell lies in one.

    Of `storage.regions.REGIONS`, the first that contains a cell has it, without those that overlap
    others (`all`, `ecs-shelf`); the rest of the grid is `elsewhere`.

    Returns
    -------
    tuple
        Index of each cell's region, uint8 (lat, lon), and the names of the regions.
    """
    parts = [region for region in REGIONS if region.name not in _OVERLAPPING]
    first = np.full(grid.shape, len(parts))
    for position in reversed(range(len(parts))):
        first[parts[position].contains(grid)] = position
    present, index = np.unique(first, return_inverse=True)
    names = (*(region.name for region in parts), ELSEWHERE)
    index = index.reshape(grid.shape).astype(np.uint8)
    index.flags.writeable = False
    return index, tuple(names[position] for position in present)


def _map_of(values: list[float], grid: Grid) -> np.ndarray:
    """Return regions' values as a map without edges that keeps their means, float64 (lat, lon)."""
    index, _ = regions_of(grid)
    leak = _leak(grid)
    wanted = np.asarray(values, dtype=np.float64)
    # A narrow region loses much to its neighbours by the blend. It is given back in a few steps,
    # not by solving for it: a sliver of a region at the grid's edge would come out enormous.
    given = wanted
    for _ in range(_GIVEN_BACK):
        given = wanted + given - leak @ given
    return _blended(given[index], grid)


@lru_cache(maxsize=8)
def _leak(grid: Grid) -> np.ndarray:
    """Return the weight of each region (column) in each region's (row) mean after the blend."""
    index, names = regions_of(grid)
    cells, area = index.ravel(), grid.cell_area.ravel()
    total = np.bincount(cells, area)
    blended = [_blended((index == r).astype(np.float64), grid) for r in range(len(names))]
    return np.stack([np.bincount(cells, area * one.ravel()) / total for one in blended], axis=1)


def _blended(field: np.ndarray, grid: Grid) -> np.ndarray:
    from scipy.ndimage import gaussian_filter, uniform_filter

    width = _BLEND_DEG / grid.step
    if width < 3:
        return gaussian_filter(field, width, mode="nearest")
    # Three running means are nearly a Gaussian, and cost the same however wide.
    for _ in range(3):
        field = uniform_filter(field, round(np.sqrt(4 * width**2 + 1)), mode="nearest")
    return field


# --- reading --------------------------------------------------------------------------------------


_Value = TypeVar("_Value", Term, HandOver)


def _checked(kind: type[_Value], held: Mapping[str, Any]) -> _Value:
    """Return a value made of exactly its fields, each of its type."""
    expected = {field.name: field.type for field in fields(kind)}
    if set(held) != set(expected):
        raise ValueError(f"fields {', '.join(sorted(set(held) ^ set(expected)))}")
    for name, value in held.items():
        wanted = expected[name]
        if type(value) is not wanted and wanted in (str, int, float, bool):
            raise ValueError(f"{name} is {value!r}")
        if isinstance(value, float) and not np.isfinite(value):
            raise ValueError(f"{name} is {value!r}")
    return kind(**held)
