"""Whether a model can be served: load it from where it lies, and forecast with it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.operations.models import load_model
from flows.operations.workspace import Workspace
from storage.registry import ModelVersion

if TYPE_CHECKING:
    from tidenet.forecaster import Forecast
    from tidenet.record import FluxRecord

LARGEST_FLUX = 1000.0
"""mmol m-2 d-1. Ten times what a storm over the coldest, emptiest water drives; a larger value
comes from broken weights."""


@dataclass(frozen=True)
class ServiceTrial:
    """What a trial of a model found.

    Parameters
    ----------
    problem
        Why it cannot be served, one sentence; empty if it can.
    seconds
        Time that loading and forecasting took.
    """

    problem: str
    seconds: float

    @property
    def served(self) -> bool:
        """Whether it can be served."""
        return not self.problem


def try_to_serve(
    workspace: Workspace,
    version: ModelVersion,
    record: "FluxRecord",
    trained: Mapping[str, np.ndarray] | None = None,
) -> ServiceTrial:
    """Load a version from its storage and forecast the last month's future with it.

    Parameters
    ----------
    workspace
        Settings and archive.
    version
        The version, saved already.
    record
        The record that it would forecast from.
    trained
        The tensors that were trained, where they are at hand: what is loaded must be the same.
    """
    began = time.monotonic()
    try:
        forecaster = load_model(workspace, version, record.grid, record.ocean)
        problem = "" if trained is None else _other_tensors(forecaster.tensors(), trained)
        if not problem:
            forecast = forecaster.forecast(
                record, record.last_month, n_members=2, rng=np.random.default_rng(version.seed)
            )
            problem = _wrong_forecast(forecast, record, forecaster.n_leads)
    # Whatever stops it here would stop it in service: a library's error as well as a named one.
    except Exception as error:
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ServiceTrial(problem, time.monotonic() - began)


def _other_tensors(loaded: Mapping[str, np.ndarray], trained: Mapping[str, np.ndarray]) -> str:
    """Return in which arrays the loaded model differs from the trained one; empty if in none."""
    names = sorted(set(loaded) ^ set(trained)) + [
        name
        for name in sorted(set(loaded) & set(trained))
        if loaded[name].dtype != trained[name].dtype
        or not np.array_equal(loaded[name], trained[name], equal_nan=True)
    ]
    return f"what was loaded is not what was trained: {', '.join(names)}" if names else ""


def _wrong_forecast(forecast: "Forecast", record: "FluxRecord", n_leads: int) -> str:
    """Return what is wrong with a forecast; empty if nothing."""
    wanted = (n_leads, *record.grid.shape)
    if forecast.mean.shape != wanted or forecast.members.shape[1:] != wanted:
        shapes = f"{forecast.mean.shape} and {forecast.members.shape}"
        return f"its forecast has shapes {shapes} instead of {wanted} and (members, ...)"
    expected = record.last_month + np.arange(1, n_leads + 1)
    if not np.array_equal(forecast.valid_months, expected):
        return f"its forecast is for {forecast.valid_months} instead of {expected}"
    for name, values in (("mean", forecast.mean), ("members", forecast.members)):
        values = values[..., record.ocean]
        missing = int(np.count_nonzero(~np.isfinite(values)))
        if missing:
            return f"its forecast's {name} have {missing} ocean values that are no numbers"
        largest = float(np.abs(values).max())
        if largest > LARGEST_FLUX:
            return f"its forecast's {name} reach {largest:.3g} mmol m-2 d-1"
    return ""
