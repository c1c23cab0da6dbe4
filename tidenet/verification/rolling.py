"""Rolling origin: many methods, refitted as time goes on, on the same init months.

At each origin every method is fitted on the record up to the origin, and nothing later exists for
it: it is handed the record cut off there, and each forecast the record cut off at its init month.
Then it forecasts from every month until the next origin.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from storage.errors import TidenetError
from storage.months import Month
from tidenet.errors import NotEnoughMonthsError
from tidenet.forecaster import Forecaster
from tidenet.record import FluxRecord
from tidenet.references import KEPT, Fitted, fit_method, fit_shared
from tidenet.verification.hindcasts import EvaluationRow, hindcast
from tidenet.verification.probability import ProbabilityRow

Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Origin:
    """A time at which methods are fitted.

    Parameters
    ----------
    record
        The record up to the origin and no further.
    shared
        Climatology and anomalies of that record, fitted once for all methods.
    number
        0 for the first origin, 1 for the next.
    """

    record: FluxRecord
    shared: Fitted
    number: int


FitMethod = Callable[[Origin], Forecaster]
"""Fits a method at an origin."""


@dataclass(frozen=True)
class RollingHindcasts:
    """What came of it.

    Parameters
    ----------
    skill, probability
        Sums by method, init month and lead.
    failed
        Why a method gave no forecasts, by method: one sentence.
    init_months
        Init months that every method forecast from.
    last
        Methods as fitted at the last origin.
    """

    skill: list[EvaluationRow]
    probability: list[ProbabilityRow]
    failed: dict[str, str]
    init_months: list[Month]
    last: Mapping[str, Forecaster] = field(default_factory=dict)


def reference_fit(method: str, n_leads: int) -> FitMethod:
    """Return how one of `tidenet.references.METHODS` is fitted at an origin."""
    return lambda origin: fit_method(method, origin.shared, n_leads)


def rolling_hindcasts(
    record: FluxRecord,
    methods: Mapping[str, FitMethod],
    *,
    first_origin: Month,
    last_init: Month,
    n_leads: int,
    refit_months: int = 12,
    n_members: int = 20,
    seed: int = 0,
    progress: Report | None = None,
) -> RollingHindcasts:
    """Fit, hindcast and score.

    Parameters
    ----------
    record
        Inputs and truth.
    methods
        Name to how it is fitted.
    first_origin
        Last month of the first training period. Init months start with the next one.
    last_init
        Last init month.
    n_leads
        Leads; those that the record cannot verify are left out.
    refit_months
        Months between origins; 0 to fit once.
    n_members, seed
        Size and seed of the ensembles.
    progress
        Called with done, total and what was done.

    Raises
    ------
    NotEnoughMonthsError
        If there is no init month with a month to verify it, or nothing can be fitted.
    """
    inits = _init_months(record, first_origin, last_init)
    origins = list(inits[:: refit_months or len(inits)] - 1)
    last: dict[str, Forecaster] = {}
    result = RollingHindcasts([], [], {}, list(inits), last)
    total, done = len(inits) + len(origins) * len(methods), 0

    def report(detail: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, detail)

    for number, origin_month in enumerate(origins):
        known = record.until(origin_month)
        origin = Origin(known, fit_shared(known, n_leads), number)
        beside = {name: fit_method(name, origin.shared, n_leads) for name in KEPT}
        last.clear()
        for name, fit in methods.items():
            if name not in result.failed:
                try:
                    last[name] = fit(origin)
                except TidenetError as error:
                    result.failed[name] = f"at {origin_month}: {error}"
            report(f"{name} fitted up to {origin_month}")
        until = origins[number + 1] if number + 1 < len(origins) else inits[-1]
        for init_month in np.arange(origin_month + 1, until + 1):
            skill, probability = hindcast(
                last,
                record,
                [init_month],
                climatology=beside["climatology"].climatology,
                references=beside,
                n_members=n_members,
                seed=seed,
            )
            result.skill.extend(skill)
            result.probability.extend(probability)
            report(f"forecasts from {init_month}")
    return _without(result, result.failed)


def _init_months(record: FluxRecord, first_origin: Month, last_init: Month) -> np.ndarray:
    last = min(last_init, record.last_month - 1)
    inits = np.arange(first_origin + 1, last + 1)
    if len(inits) == 0 or first_origin < record.first_month:
        raise NotEnoughMonthsError(
            "There is no month to forecast from and to verify with.",
            found=f"a record of {record.first_month} to {record.last_month}, trained until "
            f"{first_origin}",
            expected="a training cut-off inside the record, at least two months before its end",
            remedy="Choose another month to train until.",
        )
    return inits


def _without(result: RollingHindcasts, failed: Mapping[str, str]) -> RollingHindcasts:
    """Take out what a method forecast before it failed: all are judged on the same months."""
    return RollingHindcasts(
        [row for row in result.skill if row.method not in failed],
        [row for row in result.probability if row.method not in failed],
        result.failed,
        result.init_months,
        result.last,
    )
