"""What a run read, yearly sums, what was observed; scorings; cell predictions by year.

Tables that others refer to get columns by plain ALTER TABLE, as in 0003; the two that nothing
refers to are made anew with their rows. On PostgreSQL cell predictions are kept in one partition
per year of the init month. All views are dropped here: the next migration makes them anew. Going
down loses what the new columns and tables hold, and all scorings of a field but the newest.
"""
# ruff: noqa: E501, S608

import runpy
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = (
    (
        "forecast_runs",
        "reason",
        "TEXT DEFAULT '' NOT NULL",
        "Why it was made, for people; empty if not recorded",
    ),
    (
        "month_revisions",
        "reason",
        "TEXT DEFAULT '' NOT NULL",
        "Why it was committed, for people; empty if not recorded",
    ),
    ("regions", "west", "{double}", "Western bound (degrees east); null for all ocean cells"),
    ("regions", "south", "{double}", "Southern bound (degrees north)"),
    ("regions", "east", "{double}", "Eastern bound (degrees east)"),
    (
        "regions",
        "north",
        "{double} CONSTRAINT ck_regions_bounds_are_possible CHECK"
        " (west < east AND south < north AND south >= -90 AND north <= 90)",
        "Northern bound (degrees north)",
    ),
)
"""Table, column, its definition and its comment."""

COMMENTS = (
    ("COLUMN forecast_leads.id", "Key", "Key; runs that were written later have higher ones"),
    (
        "COLUMN regions.definition",
        "Corners of the polygon (degrees east, degrees north); none for the whole sea",
        "GeoJSON geometry (degrees east, degrees north); empty for all ocean cells",
    ),
    (
        "TABLE regions",
        "One row per region that predictions and scores refer to",
        "One row per region that predictions, observations and scores refer to",
    ),
)
"""What a comment is on, how it was before, and how it is now."""

SCORES = "One row per run, lead, region, observed revision and scoring: sums over the observed ocean cells, w = cell area (km2), f = forecast, o = observation, c = climatology"
EARLIER_SCORES = "One row per run, lead, region and observed revision: sums over the observed ocean cells, w = cell area (km2), f = forecast, o = observation, c = climatology"

ADD_PARTITION = """
CREATE FUNCTION add_cell_partition(year integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    name text := format('cell_predictions_%s', year);
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN;
    END IF;
    IF year NOT BETWEEN 1900 AND 2199 THEN
        RAISE EXCEPTION 'no partition for the year %: expected 1900 to 2199', year
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('tidenet.add_cell_partition'));
    -- (Asked of the table itself: to_regclass may remember from before the wait.)
    IF NOT EXISTS (
        SELECT 1 FROM pg_class AS c JOIN pg_class AS p ON p.relnamespace = c.relnamespace
        WHERE c.relname = name AND p.oid = 'cell_predictions'::regclass
    ) THEN
        -- Attaching, unlike creating in place, lets readers of the other years go on.
        EXECUTE format('CREATE TABLE %I (LIKE cell_predictions INCLUDING ALL)', name);
        EXECUTE format(
            'ALTER TABLE cell_predictions ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, make_date(year, 1, 1), make_date(year + 1, 1, 1)
        );
    END IF;
END
$$
"""

BOUNDS = {
    "postgresql": """
UPDATE regions SET
    west = (SELECT min((v ->> 0)::double precision) FROM jsonb_array_elements(definition -> 'vertices') AS v),
    south = (SELECT min((v ->> 1)::double precision) FROM jsonb_array_elements(definition -> 'vertices') AS v),
    east = (SELECT max((v ->> 0)::double precision) FROM jsonb_array_elements(definition -> 'vertices') AS v),
    north = (SELECT max((v ->> 1)::double precision) FROM jsonb_array_elements(definition -> 'vertices') AS v)
""",
    "sqlite": """
UPDATE regions SET
    west = (SELECT min(json_extract(value, '$[0]')) FROM json_each(definition, '$.vertices')),
    south = (SELECT min(json_extract(value, '$[1]')) FROM json_each(definition, '$.vertices')),
    east = (SELECT max(json_extract(value, '$[0]')) FROM json_each(definition, '$.vertices')),
    north = (SELECT max(json_extract(value, '$[1]')) FROM json_each(definition, '$.vertices'))
""",
}

# GeoJSON repeats a ring's first corner as its last.
TO_GEOJSON = {
    "postgresql": """
UPDATE regions SET definition = CASE
    WHEN jsonb_array_length(definition -> 'vertices') = 0 THEN '{}'::jsonb
    ELSE jsonb_build_object('type', 'Polygon', 'coordinates', jsonb_build_array(
        (definition -> 'vertices') || jsonb_build_array(definition -> 'vertices' -> 0)))
END
""",
    "sqlite": """
UPDATE regions SET definition = CASE
    WHEN json_array_length(definition, '$.vertices') = 0 THEN '{}'
    ELSE json_object('type', 'Polygon', 'coordinates', json_array(json_insert(
        json_extract(definition, '$.vertices'), '$[#]', json_extract(definition, '$.vertices[0]'))))
END
""",
}

TO_VERTICES = {
    "postgresql": """
UPDATE regions SET definition = jsonb_build_object('vertices', CASE definition ->> 'type'
    WHEN 'Polygon' THEN (definition -> 'coordinates' -> 0) - (-1)
    WHEN 'MultiPolygon' THEN (definition -> 'coordinates' -> 0 -> 0) - (-1)
    ELSE '[]'::jsonb
END)
""",
    "sqlite": """
UPDATE regions SET definition = json_object('vertices', CASE json_extract(definition, '$.type')
    WHEN 'Polygon' THEN json_remove(json_extract(definition, '$.coordinates[0]'), '$[#-1]')
    WHEN 'MultiPolygon' THEN json_remove(json_extract(definition, '$.coordinates[0][0]'), '$[#-1]')
    ELSE json('[]')
END)
""",
}

RUN_COLUMNS = """r.id, r.init_month, r.n_leads, r.n_members, r.model_version, r.issued_kind,
    r.created_at, r.snapshot_id, r.month_revision_id, r.seed, r.degraded, r.degraded_reason,
    r.fields_url, r.fields_sha256"""
PREDICTED = "mean, spread, q05, q25, q50, q75, q95, p_source, climatology"
SCORED = """valid_month, n_cells, weight_sum, se_model, se_climatology, se_persistence,
    se_damped_persistence, error, abs_error, crps, crps_climatology, fa_oa, fa_sq, oa_sq, fa, oa,
    inside_50, inside_90, created_at"""


def is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def is_month(table: str, name: str) -> sa.CheckConstraint:
    day = sa.func.coalesce(sa.extract("day", sa.column(name, sa.Date)), 0)
    return sa.CheckConstraint(day == 1, name=op.f(f"ck_{table}_{name}_is_a_first_day"))


def earlier_views() -> dict[str, str]:
    """Return the text of every view of the earlier migrations, each after those it is built on."""
    dialect = op.get_context().dialect.name
    views: dict[str, str] = {}
    for name in ("0002_views.py", "0004_views.py"):
        views |= runpy.run_path(str(Path(__file__).with_name(name)))["views"](dialect)
    gate = runpy.run_path(str(Path(__file__).with_name("0005_model_gate.py")))
    # Made when the table had no further columns: a star would hold on to those of 0003 now.
    views["runs_current"] = views["runs_current"].replace("SELECT r.*", f"SELECT {RUN_COLUMNS}")
    return views | {"drift_current": gate["DRIFT_CURRENT"]}


def upgrade() -> None:
    for view in reversed(earlier_views()):
        op.execute(f"DROP VIEW {view}")
    add_columns()
    create_run_inputs()
    create_yearly_predictions()
    create_regional_observations()
    create_cell_observations()
    op.create_index("ix_cells_lat_lon", "cells", ["lat", "lon"], unique=False)
    op.create_index(
        "uq_forecast_leads_id_init_month", "forecast_leads", ["id", "init_month"], unique=True
    )
    number_scorings()
    partition_cell_predictions()


def add_columns() -> None:
    double = "DOUBLE PRECISION" if is_postgresql() else "DOUBLE"
    for table, name, definition, comment in COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {definition.format(double=double)}")
        if is_postgresql():
            op.execute(f"COMMENT ON COLUMN {table}.{name} IS '{comment}'")
    if is_postgresql():
        for target, _, comment in COMMENTS:
            op.execute(f"COMMENT ON {target} IS '{comment}'")
    dialect = op.get_context().dialect.name
    op.execute(BOUNDS[dialect])
    op.execute(TO_GEOJSON[dialect])


def number_scorings() -> None:
    op.execute("CREATE TABLE kept AS SELECT * FROM skill_scores")
    op.drop_table("skill_scores")
    create_skill_scores(numbered=True)
    names = f"run_id, lead_months, region, month_revision_id, {SCORED}"
    op.execute(f"INSERT INTO skill_scores ({names}) SELECT {names} FROM kept")
    op.drop_table("kept")


def partition_cell_predictions() -> None:
    op.execute("CREATE TABLE kept AS SELECT * FROM cell_predictions")
    op.drop_table("cell_predictions")
    create_cell_predictions(partitioned=True)
    if is_postgresql():
        op.execute(ADD_PARTITION)
        op.execute(
            "DO $$ BEGIN PERFORM add_cell_partition(year) FROM (SELECT DISTINCT"
            " extract(year FROM init_month)::integer AS year FROM forecast_leads) AS years; END $$"
        )
    op.execute(
        f"INSERT INTO cell_predictions (lead_id, cell_id, init_month, {PREDICTED})"
        f" SELECT k.lead_id, k.cell_id, l.init_month, {PREDICTED}"
        " FROM kept AS k JOIN forecast_leads AS l ON l.id = k.lead_id"
    )
    op.drop_table("kept")


def create_run_inputs() -> None:
    op.create_table(
        "run_inputs",
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run"),
        sa.Column("month", sa.Date(), nullable=False, comment="The month read (first day)"),
        sa.Column(
            "month_revision_id",
            sa.Integer(),
            nullable=False,
            comment="The revision of it that was read",
        ),
        sa.ForeignKeyConstraint(
            ["month_revision_id", "month"],
            ["month_revisions.id", "month_revisions.month"],
            name=op.f("fk_run_inputs_month_revision_id_month"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["forecast_runs.id"], name=op.f("fk_run_inputs_run_id")
        ),
        sa.PrimaryKeyConstraint("run_id", "month", name=op.f("pk_run_inputs")),
        comment="One row per month of the record that a run read, with the revision it read",
    )
    op.create_index(
        "ix_run_inputs_month_revision_id", "run_inputs", ["month_revision_id"], unique=False
    )


def create_yearly_predictions() -> None:
    op.create_table(
        "yearly_predictions",
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run"),
        sa.Column("region", sa.Text(), nullable=False, comment="The region"),
        sa.Column(
            "year",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Calendar year of the valid months",
        ),
        sa.Column(
            "first_valid_month", sa.Date(), nullable=False, comment="First of them (first day)"
        ),
        sa.Column(
            "last_valid_month", sa.Date(), nullable=False, comment="Last of them (first day)"
        ),
        sa.Column("n_months", sa.Integer(), nullable=False, comment="Their number (1 to 12)"),
        sa.Column(
            "flux_tgc_mean",
            sa.Double(),
            nullable=False,
            comment="Flux of the region in these months (Tg C, positive out of the sea)",
        ),
        sa.Column(
            "flux_tgc_spread",
            sa.Double(),
            nullable=False,
            comment="Its standard deviation over members (Tg C)",
        ),
        sa.Column("flux_tgc_q05", sa.Double(), nullable=False, comment="Its 5 % quantile (Tg C)"),
        sa.Column("flux_tgc_q25", sa.Double(), nullable=False, comment="Its 25 % quantile (Tg C)"),
        sa.Column("flux_tgc_q50", sa.Double(), nullable=False, comment="Its median (Tg C)"),
        sa.Column("flux_tgc_q75", sa.Double(), nullable=False, comment="Its 75 % quantile (Tg C)"),
        sa.Column("flux_tgc_q95", sa.Double(), nullable=False, comment="Its 95 % quantile (Tg C)"),
        is_month("yearly_predictions", "first_valid_month"),
        is_month("yearly_predictions", "last_valid_month"),
        sa.CheckConstraint(
            "first_valid_month <= last_valid_month",
            name=op.f("ck_yearly_predictions_months_run_forward"),
        ),
        sa.CheckConstraint(
            "flux_tgc_q05 <= flux_tgc_q25 AND flux_tgc_q25 <= flux_tgc_q50 AND flux_tgc_q50 <= flux_tgc_q75 AND flux_tgc_q75 <= flux_tgc_q95",
            name=op.f("ck_yearly_predictions_integrals_are_ordered"),
        ),
        sa.CheckConstraint(
            "flux_tgc_spread >= 0", name=op.f("ck_yearly_predictions_spread_is_not_negative")
        ),
        sa.CheckConstraint(
            "n_months BETWEEN 1 AND 12", name=op.f("ck_yearly_predictions_n_months_is_1_to_12")
        ),
        sa.ForeignKeyConstraint(
            ["region"], ["regions.name"], name=op.f("fk_yearly_predictions_region")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["forecast_runs.id"], name=op.f("fk_yearly_predictions_run_id")
        ),
        sa.PrimaryKeyConstraint("run_id", "region", "year", name=op.f("pk_yearly_predictions")),
        comment="One row per run, region and calendar year: the run's months of that year together, with the quantiles of their sum",
    )


def create_regional_observations() -> None:
    op.create_table(
        "regional_observations",
        sa.Column(
            "month_revision_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Revision of the month",
        ),
        sa.Column("region", sa.Text(), nullable=False, comment="The region"),
        sa.Column("area_m2", sa.Double(), nullable=False, comment="Ocean area of the region (m2)"),
        sa.Column(
            "mean",
            sa.Double(),
            nullable=False,
            comment="Area mean of the flux, observed and completed cells (mmol m-2 d-1, positive out of the sea)",
        ),
        sa.Column(
            "uncertainty",
            sa.Double(),
            nullable=False,
            comment="Standard uncertainty of the mean if the errors of all cells go together: an upper bound (mmol m-2 d-1)",
        ),
        sa.Column(
            "observed_share",
            sa.Double(),
            nullable=False,
            comment="Share of the area that was observed, not completed (0 to 1)",
        ),
        sa.Column(
            "flux_tgc",
            sa.Double(),
            nullable=False,
            comment="Flux of the whole region (Tg C per month, positive out of the sea)",
        ),
        sa.Column(
            "flux_tgc_uncertainty",
            sa.Double(),
            nullable=False,
            comment="Its standard uncertainty, an upper bound likewise (Tg C per month)",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was computed (UTC)",
        ),
        sa.CheckConstraint("area_m2 > 0", name=op.f("ck_regional_observations_area_is_positive")),
        sa.CheckConstraint(
            "mean > -1e6 AND mean < 1e6", name=op.f("ck_regional_observations_mean_is_possible")
        ),
        sa.CheckConstraint(
            "observed_share >= 0 AND observed_share <= 1",
            name=op.f("ck_regional_observations_share_is_possible"),
        ),
        sa.CheckConstraint(
            "uncertainty >= 0 AND uncertainty < 1e6",
            name=op.f("ck_regional_observations_uncertainty_is_possible"),
        ),
        sa.ForeignKeyConstraint(
            ["month_revision_id"],
            ["month_revisions.id"],
            name=op.f("fk_regional_observations_month_revision_id"),
        ),
        sa.ForeignKeyConstraint(
            ["region"], ["regions.name"], name=op.f("fk_regional_observations_region")
        ),
        sa.PrimaryKeyConstraint(
            "month_revision_id", "region", name=op.f("pk_regional_observations")
        ),
        comment="One row per revision of a month and region: its flux in the record",
    )


def create_cell_observations() -> None:
    op.create_table(
        "cell_observations",
        sa.Column(
            "month_revision_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Revision of the month",
        ),
        sa.Column("cell_id", sa.Integer(), autoincrement=False, nullable=False, comment="The cell"),
        sa.Column(
            "mean",
            sa.REAL(),
            nullable=False,
            comment="Flux, observed and completed cells of the record (mmol m-2 d-1, positive out of the sea)",
        ),
        sa.Column(
            "observed_share",
            sa.REAL(),
            nullable=False,
            comment="Share of its ocean area that was observed, not completed (0 to 1)",
        ),
        sa.CheckConstraint(
            "mean > -1e6 AND mean < 1e6", name=op.f("ck_cell_observations_mean_is_possible")
        ),
        sa.CheckConstraint(
            "observed_share >= 0 AND observed_share <= 1",
            name=op.f("ck_cell_observations_share_is_possible"),
        ),
        sa.ForeignKeyConstraint(
            ["cell_id"], ["cells.id"], name=op.f("fk_cell_observations_cell_id")
        ),
        sa.ForeignKeyConstraint(
            ["month_revision_id"],
            ["month_revisions.id"],
            name=op.f("fk_cell_observations_month_revision_id"),
        ),
        sa.PrimaryKeyConstraint("month_revision_id", "cell_id", name=op.f("pk_cell_observations")),
        comment="One row per revision of a month and archive cell: its flux in the record",
        sqlite_with_rowid=False,
    )


def create_skill_scores(*, numbered: bool) -> None:
    scoring = sa.Column(
        "scoring",
        sa.Integer(),
        autoincrement=False,
        server_default="1",
        nullable=False,
        comment="1 for the first scoring against this revision, 2 for the next, ...",
    )
    reason = sa.Column(
        "reason",
        sa.Text(),
        server_default=sa.text("''"),
        nullable=False,
        comment="Why it was scored again, for people; empty for a first scoring",
    )
    starts_at_1 = sa.CheckConstraint(
        "scoring >= 1", name=op.f("ck_skill_scores_scoring_starts_at_1")
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
        *([scoring] if numbered else []),
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
        *([reason] if numbered else []),
        sa.CheckConstraint(
            "inside_50 >= 0 AND inside_50 <= inside_90 AND inside_90 <= weight_sum * 1.000001",
            name=op.f("ck_skill_scores_intervals_are_nested"),
        ),
        sa.CheckConstraint(
            "n_cells >= 0 AND weight_sum >= 0", name=op.f("ck_skill_scores_counts_are_not_negative")
        ),
        *([starts_at_1] if numbered else []),
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
            "run_id",
            "lead_months",
            "region",
            "month_revision_id",
            *(["scoring"] if numbered else []),
            name=op.f("pk_skill_scores"),
        ),
        comment=SCORES if numbered else EARLIER_SCORES,
    )
    op.create_index(
        "ix_skill_scores_month_revision_id", "skill_scores", ["month_revision_id"], unique=False
    )
    if numbered:
        op.create_index(
            "ix_skill_scores_region_lead_months",
            "skill_scores",
            ["region", "lead_months"],
            unique=False,
        )
        op.create_index(
            "ix_skill_scores_scored_again",
            "skill_scores",
            ["run_id", "lead_months", "region", "month_revision_id"],
            unique=False,
            postgresql_where=sa.text("scoring > 1"),
            sqlite_where=sa.text("scoring > 1"),
        )


def create_cell_predictions(*, partitioned: bool) -> None:
    damped: sa.Column[float] = sa.Column(
        "damped_persistence",
        sa.REAL(),
        nullable=True,
        comment="The damped anomaly persistence (mmol m-2 d-1); null if not recorded",
    )
    init_month = sa.Column(
        "init_month", sa.Date(), nullable=False, comment="Last observed month used (first day)"
    )
    columns = ["lead_id", "cell_id"]
    comment = "One row per run lead and cell; fluxes positive out of the sea"
    leads = sa.ForeignKeyConstraint(
        ["lead_id"], ["forecast_leads.id"], name=op.f("fk_cell_predictions_lead_id")
    )
    if partitioned:
        columns += ["init_month"]
        comment += ". On PostgreSQL one partition per year of the init month"
        leads = sa.ForeignKeyConstraint(
            ["lead_id", "init_month"],
            ["forecast_leads.id", "forecast_leads.init_month"],
            name=op.f("fk_cell_predictions_lead_id_init_month"),
        )
    key = sa.PrimaryKeyConstraint(*columns, name=op.f("pk_cell_predictions"))
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
        *([init_month] if partitioned else []),
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
        *([damped] if partitioned else []),
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
        leads,
        key,
        comment=comment,
        postgresql_partition_by="RANGE (init_month)" if partitioned else None,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.execute("CREATE TABLE kept AS SELECT * FROM cell_predictions")
    op.drop_table("cell_predictions")
    if is_postgresql():
        op.execute("DROP FUNCTION add_cell_partition")
    create_cell_predictions(partitioned=False)
    names = f"lead_id, cell_id, {PREDICTED}"
    op.execute(f"INSERT INTO cell_predictions ({names}) SELECT {names} FROM kept")
    op.drop_table("kept")
    keep_newest_scorings()
    op.drop_index("uq_forecast_leads_id_init_month", table_name="forecast_leads")
    op.drop_index("ix_cells_lat_lon", table_name="cells")
    for table in ("cell_observations", "regional_observations", "yearly_predictions", "run_inputs"):
        op.drop_table(table)
    op.execute(TO_VERTICES[op.get_context().dialect.name])
    for table, name, _, _ in reversed(COLUMNS):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    if is_postgresql():
        for target, comment, _ in COMMENTS:
            op.execute(f"COMMENT ON {target} IS '{comment}'")
    for name, text in earlier_views().items():
        op.execute(f"CREATE VIEW {name} AS {text}")


def keep_newest_scorings() -> None:
    op.execute(
        "CREATE TABLE kept AS SELECT s.* FROM skill_scores AS s WHERE s.scoring = ("
        "SELECT max(n.scoring) FROM skill_scores AS n WHERE n.run_id = s.run_id"
        " AND n.lead_months = s.lead_months AND n.region = s.region"
        " AND n.month_revision_id = s.month_revision_id)"
    )
    op.drop_table("skill_scores")
    create_skill_scores(numbered=False)
    names = f"run_id, lead_months, region, month_revision_id, {SCORED}"
    op.execute(f"INSERT INTO skill_scores ({names}) SELECT {names} FROM kept")
    op.drop_table("kept")
