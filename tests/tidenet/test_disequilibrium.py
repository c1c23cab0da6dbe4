"""The disequilibrium as what is forecast: the wind of past months divided out of their flux."""

import numpy as np
import pytest

from storage.grid import Grid
from storage.months import month
from tidenet.climatology import fit_climatology
from tidenet.disequilibrium import TRANSFER, Disequilibrium
from tidenet.drivers import UnknownDriverError
from tidenet.record import FluxRecord

GRID = Grid("tiny", south=25, west=120, step=0.5, n_lat=8, n_lon=7)
START = month("2005-01")
MEMORY = 0.8


def windy(n_months: int = 240, gusts: float = 0.3, seed: int = 0) -> FluxRecord:
    """A sea whose disequilibrium lasts and whose wind does not."""
    rng = np.random.default_rng(seed)
    ocean = np.ones(GRID.shape, dtype=bool)
    ocean[:, 0] = False
    calendar = np.arange(n_months) % 12
    usual = 0.12 + 0.04 * np.cos(2 * np.pi * calendar / 12)
    noise = rng.standard_normal((n_months, *GRID.shape))
    transfer = (usual[:, None, None] * np.exp(gusts * noise)).astype(np.float32)
    lasting, pressure = np.zeros(GRID.shape), []
    for number in calendar:
        lasting = MEMORY * lasting + 0.6 * rng.standard_normal(GRID.shape)
        pressure.append(-60 + 30 * np.sin(2 * np.pi * number / 12) + 12 * lasting)
    fco2 = np.where(ocean, transfer * np.array(pressure), np.nan).astype(np.float32)
    return FluxRecord(GRID, ocean, START, fco2, drivers={TRANSFER: transfer})


def with_transfer(record: FluxRecord, transfer: np.ndarray) -> FluxRecord:
    return FluxRecord(GRID, record.ocean, START, record.fco2, drivers={TRANSFER: transfer})


def skill(record: FluxRecord, seen: FluxRecord, n_training: int) -> float:
    """MSSS at lead 1 of what persists of the anomalies of `seen`, held against the record."""
    ocean = record.ocean
    usual = fit_climatology(record.until(START + (n_training - 1)))
    known = fit_climatology(seen.until(START + (n_training - 1)))
    rows = np.stack(
        [known.standardise(field, START + i)[ocean] for i, field in enumerate(seen.fco2)]
    )
    training = rows[:n_training]
    left = (training[1:] * training[:-1]).sum() / np.square(training[:-1]).sum()
    ours = theirs = 0.0
    for position in range(n_training - 1, len(record.fco2) - 1):
        valid, truth = START + position + 1, record.fco2[position + 1][ocean]
        made = known.mean_of(valid)[ocean] + left * rows[position] * known.std_of(valid)[ocean]
        ours += float(np.square(made - truth).sum())
        theirs += float(np.square(usual.mean_of(valid)[ocean] - truth).sum())
    return 1 - ours / theirs


def test_known_wind_makes_a_better_forecast_of_a_windy_sea() -> None:
    record = windy()
    fitted = Disequilibrium.fit(record.until(START + 179))
    assert skill(record, fitted.at_usual_transfer(record), 180) > skill(record, record, 180) + 0.05


def test_what_is_left_remembers_as_the_disequilibrium_does() -> None:
    record = windy()
    usual = Disequilibrium.fit(record).at_usual_transfer(record)
    climatology = fit_climatology(usual)
    rows = np.stack(
        [climatology.standardise(f, START + i)[usual.ocean] for i, f in enumerate(usual.fco2)]
    )
    lagged = (rows[1:] * rows[:-1]).mean() / np.square(rows).mean()
    assert lagged == pytest.approx(MEMORY, abs=0.07)


def test_the_calendar_of_the_flux_stays() -> None:
    record = windy()
    usual = Disequilibrium.fit(record).at_usual_transfer(record)
    np.testing.assert_allclose(
        fit_climatology(usual).mean, fit_climatology(record).mean, rtol=1e-3, atol=1e-3
    )
    assert np.isnan(usual.fco2[:, ~record.ocean]).all()
    assert usual.fco2.dtype == np.float32


def test_with_the_same_wind_every_year_the_flux_stays() -> None:
    record = windy(gusts=0.0)
    usual = Disequilibrium.fit(record).at_usual_transfer(record)
    np.testing.assert_allclose(usual.fco2, record.fco2, rtol=1e-3, atol=1e-3)


def test_where_the_transfer_is_not_known_the_flux_stays() -> None:
    record = windy()
    gappy = np.array(record.drivers[TRANSFER])
    gappy[40, 2:4] = np.nan
    gappy[:, 5, 5] = np.nan
    seen = with_transfer(record, gappy)
    usual = Disequilibrium.fit(seen).at_usual_transfer(seen)
    np.testing.assert_array_equal(usual.fco2[40, 2:4], record.fco2[40, 2:4])
    np.testing.assert_array_equal(usual.fco2[:, 5, 5], record.fco2[:, 5, 5])
    whole = Disequilibrium.fit(record).at_usual_transfer(record)
    np.testing.assert_allclose(usual.fco2[39, 2:4], whole.fco2[39, 2:4])


def test_a_calm_month_says_nothing() -> None:
    record = windy()
    fitted = Disequilibrium.fit(record)
    calm = np.array(record.drivers[TRANSFER])
    calm[239, 3] *= 1e-3
    calm[239, 4] = 0.0
    usual = fitted.at_usual_transfer(with_transfer(record, calm)).fco2[239]
    np.testing.assert_array_equal(usual[3:5, 1:], fitted.flux[239 % 12][3:5, 1:])
    assert np.isnan(usual[3, 0])


def test_one_transfer_for_all_cells_is_enough() -> None:
    record = windy()
    numbers = np.array(record.drivers[TRANSFER][:, 4, 4])
    maps = np.broadcast_to(numbers[:, None, None], record.fco2.shape)
    one, other = (with_transfer(record, transfer) for transfer in (numbers, maps))
    np.testing.assert_array_equal(
        Disequilibrium.fit(one).at_usual_transfer(one).fco2,
        Disequilibrium.fit(other).at_usual_transfer(other).fco2,
    )


def test_each_month_is_changed_by_itself() -> None:
    record = windy()
    fitted = Disequilibrium.fit(record.until(START + 179))
    later, transfer = record.fco2.copy(), np.array(record.drivers[TRANSFER])
    later[181:] = 1e6
    transfer[181:] = 1e-6
    spoiled = FluxRecord(GRID, record.ocean, START, later, drivers={TRANSFER: transfer})
    known = fitted.at_usual_transfer(record)
    np.testing.assert_array_equal(fitted.at_usual_transfer(spoiled).fco2[:181], known.fco2[:181])
    part = fitted.at_usual_transfer(record.between(START + 100, START + 105))
    np.testing.assert_array_equal(part.fco2, known.fco2[100:106])


def test_saved_and_rebuilt_it_is_the_same() -> None:
    record = windy(60)
    fitted = Disequilibrium.fit(record)
    again = Disequilibrium.from_tensors(fitted.tensors())
    np.testing.assert_array_equal(
        again.at_usual_transfer(record).fco2, fitted.at_usual_transfer(record).fco2
    )


def test_without_transfer_it_says_which_driver_is_needed() -> None:
    record = windy(60)
    bare = FluxRecord(GRID, record.ocean, START, record.fco2)
    with pytest.raises(UnknownDriverError, match="transfer"):
        Disequilibrium.fit(bare)
    with pytest.raises(UnknownDriverError, match="transfer"):
        Disequilibrium.fit(record).at_usual_transfer(bare)
