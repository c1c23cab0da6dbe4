"""Group norm and SiLU that keep nothing for the backward pass but what they were given.

Between two convolutions torch keeps the map before the norm, the one after it and the one after
SiLU. The last two are quickly made again from the first, which leaves a third of the memory.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, group_norm, silu


def norm_silu(norm: nn.GroupNorm, x: Tensor, recompute: bool = False) -> Tensor:
    """Return ``silu(norm(x))``.

    Parameters
    ----------
    norm
        The group norm.
    x
        (batch, channels, height, width).
    recompute
        In training, keep only ``x`` and make the rest again in the backward pass.
    """
    parts = (x, norm.weight, norm.bias, norm.num_groups, norm.eps)
    if recompute and torch.is_grad_enabled():
        out: Tensor = _NormSilu.apply(*parts)
        return out
    return _norm_silu(*parts)


def norm_silu_conv(
    norm: nn.GroupNorm,
    convolution: nn.Conv2d,
    x: Tensor,
    recompute: bool = False,
    more_bias: Tensor | None = None,
) -> Tensor:
    """Return ``convolution(silu(norm(x)))``.

    Parameters
    ----------
    norm, convolution
        The group norm, and a convolution of stride 1.
    x
        (batch, channels, height, width).
    recompute
        In training, keep only ``x`` and make the rest again in the backward pass.
    more_bias
        Added to the convolution's bias (channels,).
    """
    bias = convolution.bias
    if more_bias is not None and bias is not None:
        bias = bias + more_bias.to(bias.dtype)
    padding: Any = convolution.padding
    if recompute and torch.is_grad_enabled() and convolution.padding_mode == "zeros":
        out: Tensor = _NormSiluConv.apply(
            x, norm.weight, norm.bias, convolution.weight, bias, norm.num_groups, norm.eps, padding
        )
        return out
    hidden = norm_silu(norm, x)
    if convolution.padding_mode != "zeros":
        return convolution(hidden)
    return conv2d(hidden, convolution.weight, bias, padding=padding)


def _norm_silu(x: Tensor, weight: Tensor, bias: Tensor, n_groups: int, eps: float) -> Tensor:
    # Autocast would do this in float32; the norm's own sums are in float32 in any case.
    with torch.autocast(x.device.type, enabled=False):
        weight, bias = _fitting(weight, x), _fitting(bias, x)
        normed = group_norm(x, n_groups, weight, bias, eps)
        return silu(normed, inplace=not torch.is_grad_enabled())


def _fitting(parameter: Tensor, x: Tensor) -> Tensor:
    """Return a parameter in the map's precision; on a CPU float32 goes with bfloat16 maps."""
    mixed = x.device.type == "cpu" and x.dtype == torch.bfloat16
    return parameter if mixed and parameter.dtype == torch.float32 else parameter.to(x.dtype)


class _NormSilu(torch.autograd.Function):
    """Group norm and SiLU; keeps the map and the parameters."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, n_groups: int, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        ctx.settings = n_groups, eps
        return _norm_silu(x, weight, bias, n_groups, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weight, bias = ctx.saved_tensors
        with torch.autocast(x.device.type, enabled=False):
            again = _Again(x, weight, bias, *ctx.settings)
            return *again.gradients(gradients[0]), None, None


class _NormSiluConv(torch.autograd.Function):
    """Group norm, SiLU and convolution in the precision of the map; keeps no other map."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        weight: Tensor,
        bias: Tensor,
        n_groups: int,
        eps: float,
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(x, norm_weight, norm_bias, weight)
        ctx.settings = n_groups, eps, padding
        with torch.autocast(x.device.type, enabled=False):
            hidden = _norm_silu(x, norm_weight, norm_bias, n_groups, eps)
            return conv2d(hidden, weight.to(x.dtype), bias.to(x.dtype), padding=padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        n_groups, eps, padding = ctx.settings
        x, norm_weight, norm_bias, weight = ctx.saved_tensors
        with torch.autocast(x.device.type, enabled=False):
            again = _Again(x, norm_weight, norm_bias, n_groups, eps)
            to_hidden, to_weight, to_bias = torch.ops.aten.convolution_backward(
                gradients[0],
                silu(again.normed),
                weight.to(x.dtype),
                [len(weight)],
                [1, 1],
                list(padding),
                [1, 1],
                False,
                [0, 0],
                1,
                [True, True, True],
            )
            to_norm = again.gradients(to_hidden)
        return *to_norm, to_weight.to(weight.dtype), to_bias.to(weight.dtype), None, None, None


class _Again:
    """Group norm made again, and the way back through it and SiLU."""

    def __init__(self, x: Tensor, weight: Tensor, bias: Tensor, n_groups: int, eps: float) -> None:
        self.x, self.weight, self.n_groups = x, weight, n_groups
        size = (len(x), x.shape[1], x.shape[2] * x.shape[3])
        self.normed, self.mean, self.inverse_std = torch.native_group_norm(
            x, _fitting(weight, x), _fitting(bias, x), *size, n_groups, eps
        )

    def gradients(self, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of map, weight and bias from that of the result."""
        gradient = torch.ops.aten.silu_backward(gradient, self.normed)
        x, groups = self.x, self.n_groups
        if not (x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last)):
            size = (len(x), x.shape[1], x.shape[2] * x.shape[3])
            weight = _fitting(self.weight, x)
            to_x, to_weight, to_bias = torch.ops.aten.native_group_norm_backward(
                gradient.contiguous(),
                x.contiguous(),
                self.mean,
                self.inverse_std,
                weight,
                *size,
                groups,
                [True] * 3,
            )
            return to_x, to_weight.to(self.weight.dtype), to_bias.to(self.weight.dtype)
        return self._channels_last_gradients(gradient)

    def _channels_last_gradients(self, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same from sums over each channel.

        With channels last and few channels in a group, torch's own takes 4 to 13 times as long
        on a CPU.
        """
        x, weight = self.x, self.weight.float()
        batch, channels, height, width = x.shape
        groups = (batch, self.n_groups, channels // self.n_groups)

        def of_channels(per_group: Tensor) -> Tensor:
            return per_group[:, :, None].expand(groups).reshape(batch, channels)

        mean, inverse_std = self.mean.float(), self.inverse_std.float()
        total = gradient.sum((2, 3), dtype=torch.float32)
        total_x = (gradient * x).sum((2, 3), dtype=torch.float32)
        weighed = (total * weight).view(groups).sum(-1)
        weighed_x = (total_x * weight).view(groups).sum(-1)
        n = channels // self.n_groups * height * width
        slope = (weighed * mean - weighed_x) * inverse_std**3 / n
        offset = -slope * mean - weighed * inverse_std / n
        scale = of_channels(inverse_std) * weight

        def of_places(values: Tensor) -> Tensor:
            return values[:, :, None, None].to(x.dtype)

        to_x = torch.addcmul(of_places(of_channels(offset)), x, of_places(of_channels(slope)))
        to_x.addcmul_(gradient, of_places(scale))
        to_weight = (total_x - of_channels(mean) * total) * of_channels(inverse_std)
        dtype = self.weight.dtype
        return to_x, to_weight.sum(0).to(dtype), total.sum(0).to(dtype)
