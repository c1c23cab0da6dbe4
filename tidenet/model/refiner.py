"""Local refiner: fine structure that the global module leaves out.

Two kinds. The published weights hold U-Nets that correct the features of the amplitude branch
once, at timestep 0 (`UNetRefiner`). The paper's text describes a diffusion: a small U-Net learns to
recover the residual of the large-scale images from a noisy version of it, given the images;
starting from noise and repeating this a few times (DDIM) refines a map of local detail
(`DiffusionRefiner`). Another noise gives another detail, hence ensemble members; starting from
zero, the noise's mean, gives the single detail that the best estimate uses.
"""

from typing import Self

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn

from tidenet.model.blocks import UNetShape, unet, zero
from tidenet.model.lean import added, run_unet

TRAINING_STEPS = 1000
PUBLISHED_SHAPE = UNetShape((32, 64, 64))


class ResidualUNet(nn.Module):
    """Adds to features what a U-Net, called at timestep 0, finds missing in them."""

    def __init__(self, network: UNet2DModel) -> None:
        super().__init__()
        self.unet = network

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape (batch, channels, height, width)."""
        return added(x, run_unet(self.unet, x, 0))


class UNetRefiner(nn.Sequential):
    """Two residual U-Nets in a row, as in the published weights.

    Parameters
    ----------
    n_maps
        Features that are refined: months times channels.
    shape
        Of each U-Net.
    """

    def __init__(self, n_maps: int, shape: UNetShape = PUBLISHED_SHAPE) -> None:
        super().__init__(*(ResidualUNet(unet(n_maps, n_maps, shape)) for _ in range(2)))

    def silence(self) -> Self:
        """Set the last layer of each U-Net to zero, so that it starts by correcting nothing."""
        for residual in self:
            zero(residual.unet.conv_out)  # type: ignore[union-attr,arg-type]
        return self


class DiffusionRefiner(nn.Module):
    """A conditional residual diffusion over all lead months at once.

    Parameters
    ----------
    n_leads
        Maps that are refined together.
    n_conditions
        Maps that are given.
    channels
        Channels of the U-Net by depth, multiples of 4.
    n_steps
        Denoising steps.
    """

    def __init__(
        self, n_leads: int, n_conditions: int, channels: tuple[int, ...], n_steps: int
    ) -> None:
        super().__init__()
        self.n_leads, self.n_steps = n_leads, n_steps
        self.denoiser = unet(n_leads + n_conditions, n_leads, UNetShape.small(channels))
        self.scheduler = DDIMScheduler(
            num_train_timesteps=TRAINING_STEPS,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="sample",
            clip_sample=False,
            timestep_spacing="trailing",
        )

    def forward(self, noisy: Tensor, step: Tensor, conditions: Tensor) -> Tensor:
        """Return the detail that a noisy one hides (batch, lead, height, width)."""
        return run_unet(self.denoiser, torch.cat([noisy, conditions], dim=1), step)

    def add_noise(self, detail: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """Return the detail hidden in as much noise as there is at a diffusion step."""
        noisy: Tensor = self.scheduler.add_noise(detail, noise, step)
        return noisy

    @torch.no_grad()
    def refine(self, conditions: Tensor, noise: Tensor) -> Tensor:
        """Refine noise into detail, step by step (batch, lead, height, width)."""
        self.scheduler.set_timesteps(self.n_steps)
        detail = noise
        for step in self.scheduler.timesteps:
            clean = self(detail, step.to(noise.device), conditions)
            detail = self.scheduler.step(clean, int(step), detail).prev_sample
        return detail
