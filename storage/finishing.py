"""What every migration ends with: comments on views, and PostGIS geometry where the server has it.

Both follow from what is declared, so they are made anew each time and no migration holds them.
"""

import re
from typing import Any

from sqlalchemy import Connection, text

from storage.database_errors import EXPECTED_REVISION
from storage.views import VIEWS

GEOMETRY = {
    "regions": "geometry geometry(MultiPolygon, 4326) GENERATED ALWAYS AS (CASE WHEN"
    " definition ? 'type' THEN ST_Multi(ST_SetSRID(ST_GeomFromGeoJSON(definition), 4326)) END)"
    " STORED",
    "cells": "geometry geometry(Point, 4326) GENERATED ALWAYS AS"
    " (ST_SetSRID(ST_MakePoint(lon, lat), 4326)) STORED",
}
"""Table, and the column that it gets where there is PostGIS."""

COMMENTS = {
    "regions": "The polygon (PostGIS, WGS 84); null for all ocean cells",
    "cells": "Its centre (PostGIS, WGS 84)",
}

_PARTITION = re.compile(r"cell_predictions_\d{4}")


def is_declared(name: str | None, kind: str, parents: Any) -> bool:
    """Tell Alembic what to compare: not partitions nor what PostGIS brings, which none declares."""
    if kind == "table":
        return not (_PARTITION.fullmatch(name or "") or name == "spatial_ref_sys")
    if kind in ("column", "index"):
        return not (name == "geometry" or str(name).endswith("_geometry")) or parents is None
    return True


def finish(connection: Connection) -> None:
    """Describe the views and add geometry, if the tables are at the newest revision."""
    if connection.dialect.name != "postgresql" or not _is_newest(connection):
        return
    for view in VIEWS.tables.values():
        _comment(connection, f"VIEW {view.name}", view.comment)
        for column in view.columns:
            _comment(connection, f"COLUMN {view.name}.{column.name}", column.comment)
    add_geometry(connection)


def add_geometry(connection: Connection) -> bool:
    """Add geometry columns if the server has PostGIS and lets us use it; return whether it does."""
    if not _has_postgis(connection):
        return False
    for table, column in GEOMETRY.items():
        known = connection.execute(
            text(
                "SELECT 1 FROM information_schema.columns WHERE table_schema = current_schema()"
                " AND table_name = :name AND column_name = 'geometry'"
            ),
            {"name": table},
        ).scalar()
        if known is None:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
            connection.exec_driver_sql(
                f"CREATE INDEX ix_{table}_geometry ON {table} USING gist (geometry)"
            )
            _comment(connection, f"COLUMN {table}.geometry", COMMENTS[table])
    return True


def _has_postgis(connection: Connection) -> bool:
    """Return whether the database has PostGIS, after an attempt to give it to it."""
    offered = "SELECT installed_version FROM pg_available_extensions WHERE name = 'postgis'"
    row = connection.execute(text(offered)).one_or_none()
    if row is None or row.installed_version is not None:
        return row is not None
    # Who may not create extensions goes without, as on a server that has none.
    connection.exec_driver_sql(
        "DO $$ BEGIN CREATE EXTENSION postgis; EXCEPTION WHEN insufficient_privilege THEN NULL;"
        " END $$"
    )
    return connection.execute(text(offered)).scalar() is not None


def _is_newest(connection: Connection) -> bool:
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision == EXPECTED_REVISION


def _comment(connection: Connection, target: str, comment: str | None) -> None:
    quoted = str(comment).replace("'", "''").replace("%", "%%")
    connection.exec_driver_sql(f"COMMENT ON {target} IS '{quoted}'")
