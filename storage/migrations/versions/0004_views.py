"""The views on files and months anew; views of preliminary months, hand-overs, outdated runs.

Meanings and units of their columns are in ``storage/views.py``.
"""

import runpy
from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A final file with the content of the preliminary one makes no revision, but settles the month.
LATEST_MONTHS = """
SELECT month_revision_id, month, revision, snapshot_id, content_hash, n_ocean, n_observed,
    n_completed, committed_at, product_file_id, product, file_url, file_sha256,
    CASE WHEN file_stage = 'preliminary' AND NOT EXISTS (
        SELECT 1 FROM product_files AS a
        WHERE a.month = ranked.month AND a.status = 'accepted' AND a.stage = 'final'
            AND a.id > ranked.product_file_id
    ) THEN 'preliminary' ELSE 'final' END AS stage,
    completion, n_spikes, handover_id
FROM (
    SELECT m.id AS month_revision_id, m.month, m.revision, m.snapshot_id, m.content_hash,
        m.n_ocean, m.n_observed, m.n_completed, m.committed_at, m.product_file_id, f.product,
        f.url AS file_url, f.sha256 AS file_sha256, f.stage AS file_stage, m.completion,
        m.n_spikes, m.handover_id,
        row_number() OVER (PARTITION BY m.month ORDER BY m.revision DESC) AS place
    FROM month_revisions AS m
    JOIN product_files AS f ON f.id = m.product_file_id
) AS ranked
WHERE place = 1
"""

PRELIMINARY_MONTHS = """
SELECT month_revision_id, month, revision, product, product_file_id, file_url, committed_at
FROM latest_months
WHERE stage = 'preliminary'
"""

# A file that was replaced under its URL by another is no longer open, whatever became of it.
OPEN_FILES = """
SELECT id AS product_file_id, product, month, file_name, url, size_bytes, sha256, seen_at,
    quarantine_url, message, remedy, stage
FROM (
    SELECT f.id, f.product, f.month, f.file_name, f.url, f.size_bytes, f.sha256, f.seen_at,
        f.quarantine_url, f.message, f.remedy, f.stage, f.status,
        row_number() OVER (PARTITION BY f.product, f.url ORDER BY f.id DESC) AS place
    FROM product_files AS f
) AS ranked
WHERE place = 1 AND status = '{status}' AND NOT EXISTS (
    SELECT 1 FROM product_files AS a
    WHERE a.product = ranked.product AND a.month = ranked.month AND a.status = 'accepted'
        AND a.id > ranked.id
)
"""

HANDOVER_CURRENT = """
SELECT handover_id, old_product, new_product, grid, fit, overlap_first, overlap_last, n_months,
    rmse_before, rmse_after, sha256, snapshot_id, fitted_at, fitted_by
FROM (
    SELECT h.id AS handover_id, h.old_product, h.new_product, h.grid, h.fit, h.overlap_first,
        h.overlap_last, h.n_months, h.rmse_before, h.rmse_after, h.sha256, h.snapshot_id,
        h.fitted_at, h.fitted_by,
        row_number() OVER (
            PARTITION BY h.old_product, h.new_product, h.grid ORDER BY h.fit DESC
        ) AS place
    FROM handovers AS h
) AS ranked
WHERE place = 1
"""

# A run read the revisions up to the one whose commit made its snapshot. A snapshot that no month
# made (a hand-over did, or the ledger was behind) is placed by time: when the run began, and not
# before the revision of its init month.
OUTDATED_RUNS = """
WITH reads AS (
    SELECT c.run_id, c.init_month, c.model_version, c.issued_kind, c.created_at, r.first_month,
        coalesce(s.id, i.id) AS read_id,
        coalesce(
            s.committed_at,
            CASE WHEN {began_at} > i.committed_at THEN {began_at} ELSE i.committed_at END
        ) AS read_at
    FROM runs_current AS c
    JOIN forecast_runs AS r ON r.id = c.run_id
    JOIN month_revisions AS i ON i.id = c.month_revision_id
    LEFT JOIN (
        SELECT m.snapshot_id, m.id, m.committed_at, row_number() OVER (
                PARTITION BY m.snapshot_id ORDER BY m.committed_at DESC, m.id DESC
            ) AS place
        FROM month_revisions AS m
    ) AS s ON s.snapshot_id = c.snapshot_id AND s.place = 1
),
-- Many runs read the same: what was revised since is looked up once for all of them.
revised AS (
    SELECT x.read_at, x.read_id, l.month, l.content_hash, coalesce((
            SELECT u.content_hash FROM month_revisions AS u
            WHERE u.month = l.month AND (u.committed_at < x.read_at
                OR (u.committed_at = x.read_at AND u.id <= x.read_id))
            ORDER BY u.revision DESC LIMIT 1
        ), '') AS content_read
    FROM (SELECT DISTINCT read_at, read_id FROM reads) AS x
    JOIN latest_months AS l ON l.revision > 1 AND (l.committed_at > x.read_at
        OR (l.committed_at = x.read_at AND l.month_revision_id > x.read_id))
)
SELECT r.run_id, r.init_month, r.model_version, r.issued_kind, r.created_at,
    l.month AS revised_month, l.revision, l.committed_at AS revised_at, g.n_revised_months
FROM (
    SELECT r.run_id, max(n.month) AS revised_month, count(*) AS n_revised_months
    FROM reads AS r
    JOIN revised AS n ON n.read_at = r.read_at AND n.read_id = r.read_id
        AND n.month <= r.init_month AND (r.first_month IS NULL OR n.month >= r.first_month)
    WHERE n.content_read <> n.content_hash
    GROUP BY r.run_id
) AS g
JOIN reads AS r ON r.run_id = g.run_id
JOIN latest_months AS l ON l.month = g.revised_month
"""

BEGAN_AT = {
    # Written as SQLAlchemy writes times: SQLite compares them as text.
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', r.created_at,"
    " printf('-%.3f seconds', r.duration_s))",
    "postgresql": "(r.created_at - r.duration_s * interval '1 second')",
}
"""When a run began, which is before its inputs were read or soon after."""

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
    coalesce(a.reason, '') AS acceptance_reason, f.stage,
    (SELECT count(*) FROM month_inputs AS q WHERE q.product_file_id = f.id) AS n_inputs,
    m.completion, m.handover_id
FROM regional_predictions AS p
JOIN forecast_runs AS r ON r.id = p.run_id
JOIN model_versions AS v ON v.version = r.model_version
JOIN month_revisions AS m ON m.id = r.month_revision_id
JOIN product_files AS f ON f.id = m.product_file_id
LEFT JOIN acceptances AS a ON a.product_file_id = f.id
"""


def views(dialect: str) -> dict[str, str]:
    """Return the text of every view made here, each after those that it is built on."""
    earlier = runpy.run_path(str(Path(__file__).with_name("0002_views.py")))["views"](dialect)
    return {
        "latest_months": LATEST_MONTHS,
        "preliminary_months": PRELIMINARY_MONTHS,
        "quarantine_open": OPEN_FILES.format(status="quarantined"),
        "waiting_open": OPEN_FILES.format(status="waiting"),
        "handover_current": HANDOVER_CURRENT,
        "outdated_runs": OUTDATED_RUNS.format(began_at=BEGAN_AT[dialect]),
        "lineage": LINEAGE,
        **{name: earlier[name] for name in ("scores_current", "skill_by_lead", "skill_by_month")},
    }


def upgrade() -> None:
    for name, text in views(op.get_context().dialect.name).items():
        op.execute(f"CREATE VIEW {name} AS {text}")


def downgrade() -> None:
    for name in reversed(views(op.get_context().dialect.name)):
        op.execute(f"DROP VIEW {name}")
