"""All views: what was forecast, as it counts now and as it was said; what came; how good it was.

Meanings and units of their columns are in ``storage/views.py``. The views on files, months, models
and their drift are those of the earlier migrations.
"""
# ruff: noqa: S608

import runpy
from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

EARLIER = (
    "champion",
    "drift_current",
    "preliminary_months",
    "quarantine_open",
    "waiting_open",
    "handover_current",
)

# The newest of several is the one that none is newer than, not the one with row number 1: planners
# can guess how many rows the former leaves, and believe that of the latter only one in 200 stays.

# A final file with the content of the preliminary one makes no revision, but settles the month.
LATEST_MONTHS = """
SELECT m.id AS month_revision_id, m.month, m.revision, m.snapshot_id, m.content_hash, m.n_ocean,
    m.n_observed, m.n_completed, m.committed_at, m.product_file_id, f.product, f.url AS file_url,
    f.sha256 AS file_sha256,
    CASE WHEN f.stage = 'preliminary' AND NOT EXISTS (
        SELECT 1 FROM product_files AS a
        WHERE a.month = m.month AND a.status = 'accepted' AND a.stage = 'final' AND a.id > f.id
    ) THEN 'preliminary' ELSE 'final' END AS stage,
    m.completion, m.n_spikes, m.handover_id, m.reason
FROM month_revisions AS m
JOIN product_files AS f ON f.id = m.product_file_id
WHERE NOT EXISTS (
    SELECT 1 FROM month_revisions AS n WHERE n.month = m.month AND n.revision > m.revision
)
"""

# The key of a run's first lead tells the order in which runs were written. The clock does not:
# it may have been set back.
RUNS = """
SELECT r.id AS run_id, r.init_month, r.n_leads, r.n_members, r.model_version, v.method, v.grid,
    r.issued_kind, r.created_at, r.snapshot_id, r.month_revision_id, r.seed, r.degraded,
    r.degraded_reason, r.fields_url, r.fields_sha256, r.reason, l.id AS entry,
    CASE r.issued_kind WHEN 'live' THEN 1 WHEN 'backfill' THEN 2 ELSE 3 END AS precedence
FROM forecast_runs AS r
JOIN forecast_leads AS l ON l.run_id = r.id AND l.lead_months = 1
JOIN model_versions AS v ON v.version = r.model_version
"""

# Of several runs with the same init month, model and kind, the newest counts.
RUNS_CURRENT = """
SELECT c.run_id, c.init_month, c.n_leads, c.n_members, c.model_version, c.method, c.grid,
    c.issued_kind, c.created_at, c.snapshot_id, c.month_revision_id, c.seed, c.degraded,
    c.degraded_reason, c.fields_url, c.fields_sha256, c.reason
FROM runs AS c
WHERE NOT EXISTS (
    SELECT 1 FROM forecast_runs AS n
    JOIN forecast_leads AS l ON l.run_id = n.id AND l.lead_months = 1
    WHERE n.init_month = c.init_month AND n.model_version = c.model_version
        AND n.issued_kind = c.issued_kind AND l.id > c.entry
)
"""

PREDICTION_COLUMNS = """p.region, p.lead_months, p.valid_month, p.area_m2, p.mean, p.spread,
    p.q05, p.q25, p.q50, p.q75, p.q95, p.p_source, p.climatology, p.damped_persistence, p.anomaly,
    p.flux_tgc_mean, p.flux_tgc_q05, p.flux_tgc_q25, p.flux_tgc_q50, p.flux_tgc_q75,
    p.flux_tgc_q95"""

FORECAST_COLUMNS = f"""r.run_id, r.init_month, r.issued_kind, r.created_at, r.model_version,
    r.method, r.grid, r.degraded, {PREDICTION_COLUMNS}"""

FORECASTS = f"""
SELECT r.id AS run_id, r.init_month, r.issued_kind, r.created_at, r.model_version, v.method,
    v.grid, r.degraded, {PREDICTION_COLUMNS}
FROM regional_predictions AS p
JOIN forecast_runs AS r ON r.id = p.run_id
JOIN model_versions AS v ON v.version = r.model_version
"""

DEGRADED_FORECASTS = f"""
SELECT {FORECAST_COLUMNS}, r.degraded_reason
FROM regional_predictions AS p
JOIN runs AS r ON r.run_id = p.run_id
WHERE r.degraded
"""

NEWEST = f"""
SELECT {FORECAST_COLUMNS}
FROM regional_predictions AS p
JOIN (
    SELECT c.*, row_number() OVER (
            PARTITION BY c.grid ORDER BY c.init_month DESC, c.precedence, c.entry DESC
        ) AS place
    FROM runs AS c{{known}}
) AS r ON r.run_id = p.run_id
WHERE r.place = 1
"""

FORECAST_AS_OF = """
CREATE FUNCTION forecast_as_of(moment timestamp with time zone) RETURNS SETOF forecast_latest
LANGUAGE sql STABLE AS $$
{newest}
$$
"""

FORECAST_AS_ISSUED = f"""
SELECT {FORECAST_COLUMNS}
FROM regional_predictions AS p
JOIN runs AS r ON r.run_id = p.run_id
WHERE r.issued_kind = 'live' AND NOT EXISTS (
    SELECT 1 FROM runs AS e
    WHERE e.grid = r.grid AND e.init_month = r.init_month AND e.issued_kind = 'live'
        AND e.entry < r.entry
)
"""

FORECAST_CELLS = """
SELECT l.run_id, l.init_month, r.issued_kind, r.created_at, r.model_version, l.lead_months,
    l.valid_month, c.grid, c.cell_index, c.lat, c.lon, c.area_m2, p.mean, p.spread, p.q05, p.q25,
    p.q50, p.q75, p.q95, p.p_source, p.climatology, p.damped_persistence,
    p.mean - p.climatology AS anomaly
FROM cell_predictions AS p
JOIN forecast_leads AS l ON l.id = p.lead_id AND l.init_month = p.init_month
JOIN forecast_runs AS r ON r.id = l.run_id
JOIN cells AS c ON c.id = p.cell_id
"""

FORECAST_VS_OBSERVED = """
SELECT r.run_id, r.init_month, r.issued_kind, r.created_at, r.model_version, r.method, r.grid,
    p.region, p.lead_months, p.valid_month, m.revision, n.revision IS NOT NULL AS is_latest,
    m.committed_at AS observed_at, p.mean, p.spread, p.q05, p.q25, p.q50, p.q75, p.q95, p.p_source,
    p.climatology, p.damped_persistence, o.mean AS observed, o.observed_share,
    p.mean - o.mean AS error, o.mean BETWEEN p.q25 AND p.q75 AS within_50,
    o.mean BETWEEN p.q05 AND p.q95 AS within_90
FROM regional_predictions AS p
JOIN runs_current AS r ON r.run_id = p.run_id
JOIN month_revisions AS m ON m.month = p.valid_month
JOIN regional_observations AS o ON o.month_revision_id = m.id AND o.region = p.region
LEFT JOIN latest_months AS n ON n.month_revision_id = m.id
"""

FORECAST_VS_OBSERVED_CELLS = """
SELECT l.run_id, l.init_month, l.lead_months, l.valid_month, m.month_revision_id, m.revision,
    c.grid, c.cell_index, c.lat, c.lon, c.area_m2, p.mean, p.spread, p.q05, p.q25, p.q50, p.q75,
    p.q95, p.p_source, p.climatology, p.damped_persistence, o.mean AS observed, o.observed_share,
    p.mean - o.mean AS error
FROM cell_predictions AS p
JOIN forecast_leads AS l ON l.id = p.lead_id AND l.init_month = p.init_month
JOIN latest_months AS m ON m.month = l.valid_month
JOIN cell_observations AS o ON o.month_revision_id = m.month_revision_id AND o.cell_id = p.cell_id
JOIN cells AS c ON c.id = p.cell_id
"""

# Observed months, and after the last of them what the newest run says. A year's interval joins the
# half-widths of its two parts as independent; 1.645 standard deviations are 90 % of a normal one.
ECS_UPTAKE = """
WITH observed AS (
    SELECT o.region, {year} AS year, l.month, o.flux_tgc, 1.645 * o.flux_tgc_uncertainty AS width
    FROM regional_observations AS o
    JOIN latest_months AS l ON l.month_revision_id = o.month_revision_id
),
newest AS (
    SELECT run_id, (SELECT max(month) FROM observed) AS last_observed
    FROM runs ORDER BY init_month DESC, precedence, entry DESC LIMIT 1
),
observed_years AS (
    SELECT region, year, count(*) AS n_months, sum(flux_tgc) AS flux_tgc, sum(width) AS width
    FROM observed GROUP BY region, year
),
forecast_years AS (
    SELECT y.region, y.year, y.n_months, y.run_id, y.flux_tgc_mean AS flux_tgc,
        y.flux_tgc_mean - y.flux_tgc_q05 AS below, y.flux_tgc_q95 - y.flux_tgc_mean AS above
    FROM yearly_predictions AS y
    JOIN newest AS n ON n.run_id = y.run_id
    WHERE n.last_observed IS NULL OR y.first_valid_month > n.last_observed
)
SELECT 'month' AS period, region, year, month, 'observed' AS source, 1 AS n_months,
    0 AS n_forecast, -flux_tgc AS uptake_tgc, -flux_tgc - width AS uptake_tgc_low,
    -flux_tgc + width AS uptake_tgc_high, NULL AS run_id
FROM observed
UNION ALL
SELECT 'month', p.region, {forecast_year}, p.valid_month, 'forecast', 1, 1, -p.flux_tgc_mean,
    -p.flux_tgc_q95, -p.flux_tgc_q05, p.run_id
FROM regional_predictions AS p
JOIN newest AS n ON n.run_id = p.run_id
WHERE n.last_observed IS NULL OR p.valid_month > n.last_observed
UNION ALL
SELECT 'year', k.region, k.year, NULL,
    CASE WHEN f.year IS NULL THEN 'observed' WHEN o.year IS NULL THEN 'forecast' ELSE 'both' END,
    coalesce(o.n_months, 0) + coalesce(f.n_months, 0), coalesce(f.n_months, 0),
    -coalesce(o.flux_tgc, 0) - coalesce(f.flux_tgc, 0),
    -coalesce(o.flux_tgc, 0) - coalesce(f.flux_tgc, 0)
        - sqrt(coalesce(o.width * o.width, 0) + coalesce(f.above * f.above, 0)),
    -coalesce(o.flux_tgc, 0) - coalesce(f.flux_tgc, 0)
        + sqrt(coalesce(o.width * o.width, 0) + coalesce(f.below * f.below, 0)),
    f.run_id
FROM (
    SELECT region, year FROM observed_years UNION SELECT region, year FROM forecast_years
) AS k
LEFT JOIN observed_years AS o ON o.region = k.region AND o.year = k.year
LEFT JOIN forecast_years AS f ON f.region = k.region AND f.year = k.year
"""

# Of a run that does not say what it read, at least its init month's revision is known.
LINEAGE_FILES = """
SELECT i.run_id, m.month, m.id AS month_revision_id, m.revision, m.content_hash,
    m.snapshot_id AS month_snapshot_id, m.committed_at, m.completion, m.handover_id,
    f.id AS product_file_id, f.product, f.file_name, f.url AS file_url, f.sha256 AS file_sha256,
    f.stage, f.seen_at AS file_seen_at,
    (SELECT count(*) FROM month_inputs AS q WHERE q.product_file_id = f.id) AS n_inputs,
    (SELECT count(*) FROM checks AS k WHERE k.product_file_id = f.id) AS n_checks,
    (SELECT count(*) FROM checks AS k WHERE k.product_file_id = f.id AND NOT k.passed)
        AS n_checks_failed,
    coalesce(a.reason, '') AS acceptance_reason
FROM (
    SELECT run_id, month_revision_id FROM run_inputs
    UNION ALL
    SELECT r.id, r.month_revision_id FROM forecast_runs AS r
    WHERE NOT EXISTS (SELECT 1 FROM run_inputs AS k WHERE k.run_id = r.id)
) AS i
JOIN month_revisions AS m ON m.id = i.month_revision_id
JOIN product_files AS f ON f.id = m.product_file_id
LEFT JOIN acceptances AS a ON a.product_file_id = f.id
"""

LINEAGE = """
SELECT r.id AS run_id, r.init_month, r.issued_kind, r.created_at, r.reason, r.degraded,
    r.degraded_reason, r.n_leads, r.n_members, r.seed, r.fields_url, r.fields_sha256,
    r.snapshot_id, r.first_month, m.revision, m.content_hash, r.code_version, r.libraries,
    r.hardware, r.duration_s, r.model_version, v.method, v.weights_url, v.weights_sha256,
    v.snapshot_id AS model_snapshot_id, v.trained_from, v.trained_until,
    v.code_version AS model_code_version, v.seed AS model_seed,
    (SELECT count(*) FROM lineage_files AS q WHERE q.run_id = r.id) AS n_files,
    {files} AS files,
    (SELECT CAST(sum(q.n_checks) AS integer) FROM lineage_files AS q WHERE q.run_id = r.id)
        AS n_checks,
    (SELECT CAST(sum(q.n_checks_failed) AS integer) FROM lineage_files AS q
        WHERE q.run_id = r.id) AS n_checks_failed,
    (SELECT count(*) FROM lineage_files AS q WHERE q.run_id = r.id AND q.acceptance_reason <> '')
        AS n_accepted
FROM forecast_runs AS r
JOIN model_versions AS v ON v.version = r.model_version
JOIN month_revisions AS m ON m.id = r.month_revision_id
"""

FILES = {
    "sqlite": """(SELECT json_group_array(json_object('month', q.month, 'revision', q.revision,
        'product', q.product, 'file_name', q.file_name, 'sha256', q.file_sha256))
        FROM (SELECT * FROM lineage_files WHERE run_id = r.id ORDER BY month) AS q)""",
    "postgresql": """(SELECT jsonb_agg(jsonb_build_object('month', q.month, 'revision', q.revision,
        'product', q.product, 'file_name', q.file_name, 'sha256', q.file_sha256) ORDER BY q.month)
        FROM lineage_files AS q WHERE q.run_id = r.id)""",
}

# Runs that were superseded, observations that were revised since, and scorings that were made
# anew do not count.
SCORES_CURRENT = """
SELECT r.model_version, r.method, r.issued_kind, r.init_month, s.run_id, s.lead_months, s.region,
    s.month_revision_id, s.scoring, s.valid_month, s.n_cells, s.weight_sum, s.se_model,
    s.se_climatology, s.se_persistence, s.se_damped_persistence, s.error, s.abs_error, s.crps,
    s.crps_climatology, s.fa_oa, s.fa_sq, s.oa_sq, s.fa, s.oa, s.inside_50, s.inside_90,
    s.created_at, s.reason
FROM skill_scores AS s
JOIN runs_current AS r ON r.run_id = s.run_id
JOIN latest_months AS m ON m.month_revision_id = s.month_revision_id
WHERE NOT EXISTS (
    SELECT 1 FROM skill_scores AS n
    WHERE n.run_id = s.run_id AND n.lead_months = s.lead_months AND n.region = s.region
        AND n.month_revision_id = s.month_revision_id AND n.scoring > s.scoring AND n.scoring > 1
)
"""

YEAR = {
    "sqlite": "CAST(strftime('%Y', {0}) AS INTEGER)",
    "postgresql": "CAST(extract(year FROM {0}) AS INTEGER)",
}


def earlier(file: str) -> dict[str, str]:
    dialect = op.get_context().dialect.name
    views: dict[str, str] = runpy.run_path(str(Path(__file__).with_name(file)))["views"](dialect)
    return views


def views() -> dict[str, str]:
    """Return the text of every view, each after those that it is built on."""
    dialect = op.get_context().dialect.name
    gate = runpy.run_path(str(Path(__file__).with_name("0005_model_gate.py")))
    known = earlier("0002_views.py") | earlier("0004_views.py")
    known["drift_current"] = gate["DRIFT_CURRENT"]
    year = YEAR[dialect]
    return {
        "latest_months": LATEST_MONTHS,
        **{name: known[name] for name in EARLIER},
        "runs": RUNS,
        "runs_current": RUNS_CURRENT,
        "outdated_runs": known["outdated_runs"],
        "forecasts": FORECASTS,
        "forecast_latest": NEWEST.format(known=""),
        "forecast_as_issued": FORECAST_AS_ISSUED,
        "degraded_forecasts": DEGRADED_FORECASTS,
        "forecast_cells": FORECAST_CELLS,
        "forecast_vs_observed": FORECAST_VS_OBSERVED,
        "forecast_vs_observed_cells": FORECAST_VS_OBSERVED_CELLS,
        "ecs_uptake": ECS_UPTAKE.format(
            year=year.format("l.month"), forecast_year=year.format("p.valid_month")
        ),
        "lineage_files": LINEAGE_FILES,
        "lineage": LINEAGE.format(files=FILES[dialect]),
        "scores_current": SCORES_CURRENT,
        **{name: known[name] for name in ("skill_by_lead", "skill_by_month")},
    }


def upgrade() -> None:
    for name, text in views().items():
        op.execute(f"CREATE VIEW {name} AS {text}")
    if op.get_context().dialect.name == "postgresql":
        newest = NEWEST.format(known="\n    WHERE c.created_at <= moment")
        op.execute(FORECAST_AS_OF.format(newest=newest))


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION forecast_as_of")
    for name in reversed(views()):
        op.execute(f"DROP VIEW {name}")
