"""Rows are only added: what was said stays, whatever comes later; views choose."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from services.archive_samples import (
    NOW,
    accept,
    cell_rows,
    fill,
    forecast_run,
    later,
    model_version,
    observed_rows,
    promotion_figure,
    regional_rows,
    row_counts,
    score_row,
    yearly_rows,
)
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from storage import archive as runs
from storage import observations, views
from storage.database import DatabaseRuleError, reading, transaction
from storage.months import month
from storage.named_queries import ask
from storage.regions import REGIONS
from storage.registry import Promotion, record_promotion, register_model
from storage.tables import Table

TABLES = sorted(Table.metadata.tables)


@pytest.fixture
def revision_id(archive: Engine) -> int:
    register_model(archive, model_version())
    return accept(archive, "2018-01")


def rows(engine: Engine, statement: str) -> list[tuple]:
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


# --- only added -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", ["UPDATE {table} SET {column} = {column}", "DELETE FROM {table}"]
)
def test_no_row_of_any_table_can_be_changed_or_removed(archive: Engine, change: str) -> None:
    run_id, _ = fill(archive)
    [item] = runs.unscored(archive, month("2018-12"))
    runs.write_scores(archive, [score_row(run_id, item.month_revision_id)])
    before = row_counts(archive)
    for name in TABLES:
        if not before[name]:
            continue
        column = next(iter(Table.metadata.tables[name].columns)).name
        with pytest.raises(DatabaseRuleError, match="only added"), transaction(archive) as one:
            one.execute(text(change.format(table=name, column=column)))
    assert sum(map(bool, before.values())) >= len(TABLES) - 1
    assert row_counts(archive) == before


def test_no_table_can_be_emptied(archive: Engine) -> None:
    if archive.dialect.name == "sqlite":
        pytest.skip("SQLite knows no TRUNCATE")
    fill(archive)
    for name in ("checks", "cell_predictions"):
        with pytest.raises(DatabaseRuleError, match="only added"), transaction(archive) as one:
            one.execute(text(f"TRUNCATE {name} CASCADE"))


def test_a_partition_cannot_be_changed_behind_its_table(archive: Engine) -> None:
    if archive.dialect.name == "sqlite":
        pytest.skip("SQLite has no partitions")
    fill(archive)
    with pytest.raises(DBAPIError, match="only added"), archive.begin() as connection:
        connection.execute(text("DELETE FROM cell_predictions_2018"))


# --- which run counts -----------------------------------------------------------------------------


def test_a_clock_that_was_set_back_hides_no_new_run(archive: Engine, revision_id: int) -> None:
    first = forecast_run(revision_id, created_at=later(48))
    second = forecast_run(revision_id, created_at=later(1))
    for run, mean in ((first, -5.0), (second, -5.5)):
        runs.write_run(archive, run, regional_rows(mean=np.full((2, 2), mean)))
    assert set(rows(archive, "SELECT run_id FROM forecast_latest")) == {(second.id,)}
    assert rows(archive, "SELECT run_id FROM runs ORDER BY entry") == [(first.id,), (second.id,)]


@pytest.mark.parametrize(
    ("created_at", "complaint"),
    [
        (NOW - dt.timedelta(hours=2), "its init month was committed at 2020-02-03 04:05:06"),
        (dt.datetime(2199, 1, 1, tzinfo=dt.UTC), "the database's clock says"),
    ],
)
def test_a_run_from_before_its_input_or_from_the_future_is_refused(
    archive: Engine, revision_id: int, created_at: dt.datetime, complaint: str
) -> None:
    run = forecast_run(revision_id, created_at=created_at)
    with pytest.raises(runs.ClockJumpedError) as caught:
        runs.write_run(archive, run, regional_rows())
    assert complaint in caught.value.found
    assert "Set the clock" in caught.value.remedy
    assert runs.find_run(archive, run.idempotency_key) is None


def test_what_was_said_on_a_date_does_not_change_afterwards(
    archive: Engine, revision_id: int
) -> None:
    first = forecast_run(revision_id)
    runs.write_run(archive, first, regional_rows())

    def said(moment: dt.datetime) -> set[str]:
        answer = ask(archive, "forecast-as-of", {"as_of": moment.isoformat()})
        return {row[0] for row in answer.rows}

    assert said(later(1)) == {first.id}
    rerun = forecast_run(revision_id, created_at=later(2))
    runs.write_run(archive, rerun, regional_rows(mean=np.full((2, 2), -5.5)))
    next_month = accept(archive, "2018-02", committed_at=later(3))
    newer = forecast_run(next_month, init_month=month("2018-02"), created_at=later(4))
    runs.write_run(archive, newer, regional_rows())
    assert [said(later(h)) for h in (-1, 1, 2, 3, 4)] == [
        set(), {first.id}, {rerun.id}, {rerun.id}, {newer.id},
    ]  # fmt: skip
    if archive.dialect.name == "postgresql":
        for hours, run in ((1, first), (2, rerun), (4, newer)):
            moment = later(hours).isoformat()
            known = rows(archive, f"SELECT DISTINCT run_id FROM forecast_as_of('{moment}')")
            assert known == [(run.id,)]
        now = "SELECT * FROM forecast_as_of(now()) EXCEPT SELECT * FROM forecast_latest"
        assert rows(archive, now) == []


def test_what_was_issued_is_the_first_live_run(archive: Engine, revision_id: int) -> None:
    live = forecast_run(revision_id, created_at=later(1))
    for run in (
        forecast_run(revision_id, issued_kind="hindcast"),
        live,
        forecast_run(revision_id, created_at=later(2)),
        forecast_run(revision_id, issued_kind="backfill", created_at=later(3)),
    ):
        runs.write_run(archive, run, regional_rows())
    assert set(rows(archive, "SELECT run_id FROM forecast_as_issued")) == {(live.id,)}


def test_degraded_forecasts_say_why(archive: Engine, revision_id: int) -> None:
    whole = forecast_run(revision_id)
    poor = forecast_run(revision_id, degraded=True, degraded_reason="the wind was missing")
    for run in (whole, poor):
        runs.write_run(archive, run, regional_rows())
    found = rows(archive, "SELECT run_id, region, degraded_reason FROM degraded_forecasts")
    assert {row[0] for row in found} == {poor.id}
    assert {row[2] for row in found} == {"the wind was missing"}
    assert len(found) == 4


def test_a_grid_has_one_champion_whoever_decides_last(archive: Engine) -> None:
    for version in ("one", "two", "three"):
        register_model(archive, model_version(version))
        decision = Promotion(version, True, "because", "a test", NOW, figures=(promotion_figure(),))
        record_promotion(archive, decision)
    # Decided later, at an earlier time on the clock: what was written last counts.
    record_promotion(archive, replace(decision, model_version="one", decided_at=later(-5)))
    assert rows(archive, "SELECT grid, model_version FROM champion") == [("tiny", "one")]


# --- what came ------------------------------------------------------------------------------------


def test_forecasts_stand_beside_every_revision_of_what_came(archive: Engine) -> None:
    run_id, _ = fill(archive)
    revised = accept(archive, "2018-02", revision=2)
    observations.write_observation(archive, observed_rows(revised, mean=np.array([-6.0, -6.5])))
    found = rows(
        archive,
        "SELECT revision, is_latest, observed, error, within_50, within_90 FROM"
        " forecast_vs_observed WHERE region = 'all' ORDER BY revision",
    )
    assert found == [(1, False, -4.25, -0.75, True, True), (2, True, -6.0, 1.0, True, True)]
    cells = rows(
        archive, f"SELECT error, mean FROM forecast_vs_observed_cells WHERE run_id = '{run_id}'"
    )
    assert len(cells) == 30
    assert [error for error, _ in cells] == pytest.approx(
        [mean + 4.25 for _, mean in cells], abs=1e-5
    )


def test_an_observed_month_is_archived_once(archive: Engine) -> None:
    fill(archive)
    [first] = observations.unobserved(archive, REGIONS[:1])
    assert (str(first.month), first.is_latest) == ("2018-01", True)
    before = row_counts(archive)
    done = observed_rows(2)
    observations.write_observation(archive, done)
    assert row_counts(archive) == before
    # A region that is drawn later is still to be archived for all months.
    pending = observations.unobserved(archive, [*done.regions, REGIONS[1]])
    assert [str(one.month) for one in pending] == ["2018-01", "2018-02"]


def test_a_field_that_is_scored_again_keeps_its_earlier_scoring(archive: Engine) -> None:
    run_id, _ = fill(archive)
    [item] = runs.unscored(archive, month("2018-12"))
    assert item.scoring == 1
    runs.write_scores(archive, [score_row(run_id, item.month_revision_id)])
    assert runs.unscored(archive, month("2018-12")) == ()
    [again] = runs.unscored(archive, month("2018-12"), again=True)
    assert again.scoring == 2
    anew = score_row(
        run_id, item.month_revision_id, scoring=2, reason="the weights were wrong", se_model=50.0
    )
    assert runs.write_scores(archive, [anew]) == 1
    assert rows(archive, "SELECT scoring, se_model, reason FROM scores_current") == [
        (2, 50.0, "the weights were wrong")
    ]
    assert rows(archive, "SELECT scoring, se_model FROM skill_scores ORDER BY scoring") == [
        (1, 100.0),
        (2, 50.0),
    ]
    [skill] = runs.skill_table(archive, "all")
    assert skill.msss_climatology == pytest.approx(1 - 50 / 400)


def test_uptake_is_observed_then_forecast_with_intervals_worked_out_by_hand(
    archive: Engine,
) -> None:
    revision_id = accept(archive, "2018-01")
    register_model(archive, model_version())
    # 28 and 31 days: -4.25 x 1e11 m2 x 28 d x 12.011e-15 Tg/mmol.
    observations.write_observation(archive, observed_rows(revision_id, "2018-01"))
    run = forecast_run(revision_id)
    runs.write_run(archive, run, regional_rows(), yearly=yearly_rows())
    months = rows(
        archive,
        "SELECT source, uptake_tgc, uptake_tgc_low, uptake_tgc_high, run_id FROM ecs_uptake"
        " WHERE period = 'month' AND region = 'all' ORDER BY month",
    )
    observed = 4.25 * 1e11 * 31 * 12.011e-15
    width = 1.645 * 0.5 * 1e11 * 31 * 12.011e-15
    assert months[0][0] == "observed"
    assert months[0][1:4] == pytest.approx((observed, observed - width, observed + width))
    february = 1e11 * 28 * 12.011e-15
    assert months[1] == (
        "forecast",
        *map(pytest.approx, (5 * february, 3 * february, 7 * february)),
        run.id,
    )
    [year] = rows(
        archive,
        "SELECT year, source, n_months, n_forecast, uptake_tgc, uptake_tgc_low, uptake_tgc_high"
        " FROM ecs_uptake WHERE period = 'year' AND region = 'all'",
    )
    assert year[:4] == (2018, "both", 3, 2)
    # The run's sum of two months is -1 with 5 and 95 % at -3 and 1: half-widths of 2.
    both = np.hypot(width, 2.0)
    assert year[4:] == pytest.approx((observed + 1, observed + 1 - both, observed + 1 + both))


def test_a_run_tells_every_month_that_it_read(archive: Engine) -> None:
    run_id, _ = fill(archive)
    accept(archive, "2018-01", revision=2)
    [files] = rows(archive, "SELECT month, revision, file_name, n_checks FROM lineage_files")
    assert files[1:] == (1, "2018-01.nc", 2), "the revision that was read, not the newest"
    with reading(archive) as connection:
        row = connection.execute(select(views.lineage)).one()
    assert (row.run_id, row.n_files, row.n_checks) == (run_id, 1, 2)
    [file] = row.files
    assert (file["month"], file["file_name"]) == ("2018-01-01", "2018-01.nc")


def test_cell_rows_hold_the_reference_and_the_view_the_anomaly(
    archive: Engine, revision_id: int
) -> None:
    runs.write_run(archive, forecast_run(revision_id), regional_rows(), cell_rows())
    found = rows(
        archive, "SELECT mean, climatology, anomaly, damped_persistence FROM forecast_cells"
    )
    for mean, climatology, anomaly, damped in found:
        assert anomaly == pytest.approx(mean - climatology, abs=1e-6)
        assert damped == -4.75
