"""All that changes while a network is trained, and how it goes into a checkpoint and back."""

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

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


class FlatWeights:
    """A network whose parameters, and their gradients, are views of one vector each.

    There are a thousand small parameters: clipping, stepping and averaging them one by one takes a
    tenth of the time of training.

    Parameters
    ----------
    network
        The network, on its device; it stays the same, but for where its parameters lie.
    """

    def __init__(self, network: TideNet) -> None:
        self.network = network
        parameters = list(network.parameters())
        self.values = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
        self.gradient = torch.zeros_like(self.values)
        self.values.grad = self.gradient
        values, gradients = self.named(self.values.detach()), self.named(self.gradient)
        for name, parameter in network.named_parameters():
            parameter.data, parameter.grad = values[name], gradients[name]

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """Return a vector's parts by parameter name, as views."""
        parameters = list(self.network.named_parameters())
        parts = torch.split(vector, [parameter.numel() for _, parameter in parameters])
        return {
            name: part.view_as(parameter)
            for (name, parameter), part in zip(parameters, parts, strict=True)
        }

    def set(self, vector: Tensor) -> None:
        """Set all parameters."""
        with torch.no_grad():
            self.values.copy_(vector)


@dataclass
class TrainingState:
    """Weights, their running average, optimiser, learning rate, best weights, position."""

    weights: FlatWeights
    averaged: FlatWeights
    ema_decay: float
    optimiser: torch.optim.Optimizer
    schedule: OneCycleLR
    best: Tensor
    at: Position

    @classmethod
    def start(cls, config: TideNetConfig, network: TideNet, n_windows: int) -> Self:
        """Return the state before the first step; the network is on its device."""
        weights, averaged = FlatWeights(network), FlatWeights(copy.deepcopy(network))
        rate = config.learning_rate
        optimiser = torch.optim.AdamW([weights.values], rate, weight_decay=config.weight_decay)
        n_steps = max(1, config.n_epochs * math.ceil(n_windows / config.batch_size))
        schedule = OneCycleLR(optimiser, rate, total_steps=n_steps, pct_start=0.15)
        best = weights.values.detach().clone()
        at = Position(config.accumulate_batches)
        return cls(weights, averaged, config.ema_decay, optimiser, schedule, best, at)

    @property
    def n_steps(self) -> int:
        """Steps that were made."""
        return int(self.schedule.last_epoch)

    def step(self) -> None:
        """Change the weights by the gradients that are there."""
        decay = self.ema_decay if self.n_steps else 0.0
        self.optimiser.step()
        self.schedule.step()
        self.averaged.set(torch.lerp(self.weights.values, self.averaged.values, decay))

    def keep_best(self, epoch: int, loss: float) -> None:
        """Keep the averaged weights of now."""
        self.best = self.averaged.values.detach().clone()
        self.at.best_epoch, self.at.best_loss = epoch, loss

    def best_network(self) -> TideNet:
        """Return the network with the best weights, on the CPU, to forecast with."""
        network = self.weights.network
        for name, values in self.weights.named(self.best).items():
            parameter = network.get_parameter(name)
            parameter.data, parameter.grad = values.clone(), None
        return network.cpu().eval()

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, on the CPU; the best weights by parameter."""
        vectors = {"weights": self.weights.values, "averaged": self.averaged.values}
        moments = self.optimiser.state_dict()["state"].get(0, {})
        named = vectors | {f"optimiser.{kind}": values for kind, values in moments.items()}
        named |= {f"best.{name}": part for name, part in self.weights.named(self.best).items()}
        return {name: tensor.detach().cpu() for name, tensor in named.items()}

    def facts(self) -> dict[str, Any]:
        """Return all the rest, JSON-able."""
        return {
            "at": asdict(self.at),
            "groups": self.optimiser.state_dict()["param_groups"],
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take up what `tensors` and `facts` gave."""
        self.weights.set(tensors["weights"])
        self.averaged.set(tensors["averaged"])
        best = [tensors[f"best.{name}"].flatten() for name in self.weights.named(self.best)]
        self.best = torch.cat(best).to(self.best)
        prefix = "optimiser."
        moments = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        state = {0: moments} if moments else {}
        self.optimiser.load_state_dict({"state": state, "param_groups": facts["groups"]})
        for group in self.optimiser.param_groups:
            group["betas"] = tuple(group["betas"])  # JSON made lists of them
        self.schedule.load_state_dict(dict(facts["schedule"]))
        self.at = Position(**facts["at"])
