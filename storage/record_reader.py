"""Reading rows of many months: what a part of a large computation needs of the record."""

from dataclasses import dataclass

import numpy as np

from storage.array_layout import months_of
from storage.flux_month import Quality
from storage.grid import Grid
from storage.icechunk_repository import Repository
from storage.locations import Location, Patience
from storage.months import Month
from storage.record_months import array_of, values_of

# Months that are read in one call, so that the time limit of a call does not grow with the record.
_MONTHS_PER_CALL = 12


@dataclass(frozen=True)
class RecordReader:
    """Reads rows of the record's months; small, so that it can travel to a worker of a cluster.

    Parameters
    ----------
    url
        The record.
    snapshot_id
        The data version to read.
    patience
        How long to wait for it.
    grid
        Its grid.
    first_month, last_month
        Span to read, both included.
    """

    url: str
    snapshot_id: str
    patience: Patience
    grid: Grid
    first_month: Month
    last_month: Month

    @property
    def months(self) -> np.ndarray:
        """The months, datetime64[M] (time,)."""
        return np.arange(self.first_month, self.last_month + 1)

    def read(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return rows of all months.

        Returns
        -------
        tuple
            The flux, float32 (time, row, lon), mmol m-2 d-1, and where it was observed.
        """
        repository = Repository.open(Location.parse(self.url), self.patience)
        group = repository.group(self.snapshot_id)
        stored = repository.read(lambda: months_of(values_of(group, "time")))
        start = int((self.first_month - stored[0]).astype(int))
        shape = (len(self.months), len(range(*rows.indices(self.grid.n_lat))), self.grid.n_lon)
        values, observed = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=bool)
        for at in range(0, shape[0], _MONTHS_PER_CALL):
            some = slice(at, min(at + _MONTHS_PER_CALL, shape[0]))
            here = (slice(start + some.start, start + some.stop), rows)
            values[some], quality = repository.read(
                lambda here=here: tuple(array_of(group, n)[here] for n in ("fco2", "quality"))  # type: ignore[misc]
            )
            observed[some] = quality == Quality.OBSERVED
        return values, observed
