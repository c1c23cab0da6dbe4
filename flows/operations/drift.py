"""Whether the champion still forecasts as well as its hindcast said when it was registered.

A control chart. Each valid month gives one number: ln(MSE of the model / MSE of climatology), minus
the mean of that lead's in the hindcast, averaged over the leads that were scored. An exponentially
weighted moving average of it (Roberts 1959, weight 0.2: Lucas and Saccucci 1990, for shifts of
about one standard deviation) is the level: 0 as good as the hindcast, above it worse. A level of
0.2 is an error variance 22 % larger, relative to climatology's, than promised.

The limit comes from the hindcast itself: series drawn from it in blocks of months, so that its own
good and bad spells stay together, against a mean that is drawn anew as well, because the hindcast
is short; and moved out as Student's t is with the few blocks that it holds. It is meant to stay
above the level in 95 % of years without change. On simulated series of 24 to 96 months with
correlations of 0 to 0.7 from month to month it did so in 89 to 99 %, and an error variance 1.8
times the promised one was found within a year in 79 to 100 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.operations.workspace import Workspace
from storage.drift_checks import (
    DriftCheck,
    ServedError,
    last_drift_check,
    record_drift_check,
    served_errors,
)
from storage.months import Month
from storage.months import month as parse_month
from storage.registry import ModelVersion, champion

WEIGHT = 0.2
"""Of the newest month in the moving average: a memory of nine months."""

CONFIDENCE = 0.95
"""Share of years without change that the level of the scores stays below its limit in."""

BLOCK_MONTHS = 6
"""Errors of neighbouring months go together; so do those of one init month at all its leads."""

MINIMUM_HINDCAST_MONTHS = 12
MINIMUM_SERVED_MONTHS = 3
N_PATHS = 4000
_BURN_IN, _YEAR = 24, 12
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Series:
    """Logarithms of the error ratio, ln(MSE / MSE of climatology).

    Parameters
    ----------
    values
        By valid month and lead.
    """

    values: Mapping[tuple[Month, int], float]

    def means(self) -> dict[int, float]:
        """Return the mean of each lead."""
        leads = sorted({lead for _, lead in self.values})
        return {
            lead: float(np.mean([v for (_, k), v in self.values.items() if k == lead]))
            for lead in leads
        }

    def departures(self, means: Mapping[int, float]) -> tuple[list[Month], np.ndarray]:
        """Return the valid months, ascending, and their mean departure from the leads' means.

        Leads without a mean do not count.
        """
        by_month: dict[Month, list[float]] = {}
        for (valid, lead), value in self.values.items():
            if lead in means:
                by_month.setdefault(valid, []).append(value - means[lead])
        months = sorted(by_month)
        return months, np.array([np.mean(by_month[valid]) for valid in months])


def check_drift(workspace: Workspace, grid: str) -> DriftCheck | None:
    """Look at the champion's scores in service and record the look, if there is anything new.

    Returns
    -------
    DriftCheck or None
        The newest look; None where there is no champion, its version holds no hindcast of at least
        a year, or fewer than three months have been scored in service.
    """
    model = champion(workspace.engine, grid)
    if model is None:
        return None
    look = look_at(model, served_errors(workspace.engine, model.version), workspace)
    if look is None:
        return None
    record_drift_check(workspace.engine, look)
    return last_drift_check(workspace.engine, model.version)


def look_at(
    model: ModelVersion, served: Sequence[ServedError], workspace: Workspace
) -> DriftCheck | None:
    """Return what a model's errors in service say beside its hindcast; None if too few of them."""
    hindcast = model.metrics.get("hindcast")
    if not isinstance(hindcast, Mapping):
        return None
    promised = hindcast_series(hindcast)
    means = promised.means()
    promised_months, promised_departures = promised.departures(means)
    months, departures = series_of(served).departures(means)
    if len(promised_months) < MINIMUM_HINDCAST_MONTHS or len(months) < MINIMUM_SERVED_MONTHS:
        return None
    level = float(moving_average(departures[None])[0, -1])
    limit = level_limit(promised_departures, np.random.default_rng(0))
    drifting = level > limit
    recent = [one for one in served if one.valid_month > months[-1] - _YEAR]
    skill = _skill([e.squared_error for e in recent], [e.of_climatology for e in recent])
    promised_skill = _skill(
        np.ravel(hindcast["squared_error"]), np.ravel(hindcast["squared_error_climatology"])
    )
    return DriftCheck(
        model_version=model.version,
        first_valid_month=months[0],
        last_valid_month=months[-1],
        n_months=len(months),
        n_hindcast_months=len(promised_months),
        msss=skill,
        msss_hindcast=promised_skill,
        level=level,
        level_limit=limit,
        drifting=drifting,
        retraining_due=drifting,
        reason=_reason(months, level, limit, skill, promised_skill),
        checked_at=workspace.now(),
    )


def hindcast_series(hindcast: Mapping[str, Any]) -> Series:
    """Return the series of a version's own hindcast (``metrics["hindcast"]``)."""
    first = parse_month(str(hindcast["first_init_month"]))
    pairs = zip(hindcast["squared_error"], hindcast["squared_error_climatology"], strict=True)
    values = {}
    for position, (errors, of_climatology) in enumerate(pairs):
        for lead, error, climatology in zip(hindcast["leads"], errors, of_climatology, strict=True):
            if climatology > 0:
                values[first + position + lead, lead] = _log_ratio(error, climatology)
    return Series(values)


def series_of(served: Sequence[ServedError]) -> Series:
    """Return the series of the errors in service."""
    return Series(
        {
            (one.valid_month, one.lead_months): _log_ratio(one.squared_error, one.of_climatology)
            for one in served
            if one.of_climatology > 0
        }
    )


def moving_average(departures: np.ndarray) -> np.ndarray:
    """Return the exponentially weighted moving average (path, month), from 0 on."""
    level = np.zeros(len(departures))
    levels = np.empty_like(departures)
    for position in range(departures.shape[1]):
        level = WEIGHT * departures[:, position] + (1 - WEIGHT) * level
        levels[:, position] = level
    return levels


def level_limit(
    departures: np.ndarray,
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    *,
    two_sided: bool = False,
) -> float:
    """Return what the level stays below in most years in which nothing has changed.

    Parameters
    ----------
    departures
        Of the time that is known to be good, by month (month,); their mean is 0.
    rng
        Draws the series.
    confidence
        Share of the years in which it does.
    two_sided
        Whether it is the size of the level that counts, not only its height.
    """
    paths = _drawn(departures, _BURN_IN + _YEAR, rng)
    around = _drawn(departures, len(departures), rng).mean(axis=1, keepdims=True)
    levels = moving_average(paths - around)[:, _BURN_IN:]
    highest = (np.abs(levels) if two_sided else levels).max(axis=1)
    limit = float(np.quantile(highest, confidence)) * _widening(len(departures), confidence)
    return max(limit, _SMALLEST)


def _widening(n_months: int, confidence: float) -> float:
    """Return the factor for the few blocks that the hindcast holds.

    The variance of ``B`` blocks around their own mean is ``(B - 1) / B`` of the true one, and it is
    itself uncertain, which Student's t with ``B - 1`` degrees of freedom allows for
    (as `tidenet.verification.bootstrap` does for intervals).
    """
    from scipy.stats import norm, t

    blocks = max(n_months / BLOCK_MONTHS, 2.0)
    return float(
        np.sqrt(blocks / (blocks - 1)) * t.ppf(confidence, blocks - 1) / norm.ppf(confidence)
    )


def _drawn(departures: np.ndarray, n_months: int, rng: np.random.Generator) -> np.ndarray:
    """Return series (path, n_months) drawn in blocks from a closed circle of months."""
    n = len(departures)
    block = min(BLOCK_MONTHS, n)
    starts = rng.integers(0, n, size=(N_PATHS, -(-n_months // block)))
    months = (starts[:, :, None] + np.arange(block)).reshape(N_PATHS, -1)[:, :n_months]
    drawn: np.ndarray = departures[months % n]
    return drawn


def _log_ratio(error: float, of_climatology: float) -> float:
    return float(np.log(max(error / of_climatology, _SMALLEST)))


def _skill(errors: Sequence[float] | np.ndarray, of_climatology: Any) -> float | None:
    total = float(np.sum(of_climatology))
    return 1 - float(np.sum(errors)) / total if total > 0 else None


def _reason(
    months: Sequence[Month],
    level: float,
    limit: float,
    skill: float | None,
    promised: float | None,
) -> str:
    found = (
        f"MSSS {_signed(skill)} over the months to {months[-1]}, {_signed(promised)} in its "
        f"hindcast; level {level:+.2f}, limit {limit:+.2f}"
    )
    if level > limit:
        return f"Worse than its hindcast by more than that varies: {found}. Train anew."
    return f"As good as its hindcast within what that varies: {found}."


def _signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.2f}"
