"""Training TIDE-Net on a record that ends at the training cut-off.

The record is split by time (`tidenet.training.windows`). Everything that is fitted before
validation sees the fitting months only: climatology, season and trend, the linear forecast and the
networks. The networks learn what the linear forecast misses, on forecasts that it made of months
it had not been fitted on. On the validation block the networks are stopped, how far to follow them
is chosen, and the size of the errors is measured. Then all but the networks is fitted once more on
all months.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tidenet.climatology import AnomalySeries, require_complete
from tidenet.configuration import TideNetConfig
from tidenet.disequilibrium import Disequilibrium
from tidenet.dressing import Dressing
from tidenet.drivers import DriverScaling
from tidenet.forecasting import TideNetForecaster, refined_details
from tidenet.record import FluxRecord
from tidenet.references import KEPT, Fitted, dressing_of, fit_method, fit_shared
from tidenet.references.anomalies import Anomalies
from tidenet.references.blend import FittedBlend, fit_blend
from tidenet.references.linear import LinearPart
from tidenet.references.scales import TwoScales
from tidenet.training.progress import TrainingProgress
from tidenet.training.report import TrainingReport
from tidenet.training.tracking import Prefixed, Tracker
from tidenet.training.windows import Windows, split_windows
from tidenet.verification.calibration import fit_spread_factors, variance_ratios

if TYPE_CHECKING:
    from torch import Tensor

    from tidenet.model.network import TideNet
    from tidenet.training.samples import Samples

DOUBT = 1.0
"""Independent windows without benefit that are counted beside those of the validation block."""

DETAIL_SAMPLES = 4
"""Details drawn per validation window to learn how much the refiner's details vary."""


@dataclass(frozen=True)
class Trained:
    """A trained forecaster, and the same networks as they were before the last months.

    Parameters
    ----------
    forecaster
        For service: climatology, linear forecast and errors fitted on every month of the record.
    held_out
        For judgement on the validation block: they are fitted on the months before it. Only the
        networks' stopping point, their weight and the spread were chosen on the block.
    reports
        How the training of each network went.
    """

    forecaster: TideNetForecaster
    held_out: TideNetForecaster
    reports: tuple[TrainingReport, ...]


@dataclass(frozen=True)
class Learned:
    """What was learned on the fitting months and chosen on the validation block.

    Parameters
    ----------
    networks
        One per seed.
    follow
        How far to follow their mean departure (lead,).
    spread
        Factors on the errors' standard deviation (lead, season).
    detail_std
        Of the refiner's details (lead, height, width).
    reports
        How the training of each network went.
    """

    networks: "tuple[TideNet, ...]"
    follow: np.ndarray
    spread: np.ndarray
    detail_std: np.ndarray
    reports: tuple[TrainingReport, ...]


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
    checkpoint: Path | None = None,
    tracker: Tracker | None = None,
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
    checkpoint
        Folder from which a training that was killed goes on, bit for bit; each network has a
        folder of its own in it. It is left for the caller to remove.
    tracker
        Told the losses after every epoch.

    Raises
    ------
    NotEnoughMonthsError
        If the record is too short for the split.
    IncompleteFieldError
        If an ocean cell has no value.
    UnknownDriverError
        If the record lacks a driver that the configuration names.
    TrainingDivergedError
        If the loss stops being a number.
    NotEnoughMemoryError
        If not even one window at a time fits into memory.
    CheckpointMismatchError, DamagedCheckpointError
        If the checkpoint cannot be gone on from.
    BackboneMismatchError, DamagedBackboneError
        If the backbone that the configuration names cannot be used.
    """
    require_complete(record)
    windows = split_windows(
        len(record.fco2), config.n_history, config.n_leads, config.validation_months
    )
    early = record.until(record.first_month + (windows.n_fitting_months - 1))
    linear = _Linear.fit(early, config)
    fit = _NetworkFit(config, seed, progress, checkpoint, tracker, _starting_weights(config))
    learned = _learn(record, linear, windows, config, seed, fit)
    return Trained(
        _Linear.fit(record, config).forecaster(config, learned),
        linear.forecaster(config, learned),
        learned.reports,
    )


def refit(trained: TideNetForecaster, record: FluxRecord) -> TideNetForecaster:
    """Fit all but the networks anew on a longer record; what was chosen on validation stays.

    Climatology, trend, damping, propagation and errors are worth renewing with every year; the
    networks take a hundred times longer.

    Parameters
    ----------
    trained
        The forecaster.
    record
        A record on the same grid and mask; every month of it is used.
    """
    trained.domain.require_record(record)
    learned = Learned(trained.networks, trained.follow, trained.spread, trained.detail_std, ())
    return _Linear.fit(record, trained.config).forecaster(trained.config, learned)


@dataclass(frozen=True)
class _NetworkFit:
    """How each of the networks is trained; as `train_and_hold_out`."""

    config: TideNetConfig
    seed: int
    progress: Callable[[TrainingProgress], None] | None
    checkpoint: Path | None
    tracker: Tracker | None
    initial: "Mapping[str, Tensor] | None"

    def __call__(
        self, number: int, fitting: "Samples", validation: "Samples"
    ) -> "tuple[TideNet, TrainingReport]":
        """Train a network, by its number."""
        from tidenet.training.loop import fit_network

        name = f"network{number}"
        return fit_network(
            self.config,
            fitting,
            validation,
            self.seed + number,
            self.progress,
            initial=self.initial,
            checkpoint=self.checkpoint and self.checkpoint / name,
            tracker=self.tracker and Prefixed(self.tracker, f"{name}/"),
        )


@dataclass(frozen=True)
class _Linear:
    """The linear forecast of a training period, with all that belongs to it.

    `flux` is what is shared by methods that forecast the flux; `shared` is the same, unless the
    disequilibrium is forecast.
    """

    flux: Fitted
    shared: Fitted
    blend: FittedBlend
    drivers: DriverScaling
    disequilibrium: Disequilibrium | None

    @classmethod
    def fit(cls, record: FluxRecord, config: TideNetConfig) -> "_Linear":
        flux = shared = fit_shared(record, config.n_leads, config.working_cells)
        disequilibrium = None
        if config.target == "disequilibrium":
            disequilibrium = Disequilibrium.fit(record)
            usual = disequilibrium.at_usual_transfer(record)
            shared = fit_shared(usual, config.n_leads, config.working_cells)
        blend = fit_blend(shared.remaining, config.n_leads)
        drivers = DriverScaling.fit(record, config.drivers)
        return cls(flux, shared, blend, drivers, disequilibrium)

    @property
    def part(self) -> LinearPart:
        n_leads = self.blend.left_out.shape[1]
        return self.shared.part(self.blend.blend, n_leads, expects=True)

    def forecaster(self, config: TideNetConfig, learned: Learned) -> TideNetForecaster:
        return TideNetForecaster(
            config,
            self.flux.domain,
            self.part,
            learned.networks,
            learned.follow,
            self.dressing(config),
            learned.spread,
            learned.detail_std,
            self.drivers,
            self.disequilibrium,
            {name: fit_method(name, self.flux, config.n_leads) for name in KEPT},
        )

    def dressing(self, config: TideNetConfig) -> Dressing:
        """Return the errors of forecasts of left-out months, of the flux as it was observed."""
        came = self.flux.anomalies
        if self.disequilibrium is not None:
            own, other = self.flux.scales, self.shared.scales
            came = came.with_values(came.values * _block_ratio(own, other)[came.calendar])
        came = self.shared.cycle.remove(came)
        return dressing_of(self.shared, self.blend.left_out, came, config.n_patterns)

    def remaining_of(self, record: FluxRecord) -> Anomalies:
        """Return the block anomalies of a longer record that starts with the same month."""
        scales = self.shared.scales
        series = AnomalySeries(record, scales.climatology)
        return self.shared.cycle.remove(Anomalies.of(series, scales.grid))

    def inputs_of(self, record: FluxRecord) -> Anomalies:
        """Return what forecasts start from: as `remaining_of`, at the usual transfer if need be."""
        if self.disequilibrium is None:
            return self.remaining_of(record)
        return self.remaining_of(self.disequilibrium.at_usual_transfer(record))


def _starting_weights(config: TideNetConfig) -> "Mapping[str, Tensor] | None":
    """Return the weights of the backbone that a configuration names; None for random ones."""
    from tidenet.pretraining import find_backbone, load_backbone

    if config.backbone == "none":
        return None
    if config.backbone == "shipped":
        backbone = find_backbone(config)
        return None if backbone is None else backbone.state(config)
    return load_backbone(config, Path(config.backbone))


def _learn(
    record: FluxRecord,
    linear: _Linear,
    windows: Windows,
    config: TideNetConfig,
    seed: int,
    fit: "_NetworkFit",
) -> Learned:
    """Train the networks, and choose on the validation block."""
    from tidenet.training.loop import departures
    from tidenet.training.samples import Samples, make_samples
    from tidenet.training.surrogates import surrogate_samples

    inputs, observed = linear.inputs_of(record), linear.remaining_of(record)
    drivers = linear.drivers.maps(record, range(len(record.fco2)), linear.shared.scales.grid)

    def samples(positions: np.ndarray, forecasts: np.ndarray) -> "Samples":
        return make_samples(inputs, observed, forecasts, drivers, linear.part, positions, config)

    fitting = samples(windows.fitting, linear.blend.left_out[windows.fitting])
    validation = samples(
        windows.validation, linear.blend.blend.forecast(inputs, windows.validation)
    )
    if config.surrogate_months:
        drawn = surrogate_samples(linear.shared.remaining, linear.part, config, seed)
        fitting = Samples.joined([fitting, drawn])
    fitted = [fit(number, fitting, validation) for number in range(config.n_networks)]
    networks = tuple(network for network, _ in fitted)
    departed = np.mean([departures(network, validation) for network in networks], axis=0)
    error = (validation.target - validation.x.linear).numpy()
    weight = validation.weight.numpy()
    follow = _cautious_weight(error, departed, weight)
    error = error - follow[:, None, None] * departed
    return Learned(
        networks,
        follow,
        _spread(linear, config, error, validation),
        _detail_std(networks[-1], validation, linear, seed),
        tuple(report for _, report in fitted),
    )


def _block_ratio(own: TwoScales, other: TwoScales) -> np.ndarray:
    """Return how large a standard deviation of one climatology is in another's (12, block)."""
    ocean = own.sea.ocean
    ratio: np.ndarray = own.grid.coarsen(own.climatology.std)[:, ocean]
    ratio = ratio / other.grid.coarsen(other.climatology.std)[:, ocean]
    return ratio.astype(np.float32)


def _cautious_weight(error: np.ndarray, departure: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Choose how far to follow a departure at each lead, float32 (lead,), 0 to 1.

    The least-squares weight of the earlier half of the validation windows or that of the later
    half, whichever is smaller: what helped only by luck in one half is not followed. The block is
    also the one that training was stopped on, and the next years are others: `DOUBT` independent
    windows are taken to have shown no benefit.
    """
    n_leads = error.shape[1]
    independent = (len(error) + n_leads - 1) / n_leads
    trust = independent / (independent + DOUBT)
    slopes = []
    for half in np.array_split(np.arange(len(error)), 2):
        w, d, e = weight[half], departure[half], error[half]
        product = (w * d * e).sum(axis=(0, 2, 3))
        square = (w * d * d).sum(axis=(0, 2, 3))
        slopes.append(product / np.maximum(square, 1e-12))
    return (trust * np.clip(np.min(slopes, axis=0), 0.0, 1.0)).astype(np.float32)


def _spread(
    linear: _Linear, config: TideNetConfig, error: np.ndarray, validation: "Samples"
) -> np.ndarray:
    """Return how much larger errors of the block are than those of left-out fitting months."""
    # Errors of block means do not show what errs inside the blocks.
    detail = linear.shared.scales.detail_variance
    variance = np.maximum(linear.dressing(config).variance() - detail, 1e-6)
    ratios = variance_ratios(error, variance, validation.weight.numpy())
    return fit_spread_factors(ratios, np.array(validation.init_months)).factor


def _detail_std(
    network: "TideNet", validation: "Samples", linear: _Linear, seed: int
) -> np.ndarray:
    """Return how much the refiner's details vary around the best one (lead, height, width)."""
    import torch

    if network.refiner is None:
        return np.ones(validation.target.shape[1:], dtype=np.float32)
    generator = torch.Generator().manual_seed(seed)
    square: np.ndarray | float = 0.0
    with torch.inference_mode():
        for window in range(len(validation)):
            x, _, _ = validation.batch(slice(window, window + 1))
            output = network(x, torch.zeros_like(x.linear))
            shape = (DETAIL_SAMPLES, *x.linear.shape[1:])
            noise = torch.randn(shape, generator=generator)
            details = refined_details(network, output.conditions, noise, x.mask)
            square = square + (details - output.detail).square().mean(dim=0).numpy()
    std = np.sqrt(np.asarray(square) / len(validation))
    mean = np.average(std, axis=(-2, -1), weights=linear.shared.scales.grid.block_weight)
    return np.maximum(std, 1e-3 * np.maximum(mean, 1e-6)[:, None, None]).astype(np.float32)
