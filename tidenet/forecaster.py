"""The interface that TIDE-Net and every reference forecast share."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from storage.grid import Grid
from storage.months import Month
from tidenet.record import FluxRecord

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Probability levels that forecasts are archived at."""


@dataclass(frozen=True)
class Forecast:
    """An ensemble forecast.

    Parameters
    ----------
    grid
        The grid of the fields.
    init_month
        Last observed month used. Lead ``k`` (1, 2, ...) is valid in ``init_month + k``.
    members
        float32 (member, lead, lat, lon), mmol m-2 d-1, positive out of the sea; NaN on land.
    mean
        float32 (lead, lat, lon), the forecast's best estimate (not the mean of a small sample of
        members, which would add sampling noise).
    """

    grid: Grid
    init_month: Month
    members: np.ndarray
    mean: np.ndarray

    @property
    def n_leads(self) -> int:
        """Number of lead months."""
        return len(self.mean)

    @property
    def valid_months(self) -> np.ndarray:
        """Month that each lead is valid in, datetime64[M] (lead,)."""
        return self.init_month + np.arange(1, self.n_leads + 1)


class Forecaster(Protocol):
    """Anything that forecasts the next months of a record."""

    @property
    def name(self) -> str:
        """Method name used in tables: ``tidenet``, ``climatology``, ``damped-persistence``, ..."""

    @property
    def n_history(self) -> int:
        """Months of history that it needs, the init month included."""

    @property
    def n_leads(self) -> int:
        """Lead months that it gives."""

    def forecast(
        self, record: FluxRecord, init_month: Month, *, n_members: int, rng: np.random.Generator
    ) -> Forecast:
        """Forecast from what the record holds up to the init month; later months are not read.

        Raises
        ------
        NotEnoughMonthsError
            If the record does not cover the input window.
        IncompatibleModelError
            If the record's grid or mask is not the one it was fitted on.
        """
        ...
