"""Training and validation windows as tensors on the network's working grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from storage.months import Month
from tidenet.configuration import TideNetConfig
from tidenet.forecasting import season
from tidenet.model.network import NetworkInput
from tidenet.references.anomalies import Anomalies
from tidenet.references.linear import LinearPart


@dataclass(frozen=True)
class Samples:
    """Windows as tensors, one per init month.

    Parameters
    ----------
    x
        Input of the network, a batch of all windows.
    target
        Observed anomaly (window, lead, height, width), standard deviations; 0 on land.
    weight
        Part of each cell in the loss, the same shape; 0 on land, sums to 1 over each map.
    init_months
        One per window.
    """

    x: NetworkInput
    target: Tensor
    weight: Tensor
    init_months: list[Month]

    def __len__(self) -> int:
        return len(self.init_months)

    def __getitem__(self, some: slice) -> "Samples":
        """Return some of the windows."""
        parts = (self.x[some], self.target[some], self.weight[some])
        return Samples(*parts, self.init_months[some])

    @staticmethod
    def joined(parts: "Sequence[Samples]") -> "Samples":
        """Return the windows of several, one after another."""
        x = NetworkInput(
            torch.cat([part.x.history for part in parts]),
            torch.cat([part.x.linear for part in parts]),
            torch.cat([part.x.season for part in parts]),
            torch.cat([part.x.mask for part in parts]),
        )
        return Samples(
            x,
            torch.cat([part.target for part in parts]),
            torch.cat([part.weight for part in parts]),
            [month for part in parts for month in part.init_months],
        )

    def batch(self, index: Any) -> tuple[NetworkInput, Tensor, Tensor]:
        """Return input, target and weight of some windows."""
        return self.x[index], self.target[index], self.weight[index]

    def alike(self, index: Tensor) -> list[Tensor]:
        """Return for each window the windows whose init month is at most one calendar month off."""
        calendar = torch.tensor([int(month.astype(int)) % 12 for month in self.init_months])
        apart = (calendar[index, None] - calendar[None, :]) % 12
        near = (apart <= 1) | (apart >= 11)
        return [torch.nonzero(row).flatten() for row in near]

    def blended(
        self, index: Tensor, generator: torch.Generator
    ) -> tuple[NetworkInput, Tensor, Tensor]:
        """Return a batch in which each window is blended with another of the same season.

        ``cos(a) one + sin(a) other`` of two anomaly sequences is again a likely sequence, as far
        as anomalies evolve linearly: with a couple of hundred months, this is what keeps the
        network from learning its few windows by heart.
        """
        choice = torch.rand(len(index), generator=generator)
        pairs = zip(choice, self.alike(index), strict=True)
        other = torch.stack([alike[int(c * len(alike))] for c, alike in pairs])
        angle = 2 * np.pi * torch.rand(len(index), 1, 1, 1, generator=generator)
        one, target_one, weight = self.batch(index)
        two, target_two, _ = self.batch(other)
        c, s = torch.cos(angle), torch.sin(angle)
        history = c[:, None] * one.history + s[:, None] * two.history
        linear = c * one.linear + s * two.linear
        target = c * target_one + s * target_two
        return NetworkInput(history, linear, one.season, one.mask), target, weight


def make_samples(
    inputs: Anomalies,
    observed: Anomalies,
    forecasts: np.ndarray,
    drivers: np.ndarray,
    linear: LinearPart,
    positions: np.ndarray,
    config: TideNetConfig,
) -> Samples:
    """Bring the windows of some init positions together.

    The weight of a cell is its area times the standard deviation of the valid month: half way
    between errors in standard deviations, in which all places count alike, and errors of the flux,
    in which a few windy ones decide.

    Parameters
    ----------
    inputs, observed
        Block anomalies of the record's months without expected season and trend: what forecasts
        start from, and what is to be forecast. They differ where the disequilibrium is forecast.
    forecasts
        What the linear forecast made of each init position (init, lead, block); for months that it
        was fitted on, what it forecast when it had not been.
    drivers
        Anomalies of the drivers in the record's months (time, driver, height, width).
    linear
        The linear forecast; its first month is that of `inputs`.
    positions
        Init positions, ascending.
    """
    sea, grid = linear.scales.sea, linear.scales.grid
    window = np.arange(1 - config.n_history, 1)
    leads = np.arange(1, config.n_leads + 1)
    flux = sea.maps(inputs.values[positions[:, None] + window])[:, :, None]
    history = np.concatenate([flux, drivers[positions[:, None] + window]], axis=2)
    target = sea.maps(observed.values[positions[:, None] + leads])
    months = [linear.first_month + int(i) for i in positions]
    seasons = np.stack([season(month, config.n_leads) for month in months])
    valid = inputs.calendar[positions][:, None] + leads
    weight = grid.block_weight * grid.coarsen(linear.scales.climatology.std)[valid % 12]
    weight = weight / weight.sum(axis=(-2, -1), keepdims=True)
    mask = _tensor(grid.mask).expand(len(positions), 1, -1, -1)
    x = NetworkInput(_tensor(history), _tensor(sea.maps(forecasts)), _tensor(seasons), mask)
    return Samples(x, _tensor(target), _tensor(weight), months)


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
