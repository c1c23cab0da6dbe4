"""A small sea with a season and anomalies that fade."""

import numpy as np

from storage.grid import Grid
from storage.months import month
from tidenet.record import FluxRecord

GRID = Grid("tiny", south=25, west=120, step=0.5, n_lat=12, n_lon=10)


def small_record(n_months: int = 108, seed: int = 0) -> FluxRecord:
    rng = np.random.default_rng(seed)
    ocean = np.ones(GRID.shape, dtype=bool)
    ocean[:, :2] = False
    ocean[:3, :4] = False
    anomaly, fields = np.zeros(GRID.shape), []
    for position in range(n_months):
        anomaly = 0.8 * anomaly + 0.6 * rng.standard_normal(GRID.shape)
        season = -5 + 4 * np.cos(2 * np.pi * (position % 12) / 12)
        fields.append(np.where(ocean, season + anomaly, np.nan))
    return FluxRecord(GRID, ocean, month("2005-01"), np.array(fields, dtype=np.float32))
