"""Settings come from the environment and from .env files, and keep secrets to themselves."""

import copy
from pathlib import Path

import pytest

from storage.errors import TidenetError
from storage.settings import load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDENET_HOME", raising=False)


def test_the_defaults_keep_everything_in_one_local_folder(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.record_url == str(tmp_path / "tidenet-data" / "carbon-ecs")
    assert settings.database_url == f"sqlite:///{tmp_path}/tidenet-data/archive.db"


def test_a_home_folder_brings_its_own_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TIDENET_PRODUCT=here\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".env").write_text("TIDENET_PRODUCT=in-home\n")
    assert load_settings(home).product == "in-home"
    assert load_settings().product == "here"


def test_the_environment_overrides_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("TIDENET_PRODUCT=here\n")
    monkeypatch.setenv("TIDENET_PRODUCT", "from-environment")
    assert load_settings().product == "from-environment"


def test_a_database_password_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDENET_DATABASE", "postgresql+psycopg://me:hunter2@host/archive")
    assert "hunter2" not in repr(load_settings())
    assert "hunter2" in load_settings().database_url


def test_an_error_says_found_expected_and_what_to_do_and_survives_a_process_boundary() -> None:
    error = TidenetError("It broke.", found="a", expected="b", remedy="Do c.")
    assert str(error) == "It broke. Found: a. Expected: b. What to do: Do c."
    again = copy.copy(error)  # goes the way that errors go between processes
    assert (again.found, again.expected, again.remedy) == ("a", "b", "Do c.")
