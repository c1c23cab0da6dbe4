"""The published network made ready for fast forecasts and training."""

import copy
from typing import Literal

import torch
from diffusers.models.attention_processor import Attention
from torch import nn

from tidenet.upstream.network import PublishedTideNet

Precision = Literal["float32", "bfloat16"]


def optimised(network: PublishedTideNet, precision: Precision = "float32") -> PublishedTideNet:
    """Return a copy for forecasts in a precision.

    In float32 it is a plain copy: the modules themselves compute without waste. In bfloat16 the
    convolutions and attention of amplitude branch and fusion head run in bfloat16, with channels
    last in memory; Fourier transforms, networks over time, timestep embeddings and the phase
    branch stay in float32.

    Parameters
    ----------
    network
        The network; it is left as it is.
    precision
        ``float32`` or ``bfloat16``.
    """
    fast = copy.deepcopy(network)
    if precision == "float32":
        return fast
    for module in (fast.amplitude, fast.fusion):
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                part.to(torch.bfloat16)
            elif isinstance(part, Attention):
                _reduce_linear(part)
    # Group norm of torch with channels last loses digits; in bfloat16 there are none to lose.
    _put_channels_last(fast.amplitude)
    _put_channels_last(fast.fusion)
    return fast


def lean_training(network: nn.Module) -> None:
    """Make a network train in less memory: same weights, same gradients.

    Convolutions get their channels last in memory, and what group norm and SiLU made of a map is
    computed again in the backward pass instead of being kept. Run the step under
    ``torch.autocast(..., torch.bfloat16)``, as accelerate does with ``mixed_precision="bf16"``.
    """
    _put_channels_last(network)
    for part in network.modules():
        if hasattr(type(part), "recompute"):
            part.recompute = True  # type: ignore[assignment]


def _reduce_linear(network: nn.Module) -> None:
    for part in network.modules():
        if isinstance(part, nn.Linear):
            part.to(torch.bfloat16)


def _put_channels_last(network: nn.Module) -> None:
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
