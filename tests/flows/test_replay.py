"""Live and replay go one way: what became known after the cut-off is invisible."""

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from services.small_loop import World, all_passed, dataset, flux

from flows.operations.due import due_init_months, forecast_due, unheard_month
from flows.operations.forecast import StaleInputError, current_champion, forecast, make_run
from flows.operations.known import NothingKnownError, known
from flows.operations.verify import verify
from storage.archive import run as archived_run
from storage.months import month
from storage.registry import Promotion, model, record_promotion, register_model

LAST = month("2015-06")


def numbers(world: World, run_id: str) -> list[tuple]:
    return world.rows(
        "SELECT region, lead_months, mean, spread, q05, q50, q95 FROM regional_predictions "
        f"WHERE run_id = '{run_id}' ORDER BY region, lead_months"
    )


@pytest.fixture
def running(trained: World) -> Iterator[World]:
    """A world whose clock runs: what is committed from now on is later than what there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.quality._validate", all_passed)
        yield World(trained.home, trained.changes, now=lambda: dt.datetime.now(dt.UTC))


def moment() -> dt.datetime:
    """Return a moment that nothing else happens at."""
    time.sleep(0.01)
    now = dt.datetime.now(dt.UTC)
    time.sleep(0.01)
    return now


def plant(world: World, of: str) -> None:
    """Deliver a month that would be seen at once in any forecast that reads it."""
    world.deliver(of, dataset(month(of), (-4.0 * flux(month(of))).astype(np.float32)))
    assert world.outcomes(of)[of] in ("committed", "revised")


def test_a_planted_future_month_is_invisible_in_a_replay(running: World) -> None:
    live = forecast(running.workspace)
    cut_off = moment()
    plant(running, "2015-07")
    plant(running, "2015-06")  # a revision of the very month that the forecast began from
    after = forecast(running.workspace)
    assert str(after.init_month) == "2015-07"
    replayed = forecast(running.workspace, as_of=cut_off)
    assert (replayed.init_month, replayed.created) == (LAST, True)
    assert numbers(running, replayed.run_id) == numbers(running, live.run_id)
    there = forecast(running.workspace, init=LAST)
    assert numbers(running, there.run_id) != numbers(running, live.run_id)


def test_a_replay_says_what_it_knew_and_is_no_live_run(running: World) -> None:
    live = forecast(running.workspace)
    cut_off = moment()
    plant(running, "2015-07")
    replayed = forecast(running.workspace, as_of=cut_off)
    first, second = (
        archived_run(running.workspace.engine, made.run_id) for made in (live, replayed)
    )
    assert (first.known_at, second.known_at) == (None, cut_off)
    assert (first.issued_kind, second.issued_kind) == ("live", "backfill")
    assert second.snapshot_id == first.snapshot_id
    assert second.month_revision_id == first.month_revision_id
    again = forecast(running.workspace, as_of=cut_off)
    assert (again.run_id, again.created) == (replayed.run_id, False)


def test_an_init_month_after_the_cut_off_does_not_exist(running: World) -> None:
    cut_off = moment()
    plant(running, "2015-07")
    with pytest.raises(Exception, match="does not hold 2015-07 at"):
        forecast(running.workspace, init=month("2015-07"), as_of=cut_off)


def test_before_the_first_commit_nothing_is_known(running: World) -> None:
    with pytest.raises(NothingKnownError, match="tidenet backfill"):
        known(running.workspace, dt.datetime(2001, 1, 1, tzinfo=dt.UTC))


def test_a_model_that_was_promoted_later_is_invisible(running: World) -> None:
    engine = running.workspace.engine
    before = current_champion(known(running.workspace))
    cut_off = moment()
    later = replace(model(engine, before.version), version="tidenet-later")
    register_model(engine, later)
    record_promotion(
        engine,
        Promotion("tidenet-later", True, "better", "somebody", dt.datetime.now(dt.UTC)),
    )
    assert current_champion(known(running.workspace)).version == "tidenet-later"
    assert current_champion(known(running.workspace, cut_off)) == before


def test_a_live_run_reads_what_its_snapshot_holds_though_a_revision_came_meanwhile(
    running: World,
) -> None:
    then = known(running.workspace)
    plant(running, "2015-06")
    made = make_run(then, current_champion(then), LAST, kind="live", seed=0)
    [(revision,)] = running.rows(
        "SELECT revision FROM run_inputs JOIN month_revisions AS m ON m.id = month_revision_id "
        f"WHERE run_id = '{made.run_id}' AND m.month = '2015-06-01'"
    )
    assert revision == 1


# --- what is due ----------------------------------------------------------------------------------


def due(world: World) -> list[str]:
    return [str(each) for each in due_init_months(world.workspace)]


def made(world: World) -> list[tuple[str, bool]]:
    return [(str(run.init_month), run.created) for run in forecast_due(world.workspace)]


def test_the_last_month_is_always_due_and_is_made_once(running: World) -> None:
    assert due(running) == ["2015-06"]
    assert made(running) == [("2015-06", True)]
    assert made(running) == [("2015-06", False)]


def test_months_that_came_together_are_forecast_from_one_after_the_other(running: World) -> None:
    made(running)
    running.deliver_span("2015-07", "2015-09")
    running.outcomes()
    assert made(running) == [("2015-07", True), ("2015-08", True), ("2015-09", True)]
    kinds = running.rows("SELECT issued_kind FROM forecast_runs ORDER BY init_month")
    assert kinds == [("live",), ("backfill",), ("backfill",), ("live",)]


def test_a_hole_is_filled_in_order_when_its_month_comes_late(running: World) -> None:
    made(running)
    running.deliver("2015-08")
    assert running.outcomes() == {"2015-08": "waiting"}
    assert made(running) == [("2015-06", False)]
    running.deliver("2015-07")
    assert list(running.outcomes().items()) == [("2015-07", "committed"), ("2015-08", "committed")]
    assert made(running) == [("2015-07", True), ("2015-08", True)]


def test_forecasts_that_a_revised_month_affects_are_made_again(running: World) -> None:
    made(running)
    running.deliver_span("2015-07", "2015-08")
    running.outcomes()
    made(running)
    plant(running, "2015-06")
    # The smallest model reads three months: all three had read June.
    assert due(running) == ["2015-06", "2015-07", "2015-08"]
    assert made(running) == [("2015-06", True), ("2015-07", True), ("2015-08", True)]
    assert not any(created for _, created in made(running))
    assert running.count("forecast_runs") == 6


def test_hindcasts_make_no_forecast_due(running: World) -> None:
    from flows.operations.backfill import backfill

    backfill(running.workspace, month("2014-10"), month("2014-11"))
    assert due(running) == ["2015-06"]


def test_a_month_that_nobody_heard_of_is_found(running: World) -> None:
    found = unheard_month(running.workspace)
    assert found is not None and str(found[0]) == "2015-06"
    made(running)
    assert unheard_month(running.workspace) is None
    running.deliver("2015-07")
    running.outcomes()
    found = unheard_month(running.workspace)
    assert found == (month("2015-07"), running.workspace.record().snapshot_id)
    made(running)
    assert unheard_month(running.workspace) is not None  # forecast from, but not scored
    verify(running.workspace)
    assert unheard_month(running.workspace) is None


def test_without_a_champion_nobody_need_hear(filled: World) -> None:
    assert unheard_month(filled.workspace) is None


# --- stale input ----------------------------------------------------------------------------------


def at(world: World, year: int, month_number: int, **changes: object) -> World:
    day = dt.datetime(year, month_number, 15, tzinfo=dt.UTC)
    return World(world.home, world.changes | changes, now=lambda: day)


@pytest.fixture
def unclocked(trained: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which runs may be made at any time."""
    monkeypatch.setattr("storage.run_writing._refuse_clock", lambda *_: None)
    return trained


@pytest.mark.parametrize(
    ("year", "month_number", "degraded"), [(2015, 12, False), (2016, 1, False), (2016, 2, True)]
)
def test_a_forecast_from_stale_input_is_marked_degraded(
    unclocked: World, year: int, month_number: int, degraded: bool
) -> None:
    made = forecast(at(unclocked, year, month_number).workspace)
    run = archived_run(unclocked.workspace.engine, made.run_id)
    assert run.degraded is degraded
    assert ("2015-06, is 7 months behind" in run.degraded_reason) is degraded
    assert unclocked.count("degraded_forecasts") == (
        len(numbers(unclocked, made.run_id)) * degraded
    )


def test_by_setting_a_forecast_from_stale_input_is_not_made(unclocked: World) -> None:
    world = at(unclocked, 2016, 2, stale_input="refuse")
    with pytest.raises(StaleInputError, match=r"7 months behind.*TIDENET_STALE_MONTHS"):
        forecast(world.workspace)
    assert unclocked.count("forecast_runs") == 0
    assert forecast(at(unclocked, 2016, 1, stale_input="refuse").workspace).created


def test_staleness_can_be_switched_off_and_concerns_no_earlier_init_month(unclocked: World) -> None:
    for world, init in (
        (at(unclocked, 2030, 1, stale_months=0), None),
        (at(unclocked, 2030, 1), month("2015-03")),
    ):
        made = forecast(world.workspace, init=init)
        assert not archived_run(world.workspace.engine, made.run_id).degraded
