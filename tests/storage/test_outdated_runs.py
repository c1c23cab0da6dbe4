"""Which forecasts know an older content of a month than the record holds by now."""

import datetime as dt

import pytest
from services.archive_samples import (
    accept,
    committed,
    forecast_run,
    later,
    model_version,
    regional_rows,
)
from sqlalchemy import Engine

from storage.archive import OutdatedRun, outdated_runs, write_run
from storage.months import month
from storage.registry import register_model


def add_run(engine: Engine, revision_id: int, run_id: str, **changes: object) -> None:
    written = {"created_at": later(5)} | changes
    write_run(engine, forecast_run(revision_id, run_id, **written), regional_rows())


def ids(engine: Engine) -> list[str]:
    return [run.run_id for run in outdated_runs(engine)]


@pytest.fixture
def months(archive: Engine) -> dict[str, int]:
    """Months of a record that was committed an hour apart; key of each one's revision."""
    register_model(archive, model_version())
    return {
        name: accept(archive, name, committed_at=later(hour))
        for hour, name in enumerate(("2017-11", "2017-12", "2018-01", "2018-02"))
    }


def test_no_run_is_outdated_while_no_month_was_revised(
    archive: Engine, months: dict[str, int]
) -> None:
    add_run(archive, months["2018-01"], "run")
    assert outdated_runs(archive) == ()


def test_a_revised_month_makes_the_runs_outdated_that_read_the_older_one(
    archive: Engine, months: dict[str, int]
) -> None:
    add_run(archive, months["2018-01"], "run", created_at=later(5))
    accept(archive, "2017-11", 2, committed_at=later(10))
    accept(archive, "2017-12", 2, committed_at=later(11))
    accept(archive, "2017-12", 3, committed_at=later(12))
    assert outdated_runs(archive) == (
        OutdatedRun(
            run_id="run",
            init_month=month("2018-01"),
            model_version="tidenet-1",
            issued_kind="live",
            created_at=later(5),
            revised_month=month("2017-12"),
            revision=3,
            revised_at=later(12),
            n_revised_months=2,
        ),
    )


def test_a_month_after_the_init_month_was_not_read(archive: Engine, months: dict[str, int]) -> None:
    add_run(archive, months["2018-01"], "run", created_at=later(5))
    accept(archive, "2018-02", 2, committed_at=later(10))
    assert outdated_runs(archive) == ()
    accept(archive, "2018-01", 2, committed_at=later(11))
    assert ids(archive) == ["run"]


def test_a_month_before_the_first_that_was_read_makes_no_run_outdated(
    archive: Engine, months: dict[str, int]
) -> None:
    add_run(archive, months["2018-01"], "run", created_at=later(5), first_month=month("2017-12"))
    accept(archive, "2017-11", 2, committed_at=later(10))
    assert outdated_runs(archive) == ()
    accept(archive, "2017-12", 2, committed_at=later(11))
    [run] = outdated_runs(archive)
    assert (run.revised_month, run.n_revised_months) == (month("2017-12"), 1)


def test_a_run_that_read_the_revision_is_not_outdated(
    archive: Engine, months: dict[str, int]
) -> None:
    accept(archive, "2017-12", 2, committed_at=later(10))
    add_run(archive, months["2018-01"], "run", snapshot_id="SNAP-2017-12-2", created_at=later(20))
    assert outdated_runs(archive) == ()


def test_the_snapshot_decides_where_the_run_was_computed_after_a_revision(
    archive: Engine, months: dict[str, int]
) -> None:
    """A batch opens the record once: its last run is made hours after its inputs were read."""
    accept(archive, "2017-12", 2, committed_at=later(10))
    add_run(archive, months["2018-01"], "run", created_at=later(20))
    assert ids(archive) == ["run"]


def test_commits_at_the_same_time_are_told_apart_by_their_order(
    archive: Engine, months: dict[str, int]
) -> None:
    accept(archive, "2017-11", 2, committed_at=later(10))
    newer = accept(archive, "2018-01", 2, committed_at=later(10))
    add_run(archive, newer, "run", snapshot_id="SNAP-2018-01-2", created_at=later(10))
    assert outdated_runs(archive) == ()
    accept(archive, "2017-12", 2, committed_at=later(10))
    assert [run.revised_month for run in outdated_runs(archive)] == [month("2017-12")]


def test_a_commit_that_reached_the_ledger_late_was_read_with_its_snapshot(
    archive: Engine, months: dict[str, int]
) -> None:
    """An ingest that died before its ledger row was written adds it at the next one."""
    add_run(archive, months["2018-01"], "run", snapshot_id="TIP", created_at=later(5))
    accept(archive, "2017-12", 2, snapshot_id="TIP", committed_at=later(10))
    assert outdated_runs(archive) == ()


@pytest.mark.parametrize(
    ("created_at", "duration_s", "outdated"),
    [(later(9), 10.0, True), (later(11), 10.0, False), (later(11), 2 * 3600.0, True)],
)
def test_a_snapshot_that_no_month_made_is_placed_by_the_time_when_the_run_began(
    archive: Engine,
    months: dict[str, int],
    created_at: dt.datetime,
    duration_s: float,
    outdated: bool,
) -> None:
    accept(archive, "2017-12", 2, committed_at=later(10))
    add_run(
        archive,
        months["2018-01"],
        "run",
        snapshot_id="made by a hand-over",
        created_at=created_at,
        duration_s=duration_s,
    )
    assert ids(archive) == (["run"] if outdated else [])


def test_a_run_read_what_was_there_with_its_init_month(
    archive: Engine, months: dict[str, int]
) -> None:
    """Also where the clocks of two machines disagree about when it began."""
    accept(archive, "2017-12", 2, committed_at=later(10))
    newer = accept(archive, "2018-01", 2, committed_at=later(11))
    add_run(archive, newer, "run", snapshot_id="made by a hand-over", created_at=later(10.5))
    assert outdated_runs(archive) == ()


def test_a_month_that_was_revised_back_makes_no_run_outdated(
    archive: Engine, months: dict[str, int]
) -> None:
    add_run(archive, months["2018-01"], "run", created_at=later(5))
    accept(archive, "2017-12", 2, committed_at=later(10))
    assert ids(archive) == ["run"]
    first = committed("2017-12", 1).content_hash
    accept(archive, "2017-12", 3, committed_at=later(11), content_hash=first)
    assert outdated_runs(archive) == ()


def test_a_run_of_the_time_between_is_outdated_when_a_month_is_revised_back(
    archive: Engine, months: dict[str, int]
) -> None:
    accept(archive, "2017-12", 2, committed_at=later(10))
    add_run(archive, months["2018-01"], "run", snapshot_id="SNAP-2017-12-2")
    first = committed("2017-12", 1).content_hash
    accept(archive, "2017-12", 3, committed_at=later(11), content_hash=first)
    assert ids(archive) == ["run"]


def test_only_runs_that_count_are_listed_newest_first(
    archive: Engine, months: dict[str, int]
) -> None:
    add_run(archive, months["2018-01"], "superseded", created_at=later(5))
    add_run(archive, months["2018-01"], "live", created_at=later(6))
    add_run(archive, months["2018-01"], "hindcast", created_at=later(7), issued_kind="hindcast")
    add_run(
        archive, months["2018-02"], "newest", created_at=later(4), init_month=month("2018-02"),
        snapshot_id="SNAP-2018-02-1",
    )  # fmt: skip
    accept(archive, "2017-12", 2, committed_at=later(10))
    assert ids(archive) == ["newest", "hindcast", "live"]
    add_run(
        archive, months["2018-01"], "made anew", created_at=later(12), snapshot_id="SNAP-2017-12-2"
    )
    assert ids(archive) == ["newest", "hindcast"]
