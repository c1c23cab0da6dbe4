"""Two scales: means over coarse blocks, which methods forecast, and the detail inside the blocks.

The record's own grid may have millions of cells. Methods see means over blocks of cells (the
working grid); the detail that these leave out fades at each cell's own rate. Where the working
grid is the record's own, there is no detail and nothing is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from storage.months import Month
from tidenet.climatology import AnomalySeries, MonthlyClimatology, fit_climatology
from tidenet.record import FluxRecord
from tidenet.references.anomalies import Anomalies, Sea
from tidenet.references.damping import shrink_to_mean
from tidenet.working_grid import WorkingGrid


@dataclass(frozen=True)
class TwoScales:
    """How a record's anomalies are parted and put together again.

    Parameters
    ----------
    climatology
        Of the training period, on the record's own grid.
    grid
        The working grid.
    detail
        Part of the detail that is left at each lead, float32 (lead, lat, lon), 0 to 1.
    detail_variance
        Variance of what forecasts of the detail miss, means over blocks, float32
        (lead, height, width), in squared standard deviations of the valid month.
    """

    climatology: MonthlyClimatology
    grid: WorkingGrid
    detail: np.ndarray
    detail_variance: np.ndarray

    @property
    def sea(self) -> Sea:
        """The ocean blocks."""
        return Sea.of(self.grid.block_weight)

    @property
    def ocean(self) -> np.ndarray:
        """Boolean (lat, lon), the ocean cells."""
        ocean: np.ndarray = self.grid.weight > 0
        return ocean

    def part(self, anomaly: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the block means (block,) and the detail (lat, lon) of a standardised anomaly."""
        blocks = self.grid.coarsen(anomaly)
        return blocks[self.sea.ocean], self._detail_of(anomaly, blocks)

    def join(self, blocks: np.ndarray, detail: np.ndarray) -> np.ndarray:
        """Return standardised anomalies (lead, lat, lon) of forecast blocks and the detail now.

        Parameters
        ----------
        blocks
            (lead, block), standard deviations.
        detail
            Of the init month (lat, lon).
        """
        joined: np.ndarray = self.grid.refine(self.sea.maps(blocks))
        if self.grid.factor > 1:
            joined = joined + self.detail * np.where(self.ocean, detail, 0.0)
        return joined

    def restore(self, anomalies: np.ndarray, init_month: Month) -> np.ndarray:
        """Return the flux of standardised anomalies of leads 1, 2, ...; NaN on land.

        float32 (lead, lat, lon), mmol m-2 d-1.
        """
        flux = np.empty(anomalies.shape, dtype=np.float32)
        for lead, anomaly in enumerate(anomalies, start=1):
            flux[lead - 1] = self.climatology.restore(anomaly, init_month + lead)
        flux[:, ~self.ocean] = np.nan
        return flux

    def _detail_of(self, anomaly: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        if self.grid.factor == 1:
            return np.zeros(anomaly.shape, dtype=np.float32)
        detail: np.ndarray = anomaly - self.grid.refine(blocks)
        return detail

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays to save."""
        return {
            "climatology_mean": self.climatology.mean,
            "climatology_std": self.climatology.std,
            "detail": self.detail,
            "detail_variance": self.detail_variance,
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, np.ndarray], weight: np.ndarray, working_cells: int
    ) -> "TwoScales":
        """Rebuild from what `tensors` returned; ``weight`` is the ocean area of each cell."""
        return cls(
            MonthlyClimatology(tensors["climatology_mean"], tensors["climatology_std"]),
            WorkingGrid.fitting(weight, working_cells),
            tensors["detail"],
            tensors["detail_variance"],
        )


def fit_scales(record: FluxRecord, n_leads: int, working_cells: int) -> tuple[TwoScales, Anomalies]:
    """Fit climatology and the damping of the detail; return them with the block anomalies.

    The record is read month by month, so that memory holds little more than the record.

    Raises
    ------
    NotEnoughMonthsError
        If a calendar month occurs less than twice.
    IncompleteFieldError
        If an ocean cell has no value.
    """
    climatology = fit_climatology(record)
    grid = WorkingGrid.fitting(record.weight, working_cells)
    series = AnomalySeries(record, climatology)
    anomalies = Anomalies.of(series, grid)
    shape = (n_leads, *record.grid.shape)
    if grid.factor == 1:
        empty = np.zeros((n_leads, *grid.shape), dtype=np.float32)
        return TwoScales(climatology, grid, np.zeros(shape, np.float32), empty), anomalies
    product, earlier, later = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    blank = TwoScales(climatology, grid, np.zeros(shape, np.float32), np.empty(0))
    recent: list[np.ndarray] = []
    for t in range(len(series)):
        _, detail = blank.part(series[t])
        recent = [detail, *recent][: n_leads + 1]
        for lead, before in enumerate(recent[1:]):
            product[lead] += before * detail
            earlier[lead] += before * before
            later[lead] += detail * detail
    damping = np.zeros(shape, dtype=np.float32)
    missed = np.zeros(shape, dtype=np.float32)
    ocean, weight = record.ocean, record.weight[record.ocean]
    for lead in range(n_leads):
        n_pairs = len(series) - lead - 1
        variance = earlier[lead][ocean] / n_pairs
        slope = product[lead][ocean] / np.maximum(earlier[lead][ocean], 1e-9)
        slope = shrink_to_mean(slope, n_pairs, weight)
        damping[lead][ocean] = slope
        error = later[lead][ocean] - 2 * slope * product[lead][ocean]
        missed[lead][ocean] = np.maximum(error / n_pairs + slope**2 * variance, 0.0)
    return TwoScales(climatology, grid, damping, grid.coarsen(missed)), anomalies
