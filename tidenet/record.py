"""The record as the science sees it: arrays, a grid and a month axis, no store behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from storage.errors import TidenetError
from storage.grid import Grid
from storage.months import Month, calendar_months, months_between
from tidenet.errors import NotEnoughMonthsError


class DriverShapeError(TidenetError):
    """A driver does not have the months or the grid of the flux that it goes with."""


@dataclass(frozen=True)
class FluxRecord:
    """Consecutive months of sea-air CO2 flux, and what drives it where a forecast reads that.

    Parameters
    ----------
    grid
        The grid of the fields.
    ocean
        Boolean (lat, lon), True on ocean cells.
    first_month
        Month of ``fco2[0]``; the months follow each other without gaps.
    fco2
        float32 (time, lat, lon), mmol m-2 d-1, positive out of the sea. NaN on land; ocean
        cells are complete.
    observed
        Boolean (time, lat, lon), True where the value was observed, False where it was completed.
        None means that every ocean cell counts as observed.
    drivers
        By name, float32 (time, lat, lon), or (time,) for an index, over the same months and in the
        units that the name was stored with; NaN where there is no value.
    """

    grid: Grid
    ocean: np.ndarray
    first_month: Month
    fco2: np.ndarray
    observed: np.ndarray | None = None
    drivers: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.drivers.items():
            if values.shape not in ((len(self.fco2),), self.fco2.shape):
                raise DriverShapeError(
                    f"The driver {name} does not go with the flux.",
                    found=f"shape {values.shape}",
                    expected=f"{self.fco2.shape}, or {(len(self.fco2),)} for an index",
                    remedy="Give one map, or one number, for each month of the flux.",
                )

    @cached_property
    def months(self) -> np.ndarray:
        """Every month of the record, datetime64[M] (time,)."""
        return self.first_month + np.arange(len(self.fco2))

    @property
    def last_month(self) -> Month:
        """The last month of the record."""
        return self.first_month + (len(self.fco2) - 1)

    @cached_property
    def calendar_months(self) -> np.ndarray:
        """Calendar month, 1 to 12, of each month (time,)."""
        return calendar_months(self.months)

    @cached_property
    def weight(self) -> np.ndarray:
        """Cell area on ocean cells and 0 on land (lat, lon), m2, float64."""
        return np.where(self.ocean, self.grid.cell_area, 0.0)

    def index(self, month: Month) -> int:
        """Return the position of a month on the time axis.

        Raises
        ------
        NotEnoughMonthsError
            If the record does not hold the month.
        """
        position = months_between(self.first_month, month)
        if not 0 <= position < len(self.fco2):
            raise NotEnoughMonthsError(
                f"The record does not hold {month}.",
                found=f"{self.first_month} to {self.last_month}",
                expected=str(month),
                remedy="Ingest the missing months first, or choose a month inside the record.",
            )
        return position

    def until(self, month: Month) -> "FluxRecord":
        """Return the record up to and including a month: what was known then."""
        return self.between(self.first_month, month)

    def between(self, first: Month, last: Month) -> "FluxRecord":
        """Return the part from first to last month, both included; drivers are cut alike."""
        window = slice(self.index(first), self.index(last) + 1)
        return replace(
            self,
            first_month=first,
            fco2=self.fco2[window],
            observed=None if self.observed is None else self.observed[window],
            drivers={name: values[window] for name, values in self.drivers.items()},
        )

    def history(self, init_month: Month, n_months: int) -> np.ndarray:
        """Return the last ``n_months`` fields up to the init month, float32 (n_months, lat, lon).

        Raises
        ------
        NotEnoughMonthsError
            If the record does not reach back or forward far enough.
        """
        last = self.index(init_month)
        if last + 1 < n_months:
            raise NotEnoughMonthsError(
                "Not enough months for the model's input window.",
                found=f"{last + 1} months up to {init_month}",
                expected=f"at least {n_months}",
                remedy="Choose a later init month or ingest earlier months.",
            )
        return self.fco2[last + 1 - n_months : last + 1]
