"""The views on forecasts: runs, predictions, what came, lineage and skill.

They belong to the views of `storage.views`, where it is told how views are described.
"""

from sqlalchemy import REAL, Boolean, Double, Integer, Table, Text

from storage import tables as t
from storage.column_types import Json, MonthDate
from storage.view_columns import ViewColumn, own, view

_RUNS: tuple[ViewColumn, ...] = (
    ("run_id", t.ForecastRun.id),
    t.ForecastRun.init_month,
    t.ForecastRun.n_leads,
    t.ForecastRun.n_members,
    t.ForecastRun.model_version,
    t.ModelVersion.method,
    t.ModelVersion.grid,
    t.ForecastRun.issued_kind,
    t.ForecastRun.created_at,
    t.ForecastRun.snapshot_id,
    t.ForecastRun.month_revision_id,
    t.ForecastRun.seed,
    t.ForecastRun.degraded,
    t.ForecastRun.degraded_reason,
    t.ForecastRun.fields_url,
    t.ForecastRun.fields_sha256,
    t.ForecastRun.reason,
)

runs = view(
    "runs",
    "Every forecast run, with its model",
    *_RUNS,
    own("entry", Integer, "Rises in the order in which runs were written, whatever the clock says"),
    own("precedence", Integer, "1 live, 2 backfill, 3 hindcast: what counts first"),
)

runs_current = view(
    "runs_current",
    "Forecast runs that count: the newest of each init month, model version and kind",
    *_RUNS,
)

outdated_runs = view(
    "outdated_runs",
    "Current runs that read an older content of a month than its latest",
    ("run_id", t.ForecastRun.id),
    t.ForecastRun.init_month,
    t.ForecastRun.model_version,
    t.ForecastRun.issued_kind,
    t.ForecastRun.created_at,
    ("revised_month", t.MonthRevision.month),
    t.MonthRevision.revision,
    ("revised_at", t.MonthRevision.committed_at),
    own("n_revised_months", Integer, "Months of which it read an older content (number)"),
)

_RUN: tuple[ViewColumn, ...] = (
    ("run_id", t.ForecastRun.id),
    t.ForecastRun.init_month,
    t.ForecastRun.issued_kind,
    t.ForecastRun.created_at,
    t.ForecastRun.model_version,
)

_REGIONAL: tuple[ViewColumn, ...] = (
    t.RegionalPrediction.region,
    t.RegionalPrediction.lead_months,
    t.RegionalPrediction.valid_month,
    t.RegionalPrediction.area_m2,
    t.RegionalPrediction.mean,
    t.RegionalPrediction.spread,
    t.RegionalPrediction.q05,
    t.RegionalPrediction.q25,
    t.RegionalPrediction.q50,
    t.RegionalPrediction.q75,
    t.RegionalPrediction.q95,
    t.RegionalPrediction.p_source,
    t.RegionalPrediction.climatology,
    t.RegionalPrediction.damped_persistence,
    t.RegionalPrediction.anomaly,
    t.RegionalPrediction.flux_tgc_mean,
    t.RegionalPrediction.flux_tgc_q05,
    t.RegionalPrediction.flux_tgc_q25,
    t.RegionalPrediction.flux_tgc_q50,
    t.RegionalPrediction.flux_tgc_q75,
    t.RegionalPrediction.flux_tgc_q95,
)

_FORECAST: tuple[ViewColumn, ...] = (
    *_RUN,
    t.ModelVersion.method,
    t.ModelVersion.grid,
    t.ForecastRun.degraded,
    *_REGIONAL,
)

forecasts = view(
    "forecasts",
    "Every regional prediction of every run, with the run and its model",
    *_FORECAST,
)

forecast_latest = view(
    "forecast_latest",
    "The regional predictions of the newest run of each grid: latest init month, live first",
    *_FORECAST,
)

forecast_as_issued = view(
    "forecast_as_issued",
    "What was live at the time: the first live run of each grid and init month, no later rerun",
    *_FORECAST,
)

degraded_forecasts = view(
    "degraded_forecasts",
    "The regional predictions of runs that were made with less than they should have had",
    *_FORECAST,
    t.ForecastRun.degraded_reason,
)

_CELL: tuple[ViewColumn, ...] = (
    t.Cell.grid,
    t.Cell.cell_index,
    t.Cell.lat,
    t.Cell.lon,
    t.Cell.area_m2,
    t.CellPrediction.mean,
    t.CellPrediction.spread,
    t.CellPrediction.q05,
    t.CellPrediction.q25,
    t.CellPrediction.q50,
    t.CellPrediction.q75,
    t.CellPrediction.q95,
    t.CellPrediction.p_source,
    t.CellPrediction.climatology,
    t.CellPrediction.damped_persistence,
)

forecast_cells = view(
    "forecast_cells",
    "Every prediction of every archive cell, with place and run; ask for one run_id or one cell",
    *_RUN,
    t.ForecastLead.lead_months,
    t.ForecastLead.valid_month,
    *_CELL,
    own("anomaly", REAL, "mean minus climatology (mmol m-2 d-1)"),
)

_OBSERVED: tuple[ViewColumn, ...] = (
    ("observed", t.RegionalObservation.mean),
    t.RegionalObservation.observed_share,
    own("error", Double, "mean minus observed (mmol m-2 d-1), positive: forecast too high"),
)

forecast_vs_observed = view(
    "forecast_vs_observed",
    "Regional predictions of runs that count beside each revision of what the record then held",
    ("run_id", t.ForecastRun.id),
    t.ForecastRun.init_month,
    t.ForecastRun.issued_kind,
    t.ForecastRun.created_at,
    t.ForecastRun.model_version,
    t.ModelVersion.method,
    t.ModelVersion.grid,
    t.RegionalPrediction.region,
    t.RegionalPrediction.lead_months,
    t.RegionalPrediction.valid_month,
    t.MonthRevision.revision,
    own("is_latest", Boolean, "Whether this is the latest revision of the valid month"),
    ("observed_at", t.MonthRevision.committed_at),
    t.RegionalPrediction.mean,
    t.RegionalPrediction.spread,
    t.RegionalPrediction.q05,
    t.RegionalPrediction.q25,
    t.RegionalPrediction.q50,
    t.RegionalPrediction.q75,
    t.RegionalPrediction.q95,
    t.RegionalPrediction.p_source,
    t.RegionalPrediction.climatology,
    t.RegionalPrediction.damped_persistence,
    *_OBSERVED,
    own("within_50", Boolean, "Whether q25 <= observed <= q75"),
    own("within_90", Boolean, "Whether q05 <= observed <= q95"),
)

forecast_vs_observed_cells = view(
    "forecast_vs_observed_cells",
    "Cell predictions beside the latest revision of what the record then held; ask for one run_id",
    ("run_id", t.ForecastRun.id),
    t.ForecastLead.init_month,
    t.ForecastLead.lead_months,
    t.ForecastLead.valid_month,
    ("month_revision_id", t.MonthRevision.id),
    t.MonthRevision.revision,
    *_CELL,
    ("observed", t.CellObservation.mean),
    t.CellObservation.observed_share,
    own("error", REAL, "mean minus observed (mmol m-2 d-1), positive: forecast too high"),
)

ecs_uptake = view(
    "ecs_uptake",
    "Carbon taken up by each region, by month and by year: observed, then as the newest run says",
    own("period", Text, "month or year"),
    t.RegionalPrediction.region,
    own("year", Integer, "Calendar year"),
    own("month", MonthDate, "The month (first day); null for a year"),
    own("source", Text, "observed, forecast, or both for a year of observed and forecast months"),
    own("n_months", Integer, "Months that it sums (number): a whole year has 12"),
    own("n_forecast", Integer, "Those of them that are forecast (number)"),
    own("uptake_tgc", Double, "Carbon taken up (Tg C; positive into the sea, other than a flux)"),
    own("uptake_tgc_low", Double, "Lower end of its 90 % interval (Tg C)"),
    own("uptake_tgc_high", Double, "Upper end of its 90 % interval (Tg C)"),
    own("run_id", Text, "The run of the forecast months; null if all are observed"),
)

lineage_files = view(
    "lineage_files",
    "Every month that a run read, with its revision and the file that this was made from",
    ("run_id", t.ForecastRun.id),
    t.MonthRevision.month,
    ("month_revision_id", t.MonthRevision.id),
    t.MonthRevision.revision,
    t.MonthRevision.content_hash,
    ("month_snapshot_id", t.MonthRevision.snapshot_id),
    t.MonthRevision.committed_at,
    t.MonthRevision.completion,
    t.MonthRevision.handover_id,
    ("product_file_id", t.ProductFile.id),
    t.ProductFile.product,
    t.ProductFile.file_name,
    ("file_url", t.ProductFile.url),
    ("file_sha256", t.ProductFile.sha256),
    t.ProductFile.stage,
    ("file_seen_at", t.ProductFile.seen_at),
    own("n_inputs", Integer, "Files that the month was computed from; 0 if it is one file"),
    own("n_checks", Integer, "Checks of the file (number)"),
    own("n_checks_failed", Integer, "Checks that it failed: warnings, if any (number)"),
    own("acceptance_reason", Text, "Why a person accepted the file in spite; empty otherwise"),
)

lineage = view(
    "lineage",
    "What each run was made from and with: files, checks, snapshot, weights, code, seed, hardware",
    ("run_id", t.ForecastRun.id),
    t.ForecastRun.init_month,
    t.ForecastRun.issued_kind,
    t.ForecastRun.created_at,
    t.ForecastRun.reason,
    t.ForecastRun.degraded,
    t.ForecastRun.degraded_reason,
    t.ForecastRun.n_leads,
    t.ForecastRun.n_members,
    t.ForecastRun.seed,
    t.ForecastRun.fields_url,
    t.ForecastRun.fields_sha256,
    t.ForecastRun.snapshot_id,
    t.ForecastRun.first_month,
    t.MonthRevision.revision,
    t.MonthRevision.content_hash,
    t.ForecastRun.code_version,
    t.ForecastRun.libraries,
    t.ForecastRun.hardware,
    t.ForecastRun.duration_s,
    t.ForecastRun.model_version,
    t.ModelVersion.method,
    t.ModelVersion.weights_url,
    t.ModelVersion.weights_sha256,
    ("model_snapshot_id", t.ModelVersion.snapshot_id),
    t.ModelVersion.trained_from,
    t.ModelVersion.trained_until,
    ("model_code_version", t.ModelVersion.code_version),
    ("model_seed", t.ModelVersion.seed),
    own("n_files", Integer, "Months of the record that it read, as far as recorded (number)"),
    own("files", Json, "Month, revision, product, file_name and sha256 of each of them"),
    own("n_checks", Integer, "Checks of these files (number)"),
    own("n_checks_failed", Integer, "Checks that they failed: warnings, if any (number)"),
    own("n_accepted", Integer, "Files that a person accepted in spite of a warning (number)"),
)

scores_current = view(
    "scores_current",
    "Score sums that count: of current runs, against the latest revision of the observation",
    t.ForecastRun.model_version,
    t.ModelVersion.method,
    t.ForecastRun.issued_kind,
    t.ForecastRun.init_month,
    *(getattr(t.SkillScore, column.key) for column in t.SkillScore.__table__.columns),
)


def _skill(name: str, comment: str, *further: ViewColumn) -> Table:
    return view(
        name,
        comment,
        t.ForecastRun.model_version,
        t.ModelVersion.method,
        t.ForecastRun.issued_kind,
        t.SkillScore.region,
        t.SkillScore.lead_months,
        *further,
        own("n_months", Integer, "Valid months that were scored (number)"),
        own("n_scores", Integer, "Fields that were scored (number)"),
        own("n_cells", Integer, "Observed cells in them (number)"),
        own("msss_climatology", Double, "Mean squared error skill score: 1 perfect, 0 no better"),
        own("msss_persistence", Double, "The same against anomaly persistence"),
        own("msss_damped_persistence", Double, "The same against damped anomaly persistence"),
        own("rmse", Double, "Root mean squared error (mmol m-2 d-1)"),
        own("rmse_climatology", Double, "That of the climatology (mmol m-2 d-1)"),
        own("rmse_persistence", Double, "That of anomaly persistence (mmol m-2 d-1)"),
        own("rmse_damped_persistence", Double, "That of damped persistence (mmol m-2 d-1)"),
        own("bias", Double, "Mean error (mmol m-2 d-1), positive: forecast too high"),
        own("mae", Double, "Mean absolute error (mmol m-2 d-1)"),
        own("acc", Double, "Anomaly correlation, uncentred (-1 to 1)"),
        own("acc_centred", Double, "Anomaly correlation, centred (-1 to 1)"),
        own("crpss", Double, "Skill score of the CRPS against climatology: 1 perfect, 0 no better"),
        own("coverage_50", Double, "Share of area inside q25 to q75 (0 to 1; 0.5 is right)"),
        own("coverage_90", Double, "Share of area inside q05 to q95 (0 to 1; 0.9 is right)"),
    )


skill_by_lead = _skill(
    "skill_by_lead",
    "Skill by model version, kind, region and lead, aggregated exactly from the score sums",
)

skill_by_month = _skill(
    "skill_by_month",
    "Skill as in skill_by_lead, by calendar month of the valid month besides",
    own("calendar_month", Integer, "Calendar month of the valid month (1 to 12)"),
)
