"""Forecasting what the sea wants instead of what the wind lets through.

The flux is F = T ΔpCO2: a bulk transfer T, which follows the wind of the month and is forgotten
with it, times the disequilibrium ΔpCO2 of sea and air, which lasts. A windy month shows a large
anomaly of the flux that nothing is left of in the next one. With T known as a driver of the past
months, forecasts can start from the flux that they would have had with the usual transfer of their
calendar month,

    F' = F_clim + T_clim (F / T - D_clim),

with the calendar means of flux, transfer and disequilibrium. An anomaly of F' is an anomaly of
ΔpCO2 times the usual transfer, so that what is forecast from it is a flux in the wind of the
calendar: nobody knows that of the months to come. The mean of F' is that of the flux itself,
although winds and disequilibria vary together.

Methods see F' in place of F and need not know of it. Their errors are those of F, which the wind
of the valid month adds to: measure them against the record as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from storage.months import calendar_month
from tidenet.climatology import fit_climatology
from tidenet.drivers import calendar_moments, require_drivers
from tidenet.record import FluxRecord

TRANSFER = "transfer"
"""Name of the driver that the disequilibrium needs."""

LEAST_TRANSFER = 0.1
"""Part of its calendar mean below which a transfer says nothing of the disequilibrium.

Hardly anything passes in a calm month or under ice, and dividing by that makes errors of any size.
"""


@dataclass(frozen=True)
class Disequilibrium:
    """Calendar of the flux, of the transfer and of the disequilibrium in a training period.

    Parameters
    ----------
    flux
        Mean flux, float32 (12, lat, lon), January first, mmol m-2 d-1; NaN on land.
    transfer
        Mean transfer, likewise, mmol m-2 d-1 uatm-1; NaN where the driver has no value.
    pressure
        Mean ΔpCO2, sea minus air, likewise, uatm.
    """

    flux: np.ndarray
    transfer: np.ndarray
    pressure: np.ndarray

    @classmethod
    def fit(cls, record: FluxRecord) -> "Disequilibrium":
        """Fit on every month of the record: give it the training period only.

        Raises
        ------
        UnknownDriverError
            If the record has no driver `TRANSFER`.
        NotEnoughMonthsError
            If a calendar month occurs less than twice.
        IncompleteFieldError
            If an ocean cell has no flux.
        """
        require_drivers(record, [TRANSFER])
        flux = fit_climatology(record).mean
        transfer = calendar_moments(record, lambda position: _transfer(record, position)).mean

        def pressure_at(position: int) -> np.ndarray:
            month = calendar_month(record.first_month + position) - 1
            return _pressure(record, position, transfer[month])

        return cls(flux, transfer, calendar_moments(record, pressure_at).mean)

    def at_usual_transfer(self, record: FluxRecord) -> FluxRecord:
        """Return a record with the flux that each month would have had with its usual transfer.

        Each month is changed by itself: nothing of another one is read. Where the transfer is not
        known the flux stays as it is, and where hardly anything passes it is that of the calendar.

        Raises
        ------
        UnknownDriverError
            If the record has no driver `TRANSFER`.
        """
        require_drivers(record, [TRANSFER])
        usual = np.empty_like(record.fco2)
        for position, flux in enumerate(record.fco2):
            month = calendar_month(record.first_month + position) - 1
            apart = _pressure(record, position, self.transfer[month]) - self.pressure[month]
            made = self.flux[month] + self.transfer[month] * apart
            calm = np.isfinite(_transfer(record, position) * self.transfer[month])
            unseen = np.where(calm, self.flux[month], flux)
            usual[position] = np.where(np.isfinite(made), made, unseen)
        return replace(record, fco2=usual)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return every array that is needed to rebuild it, by the name of its parameter."""
        return {"flux": self.flux, "transfer": self.transfer, "pressure": self.pressure}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> "Disequilibrium":
        """Rebuild it from what `tensors` returned."""
        return cls(tensors["flux"], tensors["transfer"], tensors["pressure"])


def _pressure(record: FluxRecord, position: int, usual: np.ndarray) -> np.ndarray:
    """Return ΔpCO2 (lat, lon), uatm; NaN on land, without transfer, and where it is very weak."""
    transfer = _transfer(record, position)
    passes = transfer >= np.maximum(LEAST_TRANSFER * usual, np.finfo(np.float32).tiny)
    empty = np.full(usual.shape, np.nan, dtype=np.float32)
    pressure: np.ndarray = np.divide(record.fco2[position], transfer, out=empty, where=passes)
    return pressure


def _transfer(record: FluxRecord, position: int) -> np.ndarray:
    """Return the transfer of a month (lat, lon); one number serves every cell."""
    return np.broadcast_to(record.drivers[TRANSFER][position], record.grid.shape)
