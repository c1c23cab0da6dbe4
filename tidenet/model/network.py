"""The operational TIDE-Net: the published modules, smaller and with conditions.

Where it differs from the published network (`tidenet.upstream`), and why:

- Maps are standardised anomalies and the result is added to the linear forecast; the last layer
  starts at zero, so that the untrained network departs nowhere. No sigmoid: anomalies have no
  bounds.
- The mask is a channel, and no value on land enters unannounced or leaves.
- Calendar month and lead are told: the month as channels, the lead as the U-Net's timestep.
- Driver channels join the flux; the linear forecast joins the images.
- The phase branch conserves mean and amplitudes (`ConservingPhaseBranch`).
- The fusion head gives a weight for each image and place, and the departure is the weighted sum:
  with a couple of hundred maps to learn from, it should not make structure of its own.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tidenet.configuration import TideNetConfig
from tidenet.model.blocks import UNetShape, zero
from tidenet.model.frequency import AmplitudeBranch, ConservingPhaseBranch
from tidenet.model.fusion import FusionHead, band_limited_mix
from tidenet.model.refiner import DiffusionRefiner, UNetRefiner

IMAGES = ("amplitude", "phase", "alpha", "linear", "last", "detail")
"""Images that the fusion head mixes, in this order; the detail only where there is one."""


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

    `departure` is added to the linear forecast. The images are parts that it was mixed from:
    `phase` is the phase image's phase as unit complex numbers, `detail` that of the diffusion
    refiner, zero without one, and `conditions` are the maps that it is given.
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
        channels, n_leads = config.hidden_channels, config.n_leads
        within: nn.Module = nn.Identity()
        if config.refiner == "unet":
            shape = UNetShape.small(config.refiner_channels)
            within = UNetRefiner(n_leads * channels, shape).silence()
        self.amplitude = AmplitudeBranch(
            config.n_history,
            n_leads,
            1 + len(config.drivers) + 3,  # flux, drivers, mask, season
            1,
            channels,
            config.n_spectral_cells,
            within,
            n_given=4,  # linear forecast, mask, season
        )
        zero(self.amplitude.decode[-1])
        self.phase = ConservingPhaseBranch(config.n_history, n_leads, channels, self.n_modes)
        self.refiner: DiffusionRefiner | None = None
        if config.refiner == "diffusion":
            self.refiner = DiffusionRefiner(
                n_leads, 2 * n_leads + 4, config.refiner_channels, config.refiner_steps
            )
        n_images = len(IMAGES) if self.refiner else len(IMAGES) - 1
        shape = UNetShape.small(config.fusion_channels)
        self.fusion = FusionHead(n_images + 3, n_images, shape)
        zero(self.fusion.unet.conv_out)

    def forward(self, x: NetworkInput, noise: Tensor) -> NetworkOutput:
        """Forecast departures; ``noise`` (batch, lead, height, width) starts the refiner."""
        mask = x.mask
        flux = x.history[:, :, 0]
        frames = _with_month(x.history, mask, history_season(x.season[:, 0], flux.shape[1]))
        given = _with_month(x.linear[:, :, None], mask, x.season[:, 1:])
        # Untrained, the amplitude image is the linear forecast and the phase image the last map.
        amplitude = (x.linear + self.amplitude(frames, given)[:, :, 0]) * mask
        phase_image, phase = self.phase(flux, x.season[:, 0])
        phase_image = phase_image * mask
        alpha = band_limited_mix(amplitude, phase, self.n_modes) * mask
        last = flux[:, -1:]
        # The refiner learns from its own error; it does not bend the images it is given.
        announced = _with_month(last[:, :, None], mask, x.season[:, :1])[:, 0]
        conditions = torch.cat([amplitude, phase_image, announced], dim=1).detach()
        detail = self.refine(conditions, noise * mask) * mask
        images = [amplitude, phase_image, alpha, x.linear, last.expand_as(x.linear)]
        if self.refiner:
            images.append(detail)
        departure = self._fuse(torch.stack(images, dim=2), x) * mask
        return NetworkOutput(departure, amplitude, phase_image, phase, alpha, detail, conditions)

    def refine(self, conditions: Tensor, noise: Tensor) -> Tensor:
        """Return detail for each noise (batch, lead, height, width); zero without a diffusion."""
        if self.refiner is None:
            return torch.zeros_like(noise)
        return self.refiner.refine(conditions, noise)

    def _fuse(self, images: Tensor, x: NetworkInput) -> Tensor:
        lead = torch.arange(1, images.shape[1] + 1, device=images.device)
        weights = self.fusion(_with_month(images, x.mask, x.season[:, 1:]), lead)
        return (weights * images).sum(dim=2)


def history_season(init: Tensor, n_history: int) -> Tensor:
    """Return sine and cosine of every month of the history (batch, month, 2).

    Parameters
    ----------
    init
        Sine and cosine of the init month, the last one (batch, 2).
    n_history
        Months.
    """
    back = torch.arange(n_history - 1, -1, -1, device=init.device) * (torch.pi / 6)
    sine, cosine = init[:, :1], init[:, 1:]
    return torch.stack(
        [
            sine * back.cos() - cosine * back.sin(),
            cosine * back.cos() + sine * back.sin(),
        ],
        dim=-1,
    )


def _with_month(maps: Tensor, mask: Tensor, season: Tensor) -> Tensor:
    """Join mask and season (batch, month, 2) to maps (batch, month, channel, height, width)."""
    batch, months, _, height, width = maps.shape
    here = mask[:, None].expand(batch, months, 1, height, width)
    when = season[..., None, None].expand(batch, months, 2, height, width)
    return torch.cat([maps, here, when], dim=2)
