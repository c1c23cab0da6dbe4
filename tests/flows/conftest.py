"""Worlds to work in: made once for a test run, copied for every test."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from services.small_loop import FIRST, LAST, TINY, World, all_passed

from flows.operations.train import train
from storage.months import month
from storage.registry import ModelVersion, champion


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TIDENET_") and name != "TIDENET_TEST_DATA":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the worlds that all workers of this test run share."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder) / "worlds"
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, name: str, make: Callable[[Path], World]) -> World:
    """Return a world that the first worker makes and the others find."""
    home = folder / name
    with FileLock(folder / f"{name}.lock", timeout=600):
        if not (folder / f"{name}.done").exists():
            make(home).workspace.engine.dispose()
            (folder / f"{name}.done").touch()
    return World(home)


@pytest.fixture(scope="session")
def filled_template(templates: Path) -> World:
    """Five and a half years in the record."""

    def make(home: Path) -> World:
        world = World.create(home)
        world.deliver_span(FIRST, LAST)
        # These months are sound; asking Great Expectations takes a quarter of a second each.
        patch.setattr("ingest.quality._validate", all_passed)
        assert set(world.outcomes().values()) == {"committed"}
        return world

    with pytest.MonkeyPatch.context() as patch:
        return made_once(templates, "filled", make)


@pytest.fixture(scope="session")
def trained_template(filled_template: World, templates: Path) -> World:
    """Five and a half years in the record, and a champion that learned from the first four."""

    def make(home: Path) -> World:
        world = filled_template.copied_to(home)
        assert train(world.workspace, until=month("2013-12"), config=TINY).promoted
        return world

    return made_once(templates, "trained", make)


@pytest.fixture
def empty(tmp_path: Path) -> World:
    """A home folder in which nothing has happened."""
    return World.create(tmp_path / "home")


@pytest.fixture
def filled(filled_template: World, tmp_path: Path) -> World:
    """A copy of the filled world."""
    return filled_template.copied_to(tmp_path / "home")


@pytest.fixture
def trained(trained_template: World, tmp_path: Path) -> World:
    """A copy of the trained world."""
    return trained_template.copied_to(tmp_path / "home")


@pytest.fixture(scope="session")
def trained_elsewhere(trained_template: World) -> ModelVersion:
    """The champion of another home, as its registry shows it."""
    found = champion(trained_template.workspace.engine, "small-sea")
    assert found is not None
    return found


@pytest.fixture
def model_folder(trained_elsewhere: ModelVersion, tmp_path: Path) -> Path:
    """A copy of that model's folder."""
    folder = tmp_path / "elsewhere" / trained_elsewhere.version
    shutil.copytree(trained_elsewhere.weights_url, folder)
    return folder
