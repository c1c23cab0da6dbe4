"""The calendar of the training period: monthly means and spreads, and anomalies from them.

Everything here is fitted on the record that it is given; give it the training period only.
"""

from dataclasses import dataclass

import numpy as np

from storage.months import Month, calendar_month
from tidenet.errors import IncompleteFieldError, NotEnoughMonthsError
from tidenet.record import FluxRecord

STD_FLOOR = 0.1
"""Least standard deviation, as a part of the area's root mean variance.

Where the flux hardly varies, dividing by its tiny spread would blow small errors up into the
largest anomalies of the map.
"""


@dataclass(frozen=True)
class MonthlyClimatology:
    """Mean and standard deviation of each calendar month.

    Parameters
    ----------
    mean, std
        float32 (12, lat, lon), January first, mmol m-2 d-1; NaN on land. `std` is above zero.
    """

    mean: np.ndarray
    std: np.ndarray

    def mean_of(self, month: Month) -> np.ndarray:
        """Return the mean of a month's calendar month (lat, lon), mmol m-2 d-1."""
        return self.mean[calendar_month(month) - 1]

    def std_of(self, month: Month) -> np.ndarray:
        """Return the standard deviation of a month's calendar month (lat, lon), mmol m-2 d-1."""
        return self.std[calendar_month(month) - 1]

    def standardise(self, field: np.ndarray, month: Month) -> np.ndarray:
        """Return the anomaly in standard deviations, float32 (..., lat, lon); NaN on land."""
        return (field - self.mean_of(month)) / self.std_of(month)

    def restore(self, anomaly: np.ndarray, month: Month) -> np.ndarray:
        """Return the flux (mmol m-2 d-1) of a standardised anomaly; undoes `standardise`."""
        return anomaly * self.std_of(month) + self.mean_of(month)


@dataclass(frozen=True)
class AnomalySeries:
    """Standardised anomalies of a record, made one month at a time to keep memory small."""

    record: FluxRecord
    climatology: MonthlyClimatology

    def __len__(self) -> int:
        return len(self.record.fco2)

    def __getitem__(self, position: int) -> np.ndarray:
        """Return the standardised anomaly at a time position, float32 (lat, lon)."""
        month = self.record.first_month + position
        return self.climatology.standardise(self.record.fco2[position], month)


def fit_climatology(record: FluxRecord) -> MonthlyClimatology:
    """Fit on every month of the record.

    The variance of a calendar month is smoothed with its neighbours' (weights 1, 2, 1): with some
    fifteen years a single month's own variance is known to no better than a third.

    Raises
    ------
    NotEnoughMonthsError
        If a calendar month occurs less than twice.
    IncompleteFieldError
        If an ocean cell has no value.
    """
    require_complete(record)
    counts = np.bincount(record.calendar_months, minlength=13)[1:]
    if counts.min() < 2:
        raise NotEnoughMonthsError(
            "The training period is too short for a climatology.",
            found=f"{len(record.fco2)} months, {record.first_month} to {record.last_month}",
            expected="every calendar month at least twice (24 months in a row)",
            remedy="Ingest earlier months or move the training cut-off.",
        )
    mean = np.empty((12, *record.grid.shape), dtype=np.float32)
    variance = np.empty_like(mean)
    for month in range(12):
        fields = record.fco2[record.calendar_months == month + 1]
        mean[month] = fields.mean(axis=0, dtype=np.float64)
        variance[month] = np.square(fields - mean[month]).sum(axis=0) / (len(fields) - 1)
    smooth = (np.roll(variance, 1, axis=0) + 2 * variance + np.roll(variance, -1, axis=0)) / 4
    typical = np.average(smooth[:, record.ocean].mean(axis=0), weights=record.weight[record.ocean])
    least = max(STD_FLOOR**2 * typical, np.finfo(np.float32).tiny)
    std = np.sqrt(np.maximum(smooth, least)).astype(np.float32)
    return MonthlyClimatology(mean, std)


def require_complete(record: FluxRecord) -> None:
    """Refuse a record that has an ocean cell without a value.

    Raises
    ------
    IncompleteFieldError
        If there is one; the message names the first month and the number of cells.
    """
    for position, field in enumerate(record.fco2):
        missing = int(np.count_nonzero(record.ocean & ~np.isfinite(field)))
        if missing:
            raise IncompleteFieldError(
                "An input field is not complete over the ocean.",
                found=f"{missing} ocean cells without a value in {record.months[position]}",
                expected="a finite value on every ocean cell",
                remedy="Complete the month before it is used, or correct the ocean mask.",
            )
