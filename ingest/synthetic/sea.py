"""A synthetic sea: monthly CO2 flux shaped like that of the East China Sea, for demonstration.

The flux comes from the bulk formula on seasonal SST, wind and pCO2. The seasons of the shelf follow
its surveys (Guo et al. 2015), the Changjiang plume takes up CO2 in summer, and a year differs from
the next by an interannual signal, a trend of the atmosphere, and patches of high and low pCO2 that
drift with fixed currents while they fade and new ones form. Those patches are what a forecast can
foresee better than by damping what it sees in each cell.

Everything follows from the seed and the month: a month is the same however many are made.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ingest.errors import SyntheticMonthError
from ingest.flux.bulk import pco2_of_air, sea_air_flux
from ingest.synthetic.coast import synthetic_ocean
from storage.grid import Grid
from storage.months import Month, calendar_month, month, months_between

FIRST_MONTH = month("2003-01")
_SPIN_UP_MONTHS = 36

# Shelf, open sea (Kuroshio) and Yellow Sea, January to December: pCO2 of sea minus air (uatm).
_DISEQUILIBRIUM = {
    "shelf": (-66, -68, -86, -100, -88, -56, -38, -30, -18, -12, -26, -50),
    "open": (-46, -50, -48, -40, -22, -4, 10, 16, 12, -4, -22, -38),
    "yellow": (-22, -32, -55, -72, -58, -30, -16, -6, 8, 14, 4, -10),
}
_WIND_SQUARED = (78, 74, 62, 50, 42, 40, 44, 46, 54, 64, 70, 76)  # m2 s-2
_SALINITY = 33.5
_XCO2_2003, _XCO2_PER_YEAR = 376.0, 2.15  # ppm
_SEA_FOLLOWS = 0.78  # part of the atmosphere's rise that the sea follows: its uptake grows
_PLUME_UATM = -115.0
_INTERANNUAL_UATM, _INTERANNUAL_MEMORY = 12.0, 0.88
_PATCH_UATM, _PATCH_MEMORY, _PATCH_SCALE_DEG = 17.0, 0.84, 0.7
_WIND_NOISE, _WIND_SCALE_DEG = 0.05, 4.0
_RETRIEVAL_NOISE = 0.25  # mmol m-2 d-1
_CLOUD_SCALE_DEG = 1.0


@dataclass(frozen=True)
class SyntheticMonth:
    """One month of the synthetic sea.

    Parameters
    ----------
    month
        The month.
    truth
        float32 (lat, lon), mmol m-2 d-1, positive out of the sea; NaN on land.
    observed
        float32 (lat, lon), the truth with retrieval noise, NaN under clouds and on land.
    """

    month: Month
    truth: np.ndarray
    observed: np.ndarray


@dataclass(frozen=True)
class SeaState:
    """All that the sea remembers from one month to the next.

    Parameters
    ----------
    month
        The month.
    patches
        Drifting departures of pCO2 (lat, lon), uatm; 0 on land.
    index
        The interannual index, of mean 0 and variance 1.
    """

    month: Month
    patches: np.ndarray
    index: float


class SyntheticSea:
    """A sea that evolves month by month from `FIRST_MONTH`.

    Parameters
    ----------
    grid
        Any grid over the East China Sea.
    seed
        Another seed is another history of the same sea.
    """

    def __init__(self, grid: Grid, seed: int) -> None:
        self.grid = grid
        self.seed = seed
        self.ocean = synthetic_ocean(grid)
        self._lon, self._lat = np.meshgrid(grid.lon, grid.lat)
        self._shelf, self._open, self._yellow = self._zones()
        self._plume = self._plume_shape()
        self._pattern = np.tanh((self._lon - 124.5) / 3.0) * self._shelf + 0.5 * self._yellow
        self._origins = self._upstream_cells()

    def months(self, first: Month, last: Month) -> Iterator[SyntheticMonth]:
        """Yield the months from first to last.

        Raises
        ------
        SyntheticMonthError
            If the first month lies before `FIRST_MONTH`.
        """
        for state, rng in self._history(first, last):
            yield self._month(state, rng)

    def states(self, first: Month, last: Month) -> Iterator[SeaState]:
        """Yield what the sea remembers in the months from first to last.

        Raises
        ------
        SyntheticMonthError
            If the first month lies before `FIRST_MONTH`.
        """
        for state, _ in self._history(first, last):
            yield state

    def carried(self, state: SeaState) -> SeaState:
        """Return the state a month later as far as this one tells: nothing new is born."""
        return SeaState(
            state.month + 1,
            np.where(self.ocean, _PATCH_MEMORY * self._moved(state.patches), 0.0),
            _INTERANNUAL_MEMORY * state.index,
        )

    def expected_flux(self, state: SeaState) -> np.ndarray:
        """Return the mean flux over all winds and retrievals that the month of a state may have.

        float32 (lat, lon), mmol m-2 d-1, positive out of the sea; NaN on land. The flux is linear
        in the state and in the square of the wind, whose gusts have mean 0 and variance 1.
        """
        flux = self._flux(state, 1 + _WIND_NOISE**2)
        return np.where(self.ocean, flux, np.nan).astype(np.float32)

    def _history(self, first: Month, last: Month) -> Iterator[tuple[SeaState, np.random.Generator]]:
        """Yield the states from first to last, each with the generator of the month's weather."""
        start = months_between(FIRST_MONTH, first)
        if start < 0:
            raise SyntheticMonthError(
                "The synthetic sea has no such month.",
                found=str(first),
                expected=f"{FIRST_MONTH} or later",
                remedy="Choose a later first month.",
            )
        patches, index = np.zeros(self.grid.shape), 0.0
        for step in range(-_SPIN_UP_MONTHS, months_between(FIRST_MONTH, last) + 1):
            rng = np.random.default_rng([self.seed, step + _SPIN_UP_MONTHS])
            patches = self._drift(patches, rng)
            index = _INTERANNUAL_MEMORY * index
            index += float(rng.standard_normal()) * np.sqrt(1 - _INTERANNUAL_MEMORY**2)
            if step >= start:
                yield SeaState(FIRST_MONTH + step, patches, index), rng

    def _month(self, state: SeaState, rng: np.random.Generator) -> SyntheticMonth:
        gusts = 1 + _WIND_NOISE * self._smooth_noise(rng, _WIND_SCALE_DEG)
        truth = np.where(self.ocean, self._flux(state, gusts**2), np.nan)
        noisy = truth + _RETRIEVAL_NOISE * rng.standard_normal(self.grid.shape)
        clouds = self._clouds(calendar_month(state.month), rng)
        observed = np.where(clouds, np.nan, noisy)
        return SyntheticMonth(state.month, truth.astype(np.float32), observed.astype(np.float32))

    def _flux(self, state: SeaState, gusts_squared: np.ndarray | float) -> np.ndarray:
        """Return the flux (lat, lon) of a state under a wind, also on land."""
        calendar = calendar_month(state.month)
        years = months_between(FIRST_MONTH, state.month) / 12
        sst = self._sst(calendar)
        xco2 = _XCO2_2003 + _XCO2_PER_YEAR * years
        air = pco2_of_air(xco2, sst, _SALINITY)
        lag = -(1 - _SEA_FOLLOWS) * _XCO2_PER_YEAR * years
        summer = max(0.0, np.cos(2 * np.pi * (calendar - 7.5) / 12)) ** 1.5
        sea = (
            air
            + self._seasonal_disequilibrium(calendar)
            + lag
            + _PLUME_UATM * summer * (1 + 0.2 * state.index) * self._plume
            + _INTERANNUAL_UATM * state.index * self._pattern
            + state.patches
        )
        wind_squared = _WIND_SQUARED[calendar - 1] * (1 + 0.012 * (self._lat - 30))
        return sea_air_flux(
            pco2_sea=sea,
            pco2_air=air,
            sst=sst,
            sss=_SALINITY,
            wind_squared=wind_squared * gusts_squared,
        )

    # --- the sea as it is every year ----------------------------------------------------------

    def _zones(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the weights of shelf, open sea and Yellow Sea, which add up to 1 (lat, lon)."""
        # The shelf break runs from north-east of Taiwan to west of Kyushu.
        beyond = (self._lon - 122.5) * 0.62 - (self._lat - 25.3) * 0.78
        open_sea = 1 / (1 + np.exp(-beyond / 0.35))
        north = 1 / (1 + np.exp(-(self._lat - 33.3) / 0.5))
        return (1 - open_sea) * (1 - north), open_sea, (1 - open_sea) * north

    def _plume_shape(self) -> np.ndarray:
        """Return the plume off the Changjiang mouth, spreading to the north-east, 0 to 1."""
        east, north = self._lon - 122.6, self._lat - 31.4
        along, across = 0.9 * east + 0.44 * north, -0.44 * east + 0.9 * north
        width = np.where(along > 0, 1.9, 0.7)
        return np.exp(-((along / width) ** 2) - (across / 0.8) ** 2)

    def _sst(self, calendar: int) -> np.ndarray:
        """Return SST (°C): colder and more seasonal in the north and near the continent."""
        mean = 20.5 - 0.75 * (self._lat - 30) + 1.5 * self._open
        amplitude = 6.0 + 0.55 * (self._lat - 30) - 1.8 * self._open
        return np.clip(mean + amplitude * np.cos(2 * np.pi * (calendar - 8.3) / 12), -1.5, 31.0)

    def _seasonal_disequilibrium(self, calendar: int) -> np.ndarray:
        shelf, open_sea, yellow = (
            _DISEQUILIBRIUM[zone][calendar - 1] for zone in ("shelf", "open", "yellow")
        )
        return shelf * self._shelf + open_sea * self._open + yellow * self._yellow

    # --- what moves ---------------------------------------------------------------------------

    def _upstream_cells(self) -> np.ndarray:
        """Return where the water of each cell was a month before (2, lat, lon), in cells."""
        # Degrees a month: Kuroshio to the north-east, Taiwan Warm Current to the north, a return
        # flow to the south along the coast of the Yellow Sea, and a slow gyre over the shelf.
        east = 0.75 * self._open + 0.28 * self._shelf + 0.10 * self._yellow
        north = 0.55 * self._open + 0.30 * self._shelf - 0.35 * self._yellow
        gyre_lon, gyre_lat = self._lon - 124.5, self._lat - 29.5
        gyre = 0.16 * np.exp(-(gyre_lon**2 + gyre_lat**2) / 8)
        east, north = east - gyre * gyre_lat, north + gyre * gyre_lon
        rows, columns = np.indices(self.grid.shape)
        return np.stack([rows - north / self.grid.step, columns - east / self.grid.step])

    def _drift(self, patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the patches a month later: carried along, faded, with new ones among them."""
        carried = self._moved(patches)
        fresh = self._smooth_noise(rng, _PATCH_SCALE_DEG) * _PATCH_UATM
        return np.where(
            self.ocean, _PATCH_MEMORY * carried + np.sqrt(1 - _PATCH_MEMORY**2) * fresh, 0.0
        )

    def _moved(self, patches: np.ndarray) -> np.ndarray:
        """Return the patches where the currents bring them in a month (lat, lon)."""
        from scipy.ndimage import map_coordinates

        moved: np.ndarray = map_coordinates(
            patches, self._origins, order=3, mode="constant", cval=0.0
        )
        return moved

    def _smooth_noise(self, rng: np.random.Generator, scale_deg: float) -> np.ndarray:
        """Return noise of mean 0 and variance 1, smooth over a scale (lat, lon), periodic."""
        rows, columns = self.grid.shape
        sigma = scale_deg / self.grid.step
        wave_numbers = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.rfftfreq(columns) ** 2
        gaussian = np.exp(-2 * (np.pi * sigma) ** 2 * wave_numbers)
        gaussian[0, 0] = 0.0  # a wide filter leaves little but the mean, which is no pattern
        spectrum = np.fft.rfft2(rng.standard_normal(self.grid.shape)) * gaussian
        smooth = np.fft.irfft2(spectrum, s=self.grid.shape)
        return smooth / smooth.std()

    def _clouds(self, calendar: int, rng: np.random.Generator) -> np.ndarray:
        """Return the cells that no clear day was found for: 5 to 30 % of the sea, more in June."""
        rainy = 0.14 + 0.06 * np.cos(2 * np.pi * (calendar - 6) / 12)
        part = float(np.clip(rng.normal(rainy, 0.04), 0.05, 0.30))
        cover = self._smooth_noise(rng, _CLOUD_SCALE_DEG)
        return self.ocean & (cover > np.quantile(cover[self.ocean], 1 - part))
