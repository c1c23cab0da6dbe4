import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from services.archive_samples import (
    TINY,
    accept,
    cell_rows,
    fill,
    forecast_run,
    later,
    model_version,
    regional_rows,
    row_counts,
    score_row,
)
from services.tampering import allow_changes
from sqlalchemy import Engine, select, text

from storage import archive as runs
from storage import tables as t
from storage.database import DatabaseRuleError, reading
from storage.months import month
from storage.registry import UnknownModelError, register_model
from storage.views import forecast_cells, forecast_latest, forecasts


@pytest.fixture
def revision_id(archive: Engine) -> int:
    """Key of the init month's revision, in an archive with one model."""
    register_model(archive, model_version())
    return accept(archive, "2018-01")


def test_a_run_comes_back_as_it_was_written(archive: Engine, revision_id: int) -> None:
    run = forecast_run(revision_id, degraded=True, degraded_reason="one input month was missing")
    assert runs.write_run(archive, run, regional_rows()) == runs.WrittenRun(run.id, created=True)
    assert runs.find_run(archive, run.idempotency_key) == run
    assert runs.run(archive, run.id) == run
    assert runs.runs(archive) == (run,)
    assert runs.find_run(archive, "another key") is None


def test_regional_rows_hold_anomalies_and_area_integrals_worked_out_by_hand(
    archive: Engine, revision_id: int
) -> None:
    runs.write_run(archive, forecast_run(revision_id), regional_rows())
    query = select(forecasts).where(forecasts.c.region == "all", forecasts.c.lead_months == 1)
    with reading(archive) as connection:
        row = connection.execute(query).one()
    assert row.valid_month == month("2018-02")
    assert row.anomaly == pytest.approx(-0.5)
    # -5 mmol m-2 d-1 x 1e11 m2 x 28 d = -1.4e13 mmol, x 12.011e-3 g = 1.68e11 g = 0.168 Tg.
    assert row.flux_tgc_mean == pytest.approx(-0.168154, rel=1e-6)
    assert row.flux_tgc_q05 == pytest.approx(-0.168154 * 7 / 5, rel=1e-6)
    assert row.flux_tgc_q95 == pytest.approx(-0.168154 * 3 / 5, rel=1e-6)


def test_cell_rows_come_back_with_their_place(archive: Engine, revision_id: int) -> None:
    cells = cell_rows()
    run = forecast_run(revision_id)
    runs.write_run(archive, run, regional_rows(), cells)
    query = select(forecast_cells).order_by("lead_months", "cell_index")
    with reading(archive) as connection:
        rows = connection.execute(query).all()
    assert len(rows) == cells.mean.size
    assert [row.mean for row in rows] == pytest.approx(cells.mean.ravel().tolist())
    assert [row.q95 for row in rows] == pytest.approx(cells.quantiles[:, 4].ravel().tolist())
    last = rows[-1]
    assert (last.run_id, last.lead_months, last.valid_month) == (run.id, 2, month("2018-03"))
    # Cell 29 is column 9 of row 2.
    assert (last.lat, last.lon) == (TINY.lat[2], TINY.lon[9])
    assert last.area_m2 == pytest.approx(TINY.cell_area[2, 9])


def test_the_same_key_again_returns_the_earlier_run(archive: Engine, revision_id: int) -> None:
    first = forecast_run(revision_id, idempotency_key="k")
    runs.write_run(archive, first, regional_rows(), cell_rows())
    before = row_counts(archive)
    again = forecast_run(revision_id, idempotency_key="k", created_at=later(1))
    written = runs.write_run(archive, again, regional_rows(), cell_rows())
    assert written == runs.WrittenRun(first.id, created=False)
    assert row_counts(archive) == before


def test_a_key_of_another_run_is_refused(archive: Engine, revision_id: int) -> None:
    runs.write_run(archive, forecast_run(revision_id, idempotency_key="k"), regional_rows())
    other = forecast_run(revision_id, idempotency_key="k", seed=2)
    with pytest.raises(runs.DuplicateRunError, match="seed 1 instead of 2"):
        runs.write_run(archive, other, regional_rows())


def test_a_taken_run_id_is_refused(archive: Engine, revision_id: int) -> None:
    run = forecast_run(revision_id)
    runs.write_run(archive, run, regional_rows())
    with pytest.raises(runs.DuplicateRunError, match="already taken"):
        runs.write_run(
            archive, dataclasses.replace(run, idempotency_key="another"), regional_rows()
        )


def test_several_writers_with_one_key_make_one_run(archive: Engine, revision_id: int) -> None:
    n_writers = 6
    together = threading.Barrier(n_writers)

    def write(_: int) -> runs.WrittenRun:
        run = forecast_run(revision_id, idempotency_key="k")
        together.wait()
        return runs.write_run(archive, run, regional_rows(), cell_rows())

    with ThreadPoolExecutor(n_writers) as pool:
        written = list(pool.map(write, range(n_writers)))
    assert sum(one.created for one in written) == 1
    assert len({one.run_id for one in written}) == 1
    counts = row_counts(archive)
    assert (counts["forecast_runs"], counts["cell_predictions"]) == (1, cell_rows().mean.size)


def test_a_rerun_keeps_the_old_run_and_the_view_shows_the_new_one(
    archive: Engine, revision_id: int
) -> None:
    old = forecast_run(revision_id)
    new = forecast_run(revision_id, created_at=later(1))
    runs.write_run(archive, old, regional_rows())
    runs.write_run(archive, new, regional_rows(mean=np.full((2, 2), -5.5)))
    with reading(archive) as connection:
        latest = connection.execute(select(forecast_latest)).all()
    assert {(row.run_id, row.mean) for row in latest} == {(new.id, -5.5)}
    assert {run.id for run in runs.runs(archive)} == {old.id, new.id}
    assert runs.last_run(archive) == new


def test_the_latest_forecast_is_the_live_one_of_the_latest_init_month(
    archive: Engine, revision_id: int
) -> None:
    live = forecast_run(revision_id)
    hindcast = forecast_run(revision_id, issued_kind="hindcast", created_at=later(5))
    for run in (live, hindcast):
        runs.write_run(archive, run, regional_rows())
    with reading(archive) as connection:
        latest = connection.execute(select(forecast_latest)).all()
    assert {row.run_id for row in latest} == {live.id}
    assert runs.last_run(archive, "hindcast") == hindcast


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mean": np.full((2, 2), np.nan)}, "mean holds 4 non-numbers"),
        ({"spread": np.full((2, 2), -1.0)}, "spread is negative"),
        ({"p_source": np.full((2, 2), 1.01)}, "p_source lies outside 0 to 1"),
        ({"climatology": np.zeros((3, 2))}, "climatology has shape (3, 2) instead of (2, 2)"),
        ({"quantiles": regional_rows().quantiles[:, ::-1]}, "quantiles are out of order"),
    ],
)
def test_impossible_predictions_are_refused_and_nothing_is_written(
    archive: Engine, revision_id: int, changes: dict[str, object], complaint: str
) -> None:
    before = row_counts(archive)
    with pytest.raises(runs.InvalidRowsError) as caught:
        runs.write_run(archive, forecast_run(revision_id), regional_rows(**changes))
    assert complaint in str(caught.value)
    assert row_counts(archive) == before


def test_every_reason_for_a_refusal_is_listed(archive: Engine, revision_id: int) -> None:
    broken = regional_rows(mean=np.full((2, 2), np.inf), spread=np.full((2, 2), -1.0))
    cells = dataclasses.replace(cell_rows(), p_source=np.full((2, 30), 2.0))
    with pytest.raises(runs.InvalidRowsError) as caught:
        runs.write_run(archive, forecast_run(revision_id), broken, cells)
    for complaint in ("regional mean", "regional spread", "cell p_source"):
        assert complaint in caught.value.found


def test_a_run_of_an_unknown_model_is_refused(archive: Engine, revision_id: int) -> None:
    with pytest.raises(UnknownModelError, match="tidenet-1"):
        runs.write_run(archive, forecast_run(revision_id, model_version="x"), regional_rows())


def test_a_run_from_a_revision_of_another_month_is_refused(
    archive: Engine, revision_id: int
) -> None:
    before = row_counts(archive)
    other = accept(archive, "2018-02")
    with pytest.raises(DatabaseRuleError):
        runs.write_run(archive, forecast_run(other), regional_rows())
    assert row_counts(archive)["forecast_runs"] == before["forecast_runs"] == 0


def test_a_region_drawn_anew_under_its_old_name_is_refused(
    archive: Engine, revision_id: int
) -> None:
    runs.write_run(archive, forecast_run(revision_id), regional_rows())
    allow_changes(archive, "regions")
    with archive.begin() as connection:
        connection.execute(t.Region.__table__.update().values(definition={"vertices": [[1, 2]]}))
    with pytest.raises(runs.DimensionChangedError, match="all, yellow-sea"):
        runs.write_run(archive, forecast_run(revision_id), regional_rows())


def test_a_cell_with_another_ocean_area_is_refused(archive: Engine, revision_id: int) -> None:
    runs.write_run(archive, forecast_run(revision_id), regional_rows(), cell_rows())
    halved = dataclasses.replace(cell_rows(), area_m2=cell_rows().area_m2 / 2)
    with pytest.raises(runs.DimensionChangedError, match="30 of 30 cells differ"):
        runs.write_run(archive, forecast_run(revision_id), regional_rows(), halved)


def test_a_cell_that_is_given_twice_is_refused(archive: Engine, revision_id: int) -> None:
    before = row_counts(archive)
    twice = dataclasses.replace(cell_rows(), index=np.array([*range(29), 0]))
    with pytest.raises((DatabaseRuleError, runs.DimensionChangedError)):
        runs.write_run(archive, forecast_run(revision_id), regional_rows(), twice)
    same_area = dataclasses.replace(twice, area_m2=np.full(30, 1e9))
    with pytest.raises(DatabaseRuleError):
        runs.write_run(archive, forecast_run(revision_id), regional_rows(), same_area)
    assert row_counts(archive) == before


def test_the_latest_observed_forecast_is_found(archive: Engine) -> None:
    run_id, revision_id = fill(archive)
    assert runs.latest_observed(archive, 1) == (run_id, month("2018-02"))
    assert runs.latest_observed(archive, 2) is None, "its month has not been observed"
    assert runs.latest_observed(archive, 1, month("2018-03")) is None
    hindcast = forecast_run(revision_id, issued_kind="hindcast", created_at=later(1))
    rerun = forecast_run(revision_id, created_at=later(2))
    runs.write_run(archive, hindcast, regional_rows())
    assert runs.latest_observed(archive, 1) == (run_id, month("2018-02"))
    runs.write_run(archive, rerun, regional_rows())
    accept(archive, "2018-03")
    assert runs.latest_observed(archive, 1) == (rerun.id, month("2018-02"))
    assert runs.latest_observed(archive, 2, month("2018-03")) == (rerun.id, month("2018-03"))


def test_an_unknown_run_is_named(archive: Engine) -> None:
    with pytest.raises(runs.UnknownRunError, match="nowhere"):
        runs.run(archive, "nowhere")


def test_leads_of_observed_months_are_to_be_scored_once(archive: Engine) -> None:
    run_id, _ = fill(archive)
    [item] = runs.unscored(archive, month("2018-12"))
    assert (item.run_id, item.lead_months, item.valid_month) == (run_id, 1, month("2018-02"))
    assert (item.revision, item.observed_snapshot_id) == (1, "SNAP-2018-02-1")
    assert runs.unscored(archive, month("2018-01")) == ()
    scores = [score_row(run_id, item.month_revision_id)]
    assert runs.write_scores(archive, scores) == 1
    assert runs.write_scores(archive, scores) == 0
    assert runs.unscored(archive, month("2018-12")) == ()


def test_a_revised_observation_is_scored_again_and_the_old_score_is_kept(archive: Engine) -> None:
    run_id, _ = fill(archive)
    [first] = runs.unscored(archive, month("2018-12"))
    runs.write_scores(archive, [score_row(run_id, first.month_revision_id)])
    accept(archive, "2018-02", revision=2)
    [second] = runs.unscored(archive, month("2018-12"))
    assert second.revision == 2
    assert runs.skill_table(archive, "all") == (), "a score against the old revision counts"
    runs.write_scores(archive, [score_row(run_id, second.month_revision_id, se_model=300.0)])
    [row] = runs.skill_table(archive, "all")
    assert row.msss_climatology == pytest.approx(0.25)
    assert row.n_scores == 1
    assert row_counts(archive)["skill_scores"] == 2


def test_scores_against_a_revision_of_another_month_are_refused(archive: Engine) -> None:
    run_id, init_revision = fill(archive)
    with pytest.raises(DatabaseRuleError):
        runs.write_scores(archive, [score_row(run_id, init_revision)])


def test_skill_aggregates_the_sums_exactly(archive: Engine) -> None:
    _, revision_id = fill(archive)
    observed = runs.unscored(archive, month("2018-12"))[0].month_revision_id
    one = runs.last_run(archive)
    assert one is not None
    other = forecast_run(revision_id, issued_kind="live", seed=5, model_version="tidenet-1")
    runs.write_run(archive, dataclasses.replace(other, created_at=later(1)), regional_rows())
    # The rerun counts, the first run does not.
    runs.write_scores(archive, [score_row(one.id, observed, se_model=9999.0)])
    second = accept(archive, "2018-03")
    rows = [
        score_row(other.id, observed),
        score_row(
            other.id,
            second,
            lead_months=2,
            valid_month=month("2018-03"),
        ),
    ]
    runs.write_scores(archive, rows)
    by_lead = runs.skill_table(archive, "all", model_version="tidenet-1", issued_kind="live")
    assert [row.lead_months for row in by_lead] == [1, 2]
    row = by_lead[0]
    assert (row.n_months, row.n_scores, row.n_cells) == (1, 1, 10)
    assert row.msss_climatology == pytest.approx(1 - 100 / 400)
    assert row.msss_persistence == pytest.approx(1 - 100 / 200)
    assert row.msss_damped_persistence == pytest.approx(1 - 100 / 125)
    assert (row.rmse, row.rmse_climatology) == (pytest.approx(1.0), pytest.approx(2.0))
    assert (row.bias, row.mae) == (pytest.approx(0.5), pytest.approx(0.8))
    assert row.crpss == pytest.approx(0.5)
    # 90 / (sqrt 100 x sqrt 400)
    assert row.acc == row.acc_centred == pytest.approx(0.45)
    assert (row.coverage_50, row.coverage_90) == (pytest.approx(0.4), pytest.approx(0.85))
    assert row.msss_climatology_low is None


def test_skill_over_months_is_the_ratio_of_sums_not_the_mean_of_ratios(archive: Engine) -> None:
    first_init = accept(archive, "2018-01")
    register_model(archive, model_version())
    second_init = accept(archive, "2018-02")
    third = accept(archive, "2018-03")
    early = forecast_run(first_init)
    late = forecast_run(second_init, init_month=month("2018-02"), snapshot_id="S")
    for run in (early, late):
        runs.write_run(archive, run, regional_rows())
    wet = {"fa": 20.0, "oa": 40.0, "valid_month": month("2018-03")}
    runs.write_scores(
        archive,
        [
            score_row(early.id, second_init, se_model=100.0, se_climatology=100.0),
            score_row(late.id, third, se_model=0.0, se_climatology=300.0, n_cells=30, **wet),
        ],
    )
    [row] = runs.skill_table(archive, "all")
    assert row.msss_climatology == pytest.approx(1 - 100 / 400)
    assert (row.n_months, row.n_cells) == (2, 40)
    # (180 - 20 x 40 / 200) / sqrt((200 - 400 / 200) (800 - 1600 / 200)), sums over both months
    assert row.acc_centred == pytest.approx(176 / (198 * 792) ** 0.5)
    assert row.acc == pytest.approx(180 / (200 * 800) ** 0.5)
    with reading(archive) as connection:
        months = connection.execute(
            text("SELECT calendar_month, msss_climatology FROM skill_by_month ORDER BY 1")
        ).all()
    assert [tuple(row) for row in months] == [(2, pytest.approx(0)), (3, pytest.approx(1))]


def test_months_without_an_observed_cell_do_not_count(archive: Engine) -> None:
    run_id, _ = fill(archive)
    observed = runs.unscored(archive, month("2018-12"))[0].month_revision_id
    nothing = {
        name: 0.0
        for name in ("weight_sum", "se_model", "se_climatology", "inside_50", "inside_90", "fa_oa")
    }
    runs.write_scores(archive, [score_row(run_id, observed, n_cells=0, **nothing)])
    assert runs.skill_table(archive, "all") == ()
    assert runs.unscored(archive, month("2018-12")) == ()


def test_an_interval_is_given_from_eight_months_on(archive: Engine) -> None:
    register_model(archive, model_version())
    rng = np.random.default_rng(1)
    months = [f"2018-{k:02d}" for k in range(1, 11)]
    keys = [accept(archive, name) for name in months]
    for name, init, valid in zip(months, keys, keys[1:], strict=False):
        run = forecast_run(init, init_month=month(name))
        runs.write_run(archive, run, regional_rows())
        runs.write_scores(
            archive,
            [
                score_row(
                    run.id,
                    valid,
                    valid_month=month(name) + 1,
                    se_model=float(rng.uniform(100, 300)),
                )
            ],
        )
    [row] = runs.skill_table(archive, "all")
    assert row.msss_climatology_low is not None
    assert row.msss_climatology_high is not None
    assert 0 < row.msss_climatology_low < row.msss_climatology < row.msss_climatology_high < 1
    assert runs.skill_table(archive, "all") == (row,)


def test_skill_of_an_undeclared_region_is_refused(archive: Engine) -> None:
    with pytest.raises(runs.UnknownRegionError, match="changjiang-plume"):
        runs.skill_table(archive, "atlantis")
