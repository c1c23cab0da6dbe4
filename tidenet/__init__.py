"""The science: TIDE-Net, the references it is held against, and their skill."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidenet.forecaster import QUANTILES, Forecast, Forecaster
    from tidenet.loading import load_forecaster
    from tidenet.record import FluxRecord

__all__ = ["QUANTILES", "FluxRecord", "Forecast", "Forecaster", "load_forecaster"]

_HOMES = {
    "QUANTILES": "forecaster",
    "FluxRecord": "record",
    "Forecast": "forecaster",
    "Forecaster": "forecaster",
    "load_forecaster": "loading",
}


def __getattr__(name: str) -> Any:
    # The command line reads the training options for its help, which must not wait for NumPy.
    if name in _HOMES:
        return getattr(import_module(f"tidenet.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
