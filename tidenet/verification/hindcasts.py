"""Hindcasts of many init months by many forecasters, scored alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from storage.months import Month
from tidenet.aggregates import quantile_fields, spread_fields
from tidenet.climatology import MonthlyClimatology
from tidenet.forecaster import Forecast, Forecaster
from tidenet.record import FluxRecord
from tidenet.verification.probability import ProbabilityRow, forecast_sums
from tidenet.verification.scoring import (
    PredictedMonth,
    ReferenceMonth,
    SkillSums,
    add_up,
    score_month,
    scores,
)


@dataclass(frozen=True)
class EvaluationRow:
    """The sums of one method, init month, lead and region."""

    method: str
    init_month: Month
    lead_months: int
    sums: SkillSums


def hindcast(
    forecasters: Mapping[str, Forecaster],
    record: FluxRecord,
    init_months: Iterable[Month],
    *,
    climatology: MonthlyClimatology,
    references: Mapping[str, Forecaster],
    n_members: int = 20,
    seed: int = 0,
    probability: bool = True,
) -> tuple[list[EvaluationRow], list[ProbabilityRow]]:
    """Forecast from every init month with every forecaster and score what the record has observed.

    Each forecast is given the record up to its init month and no more.

    Parameters
    ----------
    forecasters
        Name to forecaster.
    record
        Inputs and truth.
    init_months
        Init months to hindcast. Leads whose valid month the record does not hold are left out.
    climatology, references
        Climatology of the training period, and at least the reference forecasters
        ``persistence`` and ``damped-persistence`` fitted on it. Their leads are scored.
    n_members
        Ensemble size.
    seed
        Seeds every forecast, together with its init month: the order does not matter.
    probability
        Whether the members are scored too; no rows of them otherwise.
    """
    masks = {"all": record.ocean}
    skill, probabilities = [], []
    for init_month in init_months:
        known = record.until(init_month)
        held = {
            name: _run(references[name], known, init_month, 1, seed)
            for name in ("persistence", "damped-persistence")
        }
        n_leads = held["persistence"].n_leads
        for method, forecaster in forecasters.items():
            forecast = _run(forecaster, known, init_month, n_members, seed)
            for lead, sums in _score(forecast, held, climatology, record, masks):
                skill.append(EvaluationRow(method, init_month, lead, sums))
            if not probability:
                continue
            rng = np.random.default_rng([seed, 1, int(init_month.astype(int)) % 2**32])
            for lead, ranks in forecast_sums(forecast, record, climatology, masks, rng, n_leads):
                probabilities.append(ProbabilityRow(method, init_month, lead, ranks))
    return skill, probabilities


def summarise(rows: Iterable[EvaluationRow]) -> dict[tuple[str, int, str], dict[str, float]]:
    """Return the scores over all init months by method, lead and region."""
    groups: dict[tuple[str, int, str], list[SkillSums]] = {}
    for row in rows:
        groups.setdefault((row.method, row.lead_months, row.sums.region), []).append(row.sums)
    return {key: scores(add_up(sums)) for key, sums in groups.items()}


def _run(
    forecaster: Forecaster, known: FluxRecord, init_month: Month, n_members: int, seed: int
) -> Forecast:
    rng = np.random.default_rng([seed, int(init_month.astype(int)) % 2**32])
    return forecaster.forecast(known, init_month, n_members=n_members, rng=rng)


def _score(
    forecast: Forecast,
    held: Mapping[str, Forecast],
    climatology: MonthlyClimatology,
    record: FluxRecord,
    masks: Mapping[str, np.ndarray],
) -> Iterable[tuple[int, SkillSums]]:
    spread, quantiles = spread_fields(forecast), quantile_fields(forecast)
    # A method may give more leads than are compared.
    for lead, valid in enumerate(forecast.valid_months[: held["persistence"].n_leads]):
        if valid > record.last_month:
            continue
        position = record.index(valid)
        cells = record.ocean if record.observed is None else record.observed[position]
        predicted = PredictedMonth(
            forecast.mean[lead], spread[lead], quantiles[lead], forecast.members[:, lead]
        )
        reference = ReferenceMonth(
            climatology.mean_of(valid),
            climatology.std_of(valid),
            held["persistence"].mean[lead],
            held["damped-persistence"].mean[lead],
        )
        area = record.grid.cell_area
        for sums in score_month(predicted, reference, record.fco2[position], cells, area, masks):
            yield lead + 1, sums
