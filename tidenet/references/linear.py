"""A linear forecast on two scales: expected season and trend, block anomalies, fading detail."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from storage.months import Month, months_between
from tidenet.references.anomalies import Anomalies, AnomalyForecast
from tidenet.references.cycle import ExpectedCycle
from tidenet.references.scales import TwoScales


@dataclass(frozen=True)
class History:
    """What a forecast starts from.

    Parameters
    ----------
    remaining
        Anomalies (month, block) up to the init month, without the expected season and trend.
    detail
        What the blocks leave out of the init month (lat, lon), standard deviations.
    init_month
        The last month.
    """

    remaining: Anomalies
    detail: np.ndarray
    init_month: Month


@dataclass(frozen=True)
class LinearPart:
    """A fitted linear forecast.

    Parameters
    ----------
    scales
        Climatology, working grid and the damping of the detail.
    cycle
        Expected season and trend; None for the climatology as it is.
    method
        Forecasts the block anomalies; None if they are forecast to be zero, and the detail too.
    n_leads
        Leads that it gives.
    first_month
        First month of the training period: row 0 of the cycle.
    """

    scales: TwoScales
    cycle: ExpectedCycle | None
    method: AnomalyForecast | None
    n_leads: int
    first_month: Month

    @property
    def n_history(self) -> int:
        """Months that it reads, the init month included."""
        return 1 if self.method is None else self.method.n_history

    def read(self, fields: np.ndarray, init_month: Month) -> History:
        """Part the months up to the init month into blocks and detail.

        Parameters
        ----------
        fields
            (month, lat, lon), mmol m-2 d-1; whatever stands on land is not read.
        init_month
            Month of the last field.
        """
        first = init_month - (len(fields) - 1)
        parted = [
            self.scales.part(self.scales.climatology.standardise(field, first + t))
            for t, field in enumerate(fields)
        ]
        blocks = np.stack([blocks for blocks, _ in parted]).astype(np.float32)
        row = months_between(self.first_month, first)
        calendar = int(first.astype(int)) % 12
        remaining = Anomalies(blocks, calendar, self.scales.sea)
        if self.cycle is not None:
            remaining = self.cycle.remove(remaining, row)
        return History(remaining, parted[-1][1], init_month)

    def blocks(self, history: History) -> np.ndarray:
        """Return the forecast of the remaining anomalies, float32 (lead, block)."""
        if self.method is None:
            return np.zeros((self.n_leads, history.remaining.values.shape[1]), dtype=np.float32)
        last = np.array([len(history.remaining) - 1])
        return self.method.forecast(history.remaining, last)[0]

    def flux(self, blocks: np.ndarray, history: History) -> np.ndarray:
        """Return the flux (lead, lat, lon), mmol m-2 d-1, of forecast blocks; NaN on land."""
        if self.cycle is not None:
            rows = months_between(self.first_month, history.init_month)
            blocks = blocks + self.cycle.expected(rows + np.arange(1, self.n_leads + 1))
        detail = history.detail if self.method is not None else np.zeros_like(history.detail)
        return self.scales.restore(self.scales.join(blocks, detail), history.init_month)

    def forecast(self, fields: np.ndarray, init_month: Month) -> np.ndarray:
        """Return the forecast flux (lead, lat, lon), mmol m-2 d-1; NaN on land."""
        history = self.read(fields, init_month)
        return self.flux(self.blocks(history), history)


def cycle_tensors(cycle: ExpectedCycle) -> dict[str, np.ndarray]:
    """Return the arrays to save of an expected cycle."""
    position = np.array([cycle.first_calendar, cycle.middle], dtype=np.float64)
    return {"season": cycle.season, "slope": cycle.slope, "position": position}


def cycle_from(tensors: Mapping[str, np.ndarray]) -> ExpectedCycle:
    """Rebuild an expected cycle from what `cycle_tensors` returned."""
    first, middle = tensors["position"]
    return ExpectedCycle(tensors["season"], tensors["slope"], int(first), float(middle))
