"""TIDE-Net: frequency global module, local refiner and fusion head put together."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tidenet.configuration import TideNetConfig
from tidenet.model.frequency import AmplitudeBranch, PhaseBranch, band_limited_mix
from tidenet.model.fusion import FusionHead
from tidenet.model.refiner import LocalRefiner


@dataclass(frozen=True)
class NetworkInput:
    """A batch of forecasts to make, on the working grid; anomalies in standard deviations.

    Parameters
    ----------
    history
        (batch, month, channel, height, width), oldest first; 0 on land and padding. Channel 0 is
        the anomaly of the flux, the others those of the drivers, in the configuration's order.
    linear
        Linear forecast to depart from: damped persistence and what is added to it
        (batch, lead, height, width); 0 on land and padding.
    season
        Sine and cosine of the calendar month, of the init month and then of every valid month
        (batch, 1 + lead, 2).
    mask
        1 on ocean, 0 on land and padding (batch, 1, height, width).
    """

    history: Tensor
    linear: Tensor
    season: Tensor
    mask: Tensor

    def __getitem__(self, index: Any) -> "NetworkInput":
        """Return some of the batch."""
        return NetworkInput(
            self.history[index], self.linear[index], self.season[index], self.mask[index]
        )

    def to(self, device: torch.device) -> "NetworkInput":
        """Return the batch on a device."""
        return NetworkInput(
            self.history.to(device),
            self.linear.to(device),
            self.season.to(device),
            self.mask.to(device),
        )


@dataclass(frozen=True)
class NetworkOutput:
    """What the network makes of it (batch, lead, height, width), all in standard deviations.

    `departure` is added to the linear forecast. The images are parts that it was mixed from;
    `conditions` are the maps that the refiner was given.
    """

    departure: Tensor
    amplitude_image: Tensor
    phase_image: Tensor
    phase: Tensor
    alpha: Tensor
    detail: Tensor
    conditions: Tensor


class TideNet(nn.Module):
    """The network. It belongs to no grid: coast and size come with the input.

    Parameters
    ----------
    config
        Its shape.
    """

    def __init__(self, config: TideNetConfig) -> None:
        super().__init__()
        self.n_modes = config.n_modes
        self.amplitude = AmplitudeBranch(
            config.n_history + 3,
            config.n_leads,
            config.hidden_channels,
            self.n_modes,
            config.n_spectral_cells,
        )
        self.phase = PhaseBranch(
            config.n_history, config.n_leads, config.hidden_channels, self.n_modes
        )
        self.refiner = LocalRefiner(
            config.n_leads,
            2 * config.n_leads + 4,
            config.refiner_channels,
            config.refiner_steps,
        )
        self.fusion = FusionHead(config.hidden_channels)

    def forward(self, x: NetworkInput, noise: Tensor) -> NetworkOutput:
        """Forecast departures; ``noise`` (batch, lead, height, width) starts the refiner."""
        announced, mask = self._announced(x), x.mask  # mask and season as maps
        flux = x.history[:, :, 0]
        amplitude = self.amplitude(torch.cat([flux, announced], dim=1)) * mask
        phase_image, phase = self.phase(flux, x.season[:, 0])
        phase_image = phase_image * mask
        alpha = band_limited_mix(amplitude, phase, self.n_modes) * mask
        last = flux[:, -1:]
        # The refiner learns from its own error; it does not bend the images it is given.
        conditions = torch.cat([amplitude, phase_image, last, announced], dim=1).detach()
        detail = self.refiner.refine(conditions, noise * mask) * mask
        images = [amplitude, phase_image, alpha, detail, x.linear, last.expand_as(x.linear)]
        departure = self.fusion(torch.stack(images, dim=2), mask, x.season[:, 1:])
        return NetworkOutput(departure, amplitude, phase_image, phase, alpha, detail, conditions)

    def _announced(self, x: NetworkInput) -> Tensor:
        batch, _, _, height, width = x.history.shape
        season = x.season[:, 0].view(batch, 2, 1, 1).expand(batch, 2, height, width)
        return torch.cat([x.mask, season], dim=1)
