"""A small sea with a season and anomalies that fade, and a forecaster trained on it."""

import pytest
from services.small_sea import small_record

from storage.months import month
from tidenet.configuration import TideNetConfig
from tidenet.record import FluxRecord
from tidenet.training import train


@pytest.fixture
def record() -> FluxRecord:
    return small_record()


@pytest.fixture(scope="session")
def trained():
    """A tiny TIDE-Net trained on the first 96 months of the small record."""
    known = small_record()
    config = TideNetConfig.tiny(n_epochs=2)
    return train(known.until(month("2012-12")), config, seed=3)
