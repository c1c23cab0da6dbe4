"""Twins of models, the kind of each decision with its figures, and looks at a champion's drift.

Columns are added and dropped by plain ALTER TABLE, as in 0003. Going down loses what the new
columns and tables hold; the decisions themselves stay.
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = (
    (
        "model_versions",
        "source",
        "TEXT DEFAULT '' NOT NULL",
        "Where it was imported from, by whom and when; empty if it was trained here",
    ),
    (
        "model_versions",
        "twin_url",
        "TEXT",
        "Where its twin lies: the same network, all else fitted before the validation block; judged in its place on months that it has learned from; null if it has none",
    ),
    (
        "model_versions",
        "twin_sha256",
        "TEXT CONSTRAINT ck_model_versions_twin_sha256_has_64_digits CHECK (length(twin_sha256) = 64)",
        "SHA-256 of the twin, hexadecimal",
    ),
    (
        "model_versions",
        "twin_until",
        "DATE CONSTRAINT ck_model_versions_twin_until_is_a_first_day CHECK ({is_first_day})",
        "Last month that the twin was fitted on (first day)",
    ),
    (
        "promotions",
        "kind",
        "TEXT DEFAULT 'gate' NOT NULL CONSTRAINT ck_promotions_kind_is_known"
        " CHECK (kind IN ('gate', 'first', 'by-hand', 'rollback', 'refused'))",
        "gate (by the figures), first (no champion yet), by-hand, rollback, or refused (could not be served)",
    ),
)
"""Table, column, its definition and its comment."""

DRIFT_CURRENT = """
SELECT grid, drift_check_id, model_version, first_valid_month, last_valid_month, n_months,
    n_hindcast_months, msss, msss_hindcast, level, level_limit, drifting, retraining_due, reason,
    checked_at
FROM (
    SELECT c.grid, d.id AS drift_check_id, d.model_version, d.first_valid_month,
        d.last_valid_month, d.n_months, d.n_hindcast_months, d.msss, d.msss_hindcast, d.level,
        d.level_limit, d.drifting, d.retraining_due, d.reason, d.checked_at,
        row_number() OVER (PARTITION BY c.grid ORDER BY d.id DESC) AS place
    FROM drift_checks AS d
    JOIN champion AS c ON c.model_version = d.model_version
) AS ranked
WHERE place = 1
"""


def day(name: str) -> sa.ColumnElement[int]:
    """Day of a date column; 0 where it is null or no date."""
    return sa.func.coalesce(sa.extract("day", sa.column(name, sa.Date)), 0)


def is_month(table: str, name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(day(name) == 1, name=op.f(f"ck_{table}_{name}_is_a_first_day"))


def is_first_day(name: str) -> str:
    """Return the text of the check that a date is the first day of a month, or null."""
    check = sa.column(name, sa.Date).is_(None) | (day(name) == 1)
    dialect = op.get_context().dialect
    return str(check.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def upgrade() -> None:
    postgresql = op.get_context().dialect.name == "postgresql"
    for table, name, definition, comment in COLUMNS:
        text = definition.format(is_first_day=is_first_day(name))
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {text}")
        if postgresql:
            op.execute(f"COMMENT ON COLUMN {table}.{name} IS '{comment}'")
    create_promotion_figures()
    create_drift_checks()
    op.execute(f"CREATE VIEW drift_current AS {DRIFT_CURRENT}")


def create_promotion_figures() -> None:
    op.create_table(
        "promotion_figures",
        sa.Column(
            "promotion_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="The decision",
        ),
        sa.Column(
            "rival",
            sa.Text(),
            nullable=False,
            comment="champion, climatology or damped-persistence",
        ),
        sa.Column(
            "lead_months",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Months after the init month (1 to 12); 0: all leads together",
        ),
        sa.Column(
            "n_months",
            sa.Integer(),
            nullable=False,
            comment="Init months that both forecast, and neither has learned from (number)",
        ),
        sa.Column(
            "first_init_month", sa.Date(), nullable=False, comment="The first of them (first day)"
        ),
        sa.Column(
            "last_init_month", sa.Date(), nullable=False, comment="The last of them (first day)"
        ),
        sa.Column(
            "rmse",
            sa.Double(),
            nullable=False,
            comment="Root mean squared error of the candidate (mmol m-2 d-1)",
        ),
        sa.Column(
            "rmse_rival", sa.Double(), nullable=False, comment="That of the rival (mmol m-2 d-1)"
        ),
        sa.Column(
            "difference",
            sa.Double(),
            nullable=False,
            comment="MSSS against climatology, candidate minus rival; above 0: better",
        ),
        sa.Column(
            "low",
            sa.Double(),
            nullable=True,
            comment="5 % end of its 90 % interval (paired block bootstrap); null: too few months",
        ),
        sa.Column("high", sa.Double(), nullable=True, comment="95 % end; null: too few months"),
        sa.Column(
            "passed",
            sa.Boolean(),
            nullable=True,
            comment="Whether the gate's condition on it is met; null where the gate has none",
        ),
        sa.CheckConstraint(
            "rival IN ('champion', 'climatology', 'damped-persistence')",
            name=op.f("ck_promotion_figures_rival_is_known"),
        ),
        sa.CheckConstraint(
            "lead_months BETWEEN 0 AND 12", name=op.f("ck_promotion_figures_lead_is_0_to_12")
        ),
        sa.CheckConstraint("n_months >= 1", name=op.f("ck_promotion_figures_has_months")),
        is_month("promotion_figures", "first_init_month"),
        is_month("promotion_figures", "last_init_month"),
        sa.CheckConstraint("low <= high", name=op.f("ck_promotion_figures_interval_is_ordered")),
        sa.CheckConstraint(
            "rmse >= 0 AND rmse < 1e6", name=op.f("ck_promotion_figures_rmse_is_possible")
        ),
        sa.CheckConstraint(
            "rmse_rival >= 0 AND rmse_rival < 1e6",
            name=op.f("ck_promotion_figures_rmse_rival_is_possible"),
        ),
        sa.CheckConstraint(
            "difference > -1e6 AND difference < 1e6",
            name=op.f("ck_promotion_figures_difference_is_possible"),
        ),
        sa.ForeignKeyConstraint(
            ["promotion_id"], ["promotions.id"], name=op.f("fk_promotion_figures_promotion_id")
        ),
        sa.PrimaryKeyConstraint(
            "promotion_id", "rival", "lead_months", name=op.f("pk_promotion_figures")
        ),
        comment="One row per decision, rival and lead: the candidate beside the rival",
    )


def create_drift_checks() -> None:
    op.create_table(
        "drift_checks",
        sa.Column("id", sa.Integer(), nullable=False, comment="Key; later looks are higher"),
        sa.Column("model_version", sa.Text(), nullable=False, comment="The model"),
        sa.Column(
            "first_valid_month", sa.Date(), nullable=False, comment="First month scored (first day)"
        ),
        sa.Column(
            "last_valid_month", sa.Date(), nullable=False, comment="Last month scored (first day)"
        ),
        sa.Column(
            "n_months",
            sa.Integer(),
            nullable=False,
            comment="Valid months scored in service (number)",
        ),
        sa.Column(
            "n_hindcast_months",
            sa.Integer(),
            nullable=False,
            comment="Those of the hindcast (number)",
        ),
        sa.Column(
            "msss",
            sa.Double(),
            nullable=True,
            comment="MSSS against climatology in service, all leads, last 12 months; null if undefined",
        ),
        sa.Column(
            "msss_hindcast",
            sa.Double(),
            nullable=True,
            comment="That of the hindcast at its promotion; null if undefined",
        ),
        sa.Column(
            "level",
            sa.Double(),
            nullable=False,
            comment="Moving average of ln(MSE / MSE of climatology) minus its hindcast mean; above 0: worse than the hindcast",
        ),
        sa.Column(
            "level_limit",
            sa.Double(),
            nullable=False,
            comment="What the level stays below in 95 % of years in which nothing has changed",
        ),
        sa.Column(
            "drifting", sa.Boolean(), nullable=False, comment="Whether the level is above its limit"
        ),
        sa.Column(
            "retraining_due",
            sa.Boolean(),
            nullable=False,
            comment="Whether it should be trained anew",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="What was found, one sentence"),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False, comment="When (UTC)"),
        is_month("drift_checks", "first_valid_month"),
        is_month("drift_checks", "last_valid_month"),
        sa.CheckConstraint("n_months >= 1", name=op.f("ck_drift_checks_has_months")),
        sa.CheckConstraint(
            "n_hindcast_months >= 1", name=op.f("ck_drift_checks_has_hindcast_months")
        ),
        sa.CheckConstraint(
            "level > -1e6 AND level < 1e6", name=op.f("ck_drift_checks_level_is_possible")
        ),
        sa.CheckConstraint(
            "level_limit > 0 AND level_limit < 1e6", name=op.f("ck_drift_checks_limit_is_possible")
        ),
        sa.ForeignKeyConstraint(
            ["model_version"],
            ["model_versions.version"],
            name=op.f("fk_drift_checks_model_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_checks")),
        comment="One row per look at a model's skill in service beside that of its hindcast",
    )
    op.create_index(
        "ix_drift_checks_model_version", "drift_checks", ["model_version"], unique=False
    )


def downgrade() -> None:
    op.execute("DROP VIEW drift_current")
    op.drop_table("drift_checks")
    op.drop_table("promotion_figures")
    for table, name, _, _ in reversed(COLUMNS):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
