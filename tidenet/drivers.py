"""What drives the flux as channels of a forecast: anomalies from the training period's calendar.

Drivers have gaps: clouds over chlorophyll, cells that a coarse product does not reach. A gap counts
as the mean of its calendar month in the training period, an anomaly of 0. It is filled here, when
it is read, and not where it is stored: a value filled from all years would carry later ones into
earlier months.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storage.errors import TidenetError
from storage.months import calendar_months
from tidenet.errors import NotEnoughMonthsError
from tidenet.record import FluxRecord
from tidenet.working_grid import WorkingGrid

STD_FLOOR = 0.1
"""Least standard deviation, as a part of the area's root mean variance."""

LARGEST_ANOMALY = 4.0
"""Anomalies beyond so many standard deviations count as so many.

What rises for ever, such as CO2 in the air, leaves the range of any training period: a network
knows nothing of what lies out there.
"""


class UnknownDriverError(TidenetError):
    """A driver that a model reads is not among those of the record it was given."""


@dataclass(frozen=True)
class DriverScaling:
    """Mean and standard deviation of each driver by calendar month.

    Parameters
    ----------
    names
        The drivers, in the order of a network's channels.
    mean, std
        By name, float32 (12, lat, lon), or (12, 1, 1) of an index, January first, in the driver's
        units; NaN where the training period had too few values. `std` is above zero.
    """

    names: tuple[str, ...]
    mean: Mapping[str, np.ndarray]
    std: Mapping[str, np.ndarray]

    @classmethod
    def fit(cls, record: FluxRecord, names: Sequence[str]) -> "DriverScaling":
        """Fit on every month of the record: give it the training period only.

        The variance of a calendar month is smoothed with its neighbours' (weights 1, 2, 1).

        Raises
        ------
        UnknownDriverError
            If the record has no driver of a name.
        NotEnoughMonthsError
            If a calendar month occurs less than twice.
        """
        require_drivers(record, names)
        if names and np.bincount(record.calendar_months, minlength=13)[1:].min() < 2:
            raise NotEnoughMonthsError(
                "The training period is too short for the calendar of a driver.",
                found=f"{len(record.fco2)} months, {record.first_month} to {record.last_month}",
                expected="every calendar month at least twice (24 months in a row)",
                remedy="Ingest earlier months or move the training cut-off.",
            )
        fitted = {name: _calendar(record, name) for name in names}
        mean = {name: pair[0] for name, pair in fitted.items()}
        return cls(tuple(names), mean, {name: pair[1] for name, pair in fitted.items()})

    def anomalies(self, record: FluxRecord, position: int) -> np.ndarray:
        """Return the standardised anomalies of one month.

        Parameters
        ----------
        record
            The record, with these drivers.
        position
            Position on its time axis; nothing else of the drivers is read.

        Returns
        -------
        numpy.ndarray
            float32 (driver, lat, lon), standard deviations, an index as a map of one value; 0 on
            land and where the driver has no value.

        Raises
        ------
        UnknownDriverError
            If the record has no driver of a name.
        """
        require_drivers(record, self.names)
        month = int(calendar_months([record.first_month + position])[0]) - 1
        channels = np.zeros((len(self.names), *record.grid.shape), dtype=np.float32)
        for channel, name in zip(channels, self.names, strict=True):
            anomaly = record.drivers[name][position] - self.mean[name][month]
            anomaly = np.clip(anomaly / self.std[name][month], -LARGEST_ANOMALY, LARGEST_ANOMALY)
            channel[...] = np.where(record.ocean, np.nan_to_num(anomaly, nan=0.0), 0.0)
        return channels

    def maps(self, record: FluxRecord, positions: range, grid: WorkingGrid) -> np.ndarray:
        """Return the anomalies of several months on a coarser grid.

        Parameters
        ----------
        record
            Months with the drivers.
        positions
            Time positions in it.
        grid
            Grid of the result.

        Returns
        -------
        numpy.ndarray
            float32 (time, driver, height, width).
        """
        if not self.names:
            return np.zeros((len(positions), 0, *grid.shape), dtype=np.float32)
        return np.stack([grid.coarsen(self.anomalies(record, position)) for position in positions])

    def tensors(self) -> dict[str, np.ndarray]:
        """Return every array that is needed to rebuild it: ``mean.<name>`` and ``std.<name>``."""
        parts = {"mean": self.mean, "std": self.std}
        return {f"{part}.{n}": arrays[n] for part, arrays in parts.items() for n in self.names}

    @classmethod
    def from_tensors(
        cls, names: Sequence[str], tensors: Mapping[str, np.ndarray]
    ) -> "DriverScaling":
        """Rebuild it from its names and what `tensors` returned."""
        mean, std = ({n: tensors[f"{part}.{n}"] for n in names} for part in ("mean", "std"))
        return cls(tuple(names), mean, std)


def require_drivers(record: FluxRecord, names: Sequence[str]) -> None:
    """Refuse a record that lacks a driver.

    Raises
    ------
    UnknownDriverError
        If it does.
    """
    missing = [name for name in names if name not in record.drivers]
    if missing:
        raise UnknownDriverError(
            f"The model reads drivers that are not there: {', '.join(missing)}.",
            found=", ".join(sorted(record.drivers)) or "no driver",
            expected=", ".join(names),
            remedy="Add them to the record (tidenet drivers add), and read them with the flux.",
        )


@dataclass(frozen=True)
class CalendarMoments:
    """Mean and variance by calendar month of fields that have gaps.

    Parameters
    ----------
    mean
        float32 (12, ...), January first; NaN where a calendar month has no value.
    variance
        Around the mean, smoothed over neighbouring calendar months (weights 1, 2, 1), float32
        (12, ...); NaN where none of the three months has two values.
    count
        Number of values, int32 (12, ...).
    """

    mean: np.ndarray
    variance: np.ndarray
    count: np.ndarray


def calendar_moments(record: FluxRecord, field_at: Callable[[int], np.ndarray]) -> CalendarMoments:
    """Return the moments of a field over every month of a record.

    Parameters
    ----------
    record
        Whose months the fields are of.
    field_at
        Returns the field at a time position, NaN where there is no value. It is asked twice for
        each, so that no more than one has to be in memory.
    """
    shape = field_at(0).shape
    mean = np.empty((12, *shape), dtype=np.float32)
    variance, count = np.zeros_like(mean), np.zeros(mean.shape, dtype=np.int32)
    for month in range(12):
        positions = np.flatnonzero(record.calendar_months == month + 1)
        total, squares = np.zeros(shape), np.zeros(shape)
        for position in positions:
            field = field_at(int(position))
            known = np.isfinite(field)
            count[month] += known
            total += np.where(known, field, 0.0)
        empty = np.full(shape, np.nan)
        mean[month] = np.divide(total, count[month], out=empty, where=count[month] > 0)
        for position in positions:
            apart = field_at(int(position)) - mean[month]
            squares += np.where(np.isfinite(apart), np.square(apart), 0.0)
        variance[month] = squares / np.maximum(count[month] - 1, 1)
    return CalendarMoments(mean, _smooth(variance, count >= 2), count)


def floored_std(variance: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return standard deviations, none below `STD_FLOOR` times that of the area.

    Parameters
    ----------
    variance
        (12, lat, lon), or (12, 1, 1) of an index; NaN where unknown.
    weight
        Area of each cell (lat, lon), 0 on land.
    """
    everywhere = variance.shape[1:] != weight.shape
    weights = np.broadcast_to(1.0 if everywhere else weight, variance.shape)
    known = np.isfinite(variance) & (weights > 0)
    typical = np.average(variance[known], weights=weights[known]) if known.any() else 0.0
    least = max(STD_FLOOR**2 * float(typical), float(np.finfo(np.float32).tiny))
    return np.sqrt(np.maximum(variance, np.float32(least))).astype(np.float32)


def _smooth(variance: np.ndarray, known: np.ndarray) -> np.ndarray:
    def near(values: np.ndarray) -> np.ndarray:
        return np.roll(values, 1, axis=0) + 2 * values + np.roll(values, -1, axis=0)

    weight = near(known.astype(np.float32))
    empty = np.full(variance.shape, np.nan, dtype=np.float32)
    return np.divide(near(np.where(known, variance, 0.0)), weight, out=empty, where=weight > 0)


def _calendar(record: FluxRecord, name: str) -> tuple[np.ndarray, np.ndarray]:
    values = record.drivers[name]
    if values.ndim == 1:
        values = values[:, None, None]
    moments = calendar_moments(record, lambda position: values[position])
    # One value of a calendar month is its own mean: there is no anomaly to speak of.
    mean = np.where(moments.count >= 2, moments.mean, np.float32(np.nan))
    return mean, floored_std(moments.variance, record.weight)
