"""Training windows of simulated worlds, as those of a real record are made.

The earlier months of a world are its training period: climatology, season, trend and linear
forecasts are fitted on them, and all windows lie after them. So the network learns what linear
forecasts miss in months that they have not seen, as it will be used.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tidenet.climatology import AnomalySeries
from tidenet.configuration import TideNetConfig
from tidenet.record import FluxRecord
from tidenet.references import fit_shared
from tidenet.references.anomalies import Anomalies
from tidenet.references.damping import fit_damping, fit_seasonal_damping
from tidenet.references.propagator import fit_propagator
from tidenet.training.samples import Samples, make_samples

DAMPED_SHARE = 0.2
"""Share of the worlds whose linear forecast is nothing but damped persistence."""

BLEND = (1.0, 2.0, 2.5)
"""In the others, mean weights of damped, seasonally damped and propagated anomaly (Dirichlet)."""


@dataclass(frozen=True)
class Lesson:
    """Windows of one world or several of the same shape.

    Parameters
    ----------
    samples
        The windows.
    damped
        What damped persistence forecasts in them (window, lead, height, width).
    """

    samples: Samples
    damped: Tensor

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def n_leads(self) -> int:
        """Lead months."""
        return self.damped.shape[1]


def make_lesson(
    record: FluxRecord,
    n_fitting: int,
    config: TideNetConfig,
    rng: np.random.Generator,
    stride: int = 1,
) -> Lesson:
    """Make the windows of a world.

    Parameters
    ----------
    record
        The world.
    n_fitting
        Months of its training period; the others are what the windows forecast from.
    config
        Window and working grid.
    rng
        Draws how the linear forecast is mixed.
    stride
        Months between the init months of two windows.

    Raises
    ------
    NotEnoughMonthsError
        If the training period is shorter than two years.
    """
    n_leads = config.n_leads
    shared = fit_shared(
        record.until(record.first_month + (n_fitting - 1)), n_leads, max(record.grid.shape)
    )
    known, scales = shared.remaining, shared.scales
    months = Anomalies.of(AnomalySeries(record, scales.climatology), scales.grid)
    months = shared.cycle.remove(months)
    positions = np.arange(n_fitting + config.n_history - 2, len(months) - n_leads, stride)
    damped = fit_damping(known, n_leads).forecast(months, positions)
    linear = damped
    if rng.random() >= DAMPED_SHARE:
        seasonal = fit_seasonal_damping(known, n_leads).forecast(months, positions)
        propagated = fit_propagator(known, n_leads).forecast(months, positions)
        weights = rng.dirichlet(BLEND).astype(np.float32)
        linear = weights[0] * damped + weights[1] * seasonal + weights[2] * propagated
    no_drivers = np.zeros((len(months), 0, *scales.grid.shape), dtype=np.float32)
    part = shared.part(None, n_leads, expects=True)
    samples = make_samples(months, months, linear, no_drivers, part, positions, config)
    return Lesson(samples, torch.from_numpy(scales.sea.maps(damped)))


def join_lessons(lessons: list[Lesson]) -> Lesson:
    """Join the windows of worlds of one shape."""
    samples = Samples.joined([lesson.samples for lesson in lessons])
    return Lesson(samples, torch.cat([lesson.damped for lesson in lessons]))
