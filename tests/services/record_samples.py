"""A tiny record for the tests of the stores."""

import numpy as np

from storage.carbon_ecs import RecordTemplate
from storage.flux_month import FluxMonth, Quality, SourceFile
from storage.grid import Grid

TINY = Grid("tiny", south=25, west=120, step=0.5, n_lat=12, n_lon=10)
START = np.datetime64("2018-01", "M")


def tiny_ocean() -> np.ndarray:
    """A coast without symmetry, so that flips and shifts do not map it onto itself."""
    ocean = np.ones(TINY.shape, dtype=bool)
    ocean[:, :2] = False
    ocean[8:, 2:5] = False
    ocean[0, 2] = False
    return ocean


def tiny_template(**attributes: str) -> RecordTemplate:
    return RecordTemplate(TINY, tiny_ocean(), attributes)


def tiny_month(index: int = 0, seed: int | None = None) -> FluxMonth:
    """Month number ``index`` from 2018-01; another seed gives other content."""
    rng = np.random.default_rng(abs(index) if seed is None else seed)
    ocean = tiny_ocean()
    observed = ocean & (rng.random(TINY.shape) < 0.8)
    quality = np.where(observed, Quality.OBSERVED, np.where(ocean, Quality.COMPLETED, 0))
    return FluxMonth(
        month=START + index,
        grid=TINY,
        fco2=np.where(ocean, rng.normal(-5, 2, TINY.shape), np.nan).astype(np.float32),
        quality=quality.astype(np.uint8),
        uncertainty=np.where(ocean, rng.uniform(0.1, 1, TINY.shape), np.nan).astype(np.float32),
        source=SourceFile("test-product", f"file:///landing/{START + index}.nc", "ab" * 32),
    )
