"""Rows are only added, and who may do that: triggers on every table; roles on PostgreSQL.

The roles belong to the whole server: another archive on it may use them, so that going down takes
their rights here away and leaves the roles. A server that lets this user make no roles goes
without them.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = (
    "product_files",
    "month_inputs",
    "checks",
    "acceptances",
    "month_revisions",
    "handovers",
    "handover_terms",
    "model_versions",
    "promotions",
    "promotion_figures",
    "drift_checks",
    "forecast_runs",
    "run_inputs",
    "forecast_leads",
    "regions",
    "regional_predictions",
    "yearly_predictions",
    "cells",
    "cell_predictions",
    "regional_observations",
    "cell_observations",
    "skill_scores",
)

REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only added, never changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""

# Roles are of the whole server: two archives may be migrated on it at once.
ADD_ROLE = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE WARNING 'role {role} was not created: this user may not create roles';
END $$
"""

IF_ROLE = """
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN
        {statements}
    END IF;
END $$
"""

READS = (
    "EXECUTE format('GRANT USAGE ON SCHEMA %I TO {role}', current_schema());"
    "EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO {role}', current_schema());"
    "GRANT EXECUTE ON FUNCTION forecast_as_of TO {role};"
)
WRITES = (
    *(f"GRANT INSERT ON {table} TO tidenet_writer;" for table in TABLES),
    "EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO tidenet_writer',"
    " current_schema());",
    "GRANT EXECUTE ON FUNCTION add_cell_partition TO tidenet_writer;",
)
REVOKES = (
    "EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM {role}', current_schema());"
    "EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM {role}', current_schema());"
    "EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM {role}', current_schema());"
    "EXECUTE format('REVOKE ALL ON SCHEMA %I FROM {role}', current_schema());"
)


def is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def upgrade() -> None:
    if not is_postgresql():
        for table in TABLES:
            for change in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_refuses_{change.lower()} BEFORE {change} ON {table}"
                    " BEGIN SELECT RAISE(ABORT,"
                    f" 'rows of {table} are only added, never changed or removed'); END"
                )
        return
    op.execute(REFUSE)
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute("REVOKE EXECUTE ON FUNCTION add_cell_partition FROM PUBLIC")
    for role in ("tidenet_reader", "tidenet_writer"):
        op.execute(ADD_ROLE.format(role=role))
        op.execute(IF_ROLE.format(role=role, statements=READS.format(role=role)))
    op.execute(IF_ROLE.format(role="tidenet_writer", statements=" ".join(WRITES)))


def downgrade() -> None:
    if not is_postgresql():
        for table in TABLES:
            for change in ("update", "delete"):
                op.execute(f"DROP TRIGGER {table}_refuses_{change}")
        return
    for role in ("tidenet_reader", "tidenet_writer"):
        op.execute(IF_ROLE.format(role=role, statements=REVOKES.format(role=role)))
    for table in TABLES:
        op.execute(f"DROP TRIGGER {table}_refuses_change ON {table}")
        op.execute(f"DROP TRIGGER {table}_refuses_truncate ON {table}")
    op.execute("DROP FUNCTION refuse_change")
