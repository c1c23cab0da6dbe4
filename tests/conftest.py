"""Fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["services.postgres", "services.s3", "services.small_disk"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real product files, beside the checkout or named by TIDENET_TEST_DATA."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("TIDENET_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real product files are not here: {folder} (set TIDENET_TEST_DATA)")
    return folder
