"""Hold TIDE-Net against every reference on the same months, on the record or on any other field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.operations.saved_model import SavedModel, saved_forecaster
from flows.operations.workspace import Progress, no_progress
from storage.errors import TidenetError
from storage.months import Month

if TYPE_CHECKING:
    from tidenet.configuration import TideNetConfig
    from tidenet.forecaster import Forecaster
    from tidenet.record import FluxRecord
    from tidenet.verification.bootstrap import Interval, PairedDifference
    from tidenet.verification.monthly import MonthlySums
    from tidenet.verification.rolling import FitMethod, Origin, RollingHindcasts

OURS, DAMPED = "tidenet", "damped-persistence"

YEAR = "year"
"""Stands beside the seasons for all months together."""


class UnknownEvaluationMethodError(TidenetError):
    """A method was to be evaluated that does not exist."""


@dataclass(frozen=True)
class Plan:
    """What is to be evaluated.

    Parameters
    ----------
    train_until
        Last month of the first training period; init months start with the next.
    until
        Last init month; None for the last that can be verified.
    methods
        Method names; empty for all references and TIDE-Net.
    refit_months
        Months after which everything but the networks is fitted anew; 0 to fit once.
    retrain_months
        Months after which the networks are trained anew; 0 to train once, at the first origin.
    n_members, seed
        Size and seed of the ensembles, and seed of the training.
    """

    train_until: Month
    until: Month | None = None
    methods: tuple[str, ...] = ()
    refit_months: int = 12
    retrain_months: int = 0
    n_members: int = 20
    seed: int = 0


@dataclass(frozen=True)
class MethodSkill:
    """How one method did; every array is by lead, NaN where nothing could be verified.

    Parameters
    ----------
    msss
        Mean squared error skill against the climatology of each training period, with interval.
    mean_msss
        Its mean over the leads, with interval.
    over_damped, mean_over_damped
        `msss` minus that of damped persistence on the same months, paired, with interval; by lead,
        and its mean over the leads.
    crpss
        CRPS skill against that climatology dressed with its own spread, with interval.
    scores
        Other scores by name (lead,): ``rmse``, ``bias``, ``acc``, ``spread_skill``,
        ``coverage_50``, ``coverage_90``, ``brier_skill``, ``roc_area``, ``reliability``, ...
    seasons
        All scores with their intervals by season of the valid month, and of the whole `YEAR`;
        the rank histogram and the reliability diagram of "is a source" among them (lead, class).
    """

    msss: "Interval"
    mean_msss: "Interval"
    over_damped: "PairedDifference"
    mean_over_damped: "PairedDifference"
    crpss: "Interval"
    scores: Mapping[str, np.ndarray]
    seasons: Mapping[str, Mapping[str, "Interval"]]


@dataclass(frozen=True)
class Evaluation:
    """The comparison.

    Parameters
    ----------
    source, variable, units
        What was forecast.
    plan
        How.
    leads
        Lead months.
    init_months
        Init months that all methods forecast from.
    methods
        Skill by method, best mean first.
    failed
        Why a method is missing.
    served
        What a forecast is made from: which methods, and where the networks are followed.
    notes
        What was assumed or changed when the field was read.
    hindcasts
        The sums that all of it is made from.
    """

    source: str
    variable: str
    units: str
    plan: Plan
    leads: tuple[int, ...]
    init_months: tuple[Month, ...]
    methods: Mapping[str, MethodSkill]
    failed: Mapping[str, str]
    served: str
    notes: tuple[str, ...]
    hindcasts: "RollingHindcasts"


def evaluate(
    record: "FluxRecord",
    plan: Plan,
    config: "TideNetConfig",
    *,
    weights: SavedModel | None = None,
    source: str = "the record",
    variable: str = "fco2",
    units: str = "mmol m-2 d-1",
    notes: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Evaluation:
    """Compare methods by rolling-origin hindcasts.

    Parameters
    ----------
    record
        Months, grid and drivers, those of ``weights`` among them.
    plan
        Which months and methods.
    config
        Training options of TIDE-Net; its leads are those of all methods.
    weights
        A saved model to evaluate besides (`flows.operations.saved_model.read_saved`). It is not
        fitted anew.
    source, variable, units, notes
        What the record holds, for the report.
    progress
        Called with done, total and what was done.

    Raises
    ------
    NotEnoughMonthsError
        If no month can be forecast from and verified.
    UnknownEvaluationMethodError
        If a method does not exist.
    NoWeightsError
        If the saved model has learned from months after ``train_until``.
    IncompatibleModelError
        If it is of another grid or mask, gives fewer leads or reads more months than there are.
    """
    from tidenet.verification.rolling import rolling_hindcasts

    fits = _fits(plan, config)
    if weights is not None:
        saved = saved_forecaster(weights, record.until(plan.train_until), config.n_leads)
        # A file may be called like a method, which must not take its place.
        clashes = weights.name in _known_methods()
        fits[f"{weights.name} (weights)" if clashes else weights.name] = lambda _: saved
        notes = (*notes, *weights.notes)
    hindcasts = rolling_hindcasts(
        record,
        fits,
        first_origin=plan.train_until,
        last_init=plan.until or record.last_month,
        n_leads=config.n_leads,
        refit_months=plan.refit_months,
        n_members=plan.n_members,
        seed=plan.seed,
        progress=progress,
    )
    leads = tuple(range(1, config.n_leads + 1))
    skill = {name: method_skill(hindcasts, name, leads) for name in hindcasts.last}
    best_first = sorted(skill, key=lambda name: -_number(skill[name].mean_msss.estimate))
    return Evaluation(
        source,
        variable,
        units,
        plan,
        leads,
        tuple(hindcasts.init_months),
        {name: skill[name] for name in best_first},
        hindcasts.failed,
        _served(hindcasts.last.get(OURS)),
        tuple(notes),
        hindcasts,
    )


def method_skill(hindcasts: "RollingHindcasts", name: str, leads: tuple[int, ...]) -> MethodSkill:
    """Return the scores of one method with their intervals."""
    from tidenet.verification.bootstrap import interval, intervals, paired_difference
    from tidenet.verification.monthly import (
        SEASONS,
        error_scores,
        mean_over_leads,
        monthly_sums,
        msss,
    )
    from tidenet.verification.probability_scores import probability_scores, probability_shapes
    from tidenet.verification.scoring import add_up, scores

    def rng() -> np.random.Generator:
        return np.random.default_rng(0)  # the same blocks for every method

    window = max(leads)
    ours = monthly_sums(hindcasts.skill, name, leads=leads)
    theirs = monthly_sums(hindcasts.skill, DAMPED, leads=leads)
    ranks = monthly_sums(hindcasts.probability, name, leads=leads)
    by_lead = [
        scores(add_up(r.sums for r in hindcasts.skill if (r.method, r.lead_months) == (name, lead)))
        for lead in leads
    ]
    other: dict[str, np.ndarray] = {key: np.array([s[key] for s in by_lead]) for key in by_lead[0]}
    other |= {key: np.asarray(v) for key, v in probability_scores(ranks.total()).items()}
    seasons = {}
    for season in (None, *SEASONS):
        errors = monthly_sums(hindcasts.skill, name, leads=leads, season=season)
        part = monthly_sums(hindcasts.probability, name, leads=leads, season=season)
        if season is None or errors.used.any():
            seasons[season or YEAR] = {
                **intervals(errors, error_scores, rng=rng(), window=window),
                **intervals(part, probability_scores, rng=rng(), window=window),
                **intervals(part, probability_shapes, rng=rng(), window=window),
            }
    return MethodSkill(
        seasons[YEAR]["msss"],
        interval(ours, mean_over_leads(msss), rng=rng(), window=window),
        paired_difference(ours, theirs, msss, rng=rng(), window=window),
        paired_difference(ours, theirs, mean_over_leads(msss), rng=rng(), window=window),
        seasons[YEAR]["crpss"],
        other,
        seasons,
    )


def probability_of(evaluation: Evaluation, name: str) -> "MonthlySums":
    """Return the sums that diagrams of a method's probabilities are drawn from."""
    from tidenet.verification.monthly import monthly_sums

    return monthly_sums(evaluation.hindcasts.probability, name, leads=evaluation.leads)


def _number(value: np.ndarray) -> float:
    return float(value) if np.isfinite(value) else -np.inf


def _served(forecaster: "Forecaster | None") -> str:
    from tidenet.forecasting import TideNetForecaster
    from tidenet.references.blend import Blend, describe_weights

    if not isinstance(forecaster, TideNetForecaster):
        return ""
    followed = [f"lead {k}: {w:.2f}" for k, w in enumerate(forecaster.follow, 1) if w > 0]
    assert isinstance(forecaster.linear.method, Blend)
    weights = describe_weights(forecaster.linear.method)
    blend = ", ".join(f"{name} {np.mean(values):.2f}" for name, values in weights.items())
    network = f"network followed ({', '.join(followed)})" if followed else "network not followed"
    return f"linear blend (mean weights: {blend}); {network}"


# --- how each method is fitted --------------------------------------------------------------------


def _fits(plan: Plan, config: "TideNetConfig") -> "dict[str, FitMethod]":
    """Return how each method is fitted; damped persistence is always among them."""
    from tidenet.references import METHODS
    from tidenet.verification.rolling import reference_fit

    known = _known_methods()
    wanted = known if "all" in plan.methods else plan.methods or (OURS, *METHODS)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UnknownEvaluationMethodError(
            f"There is no method {', '.join(unknown)}.",
            expected=", ".join((*known, "all")),
            remedy="Name some of these, separated by commas.",
        )
    fits: dict[str, FitMethod] = {}
    for name in dict.fromkeys((*wanted, DAMPED)):
        if name == OURS:
            fits[name] = _TideNetFit(plan, config)
        elif name in METHODS:
            fits[name] = reference_fit(name, config.n_leads)
        else:
            fits[name] = _Once(_neural_fit(name, config.n_leads, plan.seed))
    return fits


def _known_methods() -> tuple[str, ...]:
    from tidenet.references import METHODS
    from tidenet.references.networks import NETWORK_METHODS

    return (OURS, *METHODS, *NETWORK_METHODS)


def _neural_fit(name: str, n_leads: int, seed: int) -> "FitMethod":
    from tidenet.references.networks import fit_network_reference

    return lambda origin: fit_network_reference(name, origin.record, n_leads, seed=seed)


class _Once:
    """Fits at the first origin, and keeps what it has got."""

    def __init__(self, fit: "FitMethod") -> None:
        self.fit = fit
        self.fitted: Forecaster | None = None

    def __call__(self, origin: "Origin") -> "Forecaster":
        """Return the forecaster of the first origin."""
        if self.fitted is None:
            self.fitted = self.fit(origin)
        return self.fitted


class _TideNetFit:
    """Trains the networks now and then, and fits all else at each origin."""

    def __init__(self, plan: Plan, config: "TideNetConfig") -> None:
        self.plan, self.config = plan, config
        self.trained: Any = None
        self.trained_until: Month | None = None

    def __call__(self, origin: "Origin") -> "Forecaster":
        """Return TIDE-Net as it would be served at the origin."""
        from tidenet.training import refit, train

        now, every = origin.record.last_month, self.plan.retrain_months
        due = self.trained_until is None or (
            every > 0 and int((now - self.trained_until).astype(int)) >= every
        )
        if due:
            self.trained = train(origin.record, self.config, seed=self.plan.seed)
            self.trained_until = now
            return self.trained
        return refit(self.trained, origin.record)
