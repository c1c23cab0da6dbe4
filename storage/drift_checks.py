"""Looks at the drift of models in service, as rows of the archive database."""

import datetime as dt
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Engine, Select, case, insert, select

from storage import tables as t
from storage.database import reading, transaction
from storage.months import Month
from storage.registry import require_model
from storage.views import scores_current


@dataclass(frozen=True)
class DriftCheck:
    """A look at a model's skill in service beside that of its hindcast.

    Parameters
    ----------
    model_version
        The model.
    first_valid_month, last_valid_month, n_months
        The months that were scored in service.
    n_hindcast_months
        Valid months of the hindcast that it is held against.
    msss, msss_hindcast
        MSSS against climatology over all leads, of the last 12 months in service and of the
        hindcast; None where it is undefined.
    level, level_limit
        Moving average of ln(MSE / MSE of climatology) minus its mean in the hindcast, and what it
        stays below in 95 % of years in which nothing has changed.
    drifting
        Whether the level is above its limit.
    retraining_due
        Whether the model should be trained anew.
    reason
        What was found, one sentence.
    checked_at
        When (aware, UTC).
    """

    model_version: str
    first_valid_month: Month
    last_valid_month: Month
    n_months: int
    n_hindcast_months: int
    msss: float | None
    msss_hindcast: float | None
    level: float
    level_limit: float
    drifting: bool
    retraining_due: bool
    reason: str
    checked_at: dt.datetime


@dataclass(frozen=True)
class ServedError:
    """The error of one archived forecast of one month, over the whole sea.

    Parameters
    ----------
    valid_month, lead_months
        What it is a forecast of, and how many months ahead.
    squared_error, of_climatology
        Area-weighted sums of squared errors of the forecast and of the climatology.
    """

    valid_month: Month
    lead_months: int
    squared_error: float
    of_climatology: float


def served_errors(engine: Engine, model_version: str) -> tuple[ServedError, ...]:
    """Return the errors of a model's archived forecasts against the latest observations.

    One of each valid month and lead: of several runs a live one before a backfill before a
    hindcast, and then the newest. Sorted by valid month and lead.
    """
    scores = scores_current.c
    kinds = case({"live": 1, "backfill": 2}, value=scores.issued_kind, else_=3)
    query = (
        select(scores.valid_month, scores.lead_months, scores.se_model, scores.se_climatology)
        .where(scores.model_version == model_version, scores.region == "all", scores.n_cells > 0)
        .order_by(scores.valid_month, scores.lead_months, kinds, scores.created_at.desc())
    )
    found: dict[tuple[Month, int], ServedError] = {}
    with reading(engine) as connection:
        for row in connection.execute(query):
            found.setdefault((row.valid_month, row.lead_months), ServedError(*row))
    return tuple(found.values())


def record_drift_check(engine: Engine, check: DriftCheck) -> bool:
    """Add a look, and return whether it was new.

    One that says of the same months what the last one of this model says changes nothing.

    Raises
    ------
    UnknownModelError
        If the model is not registered.
    """
    with transaction(engine) as connection:
        require_model(connection, check.model_version)
        last = connection.execute(_newest(check.model_version)).mappings().one_or_none()
        if last is not None and _same(DriftCheck(**last), check):
            return False
        connection.execute(insert(t.DriftCheck).values(**asdict(check)))
        return True


def last_drift_check(engine: Engine, model_version: str) -> DriftCheck | None:
    """Return the newest look at a model; None if nobody has looked."""
    with reading(engine) as connection:
        row = connection.execute(_newest(model_version)).mappings().one_or_none()
    return None if row is None else DriftCheck(**row)


def _newest(model_version: str) -> Select[Any]:
    columns = [getattr(t.DriftCheck, field.name) for field in fields(DriftCheck)]
    return (
        select(*columns)
        .where(t.DriftCheck.model_version == model_version)
        .order_by(t.DriftCheck.id.desc())
        .limit(1)
    )


def _same(one: DriftCheck, other: DriftCheck) -> bool:
    return (one.first_valid_month, one.last_valid_month, one.n_months, one.reason) == (
        other.first_valid_month,
        other.last_valid_month,
        other.n_months,
        other.reason,
    )
