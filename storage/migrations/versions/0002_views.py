"""The views: what is current, what is open, where a value comes from, and how good it was.

Meanings and units of their columns are in ``storage/views.py``.
"""
# ruff: noqa: S608

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHAMPION = """
SELECT grid, model_version, method, promoted_at, decided_by, reason, previous_champion
FROM (
    SELECT v.grid, p.model_version, v.method, p.decided_at AS promoted_at, p.decided_by, p.reason,
        p.previous_champion, row_number() OVER (PARTITION BY v.grid ORDER BY p.id DESC) AS place
    FROM promotions AS p
    JOIN model_versions AS v ON v.version = p.model_version
    WHERE p.promoted
) AS ranked
WHERE place = 1
"""

LATEST_MONTHS = """
SELECT month_revision_id, month, revision, snapshot_id, content_hash, n_ocean, n_observed,
    n_completed, committed_at, product_file_id, product, file_url, file_sha256
FROM (
    SELECT m.id AS month_revision_id, m.month, m.revision, m.snapshot_id, m.content_hash,
        m.n_ocean, m.n_observed, m.n_completed, m.committed_at, m.product_file_id, f.product,
        f.url AS file_url, f.sha256 AS file_sha256,
        row_number() OVER (PARTITION BY m.month ORDER BY m.revision DESC) AS place
    FROM month_revisions AS m
    JOIN product_files AS f ON f.id = m.product_file_id
) AS ranked
WHERE place = 1
"""

# A file that was replaced under its URL by another is no longer open, whatever became of it.
OPEN_FILES = """
SELECT id AS product_file_id, product, month, file_name, url, size_bytes, sha256, seen_at,
    quarantine_url, message, remedy
FROM (
    SELECT f.*, row_number() OVER (PARTITION BY f.product, f.url ORDER BY f.id DESC) AS place
    FROM product_files AS f
) AS ranked
WHERE place = 1 AND status = '{status}' AND NOT EXISTS (
    SELECT 1 FROM product_files AS a
    WHERE a.product = ranked.product AND a.month = ranked.month AND a.status = 'accepted'
        AND a.id > ranked.id
)
"""

# Of several runs with the same init month, model and kind, the newest counts.
RUNS_CURRENT = """
SELECT id AS run_id, init_month, n_leads, n_members, model_version, method, grid, issued_kind,
    created_at, snapshot_id, month_revision_id, seed, degraded, degraded_reason, fields_url,
    fields_sha256
FROM (
    SELECT r.*, v.method, v.grid, row_number() OVER (
            PARTITION BY r.init_month, r.model_version, r.issued_kind
            ORDER BY r.created_at DESC, r.id DESC
        ) AS place
    FROM forecast_runs AS r
    JOIN model_versions AS v ON v.version = r.model_version
) AS ranked
WHERE place = 1
"""

PREDICTION_COLUMNS = """p.region, p.lead_months, p.valid_month, p.area_m2, p.mean, p.spread,
    p.q05, p.q25, p.q50, p.q75, p.q95, p.p_source, p.climatology, p.damped_persistence, p.anomaly,
    p.flux_tgc_mean, p.flux_tgc_q05, p.flux_tgc_q25, p.flux_tgc_q50, p.flux_tgc_q75,
    p.flux_tgc_q95"""

FORECASTS = f"""
SELECT r.id AS run_id, r.init_month, r.issued_kind, r.created_at, r.model_version, v.method,
    v.grid, r.degraded, {PREDICTION_COLUMNS}
FROM regional_predictions AS p
JOIN forecast_runs AS r ON r.id = p.run_id
JOIN model_versions AS v ON v.version = r.model_version
"""

FORECAST_LATEST = f"""
SELECT r.run_id, r.init_month, r.issued_kind, r.created_at, r.model_version, r.method, r.grid,
    r.degraded, {PREDICTION_COLUMNS}
FROM regional_predictions AS p
JOIN (
    SELECT c.*, row_number() OVER (
            PARTITION BY c.grid
            ORDER BY c.init_month DESC,
                CASE c.issued_kind WHEN 'live' THEN 1 WHEN 'backfill' THEN 2 ELSE 3 END,
                c.created_at DESC, c.run_id
        ) AS place
    FROM runs_current AS c
) AS r ON r.run_id = p.run_id
WHERE r.place = 1
"""

FORECAST_CELLS = """
SELECT l.run_id, l.init_month, r.issued_kind, r.created_at, r.model_version, l.lead_months,
    l.valid_month, c.grid, c.cell_index, c.lat, c.lon, c.area_m2, p.mean, p.spread, p.q05, p.q25,
    p.q50, p.q75, p.q95, p.p_source, p.climatology
FROM cell_predictions AS p
JOIN forecast_leads AS l ON l.id = p.lead_id
JOIN forecast_runs AS r ON r.id = l.run_id
JOIN cells AS c ON c.id = p.cell_id
"""

LINEAGE = """
SELECT p.run_id, p.region, p.lead_months, r.init_month, p.valid_month, r.issued_kind,
    r.created_at, p.mean, r.fields_url, r.fields_sha256, r.seed, r.code_version, r.model_version,
    v.method, v.weights_url, v.weights_sha256, v.snapshot_id AS model_snapshot_id,
    v.trained_until, r.snapshot_id, m.id AS month_revision_id, m.revision, m.content_hash,
    m.snapshot_id AS month_snapshot_id, m.committed_at, f.id AS product_file_id, f.product,
    f.url AS file_url, f.file_name, f.sha256 AS file_sha256, f.seen_at AS file_seen_at,
    (SELECT count(*) FROM checks AS k WHERE k.product_file_id = f.id) AS n_checks,
    (SELECT count(*) FROM checks AS k WHERE k.product_file_id = f.id AND NOT k.passed)
        AS n_checks_failed,
    coalesce(a.reason, '') AS acceptance_reason
FROM regional_predictions AS p
JOIN forecast_runs AS r ON r.id = p.run_id
JOIN model_versions AS v ON v.version = r.model_version
JOIN month_revisions AS m ON m.id = r.month_revision_id
JOIN product_files AS f ON f.id = m.product_file_id
LEFT JOIN acceptances AS a ON a.product_file_id = f.id
"""

# Runs that were superseded, and observations that were revised since, do not count.
SCORES_CURRENT = """
SELECT r.model_version, r.method, r.issued_kind, r.init_month, s.*
FROM skill_scores AS s
JOIN runs_current AS r ON r.run_id = s.run_id
JOIN latest_months AS m ON m.month_revision_id = s.month_revision_id
"""

SKILL = """
SELECT model_version, method, issued_kind, region, lead_months, {calendar_month}
    count(DISTINCT valid_month) AS n_months,
    count(*) AS n_scores,
    sum(n_cells) AS n_cells,
    1 - sum(se_model) / nullif(sum(se_climatology), 0) AS msss_climatology,
    1 - sum(se_model) / nullif(sum(se_persistence), 0) AS msss_persistence,
    1 - sum(se_model) / nullif(sum(se_damped_persistence), 0) AS msss_damped_persistence,
    sqrt(sum(se_model) / nullif(sum(weight_sum), 0)) AS rmse,
    sqrt(sum(se_climatology) / nullif(sum(weight_sum), 0)) AS rmse_climatology,
    sqrt(sum(se_persistence) / nullif(sum(weight_sum), 0)) AS rmse_persistence,
    sqrt(sum(se_damped_persistence) / nullif(sum(weight_sum), 0)) AS rmse_damped_persistence,
    sum(error) / nullif(sum(weight_sum), 0) AS bias,
    sum(abs_error) / nullif(sum(weight_sum), 0) AS mae,
    sum(fa_oa) / nullif(sqrt(sum(fa_sq)) * sqrt(sum(oa_sq)), 0) AS acc,
    CASE WHEN sum(fa_sq) * sum(weight_sum) - sum(fa) * sum(fa) > 1e-9 * sum(fa_sq) * sum(weight_sum)
        AND sum(oa_sq) * sum(weight_sum) - sum(oa) * sum(oa) > 1e-9 * sum(oa_sq) * sum(weight_sum)
    THEN (sum(fa_oa) - sum(fa) * sum(oa) / sum(weight_sum))
        / sqrt(sum(fa_sq) - sum(fa) * sum(fa) / sum(weight_sum))
        / sqrt(sum(oa_sq) - sum(oa) * sum(oa) / sum(weight_sum))
    END AS acc_centred,
    1 - sum(crps) / nullif(sum(crps_climatology), 0) AS crpss,
    sum(inside_50) / nullif(sum(weight_sum), 0) AS coverage_50,
    sum(inside_90) / nullif(sum(weight_sum), 0) AS coverage_90
FROM scores_current
WHERE n_cells > 0
GROUP BY model_version, method, issued_kind, region, lead_months{and_calendar_month}
"""

CALENDAR_MONTH = {
    "sqlite": "CAST(strftime('%m', valid_month) AS INTEGER)",
    "postgresql": "CAST(extract(month FROM valid_month) AS INTEGER)",
}


def views(dialect: str) -> dict[str, str]:
    """Return the text of every view, each after those that it is built on."""
    calendar_month = CALENDAR_MONTH[dialect]
    return {
        "champion": CHAMPION,
        "latest_months": LATEST_MONTHS,
        "quarantine_open": OPEN_FILES.format(status="quarantined"),
        "waiting_open": OPEN_FILES.format(status="waiting"),
        "runs_current": RUNS_CURRENT,
        "forecasts": FORECASTS,
        "forecast_latest": FORECAST_LATEST,
        "forecast_cells": FORECAST_CELLS,
        "lineage": LINEAGE,
        "scores_current": SCORES_CURRENT,
        "skill_by_lead": SKILL.format(calendar_month="", and_calendar_month=""),
        "skill_by_month": SKILL.format(
            calendar_month=f"{calendar_month} AS calendar_month,",
            and_calendar_month=f", {calendar_month}",
        ),
    }


def upgrade() -> None:
    for name, text in views(op.get_context().dialect.name).items():
        op.execute(f"CREATE VIEW {name} AS {text}")


def downgrade() -> None:
    for name in reversed(views(op.get_context().dialect.name)):
        op.execute(f"DROP VIEW {name}")
