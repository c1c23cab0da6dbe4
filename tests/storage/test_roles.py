"""Who may do what on PostgreSQL: the roles that the migrations create."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from services.archive_samples import cell_rows, fill, forecast_run, regional_rows, yearly_rows
from services.postgres import PostgresServer
from sqlalchemy import Engine, text

from storage import archive as runs
from storage.database import alembic_config, check_schema, connect, migrate, transaction
from storage.tables import Table
from storage.views import VIEWS


@pytest.fixture
def filled(postgres_url: str) -> Iterator[Engine]:
    engine = connect(postgres_url, timeout_s=20)
    migrate(engine)
    fill(engine)
    yield engine
    engine.dispose()


@contextmanager
def member_of(
    role: str, engine: Engine, server: PostgresServer, password: str = "a secret"
) -> Iterator[Engine]:
    """A user's own connection, who is a member of a role and of nothing else."""
    user = f"member_of_{role}_{engine.url.database}"
    database = str(engine.url.database)
    with server.admin() as admin:
        admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}' IN ROLE {role}")
    theirs = connect(f"postgresql://{user}:{password}@127.0.0.1:{server.port}/{database}")
    try:
        yield theirs
    finally:
        theirs.dispose()
        with server.admin() as admin:
            admin.execute(f"DROP ROLE {user}")


def refused(engine: Engine, statement: str) -> bool:
    with engine.connect() as connection, connection.begin() as begun:
        try:
            connection.execute(text(statement))
        except Exception as error:
            original = getattr(error, "orig", error)
            assert isinstance(original, psycopg.errors.InsufficientPrivilege), error
            return True
        finally:
            begun.rollback()
    return False


def test_a_reader_reads_everything_and_changes_nothing(
    filled: Engine, postgres_server: PostgresServer
) -> None:
    with member_of("tidenet_reader", filled, postgres_server) as reader:
        check_schema(reader)
        for name in [*Table.metadata.tables, *VIEWS.tables]:
            assert not refused(reader, f"SELECT count(*) FROM {name}"), name
        assert not refused(reader, "SELECT * FROM forecast_as_of(now())")
        for name in Table.metadata.tables:
            for statement in (f"INSERT INTO {name} DEFAULT VALUES", f"DELETE FROM {name}"):
                assert refused(reader, statement), statement
            assert refused(reader, f"TRUNCATE {name}"), name
        for statement in (
            "UPDATE forecast_runs SET seed = 1",
            "INSERT INTO cell_predictions_2018 SELECT * FROM cell_predictions_2018",
            "SELECT add_cell_partition(2030)",
            "CREATE TABLE mine (x integer)",
            "DROP VIEW forecast_latest",
            "ALTER TABLE forecast_runs DISABLE TRIGGER ALL",
            "DELETE FROM alembic_version",
        ):
            assert refused(reader, statement), statement


def test_a_writer_adds_runs_and_cannot_change_or_migrate(
    filled: Engine, postgres_server: PostgresServer
) -> None:
    with member_of("tidenet_writer", filled, postgres_server) as writer:
        run = forecast_run(1, init_month=runs.runs(writer)[0].init_month, issued_kind="hindcast")
        written = runs.write_run(writer, run, regional_rows(), cell_rows(), yearly=yearly_rows())
        assert written.created
        with transaction(writer) as connection:
            connection.execute(text("SELECT add_cell_partition(2031)"))
        for statement in (
            "UPDATE forecast_runs SET seed = 1",
            "DELETE FROM forecast_runs",
            "DROP TABLE skill_scores",
            "CREATE TABLE mine (x integer)",
            "UPDATE alembic_version SET version_num = '0001'",
            "ALTER TABLE cell_predictions DETACH PARTITION cell_predictions_2018",
        ):
            assert refused(writer, statement), statement


def test_an_archive_can_be_kept_where_no_roles_may_be_created(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.new_database()
    database = url.rpartition("/")[2]
    with postgres_server.admin() as admin:
        admin.execute(f"CREATE ROLE plain_{database} LOGIN PASSWORD 'p'")
        admin.execute(f"ALTER DATABASE {database} OWNER TO plain_{database}")
    engine = connect(f"postgresql://plain_{database}:p@127.0.0.1:{postgres_server.port}/{database}")
    migrate(engine)
    run_id, _ = fill(engine)
    assert runs.run(engine, run_id)
    engine.dispose()
    postgres_server.drop_database(url)
    with postgres_server.admin() as admin:
        admin.execute(f"DROP ROLE plain_{database}")


def test_going_down_takes_the_rights_away_again(
    filled: Engine, postgres_server: PostgresServer
) -> None:
    from alembic import command

    with member_of("tidenet_reader", filled, postgres_server) as reader:
        with transaction(filled) as connection:
            command.downgrade(alembic_config(connection), "0007")
        assert refused(reader, "SELECT count(*) FROM forecast_runs")
        migrate(filled)
        assert not refused(reader, "SELECT count(*) FROM forecast_runs")
