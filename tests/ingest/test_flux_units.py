"""Constants of the flux, derived by a units library."""

import re

import pint
import pytest

from ingest.flux.bulk import TO_MMOL_PER_M2_PER_DAY
from ingest.flux.gas_transfer import TRANSFER_VELOCITIES
from ingest.flux.solubility import _GAS_CONSTANT, KELVIN_AT_0_CELSIUS, PASCAL_PER_ATM
from ingest.quantities import QUANTITIES

UNITS: pint.UnitRegistry = pint.UnitRegistry()
VELOCITY = UNITS.Quantity(1.0, "cm / hour")
SOLUBILITY = UNITS.Quantity(1.0, "mol / litre / atm")


def units_of(quantity: str) -> pint.Quantity:
    """Return 1 in the units of a quantity, whose powers are written m-2."""
    text = re.sub(r"(?<=[a-z])(-?\d)", r"**\1", QUANTITIES[quantity].units)
    return UNITS.Quantity(1.0, text.replace(" ", " * "))


@pytest.mark.parametrize("gas", ["pco2_sea", "pco2_air", "fugacity_sea", "fugacity_air"])
def test_velocity_times_solubility_times_pressure_is_a_flux(gas: str) -> None:
    flux = (VELOCITY * SOLUBILITY * units_of(gas)).to(units_of("fco2").units)
    assert flux.magnitude == pytest.approx(TO_MMOL_PER_M2_PER_DAY, rel=1e-12)


def test_solubility_per_kilogram_would_not_be_a_flux() -> None:
    per_kg = UNITS.Quantity(1.0, "mol / kg / atm")
    with pytest.raises(pint.DimensionalityError):
        (VELOCITY * per_kg * units_of("pco2_sea")).to(units_of("fco2").units)


def test_a_transfer_velocity_takes_the_moments_of_the_wind_in_the_units_they_have() -> None:
    nightingale = TRANSFER_VELOCITIES["nightingale-2000"]
    quadratic = UNITS.Quantity(nightingale.quadratic, "cm / hour / (m / s) ** 2")
    linear = UNITS.Quantity(nightingale.linear, "cm / hour / (m / s)")
    velocity = quadratic * 70 * units_of("wind_speed_squared") + linear * 8 * units_of("wind_speed")
    assert velocity.to("cm / hour").magnitude == pytest.approx(0.222 * 70 + 0.333 * 8)


def test_dry_air_and_pressure_make_the_units_of_co2_in_the_sea() -> None:
    partial = units_of("xco2_air") * UNITS.Quantity(1.0, "atm")
    assert partial.to(units_of("pco2_sea").units).magnitude == pytest.approx(1.0, rel=1e-12)


def test_constants_are_those_of_the_units_library() -> None:
    one_pascal = units_of("pressure")
    assert (1 / one_pascal.to("atm")).magnitude == pytest.approx(PASCAL_PER_ATM)
    assert UNITS.Quantity(0.0, "degC").to("kelvin").magnitude == pytest.approx(KELVIN_AT_0_CELSIUS)
    gas_constant = UNITS.Quantity(1.0, "molar_gas_constant").to("cm ** 3 * atm / mol / K")
    assert gas_constant.magnitude == pytest.approx(_GAS_CONSTANT, rel=1e-7)
