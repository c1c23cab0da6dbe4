"""Training TIDE-Net on a record that ends at the training cut-off.

The record is split by time (`tidenet.training.windows`). Everything that is fitted before
validation sees the fitting months only: climatology, damping and the network. On the validation
block the network is stopped, how far to follow it is chosen, and the size of the errors is
measured. Then climatology, damping and error patterns are fitted once more on all months.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tidenet.climatology import AnomalySeries, fit_climatology, require_complete
from tidenet.configuration import TideNetConfig
from tidenet.dressing import fit_dressing
from tidenet.forecasting import LinearPart, TideNetForecaster, refined_details
from tidenet.identity import Domain
from tidenet.record import FluxRecord
from tidenet.references import METHODS, fit_with_climatology
from tidenet.references.damping import fit_damping, fit_slow_memory
from tidenet.training.progress import TrainingProgress
from tidenet.training.windows import split_windows
from tidenet.working_grid import WorkingGrid

if TYPE_CHECKING:
    from tidenet.model.network import TideNet
    from tidenet.training.samples import Samples

__all__ = ["Trained", "TrainingProgress", "train", "train_and_hold_out"]


@dataclass(frozen=True)
class Trained:
    """A trained forecaster, and the same network as it was before it had seen the last months.

    Parameters
    ----------
    forecaster
        For service: climatology, damping and errors fitted on every month of the record.
    held_out
        For judgement on the validation block: they are fitted on the months before it. Only the
        network's stopping point and its weight were chosen on the block.
    """

    forecaster: TideNetForecaster
    held_out: TideNetForecaster


DETAIL_SAMPLES = 4
"""Details drawn per validation window to learn how much the refiner's details vary."""


def train(
    record: FluxRecord,
    config: TideNetConfig,
    *,
    seed: int,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> TideNetForecaster:
    """Train TIDE-Net and fit all that is needed to forecast with it. As `train_and_hold_out`."""
    return train_and_hold_out(record, config, seed=seed, progress=progress).forecaster


def train_and_hold_out(
    record: FluxRecord,
    config: TideNetConfig,
    *,
    seed: int,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Trained:
    """Train TIDE-Net, once for service and once as it can be judged.

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
    from tidenet.training.loop import departures, fit_network
    from tidenet.training.samples import make_samples

    require_complete(record)
    windows = split_windows(
        len(record.fco2), config.reach, config.n_leads, config.validation_months
    )
    domain = Domain(record.grid, record.ocean)
    grid = WorkingGrid.fitting(record.weight, config.working_cells)
    early = record.until(record.first_month + (windows.n_fitting_months - 1))
    linear = _fit_linear(early, config)
    fitting = make_samples(record, linear, grid, windows.fitting, config)
    validation = make_samples(record, linear, grid, windows.validation, config)
    network = fit_network(config, fitting, validation, seed, progress)
    departed = departures(network, validation)
    error = (validation.target - validation.x.linear).numpy()
    follow = _cautious_weight(error, departed, validation.weight.numpy())
    error = error - follow[:, None, None] * departed
    growth = _error_growth(error, validation, early, linear, grid, config)
    fitted = (config, domain, grid, network, follow, growth, validation, seed)
    return Trained(_finish(record, *fitted), _finish(early, *fitted))


def _fit_linear(record: FluxRecord, config: TideNetConfig) -> LinearPart:
    """Fit climatology, damping and slow memory on every month of a record."""
    climatology = fit_climatology(record)
    series = AnomalySeries(record, climatology)
    damping = fit_damping(series, config.n_leads)
    slow = fit_slow_memory(series, damping, config.slow_months) if config.slow_months else None
    return LinearPart(climatology, damping, slow)


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
    validation: "Samples",
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
    recent: list[np.ndarray] = []
    for position in range(len(series) - config.n_leads):
        recent = [*recent, series[position]][-max(config.slow_months, 1) :]
        if len(recent) < config.slow_months:
            continue
        observed = np.stack([series[position + k] for k in range(1, config.n_leads + 1)])
        yield observed - linear.anomaly(np.stack(recent))


def _finish(
    record: FluxRecord,
    config: TideNetConfig,
    domain: Domain,
    grid: WorkingGrid,
    network: "TideNet",
    follow: np.ndarray,
    growth: np.ndarray,
    validation: "Samples",
    seed: int,
) -> TideNetForecaster:
    """Fit the linear part, the errors and the references on all months, and put it together."""
    linear = _fit_linear(record, config)
    residuals = _linear_residuals(record, linear, config)
    dressing = fit_dressing(residuals, grid, config.n_patterns).scaled(growth)
    references = {
        name: fit_with_climatology(name, record, config.n_leads, linear.climatology, linear.damping)
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
    network: "TideNet", validation: "Samples", grid: WorkingGrid, seed: int
) -> np.ndarray:
    """Return how much the refiner's details vary around the best one (lead, height, width)."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    square: np.ndarray | float = 0.0
    with torch.inference_mode():
        for window in range(len(validation)):
            x, target, _ = validation.batch(slice(window, window + 1))
            output = network(x, torch.zeros_like(x.linear))
            shape = (DETAIL_SAMPLES, *target.shape[1:])
            noise = torch.randn(shape, generator=generator)
            details = refined_details(network, output.conditions, noise, x.mask)
            square = square + (details - output.detail).square().mean(dim=0).numpy()
    variance = np.asarray(square) / len(validation)
    typical = np.average(variance, axis=(-2, -1), weights=grid.block_weight)[:, None, None]
    return np.sqrt(np.maximum(variance, 0.1 * typical + 1e-12)).astype(np.float32)
