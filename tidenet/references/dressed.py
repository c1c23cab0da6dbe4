"""Reference forecasts through one interface: best estimate by a method, members by its errors.

Everything is fitted on the training period only. Ensembles are made by the same means as
TIDE-Net's (`tidenet.dressing`), so that all can be held against each other in every score.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.months import Month
from tidenet.climatology import MonthlyClimatology
from tidenet.dressing import Dressing, dress, fit_dressing, white_noise
from tidenet.errors import NotEnoughMonthsError, TidenetError
from tidenet.forecaster import Forecast
from tidenet.identity import Domain, input_window
from tidenet.record import FluxRecord
from tidenet.references.anomalies import Anomalies, AnomalyForecast, pairs
from tidenet.references.blend import fit_blend
from tidenet.references.cycle import ExpectedCycle, fit_cycle
from tidenet.references.damping import Damping, fit_damping, fit_seasonal_damping
from tidenet.references.linear import LinearPart
from tidenet.references.modes import fit_inverse_model
from tidenet.references.neighbours import fit_analogue, fit_ridge
from tidenet.references.propagator import fit_propagator
from tidenet.references.scales import TwoScales, fit_scales

KEPT = ("climatology", "persistence", "damped-persistence")
"""Reference methods that a trained model keeps beside it."""

METHODS = (
    *KEPT,
    "trend",
    "detrended-damped-persistence",
    "linear-inverse-model",
    "ridge",
    "analogue",
    "propagator",
    "linear-blend",
)
"""Names of the reference methods."""

WORKING_CELLS = 64
"""Most blocks along the longer side of the grid."""

N_PATTERNS = 24
"""Most error patterns that a reference keeps."""


class UnknownMethodError(TidenetError):
    """A forecast method was asked for by a name that is not known."""


@dataclass(frozen=True)
class Reference:
    """A fitted reference forecast.

    Parameters
    ----------
    name
        One of `METHODS`.
    domain
        Grid and mask that it was fitted on.
    part
        The linear forecast; for ``persistence`` only its scales are used.
    dressing
        Errors of its forecasts.
    """

    name: str
    domain: Domain
    part: LinearPart
    dressing: Dressing

    @property
    def n_leads(self) -> int:
        """Lead months that it gives."""
        return self.part.n_leads

    @property
    def n_history(self) -> int:
        """Months of history that it needs, the init month included."""
        return self.part.n_history

    @property
    def climatology(self) -> MonthlyClimatology:
        """Climatology of the training period."""
        return self.part.scales.climatology

    def forecast(
        self, record: FluxRecord, init_month: Month, *, n_members: int, rng: np.random.Generator
    ) -> Forecast:
        """Forecast from what the record holds up to the init month; later months are not read.

        Raises
        ------
        NotEnoughMonthsError
            If the record does not cover the input window.
        IncompatibleModelError
            If the record's grid or mask is not the one that it was fitted on.
        IncompleteFieldError
            If an ocean cell of the input window has no value.
        """
        self.domain.require_record(record)
        fields = input_window(record, init_month, self.n_history)
        best = self.best(fields, init_month)
        spread = [self.climatology.std_of(init_month + k) for k in range(1, self.n_leads + 1)]
        grid = self.part.scales.grid
        noise = white_noise(rng, grid, n_members, self.n_leads)
        members = dress(best, spread, self.dressing, grid, noise, rng)
        return Forecast(self.domain.grid, init_month, members, best)

    def best(self, fields: np.ndarray, init_month: Month) -> np.ndarray:
        """Return the best estimate (lead, lat, lon) from the fields up to the init month."""
        if self.name != "persistence":
            return self.part.forecast(fields, init_month)
        anomaly = fields[-1] - self.climatology.mean_of(init_month)
        leads = range(1, self.n_leads + 1)
        best = np.stack([self.climatology.mean_of(init_month + k) + anomaly for k in leads])
        return np.where(self.domain.ocean, best, np.nan).astype(np.float32)

    def own_tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays to save besides those of the scales; of the `KEPT` methods only."""
        own = {f"dressing_{name}": array for name, array in self.dressing.tensors().items()}
        if isinstance(self.part.method, Damping):
            own["damping"] = self.part.method.factor
        return own

    def tensors(self) -> dict[str, np.ndarray]:
        """Return every array that is needed to rebuild it; of the `KEPT` methods only."""
        return self.part.scales.tensors() | self.own_tensors()

    def metadata(self) -> dict[str, Any]:
        """Return everything else, JSON-able."""
        return {
            "method": self.name,
            "n_history": self.n_history,
            "n_leads": self.n_leads,
            "first_month": str(self.part.first_month),
        } | self.domain.describe()


@dataclass(frozen=True)
class Fitted:
    """What all methods share of one training period.

    Parameters
    ----------
    domain
        Grid and ocean mask.
    scales
        Climatology, working grid, detail.
    anomalies
        Block anomalies from the climatology.
    cycle
        Expected season and trend.
    first_month
        First month of the training period.
    """

    domain: Domain
    scales: TwoScales
    anomalies: Anomalies
    cycle: ExpectedCycle
    first_month: Month

    @property
    def remaining(self) -> Anomalies:
        """Block anomalies without expected season and trend."""
        return self.cycle.remove(self.anomalies)

    def part(self, method: AnomalyForecast | None, n_leads: int, *, expects: bool) -> LinearPart:
        """Return the linear forecast of a method; ``expects``: on top of the expected cycle."""
        cycle = self.cycle if expects else None
        return LinearPart(self.scales, cycle, method, n_leads, self.first_month)


def fit_shared(record: FluxRecord, n_leads: int, working_cells: int = WORKING_CELLS) -> Fitted:
    """Fit what all methods share.

    Raises
    ------
    NotEnoughMonthsError
        If the record has no more months than leads, or a calendar month occurs less than twice.
    IncompleteFieldError
        If an ocean cell has no value.
    """
    if len(record.fco2) <= n_leads:
        raise NotEnoughMonthsError(
            "The training period is too short for the leads.",
            found=f"{len(record.fco2)} months",
            expected=f"more than {n_leads}",
            remedy="Ingest earlier months or ask for fewer leads.",
        )
    scales, anomalies = fit_scales(record, n_leads, working_cells)
    climatology, ocean = scales.climatology, scales.sea.ocean
    mean = scales.grid.coarsen(climatology.mean)[:, ocean]
    std = scales.grid.coarsen(climatology.std)[:, ocean]
    cycle = fit_cycle(anomalies, mean, std)
    return Fitted(Domain(record.grid, record.ocean), scales, anomalies, cycle, record.first_month)


def fit_reference(method: str, record: FluxRecord, n_leads: int) -> Reference:
    """Fit a reference forecast on a training record.

    Parameters
    ----------
    method
        One of `METHODS`.
    record
        The training period.
    n_leads
        Lead months that it shall give.

    Raises
    ------
    UnknownMethodError
        If there is no such method.
    NotEnoughMonthsError
        If the record is too short.
    IncompleteFieldError
        If an ocean cell has no value.
    """
    _require_known(method)
    return fit_method(method, fit_shared(record, n_leads), n_leads)


def fit_method(method: str, shared: Fitted, n_leads: int) -> Reference:
    """Fit a reference forecast where the shared part is fitted already."""
    _require_known(method)
    if method == "linear-blend":
        fitted = fit_blend(shared.remaining, n_leads)
        part = shared.part(fitted.blend, n_leads, expects=True)
        return Reference(
            method, shared.domain, part, dressing_of(shared, fitted.left_out, shared.remaining)
        )
    part, anomalies = _fit_part(method, shared, n_leads)
    if method == "persistence":
        forecasts = _persisted(shared, n_leads)
    elif part.method is None:
        forecasts = np.zeros((len(anomalies), n_leads, anomalies.values.shape[1]), np.float32)
    else:
        forecasts = _hindcasts(part.method, anomalies, n_leads)
    return Reference(method, shared.domain, part, dressing_of(shared, forecasts, anomalies))


def dressing_of(
    shared: Fitted, forecasts: np.ndarray, anomalies: Anomalies, n_patterns: int = N_PATTERNS
) -> Dressing:
    """Fit the errors of forecasts of the training period itself.

    The variance is inflated for the climatology: its means were fitted on the same months, and
    are themselves uncertain for every later one.

    Parameters
    ----------
    shared
        Scales of the training period.
    forecasts
        From each row (time, lead, block); rows of NaN are left out.
    anomalies
        What came (time, block).
    n_patterns
        Most patterns to keep.
    """
    n_leads = forecasts.shape[1]
    start = pairs(len(anomalies), n_leads)
    start = start[np.isfinite(forecasts[start, 0, 0])]
    came = np.stack([anomalies.values[start + k] for k in range(1, n_leads + 1)], axis=1)
    maps = shared.scales.sea.maps(came - forecasts[start])
    years = len(anomalies) / 12
    return fit_dressing(
        maps,
        shared.scales.grid,
        n_patterns,
        inflation=(years + 1) / (years - 1),
        detail_variance=shared.scales.detail_variance,
    )


def rebuild(
    method: str,
    domain: Domain,
    scales: TwoScales,
    n_leads: int,
    first_month: Month,
    own_tensors: Mapping[str, np.ndarray],
) -> Reference:
    """Rebuild one of the `KEPT` references from its own tensors."""
    damping = Damping(own_tensors["damping"]) if method == "damped-persistence" else None
    part = LinearPart(scales, None, damping, n_leads, first_month)
    dressing = Dressing(own_tensors["dressing_patterns"], own_tensors["dressing_local_std"])
    return Reference(method, domain, part, dressing)


def _fit_part(method: str, shared: Fitted, n_leads: int) -> tuple[LinearPart, Anomalies]:
    """Return the linear forecast, and the anomalies that it was fitted on."""
    if method in KEPT:
        damping = None
        if method == "damped-persistence":
            damping = fit_seasonal_damping(shared.anomalies, n_leads)
        return shared.part(damping, n_leads, expects=False), shared.anomalies
    remaining = shared.remaining
    fit: dict[str, Callable[[Anomalies, int], AnomalyForecast]] = {
        "detrended-damped-persistence": fit_damping,
        "linear-inverse-model": fit_inverse_model,
        "ridge": fit_ridge,
        "analogue": fit_analogue,
        "propagator": fit_propagator,
    }
    fitted = fit[method](remaining, n_leads) if method in fit else None
    return shared.part(fitted, n_leads, expects=True), remaining


def _hindcasts(method: AnomalyForecast, anomalies: Anomalies, n_leads: int) -> np.ndarray:
    """Return forecasts from every row of the training period; NaN where history is missing."""
    n_blocks = anomalies.values.shape[1]
    forecasts = np.full((len(anomalies), n_leads, n_blocks), np.nan, dtype=np.float32)
    rows = np.arange(method.n_history - 1, len(anomalies))
    forecasts[rows] = method.forecast(anomalies, rows)
    return forecasts


def _persisted(shared: Fitted, n_leads: int) -> np.ndarray:
    """Return forecasts of persistence, whose flux anomaly stays, in each valid month's spread."""
    grid, anomalies = shared.scales.grid, shared.anomalies
    std = grid.coarsen(shared.scales.climatology.std)[:, shared.scales.sea.ocean]
    valid = (anomalies.calendar[:, None] + 1 + np.arange(n_leads)) % 12
    growth = std[anomalies.calendar][:, None] / std[valid]
    persisted: np.ndarray = anomalies.values[:, None] * growth
    return persisted


def _require_known(method: str) -> None:
    if method not in METHODS:
        raise UnknownMethodError(
            "No reference forecast of this name.",
            found=repr(method),
            expected=", ".join(METHODS),
            remedy="Name one of these.",
        )
