"""How the training of a network went."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TrainingReport:
    """How the training of a network went.

    Parameters
    ----------
    batch_size_used
        Windows that were in memory at a time, in the end; fewer than a step's where its windows
        are worked off in parts or by several processes.
    halvings
        How often that number was halved because the memory did not suffice. The windows of a step
        stay the same.
    best_epoch
        Epoch whose averaged weights were kept, from 1; 0: those that training started from.
    losses, validation_losses
        Mean training loss, and validation loss of the averaged weights, after each epoch.
    seconds
        Time of training, without what was lost by interruptions.
    device
        What it ran on: ``cpu`` or the name of the GPU.
    n_processes
        Processes that shared the work.
    precision
        Of the convolutions: ``float32`` or ``bf16``.
    seed
        Of the weights at the start and of every draw.
    first_weights
        sha256 of the weights at the start: the backbone's with room for the drivers, or random.
    """

    batch_size_used: int
    halvings: int
    best_epoch: int
    losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    seconds: float
    device: str
    n_processes: int
    precision: str
    seed: int
    first_weights: str

    def describe(self) -> dict[str, Any]:
        """Return the report as a JSON-able record."""
        return asdict(self)
