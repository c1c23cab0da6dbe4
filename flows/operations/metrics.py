"""What Prometheus is told of the record, the forecasts and their skill, read from the archive.

`METRICS` declares every metric once; `measure` says what each is now. Months are told as the Unix
time of their first moment. `flows.operations.metrics_server` answers the scrapes.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from flows.operations.status import Status, status
from flows.operations.workspace import Workspace
from storage.archive import IssuedKind, last_run
from storage.input_drift_checks import last_input_drift_checks
from storage.months import Month, first_day
from storage.run_summaries import last_scored_at, regional_forecast, runs_by_kind

GRAMS = 1e12
"""In one Tg."""


@dataclass(frozen=True)
class Declared:
    """A metric.

    Parameters
    ----------
    name
        With its unit at the end; that of a counter ends in ``_total``.
    meaning
        Help text: what it is, unit and sign included.
    labels
        Names of its labels.
    kind
        ``gauge``, or ``counter`` for what only grows.
    """

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


_RUN = ("kind",)
_UPTAKE = ("region", "lead")
_SKILL = ("model", "kind", "lead")
_DRIFT = ("model", "of")
_SCORED = "of the champion's archived forecasts over the whole sea"
_NEWEST = "of the run of each kind with the latest init month"

METRICS = (
    Declared(
        "tidenet_archive_up",
        "Whether the archive answered at the last look (1) or not (0); then nothing else is told",
    ),
    Declared("tidenet_archive_read_seconds", "How long the last look at the archive took"),
    Declared("tidenet_build_info", "Always 1; the version of tidenet as a label", ("version",)),
    Declared("tidenet_record_months", "Months in the record (number)"),
    Declared(
        "tidenet_record_last_month_timestamp_seconds",
        "Last month of the record (Unix time of its first moment, UTC)",
    ),
    Declared("tidenet_record_lag_seconds", "Time since the last month of the record ended"),
    Declared(
        "tidenet_record_months_overdue",
        "Months that should have been published by now and are not (number); 0 if none is promised",
    ),
    Declared(
        "tidenet_record_months_preliminary",
        "Months of the record that await their final version (number)",
    ),
    Declared(
        "tidenet_files_open",
        "Product files that were refused or wait, and were not replaced since (number)",
        ("state",),
    ),
    Declared(
        "tidenet_forecast_overdue",
        "Whether the forecast from the last month of the record is missing (1) or not (0)",
    ),
    Declared(
        "tidenet_runs_total", "Runs in the archive, reruns included (number)", _RUN, "counter"
    ),
    Declared(
        "tidenet_runs_outdated",
        "Current runs that read an older content of a month than the record holds now (number)",
    ),
    Declared(
        "tidenet_last_run_init_month_timestamp_seconds",
        f"Init month {_NEWEST} (Unix time of its first moment, UTC)",
        _RUN,
    ),
    Declared("tidenet_last_run_created_timestamp_seconds", f"Creation {_NEWEST} (Unix time)", _RUN),
    Declared(
        "tidenet_last_run_duration_seconds", f"Time that the computation took, {_NEWEST}", _RUN
    ),
    Declared(
        "tidenet_last_run_degraded",
        "Whether the run of each kind with the latest init month had less than it should (1)",
        _RUN,
    ),
    Declared(
        "tidenet_forecast_uptake_grams",
        "Carbon that a region takes up in the month, by the last live run (g, positive into the"
        " sea)",
        _UPTAKE,
    ),
    Declared(
        "tidenet_forecast_uptake_low_grams",
        "Lower end of its 90 % interval (g, positive into the sea)",
        _UPTAKE,
    ),
    Declared(
        "tidenet_forecast_uptake_high_grams",
        "Upper end of its 90 % interval (g, positive into the sea)",
        _UPTAKE,
    ),
    Declared("tidenet_skill_months", f"Valid months that were scored {_SCORED} (number)", _SKILL),
    Declared(
        "tidenet_skill_msss_climatology",
        f"Mean squared error skill score against climatology, {_SCORED}: 1 perfect, 0 no better",
        _SKILL,
    ),
    Declared(
        "tidenet_skill_msss_damped_persistence",
        f"The same against damped persistence, {_SCORED}: 1 perfect, 0 no better",
        _SKILL,
    ),
    Declared(
        "tidenet_skill_crpss",
        f"Skill score of the CRPS against climatology, {_SCORED}: 1 perfect, 0 no better",
        _SKILL,
    ),
    Declared(
        "tidenet_skill_coverage_ratio",
        f"Share of area inside the 90 % interval, {_SCORED}: 0 to 1, 0.9 is right",
        _SKILL,
    ),
    Declared(
        "tidenet_skill_rmse_mmol_per_m2_per_day",
        f"Root mean squared error {_SCORED} (mmol m-2 d-1)",
        _SKILL,
    ),
    Declared("tidenet_last_scoring_timestamp_seconds", "When a forecast was scored last (Unix)"),
    Declared(
        "tidenet_champion_info",
        "Always 1; the model that forecasts now as labels",
        ("model", "method", "grid"),
    ),
    Declared(
        "tidenet_champion_trained_until_timestamp_seconds",
        "Last month that the champion was trained on (Unix time of its first moment, UTC)",
    ),
    Declared(
        "tidenet_drift_level",
        "How far the champion's skill, or a statistic of what it is given, is from what it was"
        " trained with (skill: above 0 is worse; others: training standard deviations)",
        _DRIFT,
    ),
    Declared(
        "tidenet_drift_limit", "What the size of the level stays below if nothing changed", _DRIFT
    ),
    Declared("tidenet_drift_detected", "Whether the level is beyond its limit (1) or not", _DRIFT),
    Declared(
        "tidenet_retraining_due", "Whether the champion should be trained anew (1) or not (0)"
    ),
)

Sample = tuple[str, tuple[str, ...], float]
"""Name of a metric, values of its labels, and what it is now."""


def families(samples: Iterable[Sample]) -> list[Metric]:
    """Return samples as Prometheus takes them, in the order in which metrics are declared."""
    by_name: dict[str, list[tuple[tuple[str, ...], float]]] = {}
    for name, labels, value in samples:
        by_name.setdefault(name, []).append((labels, value))
    found: list[Metric] = []
    for declared in METRICS:
        kind = CounterMetricFamily if declared.kind == "counter" else GaugeMetricFamily
        family = kind(declared.name, declared.meaning, labels=declared.labels)
        for labels, value in by_name.pop(declared.name, ()):
            family.add_metric(labels, value)
        if family.samples:
            found.append(family)
    assert not by_name, f"not declared: {sorted(by_name)}"
    return found


# --- what they are now ----------------------------------------------------------------------------


def measure(workspace: Workspace) -> list[Sample]:
    """Return what every metric of the archive is now; those that nothing is known of are left out.

    Raises
    ------
    DatabaseUnavailableError, DatabaseOutOfDateError
        If the archive does not answer, or is of another version.
    UnknownProductError
        If the specification of the record's product is not here.
    """
    now = status(workspace)
    return [
        *_record(now, workspace.now()),
        *_runs(workspace, now),
        *_uptake(workspace),
        *_skill(workspace, now),
        *_champion(workspace, now),
    ]


def _record(now: Status, moment: dt.datetime) -> Iterator[Sample]:
    yield "tidenet_record_months", (), now.n_months
    if now.last_month is not None:
        yield "tidenet_record_last_month_timestamp_seconds", (), unix_time(now.last_month)
        lag = moment.timestamp() - unix_time(now.last_month + 1)
        yield "tidenet_record_lag_seconds", (), lag
    months = sum(late.n_months for late in now.overdue if late.what == "month")
    yield "tidenet_record_months_overdue", (), months
    yield "tidenet_record_months_preliminary", (), len(now.preliminary)
    yield "tidenet_files_open", ("quarantined",), len(now.quarantined)
    yield "tidenet_files_open", ("waiting",), len(now.waiting)


def _runs(workspace: Workspace, now: Status) -> Iterator[Sample]:
    late = any(one.what == "forecast" for one in now.overdue)
    yield "tidenet_forecast_overdue", (), late
    yield "tidenet_runs_outdated", (), len(now.outdated)
    for kind, count in runs_by_kind(workspace.engine).items():
        yield "tidenet_runs_total", (kind,), count
    kinds: tuple[IssuedKind, ...] = get_args(IssuedKind)
    for kind in kinds:
        run = last_run(workspace.engine, kind)
        if run is None:
            continue
        yield "tidenet_last_run_init_month_timestamp_seconds", (kind,), unix_time(run.init_month)
        yield "tidenet_last_run_created_timestamp_seconds", (kind,), run.created_at.timestamp()
        yield "tidenet_last_run_duration_seconds", (kind,), run.duration_s
        yield "tidenet_last_run_degraded", (kind,), run.degraded


def _uptake(workspace: Workspace) -> Iterator[Sample]:
    """Return uptakes, positive into the sea; a flux is positive out of it: ends change places."""
    run = last_run(workspace.engine, "live")
    for row in regional_forecast(workspace.engine, run.id) if run else ():
        labels = (row.region, str(row.lead_months))
        yield "tidenet_forecast_uptake_grams", labels, -row.flux_tgc_mean * GRAMS
        yield "tidenet_forecast_uptake_low_grams", labels, -row.flux_tgc_q95 * GRAMS
        yield "tidenet_forecast_uptake_high_grams", labels, -row.flux_tgc_q05 * GRAMS


def _skill(workspace: Workspace, now: Status) -> Iterator[Sample]:
    for row in now.skill:
        labels = (row.model_version, row.issued_kind, str(row.lead_months))
        scores: Mapping[str, float | None] = {
            "tidenet_skill_months": row.n_months,
            "tidenet_skill_msss_climatology": row.msss_climatology,
            "tidenet_skill_msss_damped_persistence": row.msss_damped_persistence,
            "tidenet_skill_crpss": row.crpss,
            "tidenet_skill_coverage_ratio": row.coverage_90,
            "tidenet_skill_rmse_mmol_per_m2_per_day": row.rmse,
        }
        yield from ((name, labels, value) for name, value in scores.items() if value is not None)
    scored_at = last_scored_at(workspace.engine)
    if scored_at is not None:
        yield "tidenet_last_scoring_timestamp_seconds", (), scored_at.timestamp()


def _champion(workspace: Workspace, now: Status) -> Iterator[Sample]:
    if now.model is None:
        return
    model = now.model
    yield "tidenet_champion_info", (model.version, model.method, model.grid), 1
    trained_until = unix_time(model.trained_until)
    yield "tidenet_champion_trained_until_timestamp_seconds", (), trained_until
    looks: dict[str, Any] = dict(last_input_drift_checks(workspace.engine, model.version))
    if now.drift is not None:
        looks["skill"] = now.drift
        yield "tidenet_retraining_due", (), now.drift.retraining_due
    for of, look in looks.items():
        yield "tidenet_drift_level", (model.version, of), look.level
        yield "tidenet_drift_limit", (model.version, of), look.level_limit
        yield "tidenet_drift_detected", (model.version, of), look.drifting


def unix_time(month: Month) -> float:
    """Return the first moment of a month, UTC, in seconds since 1970."""
    return dt.datetime.combine(first_day(month), dt.time(), dt.UTC).timestamp()
