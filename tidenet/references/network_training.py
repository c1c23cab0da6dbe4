"""How networks as references are trained: recipes, windows and the loop.

Training is from random weights, on the training period without its last months.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tidenet.errors import NotEnoughMonthsError, TrainingDivergedError
from tidenet.references.dressed import Fitted

if TYPE_CHECKING:
    from torch import Tensor, nn

N_HISTORY = 6
"""Months that go in: upstream's default."""

HELD_OUT_MONTHS = 30
"""Last months of the training period, kept for measuring how large the errors are."""

BATCH = 4

Progress = Callable[[int, int, float], None]
"""Called with epochs done, epochs in all and the mean training loss."""

StepLoss = Callable[["Tensor", "Tensor", int], "Tensor"]
"""Loss of frames in, frames that came, and the number of the step, from 1."""


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained."""

    network: "nn.Module"
    loss: StepLoss
    learning_rate: float
    betas: tuple[float, float]
    n_steps: int
    """Least steps of training: a short record is passed through more often."""


def published_recipe(shared: Fitted, n_leads: int) -> Recipe:
    """Return upstream's network and loss as published, at the least width."""
    from tidenet.upstream import PublishedTideNet, UpstreamConfig, amplitude_weight, losses

    shape = shared.scales.grid.shape
    # Upstream keeps 20 low modes of 128 cells: the same part of a smaller map.
    n_modes = max(2, round(20 * min(shape) / 128))
    config = UpstreamConfig(1, 32, N_HISTORY, n_leads, shape, spec_num=n_modes)
    network = PublishedTideNet(config)

    def loss(x: "Tensor", target: "Tensor", step: int) -> "Tensor":
        return losses(
            network.components(x),
            target,
            n_modes=n_modes,
            amplitude_weight=amplitude_weight(step, n_steps=1000),
            phase_weight=0.001,
        )["total_loss"]

    return Recipe(network, loss, 1e-4, (0.9, 0.95), 1000)


def simvp_recipe(shared: Fitted, n_leads: int) -> Recipe:
    """Return the SimVP-like network, whose loss weighs cells by area."""
    import torch

    from tidenet.references.simvp import SimVP

    network = SimVP(N_HISTORY, n_leads)
    area = shared.scales.grid.block_weight
    weight = torch.from_numpy((area / area.sum()).astype(np.float32))

    def loss(x: "Tensor", target: "Tensor", _: int) -> "Tensor":
        return ((network(x) - target).square() * weight).sum(dim=(-2, -1)).mean()

    return Recipe(network, loss, 1e-3, (0.9, 0.999), 600)


def train_network(
    recipe: Recipe,
    frames: "Tensor",
    windows: np.ndarray,
    n_leads: int,
    n_epochs: int | None,
    seed: int,
    progress: Progress | None,
) -> None:
    """Train on windows of frames (time, 1, height, width), by the row of each init month."""
    import torch

    n_batches = -(-len(windows) // BATCH)
    epochs = -(-recipe.n_steps // n_batches) if n_epochs is None else n_epochs
    optimiser = torch.optim.AdamW(
        recipe.network.parameters(), recipe.learning_rate, betas=recipe.betas
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(epochs * n_batches, 1))
    rng, step = np.random.default_rng(seed), 0
    recipe.network.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for rows in np.array_split(rng.permutation(windows), n_batches):
            step += 1
            x = torch.stack([frames[row + 1 - N_HISTORY : row + 1] for row in rows])
            target = torch.stack([frames[row + 1 : row + 1 + n_leads] for row in rows])
            loss = recipe.loss(x, target, step)
            total += float(loss.detach()) / n_batches
            if not np.isfinite(total):
                raise TrainingDivergedError(
                    "The training loss of a reference network stopped being a number.",
                    found=f"{float(loss.detach())} in epoch {epoch}",
                    expected="a finite loss",
                    remedy="Look at the field for values far from all others.",
                )
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(recipe.network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        if progress is not None:
            progress(epoch, epochs, total)


def fitting_windows(n_months: int, n_leads: int) -> np.ndarray:
    """Return the rows of init months whose whole window lies before the held-out months.

    No gap as long as a window is kept before these: the first forecasts of held-out months start
    from months that were targets of training. This touches only the size of these references'
    errors, their dressing; they are judged on months after the training period.

    Raises
    ------
    NotEnoughMonthsError
        If a batch cannot be filled.
    """
    rows = np.arange(N_HISTORY - 1, n_months - HELD_OUT_MONTHS - n_leads)
    if len(rows) < BATCH:
        least = N_HISTORY - 1 + HELD_OUT_MONTHS + n_leads + BATCH
        raise NotEnoughMonthsError(
            "The training period is too short for a network.",
            found=f"{n_months} months",
            expected=f"at least {least}",
            remedy="Ingest earlier months or train until a later one.",
        )
    return rows
