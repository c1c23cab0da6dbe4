"""The bulk transfer: the flux of CO2 for each uatm that the sea is above the air.

T = k · K0 · (1 − ice), the part of F = T · ΔpCO2 that follows wind, temperature and ice and is as
changeable as they are (see `ingest.flux.bulk`). With a skin both factors are those of the skin, and
F / T is the difference that would give this flux without one.
"""

from collections.abc import Mapping

import numpy as np

from ingest.flux.bulk import TO_MMOL_PER_M2_PER_DAY
from ingest.flux.drivers import complete_transfer_drivers
from ingest.flux.gas_transfer import transfer_velocity
from ingest.flux.options import FluxOptions
from ingest.flux.solubility import solubility
from ingest.quantities import Quantity

TRANSFER = Quantity(
    "transfer",
    "flux of CO2 out of the sea for each uatm that the sea is above the air",
    "mmol m-2 d-1 uatm-1",
    0.0,
    10.0,
)
"""No product delivers it: it is computed."""

TRANSFER_DRIVERS = ("sst", "sst_skin", "sss", "wind_speed", "wind_speed_squared", "ice_fraction")
"""What it is computed from, as far as it is delivered."""


def bulk_transfer(drivers: Mapping[str, np.ndarray], options: FluxOptions) -> np.ndarray:
    """Return the transfer of one month, float32 (lat, lon), mmol m-2 d-1 uatm-1.

    Parameters
    ----------
    drivers
        Arrays (lat, lon), or what broadcasts to it, by quantity and in its units; NaN where
        missing. Only those of `TRANSFER_DRIVERS` are used.
    options
        How the flux is computed.

    Raises
    ------
    MissingDriverError, ImpossibleValuesError, GridMismatchError
        As `ingest.flux.bulk.flux_from_drivers`.
    """
    state = complete_transfer_drivers(drivers, options)
    velocity = transfer_velocity(
        state["wind_speed_squared"],
        state["sst_skin"],
        wind=state["wind_speed"],
        parametrisation=options.transfer_velocity,
    )
    dissolving = solubility(state["sst_skin"], state["sss"]) * (1 - state["ice_fraction"])
    transfer: np.ndarray = TO_MMOL_PER_M2_PER_DAY * velocity * dissolving
    return transfer.astype(np.float32)
