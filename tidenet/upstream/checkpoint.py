"""Reading weights from a file without running anything that is in it."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tidenet.upstream.errors import PickledCodeError, UnreadableCheckpointError

_GLOBAL = re.compile(r"GLOBAL (\S+)")
"""How the restricted unpickler names what it refuses to call."""

_NESTED = ("model", "state_dict", "model_state_dict", "module", "network")
"""Where training programs keep the model's weights inside a checkpoint."""

_LARGEST_HEADER_BYTES = 100_000_000
"""What safetensors itself allows; of a pickle or an archive these bytes make a larger number."""


def read_checkpoint(file: Path | str) -> dict[str, Tensor]:
    """Return the tensors of a model by name.

    Parameters
    ----------
    file
        ``.safetensors``, or what ``torch.save`` wrote (``.pt``, ``.pth``, ``.bin``): a state dict,
        or a dict that holds one under a name such as ``model``. A leading ``module.``, which
        training on several GPUs adds, is taken off. Optimiser and averaged weights beside the
        model are passed over.

    Raises
    ------
    PickledCodeError
        If the file holds anything but plain tensors, numbers, texts and containers.
    UnreadableCheckpointError
        If it is no checkpoint, damaged, or holds no weights.
    """
    path = Path(file)
    try:
        content = _read_safetensors(path) if is_safetensors(path) else _read_pickle(path)
    except OSError as error:
        raise UnreadableCheckpointError(
            "The checkpoint cannot be read.",
            found=f"{type(error).__name__} for {path}",
            expected="a file of weights",
            remedy="Check the path and its permissions.",
        ) from error
    state = _find_state(content)
    if not state:
        raise UnreadableCheckpointError(
            "The checkpoint holds no weights.",
            found=f"{type(content).__name__} in {path.name}",
            expected=f"tensors by name, or a dict with one of {', '.join(_NESTED)}",
            remedy="Save the model's state_dict() and read that file.",
        )
    return state


def is_safetensors(path: Path) -> bool:
    """Tell the format by its content, whatever the name: length of a JSON header, and its brace.

    A file that was cut off later on is one too, so that it is called damaged and not code.
    """
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _LARGEST_HEADER_BYTES


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path, error) from error


def _read_pickle(path: Path) -> Any:
    import torch

    try:
        # The restricted unpickler calls nothing but what rebuilds tensors and containers. Of a path
        # torch would believe the ending; of an open file it reads the content.
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = _GLOBAL.search(str(error))
        if named or _is_pickle(path):
            raise _code(path, named[1] if named else "an object of unknown kind") from error
        raise _damaged(path, error) from error
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError) as error:
        if "TorchScript" in str(error):
            raise _code(path, "a TorchScript program") from error
        raise _damaged(path, error) from error


def _is_pickle(path: Path) -> bool:
    """Tell whether a file is a pickle or a zip archive with one, refused for what is in it."""
    with path.open("rb") as file:
        start = file.read(2)
    return start == b"PK" or start[:1] == b"\x80"


def _find_state(content: Any) -> dict[str, Tensor]:
    """Return the tensors of a model wherever they are nested; empty if there are none."""
    if not isinstance(content, Mapping):
        return {}
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return {str(name).removeprefix("module."): value for name, value in content.items()}
    for name in _NESTED:
        if name in content and (state := _find_state(content[name])):
            return state
    return {}


def _code(path: Path, what: str) -> PickledCodeError:
    return PickledCodeError(
        "The checkpoint holds more than weights; reading it could run code, and it was not read.",
        found=f"{what} in {path.name}",
        expected="tensors, numbers, texts and containers only",
        remedy="Ask its author for a safetensors file. If you trust it, load it in a place of its "
        "own and save the model's state_dict() alone.",
    )


def _damaged(path: Path, error: Exception) -> UnreadableCheckpointError:
    return UnreadableCheckpointError(
        "The file is no checkpoint, or a damaged one.",
        found=f"{_first_line(error)} in {path.name}",
        expected="a safetensors file or one that torch.save wrote",
        remedy="Fetch the file again and compare its checksum.",
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__
