"""What a training step works on: drawn for the whole batch, worked off in parts.

The batch of a step is drawn alike by every process, from seed, epoch and batch number alone; each
process works off its own windows, in one or more parts. A part's loss is its share in that of the
batch, so that the gradients of all parts add up to the batch's, however it is cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tidenet.configuration import TideNetConfig
from tidenet.model.fusion import low_pass
from tidenet.model.network import NetworkInput, TideNet
from tidenet.model.refiner import TRAINING_STEPS
from tidenet.training.losses import RefinerDraw, phase_error, training_loss
from tidenet.training.samples import Samples


@dataclass(frozen=True)
class Batch:
    """The windows of a step, or some of them.

    Parameters
    ----------
    x, target, weight
        As in `Samples`.
    draw
        For the refiner.
    """

    x: NetworkInput
    target: Tensor
    weight: Tensor
    draw: RefinerDraw

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows: Tensor) -> "Batch":
        draw = RefinerDraw(self.draw.step[rows], self.draw.noise[rows])
        return Batch(self.x[rows], self.target[rows], self.weight[rows], draw)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        draw = RefinerDraw(self.draw.step.to(device), self.draw.noise.to(device))
        return Batch(self.x.to(device), self.target.to(device), self.weight.to(device), draw)

    @property
    def sea_target(self) -> Tensor:
        """Target, 0 on land."""
        return torch.where(self.x.mask > 0, self.target, torch.zeros_like(self.target))

    def shares(self, n_modes: int) -> "Shares":
        """Return how much each window counts in the loss of the batch."""
        low = low_pass(self.target.shape[-2:], n_modes, self.target.device)
        low[0, 0] = 0
        modes = torch.fft.rfft2(self.sea_target, norm="ortho").abs() * low
        amplitude = modes.sum(dim=(1, 2, 3))
        weight = self.weight.sum(dim=(1, 2, 3))
        return Shares(weight / weight.sum(), amplitude / amplitude.sum().clamp_min(1e-6))


@dataclass(frozen=True)
class Shares:
    """How much each window of a batch counts in the batch's loss (window,); they sum to 1.

    Parameters
    ----------
    phases
        In the phase error, a mean over Fourier amplitudes.
    windows
        In all other parts, means over area.
    """

    windows: Tensor
    phases: Tensor


def generator_of(*numbers: int) -> torch.Generator:
    """Return a generator of random numbers that depends on these numbers only."""
    (state,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))


def epoch_order(n_windows: int, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
    """Return the windows of every batch of an epoch, each window once."""
    order = torch.randperm(n_windows, generator=generator_of(seed, epoch))
    return torch.split(order, batch_size)


def draw_batch(samples: Samples, index: Tensor, seed: int, epoch: int, number: int) -> Batch:
    """Return the batch of some windows, each blended with another one.

    Parameters
    ----------
    samples
        The windows.
    index
        Which of them.
    seed, epoch, number
        What every draw depends on; batches are numbered from 1.
    """
    generator = generator_of(seed, epoch, number)
    x, target, weight = samples.blended(index, generator)
    step = torch.randint(0, TRAINING_STEPS, (len(target),), generator=generator)
    noise = torch.randn(target.shape, generator=generator)
    return Batch(x, target, weight, RefinerDraw(step, noise))


def own_rows(n_windows: int, process: int, n_processes: int, n_parts: int) -> Iterator[Tensor]:
    """Return the rows of a batch that a process works off, part by part; empty parts left out."""
    own = torch.tensor_split(torch.arange(n_windows), n_processes)[process]
    return (rows for rows in torch.tensor_split(own, n_parts) if len(rows))


def part_loss(
    network: TideNet,
    batch: Batch,
    rows: Tensor,
    shares: Shares,
    config: TideNetConfig,
    device: torch.device,
) -> Tensor:
    """Return what some windows add to the loss of a batch; over all windows that is the loss.

    Parameters
    ----------
    network
        The network, on the device.
    batch
        The whole batch, on the CPU.
    rows
        The windows of the part.
    shares
        Of the batch's windows.
    config
        Weights of the loss's parts, and the precision.
    device
        Where to compute.
    """
    part = batch[rows].to(device)
    whole = len(rows) == len(batch)
    rest = config if whole else config.model_copy(update={"phase_loss": 0.0})
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        output = network(part.x, torch.zeros_like(part.x.linear))
        loss = training_loss(network, part.x, part.target, part.weight, part.draw, rest, output)
        if whole:
            return loss
        loss = float(shares.windows[rows].sum()) * loss
        phases = phase_error(output.phase, part.sea_target, network.n_modes)
    return loss + config.phase_loss * float(shares.phases[rows].sum()) * phases
