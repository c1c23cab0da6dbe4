"""All that changes while a network is trained, and how it goes into a checkpoint and back."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tidenet.configuration import TideNetConfig
from tidenet.model.network import TideNet


@dataclass
class Position:
    """Where a training stands; JSON-able.

    Parameters
    ----------
    parts
        Parts that a process's windows of a step are worked off in.
    epoch, batch
        Epoch that is going on, from 1, and how many of its batches are done.
    current
        Losses of these batches.
    losses, validation_losses
        Of the finished epochs.
    best_epoch, best_loss
        Which epoch's averaged weights had the lowest validation loss; None before the first.
    halvings
        How often the memory did not suffice.
    seconds
        Time that training has taken.
    """

    parts: int
    epoch: int = 1
    batch: int = 0
    current: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float | None = None
    halvings: int = 0
    seconds: float = 0.0

    def end_epoch(self, loss: float, validation_loss: float) -> None:
        """Go on to the next epoch."""
        self.losses.append(loss)
        self.validation_losses.append(validation_loss)
        self.epoch, self.batch, self.current = self.epoch + 1, 0, []


@dataclass
class TrainingState:
    """Network, running average of its weights, optimiser, learning rate, best weights, position."""

    network: TideNet
    averaged: AveragedModel
    optimiser: torch.optim.Optimizer
    schedule: OneCycleLR
    best: dict[str, Tensor]
    at: Position

    @classmethod
    def start(cls, config: TideNetConfig, network: TideNet, n_windows: int) -> Self:
        """Return the state before the first step; the network is on its device."""
        rate = config.learning_rate
        optimiser = torch.optim.AdamW(
            network.parameters(), rate, weight_decay=config.weight_decay, foreach=True
        )
        n_steps = max(1, config.n_epochs * math.ceil(n_windows / config.batch_size))
        schedule = OneCycleLR(optimiser, rate, total_steps=n_steps, pct_start=0.15)
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
        best = _copy(network.state_dict())
        at = Position(config.accumulate_batches)
        return cls(network, averaged, optimiser, schedule, best, at)

    @property
    def averaged_network(self) -> TideNet:
        """The network with the running average of the weights."""
        network: Any = self.averaged.module
        return network

    def step(self) -> None:
        """Change the weights by the gradients that are there."""
        self.optimiser.step()
        self.schedule.step()
        self.averaged.update_parameters(self.network)

    def keep_best(self, epoch: int, loss: float) -> None:
        """Keep the averaged weights of now."""
        self.best = _copy(self.averaged_network.state_dict())
        self.at.best_epoch, self.at.best_loss = epoch, loss

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, on the CPU."""
        moments = self.optimiser.state_dict()["state"]
        parts: dict[str, Mapping[str, Tensor]] = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best,
            "optimiser": {
                f"{number}.{kind}": value
                for number, state in moments.items()
                for kind, value in state.items()
            },
        }
        return {
            f"{part}.{name}": tensor.detach().cpu()
            for part, named in parts.items()
            for name, tensor in named.items()
        }

    def facts(self) -> dict[str, Any]:
        """Return all the rest, JSON-able."""
        return {
            "at": asdict(self.at),
            "groups": self.optimiser.state_dict()["param_groups"],
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take up what `tensors` and `facts` gave."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = tensor
        self.network.load_state_dict(parts["network"])
        self.averaged.load_state_dict(parts["averaged"])
        self.best = parts["best"]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts.get("optimiser", {}).items():
            number, _, kind = name.partition(".")
            moments.setdefault(int(number), {})[kind] = tensor
        self.optimiser.load_state_dict({"state": moments, "param_groups": facts["groups"]})
        for group in self.optimiser.param_groups:
            group["betas"] = tuple(group["betas"])  # JSON made lists of them
        self.schedule.load_state_dict(dict(facts["schedule"]))
        self.at = Position(**facts["at"])


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
