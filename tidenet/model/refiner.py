"""Diffusion local refiner: fine structure, drawn from noise and refined step by step.

The large-scale images leave a residual. A small U-Net learns to recover that residual from a
noisy version of it, given the images; starting from noise and repeating this a few times (DDIM)
refines a map of local detail. Another noise gives another detail; starting from zero, the noise's
mean, gives the single detail that the best estimate uses.
"""

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn

TRAINING_STEPS = 1000


class LocalRefiner(nn.Module):
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
        self.denoiser = UNet2DModel(
            in_channels=n_leads + n_conditions,
            out_channels=n_leads,
            layers_per_block=1,
            block_out_channels=channels,
            down_block_types=("DownBlock2D",) * len(channels),
            up_block_types=("UpBlock2D",) * len(channels),
            norm_num_groups=4,
            add_attention=False,
        )
        self.scheduler = DDIMScheduler(
            num_train_timesteps=TRAINING_STEPS,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="sample",
            clip_sample=False,
            timestep_spacing="trailing",
        )

    def forward(self, noisy: Tensor, step: Tensor, conditions: Tensor) -> Tensor:
        """Return the detail that a noisy one hides (batch, lead, height, width)."""
        detail: Tensor = self.denoiser(torch.cat([noisy, conditions], dim=1), step).sample
        return detail

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
