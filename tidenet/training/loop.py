"""The training loop of the network: epochs, averaged weights and early stopping."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tidenet.configuration import TideNetConfig
from tidenet.errors import TrainingDivergedError
from tidenet.model.network import TideNet
from tidenet.model.refiner import TRAINING_STEPS
from tidenet.training.losses import RefinerDraw, training_loss
from tidenet.training.progress import TrainingProgress
from tidenet.training.samples import Samples


def fit_network(
    config: TideNetConfig,
    fitting: Samples,
    validation: Samples,
    seed: int,
    progress: Callable[[TrainingProgress], None] | None,
) -> TideNet:
    """Train with early stopping; return the averaged weights of the best epoch, on the CPU.

    Raises
    ------
    TrainingDivergedError
        If the loss stops being a number.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TideNet(config)
    if config.n_epochs == 0:
        return network.eval()
    run = _Run.start(config, network, fitting, seed)
    best, best_loss, best_epoch = copy.deepcopy(network.state_dict()), np.inf, 0
    began = time.monotonic()
    for epoch in range(1, config.n_epochs + 1):
        loss = run.epoch(epoch)
        validation_loss = _validation_loss(run.averaged_network, validation)
        if validation_loss < best_loss:
            best = copy.deepcopy(run.averaged_network.state_dict())
            best_loss, best_epoch = validation_loss, epoch
        if progress is not None:
            seconds = time.monotonic() - began
            progress(
                TrainingProgress(epoch, config.n_epochs, loss, validation_loss, best_loss, seconds)
            )
        if epoch - best_epoch >= config.patience:
            break
    trained = run.bare
    trained.load_state_dict(best)
    return trained.cpu().eval()


def departures(network: TideNet, samples: Samples) -> np.ndarray:
    """Return the network's departures from the linear forecast (window, lead, height, width)."""
    network.eval()
    parts = []
    with torch.inference_mode():
        for index in torch.split(torch.arange(len(samples)), 8):
            x, _, _ = samples.batch(index)
            x = x.to(next(network.parameters()).device)
            parts.append(network(x, torch.zeros_like(x.linear)).departure.cpu())
    return torch.cat(parts).numpy()


@dataclass
class _Run:
    """What a training run carries from batch to batch."""

    config: TideNetConfig
    fitting: Samples
    accelerator: Accelerator
    network: Any  # the network, wrapped where there are several processes
    optimiser: Any
    schedule: Any
    loader: Any
    averaged: AveragedModel
    generator: torch.Generator

    @classmethod
    def start(cls, config: TideNetConfig, network: TideNet, fitting: Samples, seed: int) -> "_Run":
        generator = torch.Generator().manual_seed(seed)
        loader: Any = torch.utils.data.DataLoader(
            range(len(fitting)),  # type: ignore[arg-type]
            config.batch_size,
            shuffle=True,
            generator=generator,
        )
        rate = config.learning_rate
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, total_steps=config.n_epochs * len(loader), pct_start=0.15
        )
        accelerator = Accelerator()
        wrapped: tuple[Any, Any, Any, Any] = accelerator.prepare(
            network, optimiser, schedule, loader
        )
        averaged = AveragedModel(
            accelerator.unwrap_model(wrapped[0]),
            multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay),
        )
        return cls(config, fitting, accelerator, *wrapped, averaged, generator)

    @property
    def bare(self) -> TideNet:
        """The network that is trained."""
        network: TideNet = self.accelerator.unwrap_model(self.network)
        return network

    @property
    def averaged_network(self) -> TideNet:
        """The network with the running average of the weights."""
        network: Any = self.averaged.module
        return network

    def epoch(self, number: int) -> float:
        """Train on every window once; return the mean loss."""
        self.network.train()
        losses: list[float] = []
        for index in self.loader:
            loss = self._loss(index.cpu())
            losses.append(float(loss.detach()))
            if not np.isfinite(losses[-1]):
                raise TrainingDivergedError(
                    "The training loss stopped being a number.",
                    found=f"{losses[-1]} in epoch {number}, batch {len(losses)}",
                    expected="a finite loss",
                    remedy="Train with a smaller learning_rate.",
                )
            self.accelerator.backward(loss)
            self.accelerator.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimiser.step()
            self.schedule.step()
            self.optimiser.zero_grad()
            self.averaged.update_parameters(self.bare)
        return float(np.mean(losses))

    def _loss(self, index: torch.Tensor) -> torch.Tensor:
        device = self.accelerator.device
        x, target, weight = self.fitting.blended(index, self.generator)
        x = x.to(device)
        step = torch.randint(0, TRAINING_STEPS, (len(target),), generator=self.generator)
        noise = torch.randn(target.shape, generator=self.generator)
        draw = RefinerDraw(step.to(device), noise.to(device))
        output = self.network(x, torch.zeros_like(x.linear))
        return training_loss(
            self.bare, x, target.to(device), weight.to(device), draw, self.config, output
        )


def _validation_loss(network: TideNet, validation: Samples) -> float:
    """Return the weighted mean square error of the best estimate on the validation windows."""
    error = (
        validation.target - validation.x.linear - torch.from_numpy(departures(network, validation))
    )
    return float((validation.weight * error.square()).sum() / validation.weight.sum())
