"""Training TIDE-Net on a record that ends at the training cut-off.

The record is split by time (`tidenet.windows`). Everything that is fitted before validation sees
the fitting months only: climatology, damping, trend and the network. On the validation block the
network is stopped, how far to follow it is chosen, and the size of the errors is measured. Then
climatology, damping, trend and error patterns are fitted once more on all months.
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.months import Month
from tidenet.climatology import AnomalySeries, fit_climatology, require_complete
from tidenet.configuration import TideNetConfig
from tidenet.damping import fit_damping, fit_trend
from tidenet.dressing import fit_dressing
from tidenet.errors import TrainingDivergedError
from tidenet.forecasting import (
    LinearPart,
    TideNetForecaster,
    refined_details,
    season,
)
from tidenet.identity import Domain
from tidenet.record import FluxRecord
from tidenet.references import METHODS, fit_with_climatology
from tidenet.windows import split_windows
from tidenet.working_grid import WorkingGrid

if TYPE_CHECKING:
    from torch import Tensor

    from tidenet.model.network import NetworkInput, TideNet

DETAIL_SAMPLES = 4
"""Details drawn per validation window to learn how much the refiner's details vary."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where training stands after an epoch.

    Parameters
    ----------
    epoch, n_epochs
        Epoch just finished, from 1, and the most there will be.
    loss
        Mean training loss of the epoch.
    validation_loss, best_validation_loss
        Area-weighted mean squared error of the standardised anomaly on the validation block, now
        and at its best so far.
    seconds
        Seconds since training began.
    """

    epoch: int
    n_epochs: int
    loss: float
    validation_loss: float
    best_validation_loss: float
    seconds: float


@dataclass(frozen=True)
class _Samples:
    """Windows as tensors on the working grid, one per init position.

    `target` and `x.damped` are (window, lead, height, width) in standard deviations; `weight` is
    the part of each cell in the loss (window, lead, height, width), 0 on land.
    """

    x: "NetworkInput"
    target: "Tensor"
    weight: "Tensor"
    init_months: list[Month]

    def __len__(self) -> int:
        return len(self.init_months)

    def batch(self, index: Any) -> tuple["NetworkInput", "Tensor", "Tensor"]:
        from tidenet.model.network import NetworkInput

        x = self.x
        chosen = NetworkInput(x.history[index], x.damped[index], x.season[index])
        return chosen, self.target[index], self.weight[index]

    def alike(self, index: "Tensor") -> list["Tensor"]:
        """Return for each window the windows whose init month is at most one calendar month off."""
        import torch

        calendar = torch.tensor([int(month.astype(int)) % 12 for month in self.init_months])
        apart = (calendar[index, None] - calendar[None, :]) % 12
        near = (apart <= 1) | (apart >= 11)
        return [torch.nonzero(row).flatten() for row in near]


def train(
    record: FluxRecord,
    config: TideNetConfig,
    *,
    seed: int,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> TideNetForecaster:
    """Train TIDE-Net and fit all that is needed to forecast with it.

    Parameters
    ----------
    record
        The record up to the training cut-off; every month of it is used.
    config
        Shape of the network and recipe of its training.
    seed
        The same seed, record and machine give the same forecaster.
    progress
        Called after every epoch.

    Raises
    ------
    NotEnoughMonthsError
        If the record is too short for the split.
    IncompleteFieldError
        If an ocean cell has no value.
    TrainingDivergedError
        If the loss stops being a number.
    """
    require_complete(record)
    windows = split_windows(
        len(record.fco2), config.n_history, config.n_leads, config.validation_months
    )
    domain = Domain(record.grid, record.ocean)
    grid = WorkingGrid.fitting(record.weight, config.working_cells)
    early = record.until(record.first_month + (windows.n_fitting_months - 1))
    linear = _fit_linear(early, config.n_leads)
    fitting = _samples(record, linear, grid, windows.fitting, config)
    validation = _samples(record, linear, grid, windows.validation, config)
    network = _fit_network(config, grid, fitting, validation, seed, progress)
    departures = _departures(network, validation)
    error = _linear_errors(validation, linear, grid, config)
    follow = _cautious_weight(error, departures, validation.weight.numpy())
    error = error - follow[:, None, None] * departures
    growth = _error_growth(error, validation, early, linear, grid, config)
    return _finish(record, config, domain, grid, network, follow, growth, validation, seed)


def _fit_linear(record: FluxRecord, n_leads: int) -> LinearPart:
    """Fit climatology, damping and trend on every month of a record."""
    climatology = fit_climatology(record)
    series = AnomalySeries(record, climatology)
    damping = fit_damping(series, n_leads)
    return LinearPart(climatology, damping, fit_trend(series, damping[0]))


def _samples(
    record: FluxRecord,
    linear: LinearPart,
    grid: WorkingGrid,
    positions: np.ndarray,
    config: TideNetConfig,
) -> _Samples:
    """Bring the windows of some init positions onto the working grid."""
    import torch

    from tidenet.model.network import NetworkInput

    series = AnomalySeries(record, linear.climatology)
    first, last = positions[0] - config.n_history + 1, positions[-1] + config.n_leads
    coarse = {t: grid.coarsen(series[t]) for t in range(first, last + 1)}
    history = [[coarse[i - config.n_history + 1 + h] for h in range(config.n_history)] for i in positions]
    target = [[coarse[i + 1 + k] for k in range(config.n_leads)] for i in positions]
    damped = [grid.coarsen(linear.damping * series[i]) for i in positions]
    months = [record.first_month + int(i) for i in positions]
    seasons = [season(month, config.n_leads) for month in months]
    std = grid.coarsen(linear.climatology.std)
    area = (grid.block_weight / grid.block_weight.sum()).astype(np.float32)
    calendar = [
        [(int(m.astype(int)) + 1 + k) % 12 for k in range(config.n_leads)] for m in months
    ]
    weight = area * std[np.array(calendar)]
    weight = weight / weight.sum(axis=(-2, -1), keepdims=True)
    as_tensor = lambda values: torch.from_numpy(np.asarray(values, dtype=np.float32))  # noqa: E731
    x = NetworkInput(as_tensor(history), as_tensor(damped), as_tensor(seasons))
    return _Samples(x, as_tensor(target), as_tensor(weight), months)


def _fit_network(
    config: TideNetConfig,
    grid: WorkingGrid,
    fitting: _Samples,
    validation: _Samples,
    seed: int,
    progress: Callable[[TrainingProgress], None] | None,
) -> "TideNet":
    """Train with early stopping; return the averaged weights of the best epoch."""
    import torch
    from accelerate import Accelerator
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    from tidenet.model.network import TideNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TideNet(config, torch.from_numpy(grid.mask))
    if config.n_epochs == 0:
        return network.eval()
    generator = torch.Generator().manual_seed(seed)
    accelerator = Accelerator()
    loader = torch.utils.data.DataLoader(
        torch.arange(len(fitting)), config.batch_size, shuffle=True, generator=generator
    )
    optimiser = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.n_epochs * len(loader), pct_start=0.15
    )
    network, optimiser, loader, schedule = accelerator.prepare(
        network, optimiser, loader, schedule
    )
    bare = accelerator.unwrap_model(network)
    averaged = AveragedModel(bare, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
    best, best_loss, best_epoch = copy.deepcopy(bare.state_dict()), np.inf, 0
    began = time.monotonic()
    for epoch in range(1, config.n_epochs + 1):
        losses = []
        for index in loader:
            loss = _batch_loss(network, bare, fitting, index, config, generator)
            value = float(loss.detach())
            if not np.isfinite(value):
                raise TrainingDivergedError(
                    "The training loss stopped being a number.",
                    found=f"{value} in epoch {epoch}, batch {len(losses) + 1}",
                    remedy="Train with a smaller learning_rate.",
                )
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            averaged.update_parameters(bare)
            losses.append(value)
        validation_loss = _validation_loss(averaged.module, validation)
        if validation_loss < best_loss:
            best, best_loss = copy.deepcopy(averaged.module.state_dict()), validation_loss
            best_epoch = epoch
        if progress is not None:
            seconds = time.monotonic() - began
            done = TrainingProgress(
                epoch, config.n_epochs, float(np.mean(losses)), validation_loss, best_loss, seconds
            )
            progress(done)
        if epoch - best_epoch >= config.patience:
            break
    bare.load_state_dict(best)
    return bare.cpu().eval()


def _batch_loss(
    network: Any,
    bare: "TideNet",
    fitting: _Samples,
    index: "Tensor",
    config: TideNetConfig,
    generator: Any,
) -> "Tensor":
    import torch

    from tidenet.losses import RefinerDraw, training_loss
    from tidenet.model.network import NetworkInput
    from tidenet.model.refiner import TRAINING_STEPS

    device = bare.mask.device
    x, target, weight = _blend_windows(fitting, index.cpu(), generator)
    x = NetworkInput(x.history.to(device), x.damped.to(device), x.season.to(device))
    step = torch.randint(0, TRAINING_STEPS, (len(target),), generator=generator)
    noise = torch.randn(target.shape, generator=generator)
    draw = RefinerDraw(step.to(device), noise.to(device))
    output = network(x, torch.zeros_like(x.damped))
    return training_loss(
        bare, x, target.to(device), weight.to(device), draw, config, output
    )


def _blend_windows(
    fitting: _Samples, index: "Tensor", generator: Any
) -> tuple["NetworkInput", "Tensor", "Tensor"]:
    """Return a batch in which each window is blended with another of the same season.

    ``cos(a) one + sin(a) other`` of two anomaly sequences is again a likely sequence, as far as
    anomalies evolve linearly: with a couple of hundred months, this is what keeps the network from
    learning its few windows by heart.
    """
    import torch

    from tidenet.model.network import NetworkInput

    choice = torch.rand(len(index), generator=generator)
    other = torch.stack(
        [alike[int(c * len(alike))] for c, alike in zip(choice, fitting.alike(index), strict=True)]
    )
    angle = 2 * np.pi * torch.rand(len(index), 1, 1, 1, generator=generator)
    one, target_one, weight = fitting.batch(index)
    two, target_two, _ = fitting.batch(other)
    c, s = torch.cos(angle), torch.sin(angle)
    x = NetworkInput(c * one.history + s * two.history, c * one.damped + s * two.damped, one.season)
    return x, c * target_one + s * target_two, weight


def _departures(network: "TideNet", samples: _Samples) -> np.ndarray:
    """Return the network's departures (window, lead, height, width)."""
    import torch

    from tidenet.model.network import NetworkInput

    network.eval()
    parts = []
    with torch.inference_mode():
        for index in torch.split(torch.arange(len(samples)), 8):
            x, _, _ = samples.batch(index)
            device = network.mask.device
            x = NetworkInput(x.history.to(device), x.damped.to(device), x.season.to(device))
            parts.append(network(x, torch.zeros_like(x.damped)).departure.cpu())
    return torch.cat(parts).numpy()


def _validation_loss(network: "TideNet", validation: _Samples) -> float:
    error = validation.target - validation.x.damped - _departures(network, validation)
    return float((validation.weight * error.square()).sum() / validation.weight.sum())


def _linear_errors(
    samples: _Samples, linear: LinearPart, grid: WorkingGrid, config: TideNetConfig
) -> np.ndarray:
    """Return observed minus linear forecast (window, lead, height, width)."""
    error: np.ndarray = (samples.target - samples.x.damped).numpy()
    if config.trend:
        drift = [grid.coarsen(linear.trend_departure(month)) for month in samples.init_months]
        error = error - np.stack(drift)
    return error


def _cautious_weight(error: np.ndarray, departure: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Choose how far to follow a departure at each lead, float32 (lead,), 0 to 1.

    The least-squares weight of the earlier half of the validation windows or that of the later
    half, whichever is smaller: what helped only by luck in one half is not followed.
    """
    slopes = []
    for half in np.array_split(np.arange(len(error)), 2):
        w, d, e = weight[half], departure[half], error[half]
        product = (w * d * e).sum(axis=(0, 2, 3))
        square = (w * d * d).sum(axis=(0, 2, 3))
        slopes.append(product / np.maximum(square, 1e-12))
    return np.clip(np.min(slopes, axis=0), 0.0, 1.0).astype(np.float32)


def _error_growth(
    error: np.ndarray,
    validation: _Samples,
    early: FluxRecord,
    linear: LinearPart,
    grid: WorkingGrid,
    config: TideNetConfig,
) -> np.ndarray:
    """Return how much larger errors are outside the fitted months than inside (lead,).

    Inside are the fitting months, with the linear part only (a network fits its own training
    months too well to tell); outside is the validation block, with the whole forecast. The block
    is short, one unusual year is half of it, so that it is believed half: the factor is the square
    root of the ratio of the errors.
    """
    weight = validation.weight.numpy()
    outside = (weight * error**2).sum(axis=(0, 2, 3)) / weight.sum(axis=(0, 2, 3))
    area = grid.block_weight / grid.block_weight.sum()
    inside = [
        (area * grid.coarsen(residual) ** 2).sum(axis=(-2, -1))
        for residual in _linear_residuals(early, linear, config)
    ]
    ratio: np.ndarray = np.sqrt(outside / np.mean(inside, axis=0))
    return np.clip(np.sqrt(ratio), 0.8, 1.6)


def _linear_residuals(
    record: FluxRecord, linear: LinearPart, config: TideNetConfig
) -> Iterator[np.ndarray]:
    """Yield observed minus linear forecast of every init month (lead, lat, lon), standardised."""
    series = AnomalySeries(record, linear.climatology)
    for position in range(len(series) - config.n_leads):
        observed = np.stack([series[position + k] for k in range(1, config.n_leads + 1)])
        residual = observed - linear.damping * series[position]
        if config.trend:
            residual -= linear.trend_departure(record.first_month + position)
        yield residual


def _finish(
    record: FluxRecord,
    config: TideNetConfig,
    domain: Domain,
    grid: WorkingGrid,
    network: "TideNet",
    follow: np.ndarray,
    growth: np.ndarray,
    validation: _Samples,
    seed: int,
) -> TideNetForecaster:
    """Fit the linear part, the errors and the references on all months, and put it together."""
    linear = _fit_linear(record, config.n_leads)
    residuals = _linear_residuals(record, linear, config)
    dressing = fit_dressing(residuals, grid, config.n_patterns).scaled(growth)
    references = {
        name: fit_with_climatology(
            name, record, config.n_leads, linear.climatology, linear.damping
        )
        for name in METHODS
    }
    return TideNetForecaster(
        config,
        domain,
        linear,
        network,
        follow,
        dressing,
        _detail_std(network, validation, grid, seed),
        references,
    )


def _detail_std(
    network: "TideNet", validation: _Samples, grid: WorkingGrid, seed: int
) -> np.ndarray:
    """Return how much the refiner's details vary around the best one (lead, height, width)."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    square: np.ndarray | float = 0.0
    with torch.inference_mode():
        for window in range(len(validation)):
            x, target, _ = validation.batch(slice(window, window + 1))
            output = network(x, torch.zeros_like(x.damped))
            shape = (DETAIL_SAMPLES, *target.shape[1:])
            noise = torch.randn(shape, generator=generator)
            details = refined_details(network, output.conditions, noise)
            square = square + (details - output.detail).square().mean(dim=0).numpy()
    variance = np.asarray(square) / len(validation)
    typical = np.average(variance, axis=(-2, -1), weights=grid.block_weight)[:, None, None]
    return np.sqrt(np.maximum(variance, 0.1 * typical + 1e-12)).astype(np.float32)
