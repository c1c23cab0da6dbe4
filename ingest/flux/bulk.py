"""Sea-air CO2 flux from its drivers, by the bulk formula.

F = k · (K0 · pCO2 in the sea − K0 at the skin · pCO2 in the air) · (1 − ice)

Without a skin both solubilities are the same: F = k · K0 · ΔpCO2 · (1 − ice). With one, the air
meets water at the temperature of the skin, while what comes from the sea was dissolved below it
(Woolf et al. 2016, Journal of Geophysical Research: Oceans 121, 1229-1248); the salty skin, a
weaker effect, is left out. k is taken at the temperature of the skin: the layer that limits the
exchange of gas is thinner than it.

The formulas are few and written out in `ingest.flux.solubility` and `ingest.flux.gas_transfer`.
PyCO2SYS 1.8.3 gives the same numbers, knows no transfer velocity and is under the GPL; pySeaFlux
2.2.1 divides K0 by the pressure of dry air and misses Weiss's table by 0.6 to 8 %.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ingest.flux.drivers import (
    AIR,
    SEA,
    MissingDriverError,
    State,
    checked_errors,
    chosen,
    complete_drivers,
    missing_drivers,
)
from ingest.flux.gas_transfer import DEFAULT_TRANSFER_VELOCITY, transfer_velocity
from ingest.flux.options import FluxOptions
from ingest.flux.solubility import PASCAL_PER_ATM, fugacity_coefficient, pco2_of_air, solubility
from ingest.flux.uncertainty import error_directions, propagate

__all__ = [
    "FluxEstimate",
    "FluxOptions",
    "MissingDriverError",
    "flux_from_drivers",
    "missing_drivers",
    "pco2_of_air",
    "sea_air_flux",
]

# k (cm h-1) · K0 (mol l-1 atm-1) · pCO2 (uatm) in mmol m-2 d-1:
# 0.01 m/cm · 24 h/d · 1000 l/m3 · 1e-6 atm/uatm · 1000 mmol/mol.
TO_MMOL_PER_M2_PER_DAY = 0.24


@dataclass(frozen=True)
class FluxEstimate:
    """A flux with its error.

    Parameters
    ----------
    fco2
        float32 (lat, lon), mmol m-2 d-1, positive out of the sea; NaN where a driver is missing.
    uncertainty
        float32 (lat, lon), one standard error of fco2, mmol m-2 d-1; NaN where fco2 is.
    """

    fco2: np.ndarray
    uncertainty: np.ndarray


def sea_air_flux(
    *,
    pco2_sea: ArrayLike,
    pco2_air: ArrayLike,
    sst: ArrayLike,
    sss: ArrayLike,
    wind_squared: ArrayLike,
    ice_fraction: ArrayLike = 0.0,
    sst_skin: ArrayLike | None = None,
    wind: ArrayLike | None = None,
    parametrisation: str = DEFAULT_TRANSFER_VELOCITY,
) -> np.ndarray:
    """Return the flux of CO2 out of the sea, mmol m-2 d-1.

    Parameters
    ----------
    pco2_sea, pco2_air
        Partial pressure of CO2 in the water and in the moist air above it, or both as fugacity,
        uatm.
    sst, sss
        Temperature (°C) and practical salinity of the water.
    wind_squared
        Second moment of the wind speed at 10 m, m2 s-2.
    ice_fraction
        Part of the cell under ice, 0 to 1.
    sst_skin
        Temperature of the water's skin, °C; None: as below it.
    wind, parametrisation
        As in `ingest.flux.gas_transfer.transfer_velocity`.
    """
    surface = sst if sst_skin is None else sst_skin
    velocity = transfer_velocity(wind_squared, surface, wind=wind, parametrisation=parametrisation)
    below = solubility(sst, sss)
    if sst_skin is None:
        dissolved = below * (np.asarray(pco2_sea) - np.asarray(pco2_air))
    else:
        dissolved = below * np.asarray(pco2_sea) - solubility(sst_skin, sss) * np.asarray(pco2_air)
    return TO_MMOL_PER_M2_PER_DAY * velocity * dissolved * (1 - np.asarray(ice_fraction))


def flux_from_drivers(
    drivers: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray], options: FluxOptions
) -> FluxEstimate:
    """Compute the flux of one month, and its standard error, from what a product delivers.

    Parameters
    ----------
    drivers
        Arrays (lat, lon), or what broadcasts to it, by quantity and in its units
        (`ingest.quantities.QUANTITIES`); NaN where missing. Of CO2 in the sea and in the air, what
        needs no conversion is preferred, and xCO2 comes last. Quantities that are no driver are
        left out.
    errors
        Standard errors of drivers, likewise; where there is none, that of the options counts.
    options
        How the flux is computed.

    Raises
    ------
    MissingDriverError
        If a driver is missing that the options do not fill in.
    ImpossibleValuesError
        If a driver or an error has values that cannot be, such as a temperature of 290 °C.
    GridMismatchError
        If the arrays do not fit each other.
    """
    state = complete_drivers(drivers, options)
    known = checked_errors(errors, {name: state[name] for name in state if name in drivers})

    def flux(at: State) -> np.ndarray:
        return _flux(at, options)

    value = flux(state)
    directions = error_directions(state, drivers.keys(), known, options)
    variance = propagate(flux, state, value, directions)
    variance += (options.relative_error_of_k * value) ** 2
    return FluxEstimate(value.astype(np.float32), np.sqrt(variance).astype(np.float32))


def _flux(state: State, options: FluxOptions) -> np.ndarray:
    """Return the flux of a complete set of drivers, mmol m-2 d-1."""
    return sea_air_flux(
        pco2_sea=_in_sea(state, options.difference),
        pco2_air=_in_air(state, options.difference),
        sst=state["sst"],
        sss=state["sss"],
        wind_squared=state["wind_speed_squared"],
        ice_fraction=state["ice_fraction"],
        sst_skin=None if options.skin == "none" else state["sst_skin"],
        wind=state["wind_speed"],
        parametrisation=options.transfer_velocity,
    )


def _in_sea(state: State, wanted: str) -> np.ndarray:
    """Return CO2 in the water as partial pressure or fugacity, uatm."""
    name = str(chosen(state, SEA[wanted]))
    return state[name] * _conversion(name, wanted, state["sst"], state["pressure"])


def _in_air(state: State, wanted: str) -> np.ndarray:
    """Return CO2 in moist air at the temperature of the skin, uatm."""
    name = str(chosen(state, AIR[wanted]))
    amount = state[name]
    if name == "xco2_air":
        pressure = state["pressure"] / PASCAL_PER_ATM
        amount = pco2_of_air(amount, state["sst_skin"], state["sss"], pressure_atm=pressure)
    return amount * _conversion(name, wanted, state["sst_skin"], state["pressure"])


def _conversion(
    name: str, wanted: str, temperature: np.ndarray, pressure: np.ndarray
) -> np.ndarray | float:
    """Return the factor from a delivered quantity to a partial pressure or a fugacity."""
    delivered = "fugacity" if name.startswith("fugacity") else "pressure"
    if delivered == wanted:
        return 1.0
    coefficient = fugacity_coefficient(temperature, pressure_atm=pressure / PASCAL_PER_ATM)
    return coefficient if wanted == "fugacity" else 1 / coefficient
