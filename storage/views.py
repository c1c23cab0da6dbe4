"""The views of the archive database: what people and programs should read first.

Each is described here, column by column; the migrations hold their SQL, and a test compares the
two. Columns that come from a table unchanged take their type and meaning from it. Fluxes are in
mmol m-2 d-1, positive out of the sea.
"""

from sqlalchemy import Column, Double, Integer, MetaData, Table, Text
from sqlalchemy.orm import InstrumentedAttribute

from storage import tables as t

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


def _own(name: str, kind: type[Double | Integer | Text], comment: str) -> Column:
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

runs_current = _view(
    "runs_current",
    "Forecast runs that count: the newest of each init month, model version and kind",
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

forecasts = _view(
    "forecasts",
    "Every regional prediction of every run, with the run and its model",
    *_RUN,
    t.ModelVersion.method,
    t.ModelVersion.grid,
    t.ForecastRun.degraded,
    *_REGIONAL,
)

forecast_latest = _view(
    "forecast_latest",
    "The regional predictions of the newest run of each grid: latest init month, live first",
    *_RUN,
    t.ModelVersion.method,
    t.ModelVersion.grid,
    t.ForecastRun.degraded,
    *_REGIONAL,
)

forecast_cells = _view(
    "forecast_cells",
    "Every prediction of every archive cell, with place and run; ask for one run_id at a time",
    *_RUN,
    t.ForecastLead.lead_months,
    t.ForecastLead.valid_month,
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
)

lineage = _view(
    "lineage",
    "Where each regional prediction comes from: run, model, snapshot, month revision, file, checks",
    ("run_id", t.ForecastRun.id),
    t.RegionalPrediction.region,
    t.RegionalPrediction.lead_months,
    t.ForecastRun.init_month,
    t.RegionalPrediction.valid_month,
    t.ForecastRun.issued_kind,
    t.ForecastRun.created_at,
    t.RegionalPrediction.mean,
    t.ForecastRun.fields_url,
    t.ForecastRun.fields_sha256,
    t.ForecastRun.seed,
    t.ForecastRun.code_version,
    t.ForecastRun.model_version,
    t.ModelVersion.method,
    t.ModelVersion.weights_url,
    t.ModelVersion.weights_sha256,
    ("model_snapshot_id", t.ModelVersion.snapshot_id),
    t.ModelVersion.trained_until,
    t.ForecastRun.snapshot_id,
    ("month_revision_id", t.MonthRevision.id),
    t.MonthRevision.revision,
    t.MonthRevision.content_hash,
    ("month_snapshot_id", t.MonthRevision.snapshot_id),
    t.MonthRevision.committed_at,
    ("product_file_id", t.ProductFile.id),
    t.ProductFile.product,
    ("file_url", t.ProductFile.url),
    t.ProductFile.file_name,
    ("file_sha256", t.ProductFile.sha256),
    ("file_seen_at", t.ProductFile.seen_at),
    _own("n_checks", Integer, "Checks of the init month's file (number)"),
    _own("n_checks_failed", Integer, "Checks that it failed: warnings, if any (number)"),
    _own("acceptance_reason", Text, "Why a person accepted the file in spite; empty otherwise"),
    t.ProductFile.stage,
    _own("n_inputs", Integer, "Files that the init month was computed from; 0 if it is one file"),
    t.MonthRevision.completion,
    t.MonthRevision.handover_id,
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
