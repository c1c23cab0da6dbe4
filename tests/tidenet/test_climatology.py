import numpy as np
import pytest

from storage.grid import Grid
from storage.months import month
from tidenet.climatology import fit_climatology
from tidenet.errors import IncompleteFieldError, NotEnoughMonthsError
from tidenet.record import FluxRecord


def test_means_are_those_of_each_calendar_month():
    grid = Grid("two", south=0, west=0, step=1, n_lat=1, n_lon=2)
    ocean = np.array([[True, False]])
    years = np.array([1.0, 2.0, 6.0])
    values = np.repeat(years, 12) + np.tile(np.arange(12), 3)
    fields = np.stack([values, np.full(36, np.nan)], axis=1)[:, None, :].astype(np.float32)
    fitted = fit_climatology(FluxRecord(grid, ocean, month("2000-01"), fields))
    assert fitted.mean[:, 0, 0] == pytest.approx(3.0 + np.arange(12))
    # Sample variance of 1, 2, 6 is 7; all months alike, so smoothing leaves it.
    assert fitted.std[:, 0, 0] == pytest.approx(np.sqrt(7.0))
    assert np.isnan(fitted.mean[:, 0, 1]).all()


def test_standardise_and_restore_undo_each_other(record):
    climatology = fit_climatology(record)
    field, when = record.fco2[7], record.months[7]
    again = climatology.restore(climatology.standardise(field, when), when)
    np.testing.assert_allclose(again, field, rtol=1e-5)


def test_nothing_of_later_months_enters(record):
    until = month("2011-12")
    changed = FluxRecord(record.grid, record.ocean, record.first_month, record.fco2.copy())
    changed.fco2[changed.index(until) + 1 :] = 1e6
    before, after = fit_climatology(record.until(until)), fit_climatology(changed.until(until))
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.std, after.std)


def test_a_cell_that_never_varies_keeps_a_spread_above_zero(record):
    record.fco2[:, 6, 6] = -5.0
    assert (fit_climatology(record).std[:, 6, 6] > 0.01).all()


def test_too_few_years_are_refused(record):
    with pytest.raises(NotEnoughMonthsError, match="24 months"):
        fit_climatology(record.until(month("2006-11")))


def test_a_hole_in_the_ocean_is_named(record):
    record.fco2[5, 6, 6] = np.nan
    with pytest.raises(IncompleteFieldError, match="1 ocean cells without a value in 2005-06"):
        fit_climatology(record)
