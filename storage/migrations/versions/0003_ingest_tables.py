"""Preliminary files, files of several quantities, hand-overs between products, how gaps were filled.

Columns are added and dropped by plain ALTER TABLE, the same on both databases: a copy of a table
that others refer to, which is SQLite's other way, would break their references. Going down loses
what the new columns and tables hold.
"""
# ruff: noqa: E501

import runpy
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")

VIEWS = (
    "latest_months",
    "quarantine_open",
    "waiting_open",
    "lineage",
    "scores_current",
    "skill_by_lead",
    "skill_by_month",
)
"""Views on the altered tables: the next migration makes them anew."""

COLUMNS = (
    (
        "product_files",
        "stage",
        "TEXT DEFAULT 'final' NOT NULL CONSTRAINT ck_product_files_stage_is_known"
        " CHECK (stage IN ('final', 'preliminary'))",
        "final, or preliminary where the provider will publish another one",
    ),
    (
        "month_revisions",
        "completion",
        "TEXT DEFAULT '' NOT NULL",
        "How gaps were filled: gaussian, eof:<basis id>:<rank>; empty if not recorded",
    ),
    (
        "month_revisions",
        "n_spikes",
        "INTEGER DEFAULT '0' NOT NULL CONSTRAINT ck_month_revisions_n_spikes_is_not_negative"
        " CHECK (n_spikes >= 0)",
        "Observed cells that were discarded as spikes (number)",
    ),
    (
        "month_revisions",
        "handover_id",
        "INTEGER CONSTRAINT fk_month_revisions_handover_id REFERENCES handovers (id)",
        "Hand-over that it was corrected with; null if it was not",
    ),
    (
        "forecast_runs",
        "first_month",
        "DATE CONSTRAINT ck_forecast_runs_first_month_is_a_first_day CHECK ({is_first_day})",
        "First month that was read; null where unknown: then every month counts as read",
    ),
)
"""Table, column, its definition and its comment."""


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
    for view in reversed(VIEWS):
        op.execute(f"DROP VIEW {view}")
    create_month_inputs()
    create_handovers()
    create_handover_terms()
    postgresql = op.get_context().dialect.name == "postgresql"
    for table, name, definition, comment in COLUMNS:
        text = definition.format(is_first_day=is_first_day(name))
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {text}")
        if postgresql:
            op.execute(f"COMMENT ON COLUMN {table}.{name} IS '{comment}'")


def create_month_inputs() -> None:
    op.create_table(
        "month_inputs",
        sa.Column("product_file_id", sa.Integer(), nullable=False, comment="The look that used it"),
        sa.Column(
            "quantity",
            sa.Text(),
            nullable=False,
            comment="What was taken from it: pco2, wind, sst, ...",
        ),
        sa.Column(
            "product", sa.Text(), nullable=False, comment="Name of its product specification"
        ),
        sa.Column(
            "url", sa.Text(), nullable=False, comment="Where it was found, without credentials"
        ),
        sa.Column("file_name", sa.Text(), nullable=False, comment="Its name without folders"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="Its length (bytes)"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256 of its bytes, hexadecimal"),
        sa.CheckConstraint("length(quantity) > 0", name=op.f("ck_month_inputs_quantity_is_named")),
        sa.CheckConstraint(
            "length(sha256) = 64", name=op.f("ck_month_inputs_sha256_has_64_digits")
        ),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_month_inputs_size_is_not_negative")),
        sa.ForeignKeyConstraint(
            ["product_file_id"],
            ["product_files.id"],
            name=op.f("fk_month_inputs_product_file_id"),
        ),
        sa.PrimaryKeyConstraint("product_file_id", "quantity", name=op.f("pk_month_inputs")),
        comment="One row per quantity of a month that was computed from several files",
    )


def create_handovers() -> None:
    op.create_table(
        "handovers",
        sa.Column("id", sa.Integer(), nullable=False, comment="Key; later fits have higher keys"),
        sa.Column(
            "old_product",
            sa.Text(),
            nullable=False,
            comment="Product that the record was made from so far",
        ),
        sa.Column(
            "new_product", sa.Text(), nullable=False, comment="Product that is corrected to fit it"
        ),
        sa.Column(
            "grid",
            sa.Text(),
            nullable=False,
            comment="Name of the grid that they were compared on",
        ),
        sa.Column(
            "fit",
            sa.Integer(),
            nullable=False,
            comment="1 for the first fit of these products, 2 for the next other one, ...",
        ),
        sa.Column(
            "overlap_first",
            sa.Date(),
            nullable=False,
            comment="First month of the overlap (first day)",
        ),
        sa.Column(
            "overlap_last",
            sa.Date(),
            nullable=False,
            comment="Last month of the overlap (first day)",
        ),
        sa.Column(
            "n_months",
            sa.Integer(),
            nullable=False,
            comment="Months of the overlap that were used (number)",
        ),
        sa.Column(
            "rmse_before",
            sa.Double(),
            nullable=False,
            comment="Root mean squared difference of the products (mmol m-2 d-1)",
        ),
        sa.Column(
            "rmse_after",
            sa.Double(),
            nullable=False,
            comment="The same of the corrected new product (mmol m-2 d-1)",
        ),
        sa.Column("parameters", JSON, nullable=False, comment="The whole fitted hand-over"),
        sa.Column(
            "sha256",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the parameters as JSON with sorted keys, hexadecimal",
        ),
        sa.Column(
            "snapshot_id",
            sa.Text(),
            nullable=False,
            comment="Snapshot of the record it was fitted on",
        ),
        sa.Column(
            "fitted_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was fitted (UTC)",
        ),
        sa.Column("fitted_by", sa.Text(), nullable=False, comment="Who or what fitted it"),
        sa.CheckConstraint("fit >= 1", name=op.f("ck_handovers_fit_starts_at_1")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_handovers_sha256_has_64_digits")),
        sa.CheckConstraint("n_months >= 1", name=op.f("ck_handovers_has_months")),
        sa.CheckConstraint("old_product <> new_product", name=op.f("ck_handovers_products_differ")),
        sa.CheckConstraint(
            "overlap_first <= overlap_last", name=op.f("ck_handovers_overlap_runs_forward")
        ),
        sa.CheckConstraint(
            "rmse_before >= 0 AND rmse_before < 1e6 AND rmse_after >= 0 AND rmse_after < 1e6",
            name=op.f("ck_handovers_errors_are_possible"),
        ),
        is_month("handovers", "overlap_first"),
        is_month("handovers", "overlap_last"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handovers")),
        sa.UniqueConstraint("old_product", "new_product", "grid", "fit", name="uq_handovers_fit"),
        comment="One row per fit of a new product to an old one on their overlap",
    )


def create_handover_terms() -> None:
    op.create_table(
        "handover_terms",
        sa.Column("handover_id", sa.Integer(), nullable=False, comment="The hand-over"),
        sa.Column(
            "region", sa.Text(), nullable=False, comment="Part of the sea; parts do not overlap"
        ),
        sa.Column(
            "calendar_month",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Calendar month (1 to 12)",
        ),
        sa.Column("scale", sa.Double(), nullable=False, comment="Factor on the new product (1)"),
        sa.Column(
            "shift",
            sa.Double(),
            nullable=False,
            comment="Added to the scaled new product (mmol m-2 d-1, positive out of the sea)",
        ),
        sa.Column(
            "n_months",
            sa.Integer(),
            nullable=False,
            comment="Months that it was fitted on (number)",
        ),
        sa.Column(
            "n_cells",
            sa.Integer(),
            nullable=False,
            comment="Cells that both products observed (number)",
        ),
        sa.Column(
            "residual",
            sa.Double(),
            nullable=False,
            comment="Standard deviation of what it does not explain (mmol m-2 d-1)",
        ),
        sa.CheckConstraint(
            "calendar_month BETWEEN 1 AND 12",
            name=op.f("ck_handover_terms_calendar_month_is_1_to_12"),
        ),
        sa.CheckConstraint(
            "n_months >= 0 AND n_cells >= 0",
            name=op.f("ck_handover_terms_counts_are_not_negative"),
        ),
        sa.CheckConstraint(
            "residual >= 0 AND residual < 1e6", name=op.f("ck_handover_terms_residual_is_possible")
        ),
        sa.CheckConstraint(
            "scale > 0 AND scale < 1e6", name=op.f("ck_handover_terms_scale_is_possible")
        ),
        sa.CheckConstraint(
            "shift > -1e6 AND shift < 1e6", name=op.f("ck_handover_terms_shift_is_possible")
        ),
        sa.ForeignKeyConstraint(
            ["handover_id"], ["handovers.id"], name=op.f("fk_handover_terms_handover_id")
        ),
        sa.PrimaryKeyConstraint(
            "handover_id", "region", "calendar_month", name=op.f("pk_handover_terms")
        ),
        comment="One row per region and calendar month of a hand-over: scale x new + shift",
    )


def downgrade() -> None:
    for table, name, _, _ in reversed(COLUMNS):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    for table in ("handover_terms", "handovers", "month_inputs"):
        op.drop_table(table)
    earlier = runpy.run_path(str(Path(__file__).with_name("0002_views.py")))
    texts = earlier["views"](op.get_context().dialect.name)
    for view in VIEWS:
        op.execute(f"CREATE VIEW {view} AS {texts[view]}")
