"""Cell predictions by year of the init month, on PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from services.archive_samples import (
    accept,
    cell_rows,
    fill,
    forecast_run,
    regional_rows,
)
from sqlalchemy import Engine, text

from storage import archive as runs
from storage.database import DatabaseRuleError, connect, migrate, transaction
from storage.months import month


@pytest.fixture
def filled(postgres_url: str) -> Iterator[Engine]:
    engine = connect(postgres_url, timeout_s=20)
    migrate(engine)
    fill(engine)
    yield engine
    engine.dispose()


def partitions(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT inhrelid::regclass::text FROM pg_inherits"
                " WHERE inhparent = 'cell_predictions'::regclass ORDER BY 1"
            )
        )
        return list(found.scalars())


def test_the_first_run_of_a_year_makes_its_partition(filled: Engine) -> None:
    assert partitions(filled) == ["cell_predictions_2018"]
    key = accept(filled, "2019-12")
    run = forecast_run(key, init_month=month("2019-12"))
    runs.write_run(filled, run, regional_rows(), cell_rows())
    assert partitions(filled) == ["cell_predictions_2018", "cell_predictions_2019"]
    with filled.connect() as connection:
        n = connection.execute(text("SELECT count(*) FROM cell_predictions_2019")).scalar()
    assert n == cell_rows().mean.size


def test_several_writers_make_one_partition(filled: Engine) -> None:
    def add(_: int) -> None:
        with transaction(filled) as connection:
            connection.execute(text("SELECT add_cell_partition(2025)"))

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(add, range(10)))
    assert "cell_predictions_2025" in partitions(filled)


def test_readers_go_on_while_a_partition_is_made(filled: Engine) -> None:
    with filled.connect() as reader:
        reader.execute(text("SELECT count(*) FROM cell_predictions")).scalar_one()
        with transaction(filled) as connection:
            connection.execute(text("SELECT add_cell_partition(2026)"))
        assert reader.execute(text("SELECT count(*) FROM cell_predictions")).scalar_one() == 60


def test_no_partition_is_made_for_an_impossible_year(filled: Engine) -> None:
    with pytest.raises(DatabaseRuleError, match="1900 to 2199"), transaction(filled) as connection:
        connection.execute(text("SELECT add_cell_partition(20180)"))


def test_a_partition_has_the_rules_of_the_table(filled: Engine) -> None:
    rules = (
        "SELECT conname, contype::text FROM pg_constraint WHERE conrelid = '{}'::regclass"
        " AND contype IN ('c', 'f', 'p')"
    )
    with filled.connect() as connection:
        parent = connection.execute(text(rules.format("cell_predictions"))).all()
        child = connection.execute(text(rules.format("cell_predictions_2018"))).all()
    assert sorted(kind for _, kind in parent) == sorted(kind for _, kind in child)
    assert len(parent) == 8


def test_a_map_reads_one_partition(filled: Engine) -> None:
    for year in (2019, 2020, 2021):
        with transaction(filled) as connection:
            connection.execute(text(f"SELECT add_cell_partition({year})"))
    question = (
        "EXPLAIN (ANALYZE, COSTS OFF) SELECT mean FROM forecast_cells WHERE lead_months = 1"
        " AND run_id = (SELECT run_id FROM runs LIMIT 1)"
    )
    with filled.connect() as connection:
        plan = "\n".join(connection.execute(text(question)).scalars())
    read = [
        line
        for line in plan.splitlines()
        if "cell_predictions_" in line and "never executed" not in line
    ]
    assert all("cell_predictions_2018" in line for line in read), plan
    assert read
