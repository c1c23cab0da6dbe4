"""Synergistic fusion head: how far to trust each image, place by place."""

import torch
from torch import Tensor, nn

IMAGES = ("amplitude", "phase", "alpha", "detail", "linear", "last")
"""Images that are mixed, in this order."""


class FusionHead(nn.Module):
    """Mixes the images into a departure from the linear forecast.

    The head predicts one weight per image and place and returns the weighted sum. Its last layer
    starts at zero, so that the untrained network departs from it nowhere. A sum of
    images with smooth weights cannot make structure of its own, which matters where a couple of
    hundred maps are all there is to learn from.

    Parameters
    ----------
    channels
        Feature maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(len(IMAGES) + 4, channels, 3, padding=1),  # mask, season, lead
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
        )
        self.head = nn.Conv2d(channels, len(IMAGES), 1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: Tensor, mask: Tensor, season: Tensor) -> Tensor:
        """Mix.

        Parameters
        ----------
        images
            (batch, lead, image, height, width), in the order of `IMAGES`.
        mask
            1 on ocean, 0 on land and padding (batch, 1, height, width).
        season
            Sine and cosine of each valid month (batch, lead, 2).

        Returns
        -------
        Tensor
            Departure from the linear forecast (batch, lead, height, width), 0 on land.
        """
        batch, leads, _, height, width = images.shape
        ahead = torch.linspace(0, 1, leads, device=images.device).view(1, leads, 1)
        when = torch.cat([season, ahead.expand(batch, leads, 1)], dim=-1)
        maps = when.view(batch, leads, 3, 1, 1).expand(batch, leads, 3, height, width)
        here = mask[:, None].expand(batch, leads, 1, height, width)
        x = torch.cat([images, here, maps], dim=2).flatten(0, 1)
        weights = self.head(self.weigh(x)).unflatten(0, (batch, leads))
        return (weights * images).sum(dim=2) * mask
