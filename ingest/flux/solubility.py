"""CO2 in seawater and in the moist air above it: solubility, partial pressure, fugacity.

Every function takes and returns numpy arrays (or numbers) that broadcast against each other.
"""

import numpy as np
from numpy.typing import ArrayLike

KELVIN_AT_0_CELSIUS = 273.15
STANDARD_PRESSURE_ATM = 1.0
PASCAL_PER_ATM = 101_325.0

# Weiss (1974), Table I: A1, A2, A3, B1, B2, B3.
_WEISS_PER_KG = (-60.2409, 93.4517, 23.3585, 0.023517, -0.023656, 0.0047036)
_WEISS_PER_LITRE = (-58.0931, 90.5069, 22.2940, 0.027766, -0.025888, 0.0050578)
# Weiss (1974): second virial coefficient of CO2 (equation 6, powers 0 to 3 of the temperature in K)
# and its cross term with air (equation 11), cm3 mol-1.
_VIRIAL_CO2 = (-1636.75, 12.0408, -3.27957e-2, 3.16528e-5)
_VIRIAL_CO2_AIR = (57.7, -0.118)
_GAS_CONSTANT = 82.057366  # cm3 atm mol-1 K-1


def solubility(sst: ArrayLike, sss: ArrayLike, *, per: str = "litre") -> np.ndarray:
    """Return the solubility K0 of CO2 in seawater (Weiss 1974, Marine Chemistry 2, 203-215).

    Parameters
    ----------
    sst
        Temperature of the water, °C.
    sss
        Practical salinity.
    per
        ``litre`` for mol l-1 atm-1, ``kg`` for mol kg-1 atm-1 (the paper's Table III).
    """
    a1, a2, a3, b1, b2, b3 = {"litre": _WEISS_PER_LITRE, "kg": _WEISS_PER_KG}[per]
    hundreds = (np.asarray(sst) + KELVIN_AT_0_CELSIUS) / 100
    salting = np.asarray(sss) * (b1 + b2 * hundreds + b3 * hundreds**2)
    return np.exp(a1 + a2 / hundreds + a3 * np.log(hundreds) + salting)


def water_vapour_pressure(sst: ArrayLike, sss: ArrayLike) -> np.ndarray:
    """Return the saturation pressure of water vapour over seawater, atm (Weiss and Price 1980).

    Marine Chemistry 8, 347-359, equation 10.

    Parameters
    ----------
    sst
        Temperature of the water, °C.
    sss
        Practical salinity.
    """
    hundreds = (np.asarray(sst) + KELVIN_AT_0_CELSIUS) / 100
    exponent = 24.4543 - 67.4509 / hundreds - 4.8489 * np.log(hundreds)
    return np.exp(exponent - 0.000544 * np.asarray(sss))


def pco2_of_air(
    xco2: ArrayLike,
    sst: ArrayLike,
    sss: ArrayLike,
    *,
    pressure_atm: ArrayLike = STANDARD_PRESSURE_ATM,
) -> np.ndarray:
    """Return the partial pressure of CO2 in air that is moist at the sea surface, uatm.

    Parameters
    ----------
    xco2
        Mole fraction of CO2 in dry air, ppm.
    sst, sss
        Temperature (°C) and practical salinity of the water.
    pressure_atm
        Pressure at sea level, atm.
    """
    return np.asarray(xco2) * (np.asarray(pressure_atm) - water_vapour_pressure(sst, sss))


def fugacity_coefficient(
    temperature: ArrayLike, *, pressure_atm: ArrayLike = STANDARD_PRESSURE_ATM
) -> np.ndarray:
    """Return the fugacity of CO2 over its partial pressure, near 0.997 (Weiss 1974, equation 9).

    The fraction of other gases than CO2 is taken as 1: at 1000 ppm that changes the result by
    less than 1e-5.

    Parameters
    ----------
    temperature
        Temperature of the gas, °C.
    pressure_atm
        Total pressure, atm.
    """
    kelvin = np.asarray(temperature) + KELVIN_AT_0_CELSIUS
    b0, b1, b2, b3 = _VIRIAL_CO2
    pure = b0 + kelvin * (b1 + kelvin * (b2 + kelvin * b3))
    with_air = _VIRIAL_CO2_AIR[0] + _VIRIAL_CO2_AIR[1] * kelvin
    return np.exp((pure + 2 * with_air) * np.asarray(pressure_atm) / (_GAS_CONSTANT * kelvin))
