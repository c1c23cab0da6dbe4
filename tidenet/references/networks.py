"""Networks as references: the research code's recipe as published, and a SimVP-like network.

Both are trained from random weights on the training period alone, within a stated number of
epochs, and give members by the same means as all other references. They take minutes where the
statistical methods take seconds, so that they are used where they are asked for by name.

They see means over blocks of cells. What these leave out, a forecast gets from the climatology.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from storage.months import Month, calendar_months
from tidenet.dressing import Dressing, dress, white_noise
from tidenet.errors import IncompatibleModelError, NotEnoughMonthsError
from tidenet.forecaster import Forecast
from tidenet.identity import Domain, input_window
from tidenet.record import FluxRecord
from tidenet.references.dressed import Fitted, UnknownMethodError, dressing_of, fit_shared
from tidenet.references.network_training import (
    HELD_OUT_MONTHS,
    N_HISTORY,
    Progress,
    fitting_windows,
    published_recipe,
    simvp_recipe,
    train_network,
)
from tidenet.references.scales import TwoScales

if TYPE_CHECKING:
    from torch import nn

    from tidenet.upstream import PublishedTideNet

NETWORK_METHODS = ("upstream-recipe", "simvp")
"""Names of the references that are networks."""

WORKING_CELLS = 32
"""Most blocks along the longer side: what two CPU cores train on in minutes."""

MOST_HINDCASTS = 36
"""Forecasts that errors are measured on; each of published weights takes seconds."""

N_PATTERNS = 6
"""Error patterns; the held-out months know no more."""


@dataclass(frozen=True)
class Frames:
    """How block anomalies become a network's frames, and its frames block anomalies.

    Parameters
    ----------
    scales
        Climatology and working grid of the training period.
    low, high
        Smallest and largest value of the frames of the training period (mmol m-2 d-1, land and
        padding 0) where they hold the raw flux scaled to 0..1; None where they hold the
        standardised anomalies.
    """

    scales: TwoScales
    low: float | None = None
    high: float | None = None

    @classmethod
    def published(cls, shared: Fitted) -> "Frames":
        """Return frames as published: raw maps, land as 0, scaled by the training period's range.

        Raises
        ------
        IncompatibleModelError
            If the training period has no range.
        """
        raw = cls(shared.scales).flux(shared.anomalies.values, shared.anomalies.calendar)
        low, high = float(raw.min()), float(raw.max())
        if not high > low:
            raise IncompatibleModelError(
                "The maps cannot be scaled to 0..1.",
                found=f"no value but {low:g}",
                expected="values that differ",
                remedy="Train on months with values that change.",
            )
        return cls(shared.scales, low, high)

    def of(self, anomalies: np.ndarray, calendar: np.ndarray) -> np.ndarray:
        """Return frames, float32 (month, height, width).

        Parameters
        ----------
        anomalies
            Block anomalies from the climatology (month, block), standard deviations.
        calendar
            Calendar month, 0 to 11 (month,).
        """
        if self.low is None or self.high is None:
            return self.scales.sea.maps(anomalies)
        raw = self.flux(anomalies, calendar)
        frames: np.ndarray = (raw - self.low) / (self.high - self.low)
        return frames.astype(np.float32)

    def anomalies(self, frames: np.ndarray, calendar: np.ndarray) -> np.ndarray:
        """Return the block anomalies (month, block) of frames (month, height, width)."""
        values: np.ndarray = frames[..., self.scales.sea.ocean]
        if self.low is None or self.high is None:
            return values
        mean, std = self._usual()
        raw = values * (self.high - self.low) + self.low
        return ((raw - mean[calendar]) / std[calendar]).astype(np.float32)

    def flux(self, anomalies: np.ndarray, calendar: np.ndarray) -> np.ndarray:
        """Return the flux of block anomalies (month, height, width), 0 on land and padding."""
        mean, std = self._usual()
        return self.scales.sea.maps(anomalies * std[calendar] + mean[calendar])

    def _usual(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation by calendar month and block (12, block)."""
        grid, ocean = self.scales.grid, self.scales.sea.ocean
        usual = self.scales.climatology
        return grid.coarsen(usual.mean)[:, ocean], grid.coarsen(usual.std)[:, ocean]


@dataclass(frozen=True)
class NetworkReference:
    """A trained network with all that it needs to forecast.

    Parameters
    ----------
    name
        Method name.
    domain
        Grid and ocean mask.
    frames
        How maps go into the network and come out of it.
    network
        Frames (batch, month, 1, height, width) to frames (batch, lead, 1, height, width).
    n_history, n_leads
        Months in and out; of the network's leads, the first ``n_leads`` are used.
    dressing
        Errors of its forecasts of months that it was not fitted on.
    """

    name: str
    domain: Domain
    frames: Frames
    network: "nn.Module"
    n_history: int
    n_leads: int
    dressing: Dressing

    def forecast(
        self, record: FluxRecord, init_month: Month, *, n_members: int, rng: np.random.Generator
    ) -> Forecast:
        """Forecast from what the record holds up to the init month; later months are not read.

        Raises
        ------
        NotEnoughMonthsError
            If the record does not cover the input window.
        IncompatibleModelError
            If the record's grid or mask is not the one that it was trained on.
        IncompleteFieldError
            If an ocean cell of the input window has no value.
        """
        self.domain.require_record(record)
        scales = self.frames.scales
        fields = input_window(record, init_month, self.n_history)
        months = init_month - (self.n_history - 1) + np.arange(self.n_history)
        parts = [
            scales.part(scales.climatology.standardise(field, month))[0]
            for field, month in zip(fields, months, strict=True)
        ]
        blocks = forecast_blocks(
            self.network, self.frames, np.stack(parts)[None], months[None], self.n_leads
        )[0]
        detail = np.zeros(record.grid.shape, dtype=np.float32)
        best = scales.restore(scales.join(blocks, detail), init_month)
        leads = range(1, self.n_leads + 1)
        spread = [scales.climatology.std_of(init_month + lead) for lead in leads]
        noise = white_noise(rng, scales.grid, n_members, self.n_leads)
        members = dress(best, spread, self.dressing, scales.grid, noise, rng)
        return Forecast(self.domain.grid, init_month, members, best)


def fit_network_reference(
    name: str,
    record: FluxRecord,
    n_leads: int,
    *,
    seed: int = 0,
    n_epochs: int | None = None,
    working_cells: int = WORKING_CELLS,
    progress: Progress | None = None,
) -> NetworkReference:
    """Train one of `NETWORK_METHODS` on a training record.

    Parameters
    ----------
    name
        ``upstream-recipe``: the published network and loss (`tidenet.upstream`) at the least width,
        raw maps scaled to 0..1, AdamW at 1e-4, no season.
        ``simvp``: convolutional encoder, translator and decoder on standardised anomalies.
    record
        The training period. Its last `HELD_OUT_MONTHS` months are not trained on; the size of the
        errors is measured on them.
    n_leads
        Lead months that it shall give.
    seed
        Of initial weights and batches.
    n_epochs
        Passes over the training windows; None for the steps of the method's recipe, which take
        up to ten minutes on two CPU cores.
    working_cells
        Most blocks along the longer side.
    progress
        Called after every epoch.

    Raises
    ------
    UnknownMethodError
        If there is no such method.
    NotEnoughMonthsError
        If the record is too short.
    IncompleteFieldError
        If an ocean cell has no value.
    TrainingDivergedError
        If the loss stops being a number.
    """
    import torch

    if name not in NETWORK_METHODS:
        raise UnknownMethodError(
            "No reference network of this name.",
            found=repr(name),
            expected=", ".join(NETWORK_METHODS),
            remedy="Name one of these.",
        )
    fitting = fitting_windows(len(record.fco2), n_leads)
    shared = fit_shared(record, n_leads, working_cells)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "simvp":
            frames, recipe = Frames(shared.scales), simvp_recipe(shared, n_leads)
        else:
            frames, recipe = Frames.published(shared), published_recipe(shared, n_leads)
        maps = frames.of(shared.anomalies.values, shared.anomalies.calendar)
        train_network(
            recipe, torch.from_numpy(maps)[:, None], fitting, n_leads, n_epochs, seed, progress
        )
    return _dressed(name, recipe.network.eval(), frames, shared, n_leads, held_out=True)


def published_forecaster(
    network: "PublishedTideNet", record: FluxRecord, n_leads: int
) -> NetworkReference:
    """Return published weights as a forecaster, used as published.

    Maps are averaged to at most the size that the weights were trained with, land is 0, values are
    scaled by the training period's range.

    Parameters
    ----------
    network
        With its weights.
    record
        A training period: range and climatology are fitted on it, and the size of the errors is
        measured on it.
    n_leads
        Lead months that it shall give.

    Raises
    ------
    IncompatibleModelError
        If the network gives fewer leads, or has more channels than the flux.
    NotEnoughMonthsError
        If the record is too short.
    """
    from tidenet.upstream import optimised

    config = network.config
    if config.T_out < n_leads or config.img_channels != 1:
        raise IncompatibleModelError(
            "These weights are of another window or channel list.",
            found=f"{config.T_out} leads, {config.img_channels} channels",
            expected=f"at least {n_leads} leads, 1 channel",
            remedy="Ask for fewer leads, or take other weights.",
        )
    shared = fit_shared(record, n_leads, max(config.input_shape))
    frames = Frames.published(shared)
    return _dressed("upstream", optimised(network.eval()), frames, shared, n_leads, held_out=False)


def forecast_blocks(
    network: "nn.Module", frames: Frames, anomalies: np.ndarray, months: np.ndarray, n_leads: int
) -> np.ndarray:
    """Return the forecast block anomalies, float32 (window, lead, block).

    Parameters
    ----------
    network, frames
        The network, and how maps go into it.
    anomalies
        Block anomalies of each window (window, month, block).
    months
        Their months, datetime64[M] (window, month).
    n_leads
        Leads to return.
    """
    import torch

    forecasts = []
    with torch.inference_mode():
        for window, those in zip(anomalies, months, strict=True):
            x = frames.of(window, calendar_months(those) - 1)
            given = network(torch.from_numpy(x)[None, :, None])[0, :n_leads, 0].numpy()
            valid = calendar_months(those[-1] + np.arange(1, n_leads + 1)) - 1
            forecasts.append(frames.anomalies(given, valid))
    return np.stack(forecasts)


def _dressed(
    name: str,
    network: "nn.Module",
    frames: Frames,
    shared: Fitted,
    n_leads: int,
    *,
    held_out: bool,
) -> NetworkReference:
    """Measure errors on the held-out months, or on all where the network has seen none of them."""
    anomalies = shared.anomalies
    n_history = getattr(getattr(network, "config", None), "T_in", N_HISTORY)
    n_months = len(anomalies)
    first = max(n_history - 1, n_months - HELD_OUT_MONTHS - 1 if held_out else 0)
    rows = np.arange(first, n_months - n_leads)
    if len(rows) < 2:
        raise NotEnoughMonthsError(
            "The training period is too short to measure errors.",
            found=f"{n_months} months",
            expected=f"more than {n_history + n_leads}",
            remedy="Train until a later month.",
        )
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, MOST_HINDCASTS).astype(int))]
    window = rows[:, None] + np.arange(1 - n_history, 1)
    months = shared.first_month + window
    forecasts = np.full((n_months, n_leads, anomalies.values.shape[1]), np.nan, np.float32)
    forecasts[rows] = forecast_blocks(network, frames, anomalies.values[window], months, n_leads)
    dressing = dressing_of(shared, forecasts, anomalies, N_PATTERNS)
    return NetworkReference(name, shared.domain, frames, network, n_history, n_leads, dressing)
