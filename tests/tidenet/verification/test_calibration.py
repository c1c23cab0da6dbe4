"""Spread factors, the shape of errors, and the check on regional means."""

import numpy as np
import pytest
from scipy.signal import lfilter

from storage.grid import Grid
from storage.months import month
from tidenet.climatology import fit_climatology
from tidenet.record import FluxRecord
from tidenet.verification.calibration import (
    NoHindcastsError,
    SpreadFactors,
    fit_spread_factors,
    variance_ratios,
)
from tidenet.verification.monthly import season_of

INNER, OUTER = 0.67448975, 1.64485363
"""Half widths of the central 50 and 90 % intervals of the standard normal."""

FIRST = month("2010-01")
LEADS = 4
CELLS = 30
AREA = np.ones((1, CELLS))
UNIT = np.ones((LEADS, 1, CELLS))


def months(n: int) -> np.ndarray:
    return FIRST + np.arange(n)


def errors_of(rng, n: int, sd: np.ndarray, unrest: float = 0.3) -> np.ndarray:
    """Errors (month, lead, 1, cell) of sd (lead, season), calm and restless months in turns."""
    calm = lfilter([np.sqrt(1 - 0.49)], [1, -0.7], rng.standard_normal(n + 50))[50:]
    size = np.exp(unrest * calm - unrest**2)
    common = rng.standard_normal((n, LEADS, 1, 1))
    local = rng.standard_normal((n, LEADS, 1, CELLS))
    errors = (np.sqrt(0.3) * common + np.sqrt(0.7) * local) * size[:, None, None, None]
    valid = months(n)[:, None] + np.arange(1, LEADS + 1)
    return errors * sd[np.arange(LEADS), season_of(valid)][..., None, None]


def fitted(errors: np.ndarray) -> SpreadFactors:
    return fit_spread_factors(variance_ratios(errors, UNIT, AREA), months(len(errors)))


def spread_of(factors: SpreadFactors, first: int, n: int) -> np.ndarray:
    valid = FIRST + first + np.arange(n)[:, None] + np.arange(1, LEADS + 1)
    return np.stack([factors.at(row) for row in valid])[..., None, None]


def covered(sd: np.ndarray, n_fit: int, trials: int = 60) -> tuple[float, float]:
    """Coverage of the calibrated 50 and 90 % intervals in months that were not fitted on."""
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(trials):
        errors = errors_of(rng, n_fit + 60, sd)
        size = np.abs(errors[n_fit:]) / spread_of(fitted(errors[:n_fit]), n_fit, 60)
        inside.append([(size < INNER).mean(), (size < OUTER).mean()])
    half, most = np.mean(inside, axis=0)
    return float(half), float(most)


def test_intervals_of_later_months_cover_once_calibrated():
    sd = 1.4 * np.array([0.9, 1.0, 1.1, 1.2])[:, None] * np.array([[1.1, 0.9, 1.1, 0.9]])
    half, most = covered(sd, 48)
    assert half == pytest.approx(0.5, abs=0.05)
    assert most == pytest.approx(0.9, abs=0.03)


def test_twenty_months_calibrate_nearly_as_well_and_do_no_harm_where_nothing_is_wrong():
    assert covered(1.4 * np.ones((LEADS, 4)), 20)[1] > 0.86
    assert covered(np.ones((LEADS, 4)), 20)[1] > 0.87


def test_factors_find_lead_and_season_where_years_tell():
    lead, season = np.array([0.7, 0.9, 1.1, 1.3]), np.array([1.25, 0.8, 1.25, 0.8])
    sd = lead[:, None] * season
    found = fitted(errors_of(np.random.default_rng(1), 240, sd, unrest=0.1))
    assert found.factor == pytest.approx(sd, rel=0.16)
    assert (found.factor / sd).mean() == pytest.approx(1, abs=0.05)
    assert found.n_months == 240
    assert found.standard_error < 0.05


def test_seasons_that_do_not_differ_are_given_their_leads_factor():
    found = fitted(errors_of(np.random.default_rng(2), 120, np.full((LEADS, 4), 1.2)))
    assert found.factor.std(axis=1).max() < 0.06
    assert found.factor.mean() == pytest.approx(1.2, rel=0.1)


def test_the_less_is_known_the_closer_to_one():
    ratios = np.full((60, LEADS), 2.25)
    few, more = (fit_spread_factors(ratios[:n], months(n)).factor.mean() for n in (8, 60))
    assert 1.1 < few < more < 1.5
    assert fit_spread_factors(ratios[:8], months(8)).unshrunk == pytest.approx(1.5)


def test_one_odd_year_does_not_set_the_spread():
    rng = np.random.default_rng(3)
    errors = errors_of(rng, 60, np.ones((LEADS, 4)))
    calm = fitted(errors).factor.mean()
    errors[12:24] *= 4
    odd = fitted(errors)
    assert odd.factor.mean() < 1.3 * calm
    assert odd.unshrunk.mean() > 1.7 * calm


def test_ratios_by_hand_leave_out_what_has_no_weight():
    errors = np.array([[[[2.0, np.nan, 1.0]]], [[[3.0, 9.0, 1.0]]]])
    variance = np.array([[[4.0, np.nan, 1.0]]])
    found = variance_ratios(errors, variance, np.array([[3.0, 0.0, 1.0]]))
    assert found == pytest.approx(np.array([[1.0], [(3 * 9 / 4 + 1) / 4]]))
    none = variance_ratios(errors, variance, np.zeros((2, 1, 1, 3)))
    assert np.isnan(none).all()


def test_months_without_an_observation_are_left_out_and_none_at_all_is_refused():
    ratios = np.full((24, LEADS), 1.44)
    ratios[20:, 3] = np.nan
    found = fit_spread_factors(ratios, months(24))
    assert found.factor == pytest.approx(np.full((LEADS, 4), found.factor[0, 0]), rel=1e-3)
    with pytest.raises(NoHindcastsError, match="0 hindcasts"):
        fit_spread_factors(np.full((24, LEADS), np.nan), months(24))


def real_record(folder) -> FluxRecord:
    import h5netcdf

    fields = []
    for path in sorted((folder / "fco2_1deg").glob("*.nc")):
        with h5netcdf.File(path) as file:
            fields.append(np.squeeze(file["fco2"][...]))
            lat, lon = file["lat"][:], file["lon"][:]
    fco2 = np.array(fields, dtype=np.float32)
    fco2 = fco2 if lat[0] < lat[-1] else fco2[:, ::-1]
    ocean = (fco2 > -9000).all(axis=0)
    grid = Grid("east-asia", lat.min() - 0.5, lon.min() - 0.5, 1.0, len(lat), len(lon))
    return FluxRecord(grid, ocean, month("2010-01"), np.where(ocean, fco2, np.nan))


def test_two_real_years_calibrate_the_climatology_of_six_for_the_years_after(shared_data):
    """Its own spread is far too small: six years know neither its mean nor its trend."""
    record = real_record(shared_data)
    climatology = fit_climatology(record.until(month("2015-12")))
    errors = np.stack(
        [climatology.standardise(record.fco2[p], record.months[p]) for p in range(72, 128)]
    )[:, None]
    held_out, later = errors[:24], errors[24:]
    ratios = variance_ratios(held_out, np.ones((1, *record.grid.shape)), record.weight)
    init_months = record.months[71:]
    factors = fit_spread_factors(ratios, init_months[:24])
    factor = np.stack([factors.at(init + np.ones(1, int)) for init in init_months[:-1]])
    calibrated = errors / factor[..., None, None]
    weight = np.broadcast_to(record.weight, later.shape)
    for width, level in ((INNER, 0.5), (OUTER, 0.9)):
        before, after = (
            np.average(np.abs(np.nan_to_num(z)) < width, weights=weight)
            for z in (later, calibrated[24:])
        )
        assert before < level - 0.04
        assert after == pytest.approx(level, abs=0.06)
