"""Scoring an ensemble as a probability: sums that add up exactly.

As with `tidenet.verification.scoring`, what is kept of one month are area-weighted sums: weights
by rank, by the number of members that say "source", inside intervals. Sums of months, leads and
runs add up to the sums of them all, and `tidenet.verification.bootstrap` resamples them.

Probabilities of an ensemble of m members have only the values 0/m ... m/m. Kept by that number,
reliability, resolution, ROC and the Brier score are exact, without bins.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np

from storage.months import Month
from tidenet.aggregates import quantiles as member_quantiles
from tidenet.climatology import MonthlyClimatology
from tidenet.forecaster import Forecast
from tidenet.record import FluxRecord
from tidenet.verification.scoring import crps_of_members, crps_of_normal

_KM2 = 1e-6

_SLAB_VALUES = 4_000_000
"""Member values worked on at a time, some 100 MB with all that is made of them."""

CENTRAL = (0.05, 0.25, 0.75, 0.95)
"""Ends of the central 90 and 50 % intervals."""


@dataclass(frozen=True, eq=False)
class ProbabilitySums:
    """Area-weighted sums over the observed cells of a region; weights in km2.

    Fluxes are in mmol m-2 d-1, positive out of the sea; the event is "is a source", flux > 0.
    Class ``k`` holds the cells where ``k`` of the ``m`` members say so.

    Parameters
    ----------
    region
        Name of the region.
    n_cells, weight
        Number of observed cells, and the sum of their areas (km2).
    crps, crps_climatology
        Fair CRPS of the members, and that of the normal distribution with climatological mean
        and standard deviation.
    squared_error, variance
        Of the best estimate, and of the members (as an ensemble of any size would have it).
    brier, brier_climatology
        Squared error of the probability of the event: part of the members, and that of the
        climatological normal.
    inside_50, inside_90, width_50, width_90
        Area where the observed value lies inside the central interval, and its width.
    rank_weight
        (m + 1,) area by the number of members below the observed value.
    class_weight, class_event
        (m + 1,) area of each class, and its part where the event was observed.
    n_months
        1 where anything was observed.
    regional_squared_error, regional_variance, regional_rank
        Of the region's mean flux, one value a month: squared error, variance of the members, and
        (m + 1,) rank among them.
    """

    region: str
    n_cells: int
    weight: float
    crps: float
    crps_climatology: float
    squared_error: float
    variance: float
    brier: float
    brier_climatology: float
    inside_50: float
    inside_90: float
    width_50: float
    width_90: float
    rank_weight: np.ndarray
    class_weight: np.ndarray
    class_event: np.ndarray
    n_months: int
    regional_squared_error: float
    regional_variance: float
    regional_rank: np.ndarray


@dataclass(frozen=True, eq=False)
class ProbabilityRow:
    """The sums of one method, init month, lead and region."""

    method: str
    init_month: Month
    lead_months: int
    sums: ProbabilitySums


@dataclass(frozen=True)
class VerifiedMonth:
    """What one month's forecast is held against; fields (lat, lon), mmol m-2 d-1.

    Parameters
    ----------
    observed
        Observed flux.
    observed_cells
        Boolean: cells whose value was observed, not completed. Others have no weight.
    area
        Cell area, m2.
    climatology_mean, climatology_std
        Of the training period, for the calendar month.
    """

    observed: np.ndarray
    observed_cells: np.ndarray
    area: np.ndarray
    climatology_mean: np.ndarray
    climatology_std: np.ndarray


def probability_sums(
    members: np.ndarray,
    month: VerifiedMonth,
    region_masks: Mapping[str, np.ndarray],
    *,
    rng: np.random.Generator,
    mean: np.ndarray | None = None,
) -> list[ProbabilitySums]:
    """Score an ensemble of one lead against what was observed.

    The field is gone through in slabs of rows: beside the members it needs some 100 MB.

    Parameters
    ----------
    members
        (member, lat, lon), mmol m-2 d-1.
    month
        The observed month.
    region_masks
        Name to boolean (lat, lon).
    rng
        Breaks ties of ranks: where the observed value equals members, each rank among them is as
        likely as the other.
    mean
        Best estimate (lat, lon), where it is known better than by the members' mean. Without it
        the members' variance is multiplied by ``(m + 1) / m``, for the sampling error of their
        mean (Fortin et al. 2014).

    Returns
    -------
    list of ProbabilitySums
        One per region, in the order of `region_masks`; all sums 0 where nothing was observed.
    """
    return _sums(lambda rows: members[:, rows], len(members), month, region_masks, rng, mean)


def forecast_sums(
    forecast: Forecast,
    record: FluxRecord,
    climatology: MonthlyClimatology,
    region_masks: Mapping[str, np.ndarray],
    rng: np.random.Generator,
    n_leads: int | None = None,
) -> Iterator[tuple[int, ProbabilitySums]]:
    """Score the leads of a forecast that the record has observed; yields lead and sums.

    Of a forecast with more leads than ``n_leads``, the first ones count.
    """
    for lead, valid in enumerate(forecast.valid_months[:n_leads]):
        if valid > record.last_month:
            continue
        position = record.index(valid)
        month = VerifiedMonth(
            record.fco2[position],
            record.ocean if record.observed is None else record.observed[position],
            record.grid.cell_area,
            climatology.mean_of(valid),
            climatology.std_of(valid),
        )
        members, mean = forecast.members[:, lead], forecast.mean[lead]
        for sums in probability_sums(members, month, region_masks, rng=rng, mean=mean):
            yield lead + 1, sums


def _sums(
    members_of: Callable[[slice], np.ndarray],
    n_members: int,
    month: VerifiedMonth,
    region_masks: Mapping[str, np.ndarray],
    rng: np.random.Generator,
    mean: np.ndarray | None,
) -> list[ProbabilitySums]:
    """Go through the field in slabs of rows and add up."""
    height, width = month.observed.shape
    step = max(_SLAB_VALUES // (n_members * width), 1)
    parts = {name: _Part(n_members) for name in region_masks}
    for first in range(0, height, step):
        rows = slice(first, first + step)
        weight = month.area[rows] * _KM2
        counted = month.observed_cells[rows] & np.isfinite(month.observed[rows]) & (weight > 0)
        if not counted.any():
            continue
        members = members_of(rows)[:, counted]
        best = None if mean is None else mean[rows][counted]
        cells = _cells(members, best, month, rows, counted, rng)
        for name, mask in region_masks.items():
            parts[name].add(cells, members, weight[counted], mask[rows][counted])
    return [part.finish(name, mean is None) for name, part in parts.items()]


def _cells(
    members: np.ndarray,
    best: np.ndarray | None,
    month: VerifiedMonth,
    rows: slice,
    counted: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Return every summand per counted cell (cell,), of members (member, cell)."""
    from scipy.special import ndtr

    truth = month.observed[rows][counted]
    normal = month.climatology_mean[rows][counted], month.climatology_std[rows][counted]
    n = len(members)
    mean = members.mean(axis=0, dtype=np.float64)
    variance = members.var(axis=0, ddof=1, dtype=np.float64) if n > 1 else np.zeros_like(mean)
    if best is None:
        best, variance = mean, variance * (n + 1) / n
    low, lower, upper, high = member_quantiles(members, CENTRAL)
    source, sources = truth > 0, (members > 0).sum(axis=0)
    below, equal = (members < truth).sum(axis=0), (members == truth).sum(axis=0)
    tied = equal > 0
    below[tied] += rng.integers(0, equal[tied] + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        climatology = np.where(normal[1] > 0, ndtr(normal[0] / normal[1]), normal[0] > 0)
    return {
        "crps": crps_of_members(members, truth),
        "crps_climatology": crps_of_normal(*normal, truth),
        "squared_error": np.square(best - truth, dtype=np.float64),
        "variance": variance,
        "brier": np.square(sources / n - source),
        "brier_climatology": np.square(climatology - source),
        "inside_50": ((lower <= truth) & (truth <= upper)).astype(np.float64),
        "inside_90": ((low <= truth) & (truth <= high)).astype(np.float64),
        "width_50": upper - lower,
        "width_90": high - low,
        "rank": below,
        "sources": sources,
        "source": source,
        "error": best - truth,
        "truth": truth,
    }


class _Part:
    """Sums of one region, slab by slab."""

    def __init__(self, n_members: int) -> None:
        self.totals: dict[str, float] = {}
        self.n_cells, self.weight, self.error, self.truth = 0, 0.0, 0.0, 0.0
        self.rank, self.classes, self.events = np.zeros((3, n_members + 1))
        self.members = np.zeros(n_members)

    def add(
        self,
        cells: Mapping[str, np.ndarray],
        members: np.ndarray,
        weight: np.ndarray,
        mask: np.ndarray,
    ) -> None:
        """Add the cells of a slab (cell,) that lie in the region."""
        w, n = np.where(mask, weight, 0.0), len(self.rank)
        histograms = ("rank", "sources", "source", "error", "truth")
        for name, value in cells.items():
            if name not in histograms:
                self.totals[name] = self.totals.get(name, 0.0) + float(value @ w)
        self.rank += np.bincount(cells["rank"], weights=w, minlength=n)
        self.classes += np.bincount(cells["sources"], weights=w, minlength=n)
        self.events += np.bincount(cells["sources"], weights=w * cells["source"], minlength=n)
        self.n_cells += int(mask.sum())
        self.weight += float(w.sum())
        self.error += float(cells["error"] @ w)
        self.truth += float(cells["truth"] @ w)
        self.members += members @ w

    def finish(self, region: str, mean_of_members: bool) -> ProbabilitySums:
        """Return the sums, those of the regional mean among them."""
        names = [f.name for f in fields(ProbabilitySums) if f.type is float or f.type == "float"]
        totals = {name: self.totals.get(name, 0.0) for name in names if name != "weight"}
        regional_rank, there = np.zeros_like(self.rank), self.weight > 0
        if there:
            n, members = len(self.members), self.members / self.weight
            regional_rank[int((members < self.truth / self.weight).sum())] = 1
            variance = float(members.var(ddof=1)) if n > 1 else 0.0
            totals["regional_variance"] = variance * ((n + 1) / n if mean_of_members else 1)
            totals["regional_squared_error"] = (self.error / self.weight) ** 2
        return ProbabilitySums(
            region=region,
            n_cells=self.n_cells,
            weight=self.weight,
            rank_weight=self.rank,
            class_weight=self.classes,
            class_event=self.events,
            n_months=int(there),
            regional_rank=regional_rank,
            **totals,
        )
