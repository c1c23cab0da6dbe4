"""A home folder with a record and a champion, which the benchmarks of operations begin with."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from storage.grid import Grid, grid_named
from storage.months import Month, month, month_range

SEED = 2003

PRODUCT = """\
title: The synthetic sea on another grid
file_pattern: SYNTHETIC_ECS_FCO2_monthly_{{year}}{{month}}.nc
grid: {{name: {name}, south: {south}, west: {west}, step: {step}, n_lat: {n_lat}, n_lon: {n_lon}}}
quantities:
  fco2: {{names: [fco2], positive: up, uncertainty: 1.5}}
mask: {{variable: ocean}}
start: "{start}"
"""


@dataclass(frozen=True)
class Size:
    """How large the sea is, and how long its record.

    Parameters
    ----------
    product
        Name of its specification.
    grid
        Its grid.
    first, last
        Months of the record.
    trained_until
        Last month that the champion has learned from.
    options
        Options of the training. One epoch: the figures do not depend on how good the model is.
    step
        Cell size of the archive's rows (degrees).
    """

    product: str
    grid: Grid
    first: Month
    last: Month
    trained_until: Month
    options: Mapping[str, object]
    step: float

    @property
    def settings(self) -> dict[str, str]:
        """What differs from the default settings."""
        return {
            "TIDENET_PRODUCT": self.product,
            "TIDENET_ARCHIVE_STEP": str(self.step),
            # The synthetic sea ends in 2020: its forecasts are not stale for that.
            "TIDENET_STALE_MONTHS": "0",
        }


FULL = Size(
    "synthetic-ecs",
    grid_named("carbon-ecs-10"),
    month("2003-01"),
    month("2019-12"),
    month("2009-12"),
    {"n_epochs": 1},
    step=0.1,
)
QUICK = Size(
    "coarse-ecs",
    Grid("coarse-ecs", south=23.0, west=117.0, step=1.0, n_lat=19, n_lon=15),
    month("2003-01"),
    month("2007-12"),
    month("2006-12"),
    {
        "working_cells": 16,
        "hidden_channels": 8,
        "n_modes": 2,
        "n_spectral_cells": 1,
        "refiner_channels": [8],
        "fusion_channels": [8],
        "refiner_steps": 2,
        "n_patterns": 4,
        "n_history": 3,
        "validation_months": 12,
        "n_epochs": 1,
    },
    step=1.0,
)


def write_files(folder: Path, size: Size, n_more: int = 0) -> None:
    """Write the product files of a record, and of some months after it, that are not there yet."""
    from ingest.synthetic.files import write_months

    months = month_range(size.first, size.last + n_more)
    write_months(folder, size.grid, months, seed=SEED, progress=say_some)


def describe(home: Path, size: Size) -> dict[str, str]:
    """Write what a home folder needs beside its settings, and return those."""
    products = home / "products"
    products.mkdir(parents=True, exist_ok=True)
    (home / "training.yaml").write_text(yaml.safe_dump(dict(size.options)))
    if size.product == FULL.product:
        return size.settings
    grid = size.grid
    text = PRODUCT.format(
        name=grid.name,
        south=grid.south,
        west=grid.west,
        step=grid.step,
        n_lat=grid.n_lat,
        n_lon=grid.n_lon,
        start=size.first,
    )
    (products / f"{size.product}.yaml").write_text(text)
    return {**size.settings, "TIDENET_PRODUCTS_FOLDER": str(products)}


def fill(home: Path, size: Size) -> None:
    """Fill a home folder as far as it is not: files, record, champion.

    A home folder that is kept from run to run saves the time of doing it again.
    """
    from flows.operations.ingest import ingest
    from flows.operations.train import train
    from flows.operations.workspace import Workspace, read_settings
    from storage.registry import champion

    settings = describe(home, size)
    (home / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    workspace = Workspace(read_settings(home))
    write_files(home / "landing", size)
    ingest(workspace, progress=say_some)
    if champion(workspace.engine, size.grid.name) is None:
        say("training")
        train(workspace, until=size.trained_until, config_file=home / "training.yaml")
    workspace.engine.dispose()


def say(line: str) -> None:
    """Tell whoever waits how far it is."""
    print(line, file=sys.stderr, flush=True)


def say_some(done: int, total: int, detail: str) -> None:
    """Tell so now and then."""
    if done % 24 == 0 or done == total:
        say(f"  {done} of {total}: {detail}")


def forget_settings() -> None:
    """Let no setting of whoever starts a benchmark change what is measured."""
    for name in list(os.environ):
        if name.startswith(("TIDENET_", "PREFECT_", "AWS_")):
            del os.environ[name]
