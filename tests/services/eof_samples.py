"""A small sea that is a season, three patterns that come and go, and noise."""

import numpy as np

from ingest.completion.modes import ArrayReader
from storage.grid import Grid
from storage.months import month

EOF_GRID = Grid("eof-sea", south=24.0, west=118.0, step=0.5, n_lat=24, n_lon=20)
EOF_START = month("2008-01")
NOISE = 0.2
N_PLANTED = 3


def eof_ocean() -> np.ndarray:
    """Return the mask: a coast in the west and an island."""
    ocean = np.ones(EOF_GRID.shape, dtype=bool)
    ocean[:, :3] = False
    ocean[15:, 3:6] = False
    ocean[8:10, 12] = False
    return ocean


def eof_truth(n_months: int, seed: int = 0) -> np.ndarray:
    """Return months without noise, float32 (time, lat, lon), NaN on land."""
    rng = np.random.default_rng(seed)
    row, column = np.indices(EOF_GRID.shape)
    patterns = np.stack(
        [np.sin(row / 5.0 + 0.3), np.cos(column / 4.0), np.sin((row + 2 * column) / 7.0)]
    )
    noise = rng.standard_normal((n_months, N_PLANTED))
    amplitudes = np.zeros((n_months, N_PLANTED))
    for at in range(n_months):
        amplitudes[at] = 0.6 * amplitudes[at - 1] + noise[at] * (2.0, 1.4, 1.0)
    season = -6 + 4 * np.cos(2 * np.pi * (np.arange(n_months) - 1) / 12)
    fields = season[:, None, None] + np.tensordot(amplitudes, patterns, axes=1)
    return np.where(eof_ocean(), fields, np.nan).astype(np.float32)


def eof_months(n_months: int = 72, part_completed: float = 0.0, seed: int = 0) -> ArrayReader:
    """Return months with noise; completed cells, in blocks, hold nothing but the mean."""
    rng = np.random.default_rng(seed + 1)
    fields = eof_truth(n_months, seed)
    fields = fields + NOISE * rng.standard_normal(fields.shape).astype(np.float32)
    blocks = rng.random((n_months, 6, 5)) < part_completed
    completed = np.kron(blocks, np.ones((1, 4, 4))) > 0
    observed = eof_ocean() & ~completed
    mean = np.nanmean(fields)
    fields = np.where(eof_ocean() & completed, mean, fields).astype(np.float32)
    return ArrayReader(EOF_GRID, np.arange(EOF_START, EOF_START + n_months), fields, observed)
