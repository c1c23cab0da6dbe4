"""The same sums with less memory traffic, on which the speed of the network hangs.

At full resolution the maps are larger than a processor's caches, and an operation that only moves
them costs as much as a convolution. Hence: nothing is kept or copied that need not be, on a CPU
without gradients maps are worked on a few at a time while they are in the cache, and a U-Net that
is told one and the same step for all its maps has that step's part added to the convolutions'
biases, not to the maps.
"""

from collections.abc import Callable

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn
from torch.nn.functional import conv2d, group_norm, silu
from torch.utils.checkpoint import checkpoint

CHANNELS_AT_ONCE = 8
"""Channels whose months are mixed at a time: a few MB, which stay in the cache."""


def norm_silu(norm: nn.GroupNorm, x: Tensor, recompute: bool = False) -> Tensor:
    """Return ``silu(norm(x))``.

    Parameters
    ----------
    norm
        The group norm.
    x
        (batch, channels, height, width).
    recompute
        In training, keep only ``x`` for the backward pass and compute the rest again there.
    """
    if recompute and torch.is_grad_enabled() and x.requires_grad:
        out: Tensor = checkpoint(_norm_silu, norm, x, use_reentrant=False, preserve_rng_state=False)
        return out
    return _norm_silu(norm, x)


def _norm_silu(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    # Autocast would do this in float32; the norm's own sums are in float32 in any case.
    with torch.autocast(x.device.type, enabled=False):
        weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
        normed = group_norm(x, norm.num_groups, weight, bias, norm.eps)
        return silu(normed, inplace=not torch.is_grad_enabled())


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
        hidden = norm_silu(self.norm1, x, self.recompute)
        step = self.time_emb_proj(silu(temb))
        if len(step) == 1:
            bias = self.conv1.bias + step[0]
            hidden = conv2d(hidden, self.conv1.weight, bias, padding=1)
        else:
            hidden = added(step[:, :, None, None], self.conv1(hidden))
        hidden = self.conv2(norm_silu(self.norm2, hidden, self.recompute))
        return added(x if self.conv_shortcut is None else self.conv_shortcut(x), hidden)


def make_lean(network: UNet2DModel) -> UNet2DModel:
    """Replace the residual blocks of a U-Net by lean ones with the same parameters and names."""
    for group in (*network.down_blocks, network.mid_block, *network.up_blocks):
        group.resnets = nn.ModuleList(LeanResidual(block) for block in group.resnets)
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
    known = network.time_proj(steps).to(network.time_embedding.linear_1.weight.dtype)
    embedding = network.time_embedding(known)
    x = network.conv_in(x)
    skips = [x]
    for down in network.down_blocks:
        x, passed = down(x, embedding)
        skips.extend(passed)
    x = network.mid_block(x, embedding)
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
        Its input; the result has its dtype and memory layout.
    n_out
        Months that come out.
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return function(x)
    batch, _, channels, height, width = x.shape
    last = x.stride(2) == 1
    out = torch.empty((batch, n_out, channels, height, width), dtype=x.dtype)
    for some in torch.arange(channels).split(CHANNELS_AT_ONCE):
        part = slice(int(some[0]), int(some[-1]) + 1)
        given = x[:, :, part].to(torch.float32, memory_format=torch.contiguous_format)
        out[:, :, part] = function(given)
    return _channels_last(out.flatten(1, 2)).unflatten(1, (n_out, channels)) if last else out


def _channels_last(maps: Tensor) -> Tensor:
    """Return maps with channels last in memory; one matrix at a time, which torch turns fast."""
    batch, channels, height, width = maps.shape
    turned = torch.empty((batch, height * width, channels), dtype=maps.dtype)
    for one, other in zip(turned, maps.flatten(2), strict=True):
        one.copy_(other.t())
    return turned.unflatten(1, (height, width)).permute(0, 3, 1, 2)
