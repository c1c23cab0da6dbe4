"""What goes wrong, and when: decided by a seed before the first month."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from storage.months import Month, calendar_month


class Kind(StrEnum):
    """What can go wrong."""

    KILLED_INGEST = "ingest killed"
    KILLED_FORECAST = "forecast killed"
    KILLED_VERIFY = "verify killed"
    KILLED_MAINTAIN = "maintenance killed"
    NO_DATABASE = "database down"
    NO_S3 = "S3 answers 503"
    TWICE = "schedule fires twice"
    DAMAGED = "file damaged"
    LATE = "month late"
    DOUBLED = "file doubled"
    REVISED = "month revised"


LASTING = (Kind.DAMAGED, Kind.LATE, Kind.DOUBLED)
"""Faults of the provider that are only put right one or two months later."""


MOMENTS = 3.0
"""A fault strikes within so many times what the step took the last time: the first step of a new
process takes longer than that of one that has done it before."""

KILLED = {
    Kind.KILLED_INGEST: "ingest",
    Kind.KILLED_FORECAST: "forecast",
    Kind.KILLED_VERIFY: "verify",
    Kind.KILLED_MAINTAIN: "maintain",
}


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    kind
        What.
    month
        The month whose file arrives then.
    step
        The step that a fault of the database or S3 strikes.
    moment
        When in a step it strikes, as a part of the time that the step usually takes.
    n_months
        After how many months the provider puts it right (`LASTING`); for a revision, how far back
        the revised month lies.
    """

    kind: Kind
    month: Month
    step: str
    moment: float
    n_months: int


def plan(
    months: Sequence[Month], *, seed: int, every: int, with_s3: bool = False
) -> dict[Month, Fault]:
    """Return the faults of some months, at most one at a time.

    Every kind comes before one comes again. The provider puts everything right before the training
    at the end of a year and before the last month, so that the same months are known then as
    without the fault.

    Parameters
    ----------
    months
        The months to be lived through.
    seed
        Another seed is another plan.
    every
        Mean number of months from one fault to the next.
    with_s3
        Whether S3 is there to fail.
    """
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in Kind if with_s3 or kind is not Kind.NO_S3]
    deck: list[Kind] = []
    faults = {}
    position = int(rng.integers(0, every))
    while position < len(months):
        if len(deck) < len(kinds):
            deck += [kinds[k] for k in rng.permutation(len(kinds))]
        month = months[position]
        n_months = int(rng.integers(1, 3))
        fits = [k for k, kind in enumerate(deck) if _fits(kind, month, months[-1], n_months)]
        kind = deck.pop(fits[0])
        step = str(rng.choice(["ingest", "forecast", "verify"]))
        faults[month] = Fault(kind, month, step, float(rng.uniform(0, MOMENTS)), n_months)
        position += int(rng.integers(1, 2 * every)) + (n_months if kind in LASTING else 0)
    return faults


def _fits(kind: Kind, month: Month, last: Month, n_months: int) -> bool:
    if kind not in LASTING:
        return True
    right = month + n_months
    return right <= last and calendar_month(month) < calendar_month(right)


def strikes(fault: Fault, step: str) -> bool:
    """Return whether a fault strikes a step; those of the provider strike none."""
    if fault.kind is Kind.TWICE:
        return step != "maintain"
    if fault.kind in (Kind.NO_DATABASE, Kind.NO_S3):
        return step == fault.step
    return KILLED.get(fault.kind) == step
