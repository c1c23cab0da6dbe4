"""Geometry of regions and cells where the server has PostGIS: Debian's, by `make services`."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from services.archive_samples import BUILT_IN, TINY, fill
from services.postgres import QUICK, PostgresServer, create_server, destroy
from sqlalchemy import Engine, text

from storage.database import alembic_config, check_schema, connect, migrate, transaction
from storage.finishing import is_declared
from storage.named_queries import ask
from storage.tables import Table


def _programs() -> Path | None:
    for control in sorted(Path("/usr/share/postgresql").glob("*/extension/postgis.control")):
        programs = Path("/usr/lib/postgresql") / control.parts[4] / "bin"
        if (programs / "initdb").exists():
            return programs
    return None


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    programs = _programs()
    if programs is None:
        pytest.skip("no PostGIS on this machine: apt-get install postgresql-postgis")
    running = create_server(QUICK, programs)
    yield running
    destroy(running)


@pytest.fixture
def filled(server: PostgresServer) -> Iterator[Engine]:
    engine = connect(server.new_database(), timeout_s=60)
    migrate(engine)
    fill(engine)
    yield engine
    engine.dispose()


def value(engine: Engine, question: str) -> object:
    with engine.connect() as connection:
        return connection.execute(text(question)).scalar()


def test_regions_are_polygons_and_cells_are_points(filled: Engine) -> None:
    area = value(filled, "SELECT ST_Area(geometry) FROM regions WHERE name = 'yellow-sea'")
    assert area == pytest.approx(8.0 * 4.5), "8 degrees of longitude by 4.5 of latitude"
    assert value(filled, "SELECT geometry FROM regions WHERE name = 'all'") is None
    kind = (
        "SELECT GeometryType(geometry) || ' ' || ST_SRID(geometry) FROM {}"
        " WHERE geometry IS NOT NULL LIMIT 1"
    )
    assert value(filled, kind.format("regions")) == "MULTIPOLYGON 4326"
    assert value(filled, kind.format("cells")) == "POINT 4326"
    near = (
        "SELECT lat || ' ' || lon FROM cells"
        " ORDER BY geometry <-> ST_SetSRID(ST_MakePoint(120.9, 25.6), 4326) LIMIT 1"
    )
    assert value(filled, near) == f"{TINY.lat[1]:g} {TINY.lon[1]:g}"


def test_cells_of_a_region_are_found_by_geometry(filled: Engine) -> None:
    inside = (
        "SELECT count(*) FROM cells AS c, (SELECT ST_MakeEnvelope(120, 25, 121, 26, 4326) AS box)"
        " AS b WHERE ST_Contains(b.box, c.geometry)"
    )
    by_bounds = "SELECT count(*) FROM cells WHERE lat < 26 AND lon < 121"
    assert value(filled, inside) == value(filled, by_bounds) == 4
    west = "SELECT ST_XMin(geometry) FROM regions WHERE name = 'yellow-sea'"
    bounds = BUILT_IN["yellow-sea"].bounds
    assert bounds is not None
    assert math.isclose(float(str(value(filled, west))), bounds[0])


def test_everything_else_is_as_without_it(filled: Engine) -> None:
    check_schema(filled)
    assert ask(filled, "forecast", {"region": "yellow-sea"}).rows
    with filled.connect() as connection:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": is_declared}
        )
        assert compare_metadata(context, Table.metadata) == []


def test_it_goes_down_and_up_with_rows(filled: Engine) -> None:
    with transaction(filled) as connection:
        command.downgrade(alembic_config(connection), "0005")
    migrate(filled)
    assert value(filled, "SELECT count(geometry) FROM cells") == 30


def test_geometry_is_added_when_postgis_comes_later(server: PostgresServer) -> None:
    engine = connect(server.new_database(), timeout_s=60)
    migrate(engine)
    fill(engine)
    with transaction(engine) as connection:
        for table in ("regions", "cells"):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN geometry"))
        connection.execute(text("DROP EXTENSION postgis"))
    migrate(engine)
    assert value(engine, "SELECT count(geometry) FROM cells") == 30
    engine.dispose()
