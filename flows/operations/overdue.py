"""What should be there by now and is not: a month of the product, or the forecast from one."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from storage.archive import ForecastRun
from storage.ledger import MonthCommitted
from storage.months import month, months_between
from storage.settings import Settings


@dataclass(frozen=True)
class Overdue:
    """Something that is late.

    Parameters
    ----------
    what
        ``month`` or ``forecast``.
    message
        What is missing and since when it is expected, one sentence.
    n_months
        Months that are missing; 1 for a forecast.
    """

    what: Literal["month", "forecast"]
    message: str
    n_months: int = 1


def overdue(
    newest: MonthCommitted | None,
    run: ForecastRun | None,
    latency_days: int | None,
    settings: Settings,
    now: dt.datetime,
) -> tuple[Overdue, ...]:
    """Return what is late: months that should have been published, and forecasts from them.

    Parameters
    ----------
    newest
        The record's last month as it was committed; None where there is none.
    run
        The run with the latest init month; None where there is none.
    latency_days
        Days after a month's end by which the product promises it; None where it promises nothing.
        ``TIDENET_EXPECTED_DAYS`` goes before it. Where neither is set, no month is late.
    settings
        What is expected by when.
    now
        The present moment (aware, UTC).
    """
    if newest is None:
        return ()
    late = []
    days = latency_days if settings.expected_days is None else settings.expected_days
    if days is not None:
        newest_due = month((now - dt.timedelta(days=days)).date()) - 1
        missing = months_between(newest.month, newest_due)
        if missing > 0:
            text = f"{missing} month(s) of the product: {newest.month + 1} to {newest_due} "
            text += f"(expected {days} days after the month's end)"
            late.append(Overdue("month", text, missing))
    due_since = now - newest.committed_at
    without = run is None or run.init_month < newest.month
    if without and due_since >= dt.timedelta(days=settings.forecast_days):
        made = "none" if run is None else f"the last is from {run.init_month}"
        late.append(Overdue("forecast", f"the forecast from {newest.month} ({made})"))
    return tuple(late)
