"""How fast CO2 crosses the sea surface: transfer velocity by wind, as published.

Every function takes and returns numpy arrays (or numbers) that broadcast against each other.

All parametrisations are k = (a ⟨U²⟩ + b ⟨U⟩) (Sc / n)^-0.5 with the wind speed U at 10 m. Means are
over what the flux is a mean of, a month: k is linear in ⟨U²⟩ and ⟨U⟩, so that with both moments its
monthly mean is exact, while the square of a monthly mean wind is smaller than ⟨U²⟩ and gives a flux
that is too weak.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

# Powers 0 to 4 of the temperature in °C, CO2 in seawater of salinity 35.
_SCHMIDT = {
    # Limnology and Oceanography: Methods 12, 351-362, Table 1; valid from -2 to 40 °C.
    "wanninkhof-2014": (2116.8, -136.25, 4.7353, -0.092307, 0.0007555),
    # Journal of Geophysical Research 97, 7373-7382, Table A1; valid from 0 to 30 °C.
    "wanninkhof-1992": (2073.1, -125.62, 3.6276, -0.043219, 0.0),
}

RAYLEIGH = 4 / np.pi
"""⟨U²⟩ / ⟨U⟩² of Rayleigh-distributed wind speeds, as Wanninkhof (1992) takes long-term winds."""


@dataclass(frozen=True)
class TransferVelocity:
    """A parametrisation k = (a ⟨U²⟩ + b ⟨U⟩) (Sc / reference_schmidt)^-0.5, cm h-1.

    Parameters
    ----------
    quadratic, linear
        a (cm h-1 per m2 s-2) and b (cm h-1 per m s-1).
    reference_schmidt
        Schmidt number that a and b hold for.
    schmidt
        Whose Schmidt number goes with it.
    uncertainty
        Relative standard error of k.
    source
        Where it was published, and where the uncertainty comes from.
    """

    quadratic: float
    linear: float
    reference_schmidt: float
    schmidt: str
    uncertainty: float
    source: str


# The relations of 2000 to 2007 are used with the newer Schmidt number: between 0 and 30 °C it
# changes k by about 1 % at most. That of 1992 keeps the number that its factor was fitted with.
TRANSFER_VELOCITIES = {
    "wanninkhof-1992": TransferVelocity(
        *(0.31, 0.0, 660.0, "wanninkhof-1992", 0.25),
        "Wanninkhof (1992), J. Geophys. Res. 97, 7373-7382, equation 3 (short-term winds, so used "
        "with their second moment); 25 % is what the inventory of bomb radiocarbon that it rests "
        "on was later lowered by (Sweeney et al. 2007)",
    ),
    "nightingale-2000": TransferVelocity(
        *(0.222, 0.333, 600.0, "wanninkhof-2014", 0.2),
        "Nightingale et al. (2000), Global Biogeochem. Cycles 14, 373-387; 20 % as in "
        "Wanninkhof (2014)",
    ),
    "ho-2006": TransferVelocity(
        *(0.266, 0.0, 600.0, "wanninkhof-2014", 0.2),
        "Ho et al. (2006), Geophys. Res. Lett. 33, L16611, 0.266 ± 0.019; the fit's own 7 % leaves "
        "out what differs between seas, so 20 % as in Wanninkhof (2014)",
    ),
    "sweeney-2007": TransferVelocity(
        *(0.27, 0.0, 660.0, "wanninkhof-2014", 0.3),
        "Sweeney et al. (2007), Global Biogeochem. Cycles 21, GB2015; 30 % as Takahashi et al. "
        "(2009), Deep-Sea Res. II 56, 554-577, take for this kind of scaling",
    ),
    "wanninkhof-2014": TransferVelocity(
        *(0.251, 0.0, 660.0, "wanninkhof-2014", 0.2),
        "Wanninkhof (2014), Limnol. Oceanogr.: Methods 12, 351-362, with its 20 %",
    ),
}
"""Parametrisations by the names that options use."""

DEFAULT_TRANSFER_VELOCITY = "wanninkhof-2014"


def schmidt_number(sst: ArrayLike, source: str = "wanninkhof-2014") -> np.ndarray:
    """Return the Schmidt number of CO2 in seawater of salinity 35.

    Parameters
    ----------
    sst
        Temperature of the water, °C.
    source
        ``wanninkhof-2014`` (668 at 20 °C) or ``wanninkhof-1992`` (666 at 20 °C).
    """
    t = np.asarray(sst)
    c0, c1, c2, c3, c4 = _SCHMIDT[source]
    return c0 + t * (c1 + t * (c2 + t * (c3 + t * c4)))


def second_moment_of_wind(wind: ArrayLike) -> np.ndarray:
    """Return ⟨U²⟩, m2 s-2, of Rayleigh-distributed winds from their mean, m s-1."""
    return RAYLEIGH * np.asarray(wind) ** 2


def mean_wind(wind_squared: ArrayLike) -> np.ndarray:
    """Return ⟨U⟩, m s-1, of Rayleigh-distributed winds from their second moment, m2 s-2."""
    return np.sqrt(np.asarray(wind_squared) / RAYLEIGH)


def transfer_velocity(
    wind_squared: ArrayLike,
    sst: ArrayLike,
    *,
    wind: ArrayLike | None = None,
    parametrisation: str = DEFAULT_TRANSFER_VELOCITY,
) -> np.ndarray:
    """Return the gas transfer velocity k of CO2, cm h-1.

    Parameters
    ----------
    wind_squared
        Second moment of the wind speed at 10 m, the mean of U², m2 s-2.
    sst
        Temperature of the water, °C.
    wind
        Mean wind speed at 10 m, m s-1, for the linear term of Nightingale et al. (2000); None: the
        mean of Rayleigh-distributed winds with this second moment. Others do not use it.
    parametrisation
        A name in `TRANSFER_VELOCITIES`.
    """
    chosen = TRANSFER_VELOCITIES[parametrisation]
    by_wind = chosen.quadratic * np.asarray(wind_squared)
    if chosen.linear:
        by_wind = by_wind + chosen.linear * (
            mean_wind(wind_squared) if wind is None else np.asarray(wind)
        )
    return by_wind * (schmidt_number(sst, chosen.schmidt) / chosen.reference_schmidt) ** -0.5
