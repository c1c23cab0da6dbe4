"""The same sums with less memory traffic, on which the speed of the network hangs.

At full resolution the maps are larger than a processor's caches, and an operation that only moves
them costs as much as a convolution. Hence: nothing is kept or copied that need not be, on a CPU
without gradients maps are worked on a few at a time while they are in the cache, and a U-Net that
is told one and the same step for all its maps has that step's part added to the convolutions'
biases, not to the maps.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, silu

from tidenet.model.recompute import norm_silu, norm_silu_conv

PLACES_AT_ONCE = 2**16
"""Cells whose months are mixed at a time, over all channels: a few MB, which stay in the cache."""


def added(x: Tensor, to: Tensor) -> Tensor:
    """Return ``to + x``; without gradients in place of ``to``, which must be nobody else's."""
    return to + x if torch.is_grad_enabled() else to.add_(x)


class LeanResidual(nn.Module):
    """What a residual block of diffusers computes, from the same parameters.

    Parameters
    ----------
    block
        The block; it neither scales its output nor its timestep embedding and has no dropout.
    """

    recompute = False

    def __init__(self, block: ResnetBlock2D) -> None:
        super().__init__()
        self.norm1, self.conv1 = block.norm1, block.conv1
        self.time_emb_proj = block.time_emb_proj
        self.norm2, self.conv2 = block.norm2, block.conv2
        self.conv_shortcut = block.conv_shortcut

    def forward(self, x: Tensor, temb: Tensor) -> Tensor:
        """Return features (batch, n_out, height, width).

        Parameters
        ----------
        x
            (batch, n_in, height, width).
        temb
            Timestep embedding, one for all (1, features) or one for each (batch, features).
        """
        step = self.time_emb_proj(silu(temb))
        one = step[0] if len(step) == 1 else None
        hidden = norm_silu_conv(self.norm1, self.conv1, x, self.recompute, one)
        if one is None:
            hidden = added(step[:, :, None, None], hidden)
        hidden = norm_silu_conv(self.norm2, self.conv2, hidden, self.recompute)
        return added(x if self.conv_shortcut is None else self.conv_shortcut(x), hidden)


class LeanUpsample(nn.Module):
    """What diffusers' upsampling computes: each cell to 2 x 2, then a 3 x 3 convolution.

    Of the nine cells under the kernel several are the same one. Their weights are added first,
    and four 2 x 2 convolutions of the small map give the four cells of each 2 x 2: 16 products
    instead of 36.

    Parameters
    ----------
    block
        The upsampling block.
    """

    def __init__(self, block: Upsample2D) -> None:
        super().__init__()
        self.conv: Any = block.conv

    def forward(self, x: Tensor, size: int | None = None) -> Tensor:
        """Return features of twice the height and width; ``size`` is not used."""
        del size
        if torch.is_grad_enabled():
            enlarged: Tensor = self.conv(interpolate(x, scale_factor=2.0))
            return enlarged
        rows = _pairs(self.conv.weight, 2)
        kernels = [kernel for row in rows for kernel in _pairs(row, 3)]
        bias = self.conv.bias.repeat(4) if self.conv.bias is not None else None
        parts = conv2d(x, torch.cat(kernels), bias, padding=1).chunk(4, dim=1)
        height, width = x.shape[-2:]
        shape = (len(x), self.conv.out_channels, 2 * height, 2 * width)
        last = x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)
        for position, part in enumerate(parts):
            i, j = divmod(position, 2)
            out[:, :, i::2, j::2] = part[:, :, i : i + height, j : j + width]
        return out


def _pairs(weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return what is left of three weights along an axis for the first and the second cell."""
    first, second, third = weight.split(1, dim)
    return torch.cat([first, second + third], dim), torch.cat([first + second, third], dim)


def make_lean(network: Any) -> Any:
    """Replace blocks of a U-Net by lean ones with the same parameters and names."""
    for group in (*network.down_blocks, network.mid_block, *network.up_blocks):
        group.resnets = nn.ModuleList(LeanResidual(block) for block in group.resnets)
    for group in network.up_blocks:
        if group.upsamplers is not None:
            group.upsamplers = nn.ModuleList(LeanUpsample(block) for block in group.upsamplers)
    return network


def run_unet(network: UNet2DModel, x: Tensor, step: Tensor | int) -> Tensor:
    """Return what a lean U-Net makes of maps (batch, n_out, height, width).

    Parameters
    ----------
    network
        From `make_lean`.
    x
        (batch, n_in, height, width).
    step
        The timestep: one for all maps, or one for each (batch,).
    """
    steps = torch.as_tensor(step, device=x.device).reshape(-1)
    embedder: Any = network.time_embedding
    embedding = embedder(network.time_proj(steps).to(embedder.linear_1.weight.dtype))
    x = network.conv_in(x)
    skips = [x]
    for down in network.down_blocks:
        x, passed = down(x, embedding)
        skips.extend(passed)
    middle: Any = network.mid_block
    x = middle(x, embedding)
    up: Any
    for up in network.up_blocks:
        n = len(up.resnets)
        x = up(x, tuple(skips[-n:]), embedding)
        del skips[-n:]
    out: Tensor = network.conv_out(norm_silu(network.conv_norm_out, x))
    return out


def one_by_one(function: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    """Return ``function(maps)``; on a CPU without gradients for one map of the batch at a time."""
    if torch.is_grad_enabled() or maps.device.type != "cpu" or len(maps) == 1:
        return function(maps)
    return torch.cat([function(one) for one in maps.split(1)])


def by_channel(function: Callable[[Tensor], Tensor], x: Tensor, n_out: int) -> Tensor:
    """Return a function over the months of each channel, computed in float32.

    Parameters
    ----------
    function
        From (batch, month, channel, height, width) to (batch, n_out, channel, height, width),
        channels independent of each other.
    x
        Its input, best with `places_last`; the result has its dtype, and places last.
    n_out
        Months that come out.
    """
    if torch.is_grad_enabled():
        return function(x)
    if x.device.type != "cpu":
        return function(x.float()).to(x.dtype)
    batch, _, channels, height, width = x.shape
    out = torch.empty((batch, n_out, channels, height, width), dtype=x.dtype)
    at_once = max(1, PLACES_AT_ONCE // (height * width))
    for start in range(0, channels, at_once):
        part = slice(start, start + at_once)
        given = x[:, :, part].to(torch.float32, memory_format=torch.contiguous_format)
        out[:, :, part] = function(given)
    return out


def places_last(maps: Tensor) -> Tensor:
    """Return maps (batch, channels, height, width), without gradients contiguous in memory."""
    if torch.is_grad_enabled() or maps.is_contiguous():
        return maps
    return _turned(maps.permute(0, 2, 3, 1).flatten(1, 2)).unflatten(2, maps.shape[2:])


def suited(maps: Tensor, network: nn.Module) -> Tensor:
    """Return maps, without gradients with channels last in memory if a network's weights are so."""
    weights = (part.weight for part in network.modules() if isinstance(part, nn.Conv2d))
    last = all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    if torch.is_grad_enabled() or not last or maps.stride(1) == 1:
        return maps
    return _turned(maps.flatten(2)).unflatten(1, maps.shape[2:]).permute(0, 3, 1, 2)


def _turned(matrices: Tensor) -> Tensor:
    """Return the transposed, in memory too; one matrix at a time, which torch turns fast."""
    turned = torch.empty_like(matrices.mT, memory_format=torch.contiguous_format)
    for one, other in zip(turned, matrices, strict=True):
        one.copy_(other.t())
    return turned
