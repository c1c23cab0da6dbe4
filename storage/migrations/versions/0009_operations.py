"""What a run knew and where it ran, and looks at what models are given in service.

Columns are added by plain ALTER TABLE, as in 0005. Going down loses what the new columns and the
new table hold.
"""
# ruff: noqa: S608

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PLACEMENT = "What hardware was asked for and why it ran where it did; empty: nothing was asked"
COLUMNS = (
    (
        "forecast_runs",
        "known_at",
        "{time}",
        "Moment after which nothing that became known was read (UTC); null: when it was computed",
    ),
    ("forecast_runs", "placement", "TEXT DEFAULT '' NOT NULL", PLACEMENT),
    ("model_versions", "placement", "TEXT DEFAULT '' NOT NULL", PLACEMENT),
)
"""Table, column, its definition and its comment."""

TABLE = "input_drift_checks"


def is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def upgrade() -> None:
    time = "TIMESTAMP WITH TIME ZONE" if is_postgresql() else "DATETIME"
    for table, name, definition, comment in COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {definition.format(time=time)}")
        if is_postgresql():
            op.execute(f"COMMENT ON COLUMN {table}.{name} IS '{comment}'")
    create_table()
    refuse_changes()
    if is_postgresql():
        for role, right in (("tidenet_reader", "SELECT"), ("tidenet_writer", "SELECT, INSERT")):
            op.execute(
                f"DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN"
                f" GRANT {right} ON {TABLE} TO {role}; END IF; END $$"
            )
        op.execute(
            "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tidenet_writer') THEN"
            f" GRANT USAGE ON SEQUENCE {TABLE}_id_seq TO tidenet_writer; END IF; END $$"
        )


def create_table() -> None:
    day = {
        name: sa.func.coalesce(sa.extract("day", sa.column(name, sa.Date)), 0)
        for name in ("first_month", "last_month")
    }
    op.create_table(
        TABLE,
        sa.Column("id", sa.Integer(), nullable=False, comment="Key; later looks are higher"),
        sa.Column("model_version", sa.Text(), nullable=False, comment="The model"),
        sa.Column(
            "statistic",
            sa.Text(),
            nullable=False,
            comment="mean (flux of the whole sea), contrast (between its regions) or"
            " observed-share",
        ),
        sa.Column(
            "first_month",
            sa.Date(),
            nullable=False,
            comment="First month after its training (first day)",
        ),
        sa.Column(
            "last_month", sa.Date(), nullable=False, comment="Last month looked at (first day)"
        ),
        sa.Column("n_months", sa.Integer(), nullable=False, comment="Months looked at (number)"),
        sa.Column(
            "n_training_months",
            sa.Integer(),
            nullable=False,
            comment="Months of its training (number)",
        ),
        sa.Column(
            "level",
            sa.Double(),
            nullable=False,
            comment="Moving average of the statistic's departure from its training mean of the"
            " calendar month, in training standard deviations",
        ),
        sa.Column(
            "level_limit",
            sa.Double(),
            nullable=False,
            comment="What the size of the level stays below in 99 % of years like those of the"
            " training",
        ),
        sa.Column(
            "drifting",
            sa.Boolean(),
            nullable=False,
            comment="Whether the size of the level is above it",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="What was found, one sentence"),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False, comment="When (UTC)"),
        sa.CheckConstraint(
            "statistic IN ('mean', 'contrast', 'observed-share')",
            name=op.f(f"ck_{TABLE}_statistic_is_known"),
        ),
        *(
            sa.CheckConstraint(number == 1, name=op.f(f"ck_{TABLE}_{name}_is_a_first_day"))
            for name, number in day.items()
        ),
        sa.CheckConstraint("n_months >= 1", name=op.f(f"ck_{TABLE}_has_months")),
        sa.CheckConstraint("n_training_months >= 1", name=op.f(f"ck_{TABLE}_has_training_months")),
        sa.CheckConstraint(
            "level > -1e6 AND level < 1e6", name=op.f(f"ck_{TABLE}_level_is_possible")
        ),
        sa.CheckConstraint(
            "level_limit > 0 AND level_limit < 1e6", name=op.f(f"ck_{TABLE}_limit_is_possible")
        ),
        sa.ForeignKeyConstraint(
            ["model_version"],
            ["model_versions.version"],
            name=op.f(f"fk_{TABLE}_model_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
        comment="One row per look at a statistic of a model's input beside its training",
    )
    op.create_index(f"ix_{TABLE}_model_version_statistic", TABLE, ["model_version", "statistic"])


def refuse_changes() -> None:
    """Rows are only added, as in every other table."""
    if not is_postgresql():
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {TABLE}_refuses_{change.lower()} BEFORE {change} ON {TABLE}"
                " BEGIN SELECT RAISE(ABORT,"
                f" 'rows of {TABLE} are only added, never changed or removed'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {TABLE}_refuses_change BEFORE UPDATE OR DELETE ON {TABLE}"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        f"CREATE TRIGGER {TABLE}_refuses_truncate BEFORE TRUNCATE ON {TABLE}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.drop_table(TABLE)
    for table, name, _, _ in reversed(COLUMNS):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
