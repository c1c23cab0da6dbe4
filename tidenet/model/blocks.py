"""Blocks that the modules share: convolution blocks, U-Nets, networks over time.

Feature maps of several months are (batch, month, channel, height, width). A network over time
mixes the months of one channel and place; folding months into channels, ``(batch, month *
channel, height, width)``, is a view.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from tidenet.model.lean import added, make_lean
from tidenet.model.recompute import norm_silu, norm_silu_conv


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Return a context without autocast: Fourier work and phases are float32 always.

    In reduced precision the phase of a weak mode is noise, and the transforms gain no speed.
    """
    return torch.autocast(x.device.type, enabled=False)


Padding = Literal["zeros", "circular"]


class ConvolutionBlock(nn.Module):
    """Convolution, group norm over 8 groups, SiLU; computed by `ResidualBlock`."""

    def __init__(self, n_in: int, n_out: int, size: int, padding_mode: Padding) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            n_in, n_out, size, padding=size // 2, padding_mode=padding_mode
        )
        self.norm = nn.GroupNorm(8, n_out)


class ResidualBlock(nn.Module):
    """Two convolution blocks beside a 1 x 1 convolution, or beside the input itself.

    Parameters
    ----------
    n_in, n_out
        Channels; ``n_out`` a multiple of 8.
    size
        Kernel size.
    padding_mode
        Of the convolutions; ``circular`` on a plane of Fourier modes.
    """

    recompute = False

    def __init__(
        self, n_in: int, n_out: int, size: int = 3, padding_mode: Padding = "zeros"
    ) -> None:
        super().__init__()
        self.first = ConvolutionBlock(n_in, n_out, size, padding_mode)
        self.second = ConvolutionBlock(n_out, n_out, size, padding_mode)
        self.beside = nn.Identity() if n_in == n_out else nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (batch, n_out, height, width)."""
        first, second = self.first, self.second
        hidden = first.convolution(x)
        hidden = norm_silu_conv(first.norm, second.convolution, hidden, self.recompute)
        return added(self.beside(x), norm_silu(second.norm, hidden, self.recompute))


def residual_stack(
    n_in: int, channels: int, n_out: int, size: int = 3, padding_mode: Padding = "zeros"
) -> nn.Sequential:
    """Return two residual blocks and a 1 x 1 convolution."""
    return nn.Sequential(
        ResidualBlock(n_in, channels, size, padding_mode),
        ResidualBlock(channels, channels, size, padding_mode),
        nn.Conv2d(channels, n_out, 1),
    )


class TimeNetwork(nn.Module):
    """Two linear layers over the months, with SELU between, at every channel and place."""

    def __init__(self, n_in: int, n_hidden: int, n_out: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_in, n_hidden)
        self.second = nn.Linear(n_hidden, n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, n_out, ...) from (batch, n_in, ...)."""
        hidden = over_time(x.flatten(2), self.first.weight, self.first.bias)
        out = over_time(selu(hidden), self.second.weight, self.second.bias)
        return out.unflatten(2, x.shape[2:])


def sum_of_two(one: TimeNetwork, other: TimeNetwork, x: Tensor) -> Tensor:
    """Return ``one(x) + other(x)``, computed as one network with both hidden layers."""
    first = torch.cat([one.first.weight, other.first.weight])
    first_bias = torch.cat([one.first.bias, other.first.bias])
    second = torch.cat([one.second.weight, other.second.weight], dim=1)
    hidden = selu(over_time(x.flatten(2), first, first_bias))
    out = over_time(hidden, second, one.second.bias + other.second.bias)
    return out.unflatten(2, x.shape[2:])


def over_time(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``weight @ x + bias`` over the second axis (batch, n_out, places).

    Parameters
    ----------
    x
        (batch, n_in, places).
    weight, bias
        (n_out, n_in) and (n_out,).
    """
    return torch.baddbmm(bias[:, None], weight.expand(len(x), -1, -1), x)


def selu(x: Tensor) -> Tensor:
    """Return SELU; without gradients in place of ``x``, which must be nobody else's."""
    return nn.functional.selu(x, inplace=not torch.is_grad_enabled())


@dataclass(frozen=True)
class UNetShape:
    """Size of a U-Net; the defaults are those of the published network.

    Parameters
    ----------
    channels
        Channels by depth; each depth but the first halves height and width.
    layers
        Residual blocks per depth.
    groups
        Of the group norms; divides every one of ``channels``.
    attention
        Whether the deepest block has self-attention.
    """

    channels: tuple[int, ...]
    layers: int = 2
    groups: int = 32
    attention: bool = True

    @classmethod
    def small(cls, channels: tuple[int, ...]) -> "UNetShape":
        """Return the shape of the operational network's U-Nets; channels are multiples of 4."""
        return cls(channels, layers=1, groups=4, attention=False)


def unet(n_in: int, n_out: int, shape: UNetShape) -> UNet2DModel:
    """Return a U-Net of diffusers with so many channels in and out."""
    depth = len(shape.channels)
    network = UNet2DModel(
        in_channels=n_in,
        out_channels=n_out,
        layers_per_block=shape.layers,
        block_out_channels=shape.channels,
        down_block_types=("DownBlock2D",) * depth,
        up_block_types=("UpBlock2D",) * depth,
        norm_num_groups=shape.groups,
        add_attention=shape.attention,
    )
    return make_lean(network)


def zero(layer: nn.Module) -> None:
    """Set every parameter of a layer to zero, so that it starts by giving nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
