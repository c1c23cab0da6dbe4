"""Upkeep of the archive database: room that nobody uses, and what the planner knows of the rows."""

from sqlalchemy import Engine, text

from storage.database import reading
from storage.database_errors import named_errors
from storage.tables import Table

WORTH_IT = 0.1
"""Share of unused pages of a SQLite file from which writing it anew is worth it."""

VACUUM_TIMEOUT = "2h"


def vacuum(engine: Engine) -> tuple[str, ...]:
    """Clean up after writes and renew the statistics that queries are planned with.

    Rows of the archive are only added, so that little room is ever lost; the statistics matter.
    Readers and writers go on meanwhile.

    Returns
    -------
    tuple of str
        What could not be done and why, one sentence each; empty if all was.
    """
    return _vacuum_postgresql(engine) if engine.dialect.name == "postgresql" else _sqlite(engine)


def _vacuum_postgresql(engine: Engine) -> tuple[str, ...]:
    # A role that may not vacuum a table is told so by a notice and not by an error.
    owned = text(
        "SELECT relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname = current_schema() AND relkind IN ('r', 'p') "
        "AND pg_has_role(current_user, relowner, 'USAGE')"
    )
    with reading(engine) as connection:
        mine = set(connection.execute(owned).scalars())
    tables = [table.name for table in Table.metadata.sorted_tables]
    with named_errors(engine), engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text(f"SET statement_timeout = '{VACUUM_TIMEOUT}'"))
        for name in tables:
            if name in mine:
                connection.execute(text(f"VACUUM (ANALYZE) {name}"))
        connection.execute(text("RESET statement_timeout"))
    others = [name for name in tables if name not in mine]
    if not others:
        return ()
    return (
        f"{len(others)} tables belong to another role, which has to vacuum them (or autovacuum "
        f"does): {', '.join(others)}.",
    )


def _sqlite(engine: Engine) -> tuple[str, ...]:
    with named_errors(engine), engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        raw = connection.connection.driver_connection
        assert raw is not None
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        free = raw.execute("PRAGMA freelist_count").fetchone()[0]
        raw.execute("PRAGMA optimize")
        if pages and free / pages >= WORTH_IT:
            raw.execute("VACUUM")
    return ()
