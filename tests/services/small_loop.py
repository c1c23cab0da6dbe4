"""A small sea, its product files and a home folder: the whole loop in seconds.

The sea has a shelf with the seasonal means that surveys found, a plume, a slow anomaly that
forecasts can hold on to, and a coast without symmetry, so that flips and shifts show.
"""

import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from sqlalchemy import text

from flows.operations.ingest import Acceptance, IngestedFile, ingest
from flows.operations.workspace import Workspace
from ingest.quality import PRESENT_RULES, _rules
from ingest.specification import Limits
from storage.grid import Grid
from storage.months import Month, month, month_range
from storage.settings import Settings
from tidenet.configuration import TideNetConfig

TESTS = Path(__file__).parents[1]
GRID = Grid("small-sea", south=25, west=120, step=0.5, n_lat=16, n_lon=14)
FIRST, LAST = month("2010-01"), month("2015-06")
NOW = dt.datetime(2016, 1, 15, 12, tzinfo=dt.UTC)

PRODUCT = """\
title: A small sea for tests
file_pattern: SMALL_{year}{month}.nc
grid: {name: small-sea, south: 25, west: 120, step: 0.5, n_lat: 16, n_lon: 14}
quantities:
  fco2: {names: [fco2], positive: up, uncertainty: 1.0}
mask: {variable: ocean}
start: "2010-01"
"""
YEARLY = """\
title: The small sea as the TIDE-Net research code keeps it
file_pattern: "fco2_{year}.h5"
holds: year
grid: {name: small-sea, south: 25, west: 120, step: 0.5, n_lat: 16, n_lon: 14}
rows: north-first
time: name
quantities:
  fco2:
    names: ["fco2_processed/{year}{month}"]
    units_if_missing: mmol m-2 d-1
    positive: up
    uncertainty: 1.0
mask: {variable: land_mask, marks: land}
start: "2010-01"
"""
SETTINGS = """\
TIDENET_PRODUCT=small
TIDENET_PRODUCTS_FOLDER={home}/products
TIDENET_ARCHIVE_STEP=1.0
TIDENET_N_MEMBERS=4
TIDENET_TIMEOUT_S=10
TIDENET_ATTEMPTS=1
"""

# The smallest network: trained in seconds on four years.
TINY = TideNetConfig.tiny(working_cells=16, n_epochs=1, n_history=3, validation_months=12)

# Means of the shelf by calendar month, mmol m-2 d-1: Guo et al. (2015), smoothed.
_SEASON = (-10.3, -10.5, -11.0, -11.5, -10.0, -6.0, -3.0, -2.8, -2.0, -2.2, -3.5, -8.0)


def ocean() -> np.ndarray:
    """Return the ocean cells: a coast in the west, an island, no symmetry."""
    sea = np.ones(GRID.shape, dtype=bool)
    sea[:, :2] = False
    sea[9:, 2:4] = False
    sea[0, 2:5] = False
    sea[3:5, 9] = False
    return sea


def flux(of: Month) -> np.ndarray:
    """Return a month of the sea, float32 (lat, lon), mmol m-2 d-1; NaN on land."""
    lat, lon = np.meshgrid(GRID.lat, GRID.lon, indexing="ij")
    number = int((of - month("2000-01")).astype(int))
    season = _SEASON[number % 12]
    pattern = (
        0.9 * (lon - 123.5)
        + 0.5 * (lat - 29)
        - 3.0 * np.exp(-((lon - 123) ** 2 + (lat - 31) ** 2) / 3)
    )
    # A slow wave with some chance in it: next month is much like this one.
    rng = np.random.default_rng(number)
    slow = 0.8 * np.sin(number / 4.1) + 0.4 * np.cos(number / 2.3) + 0.2 * rng.normal()
    patch = np.exp(-((lon - 124) ** 2 + (lat - 28) ** 2) / 8)
    weather = 0.3 * np.sin(lat + rng.uniform(0, 6)) * np.cos(0.8 * lon + rng.uniform(0, 6))
    return np.where(ocean(), season + pattern + slow * patch + weather, np.nan).astype(np.float32)


def dataset(of: Month, values: np.ndarray | None = None) -> xr.Dataset:
    """Return a product file's content; a few cells are cloudy unless values are given."""
    if values is None:
        values = flux(of)
        rng = np.random.default_rng(int(of.astype(int)))
        values[rng.random(GRID.shape) < 0.1] = np.nan
    days = int((of.astype("datetime64[D]") - np.datetime64("2000-01-01")).astype(int))
    units = {"lat": "degrees_north", "lon": "degrees_east"}
    return xr.Dataset(
        {
            "fco2": (("time", "lat", "lon"), values[None], {"units": "mmol m-2 d-1"}),
            "ocean": (("lat", "lon"), ocean().astype(np.int8)),
        },
        coords={
            "time": ("time", [days], {"units": "days since 2000-01-01", "calendar": "standard"}),
            "lat": ("lat", GRID.lat, {"units": units["lat"]}),
            "lon": ("lon", GRID.lon, {"units": units["lon"]}),
        },
    )


def all_passed(frame: pd.DataFrame, limits: Limits) -> dict[str, bool]:
    """Answer in place of Great Expectations."""
    return dict.fromkeys([rule.name for rule in (*PRESENT_RULES, *_rules(limits))], True) | {
        "surveyed": True
    }


@dataclass(frozen=True)
class World:
    """A home folder with its landing zone, and how to look at what became of it.

    Parameters
    ----------
    home
        The folder.
    changes
        Settings other than those of its ``.env``.
    now
        The clock.
    """

    home: Path
    changes: dict[str, Any] = field(default_factory=dict)
    now: Callable[[], dt.datetime] = lambda: NOW

    @classmethod
    def create(cls, home: Path) -> "World":
        """Make an empty home folder with the small sea's product specification."""
        (home / "products").mkdir(parents=True)
        (home / "landing").mkdir()
        (home / "products" / "small.yaml").write_text(PRODUCT)
        (home / ".env").write_text(SETTINGS.format(home=home))
        return cls(home)

    def copied_to(self, home: Path) -> "World":
        """Copy everything; what the copy's archive names by URL stays with the original."""
        shutil.copytree(self.home, home)
        (home / ".env").write_text(SETTINGS.format(home=home))
        return World(home)

    @cached_property
    def workspace(self) -> Workspace:
        return self.fresh_workspace()

    def fresh_workspace(self, **changes: Any) -> Workspace:
        """Return a workspace that shares no connection with the others."""
        settings = Settings(
            home=self.home, _env_file=self.home / ".env", **(self.changes | changes)
        )
        return Workspace(settings, now=self.now)

    # --- the landing zone ---------------------------------------------------------------------

    def path(self, of: Month | str) -> Path:
        """Return where a month's file lies."""
        year, number = str(of).split("-")
        return self.home / "landing" / f"SMALL_{year}{number}.nc"

    def deliver(self, of: Month | str, content: xr.Dataset | bytes | None = None) -> Path:
        """Let a month's file arrive: as it should be, or with other content."""
        target = self.path(of)
        if isinstance(content, bytes):
            target.write_bytes(content)
            return target
        content = dataset(month(str(of))) if content is None else content
        part = target.with_suffix(".part")
        content.to_netcdf(part, engine="h5netcdf")
        part.replace(target)
        return target

    def deliver_span(self, first: Month | str, last: Month | str) -> None:
        """Let the files of consecutive months arrive."""
        for of in month_range(month(str(first)), month(str(last))):
            self.deliver(of)

    # --- what happens -------------------------------------------------------------------------

    def ingest(self, *months: str, accept: str = "", reason: str = "") -> list[IngestedFile]:
        """Ingest what is in the landing zone."""
        return ingest(
            self.workspace,
            months=[month(text) for text in months] or None,
            acceptance=Acceptance(accept, reason) if accept else None,
        )

    def outcomes(self, *months: str, **options: str) -> dict[str, str]:
        """Ingest, and return each month's outcome, without the unchanged ones."""
        done = {str(file.month): str(file.outcome) for file in self.ingest(*months, **options)}
        return {of: outcome for of, outcome in done.items() if outcome != "unchanged"}

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the archive."""
        with self.workspace.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])

    def snapshots(self) -> int:
        """Return how many snapshots the record has."""
        return len(self.workspace.record().history())

    def state(self) -> tuple[Any, ...]:
        """Return what must not change when nothing is done: snapshots and row counts."""
        tables = ("product_files", "checks", "month_revisions", "acceptances")
        counts = tuple(self.count(table) for table in tables)
        return (self.workspace.record().history(), counts)


def run_python(code: str, *arguments: object, wait: bool = True) -> Any:
    """Run code in a process of its own that can import the tests' services."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TIDENET_")}
    environment |= {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not wait:
        return process
    output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
