"""Runs in a few numbers: how many there are, when they were scored, and what one says by region."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields

from sqlalchemy import Engine, func, select

from storage import tables as t
from storage.database import reading
from storage.months import Month


@dataclass(frozen=True)
class RegionalForecast:
    """What a run says of one region at one lead.

    Parameters
    ----------
    region, lead_months, valid_month
        Of where and when.
    mean, q05, q95, climatology
        Area mean, the ends of its 90 % interval and the climatology: mmol m-2 d-1, positive out of
        the sea.
    flux_tgc_mean, flux_tgc_q05, flux_tgc_q95
        Flux of the whole region and its 90 % interval: Tg C per month, positive out of the sea.
    """

    region: str
    lead_months: int
    valid_month: Month
    mean: float
    q05: float
    q95: float
    climatology: float
    flux_tgc_mean: float
    flux_tgc_q05: float
    flux_tgc_q95: float


def regional_forecast(engine: Engine, run_id: str) -> tuple[RegionalForecast, ...]:
    """Return what a run says by region, each in the order of leads; nothing if there is no run."""
    row = t.RegionalPrediction
    query = (
        select(*(getattr(row, field.name) for field in fields(RegionalForecast)))
        .where(row.run_id == run_id)
        .order_by(row.region, row.lead_months)
    )
    with reading(engine) as connection:
        return tuple(RegionalForecast(*found) for found in connection.execute(query))


def runs_by_kind(engine: Engine) -> Mapping[str, int]:
    """Return how many runs the archive holds of each kind that it holds, reruns included."""
    run = t.ForecastRun
    query = select(run.issued_kind, func.count()).group_by(run.issued_kind)
    with reading(engine) as connection:
        return {kind: count for kind, count in connection.execute(query).tuples()}


def last_scored_at(engine: Engine) -> dt.datetime | None:
    """Return when a forecast was scored last (aware, UTC); None if none was."""
    score = t.SkillScore
    # Every forecast is scored over the whole sea; its rows are found by an index.
    query = select(score.created_at).where(score.region == "all")
    query = query.order_by(score.created_at.desc()).limit(1)
    with reading(engine) as connection:
        return connection.execute(query).scalar()
