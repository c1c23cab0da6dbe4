"""What models are given in service beside what they were trained on, as rows of the archive."""

import datetime as dt
from dataclasses import asdict, dataclass, fields
from typing import Literal

import numpy as np
from sqlalchemy import Engine, insert, select

from storage import tables as t
from storage.database import reading, transaction
from storage.months import Month
from storage.registry import require_model
from storage.views import latest_months

Statistic = Literal["mean", "contrast", "observed-share"]


@dataclass(frozen=True)
class InputDriftCheck:
    """A look at one statistic of what a model is given, beside its training.

    Parameters
    ----------
    model_version
        The model.
    statistic
        ``mean`` (flux of the whole sea), ``contrast`` (between its regions), ``observed-share``.
    first_month, last_month, n_months
        The months after its training that were looked at.
    n_training_months
        Months of its training that they are held against.
    level, level_limit
        Moving average of the departures from the training mean of each calendar month, in
        training standard deviations, and what its size stays below in 99 % of years like those
        of the training.
    drifting
        Whether the size of the level is above its limit.
    reason
        What was found, one sentence.
    checked_at
        When (aware, UTC).
    """

    model_version: str
    statistic: Statistic
    first_month: Month
    last_month: Month
    n_months: int
    n_training_months: int
    level: float
    level_limit: float
    drifting: bool
    reason: str
    checked_at: dt.datetime


@dataclass(frozen=True)
class HeldMonths:
    """What the record holds of each month, by region.

    Parameters
    ----------
    months
        Ascending, datetime64[M] (month,).
    regions
        Names, the whole sea (``all``) first.
    mean
        Area mean of the flux (month, region), mmol m-2 d-1, positive out of the sea.
    area_m2
        Ocean area (region,).
    observed_share
        Share of the whole sea that was observed (month,), 0 to 1.
    """

    months: np.ndarray
    regions: tuple[str, ...]
    mean: np.ndarray
    area_m2: np.ndarray
    observed_share: np.ndarray


def held_months(engine: Engine, first: Month) -> HeldMonths:
    """Return the latest revision of every month from one on, as far as it is archived by region.

    Only regions that every month is archived for.
    """
    row = t.RegionalObservation
    query = (
        select(latest_months.c.month, row.region, row.mean, row.area_m2, row.observed_share)
        .join(latest_months, latest_months.c.month_revision_id == row.month_revision_id)
        .where(latest_months.c.month >= first)
        .order_by(latest_months.c.month, row.region)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    by_month: dict[Month, dict[str, tuple[float, float, float]]] = {}
    for month, region, mean, area, share in rows:
        by_month.setdefault(month, {})[region] = (mean, area, share)
    common = set.intersection(*(set(held) for held in by_month.values())) if by_month else set()
    names = tuple(sorted(common, key=lambda name: (name != "all", name)))
    months = [month for month, held in by_month.items() if "all" in held]
    values = np.array([[by_month[m][name] for name in names] for m in months], dtype=np.float64)
    values = values.reshape(len(months), len(names), 3)
    return HeldMonths(
        np.array(months, dtype="datetime64[M]"),
        names,
        values[:, :, 0],
        values[0, :, 1] if len(months) else np.zeros(0),
        values[:, 0, 2] if names else np.zeros(0),
    )


def record_input_drift_check(engine: Engine, check: InputDriftCheck) -> bool:
    """Add a look, and return whether it was new.

    One that says of the same months what the last one of this model and statistic says changes
    nothing.

    Raises
    ------
    UnknownModelError
        If the model is not registered.
    """
    known = last_input_drift_checks(engine, check.model_version).get(check.statistic)
    if known is not None and (known.last_month, known.reason) == (check.last_month, check.reason):
        return False
    with transaction(engine) as connection:
        require_model(connection, check.model_version)
        connection.execute(insert(t.InputDriftCheck).values(**asdict(check)))
    return True


def last_input_drift_checks(engine: Engine, model_version: str) -> dict[str, InputDriftCheck]:
    """Return the newest look at each statistic of a model's input, by statistic."""
    names = [field.name for field in fields(InputDriftCheck)]
    query = (
        select(*(getattr(t.InputDriftCheck, name) for name in names))
        .where(t.InputDriftCheck.model_version == model_version)
        .order_by(t.InputDriftCheck.id)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).mappings().all()
    return {row["statistic"]: InputDriftCheck(**row) for row in rows}
