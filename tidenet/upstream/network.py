"""The published network: amplitude and phase branch, U-Net refiner and fusion head."""

import torch
from torch import Tensor, nn

from tidenet.model.blocks import UNetShape
from tidenet.model.frequency import AmplitudeBranch, PhaseBranch
from tidenet.model.fusion import FusionHead, band_limited_mix
from tidenet.model.refiner import UNetRefiner
from tidenet.upstream.configuration import SIZE_MULTIPLE, UpstreamConfig
from tidenet.upstream.errors import UpstreamInputError


class PublishedTideNet(nn.Module):
    """TIDE-Net as published; it computes on frames scaled to 0..1.

    Parameters
    ----------
    config
        Its settings.
    n_cells
        Spectral cells; upstream always builds three.
    """

    def __init__(self, config: UpstreamConfig, n_cells: int = 3) -> None:
        super().__init__()
        self.config = config
        channels, dim = config.img_channels, config.dim
        # Upstream refines after the second cell; with one cell there is no such place.
        refiner = UNetRefiner(dim * config.T_out) if n_cells > 1 else nn.Identity()
        self.amplitude = AmplitudeBranch(
            config.T_in, config.T_out, channels, channels, dim, n_cells, refiner
        )
        self.phase = PhaseBranch(config.T_in, config.T_out, channels, dim)
        shape = UNetShape((dim, 2 * dim, 2 * dim, 4 * dim))
        self.fusion = FusionHead(3 * channels, channels, shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return the forecast frames (batch, lead, channel, height, width)."""
        return self.components(x)["pred"]

    def components(self, x: Tensor) -> dict[str, Tensor]:
        """Return the forecast and the parts that it was made from.

        Parameters
        ----------
        x
            Frames (batch, month, channel, height, width), oldest first. Height and width are
            multiples of 8 and may differ from ``config.input_shape``.

        Returns
        -------
        dict
            ``pred``, ``amplitude_image``, ``phase_image`` and ``alpha`` (batch, lead, channel,
            height, width), and ``phase`` in radians, not wrapped (batch, lead, channel, height,
            width // 2 + 1).

        Raises
        ------
        UpstreamInputError
            If the frames do not fit the network.
        """
        self._require_frames(x)
        amplitude_image = self.amplitude(x).sigmoid()
        phase_image, phase = self.phase(x)
        direction = torch.polar(torch.ones_like(phase), phase)
        alpha = band_limited_mix(amplitude_image, direction, self.config.spec_num)
        pred = self.fusion(torch.cat([amplitude_image, phase_image, alpha], dim=2))
        return {
            "pred": pred,
            "amplitude_image": amplitude_image,
            "phase_image": phase_image,
            "phase": phase,
            "alpha": alpha,
        }

    def _require_frames(self, x: Tensor) -> None:
        months, channels = self.config.T_in, self.config.img_channels
        fits = x.ndim == 5 and x.shape[1:3] == (months, channels)
        if not fits or any(side < 1 or side % SIZE_MULTIPLE for side in x.shape[3:]):
            raise UpstreamInputError(
                "The frames do not fit the network.",
                found=f"shape {tuple(x.shape)}",
                expected=f"(batch, {months}, {channels}, height, width), sides multiples of 8",
                remedy="Give the window and channels that the weights were trained with, and pad "
                "or crop the frames.",
            )
