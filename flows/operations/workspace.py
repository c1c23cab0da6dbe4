"""What an operation works with: settings, the archive, the record and a clock."""

import datetime as dt
import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydantic

from storage.database import check_schema, connect, is_new, migrate
from storage.errors import TidenetError
from storage.months import Month
from storage.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from storage.carbon_ecs import CarbonEcs
    from storage.locations import Patience
    from storage.regions import Region
    from tidenet.record import FluxRecord


class InvalidSettingsError(TidenetError):
    """A setting has a value that it cannot have."""


Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and a word about the present one."""

LIBRARIES = ("torch", "numpy", "xarray", "zarr", "icechunk", "diffusers", "accelerate")


def no_progress(done: int, total: int, detail: str) -> None:
    """Show no progress."""


def utc_now() -> dt.datetime:
    """Return the present moment, UTC."""
    return dt.datetime.now(dt.UTC)


def read_settings(home: Path | None = None) -> Settings:
    """Return the settings of a home folder (see `storage.settings.load_settings`).

    Raises
    ------
    InvalidSettingsError
        If a setting has a value that it cannot have; all of them are listed.
    """
    try:
        return load_settings(home)
    except pydantic.ValidationError as error:
        wrong = [
            f"TIDENET_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise InvalidSettingsError(
            "A setting has a value that it cannot have.",
            found="; ".join(wrong),
            remedy="Correct it in the environment, or in .env here or in the home folder.",
        ) from error


@dataclass(frozen=True)
class Workspace:
    """Everything an operation needs from outside.

    Parameters
    ----------
    settings
        Where things are kept.
    now
        The clock. Operations read the time from here only.
    """

    settings: Settings
    now: Callable[[], dt.datetime] = field(default=utc_now)

    @cached_property
    def engine(self) -> "Engine":
        """The archive database, its tables made where there are none yet.

        Raises
        ------
        DatabaseUnavailableError
            If it does not answer.
        DatabaseOutOfDateError
            If its tables are of another version than this code.
        """
        url = self.settings.database_url
        if url.startswith("sqlite"):
            self.settings.home.mkdir(parents=True, exist_ok=True)
        engine = connect(url, timeout_s=self.settings.timeout_s, attempts=self.settings.attempts)
        if is_new(engine):
            migrate(engine)
        check_schema(engine)
        return engine

    def record(self, snapshot_id: str | None = None) -> "CarbonEcs":
        """Open the Carbon-ECS record, at its latest or at a given snapshot."""
        from storage.carbon_ecs import CarbonEcs

        return CarbonEcs.open(self.settings.record_url, snapshot_id, self.patience)

    @cached_property
    def regions(self) -> "tuple[Region, ...]":
        """The regions that fluxes are averaged over: the built-in ones and those of the user.

        Raises
        ------
        UnreadableRegionsError
            If the file of regions cannot be read.
        InvalidRegionsError
            If something in it cannot be a region; all problems are listed.
        """
        from storage.region_files import read_regions
        from storage.regions import REGIONS

        path = self.settings.regions
        return REGIONS if path is None else REGIONS + read_regions(path)

    @property
    def patience(self) -> "Patience":
        """How long to wait for stores."""
        from storage.locations import Patience

        return Patience(self.settings.timeout_s, self.settings.attempts)

    @cached_property
    def code_version(self) -> str:
        """Version of this software."""
        return importlib.metadata.version("tidenet")

    @cached_property
    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that a number depends on."""
        return {name: importlib.metadata.version(name) for name in LIBRARIES}

    @cached_property
    def hardware(self) -> str:
        """The machine and device that computations run on."""
        import torch

        if best_device() == "cuda":
            return f"{torch.cuda.get_device_name()} ({platform.machine()})"
        kernels = torch.backends.cpu.get_cpu_capability()
        return f"CPU, {torch.get_num_threads()} threads, {kernels} ({platform.machine()})"


def best_device() -> str:
    """Return what networks compute on here, as torch names it: the GPU if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def flux_record(
    record: "CarbonEcs",
    first: Month | None,
    last: Month | None,
    drivers: Sequence[str] = (),
) -> "FluxRecord":
    """Return months of the store as the arrays that the science works on.

    Cells that the record does not cover inside its ocean mask do not occur: a month is complete.

    Parameters
    ----------
    record
        The opened store.
    first, last
        First and last month, both included; None for the ends of the record.
    drivers
        Names of the drivers to read with it, over the same months.

    Raises
    ------
    MissingDriverError
        If the record does not hold a driver in all of these months.
    """
    from storage.flux_month import Quality
    from tidenet.record import FluxRecord

    dataset = record.read(first=first, last=last)
    start = np.datetime64(dataset["time"].values[0], "M")
    return FluxRecord(
        grid=record.grid,
        ocean=record.ocean,
        first_month=start,
        fco2=dataset["fco2"].values,
        observed=dataset["quality"].values == Quality.OBSERVED,
        drivers={
            name: record.drivers.read(name, start, start + (dataset.sizes["time"] - 1))
            for name in drivers
        },
    )
