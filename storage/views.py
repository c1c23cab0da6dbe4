"""The views of the archive database: what people and programs should read first.

Each is described, column by column, here and in `storage.forecast_views`; the migrations hold their
SQL, and a test compares the two. Columns that come from a table unchanged take their type and
meaning from it. Fluxes are in mmol m-2 d-1, positive out of the sea.
"""

from sqlalchemy import Text

from storage import tables as t
from storage.forecast_views import (
    degraded_forecasts,
    ecs_uptake,
    forecast_as_issued,
    forecast_cells,
    forecast_latest,
    forecast_vs_observed,
    forecast_vs_observed_cells,
    forecasts,
    lineage,
    lineage_files,
    outdated_runs,
    runs,
    runs_current,
    scores_current,
    skill_by_lead,
    skill_by_month,
)
from storage.view_columns import VIEWS, ViewColumn, own, view

__all__ = [
    "VIEWS",
    "champion",
    "degraded_forecasts",
    "drift_current",
    "ecs_uptake",
    "forecast_as_issued",
    "forecast_cells",
    "forecast_latest",
    "forecast_vs_observed",
    "forecast_vs_observed_cells",
    "forecasts",
    "handover_current",
    "latest_months",
    "lineage",
    "lineage_files",
    "outdated_runs",
    "preliminary_months",
    "quarantine_open",
    "runs",
    "runs_current",
    "scores_current",
    "skill_by_lead",
    "skill_by_month",
    "waiting_open",
]

champion = view(
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

drift_current = view(
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

latest_months = view(
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
    own("stage", Text, "preliminary until a final file came, even one of the same content; final"),
    t.MonthRevision.completion,
    t.MonthRevision.n_spikes,
    t.MonthRevision.handover_id,
    t.MonthRevision.reason,
)

preliminary_months = view(
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

quarantine_open = view(
    "quarantine_open",
    "Files in quarantine that were neither replaced nor followed by an accepted file of the month",
    *_OPEN_FILE,
)

waiting_open = view(
    "waiting_open",
    "Files that still wait for an earlier month",
    *_OPEN_FILE,
)

handover_current = view(
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
