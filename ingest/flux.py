"""Sea-air CO2 flux from its drivers, by the bulk formula.

F = k · K0 · (pCO2 in the sea − pCO2 in the air) · (1 − ice)

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
# Wanninkhof (2014), Table 1: CO2 in seawater, powers 0 to 4 of the temperature in °C.
_SCHMIDT_CO2 = (2116.8, -136.25, 4.7353, -0.092307, 0.0007555)
_WANNINKHOF_2014 = 0.251  # cm h-1 per m2 s-2
# k (cm h-1) · K0 (mol l-1 atm-1) · ΔpCO2 (uatm) in mmol m-2 d-1:
# 0.01 m/cm · 24 h/d · 1000 l/m3 · 1e-6 atm/uatm · 1000 mmol/mol.
_TO_MMOL_PER_M2_PER_DAY = 0.24


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


def schmidt_number(sst: ArrayLike) -> np.ndarray:
    """Return the Schmidt number of CO2 in seawater of salinity 35 (Wanninkhof 2014).

    Limnology and Oceanography: Methods 12, 351-362; valid from -2 to 40 °C. 668 at 20 °C.

    Parameters
    ----------
    sst
        Temperature of the water, °C.
    """
    t = np.asarray(sst)
    c0, c1, c2, c3, c4 = _SCHMIDT_CO2
    return c0 + t * (c1 + t * (c2 + t * (c3 + t * c4)))


def transfer_velocity(wind_squared: ArrayLike, sst: ArrayLike) -> np.ndarray:
    """Return the gas transfer velocity k of CO2, cm h-1 (Wanninkhof 2014).

    Parameters
    ----------
    wind_squared
        Second moment of the wind speed at 10 m, the mean of U², m2 s-2. The square of a monthly
        mean wind is smaller and gives a flux that is too weak.
    sst
        Temperature of the water, °C.
    """
    return _WANNINKHOF_2014 * np.asarray(wind_squared) * (schmidt_number(sst) / 660) ** -0.5


def water_vapour_pressure(sst: ArrayLike, sss: ArrayLike) -> np.ndarray:
    """Return the saturation pressure of water vapour over seawater, atm (Weiss and Price 1980).

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


def sea_air_flux(
    *,
    pco2_sea: ArrayLike,
    pco2_air: ArrayLike,
    sst: ArrayLike,
    sss: ArrayLike,
    wind_squared: ArrayLike,
    ice_fraction: ArrayLike = 0.0,
) -> np.ndarray:
    """Return the flux of CO2 out of the sea, mmol m-2 d-1.

    Parameters
    ----------
    pco2_sea, pco2_air
        Partial pressure of CO2 in the water and in the moist air above it, uatm.
    sst, sss
        Temperature (°C) and practical salinity of the water.
    wind_squared
        Second moment of the wind speed at 10 m, m2 s-2.
    ice_fraction
        Part of the cell under ice, 0 to 1.
    """
    exchange = transfer_velocity(wind_squared, sst) * solubility(sst, sss)
    difference = np.asarray(pco2_sea) - np.asarray(pco2_air)
    return _TO_MMOL_PER_M2_PER_DAY * exchange * difference * (1 - np.asarray(ice_fraction))
