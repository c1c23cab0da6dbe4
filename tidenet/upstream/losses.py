"""The four terms of the published training loss."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from tidenet.model.fusion import low_pass

PHASE_WEIGHT, AMPLITUDE_WEIGHT, IMAGE_WEIGHT = 0.01, 0.01, 0.1
"""Defaults of upstream's model; its training script sets a phase weight of 0.001."""

AMPLITUDE_STEPS = 10_000
"""Training steps over which the weight of the amplitude term falls to zero.

The default of upstream's model; its training script sets 1000.
"""


def amplitude_weight(
    step: int, start: float = AMPLITUDE_WEIGHT, n_steps: int = AMPLITUDE_STEPS
) -> float:
    """Return the weight of the amplitude term at a training step, 1 being the first."""
    return start * max(0.0, 1 - step / n_steps)


def losses(
    components: Mapping[str, Tensor],
    target: Tensor,
    *,
    n_modes: int,
    amplitude_weight: float = AMPLITUDE_WEIGHT * (1 - 1 / AMPLITUDE_STEPS),
    phase_weight: float = PHASE_WEIGHT,
    image_weight: float = IMAGE_WEIGHT,
) -> dict[str, Tensor]:
    """Return the weighted terms of the loss and their total, by upstream's names.

    Parameters
    ----------
    components
        As `PublishedTideNet.components` returns them.
    target
        Observed frames (batch, lead, channel, height, width).
    n_modes
        Low modes per direction whose phase counts (``spec_num``).
    amplitude_weight
        Of the mean square error of the amplitudes of all Fourier modes (see the function of this
        name); the default is that of the first step.
    phase_weight
        Of the mean of ``1 - cos(phase error)`` over the low modes.
    image_weight
        Of the mean square error of the amplitude image.

    Returns
    -------
    dict
        ``total_loss`` (the forecast's mean square error and the three others), ``phase_loss``,
        ``ampli_loss`` and ``anet_loss``.
    """
    image = components["amplitude_image"]
    modes = torch.fft.rfft2(target)
    low = low_pass(target.shape[-2:], n_modes, target.device)
    turned = 1 - torch.cos(modes.angle() - components["phase"])
    phase = phase_weight * (turned * low).sum() / low.expand_as(turned).sum()
    amplitude = amplitude_weight * mse_loss(torch.fft.rfft2(image).abs(), modes.abs())
    anet = image_weight * mse_loss(image, target)
    total = mse_loss(components["pred"], target) + phase + amplitude + anet
    return {
        "total_loss": total,
        "phase_loss": phase,
        "ampli_loss": amplitude,
        "anet_loss": anet,
    }
