"""Forecasts and hindcasts: made once, from what was known, whole or not at all."""

import hashlib
import signal
from pathlib import Path

import numpy as np
import pytest
from services.small_loop import TINY, World, all_passed, dataset, flux, run_python

from flows.operations import forecast as forecast_module
from flows.operations.backfill import backfill
from flows.operations.forecast import (
    InSampleError,
    NoChampionError,
    forecast,
)
from flows.operations.known import LedgerBehindRecordError
from flows.operations.train import train
from storage.archive import trace
from storage.gridded import read_run
from storage.months import month
from storage.record_errors import RecordNotFoundError
from storage.weights import CorruptWeightsError, MissingWeightsError
from tidenet.errors import NotEnoughMonthsError

LAST = month("2015-06")


def regional(world: World, run_id: str) -> list[tuple]:
    return world.rows(
        "SELECT region, lead_months, mean, spread, q05, q95, climatology, damped_persistence "
        f"FROM regional_predictions WHERE run_id = '{run_id}' ORDER BY region, lead_months"
    )


def fields(world: World) -> list[Path]:
    return sorted((world.home / "predictions").rglob("*.zarr"))


def test_a_forecast_reaches_six_months_in_every_region_with_fields_beside(trained: World) -> None:
    run = forecast(trained.workspace)
    assert run.created
    assert run.init_month == LAST
    rows = regional(trained, run.run_id)
    assert {row[1] for row in rows} == {1, 2, 3, 4, 5, 6}
    assert {"all", "ecs-shelf"} <= {row[0] for row in rows}
    assert all(np.isfinite(row[2:]).all() and row[4] < row[5] for row in rows)
    [(kind, url)] = trained.rows("SELECT issued_kind, fields_url FROM forecast_runs")
    assert kind == "live"
    stored = read_run(url)
    assert stored["fco2_mean"].shape == (6, 16, 14)
    assert np.isfinite(stored["fco2_mean"].values).any()


def test_the_same_forecast_again_is_the_same_run(trained: World) -> None:
    first = forecast(trained.workspace)
    again = forecast(trained.workspace)
    assert (again.run_id, again.created) == (first.run_id, False)
    assert trained.count("forecast_runs") == 1
    assert len(fields(trained)) == 1


def test_a_rerun_is_a_new_run_with_the_same_numbers_and_the_old_one_stays(trained: World) -> None:
    first = forecast(trained.workspace)
    second = forecast(trained.workspace, rerun=True)
    assert second.created
    assert second.run_id != first.run_id
    assert regional(trained, second.run_id) == regional(trained, first.run_id)
    assert len(fields(trained)) == 2
    assert len(trained.rows("SELECT run_id FROM runs_current")) == 1


def test_another_seed_or_a_revised_month_is_another_run(trained: World) -> None:
    first = forecast(trained.workspace)
    assert forecast(trained.workspace, seed=1).created
    trained.deliver("2015-06", dataset(LAST, flux(LAST) + np.float32(1)))
    trained.ingest("2015-06")
    after = forecast(trained.workspace)
    assert after.created
    assert regional(trained, after.run_id) != regional(trained, first.run_id)


def test_a_hindcast_reads_nothing_after_its_init_month(trained: World) -> None:
    init = month("2015-03")
    before = forecast(trained.workspace, init=init)
    # What came later is replaced by something that would be seen at once.
    for of in ("2015-04", "2015-05", "2015-06"):
        absurd = -4.0 * flux(month(of))
        trained.deliver(of, dataset(month(of), absurd.astype(np.float32)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.quality._validate", all_passed)
        assert set(trained.outcomes().values()) == {"revised"}
    after = forecast(trained.workspace, init=init, rerun=True)
    assert regional(trained, after.run_id) == regional(trained, before.run_id)
    kinds = {kind for (kind,) in trained.rows("SELECT issued_kind FROM forecast_runs")}
    assert kinds == {"backfill"}


def test_later_months_are_not_even_read(trained: World, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    predict = forecast_module.predict

    def spy(forecaster, record, init_month, **options):
        given.append(record.last_month)
        return predict(forecaster, record, init_month, **options)

    monkeypatch.setattr(forecast_module, "predict", spy)
    forecast(trained.workspace, init=month("2015-02"))
    assert given == [month("2015-02")]


def test_forecasting_without_a_model_is_named(filled: World) -> None:
    with pytest.raises(NoChampionError, match="tidenet train"):
        forecast(filled.workspace)
    assert filled.count("forecast_runs") == 0


def test_forecasting_without_a_record_is_named(empty: World) -> None:
    with pytest.raises(RecordNotFoundError, match="What to do"):
        forecast(empty.workspace)


@pytest.mark.parametrize("init", ["2015-07", "2009-12"])
def test_an_init_month_that_is_not_in_the_record_is_named(trained: World, init: str) -> None:
    with pytest.raises(LedgerBehindRecordError, match=init):
        forecast(trained.workspace, init=month(init))
    assert trained.count("forecast_runs") == 0


def test_too_few_months_for_the_input_window_are_named(trained: World) -> None:
    with pytest.raises(NotEnoughMonthsError, match="What to do"):
        forecast(trained.workspace, init=month("2010-01"))
    assert trained.count("forecast_runs") == 0
    assert fields(trained) == []


@pytest.fixture
def own_weights(filled: World) -> World:
    """A world whose weights lie in its own folder."""
    config = TINY.model_copy(update={"n_epochs": 0})
    train(filled.workspace, until=month("2013-12"), config=config)
    return filled


def test_missing_weights_are_named_and_leave_no_run(own_weights: World) -> None:
    for file in (own_weights.home / "models").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(MissingWeightsError, match="What to do"):
        forecast(own_weights.workspace)
    assert own_weights.count("forecast_runs") == 0
    assert fields(own_weights) == []


def test_corrupt_weights_are_named_and_leave_no_run(own_weights: World) -> None:
    for weights in (own_weights.home / "models").rglob("*.safetensors"):
        content = bytearray(weights.read_bytes())
        content[-9] ^= 1
        weights.write_bytes(content)
    with pytest.raises(CorruptWeightsError, match="What to do"):
        forecast(own_weights.workspace)
    assert own_weights.count("forecast_runs") == 0
    assert fields(own_weights) == []


FORECAST_AND_DIE = """
import os, signal, sys
from pathlib import Path
from flows.operations import forecast
from services.small_loop import World

forecast.write_run = lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL)
forecast.forecast(World(Path(sys.argv[1])).workspace)
"""


def test_a_run_that_dies_between_fields_and_rows_is_made_whole_again(trained: World) -> None:
    assert run_python(FORECAST_AND_DIE, trained.home).returncode == -signal.SIGKILL
    assert len(fields(trained)) == 1
    for table in ("forecast_runs", "regional_predictions", "cell_predictions", "runs_current"):
        assert trained.count(table) == 0
    run = forecast(trained.workspace)
    assert run.created
    assert trained.rows("SELECT id FROM forecast_runs") == [(run.run_id,)]
    [(url,)] = trained.rows("SELECT fields_url FROM forecast_runs")
    assert read_run(url)["fco2_mean"].shape == (6, 16, 14)


def test_a_prediction_is_traced_to_its_file_and_checks_in_one_query(trained: World) -> None:
    run = forecast(trained.workspace)
    traced = trace(trained.workspace.engine, run.run_id, "ecs-shelf", 3)
    assert traced.file_sha256 == hashlib.sha256(trained.path("2015-06").read_bytes()).hexdigest()
    assert traced.model_version == run.model_version
    assert {"range-low", "mask", "sign"} <= {check.name for check in traced.checks}
    [row] = trained.rows(
        "SELECT model_version, snapshot_id, revision, n_files FROM lineage "
        f"WHERE run_id = '{run.run_id}'"
    )
    assert row == (run.model_version, traced.snapshot_id, 1, 3)
    files = trained.rows(
        "SELECT month, file_sha256, n_checks FROM lineage_files "
        f"WHERE run_id = '{run.run_id}' ORDER BY month"
    )
    assert [read for read, *_ in files] == [f"2015-{m:02}-01" for m in range(4, 7)]
    assert files[-1][1:] == (traced.file_sha256, len(traced.checks))


# --- many init months -----------------------------------------------------------------------------


def test_hindcasts_are_made_once_and_are_the_same_as_one_by_one(trained: World) -> None:
    single = forecast(trained.workspace, init=month("2014-05"))
    made = backfill(trained.workspace, month("2014-04"), month("2014-06"))
    assert [(str(run.init_month), run.created) for run in made] == [
        ("2014-04", True),
        ("2014-05", True),
        ("2014-06", True),
    ]
    assert regional(trained, made[1].run_id) == regional(trained, single.run_id)
    again = backfill(trained.workspace, month("2014-04"), month("2014-06"))
    assert [run.run_id for run in again] == [run.run_id for run in made]
    assert not any(run.created for run in again)


def test_a_hindcast_of_months_that_were_learned_from_is_refused(trained: World) -> None:
    with pytest.raises(InSampleError, match=r"2013-11.*2013-12"):
        backfill(trained.workspace, month("2013-11"), month("2014-02"))
    assert trained.count("forecast_runs") == 0
    [first] = backfill(trained.workspace, month("2013-12"), month("2013-12"))
    assert first.created
