"""Anomalies as the statistical methods take them: ocean cells in a row, one row a month."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from tidenet.climatology import AnomalySeries
from tidenet.working_grid import WorkingGrid


@dataclass(frozen=True)
class Sea:
    """Where the cells of a row lie.

    Parameters
    ----------
    ocean
        Boolean (lat, lon), True where a row has a cell; row-major order.
    weight
        Ocean area of each cell (cell,), any unit, float64.
    """

    ocean: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, weight: np.ndarray) -> "Sea":
        """Return the sea of a weight map (lat, lon) that is 0 on land."""
        ocean = weight > 0
        return cls(ocean, weight[ocean].astype(np.float64))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the area mean over the last axis."""
        mean: np.ndarray = values @ (self.weight / self.weight.sum())
        return mean

    def maps(self, values: np.ndarray) -> np.ndarray:
        """Return rows (..., cell) as maps (..., lat, lon), float32, 0 on land."""
        maps = np.zeros((*values.shape[:-1], *self.ocean.shape), dtype=np.float32)
        maps[..., self.ocean] = values
        return maps

    def smooth(self, values: np.ndarray, sigma: float) -> np.ndarray:
        """Return a Gaussian mean over neighbouring ocean cells (..., cell).

        Parameters
        ----------
        values
            (..., cell).
        sigma
            Standard deviation of the Gaussian (cells).
        """
        from scipy.ndimage import gaussian_filter

        flat = values.reshape(-1, values.shape[-1])
        reach = gaussian_filter(self.ocean.astype(np.float64), sigma, mode="constant")[self.ocean]
        smooth = np.empty(flat.shape)
        for row, field in zip(smooth, self.maps(flat), strict=True):
            row[:] = gaussian_filter(field, sigma, mode="constant")[self.ocean]
        return (smooth / np.maximum(reach, 1e-9)).reshape(values.shape)


@dataclass(frozen=True)
class Anomalies:
    """Standardised anomalies of consecutive months.

    Parameters
    ----------
    values
        float32 (time, cell).
    first_calendar
        Calendar month of the first row, 0 (January) to 11.
    sea
        Where the cells lie.
    """

    values: np.ndarray
    first_calendar: int
    sea: Sea

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def calendar(self) -> np.ndarray:
        """Calendar month of every row, 0 to 11 (time,)."""
        return (self.first_calendar + np.arange(len(self.values))) % 12

    def with_values(self, values: np.ndarray) -> "Anomalies":
        """Return other values for the same months."""
        return replace(self, values=values)

    def part(self, start: int, stop: int) -> "Anomalies":
        """Return the rows from ``start`` to before ``stop``."""
        return Anomalies(self.values[start:stop], int(self.first_calendar + start) % 12, self.sea)

    @classmethod
    def of(cls, series: AnomalySeries, grid: WorkingGrid | None = None) -> "Anomalies":
        """Return the anomalies of a record, on its own grid or as means over coarser blocks."""
        first = int(series.record.calendar_months[0]) - 1
        if grid is None:
            sea = Sea.of(series.record.weight)
            rows = np.stack([series[t][sea.ocean] for t in range(len(series))])
        else:
            sea = Sea.of(grid.block_weight)
            rows = np.stack([grid.coarsen(series[t])[sea.ocean] for t in range(len(series))])
        return cls(rows.astype(np.float32), first, sea)


class AnomalyForecast(Protocol):
    """A fitted method that forecasts anomalies from anomalies."""

    n_history: int

    def forecast(self, anomalies: Anomalies, positions: np.ndarray) -> np.ndarray:
        """Forecast from some months.

        Parameters
        ----------
        anomalies
            At least the ``n_history`` months up to each init month. Later rows are not read.
        positions
            Row of each init month (init,).

        Returns
        -------
        numpy.ndarray
            float32 (init, lead, cell), standard deviations of the valid month.
        """
        ...


def pairs(n_months: int, lead: int, parts: list[tuple[int, int]] | None = None) -> np.ndarray:
    """Return the rows from which a row ``lead`` months later is known.

    Parameters
    ----------
    n_months
        Rows in all.
    lead
        Months ahead.
    parts
        Stretches of rows ``(start, stop)`` that may be used; a pair lies within one stretch.
        None for all rows.
    """
    stretches = parts or [(0, n_months)]
    rows = [np.arange(start, max(start, stop - lead)) for start, stop in stretches]
    return np.concatenate(rows).astype(int)


def split_off(
    n_months: int, n_blocks: int, gap: int
) -> Iterator[tuple[np.ndarray, list[tuple[int, int]]]]:
    """Yield blocks of rows, and the stretches of the other rows with a gap around each block."""
    for block in np.array_split(np.arange(n_months), n_blocks):
        before = (0, max(int(block[0]) - gap, 0))
        after = (min(int(block[-1]) + 1 + gap, n_months), n_months)
        yield block, [part for part in (before, after) if part[1] - part[0] > 1]
