"""The tables."""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def day(name: str) -> sa.ColumnElement[int]:
    """Day of a date column; 0 where it is null or no date."""
    return sa.func.coalesce(sa.extract("day", sa.column(name, sa.Date)), 0)


def is_month(table: str, name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(day(name) == 1, name=op.f(f"ck_{table}_{name}_is_a_first_day"))


def is_optional_month(table: str, name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(
        sa.column(name, sa.Date).is_(None) | (day(name) == 1),
        name=op.f(f"ck_{table}_{name}_is_a_first_day"),
    )


def month_number(name: str) -> sa.ColumnElement[int]:
    date = sa.column(name, sa.Date)
    return sa.extract("year", date) * 12 + sa.extract("month", date)


def upgrade() -> None:
    op.create_table(
        "cells",
        sa.Column("id", sa.Integer(), nullable=False, comment="Key"),
        sa.Column("grid", sa.Text(), nullable=False, comment="Name of the archive grid"),
        sa.Column(
            "cell_index",
            sa.Integer(),
            nullable=False,
            comment="Row-major position, rows south to north",
        ),
        sa.Column(
            "lat", sa.Double(), nullable=False, comment="Latitude of its centre (degrees north)"
        ),
        sa.Column(
            "lon", sa.Double(), nullable=False, comment="Longitude of its centre (degrees east)"
        ),
        sa.Column("area_m2", sa.Double(), nullable=False, comment="Ocean area in the cell (m2)"),
        sa.CheckConstraint("area_m2 > 0", name=op.f("ck_cells_area_is_positive")),
        sa.CheckConstraint("cell_index >= 0", name=op.f("ck_cells_index_starts_at_0")),
        sa.CheckConstraint("lat BETWEEN -90 AND 90", name=op.f("ck_cells_lat_is_possible")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cells")),
        sa.UniqueConstraint("grid", "cell_index", name=op.f("uq_cells_grid_cell_index")),
        comment="One row per ocean cell of an archive grid",
    )
    op.create_table(
        "model_versions",
        sa.Column("version", sa.Text(), nullable=False, comment="Its name"),
        sa.Column(
            "method",
            sa.Text(),
            nullable=False,
            comment="tidenet, climatology, persistence, damped-persistence, ...",
        ),
        sa.Column(
            "grid", sa.Text(), nullable=False, comment="Name of the grid that it was trained on"
        ),
        sa.Column("weights_url", sa.Text(), nullable=False, comment="Where its weights lie"),
        sa.Column(
            "weights_sha256",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of its weights, hexadecimal",
        ),
        sa.Column(
            "snapshot_id",
            sa.Text(),
            nullable=False,
            comment="Snapshot of the record it was trained on",
        ),
        sa.Column(
            "trained_from", sa.Date(), nullable=False, comment="First month of the training data"
        ),
        sa.Column(
            "trained_until",
            sa.Date(),
            nullable=False,
            comment="Last month of the training data: nothing later entered the model",
        ),
        sa.Column(
            "validated_from",
            sa.Date(),
            nullable=True,
            comment="First month of the validation block inside the training data; null if none",
        ),
        sa.Column(
            "validated_until",
            sa.Date(),
            nullable=True,
            comment="Last month of the validation block; null if none",
        ),
        sa.Column("config", JSON, nullable=False, comment="Configuration"),
        sa.Column("metrics", JSON, nullable=False, comment="Figures of the training"),
        sa.Column("code_version", sa.Text(), nullable=False, comment="Version of this package"),
        sa.Column("libraries", JSON, nullable=False, comment="Versions of the libraries"),
        sa.Column("seed", sa.BigInteger(), nullable=False, comment="Seed of the training"),
        sa.Column("hardware", sa.Text(), nullable=False, comment="What it was trained on"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was trained (UTC)",
        ),
        sa.Column("note", sa.Text(), nullable=False, comment="What a person wrote about it"),
        is_month("model_versions", "trained_from"),
        is_month("model_versions", "trained_until"),
        is_optional_month("model_versions", "validated_from"),
        is_optional_month("model_versions", "validated_until"),
        sa.CheckConstraint(
            "length(weights_sha256) = 64",
            name=op.f("ck_model_versions_weights_sha256_has_64_digits"),
        ),
        sa.CheckConstraint(
            "trained_from <= trained_until", name=op.f("ck_model_versions_training_runs_forward")
        ),
        sa.CheckConstraint(
            "validated_from <= validated_until",
            name=op.f("ck_model_versions_validation_runs_forward"),
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_model_versions")),
        comment="One row per trained model version",
    )
    op.create_table(
        "product_files",
        sa.Column("id", sa.Integer(), nullable=False, comment="Key; later looks have higher keys"),
        sa.Column(
            "product", sa.Text(), nullable=False, comment="Name of the product specification"
        ),
        sa.Column(
            "url",
            sa.Text(),
            nullable=False,
            comment="Where the file was found, without credentials",
        ),
        sa.Column("file_name", sa.Text(), nullable=False, comment="Its name without folders"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="Its length (bytes)"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256 of its bytes, hexadecimal"),
        sa.Column(
            "look",
            sa.Integer(),
            nullable=False,
            comment="1 for the first outcome of these bytes, 2 for the next other outcome, ...",
        ),
        sa.Column(
            "month",
            sa.Date(),
            nullable=True,
            comment="Month that it holds (first day); null where that could not be told",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="accepted, waiting or quarantined"),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was looked at (UTC)",
        ),
        sa.Column(
            "quarantine_url",
            sa.Text(),
            nullable=False,
            comment="Where the refused file was put; empty if it was not",
        ),
        sa.Column(
            "message", sa.Text(), nullable=False, comment="Why it was not accepted; empty if it was"
        ),
        sa.Column(
            "remedy", sa.Text(), nullable=False, comment="What to do about it; empty if accepted"
        ),
        is_optional_month("product_files", "month"),
        sa.CheckConstraint(
            "status <> 'accepted' OR month IS NOT NULL",
            name=op.f("ck_product_files_accepted_has_a_month"),
        ),
        sa.CheckConstraint(
            "status IN ('accepted', 'waiting', 'quarantined')",
            name=op.f("ck_product_files_status_is_known"),
        ),
        sa.CheckConstraint(
            "length(sha256) = 64", name=op.f("ck_product_files_sha256_has_64_digits")
        ),
        sa.CheckConstraint("look >= 1", name=op.f("ck_product_files_look_starts_at_1")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_product_files_size_is_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_files")),
        sa.UniqueConstraint("id", "month", name=op.f("uq_product_files_id_month")),
        sa.UniqueConstraint("product", "file_name", "sha256", "look", name="uq_product_files_look"),
        comment="One row per look at a new or changed product file, and what became of it",
    )
    op.create_index(
        "ix_product_files_product_month", "product_files", ["product", "month"], unique=False
    )
    op.create_index(
        "ix_product_files_product_sha256", "product_files", ["product", "sha256"], unique=False
    )

    op.create_table(
        "regions",
        sa.Column("name", sa.Text(), nullable=False, comment="Key, such as changjiang-plume"),
        sa.Column("title", sa.Text(), nullable=False, comment="Name for people"),
        sa.Column(
            "definition",
            JSON,
            nullable=False,
            comment="Corners of the polygon (degrees east, degrees north); none for the whole sea",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_regions")),
        comment="One row per region that predictions and scores refer to",
    )
    op.create_table(
        "acceptances",
        sa.Column("id", sa.Integer(), nullable=False, comment="Key"),
        sa.Column(
            "product_file_id", sa.Integer(), nullable=False, comment="The accepted look at the file"
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why, in the person's words"),
        sa.Column("accepted_by", sa.Text(), nullable=False, comment="Who"),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False, comment="When (UTC)"),
        sa.CheckConstraint("length(reason) > 0", name=op.f("ck_acceptances_reason_is_given")),
        sa.ForeignKeyConstraint(
            ["product_file_id"], ["product_files.id"], name=op.f("fk_acceptances_product_file_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acceptances")),
        sa.UniqueConstraint("product_file_id", name=op.f("uq_acceptances_product_file_id")),
        comment="One row per file that a person accepted in spite of a warning",
    )
    op.create_table(
        "checks",
        sa.Column("id", sa.Integer(), nullable=False, comment="Key, in the order of the checks"),
        sa.Column("product_file_id", sa.Integer(), nullable=False, comment="The look at the file"),
        sa.Column("name", sa.Text(), nullable=False, comment="Name of the check"),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="structural (is it what it claims to be) or statistical (is it plausible)",
        ),
        sa.Column(
            "severity", sa.Text(), nullable=False, comment="What a failure means: error or warning"
        ),
        sa.Column("passed", sa.Boolean(), nullable=False, comment="Whether the file passed"),
        sa.Column("found", sa.Text(), nullable=False, comment="What was there, for people"),
        sa.Column(
            "expected", sa.Text(), nullable=False, comment="What should have been there, for people"
        ),
        sa.Column("message", sa.Text(), nullable=False, comment="One sentence; empty if passed"),
        sa.Column(
            "checked_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was checked (UTC)",
        ),
        sa.CheckConstraint(
            "kind IN ('structural', 'statistical')", name=op.f("ck_checks_kind_is_known")
        ),
        sa.CheckConstraint(
            "severity IN ('error', 'warning')", name=op.f("ck_checks_severity_is_known")
        ),
        sa.ForeignKeyConstraint(
            ["product_file_id"], ["product_files.id"], name=op.f("fk_checks_product_file_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checks")),
        sa.UniqueConstraint("product_file_id", "name", name=op.f("uq_checks_product_file_id_name")),
        comment="One row per check of one look at a product file",
    )
    op.create_table(
        "month_revisions",
        sa.Column("id", sa.Integer(), nullable=False, comment="Key"),
        sa.Column("month", sa.Date(), nullable=False, comment="The month (first day)"),
        sa.Column(
            "revision",
            sa.Integer(),
            nullable=False,
            comment="1 for the month's first commit, 2 for its first revision, ...",
        ),
        sa.Column(
            "product_file_id",
            sa.Integer(),
            nullable=False,
            comment="The look at the file it was made from",
        ),
        sa.Column(
            "snapshot_id",
            sa.Text(),
            nullable=False,
            comment="Snapshot of the Carbon-ECS repository that the commit made",
        ),
        sa.Column(
            "content_hash", sa.Text(), nullable=False, comment="SHA-256 of the committed arrays"
        ),
        sa.Column(
            "n_ocean", sa.Integer(), nullable=False, comment="Ocean cells of the grid (number)"
        ),
        sa.Column(
            "n_observed",
            sa.Integer(),
            nullable=False,
            comment="Ocean cells that were observed (number)",
        ),
        sa.Column(
            "n_completed",
            sa.Integer(),
            nullable=False,
            comment="Ocean cells that were filled (number)",
        ),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=False, comment="When (UTC)"),
        is_month("month_revisions", "month"),
        sa.CheckConstraint(
            "n_observed >= 0 AND n_completed >= 0 AND n_observed + n_completed <= n_ocean",
            name=op.f("ck_month_revisions_cells_add_up"),
        ),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_month_revisions_revision_starts_at_1")),
        sa.ForeignKeyConstraint(
            ["product_file_id", "month"],
            ["product_files.id", "product_files.month"],
            name=op.f("fk_month_revisions_product_file_id_month"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_month_revisions")),
        sa.UniqueConstraint("id", "month", name=op.f("uq_month_revisions_id_month")),
        sa.UniqueConstraint("month", "revision", name=op.f("uq_month_revisions_month_revision")),
        comment="One row per commit of a month to the Carbon-ECS record",
    )
    op.create_index(
        "ix_month_revisions_product_file_id", "month_revisions", ["product_file_id"], unique=False
    )

    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer(), nullable=False, comment="Key; later decisions are higher"),
        sa.Column("model_version", sa.Text(), nullable=False, comment="The candidate"),
        sa.Column(
            "promoted", sa.Boolean(), nullable=False, comment="Whether it became the champion"
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why, one sentence"),
        sa.Column("numbers", JSON, nullable=False, comment="Figures it was decided by"),
        sa.Column(
            "previous_champion",
            sa.Text(),
            nullable=True,
            comment="Champion at the time; null if there was none",
        ),
        sa.Column("decided_by", sa.Text(), nullable=False, comment="Who or what decided"),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False, comment="When (UTC)"),
        sa.CheckConstraint("length(reason) > 0", name=op.f("ck_promotions_reason_is_given")),
        sa.ForeignKeyConstraint(
            ["model_version"], ["model_versions.version"], name=op.f("fk_promotions_model_version")
        ),
        sa.ForeignKeyConstraint(
            ["previous_champion"],
            ["model_versions.version"],
            name=op.f("fk_promotions_previous_champion"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
        comment="One row per decision whether a model becomes the champion",
    )
    op.create_index("ix_promotions_model_version", "promotions", ["model_version"], unique=False)

    op.create_table(
        "forecast_runs",
        sa.Column("id", sa.Text(), nullable=False, comment="Unique id (UUID)"),
        sa.Column(
            "init_month", sa.Date(), nullable=False, comment="Last observed month used (first day)"
        ),
        sa.Column(
            "n_leads", sa.Integer(), nullable=False, comment="Months that it reaches (1 to 12)"
        ),
        sa.Column("n_members", sa.Integer(), nullable=False, comment="Ensemble members (number)"),
        sa.Column("model_version", sa.Text(), nullable=False, comment="The model"),
        sa.Column(
            "snapshot_id", sa.Text(), nullable=False, comment="Snapshot of the record that was read"
        ),
        sa.Column(
            "month_revision_id",
            sa.Integer(),
            nullable=False,
            comment="Revision of the init month that was read",
        ),
        sa.Column("seed", sa.BigInteger(), nullable=False, comment="Seed of the members"),
        sa.Column(
            "issued_kind",
            sa.Text(),
            nullable=False,
            comment="live (on time), backfill (late, from what was known then) or hindcast",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was computed (UTC)",
        ),
        sa.Column("fields_url", sa.Text(), nullable=False, comment="Its gridded fields (Zarr)"),
        sa.Column(
            "fields_sha256", sa.Text(), nullable=False, comment="SHA-256 of the gridded fields"
        ),
        sa.Column("code_version", sa.Text(), nullable=False, comment="Version of this package"),
        sa.Column("libraries", JSON, nullable=False, comment="Versions of the libraries"),
        sa.Column("hardware", sa.Text(), nullable=False, comment="What it was computed on"),
        sa.Column(
            "degraded",
            sa.Boolean(),
            nullable=False,
            comment="Made with less than it should have had",
        ),
        sa.Column(
            "degraded_reason", sa.Text(), nullable=False, comment="Why it is degraded; empty if not"
        ),
        sa.Column(
            "duration_s",
            sa.Double(),
            nullable=False,
            comment="Time that the computation took (seconds)",
        ),
        sa.Column(
            "idempotency_key",
            sa.Text(),
            nullable=False,
            comment="What makes the run one of a kind; a second run with it is not written",
        ),
        is_month("forecast_runs", "init_month"),
        sa.CheckConstraint(
            "issued_kind IN ('live', 'backfill', 'hindcast')",
            name=op.f("ck_forecast_runs_issued_kind_is_known"),
        ),
        sa.CheckConstraint(
            "NOT degraded OR length(degraded_reason) > 0",
            name=op.f("ck_forecast_runs_degraded_says_why"),
        ),
        sa.CheckConstraint(
            "duration_s >= 0", name=op.f("ck_forecast_runs_duration_is_not_negative")
        ),
        sa.CheckConstraint(
            "length(fields_sha256) = 64", name=op.f("ck_forecast_runs_fields_sha256_has_64_digits")
        ),
        sa.CheckConstraint(
            "n_leads BETWEEN 1 AND 12", name=op.f("ck_forecast_runs_n_leads_is_1_to_12")
        ),
        sa.CheckConstraint("n_members >= 1", name=op.f("ck_forecast_runs_has_members")),
        sa.ForeignKeyConstraint(
            ["model_version"],
            ["model_versions.version"],
            name=op.f("fk_forecast_runs_model_version"),
        ),
        sa.ForeignKeyConstraint(
            ["month_revision_id", "init_month"],
            ["month_revisions.id", "month_revisions.month"],
            name=op.f("fk_forecast_runs_month_revision_id_init_month"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecast_runs")),
        sa.UniqueConstraint("id", "init_month", name=op.f("uq_forecast_runs_id_init_month")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_forecast_runs_idempotency_key")),
        comment="One row per forecast run; a rerun is a new row",
    )
    op.create_index("ix_forecast_runs_init_month", "forecast_runs", ["init_month"], unique=False)
    op.create_index(
        "ix_forecast_runs_model_version", "forecast_runs", ["model_version"], unique=False
    )

    op.create_table(
        "forecast_leads",
        sa.Column("id", sa.Integer(), nullable=False, comment="Key"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run"),
        sa.Column(
            "init_month", sa.Date(), nullable=False, comment="Last observed month used (first day)"
        ),
        sa.Column(
            "lead_months",
            sa.Integer(),
            nullable=False,
            comment="Months after the init month (1 to 12)",
        ),
        sa.Column(
            "valid_month",
            sa.Date(),
            nullable=False,
            comment="Month that the forecast is for (first day)",
        ),
        sa.CheckConstraint(
            month_number("valid_month") == month_number("init_month") + sa.column("lead_months"),
            name=op.f("ck_forecast_leads_valid_is_init_plus_lead"),
        ),
        is_month("forecast_leads", "init_month"),
        is_month("forecast_leads", "valid_month"),
        sa.CheckConstraint(
            "lead_months BETWEEN 1 AND 12", name=op.f("ck_forecast_leads_lead_is_1_to_12")
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "init_month"],
            ["forecast_runs.id", "forecast_runs.init_month"],
            name=op.f("fk_forecast_leads_run_id_init_month"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecast_leads")),
        sa.UniqueConstraint(
            "run_id",
            "lead_months",
            "valid_month",
            name=op.f("uq_forecast_leads_run_id_lead_months_valid_month"),
        ),
        sa.UniqueConstraint(
            "run_id", "lead_months", name=op.f("uq_forecast_leads_run_id_lead_months")
        ),
        comment="One row per lead month of a run; ties lead, init month and valid month",
    )
    op.create_index(
        "ix_forecast_leads_valid_month", "forecast_leads", ["valid_month"], unique=False
    )

    op.create_table(
        "cell_predictions",
        sa.Column(
            "lead_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Run and lead (forecast_leads)",
        ),
        sa.Column("cell_id", sa.Integer(), autoincrement=False, nullable=False, comment="The cell"),
        sa.Column(
            "mean",
            sa.REAL(),
            nullable=False,
            comment="Flux (mmol m-2 d-1, positive out of the sea)",
        ),
        sa.Column(
            "spread",
            sa.REAL(),
            nullable=False,
            comment="Standard deviation over members (mmol m-2 d-1)",
        ),
        sa.Column("q05", sa.REAL(), nullable=False, comment="5 % quantile (mmol m-2 d-1)"),
        sa.Column("q25", sa.REAL(), nullable=False, comment="25 % quantile (mmol m-2 d-1)"),
        sa.Column("q50", sa.REAL(), nullable=False, comment="Median (mmol m-2 d-1)"),
        sa.Column("q75", sa.REAL(), nullable=False, comment="75 % quantile (mmol m-2 d-1)"),
        sa.Column("q95", sa.REAL(), nullable=False, comment="95 % quantile (mmol m-2 d-1)"),
        sa.Column(
            "p_source",
            sa.REAL(),
            nullable=False,
            comment="Probability that the cell is a source (0 to 1)",
        ),
        sa.Column(
            "climatology", sa.REAL(), nullable=False, comment="The climatology (mmol m-2 d-1)"
        ),
        sa.CheckConstraint(
            "climatology > -1e6 AND climatology < 1e6",
            name=op.f("ck_cell_predictions_climatology_is_possible"),
        ),
        sa.CheckConstraint(
            "mean > -1e6 AND mean < 1e6", name=op.f("ck_cell_predictions_mean_is_possible")
        ),
        sa.CheckConstraint(
            "p_source >= 0 AND p_source <= 1",
            name=op.f("ck_cell_predictions_p_source_is_a_probability"),
        ),
        sa.CheckConstraint(
            "q05 <= q25 AND q25 <= q50 AND q50 <= q75 AND q75 <= q95",
            name=op.f("ck_cell_predictions_quantiles_are_ordered"),
        ),
        sa.CheckConstraint(
            "spread >= 0 AND spread < 1e6", name=op.f("ck_cell_predictions_spread_is_possible")
        ),
        sa.ForeignKeyConstraint(
            ["cell_id"], ["cells.id"], name=op.f("fk_cell_predictions_cell_id")
        ),
        sa.ForeignKeyConstraint(
            ["lead_id"], ["forecast_leads.id"], name=op.f("fk_cell_predictions_lead_id")
        ),
        sa.PrimaryKeyConstraint("lead_id", "cell_id", name=op.f("pk_cell_predictions")),
        comment="One row per run lead and cell; fluxes positive out of the sea",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "regional_predictions",
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run"),
        sa.Column("region", sa.Text(), nullable=False, comment="The region"),
        sa.Column(
            "lead_months",
            sa.Integer(),
            nullable=False,
            comment="Months after the init month (1 to 12)",
        ),
        sa.Column(
            "valid_month",
            sa.Date(),
            nullable=False,
            comment="Month that the forecast is for (first day)",
        ),
        sa.Column("area_m2", sa.Double(), nullable=False, comment="Ocean area of the region (m2)"),
        sa.Column(
            "mean",
            sa.Double(),
            nullable=False,
            comment="Area mean of the flux (mmol m-2 d-1, positive out of the sea)",
        ),
        sa.Column(
            "spread",
            sa.Double(),
            nullable=False,
            comment="Standard deviation of the area mean over members (mmol m-2 d-1)",
        ),
        sa.Column(
            "q05",
            sa.Double(),
            nullable=False,
            comment="5 % quantile of the area mean (mmol m-2 d-1)",
        ),
        sa.Column(
            "q25",
            sa.Double(),
            nullable=False,
            comment="25 % quantile of the area mean (mmol m-2 d-1)",
        ),
        sa.Column(
            "q50", sa.Double(), nullable=False, comment="Median of the area mean (mmol m-2 d-1)"
        ),
        sa.Column(
            "q75",
            sa.Double(),
            nullable=False,
            comment="75 % quantile of the area mean (mmol m-2 d-1)",
        ),
        sa.Column(
            "q95",
            sa.Double(),
            nullable=False,
            comment="95 % quantile of the area mean (mmol m-2 d-1)",
        ),
        sa.Column(
            "p_source",
            sa.Double(),
            nullable=False,
            comment="Probability that the region as a whole is a source (0 to 1)",
        ),
        sa.Column(
            "climatology",
            sa.Double(),
            nullable=False,
            comment="The climatology's area mean (mmol m-2 d-1)",
        ),
        sa.Column(
            "damped_persistence",
            sa.Double(),
            nullable=False,
            comment="The damped anomaly persistence's area mean (mmol m-2 d-1)",
        ),
        sa.Column(
            "anomaly", sa.Double(), nullable=False, comment="mean minus climatology (mmol m-2 d-1)"
        ),
        sa.Column(
            "flux_tgc_mean",
            sa.Double(),
            nullable=False,
            comment="Flux of the whole region (Tg C per month, positive out of the sea: uptake is < 0)",
        ),
        sa.Column(
            "flux_tgc_q05", sa.Double(), nullable=False, comment="Its 5 % quantile (Tg C per month)"
        ),
        sa.Column(
            "flux_tgc_q25",
            sa.Double(),
            nullable=False,
            comment="Its 25 % quantile (Tg C per month)",
        ),
        sa.Column(
            "flux_tgc_q50", sa.Double(), nullable=False, comment="Its median (Tg C per month)"
        ),
        sa.Column(
            "flux_tgc_q75",
            sa.Double(),
            nullable=False,
            comment="Its 75 % quantile (Tg C per month)",
        ),
        sa.Column(
            "flux_tgc_q95",
            sa.Double(),
            nullable=False,
            comment="Its 95 % quantile (Tg C per month)",
        ),
        sa.CheckConstraint("area_m2 > 0", name=op.f("ck_regional_predictions_area_is_positive")),
        sa.CheckConstraint(
            "climatology > -1e6 AND climatology < 1e6",
            name=op.f("ck_regional_predictions_climatology_is_possible"),
        ),
        sa.CheckConstraint(
            "flux_tgc_q05 <= flux_tgc_q25 AND flux_tgc_q25 <= flux_tgc_q50 AND flux_tgc_q50 <= flux_tgc_q75 AND flux_tgc_q75 <= flux_tgc_q95",
            name=op.f("ck_regional_predictions_integrals_are_ordered"),
        ),
        sa.CheckConstraint(
            "mean > -1e6 AND mean < 1e6", name=op.f("ck_regional_predictions_mean_is_possible")
        ),
        sa.CheckConstraint(
            "p_source >= 0 AND p_source <= 1",
            name=op.f("ck_regional_predictions_p_source_is_a_probability"),
        ),
        sa.CheckConstraint(
            "q05 <= q25 AND q25 <= q50 AND q50 <= q75 AND q75 <= q95",
            name=op.f("ck_regional_predictions_quantiles_are_ordered"),
        ),
        sa.CheckConstraint(
            "spread >= 0 AND spread < 1e6", name=op.f("ck_regional_predictions_spread_is_possible")
        ),
        sa.ForeignKeyConstraint(
            ["region"], ["regions.name"], name=op.f("fk_regional_predictions_region")
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "lead_months", "valid_month"],
            ["forecast_leads.run_id", "forecast_leads.lead_months", "forecast_leads.valid_month"],
            name=op.f("fk_regional_predictions_run_id_lead_months_valid_month"),
        ),
        sa.PrimaryKeyConstraint(
            "run_id", "region", "lead_months", name=op.f("pk_regional_predictions")
        ),
        comment="One row per run, lead and region; fluxes positive out of the sea",
    )
    op.create_index(
        "ix_regional_predictions_region_valid_month",
        "regional_predictions",
        ["region", "valid_month"],
        unique=False,
    )

    op.create_table(
        "skill_scores",
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run"),
        sa.Column(
            "lead_months",
            sa.Integer(),
            nullable=False,
            comment="Months after the init month (1 to 12)",
        ),
        sa.Column("region", sa.Text(), nullable=False, comment="The region"),
        sa.Column(
            "month_revision_id",
            sa.Integer(),
            nullable=False,
            comment="Revision of the valid month that was scored against",
        ),
        sa.Column(
            "valid_month",
            sa.Date(),
            nullable=False,
            comment="Month that the forecast is for (first day)",
        ),
        sa.Column("n_cells", sa.Integer(), nullable=False, comment="Observed ocean cells (number)"),
        sa.Column("weight_sum", sa.Double(), nullable=False, comment="Sum of w (km2)"),
        sa.Column(
            "se_model",
            sa.Double(),
            nullable=False,
            comment="Sum of w (f - o)^2 (km2 (mmol m-2 d-1)^2)",
        ),
        sa.Column(
            "se_climatology", sa.Double(), nullable=False, comment="Sum of w (c - o)^2, climatology"
        ),
        sa.Column(
            "se_persistence", sa.Double(), nullable=False, comment="The same of anomaly persistence"
        ),
        sa.Column(
            "se_damped_persistence",
            sa.Double(),
            nullable=False,
            comment="The same of damped anomaly persistence",
        ),
        sa.Column(
            "error",
            sa.Double(),
            nullable=False,
            comment="Sum of w (f - o), positive: forecast too high",
        ),
        sa.Column("abs_error", sa.Double(), nullable=False, comment="Sum of w abs(f - o)"),
        sa.Column("crps", sa.Double(), nullable=False, comment="Sum of w CRPS of the forecast"),
        sa.Column(
            "crps_climatology",
            sa.Double(),
            nullable=False,
            comment="Sum of w CRPS of the climatology",
        ),
        sa.Column("fa_oa", sa.Double(), nullable=False, comment="Sum of w (f - c) (o - c)"),
        sa.Column("fa_sq", sa.Double(), nullable=False, comment="Sum of w (f - c)^2"),
        sa.Column("oa_sq", sa.Double(), nullable=False, comment="Sum of w (o - c)^2"),
        sa.Column("fa", sa.Double(), nullable=False, comment="Sum of w (f - c)"),
        sa.Column("oa", sa.Double(), nullable=False, comment="Sum of w (o - c)"),
        sa.Column(
            "inside_50", sa.Double(), nullable=False, comment="Sum of w where q25 <= o <= q75 (km2)"
        ),
        sa.Column(
            "inside_90", sa.Double(), nullable=False, comment="Sum of w where q05 <= o <= q95 (km2)"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was computed (UTC)",
        ),
        sa.CheckConstraint(
            "inside_50 >= 0 AND inside_50 <= inside_90 AND inside_90 <= weight_sum * 1.000001",
            name=op.f("ck_skill_scores_intervals_are_nested"),
        ),
        sa.CheckConstraint(
            "n_cells >= 0 AND weight_sum >= 0", name=op.f("ck_skill_scores_counts_are_not_negative")
        ),
        sa.CheckConstraint(
            "se_model >= 0 AND se_climatology >= 0 AND se_persistence >= 0 AND se_damped_persistence >= 0",
            name=op.f("ck_skill_scores_squares_are_not_negative"),
        ),
        sa.ForeignKeyConstraint(
            ["month_revision_id", "valid_month"],
            ["month_revisions.id", "month_revisions.month"],
            name=op.f("fk_skill_scores_month_revision_id_valid_month"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "lead_months", "valid_month"],
            ["forecast_leads.run_id", "forecast_leads.lead_months", "forecast_leads.valid_month"],
            name=op.f("fk_skill_scores_run_id_lead_months_valid_month"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "region", "lead_months"],
            [
                "regional_predictions.run_id",
                "regional_predictions.region",
                "regional_predictions.lead_months",
            ],
            name=op.f("fk_skill_scores_run_id_region_lead_months"),
        ),
        sa.PrimaryKeyConstraint(
            "run_id", "lead_months", "region", "month_revision_id", name=op.f("pk_skill_scores")
        ),
        comment="One row per run, lead, region and observed revision: sums over the observed ocean cells, w = cell area (km2), f = forecast, o = observation, c = climatology",
    )
    op.create_index(
        "ix_skill_scores_month_revision_id", "skill_scores", ["month_revision_id"], unique=False
    )


def downgrade() -> None:
    for table in (
        "skill_scores",
        "regional_predictions",
        "cell_predictions",
        "forecast_leads",
        "forecast_runs",
        "promotions",
        "month_revisions",
        "checks",
        "acceptances",
        "regions",
        "product_files",
        "model_versions",
        "cells",
    ):
        op.drop_table(table)
