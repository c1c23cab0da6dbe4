"""What the record holds of each month, in the archive: what forecasts are held against."""

from dataclasses import replace

import numpy as np
import pytest
from services.small_loop import GRID, World, dataset
from sqlalchemy import text

from flows.operations.forecast import forecast
from flows.operations.observe import observe
from flows.operations.verify import verify
from storage.flux_month import Quality
from storage.months import month


def test_every_month_is_archived_by_region_and_cell_once(filled: World) -> None:
    store = filled.workspace.record()
    assert observe(filled.workspace, store) == (66, 0)
    assert observe(filled.workspace, store) == (0, 0)
    held = store.read_month(month("2012-03"))
    [(mean, share, area, flux, doubt)] = filled.rows(
        "SELECT o.mean, o.observed_share, o.area_m2, o.flux_tgc, o.uncertainty"
        " FROM regional_observations AS o JOIN latest_months AS m"
        " ON m.month_revision_id = o.month_revision_id"
        " WHERE m.month = '2012-03-01' AND o.region = 'all'"
    )
    weight = np.where(store.ocean, GRID.cell_area, 0.0)
    assert area == pytest.approx(weight.sum())
    assert mean == pytest.approx(np.nansum(held.fco2 * weight) / weight.sum(), rel=1e-6)
    assert doubt == pytest.approx(np.nansum(held.uncertainty * weight) / weight.sum(), rel=1e-6)
    observed = (held.quality == Quality.OBSERVED) * weight
    assert share == pytest.approx(observed.sum() / weight.sum(), rel=1e-6)
    assert flux == pytest.approx(mean * area * 31 * 12.011e-15, rel=1e-9)


def test_integrals_over_cells_and_regions_agree(trained: World) -> None:
    """To a millionth, though cells are kept with seven digits."""
    forecast(trained.workspace)
    verify(trained.workspace)
    for cells, region in (
        (
            "SELECT lead_months, sum(mean * area_m2) FROM forecast_cells GROUP BY lead_months",
            "SELECT lead_months, mean * area_m2 FROM regional_predictions WHERE region = 'all'",
        ),
        (
            "SELECT o.month_revision_id, sum(o.mean * c.area_m2) FROM cell_observations AS o"
            " JOIN cells AS c ON c.id = o.cell_id GROUP BY o.month_revision_id",
            "SELECT month_revision_id, mean * area_m2 FROM regional_observations"
            " WHERE region = 'all'",
        ),
    ):
        by_cells, by_region = dict(trained.rows(cells)), dict(trained.rows(region))
        assert by_cells.keys() == by_region.keys()
        for key, value in by_region.items():
            assert by_cells[key] == pytest.approx(value, rel=1e-6)


def test_a_revised_month_has_further_rows_and_the_old_ones_stay(filled: World) -> None:
    observe(filled.workspace, filled.workspace.record())
    other = dataset(month("2015-05"))
    other["fco2"] = other["fco2"] + 1.0
    filled.deliver("2015-05", other)
    filled.ingest()
    assert observe(filled.workspace, filled.workspace.record()) == (1, 0)
    before, after = filled.rows(
        "SELECT o.mean, m.reason FROM regional_observations AS o"
        " JOIN month_revisions AS m ON m.id = o.month_revision_id"
        " WHERE m.month = '2015-05-01' AND o.region = 'all' ORDER BY m.revision"
    )
    assert after[0] - before[0] == pytest.approx(1.0, abs=0.1)
    assert (before[1], after[1]) == ("the month's first file", "another final file of the month")


def test_skill_can_be_recomputed_from_the_rows_alone(trained: World) -> None:
    # Cells as small as the record's: each is observed or not.
    trained = replace(trained, changes={**trained.changes, "archive_step": 0.5})
    forecast(trained.workspace, init=month("2015-04"))
    verify(trained.workspace)
    [(archived,)] = trained.rows(
        "SELECT msss_climatology FROM skill_by_lead WHERE region = 'all' AND lead_months = 1"
    )
    [(recomputed,)] = trained.rows(
        "SELECT 1 - sum(area_m2 * (mean - observed) * (mean - observed))"
        " / sum(area_m2 * (climatology - observed) * (climatology - observed))"
        " FROM forecast_vs_observed_cells WHERE lead_months = 1 AND observed_share > 0.5"
    )
    # Scores come from fields that are kept with 12 bits of mantissa, cells from the full ones.
    assert recomputed == pytest.approx(archived, abs=2e-3)


def test_what_was_scored_is_scored_again_when_asked_with_a_reason(trained: World) -> None:
    forecast(trained.workspace, init=month("2015-04"))
    first = verify(trained.workspace)
    assert verify(trained.workspace).n_scored == 0
    again = verify(trained.workspace, again="the mask was corrected")
    assert again.n_scored == first.n_scored == 2
    assert trained.rows(
        "SELECT scoring, reason, count(*) > 0 FROM skill_scores GROUP BY 1, 2 ORDER BY 1"
    ) == [(1, "", 1), (2, "the mask was corrected", 1)]
    assert trained.rows("SELECT DISTINCT scoring FROM scores_current") == [(2,)]


def test_a_year_sums_what_the_members_say(trained: World) -> None:
    run = forecast(trained.workspace)
    rows = trained.rows(
        "SELECT y.n_months, y.flux_tgc_mean, (SELECT sum(p.flux_tgc_mean)"
        " FROM regional_predictions AS p WHERE p.run_id = y.run_id AND p.region = y.region),"
        " y.flux_tgc_q05, y.flux_tgc_q95, y.flux_tgc_spread"
        f" FROM yearly_predictions AS y WHERE y.run_id = '{run.run_id}' AND y.year = 2015"
    )
    assert rows
    for n_months, mean, by_months, low, high, spread in rows:
        assert n_months == 6
        assert mean == pytest.approx(by_months, rel=1e-6)
        assert low < high
        assert 0 < spread < abs(high - low)


def test_the_reasons_of_runs_are_told(trained: World) -> None:
    forecast(trained.workspace)
    forecast(trained.workspace, init=month("2015-02"))
    forecast(trained.workspace, rerun=True, reason="to see whether it is the same")
    other = dataset(month("2015-06"))
    other["fco2"] = other["fco2"] + 1.0
    trained.deliver("2015-06", other)
    trained.ingest()
    forecast(trained.workspace)
    with trained.workspace.engine.connect() as connection:
        told = list(connection.execute(text("SELECT reason FROM runs ORDER BY entry")).scalars())
    assert told[:3] == [
        "a new last month of the record",
        "asked for from an earlier month",
        "to see whether it is the same",
    ]
    assert told[3].startswith("what run ")
    assert told[3].endswith(" had read was revised")
