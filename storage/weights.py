"""Model weights: safetensors and JSON, named after their content. Never pickle.

A version is ``<name>-<first 8 digits of the SHA-256 over weights and metadata>``. The same content
gets the same version, and a version never changes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import TidenetError
from storage.locations import Location, Patience, storage_errors
from storage.publishing import AlreadyPublishedError, is_published, publish

WEIGHTS = "weights.safetensors"
METADATA = "model.json"
DEFAULT_PATIENCE = Patience()


class MissingWeightsError(TidenetError):
    """There are no weights at a URL."""


class CorruptWeightsError(TidenetError):
    """Stored weights or their metadata are not what was written."""


@dataclass(frozen=True)
class StoredModel:
    """Where a model is.

    Parameters
    ----------
    uri
        Its URL, without credentials.
    sha256
        Hexadecimal digest over weights and metadata.
    version
        Its name: the last part of the URL.
    """

    uri: str
    sha256: str
    version: str


def save_model(
    models_url: str | Path,
    name: str,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
    patience: Patience = DEFAULT_PATIENCE,
) -> StoredModel:
    """Write a model under a version made from its content; the same model twice changes nothing.

    Parameters
    ----------
    models_url
        Folder or ``s3://`` prefix of all models.
    name
        Beginning of the version, for example ``tidenet-20171201``.
    tensors
        Name to array.
    metadata
        What else is needed to use them; JSON, without NaN.
    patience
        How long to wait for the store.

    Raises
    ------
    CorruptWeightsError
        If other content is stored under this version.
    StoreUnavailableError
        If the place cannot be written to; nothing is visible there then.
    ValueError, TypeError
        If the metadata are not JSON.
    """
    return save_files(models_url, name, *model_files(tensors, metadata), patience)


def model_files(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> tuple[bytes, bytes]:
    """Return the content of a model's two files, weights and metadata. As for `save_model`."""
    from safetensors.numpy import save

    # safetensors writes the buffer as it lies in memory: it must be in C order.
    weights = save({key: np.asarray(value, order="C") for key, value in tensors.items()})
    text = json.dumps(dict(metadata), sort_keys=True, indent=1, allow_nan=False).encode()
    return weights, text


def save_files(
    models_url: str | Path,
    name: str,
    weights: bytes,
    text: bytes,
    patience: Patience = DEFAULT_PATIENCE,
) -> StoredModel:
    """Write a model that is given as its two files, byte by byte. Otherwise as `save_model`.

    Parameters
    ----------
    models_url, name, patience
        As for `save_model`.
    weights, text
        Content of ``weights.safetensors`` and of ``model.json``; see `parse_model`.
    """
    sha256 = model_digest(weights, text)
    version = f"{name}-{sha256[:8]}"
    location = Location.parse(models_url).joined(version)

    def fill(folder: Path) -> None:
        (folder / WEIGHTS).write_bytes(weights)
        (folder / METADATA).write_bytes(text)

    try:
        publish(location, patience, fill, METADATA)
    except AlreadyPublishedError:
        load_model(location.url, sha256, patience)
    return StoredModel(location.url, sha256, version)


def load_model(
    uri: str | Path, sha256: str, patience: Patience = DEFAULT_PATIENCE
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and metadata of a model, after comparing them with their checksum.

    Raises
    ------
    MissingWeightsError
        If there is no complete model.
    CorruptWeightsError
        If a byte differs from what was written, or the files cannot be read.
    StoreUnavailableError
        If the place cannot be reached.
    """
    location = Location.parse(uri)
    weights, text = _read(location, patience)
    found = model_digest(weights, text)
    if found != sha256:
        raise _corrupt(location.url, found=f"SHA-256 {found}", expected=f"SHA-256 {sha256}")
    return parse_model(weights, text, location.url)


def parse_model(
    weights: bytes, text: bytes, place: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and metadata that a model's two files hold.

    Parameters
    ----------
    weights, text
        Content of ``weights.safetensors`` and of ``model.json``.
    place
        Where they are from, for messages.

    Raises
    ------
    CorruptWeightsError
        If they cannot be read. Nothing in them is ever executed.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors, metadata = load(weights), json.loads(text)
    except (SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise _corrupt(place, found=f"{type(error).__name__}: {error}") from error
    if not isinstance(metadata, dict):
        raise _corrupt(place, found=f"a {type(metadata).__name__} as metadata", expected="a table")
    return tensors, metadata


def _read(location: Location, patience: Patience) -> tuple[bytes, bytes]:
    missing = MissingWeightsError(
        "There is no complete model here.",
        found=f"nothing complete at {location.url}",
        expected=f"{WEIGHTS} and {METADATA}",
        remedy="Check TIDENET_MODELS, restore the folder from its last copy, or train again.",
    )
    if not is_published(location, patience, METADATA):
        raise missing
    filesystem = location.filesystem(patience)
    with storage_errors(location, "read"):
        try:
            weights = filesystem.cat_file(f"{location.path}/{WEIGHTS}")
            text = filesystem.cat_file(f"{location.path}/{METADATA}")
        except FileNotFoundError as error:
            raise missing from error
    return weights, text


def model_digest(weights: bytes, text: bytes) -> str:
    """Return the hexadecimal SHA-256 over a model's two files."""
    # The length keeps bytes from moving between the two files unnoticed.
    return hashlib.sha256(len(weights).to_bytes(8, "big") + weights + text).hexdigest()


def _corrupt(place: str, found: str, expected: str = "") -> CorruptWeightsError:
    return CorruptWeightsError(
        f"The model at {place} is damaged.",
        found=found,
        expected=expected,
        remedy="Restore the folder from its last copy, or train again; never use it as it is.",
    )
