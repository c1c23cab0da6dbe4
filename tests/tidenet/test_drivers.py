"""Drivers as channels: anomalies of the training period's calendar, gaps as the calendar itself."""

import numpy as np
import pytest

from storage.grid import Grid
from storage.months import month
from tidenet.drivers import LARGEST_ANOMALY, DriverScaling, UnknownDriverError
from tidenet.errors import NotEnoughMonthsError
from tidenet.record import DriverShapeError, FluxRecord

GRID = Grid("tiny", south=25, west=120, step=0.5, n_lat=6, n_lon=5)
START = month("2005-01")


def driven(n_months: int = 96, **drivers: np.ndarray) -> FluxRecord:
    """A record with a seasonal sst that has its own noise in each cell, and a climate index."""
    rng = np.random.default_rng(3)
    ocean = np.ones(GRID.shape, dtype=bool)
    ocean[:, 0] = False
    season = 20 + 6 * np.cos(2 * np.pi * (np.arange(n_months) % 12) / 12)
    sst = season[:, None, None] + 0.5 * rng.standard_normal((n_months, *GRID.shape))
    fields = {
        "sst": np.where(ocean, sst, np.nan).astype(np.float32),
        "nino34": rng.standard_normal(n_months).astype(np.float32),
    }
    fco2 = np.where(ocean, rng.standard_normal((n_months, *GRID.shape)), np.nan)
    return FluxRecord(GRID, ocean, START, fco2.astype(np.float32), drivers=fields | drivers)


def channels(record: FluxRecord, scaling: DriverScaling) -> np.ndarray:
    return np.stack([scaling.anomalies(record, i) for i in range(len(record.fco2))])


def test_anomalies_have_no_season_and_unit_variance() -> None:
    record = driven(240)
    made = channels(record, DriverScaling.fit(record, ["sst", "nino34"]))
    assert made.shape == (240, 2, *GRID.shape)
    assert made.dtype == np.float32
    ocean = record.ocean
    for calendar in range(12):
        assert abs(made[calendar::12, :, ocean].mean(axis=(0, 2))).max() < 1e-5
    assert made[:, :, ocean].std(axis=(0, 2)) == pytest.approx([1, 1], abs=0.05)
    assert not made[:, :, ~ocean].any()


def test_channels_come_in_the_order_of_the_names_and_an_index_is_one_value_everywhere() -> None:
    record = driven()
    one = DriverScaling.fit(record, ["sst", "nino34"]).anomalies(record, 5)
    other = DriverScaling.fit(record, ["nino34", "sst"]).anomalies(record, 5)
    np.testing.assert_array_equal(one, other[::-1])
    assert len(np.unique(one[1][record.ocean])) == 1
    assert len(np.unique(one[0][record.ocean])) > 1


def test_a_gap_is_the_calendar_and_does_not_shift_it() -> None:
    whole = driven()
    gappy = whole.drivers["sst"].copy()
    gappy[50, 2, 3] = np.nan
    record = driven(sst=gappy)
    scaling = DriverScaling.fit(record, ["sst"])
    made = scaling.anomalies(record, 50)[0]
    assert made[2, 3] == 0
    same = DriverScaling.fit(whole, ["sst"]).anomalies(whole, 50)[0]
    other = np.ones(GRID.shape, dtype=bool)
    other[2, 3] = False
    np.testing.assert_allclose(made[other], same[other], atol=1e-3)


def test_a_cell_that_is_never_seen_stays_at_the_calendar() -> None:
    sst = driven().drivers["sst"].copy()
    sst[:, 3, 3] = np.nan
    sst[:12, 4, 4] = 300.0  # seen in one year only
    sst[12:, 4, 4] = np.nan
    record = driven(sst=sst)
    made = channels(record, DriverScaling.fit(record, ["sst"]))
    assert np.isfinite(made).all()
    assert not made[:, 0, 3, 3].any()
    assert not made[:, 0, 4, 4].any()


def test_a_calendar_month_that_was_seen_once_says_nothing_in_later_years() -> None:
    sst = driven().drivers["sst"].copy()
    sst[12:60:12, 4, 4] = np.nan
    record = driven(sst=sst)
    scaling = DriverScaling.fit(record.until(START + 59), ["sst"])
    assert scaling.anomalies(record, 60)[0][4, 4] == 0
    assert scaling.anomalies(record, 61)[0][4, 4] != 0


def test_what_lies_beyond_the_training_period_stays_within_bounds() -> None:
    record = driven()
    scaling = DriverScaling.fit(record, ["nino34"])
    risen = driven(nino34=record.drivers["nino34"] + np.float32(50))
    assert scaling.anomalies(risen, 3).max() == LARGEST_ANOMALY


def test_a_driver_without_variance_is_no_number_out_of_bounds() -> None:
    record = driven(nino34=np.full(96, 3.0, dtype=np.float32))
    made = channels(record, DriverScaling.fit(record, ["nino34"]))
    assert not made.any()


def test_only_the_month_itself_is_read() -> None:
    record = driven()
    scaling = DriverScaling.fit(record.until(START + 59), ["sst", "nino34"])
    later = {name: values.copy() for name, values in record.drivers.items()}
    for values in later.values():
        values[61:] = 1e6
    np.testing.assert_array_equal(
        scaling.anomalies(driven(**later), 60), scaling.anomalies(record, 60)
    )


def test_drivers_are_cut_with_the_flux() -> None:
    record = driven()
    part = record.between(START + 10, START + 20)
    np.testing.assert_array_equal(part.drivers["sst"], record.drivers["sst"][10:21])
    np.testing.assert_array_equal(part.drivers["nino34"], record.drivers["nino34"][10:21])
    assert len(record.until(START + 30).drivers["nino34"]) == 31


def test_a_driver_of_other_months_than_the_flux_is_refused() -> None:
    with pytest.raises(DriverShapeError, match="nino34"):
        driven(nino34=np.zeros(95, dtype=np.float32))


def test_saved_and_rebuilt_it_is_the_same() -> None:
    record = driven()
    names = ["nino34", "sst"]
    scaling = DriverScaling.fit(record, names)
    again = DriverScaling.from_tensors(names, scaling.tensors())
    np.testing.assert_array_equal(again.anomalies(record, 7), scaling.anomalies(record, 7))


def test_a_record_without_the_driver_is_refused_with_what_to_do() -> None:
    record = driven()
    scaling = DriverScaling.fit(record, ["sst"])
    bare = FluxRecord(GRID, record.ocean, START, record.fco2)
    with pytest.raises(UnknownDriverError, match="tidenet drivers add"):
        scaling.anomalies(bare, 0)
    with pytest.raises(UnknownDriverError, match="chlorophyll"):
        DriverScaling.fit(record, ["chlorophyll"])


def test_too_few_months_have_no_calendar() -> None:
    with pytest.raises(NotEnoughMonthsError):
        DriverScaling.fit(driven().until(START + 20), ["sst"])


def test_without_names_there_are_no_channels() -> None:
    record = driven(12)
    assert DriverScaling.fit(record, []).anomalies(record, 3).shape == (0, *GRID.shape)
