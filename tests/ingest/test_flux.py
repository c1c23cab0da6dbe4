"""The bulk formula and the formulas that it is made of, against published and worked values."""

import csv
from pathlib import Path

import numpy as np
import pytest

from ingest.flux.bulk import pco2_of_air, sea_air_flux
from ingest.flux.gas_transfer import (
    TRANSFER_VELOCITIES,
    mean_wind,
    schmidt_number,
    second_moment_of_wind,
    transfer_velocity,
)
from ingest.flux.solubility import fugacity_coefficient, solubility, water_vapour_pressure


def test_the_worked_value_of_the_bulk_formula() -> None:
    flux = sea_air_flux(pco2_sea=350.0, pco2_air=400.0, sst=20.0, sss=35.0, wind_squared=64.0)
    assert float(flux) == pytest.approx(-6.36, abs=0.005)


def test_flux_goes_into_the_sea_where_the_air_has_more_and_stops_under_ice() -> None:
    flux = sea_air_flux(
        pco2_sea=np.array([300.0, 500.0, 300.0]),
        ice_fraction=np.array([0.0, 0.0, 1.0]),
        pco2_air=400.0,
        sst=10.0,
        sss=34.0,
        wind_squared=50.0,
    )
    assert list(np.sign(flux)) == [-1, 1, 0]


def test_a_cool_skin_lets_more_co2_into_the_sea() -> None:
    """0.24 · k(19.83) · (K0(20) − K0(19.83)) · 400, with k = 0.251 · 64 · sqrt(660 / 674.06)."""
    cool = sea_air_flux(
        pco2_sea=400.0, pco2_air=400.0, sst=20.0, sst_skin=19.83, sss=35.0, wind_squared=64.0
    )
    solubilities = solubility(20.0, 35.0) - solubility(19.83, 35.0)
    assert float(cool) == pytest.approx(0.24 * 15.896 * float(solubilities) * 400.0, rel=1e-4)
    assert -0.30 < cool < -0.20


def test_solubility_agrees_with_the_published_table(shared_data: Path) -> None:
    """Weiss (1974), Table III: 1e-2 mol kg-1 atm-1 by temperature and salinity, three decimals."""
    with (shared_data / "tables" / "weiss1974_tableIII.csv").open() as table:
        header, *rows = csv.reader(table)
    compared = 0
    for temperature, *values in rows:
        for salinity, value in zip(header[1:], values, strict=True):
            if value:
                ours = 100 * solubility(float(temperature), float(salinity), per="kg")
                assert float(ours) == pytest.approx(float(value), abs=5e-4)
                compared += 1
    assert compared > 200


def test_a_litre_of_seawater_dissolves_more_than_a_kilogram_by_its_density() -> None:
    ratio = solubility(20.0, 35.0) / solubility(20.0, 35.0, per="kg")
    assert float(ratio) == pytest.approx(1.0248, abs=5e-4)


@pytest.mark.parametrize(
    ("source", "sst", "expected"),
    [
        ("wanninkhof-2014", 20.0, 668.3),
        ("wanninkhof-2014", 0.0, 2116.8),
        ("wanninkhof-1992", 20.0, 666.0),
        ("wanninkhof-1992", 0.0, 2073.1),
    ],
)
def test_the_schmidt_number_is_the_published_one(source: str, sst: float, expected: float) -> None:
    assert float(schmidt_number(sst, source)) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # ⟨U⟩ 8 m s-1 and ⟨U²⟩ 70 m2 s-2 at 20 °C, where Sc is 668.344 (1992: 665.988).
        ("wanninkhof-2014", 17.460),  # 0.251 · 70 · sqrt(660 / 668.344)
        ("wanninkhof-1992", 21.602),  # 0.31 · 70 · sqrt(660 / 665.988)
        ("nightingale-2000", 17.248),  # (0.222 · 70 + 0.333 · 8) · sqrt(600 / 668.344)
        ("ho-2006", 17.642),  # 0.266 · 70 · sqrt(600 / 668.344)
        ("sweeney-2007", 18.782),  # 0.27 · 70 · sqrt(660 / 668.344)
    ],
)
def test_each_transfer_velocity_is_the_published_one(name: str, expected: float) -> None:
    velocity = transfer_velocity(70.0, 20.0, wind=8.0, parametrisation=name)
    assert float(velocity) == pytest.approx(expected, abs=0.001)


def test_the_linear_term_takes_the_mean_of_rayleigh_winds_where_none_is_given() -> None:
    estimated = transfer_velocity(64.0, 20.0, parametrisation="nightingale-2000")
    given = transfer_velocity(
        64.0, 20.0, wind=8 * np.sqrt(np.pi / 4), parametrisation="nightingale-2000"
    )
    assert float(estimated) == pytest.approx(float(given), rel=1e-12)


def test_the_moments_of_rayleigh_winds_are_those_of_a_sample() -> None:
    winds = np.random.default_rng(1).rayleigh(scale=6.0, size=200_000)
    assert float(second_moment_of_wind(winds.mean())) == pytest.approx((winds**2).mean(), rel=0.01)
    assert float(mean_wind((winds**2).mean())) == pytest.approx(winds.mean(), rel=0.01)


def test_the_factor_of_1992_for_mean_winds_is_that_for_short_winds_by_rayleigh() -> None:
    """Wanninkhof (1992) gives 0.39 for long-term mean winds, to two digits."""
    factor = TRANSFER_VELOCITIES["wanninkhof-1992"].quadratic * second_moment_of_wind(1.0)
    assert float(factor) == pytest.approx(0.39, abs=0.006)


def test_moist_air_holds_less_co2_than_dry_air() -> None:
    """Weiss and Price (1980): 0.02262 atm of vapour at 20 °C and salinity 35."""
    assert float(water_vapour_pressure(20.0, 35.0)) == pytest.approx(0.02262, abs=1e-5)
    assert float(pco2_of_air(400.0, 20.0, 35.0)) == pytest.approx(390.95, abs=0.01)
    assert float(pco2_of_air(400.0, 20.0, 35.0, pressure_atm=0.98)) == pytest.approx(
        390.95 - 8.0, abs=0.01
    )


def test_the_fugacity_of_co2_is_that_of_the_handbook() -> None:
    """Dickson et al. (2007), SOP 24: 350 uatm at 25 °C and 1 atm are 348.9 uatm of fugacity."""
    assert float(350 * fugacity_coefficient(25.0)) == pytest.approx(348.88, abs=0.01)
    assert float(fugacity_coefficient(0.0)) < float(fugacity_coefficient(30.0)) < 1
