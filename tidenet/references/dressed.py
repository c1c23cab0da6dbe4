"""What a careful forecaster would use instead: climatology, persistence, damped persistence.

All three are fitted on the training period only and give ensembles by the same means as TIDE-Net
(`tidenet.dressing`), so that they can be held against each other in every score.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.months import Month
from tidenet.climatology import AnomalySeries, MonthlyClimatology, fit_climatology
from tidenet.dressing import Dressing, dress, fit_dressing, white_noise
from tidenet.errors import NotEnoughMonthsError, TidenetError
from tidenet.forecaster import Forecast
from tidenet.identity import Domain, input_window
from tidenet.record import FluxRecord
from tidenet.references.damping import fit_damping
from tidenet.working_grid import WorkingGrid

METHODS = ("climatology", "persistence", "damped-persistence")
"""Names of the reference methods."""

PATTERN_CELLS = 64
"""Most cells along the longer side of the grid that error patterns are kept on."""

N_PATTERNS = 24
"""Most error patterns that a reference keeps."""


class UnknownMethodError(TidenetError):
    """A forecast method was asked for by a name that is not known."""


@dataclass(frozen=True)
class Reference(ABC):
    """What the references share.

    Parameters
    ----------
    domain
        Grid and mask that it was fitted on.
    climatology
        Of the training period.
    n_leads
        Lead months that it gives.
    dressing
        Errors of its forecasts; None only while these are being fitted.
    """

    domain: Domain
    climatology: MonthlyClimatology
    n_leads: int
    dressing: Dressing | None

    name = ""
    n_history = 1

    @abstractmethod
    def best(self, field: np.ndarray, init_month: Month, lead: int) -> np.ndarray:
        """Return the best estimate at one lead (lat, lon) from the last observed field."""

    @property
    def working_grid(self) -> WorkingGrid:
        """The grid that error patterns are kept on."""
        return WorkingGrid.fitting(self.domain.weight, PATTERN_CELLS)

    def forecast(
        self, record: FluxRecord, init_month: Month, *, n_members: int, rng: np.random.Generator
    ) -> Forecast:
        """Forecast from what the record holds up to the init month; later months are not read."""
        self.domain.require_record(record)
        (field,) = input_window(record, init_month, 1)
        leads = range(1, self.n_leads + 1)
        best = np.stack([self.best(field, init_month, lead) for lead in leads])
        best = np.where(self.domain.ocean, best, np.nan).astype(np.float32)
        members = self._members(best, init_month, n_members, rng)
        return Forecast(self.domain.grid, init_month, members, best)

    def _members(
        self, best: np.ndarray, init_month: Month, n_members: int, rng: np.random.Generator
    ) -> np.ndarray:
        if self.dressing is None:
            return np.broadcast_to(best, (n_members, *best.shape))
        spread = [self.climatology.std_of(init_month + k) for k in range(1, self.n_leads + 1)]
        grid = self.working_grid
        noise = white_noise(rng, grid, n_members, self.n_leads)
        return dress(best, spread, self.dressing, grid, noise, rng)

    def residuals(self, record: FluxRecord) -> Iterator[np.ndarray]:
        """Yield observed minus forecast of every init month, in standard deviations of it.

        Each is float32 (lead, lat, lon).
        """
        for position in range(len(record.fco2) - self.n_leads):
            init_month = record.first_month + position
            yield np.stack(
                [
                    (record.fco2[position + k] - self.best(record.fco2[position], init_month, k))
                    / self.climatology.std_of(init_month + k)
                    for k in range(1, self.n_leads + 1)
                ]
            )

    def tensors(self) -> dict[str, np.ndarray]:
        """Return every array that is needed to rebuild it."""
        assert self.dressing is not None
        climatology = {
            "climatology_mean": self.climatology.mean,
            "climatology_std": self.climatology.std,
        }
        return climatology | self.own_tensors()

    def own_tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays besides the climatology."""
        assert self.dressing is not None
        return {f"dressing_{name}": a for name, a in self.dressing.tensors().items()}

    def metadata(self) -> dict[str, Any]:
        """Return everything else, JSON-able."""
        return {"method": self.name, "n_history": 1, "n_leads": self.n_leads} | (
            self.domain.describe()
        )


@dataclass(frozen=True)
class Climatology(Reference):
    """The calendar: the mean of the valid month in the training period."""

    name = "climatology"

    def best(self, field: np.ndarray, init_month: Month, lead: int) -> np.ndarray:  # noqa: ARG002
        """Return the mean of the valid month."""
        return self.climatology.mean_of(init_month + lead)


@dataclass(frozen=True)
class Persistence(Reference):
    """The last anomaly (mmol m-2 d-1) stays: valid month's mean plus the anomaly now."""

    name = "persistence"

    def best(self, field: np.ndarray, init_month: Month, lead: int) -> np.ndarray:
        """Return the valid month's mean plus the anomaly now."""
        anomaly = field - self.climatology.mean_of(init_month)
        return self.climatology.mean_of(init_month + lead) + anomaly


@dataclass(frozen=True)
class DampedPersistence(Reference):
    """The last standardised anomaly fades at each cell's own rate (`tidenet.references.damping`).

    Parameters
    ----------
    damping
        Part of the anomaly that is left at each lead (lead, lat, lon).
    """

    damping: np.ndarray

    name = "damped-persistence"

    def best(self, field: np.ndarray, init_month: Month, lead: int) -> np.ndarray:
        """Return the valid month's mean plus what is left of the standardised anomaly."""
        anomaly = self.climatology.standardise(field, init_month)
        return self.climatology.restore(self.damping[lead - 1] * anomaly, init_month + lead)

    def own_tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays besides the climatology."""
        return super().own_tensors() | {"damping": self.damping}


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
    if method not in METHODS:
        raise UnknownMethodError(
            "No reference forecast of this name.",
            found=repr(method),
            expected=", ".join(METHODS),
            remedy="Name one of these.",
        )
    climatology = fit_climatology(record)
    damping = None
    if method == "damped-persistence":
        damping = fit_damping(AnomalySeries(record, climatology), n_leads)
    return fit_with_climatology(method, record, n_leads, climatology, damping)


def fit_with_climatology(
    method: str,
    record: FluxRecord,
    n_leads: int,
    climatology: MonthlyClimatology,
    damping: np.ndarray | None,
) -> Reference:
    """Fit a reference whose climatology and damping are known already.

    Raises
    ------
    NotEnoughMonthsError
        If the record has no more months than leads.
    """
    if len(record.fco2) <= n_leads:
        raise NotEnoughMonthsError(
            "The training period is too short for the leads.",
            found=f"{len(record.fco2)} months",
            expected=f"more than {n_leads}",
            remedy="Ingest earlier months or ask for fewer leads.",
        )
    bare = _make(method, Domain(record.grid, record.ocean), climatology, n_leads, None, damping)
    # Each calendar month's mean was fitted on the same months that errors are measured on.
    years = len(record.fco2) / 12
    dressing = fit_dressing(
        bare.residuals(record), bare.working_grid, N_PATTERNS, inflation=years / (years - 1)
    )
    return _make(method, bare.domain, climatology, n_leads, dressing, damping)


def rebuild(
    method: str,
    domain: Domain,
    climatology: MonthlyClimatology,
    n_leads: int,
    own_tensors: Mapping[str, np.ndarray],
) -> Reference:
    """Rebuild a reference from its own tensors."""
    dressing = Dressing(own_tensors["dressing_patterns"], own_tensors["dressing_local_std"])
    return _make(method, domain, climatology, n_leads, dressing, own_tensors.get("damping"))


def _make(
    method: str,
    domain: Domain,
    climatology: MonthlyClimatology,
    n_leads: int,
    dressing: Dressing | None,
    damping: np.ndarray | None,
) -> Reference:
    if method == "damped-persistence":
        assert damping is not None
        return DampedPersistence(domain, climatology, n_leads, dressing, damping)
    kind = {"climatology": Climatology, "persistence": Persistence}[method]
    return kind(domain, climatology, n_leads, dressing)
