"""The views of the archive database: what people and programs should read first.

Each is described here, column by column; the migrations hold their SQL, and a test compares the
two. Columns that come from a table unchanged take their type and meaning from it. Fluxes are in
mmol m-2 d-1, positive out of the sea.
"""

from typing import Any

from sqlalchemy import REAL, Boolean, Column, Double, Integer, MetaData, Table, Text
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

from storage import tables as t
from storage.column_types import Json, MonthDate

VIEWS = MetaData()
"""All views, apart from the tables: Alembic is not to make tables of them."""

ViewColumn = Column | InstrumentedAttribute | tuple[str, InstrumentedAttribute]


def _view(name: str, comment: str, *columns: ViewColumn) -> Table:
    """Declare a view.

    A column is a table's, a table's under another name, or one of the view's own.
    """
    return Table(name, VIEWS, *(_column(column) for column in columns), comment=comment)


def _column(column: ViewColumn) -> Column:
    if isinstance(column, Column):
        return column
    name, source = column if isinstance(column, tuple) else (column.key, column)
    original = source.property.columns[0]
    return Column(name, original.type, nullable=original.nullable, comment=original.comment)


def _own(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], comment: str) -> Column:
    return Column(name, kind, comment=comment)


champion = _view(
    "champion",
    "The champion model of each grid: the one that was promoted last",
    t.ModelVersion.grid,
    t.Promotion.model_version,
    t.ModelVersion.method,
    ("promoted_at", t.Promotion.decided_at),
    t.Promotion.decided_by,
    t.Promotion.reason,
    t.Promotion.previous_champion,
)

drift_current = _view(
    "drift_current",
    "The newest look at the drift of each grid's champion",
    t.ModelVersion.grid,
    ("drift_check_id", t.DriftCheck.id),
    t.DriftCheck.model_version,
    t.DriftCheck.first_valid_month,
    t.DriftCheck.last_valid_month,
    t.DriftCheck.n_months,
    t.DriftCheck.n_hindcast_months,
    t.DriftCheck.msss,
    t.DriftCheck.msss_hindcast,
    t.DriftCheck.level,
    t.DriftCheck.level_limit,
    t.DriftCheck.drifting,
    t.DriftCheck.retraining_due,
    t.DriftCheck.reason,
    t.DriftCheck.checked_at,
)

latest_months = _view(
    "latest_months",
    "The latest revision of each month, with the file that it was made from",
    ("month_revision_id", t.MonthRevision.id),
    t.MonthRevision.month,
    t.MonthRevision.revision,
    t.MonthRevision.snapshot_id,
    t.MonthRevision.content_hash,
    t.MonthRevision.n_ocean,
    t.MonthRevision.n_observed,
    t.MonthRevision.n_completed,
    t.MonthRevision.committed_at,
    t.MonthRevision.product_file_id,
    t.ProductFile.product,
    ("file_url", t.ProductFile.url),
    ("file_sha256", t.ProductFile.sha256),
    _own("stage", Text, "preliminary until a final file came, even one of the same content; final"),
    t.MonthRevision.completion,
    t.MonthRevision.n_spikes,
    t.MonthRevision.handover_id,
    t.MonthRevision.reason,
)

preliminary_months = _view(
    "preliminary_months",
    "Months of the record whose latest revision is preliminary",
    ("month_revision_id", t.MonthRevision.id),
    t.MonthRevision.month,
    t.MonthRevision.revision,
    t.ProductFile.product,
    t.MonthRevision.product_file_id,
    ("file_url", t.ProductFile.url),
    t.MonthRevision.committed_at,
)

_OPEN_FILE: tuple[ViewColumn, ...] = (
    ("product_file_id", t.ProductFile.id),
    t.ProductFile.product,
    t.ProductFile.month,
    t.ProductFile.file_name,
    t.ProductFile.url,
    t.ProductFile.size_bytes,
    t.ProductFile.sha256,
    t.ProductFile.seen_at,
    t.ProductFile.quarantine_url,
    t.ProductFile.message,
    t.ProductFile.remedy,
    t.ProductFile.stage,
)

quarantine_open = _view(
    "quarantine_open",
    "Files in quarantine that were neither replaced nor followed by an accepted file of the month",
    *_OPEN_FILE,
)

waiting_open = _view(
    "waiting_open",
    "Files that still wait for an earlier month",
    *_OPEN_FILE,
)

handover_current = _view(
    "handover_current",
    "Hand-overs that count: the newest fit of each pair of products",
    ("handover_id", t.HandOver.id),
    t.HandOver.old_product,
    t.HandOver.new_product,
    t.HandOver.grid,
    t.HandOver.fit,
    t.HandOver.overlap_first,
    t.HandOver.overlap_last,
    t.HandOver.n_months,
    t.HandOver.rmse_before,
    t.HandOver.rmse_after,
    t.HandOver.sha256,
    t.HandOver.snapshot_id,
    t.HandOver.fitted_at,
    t.HandOver.fitted_by,
)

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

runs = _view(
    "runs",
    "Every forecast run, with its model",
    *_RUNS,
    _own(
        "entry", Integer, "Rises in the order in which runs were written, whatever the clock says"
    ),
    _own("precedence", Integer, "1 live, 2 backfill, 3 hindcast: what counts first"),
)

runs_current = _view(
    "runs_current",
    "Forecast runs that count: the newest of each init month, model version and kind",
    *_RUNS,
)

outdated_runs = _view(
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
    _own("n_revised_months", Integer, "Months of which it read an older content (number)"),
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

forecasts = _view(
    "forecasts",
    "Every regional prediction of every run, with the run and its model",
    *_FORECAST,
)

forecast_latest = _view(
    "forecast_latest",
    "The regional predictions of the newest run of each grid: latest init month, live first",
    *_FORECAST,
)

forecast_as_issued = _view(
    "forecast_as_issued",
    "What was live at the time: the first live run of each grid and init month, no later rerun",
    *_FORECAST,
)

degraded_forecasts = _view(
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

forecast_cells = _view(
    "forecast_cells",
    "Every prediction of every archive cell, with place and run; ask for one run_id or one cell",
    *_RUN,
    t.ForecastLead.lead_months,
    t.ForecastLead.valid_month,
    *_CELL,
    _own("anomaly", REAL, "mean minus climatology (mmol m-2 d-1)"),
)

_OBSERVED: tuple[ViewColumn, ...] = (
    ("observed", t.RegionalObservation.mean),
    t.RegionalObservation.observed_share,
    _own("error", Double, "mean minus observed (mmol m-2 d-1), positive: forecast too high"),
)

forecast_vs_observed = _view(
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
    _own("is_latest", Boolean, "Whether this is the latest revision of the valid month"),
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
    _own("within_50", Boolean, "Whether q25 <= observed <= q75"),
    _own("within_90", Boolean, "Whether q05 <= observed <= q95"),
)

forecast_vs_observed_cells = _view(
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
    _own("error", REAL, "mean minus observed (mmol m-2 d-1), positive: forecast too high"),
)

ecs_uptake = _view(
    "ecs_uptake",
    "Carbon taken up by each region, by month and by year: observed, then as the newest run says",
    _own("period", Text, "month or year"),
    t.RegionalPrediction.region,
    _own("year", Integer, "Calendar year"),
    _own("month", MonthDate, "The month (first day); null for a year"),
    _own("source", Text, "observed, forecast, or both for a year of observed and forecast months"),
    _own("n_months", Integer, "Months that it sums (number): a whole year has 12"),
    _own("n_forecast", Integer, "Those of them that are forecast (number)"),
    _own("uptake_tgc", Double, "Carbon taken up (Tg C; positive into the sea, other than a flux)"),
    _own("uptake_tgc_low", Double, "Lower end of its 90 % interval (Tg C)"),
    _own("uptake_tgc_high", Double, "Upper end of its 90 % interval (Tg C)"),
    _own("run_id", Text, "The run of the forecast months; null if all are observed"),
)

lineage_files = _view(
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
    _own("n_inputs", Integer, "Files that the month was computed from; 0 if it is one file"),
    _own("n_checks", Integer, "Checks of the file (number)"),
    _own("n_checks_failed", Integer, "Checks that it failed: warnings, if any (number)"),
    _own("acceptance_reason", Text, "Why a person accepted the file in spite; empty otherwise"),
)

lineage = _view(
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
    _own("n_files", Integer, "Months of the record that it read, as far as recorded (number)"),
    _own("files", Json, "Month, revision, product, file_name and sha256 of each of them"),
    _own("n_checks", Integer, "Checks of these files (number)"),
    _own("n_checks_failed", Integer, "Checks that they failed: warnings, if any (number)"),
    _own("n_accepted", Integer, "Files that a person accepted in spite of a warning (number)"),
)

scores_current = _view(
    "scores_current",
    "Score sums that count: of current runs, against the latest revision of the observation",
    t.ForecastRun.model_version,
    t.ModelVersion.method,
    t.ForecastRun.issued_kind,
    t.ForecastRun.init_month,
    *(getattr(t.SkillScore, column.key) for column in t.SkillScore.__table__.columns),
)


def _skill(name: str, comment: str, *further: ViewColumn) -> Table:
    return _view(
        name,
        comment,
        t.ForecastRun.model_version,
        t.ModelVersion.method,
        t.ForecastRun.issued_kind,
        t.SkillScore.region,
        t.SkillScore.lead_months,
        *further,
        _own("n_months", Integer, "Valid months that were scored (number)"),
        _own("n_scores", Integer, "Fields that were scored (number)"),
        _own("n_cells", Integer, "Observed cells in them (number)"),
        _own("msss_climatology", Double, "Mean squared error skill score: 1 perfect, 0 no better"),
        _own("msss_persistence", Double, "The same against anomaly persistence"),
        _own("msss_damped_persistence", Double, "The same against damped anomaly persistence"),
        _own("rmse", Double, "Root mean squared error (mmol m-2 d-1)"),
        _own("rmse_climatology", Double, "That of the climatology (mmol m-2 d-1)"),
        _own("rmse_persistence", Double, "That of anomaly persistence (mmol m-2 d-1)"),
        _own("rmse_damped_persistence", Double, "That of damped persistence (mmol m-2 d-1)"),
        _own("bias", Double, "Mean error (mmol m-2 d-1), positive: forecast too high"),
        _own("mae", Double, "Mean absolute error (mmol m-2 d-1)"),
        _own("acc", Double, "Anomaly correlation, uncentred (-1 to 1)"),
        _own("acc_centred", Double, "Anomaly correlation, centred (-1 to 1)"),
        _own(
            "crpss", Double, "Skill score of the CRPS against climatology: 1 perfect, 0 no better"
        ),
        _own("coverage_50", Double, "Share of area inside q25 to q75 (0 to 1; 0.5 is right)"),
        _own("coverage_90", Double, "Share of area inside q05 to q95 (0 to 1; 0.9 is right)"),
    )


skill_by_lead = _skill(
    "skill_by_lead",
    "Skill by model version, kind, region and lead, aggregated exactly from the score sums",
)

skill_by_month = _skill(
    "skill_by_month",
    "Skill as in skill_by_lead, by calendar month of the valid month besides",
    _own("calendar_month", Integer, "Calendar month of the valid month (1 to 12)"),
)
