"""What nobody can do to an archive in use: change and remove rows that are only added."""

from sqlalchemy import Engine


def allow_changes(engine: Engine, *tables: str) -> None:
    """Let rows of some tables be changed and removed, for good."""
    with engine.begin() as connection:
        for table in tables:
            if engine.dialect.name == "postgresql":
                trigger = f"ALTER TABLE {table} DISABLE TRIGGER {table}_refuses_change"
                connection.exec_driver_sql(trigger)
                continue
            for change in ("update", "delete"):
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_refuses_{change}")
