"""The science: TIDE-Net, the references it is held against, and their skill."""

from tidenet.forecaster import QUANTILES, Forecast, Forecaster
from tidenet.loading import load_forecaster
from tidenet.record import FluxRecord

__all__ = ["QUANTILES", "FluxRecord", "Forecast", "Forecaster", "load_forecaster"]
