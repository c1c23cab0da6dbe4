import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from services.archive_samples import (
    accept,
    fill,
    input_file,
    model_version,
    promotion_figure,
    row_counts,
)
from sqlalchemy import Engine, inspect, text

from storage.archive import trace
from storage.database import (
    EXPECTED_REVISION,
    MIGRATIONS,
    alembic_config,
    check_schema,
    connect,
    migrate,
    transaction,
)
from storage.finishing import is_declared
from storage.ledger import inputs_of, latest_months, preliminary_months
from storage.registry import champion, models, promotions, record_promotion
from storage.tables import Table
from storage.views import VIEWS


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    """Engine of a database without tables."""
    engine = connect(database_url)
    yield engine
    engine.dispose()


NEW_IN_0003 = ("handover_terms", "handovers", "month_inputs")
NEW_IN_0005 = ("drift_checks", "promotion_figures")
NEW_IN_0006 = ("cell_observations", "regional_observations", "run_inputs", "yearly_predictions")
NEW_IN_0009 = ("input_drift_checks",)
NEW = (*NEW_IN_0003, *NEW_IN_0005, *NEW_IN_0006, *NEW_IN_0009)


def go_to(engine: Engine, revision: str, *, up: bool = False) -> None:
    with transaction(engine) as connection:
        config = alembic_config(connection)
        if up or revision == "head":
            command.upgrade(config, revision)
        else:
            command.downgrade(config, revision)


def test_the_expected_revision_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [EXPECTED_REVISION]


def test_every_migration_goes_up_and_down_with_rows_in_it(archive: Engine) -> None:
    fill(archive)
    before = row_counts(archive)
    assert all(before[name] for name in (*NEW, "month_revisions", "product_files"))
    added = {"0003": NEW_IN_0003, "0005": NEW_IN_0005, "0006": NEW_IN_0006, "0009": NEW_IN_0009}
    for revision in ("0008", "0007", "0006", "0005", "0004", "0003", "0002", "0001"):
        go_to(archive, revision)
        lost = [name for since, names in added.items() if revision < since for name in names]
        left = {name: count for name, count in before.items() if name not in lost}
        assert row_counts(archive, without=lost) == left
    assert inspect(archive).get_view_names() == []
    go_to(archive, "head")
    assert row_counts(archive) == before | dict.fromkeys(NEW, 0)
    go_to(archive, "base")
    assert set(inspect(archive).get_table_names()) <= {"alembic_version"}
    migrate(archive)
    check_schema(archive)
    fill(archive)
    assert row_counts(archive) == before


def test_the_months_and_runs_of_an_older_archive_are_found_again(archive: Engine) -> None:
    run_id, _ = fill(archive)
    go_to(archive, "0002")
    with transaction(archive) as connection:
        connection.execute(
            text(
                "INSERT INTO product_files (product, url, file_name, size_bytes, sha256, look,"
                " month, status, seen_at, quarantine_url, message, remedy) VALUES ('test-product',"
                " '/landing/2018-03.nc', '2018-03.nc', 9, :sha256, 1, '2018-03-01', 'accepted',"
                " '2020-02-03 00:00:00.000000', '', '', '')"
            ),
            {"sha256": "ab" * 32},
        )
        connection.execute(
            text(
                "INSERT INTO month_revisions (month, revision, product_file_id, snapshot_id,"
                " content_hash, n_ocean, n_observed, n_completed, committed_at)"
                " SELECT month, 1, id, 'OLD', 'content', 10, 8, 2, seen_at FROM product_files"
                " WHERE file_name = '2018-03.nc'"
            )
        )
    assert migrate(archive) == EXPECTED_REVISION
    months = latest_months(archive)
    assert [str(one.committed.month) for one in months] == ["2018-01", "2018-02", "2018-03"]
    old = months[-1]
    assert (old.committed.snapshot_id, old.committed.n_observed, old.sha256) == (
        "OLD", 8, "ab" * 32,
    )  # fmt: skip
    for one in months:
        assert one.stage == "final"
        commit = one.committed
        assert (commit.completion, commit.n_spikes, commit.handover_id) == ("", 0, None)
        assert inputs_of(archive, one.product_file_id) == ()
    traced = trace(archive, run_id, "all", 1)
    assert (traced.stage, traced.n_inputs, traced.completion) == ("final", 0, "")
    assert len(traced.checks) == 2
    accept(archive, "2018-03", revision=2, stage="preliminary", inputs=(input_file(),))
    assert [str(one.committed.month) for one in preliminary_months(archive)] == ["2018-03"]


def test_models_and_decisions_of_an_older_archive_are_found_again(archive: Engine) -> None:
    fill(archive)
    go_to(archive, "0004")
    assert migrate(archive) == EXPECTED_REVISION
    assert models(archive) == (model_version(),)
    [decision] = promotions(archive)
    assert (decision.kind, decision.figures) == ("gate", ())
    assert champion(archive, "tiny") == model_version()
    record_promotion(archive, replace(decision, figures=(promotion_figure(),)))
    assert promotions(archive)[-1].figures == (promotion_figure(),)


def test_migrating_again_changes_nothing(archive: Engine) -> None:
    fill(archive)
    before = row_counts(archive)
    assert migrate(archive) == EXPECTED_REVISION
    assert row_counts(archive) == before


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(empty) as connection:
        connection.execute(text("CREATE TABLE skill_scores (other INTEGER)"))
    with pytest.raises(Exception, match="skill_scores"):
        migrate(empty)
    assert inspect(empty).get_table_names() == ["skill_scores"]


def test_alembic_finds_no_difference_between_models_and_migrations(archive: Engine) -> None:
    with archive.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": is_declared,
            },
        )
        assert compare_metadata(context, Table.metadata) == []


def described(engine: Engine) -> dict[str, Any]:
    """Return what Alembic does not compare: checks, keys and comments of every table."""
    database = inspect(engine)
    sqlite = engine.dialect.name == "sqlite"
    return {
        name: {
            "checks": {c["name"]: c["sqltext"] for c in database.get_check_constraints(name)},
            "key": database.get_pk_constraint(name)["constrained_columns"],
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], None if sqlite else c["comment"])
                for c in database.get_columns(name)
            ],
            "comment": None if sqlite else database.get_table_comment(name),
        }
        for name in database.get_table_names()
        if name != "alembic_version" and is_declared(name, "table", None)
    }


def test_checks_and_comments_are_those_of_the_models(archive: Engine) -> None:
    migrated = described(archive)
    go_to(archive, "base")
    with transaction(archive) as connection:
        Table.metadata.create_all(connection)
    assert migrated == described(archive)
    assert sum(len(table["checks"]) for table in migrated.values()) > 40


def view_columns(engine: Engine) -> dict[str, list[str]]:
    database = inspect(engine)
    return {
        name: [column["name"] for column in database.get_columns(name)]
        for name in database.get_view_names()
    }


def test_going_down_leaves_what_the_earlier_migrations_make(archive: Engine) -> None:
    found = []
    for way in ("down from the newest", "up from nothing"):
        if way == "up from nothing":
            go_to(archive, "base")
            go_to(archive, "0002", up=True)
        else:
            go_to(archive, "0002")
        found.append((described(archive), view_columns(archive)))
    assert found[0] == found[1]
    go_to(archive, "head")
    assert view_columns(archive).keys() == VIEWS.tables.keys()


def test_every_table_and_column_says_what_it_means() -> None:
    for table in [*Table.metadata.tables.values(), *VIEWS.tables.values()]:
        assert table.comment, table.name
        for column in table.columns:
            assert column.comment, f"{table.name}.{column.name}"


def test_every_constraint_has_a_name_that_fits_both_databases(archive: Engine) -> None:
    for table in Table.metadata.tables.values():
        for constraint in table.constraints:
            assert constraint.name is not None, f"{table.name}: {constraint}"
            assert len(str(constraint.name)) < 64, constraint.name


def test_views_have_the_columns_that_are_described(archive: Engine) -> None:
    database = inspect(archive)
    assert set(database.get_view_names()) == set(VIEWS.tables)
    for name, view in VIEWS.tables.items():
        columns = [column["name"] for column in database.get_columns(name)]
        assert columns == [column.name for column in view.columns], name


def test_the_alembic_command_works_on_a_url(database_url: str) -> None:
    def alembic(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "alembic", "-c", str(MIGRATIONS / "alembic.ini"), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | {"TIDENET_DATABASE": database_url},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    alembic("upgrade", "head")
    assert EXPECTED_REVISION in alembic("-x", f"url={database_url}", "current")
    alembic("check")
    assert "CREATE TABLE cell_predictions" in alembic("upgrade", "head", "--sql")
    engine = connect(database_url)
    check_schema(engine)
    engine.dispose()


def test_two_programs_that_migrate_at_once_wait_for_each_other(database_url: str) -> None:
    code = (
        "import sys; from storage.database import connect, migrate; migrate(connect(sys.argv[1]))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, database_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    engine = connect(database_url)
    check_schema(engine)
    engine.dispose()


def test_migrations_are_packaged() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    packaged = re.search(r"^storage = \[(.*?)\]", pyproject, re.MULTILINE)
    assert packaged is not None
    for pattern in ("migrations/*.mako", "migrations/alembic.ini"):
        assert pattern in packaged[1]


def test_views_and_their_columns_say_what_they_mean_in_the_database(archive: Engine) -> None:
    if archive.dialect.name == "sqlite":
        pytest.skip("SQLite keeps no comments")
    with archive.connect() as connection:
        for name, view in VIEWS.tables.items():
            said = connection.execute(
                text(
                    "SELECT obj_description(c.oid), a.attname, col_description(c.oid, a.attnum)"
                    " FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
                    " WHERE c.relname = :name AND a.attnum > 0 ORDER BY a.attnum"
                ),
                {"name": name},
            ).all()
            assert {row[0] for row in said} == {view.comment}
            assert [row[2] for row in said] == [column.comment for column in view.columns]
