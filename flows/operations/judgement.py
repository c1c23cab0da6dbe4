"""How a challenger did beside climatology, damped persistence and the champion.

Nobody is judged on what it has learned. The challenger is represented by its twin, fitted before
the validation block, and so is the champion on months that it has learned from; on later ones it is
judged as it is in service. (Of a twin, the network's stopping point alone was chosen on its
validation block.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.operations.drivers import needed_drivers
from flows.operations.models import load_model, load_twin
from flows.operations.workspace import Workspace, flux_record
from storage.errors import TidenetError
from storage.registry import ModelVersion, PromotionFigure, Rival, champion

if TYPE_CHECKING:
    from tidenet.forecaster import Forecaster
    from tidenet.forecasting import TideNetForecaster
    from tidenet.record import FluxRecord
    from tidenet.verification import EvaluationRow

MINIMUM_COMMON_MONTHS = 12
"""Init months, unseen by both, that a comparison with the champion needs: a year."""

REFERENCES: tuple[Rival, ...] = ("climatology", "damped-persistence")
"""What a challenger has to beat besides the champion."""

CHALLENGER = "challenger"
CHAMPION: Rival = "champion"


@dataclass(frozen=True)
class Judgement:
    """How a challenger did.

    Parameters
    ----------
    metrics
        Its own figures on the validation block: what its version is registered with.
    champion
        The model in service; None if the grid has none.
    n_common
        Init months that champion and challenger were both judged on.
    trouble
        Why they were not compared though there is a champion; empty if they were.
    figures
        The challenger beside its rivals, by lead and over all leads (lead 0).
    """

    metrics: Mapping[str, Any]
    champion: ModelVersion | None
    n_common: int
    trouble: str
    figures: tuple[PromotionFigure, ...]


def judge(
    workspace: Workspace,
    held_out: "TideNetForecaster",
    record: "FluxRecord",
    validation: np.ndarray,
    seed: int,
) -> Judgement:
    """Hold a challenger's twin against the references and the champion on the validation block.

    Parameters
    ----------
    workspace
        Settings and archive.
    held_out
        The challenger, fitted before the validation block.
    record
        The record up to the training cut-off.
    validation
        Months of the validation block, ascending, datetime64[M].
    seed
        Of the few members that are drawn, and of the bootstrap.
    """
    first = max(validation[0] - 1, record.first_month + held_out.n_history - 1)
    init_months = np.arange(first, validation[-1] - held_out.n_leads + 1)
    judged: dict[str, Forecaster] = {CHALLENGER: held_out}
    judged |= {name: held_out.references[name] for name in REFERENCES}
    rows = _hindcast(judged, held_out, record, init_months, seed)
    figures: list[PromotionFigure] = []
    for rival in REFERENCES:
        figures += compare(rows, rival, seed=seed)
    current = champion(workspace.engine, record.grid.name)
    n_common, trouble = 0, ""
    if current is not None:
        try:
            rows += _champions_rows(workspace, current, held_out, record, init_months, seed)
        except TidenetError as error:
            trouble = f"{current.version} cannot be hindcast: {type(error).__name__}: {error}"
        n_common = len({row.init_month for row in rows if row.method == CHAMPION})
        if n_common >= MINIMUM_COMMON_MONTHS:
            figures += compare(rows, CHAMPION, seed=seed)
        elif not trouble:
            trouble = (
                f"{current.version} can be judged on {n_common} init months that it has not "
                f"learned from, {MINIMUM_COMMON_MONTHS} are needed"
            )
    return Judgement(_metrics(rows, validation), current, n_common, trouble, tuple(figures))


def compare(
    rows: "Sequence[EvaluationRow]", rival: Rival, *, seed: int, method: str = CHALLENGER
) -> tuple[PromotionFigure, ...]:
    """Return the challenger beside one rival, over all leads (lead 0) and by lead.

    Parameters
    ----------
    rows
        Score sums of both (`tidenet.verification.evaluate`), against one climatology.
    rival
        Name of the rival's method. Init months and leads that only one of them has do not count.
    seed
        Of the bootstrap.
    method
        Name of the challenger's method.
    """
    from tidenet.verification.bootstrap import paired_difference
    from tidenet.verification.monthly import common_months, monthly_sums, msss

    leads = sorted(
        {row.lead_months for row in rows if row.method == method}
        & {row.lead_months for row in rows if row.method == rival}
    )
    ours, theirs = common_months(
        monthly_sums(rows, method, leads=leads), monthly_sums(rows, rival, leads=leads)
    )
    figures = []
    for one, other in ((ours.pooled(), theirs.pooled()), (ours, theirs)):
        rng = np.random.default_rng([seed, len(one.leads)])
        found = paired_difference(one, other, msss, rng=rng, window=max(leads))
        rmse, rmse_rival = _rmse(one.total()), _rmse(other.total())
        for position, lead in enumerate(one.leads):
            if not np.isfinite(found.estimate[position]):
                continue  # nothing of this lead was observed
            figures.append(
                PromotionFigure(
                    rival=rival,
                    lead_months=lead,
                    n_months=len(ours.init_months),
                    first_init_month=ours.init_months[0],
                    last_init_month=ours.init_months[-1],
                    rmse=float(rmse[position]),
                    rmse_rival=float(rmse_rival[position]),
                    difference=float(found.estimate[position]),
                    low=_number(found.low[position]),
                    high=_number(found.high[position]),
                )
            )
    return tuple(figures)


def _champions_rows(
    workspace: Workspace,
    current: ModelVersion,
    held_out: "TideNetForecaster",
    record: "FluxRecord",
    init_months: np.ndarray,
    seed: int,
) -> "list[EvaluationRow]":
    """Hindcast the champion: as served where it has not learned, its twin where that has not."""
    drivers = needed_drivers(current.config)
    if not set(drivers) <= set(record.drivers):
        store = workspace.record()
        record = flux_record(store, record.first_month, record.last_month, drivers)
    served = init_months[init_months >= current.trained_until]
    rows = []
    if len(served):
        forecaster = load_model(workspace, current, record.grid, record.ocean)
        rows += _hindcast({CHAMPION: forecaster}, held_out, record, served, seed)
    if current.twin_until is not None:
        earlier = init_months[
            (init_months >= current.twin_until) & (init_months < current.trained_until)
        ]
        if len(earlier):
            twin = load_twin(workspace, current, record.grid, record.ocean)
            rows += _hindcast({CHAMPION: twin}, held_out, record, earlier, seed)
    return rows


def _hindcast(
    forecasters: "Mapping[str, Forecaster]",
    judge: "TideNetForecaster",
    record: "FluxRecord",
    init_months: np.ndarray,
    seed: int,
) -> "list[EvaluationRow]":
    from tidenet.verification import hindcast

    possible = [
        month
        for month in init_months
        if all(month - f.n_history + 1 >= record.first_month for f in forecasters.values())
    ]
    rows, _ = hindcast(
        forecasters,
        record,
        possible,
        climatology=judge.climatology,
        references=judge.references,
        n_members=2,
        seed=seed,
        probability=False,
    )
    return rows


def _metrics(rows: "Sequence[EvaluationRow]", validation: np.ndarray) -> dict[str, Any]:
    """Return the challenger's own figures, and the hindcast that its drift is watched by."""
    from tidenet.verification.monthly import monthly_sums, msss

    mine = monthly_sums(rows, CHALLENGER)
    metrics: dict[str, Any] = {"validation": f"{validation[0]}..{validation[-1]}"}
    for name in (CHALLENGER, *REFERENCES):
        sums = monthly_sums(rows, name)
        own = "" if name == CHALLENGER else f"_{name.replace('-', '_')}"
        metrics[f"msss{own}"] = _round(msss(sums.pooled().total())[0])
        metrics[f"rmse{own}"] = _round(_rmse(sums.pooled().total())[0])
        if name == CHALLENGER:
            by_lead = zip(sums.leads, msss(sums.total()), strict=True)
            metrics["msss_by_lead"] = {str(lead): _round(value) for lead, value in by_lead}
    metrics["hindcast"] = {
        "first_init_month": str(mine.init_months[0]),
        "leads": list(mine.leads),
        "squared_error": _table(mine.values["squared_error"]),
        "squared_error_climatology": _table(mine.values["squared_error_climatology"]),
    }
    return metrics


def _table(values: np.ndarray) -> list[list[float]]:
    return [[_round(value) for value in row] for row in values]


def _round(value: float) -> float:
    """Round to six digits: enough, and the same on machines that differ in the last bit."""
    return float(f"{value:.6g}")


def _rmse(totals: Mapping[str, np.ndarray]) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        rmse: np.ndarray = np.sqrt(totals["squared_error"] / totals["weight"])
    return rmse


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
