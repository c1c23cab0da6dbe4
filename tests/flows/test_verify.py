"""Verification scores what has been observed, once, and again when an observation was revised."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from services.small_loop import World, dataset, flux
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.forecast import forecast
from flows.operations.verify import verify
from storage.months import month


def scored(world: World) -> list[tuple]:
    return world.rows(
        "SELECT lead_months, valid_month, month_revision_id, se_model FROM skill_scores "
        "WHERE region = 'all' ORDER BY lead_months, month_revision_id"
    )


def test_exactly_the_observed_leads_are_scored_and_only_once(trained: World) -> None:
    forecast(trained.workspace, init=month("2015-03"))
    forecast(trained.workspace)
    first = verify(trained.workspace)
    assert (first.n_runs, first.n_scored) == (1, 3)
    assert [(lead, str(valid)[:7]) for lead, valid, *_ in scored(trained)] == [
        (1, "2015-04"),
        (2, "2015-05"),
        (3, "2015-06"),
    ]
    rows = trained.count("skill_scores")
    again = verify(trained.workspace)
    assert (again.n_runs, again.n_scored) == (0, 0)
    assert trained.count("skill_scores") == rows


def test_a_new_month_is_all_that_is_scored_next(trained: World) -> None:
    forecast(trained.workspace, init=month("2015-05"))
    forecast(trained.workspace)
    assert verify(trained.workspace).n_scored == 1
    trained.deliver("2015-07")
    trained.ingest("2015-07")
    done = verify(trained.workspace)
    assert (done.n_runs, done.n_scored) == (2, 2)


def test_a_revised_observation_is_scored_again_and_the_old_score_stays(trained: World) -> None:
    forecast(trained.workspace, init=month("2015-05"))
    verify(trained.workspace)
    [(_, _, old_revision, old_error)] = scored(trained)
    of = month("2015-06")
    trained.deliver(of, dataset(of, flux(of) + np.float32(1)))
    assert trained.outcomes("2015-06") == {"2015-06": "revised"}
    assert verify(trained.workspace).n_scored == 1
    old, new = scored(trained)
    assert old[2:] == (old_revision, old_error)
    assert new[2] != old_revision
    assert new[3] != old_error
    current = trained.rows("SELECT month_revision_id FROM scores_current WHERE region = 'all'")
    assert current == [(new[2],)]


def test_only_observed_cells_count(trained: World) -> None:
    forecast(trained.workspace, init=month("2015-05"))
    verify(trained.workspace)
    observed = np.isfinite(dataset(month("2015-06"))["fco2"].values).sum()
    [(cells,)] = trained.rows("SELECT n_cells FROM skill_scores WHERE region = 'all'")
    assert cells == observed


def test_there_is_nothing_to_verify_without_forecasts(filled: World) -> None:
    assert verify(filled.workspace).n_scored == 0


def test_scores_agree_with_the_field_and_the_observation(trained: World) -> None:
    from storage.gridded import read_run

    run = forecast(trained.workspace, init=month("2015-05"))
    verify(trained.workspace)
    [(url,)] = trained.rows(f"SELECT fields_url FROM forecast_runs WHERE id = '{run.run_id}'")
    predicted = read_run(url)["fco2_mean"].sel(lead=1).values
    store = trained.workspace.record()
    observed = store.read_month(month("2015-06"))
    seen = observed.quality == 1
    area = store.grid.cell_area[seen]
    error = predicted[seen].astype(float) - observed.fco2[seen]
    [(total, weight)] = trained.rows(
        "SELECT se_model, weight_sum FROM skill_scores WHERE region = 'all'"
    )
    assert total / weight == pytest.approx(float((error**2 * area).sum() / area.sum()), rel=1e-4)


def test_a_run_whose_fields_are_lost_keeps_no_other_from_being_scored(trained: World) -> None:
    kept = forecast(trained.workspace, init=month("2015-02"))
    gone = forecast(trained.workspace, init=month("2015-03"))
    rotten = forecast(trained.workspace, init=month("2015-04"))
    urls = dict(trained.rows("SELECT id, fields_url FROM forecast_runs"))
    shutil.rmtree(urls[gone.run_id])
    for chunk in Path(urls[rotten.run_id]).rglob("c/*"):
        if chunk.is_file():
            chunk.write_bytes(b"rot")
    verified = verify(trained.workspace)
    assert {run_id for run_id, _ in verified.lost} == {gone.run_id, rotten.run_id}
    assert "nothing complete at" in dict(verified.lost)[gone.run_id]
    assert trained.rows("SELECT DISTINCT run_id FROM skill_scores") == [(kept.run_id,)]
    assert verified.n_runs == 1
    # Nothing is forgotten: once the fields are back, they are scored.
    assert len(verify(trained.workspace).lost) == 2
    told = CliRunner().invoke(app, ["--home", str(trained.home), "verify"])
    assert told.exit_code == 3
    assert gone.run_id in told.output
