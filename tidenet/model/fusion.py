"""Synergistic fusion head: one forecast out of the amplitude image, the phase image and alpha."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tidenet.model.blocks import UNetShape, full_precision, unet
from tidenet.model.lean import one_by_one, run_unet


class FusionHead(nn.Module):
    """A U-Net over the images of one lead month.

    Parameters
    ----------
    n_in, n_out
        Maps of a lead month, in and out.
    shape
        Of the U-Net.
    """

    def __init__(self, n_in: int, n_out: int, shape: UNetShape) -> None:
        super().__init__()
        self.unet = unet(n_in, n_out, shape)

    def forward(self, images: Tensor, step: Tensor | int = 0) -> Tensor:
        """Fuse.

        Parameters
        ----------
        images
            (batch, lead, n_in, height, width).
        step
            What the U-Net's timestep embedding is told: 0, as published, or a number per lead
            month (lead,).

        Returns
        -------
        Tensor
            (batch, lead, n_out, height, width).
        """
        batch = len(images)
        maps = images.flatten(0, 1).to(self.unet.conv_in.weight.dtype)
        if isinstance(step, Tensor):
            fused = run_unet(self.unet, maps, step.repeat(batch))
        else:
            fused = one_by_one(lambda one: run_unet(self.unet, one, step), maps)
        return fused.unflatten(0, (batch, -1)).to(images.dtype)


def band_limited_mix(amplitude_image: Tensor, direction: Tensor, n_modes: int) -> Tensor:
    """Return alpha: the low modes' amplitudes of one image with the evolved phases.

    ``alpha = F^-1(|F(amplitude image)| * low pass * exp(i phase))``

    Parameters
    ----------
    amplitude_image
        (..., height, width).
    direction
        ``exp(i phase)``, unit complex numbers (..., height, width // 2 + 1).
    n_modes
        Modes per direction that pass.
    """
    size = amplitude_image.shape[-2:]
    with full_precision(amplitude_image):
        amplitude = torch.fft.rfft2(amplitude_image.float(), norm="ortho").abs()
        passed = amplitude * low_pass(size, n_modes, amplitude.device)
        return torch.fft.irfft2(passed * direction, s=size, norm="ortho")


def low_pass(size: Sequence[int], n_modes: int, device: torch.device) -> Tensor:
    """Return 1 for low modes and 0 for the others (height, width // 2 + 1), float32."""
    height, width = size
    mask = torch.zeros(height, width // 2 + 1, device=device)
    mask[:n_modes, :n_modes] = 1
    mask[-n_modes:, :n_modes] = 1
    return mask
