"""A convolutional network for sequences of maps: encoder, translator, decoder.

After SimVP (Gao et al. 2022, "SimVP: Simpler yet Better Video Prediction", CVPR): maps are encoded
one by one, all months together are translated by inception blocks, and each lead is decoded with
the first encoding of the last map beside it. Widths are a quarter of the paper's and less, as two
hundred months ask for.
"""

import torch
from torch import Tensor, nn

GROUPS = 8
"""Groups of the normalisation."""

KERNELS = (3, 5, 7)
"""Kernel sizes that an inception block has beside one another."""


class SimVP(nn.Module):
    """Encoder, translator and decoder on maps whose height and width are even.

    Parameters
    ----------
    n_history, n_leads
        Months in and out.
    width
        Feature maps of one month.
    translator_width
        Feature maps of all months together.
    n_blocks
        Inception blocks in a row.
    """

    def __init__(
        self,
        n_history: int,
        n_leads: int,
        width: int = 16,
        translator_width: int = 128,
        n_blocks: int = 4,
    ) -> None:
        super().__init__()
        self.n_leads = n_leads
        self.first = _convolution(1, width)
        self.shrink = _convolution(width, width, stride=2)
        blocks = [
            Inception(
                n_history * width if number == 0 else translator_width,
                translator_width if number < n_blocks - 1 else n_leads * width,
            )
            for number in range(n_blocks)
        ]
        self.translate = nn.Sequential(*blocks)
        self.enlarge = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"), _convolution(width, width)
        )
        self.join = _convolution(2 * width, width)
        self.last = nn.Conv2d(width, 1, 1)
        # The untrained network forecasts no anomaly.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (batch, lead, 1, height, width) of maps (batch, month, 1, height, width)."""
        batch = len(x)
        early = self.first(x.flatten(0, 1))
        small = self.shrink(early).unflatten(0, (batch, -1))
        hidden = self.translate(small.flatten(1, 2)).unflatten(1, (self.n_leads, -1))
        large = self.enlarge(hidden.flatten(0, 1))
        newest = early.unflatten(0, (batch, -1))[:, -1:].expand(-1, self.n_leads, -1, -1, -1)
        joined = self.join(torch.cat([large, newest.flatten(0, 1)], dim=1))
        return self.last(joined).unflatten(0, (batch, self.n_leads))


class Inception(nn.Module):
    """Grouped convolutions of several sizes side by side, added up.

    Parameters
    ----------
    n_in, n_out
        Feature maps in and out.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        middle = GROUPS * max(n_out // (2 * GROUPS), 1)
        self.narrow = nn.Conv2d(n_in, middle, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(middle, n_out, size, padding=size // 2, groups=GROUPS),
                nn.GroupNorm(GROUPS, n_out),
                nn.SiLU(),
            )
            for size in KERNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return feature maps of the same height and width."""
        narrow = self.narrow(x)
        total: Tensor = sum(branch(narrow) for branch in self.branches)
        return total


def _convolution(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1),
        nn.GroupNorm(GROUPS, n_out),
        nn.SiLU(),
    )
