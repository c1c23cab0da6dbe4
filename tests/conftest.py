"""Fixtures that every room's tests share."""

import os
import tempfile
from pathlib import Path

import pytest

# Flows without a server start one: not on the files of whoever runs the tests.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="prefect-")
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["DO_NOT_TRACK"] = "1"

pytest_plugins = ["services.postgres", "services.s3", "services.small_disk"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real product files, beside the checkout or named by TIDENET_TEST_DATA."""
    folder = _data_folder()
    if not folder.is_dir():
        pytest.skip(f"real product files are not here: {folder} (set TIDENET_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def upstream_numbers() -> Path:
    """Folder of numbers made by the upstream TIDE-Net code, beside the real product files."""
    folder = _data_folder().with_name("reference")
    if not folder.is_dir():
        pytest.skip(f"numbers of the upstream code are not here: {folder}")
    return folder


def _data_folder() -> Path:
    beside = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("TIDENET_TEST_DATA", beside))
