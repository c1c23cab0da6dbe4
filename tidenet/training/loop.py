"""The training loop of the network: epochs, averaged weights, early stopping, checkpoints.

It runs on a CPU, a GPU, or several of them on one or more machines, as ``accelerate launch`` says.
The result does not depend on how many: every process draws the same batch and works off its own
windows of it, and the gradients are added up before the step. A training that was killed goes on
from its last checkpoint to the same bits.
"""

import math
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from tidenet.configuration import TideNetConfig
from tidenet.errors import TrainingDivergedError
from tidenet.model.network import TideNet
from tidenet.training.batches import Batch, draw_batch, epoch_order, own_rows, part_loss
from tidenet.training.checkpoints import (
    Checkpoint,
    digest,
    has_checkpoint,
    read_checkpoint,
    require_same,
    write_checkpoint,
)
from tidenet.training.memory import NotEnoughMemoryError, is_out_of_memory
from tidenet.training.progress import TrainingProgress
from tidenet.training.report import TrainingReport
from tidenet.training.samples import Samples
from tidenet.training.state import TrainingState
from tidenet.training.tracking import Tracker

CHECKPOINT_SECONDS = 60.0
"""Time after which a checkpoint is written in the middle of an epoch."""

WINDOWS_AT_ONCE = 8
"""Windows whose departures are computed at a time."""


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
        Called after every epoch, by the main process.
    initial
        Weights to start from, a pre-trained backbone; they count as epoch 0, and stay if no epoch
        is better. None for random ones.
    checkpoint
        Folder of this training's checkpoint, written after every epoch and every minute. Training
        goes on from the checkpoint that is there; where that one is of a finished training, its
        result is returned. The folder is left for the caller to remove.
    tracker
        Told the losses after every epoch, by the main process.
    clock
        Seconds, rising.

    Raises
    ------
    TrainingDivergedError
        If loss or gradient stop being numbers. The weights are left as they were before, and the
        checkpoint holds the best ones so far.
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
    if initial is not None and run.state.at.best_loss is None and not run.finished:
        run.state.keep_best(0, run.validation_loss())
    while not run.finished:
        now = run.epoch()
        if not run.accelerator.is_main_process:
            continue
        if progress is not None:
            progress(now)
        if tracker is not None:
            (rate,) = run.state.schedule.get_last_lr()
            values = {"loss": now.loss, "validation_loss": now.validation_loss}
            tracker.log(values | {"learning_rate": float(rate)}, now.epoch)
    return run.result(), run.report()


def departures(network: TideNet, samples: Samples) -> np.ndarray:
    """Return the network's departures from the linear forecast (window, lead, height, width).

    Raises
    ------
    NotEnoughMemoryError
        If not even one window at a time fits.
    """
    network.eval()
    device = next(network.parameters()).device
    parts, waiting = [], list(torch.split(torch.arange(len(samples)), WINDOWS_AT_ONCE))
    with torch.inference_mode():
        while waiting:
            index = waiting.pop(0)
            try:
                x = samples.x[index].to(device)
                parts.append(network(x, torch.zeros_like(x.linear)).departure.cpu())
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(index) == 1:
                    raise NotEnoughMemoryError(
                        "The memory does not suffice to run the network on one window.",
                        found=f"{device.type} ran out of memory",
                        expected="room for the network and one window",
                        remedy="Use fewer working_cells or hidden_channels, or a device with more "
                        "memory.",
                    ) from error
                waiting[:0] = torch.tensor_split(index, 2)
    return torch.cat(parts).numpy()


@dataclass
class _Run:
    """A training run: its state, and what it needs to go on."""

    config: TideNetConfig
    fitting: Samples
    validation: Samples
    seed: int
    first_weights: str
    identity: Mapping[str, Any]
    checkpoint: Path | None
    clock: Callable[[], float]
    accelerator: Accelerator
    state: TrainingState
    counted: float  # clock up to which the seconds of the position are counted
    written: float  # clock at the last checkpoint

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
        began = clock()
        first_weights, identity = digest(network.state_dict().values()), {}
        if checkpoint is not None:
            identity = _identity(config, first_weights, fitting, validation, seed)
        # The network is not wrapped for several processes: gradients are added up once per step,
        # after each has worked off its windows, so that one that runs out of memory can say so
        # before the others wait for it.
        accelerator = Accelerator(mixed_precision="no")
        network.to(accelerator.device)
        state = TrainingState.start(config, network, len(fitting))
        return cls(
            config,
            fitting,
            validation,
            seed,
            first_weights,
            identity,
            checkpoint,
            clock,
            accelerator,
            state,
            began,
            began,
        )

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the last ones brought nothing."""
        done = self.state.at.epoch - 1
        idle = done - self.state.at.best_epoch
        return done >= self.config.n_epochs or idle >= self.config.patience

    def result(self) -> TideNet:
        """Return the network with the best weights."""
        return self.state.best_network()

    def report(self) -> TrainingReport:
        """Say how it went."""
        at, device = self.state.at, self.accelerator.device
        return TrainingReport(
            batch_size_used=math.ceil(self._share / at.parts),
            halvings=at.halvings,
            best_epoch=at.best_epoch,
            losses=tuple(at.losses),
            validation_losses=tuple(at.validation_losses),
            seconds=at.seconds,
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            n_processes=self.accelerator.num_processes,
            precision=self.config.precision,
            seed=self.seed,
            first_weights=self.first_weights,
        )

    def epoch(self) -> TrainingProgress:
        """Train on every window once, or on those of an interrupted epoch that are left."""
        at, config = self.state.at, self.config
        self.state.weights.network.train()
        batches = epoch_order(len(self.fitting), config.batch_size, self.seed, at.epoch)
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
            self.state.keep_best(epoch, validation_loss)
        at.end_epoch(loss, validation_loss)
        self._write()
        best = validation_loss if at.best_loss is None else at.best_loss
        return TrainingProgress(epoch, config.n_epochs, loss, validation_loss, best, at.seconds)

    def validation_loss(self) -> float:
        """Return the weighted mean square error of the best estimate on the validation windows."""
        accelerator = self.accelerator
        own = slice(accelerator.process_index, None, accelerator.num_processes)
        some = self.validation[own]
        sums = torch.zeros(2)
        if len(some):
            departed = torch.from_numpy(departures(self.state.averaged.network, some))
            error = some.target - some.x.linear - departed
            sums = torch.stack([(some.weight * error.square()).sum(), some.weight.sum()])
        square, weight = self._summed(sums).tolist()
        return float(square / weight)

    def _step(self, batch: Batch, index: Tensor, number: str) -> float:
        """Make a step; return the loss of the batch."""
        state = self.state
        loss = self._gradients(batch)
        norm = float(torch.nn.utils.clip_grad_norm_(state.weights.values, 1.0))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            months = ", ".join(sorted(str(self.fitting.init_months[i]) for i in index.tolist()))
            raise self._diverged(
                f"loss {loss}, gradient {norm} in epoch {state.at.epoch}, batch {number}, "
                f"step {state.n_steps + 1}; init months {months}"
            )
        state.step()
        return loss

    def _gradients(self, batch: Batch) -> float:
        """Set the gradients of a batch, in smaller parts if memory is short; return its loss."""
        weights, accelerator = self.state.weights, self.accelerator
        network = weights.network
        shares = batch.shares(network.n_modes)
        while True:
            weights.gradient.zero_()
            loss, short = 0.0, False
            try:
                for rows in own_rows(
                    len(batch),
                    accelerator.process_index,
                    accelerator.num_processes,
                    self.state.at.parts,
                ):
                    part = part_loss(network, batch, rows, shares, self.config, accelerator.device)
                    part.backward()
                    loss += float(part.detach())
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                short = True
            total, n_short = self._summed(torch.tensor([loss, float(short)])).tolist()
            if not n_short:
                weights.gradient.copy_(self._summed(weights.gradient))
                return float(total)
            self._halve()

    def _halve(self) -> None:
        """Work off the windows of a step in twice as many parts."""
        at = self.state.at
        if at.parts >= self._share:
            raise NotEnoughMemoryError(
                "The memory does not suffice to train on one window at a time.",
                found=f"{self.report().device} ran out of memory",
                expected="room for the network, its gradients and one window",
                remedy="Use fewer working_cells or hidden_channels, precision bf16, or a device "
                "with more memory.",
            )
        at.parts, at.halvings = min(2 * at.parts, self._share), at.halvings + 1
        if self.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def _share(self) -> int:
        """Most windows of a step that a process works off."""
        windows = min(self.config.batch_size, len(self.fitting))
        return math.ceil(windows / self.accelerator.num_processes)

    def _summed(self, values: Tensor) -> Tensor:
        """Return the sum over the processes."""
        summed: Tensor = self.accelerator.reduce(values.to(self.accelerator.device), "sum")
        return summed

    def _diverged(self, found: str) -> TrainingDivergedError:
        kept, at = "", self.state.at
        if at.best_epoch and self.checkpoint is not None and has_checkpoint(self.checkpoint):
            options = f"--backbone {shlex.quote(str(self.checkpoint.absolute()))}"
            kept = (
                f" The best weights so far, of epoch {at.best_epoch}, are kept. To go on from "
                f"them: tidenet train --fresh {options} "
                f"--learning-rate {self.config.learning_rate / 4:g}, and the other options as "
                "they were; the same command as before comes to the same point again."
            )
        return TrainingDivergedError(
            "The training loss stopped being a number.",
            found=found,
            expected="a finite loss and gradient",
            remedy=f"Train with a smaller learning_rate, or in float32.{kept}",
        )

    def go_on(self, folder: Path) -> None:
        """Take up the checkpoint of a folder, if there is one; the main process reads it."""
        content = read_checkpoint(folder) if self.accelerator.is_main_process else b""
        if self.accelerator.num_processes > 1:
            content = self._told(content)
        if content:
            found = Checkpoint.decode(content, folder)
            require_same(found.identity, self.identity, folder)
            self.state.restore(found.tensors, found.facts)

    def _told(self, content: bytes) -> bytes:
        """Return to every process what the main process has; the others may not see its disk."""
        length = int(self._summed(torch.tensor(len(content))))
        told = torch.zeros(length, dtype=torch.uint8)
        if content:
            told = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return self._summed(told).cpu().numpy().tobytes()

    def _write(self) -> None:
        """Count the time, and write a checkpoint if the run has a folder."""
        now, at = self.clock(), self.state.at
        at.seconds, self.counted, self.written = at.seconds + now - self.counted, now, now
        if self.checkpoint is not None and self.accelerator.is_main_process:
            content = Checkpoint(self.state.tensors(), self.state.facts(), self.identity)
            write_checkpoint(self.checkpoint, content)


def _identity(
    config: TideNetConfig, first_weights: str, fitting: Samples, validation: Samples, seed: int
) -> dict[str, Any]:
    """Return what decides a training's result, JSON-able."""
    return {
        "config": config.model_dump(mode="json"),
        "seed": seed,
        "first_weights": first_weights,
        "fitting": _described(fitting),
        "validation": _described(validation),
    }


def _described(samples: Samples) -> Mapping[str, Any]:
    x = samples.x
    return {
        "windows": len(samples),
        "first": str(samples.init_months[0]),
        "last": str(samples.init_months[-1]),
        "sha256": digest([x.history, x.linear, x.season, x.mask, samples.target, samples.weight]),
    }
