"""The drivers of a flux: which are needed, whether they can be true, and filled in by the options.

What leaves this module is a complete set of float64 arrays under the names of
`ingest.quantities.QUANTITIES`, in their units.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from ingest.errors import GridMismatchError, ImpossibleValuesError, RefusedFileError
from ingest.flux.gas_transfer import mean_wind, second_moment_of_wind
from ingest.flux.options import FluxOptions
from ingest.quantities import QUANTITIES

State = Mapping[str, np.ndarray]
"""A complete set of drivers."""

# The first that is delivered is used: what needs no conversion comes first.
SEA = {"pressure": ("pco2_sea", "fugacity_sea"), "fugacity": ("fugacity_sea", "pco2_sea")}
AIR = {
    "pressure": ("pco2_air", "fugacity_air", "xco2_air"),
    "fugacity": ("fugacity_air", "pco2_air", "xco2_air"),
}
_WIND = ("wind_speed_squared", "wind_speed")
_USED = ("sst", "sst_skin", "sss", "pressure", "ice_fraction", *_WIND)
# Values are packed: a limit may be missed by this part of the range.
_ROUNDING = 1e-4
# ⟨U²⟩ is at least ⟨U⟩². Rounding may hide that in a few cells, wrong variables in most.
_WIND_ROUNDING, _WIND_CELLS = 0.02, 0.01


class MissingDriverError(RefusedFileError):
    """A driver that the flux cannot be computed without is not delivered."""

    check = "drivers"


def chosen(names: Collection[str], candidates: tuple[str, ...]) -> str | None:
    """Return the first of the candidates that is among the names, or None."""
    return next((name for name in candidates if name in names), None)


def missing_drivers(names: Collection[str], options: FluxOptions) -> tuple[str, ...]:
    """Return what a flux cannot be computed without and is not delivered.

    Parameters
    ----------
    names
        Names of the quantities that are delivered.
    options
        How the flux is computed.

    Returns
    -------
    tuple
        One text each, with the names of which one is enough: ``pco2_sea or fugacity_sea``.
    """
    missing = [group for group in _needed(names, options) if chosen(names, group) is None]
    return tuple(" or ".join(group) for group in missing)


def missing_transfer_drivers(names: Collection[str], options: FluxOptions) -> tuple[str, ...]:
    """Return what the transfer cannot be computed without, as `missing_drivers`."""
    needed = _needed_of_transfer(options)
    return tuple(" or ".join(group) for group in needed if chosen(names, group) is None)


def _needed(names: Collection[str], options: FluxOptions) -> tuple[tuple[str, ...], ...]:
    """Return groups of names; one of each group is needed."""
    sea, air = SEA[options.difference], AIR[options.difference]
    needed = [sea, air, *_needed_of_transfer(options)]
    # What is delivered as something else than it is wanted as is converted with the pressure.
    converted = not {chosen(names, sea), chosen(names, air)} <= {sea[0], air[0], None}
    if converted and options.pressure_if_missing is None:
        needed.append(("pressure",))
    return tuple(needed)


def _needed_of_transfer(options: FluxOptions) -> tuple[tuple[str, ...], ...]:
    """Return groups of names as `_needed`, without the gases."""
    needed = [("sst",), _WIND]
    if options.salinity_if_missing is None:
        needed.append(("sss",))
    if options.skin == "delivered":
        needed.append(("sst_skin",))
    return tuple(needed)


def complete_drivers(
    drivers: Mapping[str, np.ndarray], options: FluxOptions
) -> dict[str, np.ndarray]:
    """Return checked drivers, with what the options fill in.

    The result has one of the quantities of the sea and one of the air, ``sst``, ``sst_skin`` (sst
    itself without a skin), ``sss``, ``pressure``, ``ice_fraction`` (0 where there is none) and both
    moments of the wind. Ice maps leave open water empty, so a cell without ice fraction is open.

    Parameters
    ----------
    drivers
        Arrays by quantity, in its units; NaN (or masked) where missing. Others are left out.
    options
        How the flux is computed.

    Raises
    ------
    MissingDriverError
        If one is missing that the options do not fill in.
    ImpossibleValuesError
        If values lie outside what the quantity can be, or the moments of the wind contradict.
    GridMismatchError
        If the arrays do not fit each other.
    """
    _check_names(drivers, _needed(drivers, options), "flux")
    gases = (chosen(drivers, SEA[options.difference]), chosen(drivers, AIR[options.difference]))
    return _completed((*gases, *_USED), drivers, options)


def complete_transfer_drivers(
    drivers: Mapping[str, np.ndarray], options: FluxOptions
) -> dict[str, np.ndarray]:
    """Return what the transfer is computed from: as `complete_drivers`, without the gases.

    Parameters and errors as there.
    """
    _check_names(drivers, _needed_of_transfer(options), "transfer")
    return _completed(_USED, drivers, options)


def _completed(
    names: Iterable[str | None], drivers: Mapping[str, np.ndarray], options: FluxOptions
) -> dict[str, np.ndarray]:
    """Return those of the names that are delivered, checked, with what the options fill in."""
    used = [name for name in names if name is not None and name in drivers]
    if options.skin != "delivered" and "sst_skin" in used:
        used.remove("sst_skin")
    state = {name: _checked(name, drivers[name]) for name in used}
    _check_shapes(state)
    _complete_wind(state)
    if "sss" not in state:
        state["sss"] = np.asarray(options.salinity_if_missing, dtype=np.float64)
    if "pressure" not in state:
        # None becomes NaN, and then nothing is converted: pressure is not used.
        state["pressure"] = np.asarray(options.pressure_if_missing, dtype=np.float64)
    if "sst_skin" not in state:
        offset = options.skin_difference if options.skin == "constant" else 0.0
        state["sst_skin"] = state["sst"] + offset
    state["ice_fraction"] = np.nan_to_num(state.get("ice_fraction", np.asarray(0.0)), nan=0.0)
    return state


def checked_errors(errors: Mapping[str, np.ndarray], drivers: State) -> dict[str, np.ndarray]:
    """Return the standard errors of these drivers as float64 arrays, NaN where unknown.

    Parameters
    ----------
    errors
        Standard errors by quantity, in its units. Those of other quantities are left out.
    drivers
        The drivers that were delivered, from `complete_drivers`.

    Raises
    ------
    ImpossibleValuesError
        If one is negative or infinite.
    GridMismatchError
        If one does not fit its driver.
    """
    known = {name: _plain(errors[name]) for name in drivers if name in errors}
    for name, error in known.items():
        impossible = error[(error < 0) | np.isinf(error)]
        if impossible.size:
            raise ImpossibleValuesError(
                f"The standard error of the {QUANTITIES[name].title} ({name}) cannot be.",
                found=f"{impossible.size} values, the first {impossible[0]:g}",
                expected=f"at least 0 {QUANTITIES[name].units}, NaN where unknown",
                remedy="Look whether the specification names the right variable and fill values.",
            )
    _check_shapes({f"error of {name}": error for name, error in known.items()} | dict(drivers))
    return known


def _plain(values: np.ndarray) -> np.ndarray:
    """Return values as a float64 array with NaN where they are masked."""
    return np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)


def _check_names(
    drivers: Mapping[str, np.ndarray], needed: Sequence[tuple[str, ...]], what: str
) -> None:
    missing = [" or ".join(group) for group in needed if chosen(drivers, group) is None]
    if not missing:
        return
    known = sorted(name for name in drivers if name in QUANTITIES)
    raise MissingDriverError(
        f"The {what} cannot be computed without {', '.join(missing)}.",
        found=", ".join(known) or "no driver",
        expected=", ".join(" or ".join(group) for group in needed),
        remedy="Name the variable in the product specification, or a product that delivers it; "
        "salinity and pressure can be taken as constant by flux.salinity_if_missing and "
        "flux.pressure_if_missing, the skin by flux.skin: constant.",
    )


def _checked(name: str, values: np.ndarray) -> np.ndarray:
    """Return a driver as a new float64 array within its quantity's range."""
    quantity = QUANTITIES[name]
    array = _plain(values)
    tolerance = _ROUNDING * (quantity.high - quantity.low)
    outside = (array < quantity.low - tolerance) | (array > quantity.high + tolerance)
    if outside.any():
        impossible = array[outside]
        raise ImpossibleValuesError(
            f"The {quantity.title} ({name}) has values that cannot be.",
            found=f"{impossible.size} of {(~np.isnan(array)).sum()} values outside, from "
            f"{impossible.min():g} to {impossible.max():g}",
            expected=f"{quantity.low:g} to {quantity.high:g} {quantity.units}",
            remedy="Look whether the specification names the right variable, units and fill "
            "values of the file.",
        )
    return np.clip(array, quantity.low, quantity.high)


def _check_shapes(state: Mapping[str, np.ndarray]) -> None:
    try:
        np.broadcast_shapes(*(array.shape for array in state.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in state.items())
        raise GridMismatchError(
            "The drivers are not on one grid.",
            found=shapes,
            expected="arrays (lat, lon) of one shape, or numbers",
            remedy="Regrid them to one grid first.",
        ) from None


def _complete_wind(state: dict[str, np.ndarray]) -> None:
    """Estimate the moment of the wind that was not delivered, or check that both fit."""
    if "wind_speed_squared" not in state:
        state["wind_speed_squared"] = second_moment_of_wind(state["wind_speed"])
        return
    if "wind_speed" not in state:
        state["wind_speed"] = mean_wind(state["wind_speed_squared"])
        return
    squared, mean = np.broadcast_arrays(state["wind_speed_squared"], state["wind_speed"])
    impossible = squared < (1 - _WIND_ROUNDING) * mean**2
    both = np.isfinite(squared) & np.isfinite(mean)
    if impossible.sum() > _WIND_CELLS * both.sum():
        raise ImpossibleValuesError(
            "The second moment of the wind is smaller than the square of its mean.",
            found=f"{impossible.sum()} of {both.sum()} cells, in the first "
            f"{squared[impossible][0]:g} m2 s-2 and {mean[impossible][0]:g} m s-1",
            expected="a mean of U² that is at least the square of the mean of U",
            remedy="Look whether wind_speed_squared names the second moment: a variance or a "
            "standard deviation is another variable.",
        )
    state["wind_speed_squared"] = np.where(impossible, np.nan, squared)
