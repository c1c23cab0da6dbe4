"""Sums of many init months side by side: what scores and their intervals are made from.

A forecast scored against one observed month leaves sums (`tidenet.verification.scoring`,
`tidenet.verification.probability`). Here those of one method become arrays by init month and lead;
a statistic is a function of their totals, whatever months the totals are of.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np

from storage.errors import TidenetError
from storage.months import Month, calendar_months

SEASONS = ("DJF", "MAM", "JJA", "SON")
"""Seasons of the valid month, December first."""

Totals = Mapping[str, np.ndarray]
"""Name of a sum to its totals (..., lead) or (..., lead, class)."""

Statistic = Callable[[Totals], np.ndarray]
"""A score of totals, vectorised over the leading axes: (..., lead) or (...)."""


class UnpairedMonthsError(TidenetError):
    """Two methods were not scored on the same init months, leads or cells."""


class NoScoresError(TidenetError):
    """No sums were kept of what was asked for."""


class ScoredRow(Protocol):
    """One method, init month and lead; its sums are a dataclass of numbers and arrays."""

    @property
    def method(self) -> str:
        """Method name."""

    @property
    def init_month(self) -> Month:
        """Last observed month used."""

    @property
    def lead_months(self) -> int:
        """Lead, 1 and more."""

    @property
    def sums(self) -> Any:
        """Sums with a `region` and a `weight`."""


@dataclass(frozen=True)
class MonthlySums:
    """Sums of one method, by init month and lead.

    Parameters
    ----------
    init_months
        datetime64[M] (init,), rising.
    leads
        Lead months of the second axis; ``(0,)`` where all leads have been added up.
    values
        Name to float64 (init, lead) or (init, lead, class). Zero where nothing was observed.
    """

    init_months: np.ndarray
    leads: tuple[int, ...]
    values: Mapping[str, np.ndarray]

    def total(self) -> dict[str, np.ndarray]:
        """Return the totals over all init months: what a statistic takes."""
        return {name: value.sum(axis=0) for name, value in self.values.items()}

    def pooled(self) -> "MonthlySums":
        """Return the sums with all leads added up into one."""
        values = {n: v.sum(axis=1, keepdims=True) for n, v in self.values.items()}
        return replace(self, leads=(0,), values=values)

    def months(self, init_months: Iterable[Month]) -> "MonthlySums":
        """Return only these init months.

        Raises
        ------
        UnpairedMonthsError
            If one of them was not scored.
        """
        wanted = np.unique(np.asarray(list(init_months), dtype="datetime64[M]"))
        missing = np.setdiff1d(wanted, self.init_months)
        if missing.size:
            raise UnpairedMonthsError(
                "Some init months were not scored.",
                found=f"{len(self.init_months)} init months, without {listed(missing)}",
                expected=f"{len(wanted)} init months",
                remedy="Hindcast the missing init months, or choose among those that are there.",
            )
        keep = np.isin(self.init_months, wanted)
        values = {name: value[keep] for name, value in self.values.items()}
        return MonthlySums(self.init_months[keep], self.leads, values)

    @property
    def used(self) -> np.ndarray:
        """Boolean (init,): months in which something was observed."""
        return self.values["weight"].sum(axis=1) > 0


def season_of(months: np.ndarray) -> np.ndarray:
    """Return the position in `SEASONS` of each month, int (...)."""
    months = np.asarray(months, dtype="datetime64[M]")
    position: np.ndarray = (calendar_months(months.ravel()) % 12 // 3).reshape(months.shape)
    return position


def monthly_sums(
    rows: Iterable[ScoredRow],
    method: str,
    *,
    region: str = "all",
    season: str | None = None,
    leads: Sequence[int] | None = None,
) -> MonthlySums:
    """Collect the sums of one method.

    Parameters
    ----------
    rows
        Rows of any methods and regions; each method, region, init month and lead at most once.
    method, region
        What to collect.
    season
        One of `SEASONS`, of the valid month. The sums of other months are zero but stay in their
        place, so that blocks of months stay blocks of time.
    leads
        Leads to collect, in this order; by default all that there are.

    Raises
    ------
    NoScoresError
        If there are none.
    ValueError
        If one month and lead occurs twice, or the season is not known.
    """
    if season is not None and season not in SEASONS:
        raise ValueError(f"season must be one of {', '.join(SEASONS)}, not {season!r}")
    mine = [row for row in rows if row.method == method and row.sums.region == region]
    wanted = sorted({row.lead_months for row in mine}) if leads is None else list(leads)
    mine = [row for row in mine if row.lead_months in wanted]
    if not mine:
        raise NoScoresError(
            "There are no scores of this kind.",
            found="no row",
            expected=f"rows of method {method!r}, region {region!r}, leads {wanted}",
            remedy="Check the names; hindcast the method first.",
        )
    months = np.unique(np.array([row.init_month for row in mine], dtype="datetime64[M]"))
    names = [f.name for f in fields(mine[0].sums) if f.name != "region"]
    values = {
        name: np.zeros((len(months), len(wanted), *np.shape(getattr(mine[0].sums, name))))
        for name in names
    }
    seen = set()
    for row in mine:
        place = (int(np.searchsorted(months, row.init_month)), wanted.index(row.lead_months))
        if place in seen:
            raise ValueError(f"{method}: {row.init_month} lead {row.lead_months} occurs twice")
        seen.add(place)
        valid = np.asarray(row.init_month + row.lead_months)
        if season is None or SEASONS[int(season_of(valid))] == season:
            for name in names:
                values[name][place] = getattr(row.sums, name)
    return MonthlySums(months, tuple(wanted), values)


def common_months(*sums: MonthlySums) -> list[MonthlySums]:
    """Return each cut to the init months that all of them hold."""
    common = sums[0].init_months
    for other in sums[1:]:
        common = np.intersect1d(common, other.init_months)
    return [one.months(common) for one in sums]


def skill_against(reference: str, own: str = "squared_error") -> Statistic:
    """Return the statistic ``1 - own / reference`` of two named sums, (..., lead)."""

    def skill(totals: Totals) -> np.ndarray:
        ours, theirs = totals[own], totals[reference]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(theirs > 0, 1 - ours / theirs, np.nan)

    return skill


msss = skill_against("squared_error_climatology")
"""Mean squared error skill against climatology (..., lead), of `SkillSums` totals."""


def mean_over_leads(statistic: Statistic) -> Statistic:
    """Return the statistic's mean over the leads that have observations, (...)."""

    def mean(totals: Totals) -> np.ndarray:
        by_lead = statistic(totals)
        there = ~np.isnan(by_lead)
        count = there.sum(axis=-1)
        total = np.where(there, by_lead, 0.0).sum(axis=-1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    return mean


def error_scores(totals: Totals) -> dict[str, np.ndarray]:
    """Return the scores of `SkillSums` totals, each (..., lead); NaN where one is not defined.

    Returns
    -------
    dict
        ``msss`` against climatology; ``acc``, the anomaly correlation, means not taken out;
        ``bias``, ``rmse``, ``mae`` (mmol m-2 d-1).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = totals["forecast_anomaly_squared"] * totals["observed_anomaly_squared"]
        return {
            "msss": msss(totals),
            "acc": totals["anomaly_product"] / np.sqrt(sizes),
            "bias": totals["error"] / totals["weight"],
            "rmse": np.sqrt(totals["squared_error"] / totals["weight"]),
            "mae": totals["absolute_error"] / totals["weight"],
        }


def listed(months: np.ndarray) -> str:
    """Return months for a message, the first three by name."""
    more = f" and {len(months) - 3} more" if len(months) > 3 else ""
    return (", ".join(str(month) for month in months[:3]) or "none") + more
