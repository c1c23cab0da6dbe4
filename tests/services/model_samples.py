"""Saved models for tests: looked at, and written anew with something changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.small_loop import GRID, World

from storage.registry import champion
from storage.weights import METADATA, WEIGHTS, model_files, parse_model


def in_service(world: World) -> str | None:
    """Return the version that forecasts; None if there is none."""
    found = champion(world.workspace.engine, GRID.name)
    return None if found is None else found.version


def changed(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Path:
    """Write a model anew with changed tensors or metadata."""
    weights, text = (folder / WEIGHTS).read_bytes(), (folder / METADATA).read_bytes()
    tensors, metadata = parse_model(weights, text, str(folder))
    change(tensors, metadata)
    for name, content in zip((WEIGHTS, METADATA), model_files(tensors, metadata), strict=True):
        (folder / name).write_bytes(content)
    return folder


class Malicious:
    """What a pickle can do when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def normalising(tensors: dict[str, Any]) -> str:
    """Return the name of an array of means: part of the normalisation."""
    return next(name for name in sorted(tensors) if "mean" in name and "network" not in name)
