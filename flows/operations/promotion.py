"""The gate: whether a trained model replaces the one in service, with the figures it rests on.

A challenger becomes champion if, on init months that neither has learned from
(`flows.operations.judgement`), it is better than climatology, better than damped persistence, and
better than the champion with a 90 % interval (paired block bootstrap) above zero. A challenger that
has learned from later months than the champion need only be no worse: its interval has to stay
above minus the margin ``TIDENET_PROMOTION_MARGIN``. Without that rule a model as good as the
champion could never follow it, and the one in service would grow old; with it, newer months are
worth as much as the margin. Its default, 0.03, is a little more than the half-width of the interval
between two seeds of one training, 0.023 (one-degree field of the East China Sea, 19 init months):
an equal model passes.

The first model of a grid becomes champion whatever the figures say, as long as it can be served.
The figures are marked by the same conditions as any other's, and the reason says what it missed.
"""

import getpass
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flows.operations.judgement import Judgement
from flows.operations.service_trial import ServiceTrial, try_to_serve
from flows.operations.workspace import Workspace
from storage.registry import (
    DecisionKind,
    ModelVersion,
    Promotion,
    PromotionFigure,
    record_promotion,
)

if TYPE_CHECKING:
    from tidenet.forecasting import TideNetForecaster
    from tidenet.record import FluxRecord


def settle(
    workspace: Workspace,
    version: ModelVersion,
    forecaster: "TideNetForecaster",
    record: "FluxRecord",
    judgement: Judgement,
    *,
    by_hand: bool = False,
) -> Promotion:
    """Try whether a registered challenger can be served, decide about it and record that.

    Nothing about the champion changes before the trial has succeeded. The champion itself, trained
    again to the last byte, is left as it is, and no decision is recorded.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    version
        The challenger's version, saved and registered.
    forecaster
        The challenger as it was trained.
    record
        What it was trained on.
    judgement
        How its twin did.
    by_hand
        Promote it whatever the figures say. Not if it cannot be served.
    """
    current = judgement.champion
    if current is not None and current.version == version.version:
        reason = f"{version.version} is the champion already: the same training on the same data."
        return _decision(workspace, version, judgement, "gate", True, reason)
    trial = try_to_serve(workspace, version, record, forecaster.tensors())
    decision = decide(workspace, version, judgement, trial, by_hand=by_hand)
    record_promotion(workspace.engine, decision)
    return decision


def decide(
    workspace: Workspace,
    version: ModelVersion,
    judgement: Judgement,
    trial: ServiceTrial,
    *,
    by_hand: bool = False,
) -> Promotion:
    """Return what becomes of a challenger, with the reason and the figures."""
    judgement = replace(judgement, figures=_marked(version, judgement, workspace))
    block = _block(judgement)
    if not trial.served:
        reason = f"Refused: it cannot be served: {trial.problem}. {block}"
        return _decision(workspace, version, judgement, "refused", False, reason, trial)
    failures = [_failure(figure) for figure in judgement.figures if figure.passed is False]
    if judgement.champion is not None and judgement.trouble:
        failures.append(judgement.trouble)
    verdict = "It passes the gate" if not failures else f"The gate: {'; '.join(failures)}"
    if by_hand:
        reason = f"Champion, promoted by hand. {verdict}. {block}"
        return _decision(workspace, version, judgement, "by-hand", True, reason, trial)
    if judgement.champion is None:
        # Without a champion nothing is forecast at all: the first model serves whatever its figures
        # are, and they and the reason say what it did not pass.
        reason = f"Champion, the first model of this grid. {verdict}. {block}"
        return _decision(workspace, version, judgement, "first", True, reason, trial)
    promoted = not failures
    if promoted:
        reason = f"Champion: {_beside_champion(judgement)}. {block}"
    else:
        reason = f"Not promoted: {'; '.join(failures)} (--promote decides by hand). {block}"
    return _decision(workspace, version, judgement, "gate", promoted, reason, trial)


def _marked(
    version: ModelVersion, judgement: Judgement, workspace: Workspace
) -> tuple[PromotionFigure, ...]:
    """Return the figures over all leads marked with whether the gate's condition is met."""
    margin = workspace.settings.promotion_margin
    current = judgement.champion
    newer = current is not None and version.trained_until > current.trained_until

    def passed(figure: PromotionFigure) -> bool:
        if figure.rival == "champion":
            return figure.low is not None and figure.low > (-margin if newer else 0.0)
        return figure.difference > 0

    return tuple(
        replace(figure, passed=passed(figure)) if figure.lead_months == 0 else figure
        for figure in judgement.figures
    )


def _failure(figure: PromotionFigure) -> str:
    rival = "the champion" if figure.rival == "champion" else figure.rival
    how = "not better than" if figure.difference <= 0 else "not surely better than"
    if figure.rival != "champion":
        how = "not better than"
    return f"{how} {rival} ({_shown(figure)})"


def _beside_champion(judgement: Judgement) -> str:
    [figure] = [f for f in judgement.figures if (f.rival, f.lead_months) == ("champion", 0)]
    how = "better than" if figure.low is not None and figure.low > 0 else "no worse than"
    assert judgement.champion is not None
    return f"{how} {judgement.champion.version} ({_shown(figure)})"


def _shown(figure: PromotionFigure) -> str:
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f", 90 % interval {figure.low:+.3f} to {figure.high:+.3f}"
    return (
        f"MSSS {figure.difference:+.3f}{interval}, RMSE {figure.rmse:.3f} against "
        f"{figure.rmse_rival:.3f} on {figure.n_months} init months"
    )


def _block(judgement: Judgement) -> str:
    metrics = judgement.metrics
    return (
        f"MSSS against climatology {metrics['msss']:+.3f} (damped persistence "
        f"{metrics['msss_damped_persistence']:+.3f}) on {metrics['validation']}."
    )


def _decision(
    workspace: Workspace,
    version: ModelVersion,
    judgement: Judgement,
    kind: DecisionKind,
    promoted: bool,
    reason: str,
    trial: ServiceTrial | None = None,
) -> Promotion:
    current = judgement.champion
    numbers: dict[str, Any] = {
        name: value for name, value in judgement.metrics.items() if name != "hindcast"
    }
    numbers |= {
        "n_common": judgement.n_common,
        "margin": workspace.settings.promotion_margin,
        "served": None if trial is None else trial.served,
        "trial_seconds": None if trial is None else round(trial.seconds, 2),
    }
    return Promotion(
        model_version=version.version,
        promoted=promoted,
        reason=reason,
        decided_by=getpass.getuser(),
        decided_at=workspace.now(),
        numbers=numbers,
        previous_champion=None if current is None else current.version,
        kind=kind,
        figures=judgement.figures,
    )
