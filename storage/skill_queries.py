"""Scores in the archive: what is still to be scored, scores in, and skill tables out."""

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, and_, func, select

from storage import tables as t
from storage.archive_rows import IssuedKind
from storage.database import on_conflict_do_nothing, reading, transaction
from storage.dimensions import require_region
from storage.months import Month
from storage.score_rows import ScoreRow, SkillRow, Unscored
from storage.views import latest_months, scores_current, skill_by_lead

BLOCK_MONTHS = 6
"""Length of resampled blocks: errors of neighbouring months go together."""

MIN_MONTHS = 8
"""Fewest valid months that an interval is given for."""

N_RESAMPLES = 1000

_SERIES = ("model_version", "method", "issued_kind", "region", "lead_months")


def unscored(engine: Engine, until: Month, *, again: bool = False) -> tuple[Unscored, ...]:
    """Return every lead of every run still to be scored against the latest revision.

    Parameters
    ----------
    engine
        The archive database.
    until
        Last valid month that counts.
    again
        Return those that were scored already, too, for another scoring.

    Returns
    -------
    tuple
        Sorted by valid month, so that one observed field serves all runs.
    """
    lead, run, observed = t.ForecastLead, t.ForecastRun, latest_months.c
    scorings = (
        select(func.coalesce(func.max(t.SkillScore.scoring), 0))
        .where(
            t.SkillScore.run_id == lead.run_id,
            t.SkillScore.lead_months == lead.lead_months,
            t.SkillScore.month_revision_id == observed.month_revision_id,
        )
        .scalar_subquery()
    )
    query = (
        select(
            lead.run_id,
            lead.init_month,
            lead.lead_months,
            lead.valid_month,
            run.model_version,
            run.fields_url,
            run.fields_sha256,
            observed.month_revision_id,
            observed.revision,
            observed.snapshot_id.label("observed_snapshot_id"),
            (scorings + 1).label("scoring"),
        )
        .join(run, run.id == lead.run_id)
        .join(latest_months, observed.month == lead.valid_month)
        .where(lead.valid_month <= until)
        .order_by(lead.valid_month, lead.init_month, run.created_at, run.id)
    )
    if not again:
        query = query.where(scorings == 0)
    with reading(engine) as connection:
        return tuple(Unscored(**row) for row in connection.execute(query).mappings())


def write_scores(engine: Engine, rows: Iterable[ScoreRow]) -> int:
    """Add score rows in one transaction and return how many were new.

    A scoring of a run, lead, region and revision that is there already is left as it is.
    """
    values = [asdict(row) for row in rows]
    if not values:
        return 0
    with transaction(engine) as connection:
        before = _n_scores(connection)
        connection.execute(on_conflict_do_nothing(connection, t.SkillScore), values)
        return _n_scores(connection) - before


def _n_scores(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(t.SkillScore)).scalar_one()


def skill_table(
    engine: Engine,
    region: str,
    *,
    model_version: str | None = None,
    issued_kind: IssuedKind | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[SkillRow, ...]:
    """Return skill by model version, kind and lead over one region.

    Parameters
    ----------
    engine
        The archive database.
    region
        Name of a region.
    model_version, issued_kind
        Count only these; None for all.
    rng
        For the intervals' resampling; None for always the same.

    Raises
    ------
    UnknownRegionError
        If the archive holds no such region; the message lists those that it holds.
    """
    require_region(engine, region)
    with reading(engine) as connection:
        rows = connection.execute(
            _chosen(skill_by_lead, region, model_version, issued_kind).order_by(
                *(skill_by_lead.c[name] for name in _SERIES)
            )
        ).all()
        scores = connection.execute(
            _chosen(scores_current, region, model_version, issued_kind).order_by(
                scores_current.c.valid_month
            )
        ).all()
    rng = np.random.default_rng(0) if rng is None else rng
    return tuple(_skill_row(row, scores, rng) for row in rows)


def _chosen(view: Any, region: str, model_version: str | None, issued_kind: str | None) -> Any:
    wanted = {"model_version": model_version, "issued_kind": issued_kind}
    limits = [view.c[name] == value for name, value in wanted.items() if value is not None]
    return select(view).where(and_(view.c.region == region, *limits))


def _skill_row(row: Row[Any], scores: Iterable[Row[Any]], rng: np.random.Generator) -> SkillRow:
    series = [getattr(row, name) for name in _SERIES]
    squares: dict[Month, np.ndarray] = {}
    for score in scores:
        if [getattr(score, name) for name in _SERIES] == series and score.n_cells > 0:
            pair = np.array([score.se_model, score.se_climatology])
            squares[score.valid_month] = squares.get(score.valid_month, 0) + pair
    low, high = _interval(np.array(list(squares.values())), rng)
    values = row._mapping
    names = {field.name for field in fields(SkillRow)} & set(values)
    return SkillRow(
        **{name: values[name] for name in names},
        msss_climatology_low=low,
        msss_climatology_high=high,
    )


def _interval(
    squares: np.ndarray, rng: np.random.Generator
) -> tuple[float, float] | tuple[None, None]:
    """Return the 90 % interval of the skill score, by circular block bootstrap.

    Politis and Romano (1992), "A circular block-resampling procedure for stationary data".

    Parameters
    ----------
    squares
        Sums of squared errors of forecast and climatology (n_months, 2), in order of months.
    rng
        Random generator.
    """
    n = len(squares)
    if n < MIN_MONTHS:
        return None, None
    length = min(BLOCK_MONTHS, n // 2)
    starts = rng.integers(0, n, size=(N_RESAMPLES, -(-n // length)))
    chosen = (starts[:, :, None] + np.arange(length)).reshape(N_RESAMPLES, -1)[:, :n] % n
    sums = squares[chosen].sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        skill = 1 - sums[:, 0] / sums[:, 1]
    skill = skill[np.isfinite(skill)]
    if not len(skill):
        return None, None
    low, high = np.quantile(skill, [0.05, 0.95])
    return float(low), float(high)
