import numpy as np
import pytest

from storage.grid import Grid
from storage.months import month
from tidenet.climatology import MonthlyClimatology
from tidenet.dressing import Dressing
from tidenet.errors import IncompatibleModelError, NotEnoughMonthsError
from tidenet.identity import Domain
from tidenet.record import FluxRecord
from tidenet.references import METHODS, Reference, UnknownMethodError, fit_reference
from tidenet.references.damping import Damping
from tidenet.references.linear import LinearPart
from tidenet.references.scales import TwoScales
from tidenet.working_grid import WorkingGrid

GRID = Grid("pair", south=0, west=0, step=1, n_lat=1, n_lon=2)
OCEAN = np.array([[True, False]])


def one_cell(values: list[float]) -> FluxRecord:
    fields = np.array([[[value, np.nan]] for value in values], dtype=np.float32)
    return FluxRecord(GRID, OCEAN, month("2020-01"), fields)


def calendar() -> MonthlyClimatology:
    """Mean 1, 2, ... 12 and standard deviation 2 in January, 4 in all other months."""
    mean = np.full((12, 1, 2), np.nan, dtype=np.float32)
    mean[:, 0, 0] = np.arange(1, 13)
    std = np.full((12, 1, 2), 4.0, dtype=np.float32)
    std[0] = 2.0
    return MonthlyClimatology(mean, std)


def run(forecaster, record):
    rng = np.random.default_rng(0)
    return forecaster.forecast(record, record.last_month, n_members=2, rng=rng).mean[:, 0, 0]


def by_hand(name: str, method: Damping | None = None) -> Reference:
    scales = TwoScales(
        calendar(),
        WorkingGrid.fitting(Domain(GRID, OCEAN).weight, 64),
        np.zeros((2, 1, 2), dtype=np.float32),
        np.zeros((2, 8, 8), dtype=np.float32),
    )
    part = LinearPart(scales, None, method, 2, month("2010-01"))
    certain = Dressing(np.zeros((1, 2, 8, 8), np.float32), np.zeros((2, 8, 8), np.float32))
    return Reference(name, Domain(GRID, OCEAN), part, certain)


def test_references_by_hand():
    # January observed: 4, that is 3 above the mean of 1, or 1.5 standard deviations of 2.
    record = one_cell([4.0])
    damping = Damping(np.array([[0.5], [0.25]], dtype=np.float32))
    assert run(by_hand("climatology"), record) == pytest.approx([2, 3])
    assert run(by_hand("persistence"), record) == pytest.approx([2 + 3, 3 + 3])
    damped = by_hand("damped-persistence", damping)
    assert run(damped, record) == pytest.approx([2 + 0.5 * 1.5 * 4, 3 + 0.25 * 1.5 * 4])


@pytest.mark.parametrize("method", METHODS)
def test_later_months_are_not_read(record, method):
    init = month("2012-06")
    fitted = fit_reference(method, record.until(init), 3)
    seen = fitted.forecast(record, init, n_members=3, rng=np.random.default_rng(1))
    blind = fitted.forecast(record.until(init), init, n_members=3, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(seen.members, blind.members)
    np.testing.assert_array_equal(seen.mean, blind.mean)
    assert np.isnan(seen.members[:, :, ~record.ocean]).all()
    assert np.isfinite(seen.members[:, :, record.ocean]).all()


def test_members_spread_as_far_as_the_errors_were(record):
    fitted = fit_reference("damped-persistence", record, 3)
    rng = np.random.default_rng(2)
    forecast = fitted.forecast(record, record.last_month, n_members=400, rng=rng)
    spread = forecast.members[:, 0, record.ocean].std(axis=0)
    # An anomaly with memory 0.8 and noise 0.6 errs by 0.6 at lead 1.
    assert spread.mean() == pytest.approx(0.6, rel=0.15)
    regional = forecast.members[:, 0, record.ocean].mean(axis=1).std()
    assert regional == pytest.approx(0.6 / np.sqrt(record.ocean.sum()), rel=0.5)


def test_another_mask_is_refused_with_every_difference(record):
    fitted = fit_reference("climatology", record, 2)
    ocean = record.ocean.copy()
    ocean[5, 5] = False
    other = FluxRecord(record.grid, ocean, record.first_month, record.fco2)
    with pytest.raises(IncompatibleModelError, match=r"ocean_cells: 89 instead of 90.*sha256"):
        fitted.forecast(other, other.last_month, n_members=1, rng=np.random.default_rng(0))


def test_a_month_that_is_not_there_is_named(record):
    fitted = fit_reference("persistence", record, 2)
    with pytest.raises(NotEnoughMonthsError, match="2030-01"):
        fitted.forecast(record, month("2030-01"), n_members=1, rng=np.random.default_rng(0))


def test_an_unknown_method_lists_the_known_ones(record):
    with pytest.raises(UnknownMethodError, match="damped-persistence"):
        fit_reference("oracle", record, 2)
