"""Surrogate sequences: histories that a sea could have had, drawn from a linear inverse model.

The anomalies of a training period are parted into what the month before foretells, by the local
linear inverse model of `tidenet.references.propagator`, and the rest, the innovation. A surrogate
starts anywhere and adds, month by month, innovations of random months of the same season to what
the model makes of its own past. It has the sea's coast, currents, memory and spatial covariance in
every season, and another history.

What a surrogate cannot teach is anything that the linear model does not know.
"""

import numpy as np

from tidenet.configuration import TideNetConfig
from tidenet.errors import NotEnoughMonthsError
from tidenet.references.anomalies import Anomalies
from tidenet.references.linear import LinearPart
from tidenet.references.modes import STABLE
from tidenet.references.propagator import Propagator, fit_propagator
from tidenet.training.samples import Samples, make_samples

SPIN_UP_MONTHS = 24
SETTLING_MONTHS = 60


def surrogates(anomalies: Anomalies, n_months: int, rng: np.random.Generator) -> Anomalies:
    """Draw a sequence.

    Parameters
    ----------
    anomalies
        Of the training period, without expected season and trend; at least two years.
    n_months
        Months to draw, starting in the calendar month that `anomalies` start in.
    rng
        Draws the history.

    Raises
    ------
    NotEnoughMonthsError
        If there are less than two years.
    """
    if len(anomalies) < 24:
        raise NotEnoughMonthsError(
            "The training period is too short to draw surrogates from.",
            found=f"{len(anomalies)} months",
            expected="at least 24",
            remedy="Ingest earlier months, or train without surrogates.",
        )
    model = _stable(fit_propagator(anomalies, 1), anomalies, rng)
    foretold = _step(model, anomalies.with_values(anomalies.values[:-1]))
    innovations = anomalies.values[1:] - foretold
    calendar = anomalies.calendar[1:]
    apart = np.abs((calendar - np.arange(12)[:, None] + 6) % 12 - 6)
    alike = [np.flatnonzero(row <= 1) for row in apart]
    now, drawn = np.zeros_like(anomalies.values[0]), []
    for month in range(-SPIN_UP_MONTHS, n_months):
        one, other = rng.choice(alike[(anomalies.first_calendar + month) % 12], 2)
        angle = rng.uniform(0, 2 * np.pi)
        fresh = np.cos(angle) * innovations[one] + np.sin(angle) * innovations[other]
        now = (_step(model, anomalies.with_values(now[None]))[0] + fresh).astype(np.float32)
        if month >= 0:
            drawn.append(now)
    return anomalies.with_values(np.stack(drawn))


def surrogate_samples(
    anomalies: Anomalies, linear: LinearPart, config: TideNetConfig, seed: int
) -> Samples:
    """Return the windows of a surrogate sequence of ``surrogate_months``; drivers are 0 in it.

    Parameters
    ----------
    anomalies
        Of the training period, as `surrogates` takes them.
    linear
        The linear forecast of the same period, which forecasts the surrogate months too.
    config
        Window and months to draw.
    seed
        Draws the history.
    """
    assert linear.method is not None
    drawn = surrogates(anomalies, config.surrogate_months, np.random.default_rng(seed))
    first = max(config.n_history, linear.n_history) - 1
    positions = np.arange(first, len(drawn) - config.n_leads)
    forecasts = linear.method.forecast(drawn, positions)
    shape = (len(drawn), len(config.drivers), *linear.scales.grid.shape)
    no_drivers = np.zeros(shape, dtype=np.float32)
    return make_samples(drawn, drawn, forecasts, no_drivers, linear, positions, config)


def _step(model: Propagator, anomalies: Anomalies) -> np.ndarray:
    """Return what the model makes of every month, a month later (time, cell)."""
    return model.forecast(anomalies, np.arange(len(anomalies)))[:, 0]


def _stable(model: Propagator, anomalies: Anomalies, rng: np.random.Generator) -> Propagator:
    """Return the model, weakened if it lets any pattern grow."""
    now = rng.standard_normal((1, anomalies.values.shape[1])).astype(np.float32)
    growth = 0.0
    for _ in range(SETTLING_MONTHS):
        after = _step(model, anomalies.with_values(now))
        growth = float(np.sqrt(np.square(after).sum() / np.square(now).sum()))
        now = after / np.sqrt(np.square(after).mean() + 1e-12)
    return Propagator(model.weights * np.float32(min(1.0, STABLE / max(growth, 1e-9))), 1)
