"""Checkpoints: a training run on disk, from which it goes on bit for bit after it was killed.

A checkpoint is one safetensors file, replaced as a whole: weights, averaged weights, best weights
and the optimiser's moments as tensors, all the rest as JSON in the file's header. There is no
random state in it, because every draw is made from seed, epoch and batch alone.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidenet.errors import TidenetError

if TYPE_CHECKING:
    from torch import Tensor

FILE = "checkpoint.safetensors"
FORMAT = 1
_HEADER = "training"


class CheckpointMismatchError(TidenetError):
    """A checkpoint belongs to another training: other options, data, seed or first weights."""


class DamagedCheckpointError(TidenetError):
    """A checkpoint's file is not one that a training wrote."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a training run stands.

    Parameters
    ----------
    tensors
        Name to tensor, on the CPU.
    facts
        All the rest, JSON-able.
    identity
        What decides the result, JSON-able: a run goes on only from a checkpoint of the same.
    """

    tensors: "Mapping[str, Tensor]"
    facts: Mapping[str, Any]
    identity: Mapping[str, Any]

    @property
    def best(self) -> "dict[str, Tensor]":
        """The best weights so far, as a network's state: for example of one that diverged."""
        prefix = "best."
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}

    def encode(self) -> bytes:
        """Return the content of a file."""
        from safetensors.torch import save

        header = {"format": FORMAT, "facts": self.facts, "identity": self.identity}
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.tensors.items()}
        return save(tensors, {_HEADER: json.dumps(header)})

    @classmethod
    def decode(cls, content: bytes, folder: Path) -> "Checkpoint":
        """Return what the content of a file says.

        Raises
        ------
        DamagedCheckpointError
            If it was not written by `encode`.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            length = int.from_bytes(content[:8], "little")
            header = json.loads(content[8 : 8 + length])["__metadata__"][_HEADER]
            stated = json.loads(header)
            if stated["format"] != FORMAT:
                raise ValueError(f"format {stated['format']}")
            return cls(load(content), stated["facts"], stated["identity"])
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DamagedCheckpointError(
                "A checkpoint of training cannot be read.",
                found=f"{folder / FILE}, {len(content)} bytes: {type(error).__name__} {error}",
                expected=f"a safetensors file of a training run, format {FORMAT}",
                remedy=f"Remove {folder} to train from the start.",
            ) from error


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a folder, which is made; a kill leaves the old one or the new."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{FILE}.part"
    with part.open("wb") as file:
        file.write(checkpoint.encode())
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE)


def has_checkpoint(folder: Path) -> bool:
    """Return whether there is a checkpoint in a folder."""
    return (folder / FILE).is_file()


def read_checkpoint(folder: Path) -> bytes:
    """Return the content of a folder's checkpoint; empty if there is none."""
    try:
        return (folder / FILE).read_bytes()
    except FileNotFoundError:
        return b""


def require_same(found: Mapping[str, Any], expected: Mapping[str, Any], folder: Path) -> None:
    """Refuse a checkpoint of another training.

    Raises
    ------
    CheckpointMismatchError
        The message names every difference.
    """
    ours, theirs = _flat(expected), _flat(found)
    differences = [
        f"{name} {theirs.get(name)!r}, not {ours.get(name)!r}"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
    if differences:
        raise CheckpointMismatchError(
            "The checkpoint belongs to another training.",
            found="; ".join(differences),
            expected=f"the options, data, seed and first weights of the training in {folder}",
            remedy=f"Train with those of the checkpoint, or remove {folder} to train from the "
            "start.",
        )


def digest(tensors: "Iterable[Tensor]") -> str:
    """Return the SHA-256 of the values and shapes of tensors, hexadecimal."""
    total = hashlib.sha256()
    for tensor in tensors:
        values = tensor.detach().cpu().contiguous().numpy()
        total.update(repr((values.shape, str(values.dtype))).encode())
        total.update(values.tobytes())
    return total.hexdigest()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted names; sequences as JSON gives them back."""
    flat: dict[str, Any] = {}
    for name, value in json.loads(json.dumps(values)).items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
