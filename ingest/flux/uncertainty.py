"""First-order propagation of the errors of drivers into the flux.

An error that moves several drivers at once (that of the wind moves both of its moments) is one
direction in which they are displaced together; errors of different origin are independent. The
variance of the flux is the sum of its squared changes along these directions (GUM, JCGM 100:2008,
5.1 and 5.2), with derivatives taken numerically, so that they fit whatever formula is chosen.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from ingest.flux.drivers import State
from ingest.flux.gas_transfer import RAYLEIGH
from ingest.flux.options import FluxOptions

Direction = dict[str, np.ndarray]

# Part of a standard error that is stepped: small enough to be a derivative, large enough for
# float64.
_STEP = 1e-4


def error_directions(
    state: State, delivered: Iterable[str], errors: Mapping[str, np.ndarray], options: FluxOptions
) -> tuple[Direction, ...]:
    """Return the independent errors of a complete set of drivers, one standard error each.

    Temperature, salinity, pressure and ice count where an error of theirs is delivered; those of
    CO2 in sea and air, of the wind and of a skin count always, from the options where need be.

    Parameters
    ----------
    state
        From `ingest.flux.drivers.complete_drivers`.
    delivered
        Names of the drivers that were delivered; the others were filled in.
    errors
        From `ingest.flux.drivers.checked_errors`.
    options
        Where errors come from that are not delivered.
    """
    names = set(delivered)
    directions = []
    for name in state:
        if name.startswith(("pco2_", "fugacity_", "xco2_")):
            default = options.sea_uncertainty if name.endswith("_sea") else options.air_uncertainty
            directions.append({name: _error(name, errors, default)})
        elif name in ("sss", "pressure", "ice_fraction") and name in names and name in errors:
            directions.append({name: _error(name, errors, 0.0)})
    directions += _of_temperature(names, errors, options)
    directions += _of_wind(state, names, errors, options)
    return tuple(directions)


def _error(name: str, errors: Mapping[str, np.ndarray], default: np.ndarray | float) -> np.ndarray:
    if name not in errors:
        return np.asarray(default)
    return np.where(np.isnan(errors[name]), default, errors[name])


def _of_temperature(
    names: set[str], errors: Mapping[str, np.ndarray], options: FluxOptions
) -> list[Direction]:
    own_skin = options.skin == "delivered"
    directions = []
    if "sst" in names and "sst" in errors:
        warmer = _error("sst", errors, 0.0)
        # A skin that is derived from sst is as wrong as sst is.
        directions.append({"sst": warmer} if own_skin else {"sst": warmer, "sst_skin": warmer})
    if own_skin:
        directions.append({"sst_skin": _error("sst_skin", errors, options.skin_uncertainty)})
    elif options.skin == "constant":
        directions.append({"sst_skin": np.asarray(options.skin_uncertainty)})
    return directions


def _of_wind(
    state: State, names: set[str], errors: Mapping[str, np.ndarray], options: FluxOptions
) -> list[Direction]:
    mean, squared = state["wind_speed"], state["wind_speed_squared"]
    estimated = "wind_speed_squared" not in names
    of_mean = _error("wind_speed", errors, options.wind_uncertainty)
    # An offset of every wind by d moves the mean of U² by 2 ⟨U⟩ d; an estimate moves as estimated.
    of_squared = 2 * mean * of_mean * (RAYLEIGH if estimated else 1.0)
    of_squared = _error("wind_speed_squared", errors, of_squared)
    directions = [{"wind_speed": of_mean, "wind_speed_squared": of_squared}]
    relative = options.second_moment_uncertainty
    if estimated:
        directions.append({"wind_speed_squared": relative * squared})
    elif "wind_speed" not in names:
        # The mean goes with the root of the second moment.
        directions.append({"wind_speed": relative / 2 * mean})
    return directions


def propagate(
    function: Callable[[State], np.ndarray],
    state: State,
    value: np.ndarray,
    directions: Iterable[Direction],
) -> np.ndarray:
    """Return the variance of a function of independently erroneous arguments.

    Parameters
    ----------
    function
        From a state to an array.
    state
        Its argument.
    value
        Its value there, ``function(state)``.
    directions
        Displacements of the state by one standard error each.
    """
    variance = np.zeros_like(value)
    for direction in directions:
        displaced = {name: state[name] + _STEP * error for name, error in direction.items()}
        variance += ((function({**state, **displaced}) - value) / _STEP) ** 2
    return variance
