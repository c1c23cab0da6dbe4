"""Frequency global module: large scales in Fourier space, amplitude and phase apart.

Structures that grow or fade change the amplitude of a Fourier mode; structures that move change
its phase. The amplitude branch learns the first with spectral cells; the phase branch learns the
second: it turns the modes of the last observed map and leaves their amplitudes alone.

All Fourier work is in float32, whatever precision the convolutions around it run in.
"""

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tidenet.model.blocks import (
    TimeNetwork,
    full_precision,
    over_time,
    residual_stack,
    sum_of_two,
    zero,
)
from tidenet.model.lean import added, by_channel, one_by_one, places_last, suited
from tidenet.model.recompute import norm_silu_conv

_SMALL = 1e-6


class SpectralTimeNetwork(nn.Module):
    """One complex two-layer network over the months, applied to every Fourier mode.

    ``y = W2 relu(W1 x + b1) + b2`` with complex weights and the rectifier on real and imaginary
    part each: one complex matrix product per layer, whatever the number of modes.

    Parameters
    ----------
    n_in, n_out
        Months in and out; the hidden layer is as wide as ``n_out``.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        scale = 0.02
        self.weight1 = nn.Parameter(scale * torch.randn(2, n_in, n_out))
        self.bias1 = nn.Parameter(scale * torch.randn(2, n_out))
        self.weight2 = nn.Parameter(scale * torch.randn(2, n_out, n_out))
        self.bias2 = nn.Parameter(scale * torch.randn(2, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 maps (batch, n_out, channel, height, width)."""
        with full_precision(x):
            modes = torch.fft.rfft2(x.float(), norm="ortho")
            hidden = _rectified(_complex_layer(modes.flatten(2), self.weight1, self.bias1))
            mixed = _complex_layer(hidden, self.weight2, self.bias2)
            mixed = mixed.unflatten(2, modes.shape[2:])
            # The two steps of irfft2, which by itself makes a copy more.
            rows = torch.fft.ifft(mixed, dim=-2, norm="ortho")
            return torch.fft.irfft(rows, n=x.shape[-1], norm="ortho")


def _complex_layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``weight^T x + bias`` of complex numbers (batch, n_out, places).

    Parameters
    ----------
    x
        (batch, n_in, places), complex.
    weight, bias
        Real and imaginary part (2, n_in, n_out) and (2, n_out).
    """
    matrix = torch.complex(weight[0], weight[1]).mT.to(x.dtype)
    return over_time(x, matrix, torch.complex(bias[0], bias[1]).to(x.dtype))


def _rectified(x: Tensor) -> Tensor:
    """Return complex numbers with negative parts, real or imaginary, set to zero."""
    parts = torch.view_as_real(x)
    parts = parts.relu() if torch.is_grad_enabled() else parts.relu_()
    return torch.view_as_complex(parts)


class SpectralCell(nn.Module):
    """Mixes months in Fourier space and in place, then months and features with their neighbours.

    Parameters
    ----------
    n_in, n_out
        Months in and out.
    channels
        Feature maps of each month.
    """

    recompute = False

    def __init__(self, n_in: int, n_out: int, channels: int) -> None:
        super().__init__()
        self.n_out = n_out
        self.spectral = SpectralTimeNetwork(n_in, n_out)
        self.local = TimeNetwork(n_in, n_out, n_out)
        self.beside = TimeNetwork(n_in, n_out, n_out)
        n_maps = n_out * channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(n_maps, n_maps, 3, padding=1),
            nn.GroupNorm(4, n_maps),
            nn.SiLU(),
            nn.Conv2d(n_maps, n_maps, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features (batch, n_out, channel, height, width)."""
        if self.recompute and torch.is_grad_enabled() and x.requires_grad:
            mixed = checkpoint(self._mix_months, x, use_reentrant=False, preserve_rng_state=False)
        else:
            x = places_last(x.flatten(1, 2)).unflatten(1, x.shape[1:3])
            mixed = by_channel(self._mix_months, x, self.n_out)
        first, norm, _, second = self.convolutions
        maps = suited(mixed.flatten(1, 2), self.convolutions)
        refined = norm_silu_conv(norm, second, first(maps), self.recompute)  # type: ignore[arg-type]
        return added(maps, refined).unflatten(1, mixed.shape[1:3])

    def _mix_months(self, x: Tensor) -> Tensor:
        return added(self.spectral(x), sum_of_two(self.local, self.beside, x))


class AmplitudeBranch(nn.Module):
    """From the history to an image of every lead month, through spectral cells.

    Parameters
    ----------
    n_history, n_leads
        Months in and out.
    n_in, n_out
        Channels of a month in and of an image out.
    channels
        Feature maps of each month, a multiple of 8.
    n_cells
        Spectral cells in a row.
    refiner
        Refines the features after the second cell: months folded into channels, the same shape in
        and out.
    n_given
        Maps that are given for each lead month beside the features.
    """

    def __init__(
        self,
        n_history: int,
        n_leads: int,
        n_in: int,
        n_out: int,
        channels: int,
        n_cells: int,
        refiner: nn.Module,
        n_given: int = 0,
    ) -> None:
        super().__init__()
        self.n_leads = n_leads
        self.skip = TimeNetwork(n_history, 2 * n_leads, n_leads)
        self.encode = residual_stack(n_in, channels, channels)
        self.cells = nn.ModuleList(
            SpectralCell(n_history if i == 0 else n_leads, n_leads, channels)
            for i in range(n_cells)
        )
        self.refiner = refiner
        self.decode = residual_stack(channels + n_given, channels, n_out)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the amplitude image (batch, lead, n_out, height, width).

        Parameters
        ----------
        x
            (batch, month, n_in, height, width).
        given
            (batch, lead, n_given, height, width).
        """
        batch, n_leads = len(x), self.n_leads
        precision = next(self.decode.parameters()).dtype
        frames = one_by_one(self._encode, x.flatten(0, 1).to(precision))
        features = frames.unflatten(0, (batch, -1))
        skip = by_channel(self.skip, features, n_leads)
        for position, cell in enumerate(self.cells):
            features = cell(features)
            if position == min(1, len(self.cells) - 1):
                maps = self.refiner(features.flatten(1, 2))
                features = maps.unflatten(1, (n_leads, -1))
        features = added(skip, places_last(features.flatten(1, 2)).unflatten(1, (n_leads, -1)))
        if given is not None:
            features = torch.cat([features, given], dim=2)
        image = one_by_one(self._decode, features.flatten(0, 1)).unflatten(0, (batch, -1))
        return image.to(x.dtype)

    def _encode(self, frames: Tensor) -> Tensor:
        return places_last(self.encode(suited(frames, self.encode)))

    def _decode(self, frames: Tensor) -> Tensor:
        return self.decode(suited(frames, self.decode))


class PhaseNetwork(nn.Module):
    """From what is known of each mode to the angle that it turns by.

    A linear guess, and the guess plus one, times another and times a third network; the third
    sees neighbouring modes.

    Parameters
    ----------
    n_in, n_out
        Maps of the mode plane, in and out.
    channels
        Feature maps, a multiple of 8.
    """

    def __init__(self, n_in: int, n_out: int, channels: int) -> None:
        super().__init__()
        self.guess = nn.Conv2d(n_in, n_out, 1)
        self.plus = residual_stack(n_in, channels, n_out, 1)
        self.times = residual_stack(n_in, channels, n_out, 1)
        self.times_near = residual_stack(n_in, channels, n_out, 3, "circular")
        self.mix = nn.Conv2d(4 * n_out, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, n_out, rows, columns)."""
        guess = self.guess(x)
        parts = (guess, guess + self.plus(x), guess * self.times(x), guess * self.times_near(x))
        turn: Tensor = self.mix(torch.cat(parts, dim=1))
        return turn


class PhaseBranch(nn.Module):
    """The published phase branch: every mode of the last map gets a predicted phase.

    It sees the phases of the history, divided by pi, and the position of each mode.

    Parameters
    ----------
    n_history, n_leads
        Months in and out.
    n_maps
        Channels of a month.
    channels
        Feature maps, a multiple of 8.
    """

    def __init__(self, n_history: int, n_leads: int, n_maps: int, channels: int) -> None:
        super().__init__()
        self.n_leads = n_leads
        self.network = PhaseNetwork(2 + n_maps * n_history, n_maps * n_leads, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the phase image and the phase.

        Parameters
        ----------
        x
            (batch, month, channel, height, width).

        Returns
        -------
        tuple
            Phase image (batch, lead, channel, height, width), and phase in radians, not wrapped
            (batch, lead, channel, height, width // 2 + 1). Both are float32.
        """
        with full_precision(x):
            modes = torch.fft.rfft2(x.float())
            known = modes.angle() / math.pi
            where = mode_position(x.shape[-2], x.shape[-1], x.device)
            where = where.expand(len(x), *where.shape)
            turn = self.network(torch.cat([known.flatten(1, 2), where], dim=1))
            turn = turn.unflatten(1, (self.n_leads, -1))
            phase = (known[:, -1:] + turn) * math.pi
            evolved = torch.polar(modes[:, -1:].abs().expand_as(phase), phase)
            return torch.fft.irfft2(evolved, s=x.shape[-2:]), phase


def mode_position(height: int, width: int, device: torch.device) -> Tensor:
    """Return cycles per cell along rows and columns (2, height, width // 2 + 1)."""
    rows = torch.fft.fftfreq(height, device=device)
    columns = torch.fft.rfftfreq(width, device=device)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))


class ConservingPhaseBranch(nn.Module):
    """The operational phase branch: turns the low modes; the mean and all amplitudes stay.

    Where it differs from `PhaseBranch`, and why:

    - It sees how each mode has turned lately, weighted by the mode's strength: a mode without
      amplitude has no phase, and an angle jumps from pi to -pi.
    - The mean (mode zero) is not turned, and the turns of the modes that `rfft2` holds twice are
      made opposite: the image is real, and its mean is that of the last map.
    - Only low modes turn: a couple of hundred maps say nothing about the others.
    - The last layer starts at zero: untrained, the phase image is the last map.

    Parameters
    ----------
    n_history, n_leads
        Months in and out.
    channels
        Feature maps, a multiple of 8.
    n_modes
        Low modes per direction that turn.
    """

    def __init__(self, n_history: int, n_leads: int, channels: int, n_modes: int) -> None:
        super().__init__()
        self.n_modes = n_modes
        n_features = 2 * (n_history - 1) + n_history + 4  # turns, amplitudes, position, season
        self.network = PhaseNetwork(n_features, n_leads, channels)
        zero(self.network.mix)

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
        with full_precision(history):
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
        angle = self.network(self._features(low, rows, season))
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
        lately = lately / (amplitude.square().mean(dim=(1, 2, 3), keepdim=True) + _SMALL)
        lately = lately / (1 + lately.abs())
        batch, _, n_rows, n_columns = low.shape
        u = (rows / self.n_modes).view(1, 1, -1, 1).expand(batch, 1, n_rows, n_columns)
        v = torch.arange(n_columns, device=low.device) / self.n_modes
        v = v.view(1, 1, 1, -1).expand(batch, 1, n_rows, n_columns)
        when = season.view(batch, 2, 1, 1).expand(batch, 2, n_rows, n_columns)
        return torch.cat([lately.real, lately.imag, torch.log1p(amplitude), u, v, when], dim=1)
