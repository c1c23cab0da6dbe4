"""Pre-training of the network on a stream of simulated worlds; makes the shipped backbone.

Usage: ``python -m tidenet.pretraining --minutes 20 --seed 1 --out tidenet/backbones``.

Every round makes new worlds, trains on each of their windows once and forgets them: there is
nothing to learn by heart. The same seed and number of rounds give the same weights on the same
machine; minutes are turned into a number of rounds by timing the first ones, and the metadata tell
the number.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tidenet.configuration import TideNetConfig
from tidenet.errors import TrainingDivergedError
from tidenet.model.network import IMAGES, TideNet
from tidenet.model.refiner import TRAINING_STEPS
from tidenet.pretraining.lessons import Lesson, join_lessons, make_lesson
from tidenet.pretraining.worlds import WorldKind, make_world
from tidenet.training.losses import RefinerDraw, training_loss

TRAINING, VALIDATION = 0, 1
"""First number of a world's seed: worlds of validation are never trained on."""

TIMED_ROUNDS = 3
"""Rounds after which minutes are turned into a number of rounds."""


@dataclass(frozen=True)
class PretrainingPlan:
    """How a backbone is made.

    Parameters
    ----------
    config
        Shape of the network and weights of the loss.
    seed
        Of the weights and of all worlds.
    n_rounds
        Rounds to train; None: as many as the minutes allow.
    minutes
        Wall time to train; not looked at where the rounds are given.
    worlds_per_round, stride
        Worlds that a round mixes, all of one shape, and every how many months one of their windows
        begins: neighbouring windows are much alike.
    shapes
        Shapes that a round's is drawn from.
    kind
        What worlds there are.
    n_fitting
        Months of a world that its linear forecasts are fitted on.
    batch_size, learning_rate, weight_decay, ema_decay
        As in `TideNetConfig`.
    validation_worlds
        Worlds of the report.
    """

    config: TideNetConfig = field(default_factory=TideNetConfig)
    seed: int = 1
    n_rounds: int | None = None
    minutes: float = 20.0
    worlds_per_round: int = 4
    stride: int = 1
    shapes: tuple[tuple[int, int], ...] = ((24, 24), (24, 32), (32, 24), (32, 32))
    kind: WorldKind = field(default_factory=WorldKind)
    n_fitting: int = 144
    batch_size: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.99
    validation_worlds: int = 8

    def lesson(self, part: int, number: int) -> Lesson:
        """Return the lesson of a round, or of validation, by its number."""
        rng = np.random.default_rng([self.seed, part, number])
        shape = self.shapes[int(rng.integers(len(self.shapes)))]
        worlds = range(self.worlds_per_round if part == TRAINING else 1)
        made = (make_world((self.seed, part, number, n), shape, self.kind) for n in worlds)
        return join_lessons(
            [make_lesson(w, self.n_fitting, self.config, rng, self.stride) for w in made]
        )

    def describe(self) -> dict[str, Any]:
        """Return the plan as a JSON-able record."""
        losses = {"amplitude_loss", "phase_loss", "refiner_loss"}
        return asdict(self) | {"config": self.config.model_dump(mode="json", include=losses)}


@dataclass(frozen=True)
class WorldSkill:
    """Mean square error skill on worlds that were not trained on, by lead (lead,).

    Parameters
    ----------
    climatology, linear, damped
        Of the network against climatology (with season and trend), against the linear forecast it
        departs from, and against damped persistence.
    linear_alone, damped_alone
        Of these against climatology.
    """

    climatology: np.ndarray
    linear: np.ndarray
    damped: np.ndarray
    linear_alone: np.ndarray
    damped_alone: np.ndarray

    def describe(self) -> dict[str, list[float]]:
        """Return the numbers, rounded."""
        return {name: [round(float(v), 4) for v in skill] for name, skill in asdict(self).items()}


@dataclass(frozen=True)
class PretrainingProgress:
    """Where pre-training stands after a round; ``n_rounds`` is None while rounds are timed."""

    round: int
    n_rounds: int | None
    loss: float
    linear_loss: float
    seconds: float


@dataclass(frozen=True)
class Pretrained:
    """A pre-trained network and how it came about.

    Parameters
    ----------
    network
        Averaged weights, on the CPU.
    n_rounds, n_windows
        Rounds done and windows seen.
    skill
        On the validation worlds.
    """

    network: TideNet
    n_rounds: int
    n_windows: int
    skill: WorldSkill


def pretrain(
    plan: PretrainingPlan,
    progress: Callable[[PretrainingProgress], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Pretrained:
    """Pre-train a network.

    Raises
    ------
    TrainingDivergedError
        If the loss stops being a number.
    """
    network = untrained(plan.config, plan.seed)
    rate = plan.learning_rate
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=plan.weight_decay)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(plan.ema_decay))
    generator = torch.Generator().manual_seed(plan.seed)
    n_rounds, number, n_windows, began = plan.n_rounds, 0, 0, clock()
    while n_rounds is None or number < n_rounds:
        for group in optimiser.param_groups:
            group["lr"] = rate * _schedule(number, n_rounds)
        lesson = plan.lesson(TRAINING, number)
        losses = _train_once(network, averaged, optimiser, lesson, plan, generator)
        number, n_windows = number + 1, n_windows + len(lesson)
        seconds = clock() - began
        if n_rounds is None and number == TIMED_ROUNDS:
            n_rounds = max(TIMED_ROUNDS, int(plan.minutes * 60 / seconds * TIMED_ROUNDS))
        if not np.isfinite(losses).all():
            raise TrainingDivergedError(
                "The loss of pre-training stopped being a number.",
                found=f"{losses} in round {number}",
                expected="a finite loss",
                remedy="Use a smaller learning rate.",
            )
        if progress is not None:
            progress(PretrainingProgress(number, n_rounds, *losses, seconds))
    trained: Any = averaged.module
    lessons = (plan.lesson(VALIDATION, n) for n in range(plan.validation_worlds))
    return Pretrained(trained.eval(), number, n_windows, world_skill(trained, lessons))


def untrained(config: TideNetConfig, seed: int) -> TideNet:
    """Return a network that departs nowhere, but whose amplitude branch is heard from the start.

    The fusion head's first weights are 1 for the amplitude image and -1 for the linear forecast,
    which are the same before training. With weights of 0, hardly any gradient would reach the
    amplitude branch until the head had learned to listen to it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TideNet(config)
    with torch.no_grad():
        bias: Any = network.fusion.unet.conv_out.bias
        bias[IMAGES.index("amplitude")] = 1.0
        bias[IMAGES.index("linear")] = -1.0
    return network


def _schedule(number: int, n_rounds: int | None) -> float:
    """Return the part of the peak learning rate: a short rise, then half a cosine."""
    rise = min(1.0, (number + 1) / (TIMED_ROUNDS + 1))
    if n_rounds is None or n_rounds <= TIMED_ROUNDS:
        return rise
    done = max(number - TIMED_ROUNDS, 0) / (n_rounds - TIMED_ROUNDS)
    return rise * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def _train_once(
    network: TideNet,
    averaged: AveragedModel,
    optimiser: torch.optim.Optimizer,
    lesson: Lesson,
    plan: PretrainingPlan,
    generator: torch.Generator,
) -> tuple[float, float]:
    """Train on every window once; return the mean loss, and that of the linear forecast alone."""
    network.train()
    losses, linear = [], []
    order = torch.randperm(len(lesson), generator=generator)
    for index in torch.split(order, plan.batch_size):
        x, target, weight = lesson.samples.batch(index)
        step = torch.randint(0, TRAINING_STEPS, (len(index),), generator=generator)
        draw = RefinerDraw(step, torch.randn(target.shape, generator=generator))
        output = network(x, torch.zeros_like(x.linear))
        loss = training_loss(network, x, target, weight, draw, plan.config, output)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        averaged.update_parameters(network)
        error = (weight * (x.linear + output.departure - target).square()).sum() / weight.sum()
        losses.append(float(error.detach()))
        linear.append(float((weight * (x.linear - target).square()).sum() / weight.sum()))
    return float(np.mean(losses)), float(np.mean(linear))


def world_skill(network: TideNet, lessons: Iterable[Lesson]) -> WorldSkill:
    """Return the skill of a network on lessons."""
    from tidenet.training.loop import departures

    totals: Any = 0.0
    for lesson in lessons:
        samples = lesson.samples
        departed = torch.from_numpy(departures(network, samples))
        errors = [
            samples.x.linear + departed - samples.target,
            samples.x.linear - samples.target,
            lesson.damped - samples.target,
            samples.target,
        ]
        sums = [(samples.weight * e.square()).sum(dim=(0, 2, 3)).numpy() for e in errors]
        totals = totals + np.stack(sums).astype(np.float64)
    ours, linear, damped, climatology = totals
    return WorldSkill(
        1 - ours / climatology,
        1 - ours / linear,
        1 - ours / damped,
        1 - linear / climatology,
        1 - damped / climatology,
    )
