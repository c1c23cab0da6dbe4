"""The training loop of the network: epochs, averaged weights, early stopping, checkpoints.

It runs on a CPU, a GPU, or several of them on one or more machines, as ``accelerate launch`` says.
The result does not depend on how many: every process draws the same batch and works off its own
windows of it, and the gradients are added up before the step. A run that was killed goes on from
its last checkpoint to the same bits.
"""

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tidenet.configuration import TideNetConfig
from tidenet.errors import TidenetError, TrainingDivergedError
from tidenet.model.network import TideNet
from tidenet.training.batches import Batch, draw_batch, epoch_order, own_rows, part_loss
from tidenet.training.checkpoints import (
    Checkpoint,
    digest,
    read_checkpoint,
    require_same,
    write_checkpoint,
)
from tidenet.training.progress import TrainingProgress
from tidenet.training.report import TrainingReport
from tidenet.training.samples import Samples
from tidenet.training.tracking import Tracker

CHECKPOINT_SECONDS = 60.0
"""Time after which a checkpoint is written in the middle of an epoch."""


class NotEnoughMemoryError(TidenetError):
    """Not even one window fits into the memory of the device."""


def fit_network(
    config: TideNetConfig,
    fitting: Samples,
    validation: Samples,
    seed: int,
    progress: Callable[[TrainingProgress], None] | None,
    *,
    initial: Mapping[str, Tensor] | None = None,
    checkpoint: Path | None = None,
    tracker: Tracker | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[TideNet, TrainingReport]:
    """Train with early stopping; return the averaged weights of the best epoch, on the CPU.

    Parameters
    ----------
    config
        Shape of the network and recipe of its training.
    fitting, validation
        Windows to learn from, and to choose the epoch on.
    seed
        Of the weights at the start and of every draw; not negative.
    progress
        Called after every epoch.
    initial
        Weights to start from, a pre-trained backbone; they count as epoch 0, and stay if no epoch
        is better. None for random ones.
    checkpoint
        Folder of this training's checkpoint, written after every epoch and every minute. Training
        goes on from the checkpoint that is there; where that one is of a finished training, its
        result is returned. The folder is left for the caller to remove.
    tracker
        Told the losses after every epoch.
    clock
        Seconds, rising.

    Raises
    ------
    TrainingDivergedError
        If loss or gradient stop being numbers. Weights that are none are not kept: the checkpoint
        has the best ones so far.
    NotEnoughMemoryError
        If not even one window at a time fits.
    CheckpointMismatchError, DamagedCheckpointError
        If the checkpoint cannot be gone on from.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TideNet(config)
    if initial is not None:
        network.load_state_dict(initial)
    run = _Run.start(config, network, fitting, validation, seed, checkpoint, clock)
    if checkpoint is not None:
        run.go_on(checkpoint)
    if initial is not None and run.at.best_loss is None:
        run.keep_best(0, run.validation_loss())
    while not run.finished:
        now = run.epoch()
        if progress is not None:
            progress(now)
        if tracker is not None and run.accelerator.is_main_process:
            rate = run.schedule.get_last_lr()[0]
            values = {"loss": now.loss, "validation_loss": now.validation_loss}
            tracker.log(values | {"learning_rate": rate}, now.epoch)
    return run.result(), run.report()


def departures(network: TideNet, samples: Samples) -> np.ndarray:
    """Return the network's departures from the linear forecast (window, lead, height, width)."""
    network.eval()
    device = next(network.parameters()).device
    parts, waiting = [], list(torch.split(torch.arange(len(samples)), 8))
    with torch.inference_mode():
        while waiting:
            index = waiting.pop(0)
            try:
                x = samples.x[index].to(device)
                parts.append(network(x, torch.zeros_like(x.linear)).departure.float().cpu())
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error) or len(index) == 1:
                    raise
                waiting[:0] = torch.tensor_split(index, 2)
    return torch.cat(parts).numpy()


@dataclass
class _Position:
    """Where a run stands; JSON-able.

    `batch` batches of epoch `epoch` are done, with the losses `current`; `losses` are those of
    finished epochs. `parts` is how many parts a process's windows of a step are worked off in.
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


@dataclass
class _Run:
    """A training run: what changes from step to step, and what it needs."""

    config: TideNetConfig
    fitting: Samples
    validation: Samples
    seed: int
    identity: Mapping[str, Any]
    checkpoint: Path | None
    clock: Callable[[], float]
    accelerator: Accelerator
    network: TideNet
    averaged: AveragedModel
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.OneCycleLR
    best: dict[str, Tensor]
    at: _Position
    counted: float  # clock up to which the seconds are counted
    written: float  # clock when the last checkpoint was

    @classmethod
    def start(
        cls,
        config: TideNetConfig,
        network: TideNet,
        fitting: Samples,
        validation: Samples,
        seed: int,
        checkpoint: Path | None,
        clock: Callable[[], float],
    ) -> "_Run":
        # Gradients are added up here, once per step, after every process has worked off its part:
        # one that runs out of memory can say so before the others wait for it.
        accelerator = Accelerator(mixed_precision="no")
        identity = {} if checkpoint is None else _identity(config, network, fitting, validation)
        network.to(accelerator.device)
        rate = config.learning_rate
        optimiser = torch.optim.AdamW(
            network.parameters(), rate, weight_decay=config.weight_decay, fused=True
        )
        n_steps = max(1, config.n_epochs * math.ceil(len(fitting) / config.batch_size))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, total_steps=n_steps, pct_start=0.15
        )
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
        began = clock()
        return cls(
            config,
            fitting,
            validation,
            seed,
            identity | {"seed": seed},
            checkpoint,
            clock,
            accelerator,
            network,
            averaged,
            optimiser,
            schedule,
            _copy(network.state_dict()),
            _Position(config.accumulate_batches),
            began,
            began,
        )

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the last ones brought nothing."""
        done = self.at.epoch - 1
        return done >= self.config.n_epochs or done - self.at.best_epoch >= self.config.patience

    def result(self) -> TideNet:
        """Return the network with the best weights."""
        self.network.load_state_dict(self.best)
        return self.network.cpu().eval()

    def report(self) -> TrainingReport:
        """Say how it went."""
        device = self.accelerator.device
        n_processes = self.accelerator.num_processes
        share = math.ceil(min(self.config.batch_size, len(self.fitting)) / n_processes)
        return TrainingReport(
            batch_size_used=math.ceil(share / self.at.parts),
            halvings=self.at.halvings,
            best_epoch=self.at.best_epoch,
            losses=tuple(self.at.losses),
            validation_losses=tuple(self.at.validation_losses),
            seconds=self.at.seconds,
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            n_processes=n_processes,
            precision=self.config.precision,
            seed=self.seed,
        )

    def epoch(self) -> TrainingProgress:
        """Train on every window once, or on those of an interrupted epoch that are left."""
        at = self.at
        self.network.train()
        batches = epoch_order(len(self.fitting), self.config.batch_size, self.seed, at.epoch)
        for number, index in enumerate(batches[at.batch :], at.batch + 1):
            batch = draw_batch(self.fitting, index, self.seed, at.epoch, number)
            at.current.append(self._step(batch, index, f"{number} of {len(batches)}"))
            at.batch = number
            if number < len(batches) and self.clock() - self.written >= CHECKPOINT_SECONDS:
                self._write()
        epoch, loss, validation_loss = at.epoch, float(np.mean(at.current)), self.validation_loss()
        if not math.isfinite(validation_loss):
            raise self._diverged(f"validation loss {validation_loss} after epoch {epoch}")
        if at.best_loss is None or validation_loss < at.best_loss:
            self.keep_best(epoch, validation_loss)
        at.losses.append(loss)
        at.validation_losses.append(validation_loss)
        at.epoch, at.batch, at.current = epoch + 1, 0, []
        self._write()
        assert at.best_loss is not None
        return TrainingProgress(
            epoch, self.config.n_epochs, loss, validation_loss, at.best_loss, at.seconds
        )

    def keep_best(self, epoch: int, loss: float) -> None:
        """Keep the averaged weights of now."""
        self.best = _copy(self.averaged.module.state_dict())
        self.at.best_epoch, self.at.best_loss = epoch, loss

    def validation_loss(self) -> float:
        """Return the weighted mean square error of the best estimate on the validation windows."""
        n_processes, own = self.accelerator.num_processes, self.accelerator.process_index
        rows = torch.arange(own, len(self.validation), n_processes)
        sums = torch.zeros(2, device=self.accelerator.device)
        if len(rows):
            some = self.validation.some(rows)
            network: Any = self.averaged.module
            error = some.target - some.x.linear - torch.from_numpy(departures(network, some))
            total = (some.weight * error.square()).sum()
            sums = torch.stack([total, some.weight.sum()]).to(sums)
        square, weight = self._summed(sums).tolist()
        return float(square / weight)

    def _step(self, batch: Batch, index: Tensor, number: str) -> float:
        """Make a step; return the loss of the batch."""
        loss = self._gradients(batch)
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            months = ", ".join(sorted(str(self.fitting.init_months[i]) for i in index.tolist()))
            raise self._diverged(
                f"loss {loss}, gradient {norm} in epoch {self.at.epoch}, batch {number}, step "
                f"{self.schedule.last_epoch + 1}; init months {months}"
            )
        self.optimiser.step()
        self.schedule.step()
        self.averaged.update_parameters(self.network)
        return loss

    def _gradients(self, batch: Batch) -> float:
        """Set the gradients of a batch, in smaller parts if memory is short; return its loss."""
        accelerator = self.accelerator
        while True:
            self.optimiser.zero_grad()
            loss, short = torch.zeros((), device=accelerator.device), False
            try:
                for rows in own_rows(
                    len(batch), accelerator.process_index, accelerator.num_processes, self.at.parts
                ):
                    part = part_loss(self.network, batch, rows, self.config, accelerator.device)
                    part.backward()  # type: ignore[no-untyped-call]
                    loss += part.detach()
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                short = True
            if not self._summed(torch.tensor(float(short), device=accelerator.device)):
                self._sum_gradients()
                return float(self._summed(loss))
            self._halve()

    def _halve(self) -> None:
        """Work off the windows of a step in twice as many parts."""
        share = math.ceil(self.config.batch_size / self.accelerator.num_processes)
        if self.at.parts >= share:
            raise NotEnoughMemoryError(
                "The memory does not suffice to train on one window at a time.",
                found=f"{self.report().device} ran out of memory",
                expected="room for the network, its gradients and one window",
                remedy="Use fewer working_cells or hidden_channels, precision bf16, or a device "
                "with more memory.",
            )
        self.at.parts = min(2 * self.at.parts, share)
        self.at.halvings += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _sum_gradients(self) -> None:
        """Add up the gradients of all processes."""
        if self.accelerator.num_processes == 1:
            return
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        total = self._summed(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(total, [p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def _summed(self, values: Tensor) -> Tensor:
        summed: Tensor = self.accelerator.reduce(values, "sum")
        return summed

    def _diverged(self, found: str) -> TrainingDivergedError:
        kept = f" The best weights so far are in {self.checkpoint}." if self.checkpoint else ""
        return TrainingDivergedError(
            "The training loss stopped being a number.",
            found=found,
            expected="a finite loss and gradient",
            remedy=f"Train with a smaller learning_rate, or in float32.{kept}",
        )

    def go_on(self, folder: Path) -> None:
        """Take up the checkpoint of a folder, if there is one; the main process reads it."""
        content = read_checkpoint(folder) if self.accelerator.is_main_process else None
        content = _shared(content, self.accelerator)
        if content is None:
            return
        found = Checkpoint.decode(content, folder)
        require_same(found.identity, self.identity, folder)
        tensors = _nested(found.tensors)
        self.network.load_state_dict(tensors["network"])
        self.averaged.load_state_dict(tensors["averaged"])
        self.best = tensors["best"]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.get("optimiser", {}).items():
            number, kind = name.split(".")
            moments.setdefault(int(number), {})[kind] = tensor
        groups = found.facts["groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.schedule.load_state_dict(found.facts["schedule"])
        self.at = _Position(**found.facts["at"])

    def _write(self) -> None:
        """Write a checkpoint, if the run has a folder; count the time."""
        now = self.clock()
        self.at.seconds, self.counted = self.at.seconds + now - self.counted, now
        if self.checkpoint is None or not self.accelerator.is_main_process:
            return
        moments = self.optimiser.state_dict()
        optimiser = {
            f"{number}.{kind}": value
            for number, state in moments["state"].items()
            for kind, value in state.items()
        }
        parts = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best,
            "optimiser": optimiser,
        }
        tensors = {
            f"{part}.{name}": tensor.detach().cpu()
            for part, named in parts.items()
            for name, tensor in named.items()
        }
        facts = {
            "at": asdict(self.at),
            "groups": moments["param_groups"],
            "schedule": self.schedule.state_dict(),
        }
        write_checkpoint(self.checkpoint, Checkpoint(tensors, facts, self.identity))
        self.written = now
