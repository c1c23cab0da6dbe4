"""Frequency global module: large scales in Fourier space, amplitude and phase apart.

Structures that move change the phase of a Fourier mode; structures that grow or fade change its
amplitude. The amplitude branch learns the second with spectral cells; the phase branch learns the
first: it turns the modes of the last observed map and leaves their amplitudes alone.

All Fourier work is in float32, whatever precision the convolutions around it run in.
"""

import torch
from torch import Tensor, nn

_SMALL = 1e-6


class SpectralCell(nn.Module):
    """Mixes months and features mode by mode, beside a local convolution.

    Parameters
    ----------
    channels
        Feature maps, in and out; months are folded into them.
    n_modes
        Low modes per direction that are mixed, each with a complex matrix of its own.
    """

    def __init__(self, channels: int, n_modes: int) -> None:
        super().__init__()
        self.n_modes = n_modes
        shape = (2, n_modes, n_modes, channels, channels)  # rows >= 0 and rows < 0
        self.mixing = nn.Parameter(torch.randn(*shape, 2) * (0.5 / channels))
        self.local = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(4, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape (batch, channels, height, width)."""
        return x + self.activation(self._mix_modes(x) + self.local(x))

    def _mix_modes(self, x: Tensor) -> Tensor:
        modes = torch.fft.rfft2(x.float(), norm="ortho")  # (b, c, h, w // 2 + 1)
        m_rows = min(self.n_modes, x.shape[-2] // 2)
        m_columns = min(self.n_modes, x.shape[-1] // 2)
        mixing = torch.view_as_complex(self.mixing)[:, :m_rows, :m_columns]
        mixed = torch.zeros_like(modes)
        for rows, weight in ((slice(None, m_rows), mixing[0]), (slice(-m_rows, None), mixing[1])):
            low = modes[:, :, rows, :m_columns]
            mixed[:, :, rows, :m_columns] = torch.einsum("bihw,hwio->bohw", low, weight)
        return torch.fft.irfft2(mixed, s=x.shape[-2:], norm="ortho").to(x.dtype)


class AmplitudeBranch(nn.Module):
    """From the history to an image of every lead month, through spectral cells."""

    def __init__(
        self, in_channels: int, n_leads: int, channels: int, n_modes: int, n_cells: int
    ) -> None:
        super().__init__()
        self.encode = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.cells = nn.Sequential(*(SpectralCell(channels, n_modes) for _ in range(n_cells)))
        self.decode = nn.Conv2d(channels, n_leads, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the amplitude image (batch, lead, height, width)."""
        image: Tensor = self.decode(self.cells(self.encode(x)))
        return image


class PhaseBranch(nn.Module):
    """Turns the low modes of the last observed map; their amplitudes stay.

    The turn of each mode is predicted from how it has turned lately. The mean (mode zero) is not
    turned, and the turns of the modes that `rfft2` holds twice are made opposite, so that the
    image is real and its mean is that of the last map.
    """

    def __init__(self, n_history: int, n_leads: int, channels: int, n_modes: int) -> None:
        super().__init__()
        self.n_modes = n_modes
        n_features = 2 * (n_history - 1) + n_history + 4  # turns, amplitudes, position, season
        self.turn = nn.Sequential(
            nn.Conv2d(n_features, 2 * channels, 1),
            nn.SiLU(),
            nn.Conv2d(2 * channels, 2 * channels, 1),
            nn.SiLU(),
        )
        self.head = nn.Conv2d(2 * channels, n_leads, 1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, history: Tensor, season: Tensor) -> tuple[Tensor, Tensor]:
        """Evolve the phase.

        Parameters
        ----------
        history
            (batch, month, height, width), 0 on land.
        season
            Sine and cosine of the init month (batch, 2).

        Returns
        -------
        tuple
            Phase image (batch, lead, height, width), and the evolved phase of every mode as unit
            complex numbers (batch, lead, height, width // 2 + 1).
        """
        size = history.shape[-2:]
        modes = torch.fft.rfft2(history.float(), norm="ortho")
        last = modes[:, -1:]
        turns = self._turns(modes, season.float(), size)
        evolved = last * torch.polar(torch.ones_like(turns), turns)
        image = torch.fft.irfft2(evolved, s=size, norm="ortho")
        return image, evolved / (last.abs() + _SMALL)

    def _turns(self, modes: Tensor, season: Tensor, size: torch.Size) -> Tensor:
        """Return the angle that each mode is turned by (batch, lead, height, width // 2 + 1)."""
        height, width = size
        m_rows, m_columns = min(self.n_modes, height // 2), min(self.n_modes, width // 2)
        rows = torch.cat([torch.arange(m_rows), torch.arange(-m_rows, 0)]).to(modes.device)
        low = modes[:, :, rows, :m_columns]
        angle = self.head(self.turn(self._features(low, rows, season)))
        turns = angle.new_zeros(*angle.shape[:2], height, modes.shape[-1])
        turns[:, :, rows, :m_columns] = angle
        # Column 0 holds mode (u, 0) and its conjugate (-u, 0): their turns are opposite.
        column = turns[..., 0]
        mirrored = torch.roll(column.flip(-1), 1, dims=-1)
        opposite = ((column - mirrored) / 2).unsqueeze(-1)
        # The row at half the height is its own conjugate in column 0 and stays unturned there.
        return torch.cat([opposite, turns[..., 1:]], dim=-1)

    def _features(self, low: Tensor, rows: Tensor, season: Tensor) -> Tensor:
        amplitude = low.abs()
        lately = low[:, 1:] * low[:, :-1].conj()
        # A mode without amplitude has no phase: weigh each turn by the strength of the mode.
        lately = lately / (amplitude.square().mean(dim=(1, 2, 3), keepdim=True) + _SMALL)
        lately = lately / (1 + lately.abs())
        batch, _, n_rows, n_columns = low.shape
        u = (rows / self.n_modes).view(1, 1, -1, 1).expand(batch, 1, n_rows, n_columns)
        v = torch.arange(n_columns, device=low.device) / self.n_modes
        v = v.view(1, 1, 1, -1).expand(batch, 1, n_rows, n_columns)
        when = season.view(batch, 2, 1, 1).expand(batch, 2, n_rows, n_columns)
        return torch.cat([lately.real, lately.imag, torch.log1p(amplitude), u, v, when], dim=1)


def band_limited_mix(amplitude_image: Tensor, phase: Tensor, n_modes: int) -> Tensor:
    """Return alpha: the low modes' amplitudes of one image with the evolved phases.

    ``alpha = F^-1(|F(amplitude image)| * low pass * exp(i phase))``

    Parameters
    ----------
    amplitude_image
        (batch, lead, height, width).
    phase
        Unit complex numbers (batch, lead, height, width // 2 + 1).
    n_modes
        Modes per direction that pass.
    """
    size = amplitude_image.shape[-2:]
    amplitude = torch.fft.rfft2(amplitude_image.float(), norm="ortho").abs()
    low_pass = torch.zeros(amplitude.shape[-2:], device=amplitude.device)
    low_pass[:n_modes, :n_modes] = 1
    low_pass[-n_modes:, :n_modes] = 1
    return torch.fft.irfft2(amplitude * low_pass * phase, s=size, norm="ortho")
