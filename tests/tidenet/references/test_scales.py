"""Blocks and detail: nothing is lost, nothing shows where blocks meet, land plays no part."""

from dataclasses import replace

import numpy as np
import pytest

from storage.grid import Grid
from storage.months import month
from tidenet.record import FluxRecord
from tidenet.references import fit_reference
from tidenet.references.scales import fit_scales

GRID = Grid("fine", south=25, west=120, step=0.1, n_lat=48, n_lon=40)


@pytest.fixture(scope="module")
def fine() -> FluxRecord:
    """Broad anomalies that last beside detail of single cells that lasts in the north only."""
    rng = np.random.default_rng(0)
    ocean = np.ones(GRID.shape, dtype=bool)
    ocean[:, :9] = False
    broad, detail, fields = np.zeros((6, 5)), np.zeros(GRID.shape), []
    memory = np.where(np.arange(48) >= 24, 0.8, 0.0)[:, None]
    for position in range(96):
        broad = 0.8 * broad + 0.6 * rng.standard_normal(broad.shape)
        detail = memory * detail + np.sqrt(1 - memory**2) * rng.standard_normal(GRID.shape)
        season = -5 + 4 * np.cos(2 * np.pi * (position % 12) / 12)
        field = season + np.kron(broad, np.ones((8, 8))) + 0.5 * detail
        fields.append(np.where(ocean, field, np.nan))
    return FluxRecord(GRID, ocean, month("2005-01"), np.array(fields, dtype=np.float32))


def test_blocks_and_detail_add_up_to_the_anomaly_again(fine):
    scales, anomalies = fit_scales(fine, 2, working_cells=12)
    anomaly = scales.climatology.standardise(fine.fco2[-1], fine.last_month)
    blocks, detail = scales.part(anomaly)
    np.testing.assert_array_equal(blocks.astype(np.float32), anomalies.values[-1])
    whole = replace(scales, detail=np.ones_like(scales.detail))
    joined = whole.join(np.stack([blocks, blocks]), detail)
    np.testing.assert_allclose(joined[0][fine.ocean], anomaly[fine.ocean], atol=1e-5)


def test_detail_fades_at_its_own_rate(fine):
    scales, _ = fit_scales(fine, 2, working_cells=12)
    north, south = scales.detail[0, 26:, 12:], scales.detail[0, :22, 12:]
    assert north.mean() == pytest.approx(0.75, abs=0.15)
    assert south.mean() < 0.3
    assert (scales.detail[:, ~fine.ocean] == 0).all()


def test_on_a_grid_as_coarse_as_the_blocks_there_is_no_detail(fine):
    scales, anomalies = fit_scales(fine, 2, working_cells=48)
    assert scales.grid.factor == 1
    assert not scales.detail.any()
    anomaly = scales.climatology.standardise(fine.fco2[-1], fine.last_month)
    joined = scales.join(np.stack([anomalies.values[-1]] * 2), np.zeros(GRID.shape))
    np.testing.assert_allclose(joined[0][fine.ocean], anomaly[fine.ocean], atol=1e-5)


def test_no_seam_shows_where_blocks_meet(fine):
    """Across the edge of two blocks the field goes on as steeply as before and after it."""
    scales, _ = fit_scales(fine, 2, working_cells=12)
    factor = scales.grid.factor
    assert factor == 4
    blocks = np.random.default_rng(1).standard_normal((2, len(scales.sea.weight)))
    joined = scales.join(blocks, np.zeros(GRID.shape))[0]
    steps = np.diff(joined[:, 16:36], axis=1)
    across = np.arange(factor - 1, steps.shape[1] - 1, factor)
    np.testing.assert_allclose(steps[:, across], steps[:, across - 1], atol=1e-5)
    np.testing.assert_allclose(steps[:, across], steps[:, across + 1], atol=1e-5)
    assert np.abs(steps).max() > 0.1


def test_nothing_on_land_reaches_the_sea(fine):
    poisoned = replace(fine, fco2=np.where(fine.ocean, fine.fco2, np.float32(1e9)))
    rng = np.random.default_rng
    for name in ("linear-blend", "damped-persistence"):
        one, other = (
            fit_reference(name, record, 2).forecast(
                record, record.last_month, n_members=3, rng=rng(0)
            )
            for record in (fine, poisoned)
        )
        np.testing.assert_array_equal(one.members, other.members)


def test_members_vary_as_much_as_forecasts_err_detail_included(fine):
    known = fine.until(month("2011-12"))
    fitted = fit_reference("linear-blend", known, 2)
    squares, variances = [], []
    for init in np.arange(known.last_month, fine.last_month - 1):
        forecast = fitted.forecast(fine, init, n_members=60, rng=np.random.default_rng(0))
        truth = fine.fco2[fine.index(init + 1)]
        squares.append(np.square(truth - forecast.mean[0])[fine.ocean].mean())
        variances.append(forecast.members[:, 0, fine.ocean].var(axis=0).mean())
    assert np.mean(variances) == pytest.approx(np.mean(squares), rel=0.25)
