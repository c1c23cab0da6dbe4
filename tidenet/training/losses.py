"""What training minimises. Land has no weight, and no value on land reaches a gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tidenet.configuration import TideNetConfig
from tidenet.model.fusion import low_pass
from tidenet.model.network import NetworkInput, NetworkOutput, TideNet


def masked_mean_square(error: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean square of an error; cells of weight 0 count for nothing.

    The error is replaced before it is squared as well as after: a NaN that is only multiplied by
    zero, or only replaced afterwards, still makes the gradient NaN.

    Parameters
    ----------
    error
        (..., height, width), anything where the weight is 0.
    weight
        (height, width) or broadcastable to the error.
    """
    counted = (weight > 0).expand_as(error)
    safe = torch.where(counted, error, torch.zeros_like(error))
    square = torch.where(counted, safe.square() * weight, torch.zeros_like(error))
    return square.sum() / weight.expand_as(error).sum().clamp_min(1e-12)


def phase_error(phase: Tensor, target: Tensor, n_modes: int) -> Tensor:
    """Return ``1 - cos`` of the phase error over low modes, weighted by the target's amplitude.

    Parameters
    ----------
    phase
        Predicted phase as unit complex numbers (batch, lead, height, width // 2 + 1).
    target
        Maps (batch, lead, height, width), 0 on land.
    n_modes
        Modes per direction that count; the mean does not, it has no phase.
    """
    modes = torch.fft.rfft2(target.float(), norm="ortho")
    low = low_pass(target.shape[-2:], n_modes, modes.device)
    low[0, 0] = 0
    amplitude = modes.abs() * low
    aligned = (modes.conj() * phase).real * low  # |F| cos(phase error)
    return (amplitude - aligned).sum() / amplitude.sum().clamp_min(1e-6)


@dataclass(frozen=True)
class RefinerDraw:
    """The random part of a training step: diffusion steps (batch,) and their noise."""

    step: Tensor
    noise: Tensor


def training_loss(
    network: TideNet,
    x: NetworkInput,
    target: Tensor,
    weight: Tensor,
    draw: RefinerDraw,
    config: TideNetConfig,
    output: NetworkOutput,
) -> Tensor:
    """Return the loss of a batch.

    The area-weighted mean square error of the forecast, plus small parts of the amplitude image's
    error, the phase error and the denoising error of a diffusion refiner.

    Parameters
    ----------
    network, x, output
        The network, its input and what it made of it.
    target
        Observed anomaly (batch, lead, height, width), standard deviations.
    weight
        Of each cell (height, width) or (batch, lead, height, width); 0 on land.
    draw
        Diffusion steps and noise for the refiner.
    config
        Weights of the parts.
    """
    clean_target = torch.where(x.mask > 0, target, torch.zeros_like(target))
    loss = masked_mean_square(x.linear + output.departure - target, weight)
    loss = loss + config.amplitude_loss * masked_mean_square(
        output.amplitude_image - target, weight
    )
    if config.phase_loss:
        error = phase_error(output.phase, clean_target, network.n_modes)
        loss = loss + config.phase_loss * error
    if network.refiner is not None and config.refiner_loss:
        detail = (clean_target - output.amplitude_image).detach()
        noisy = network.refiner.add_noise(detail, draw.noise * x.mask, draw.step)
        recovered = network.refiner(noisy, draw.step, output.conditions)
        loss = loss + config.refiner_loss * masked_mean_square(recovered - detail, weight)
    return loss
