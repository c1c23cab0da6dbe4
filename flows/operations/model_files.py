"""The files of a model that comes from elsewhere: fetched with limits, never executed.

A model is two files in one folder, ``weights.safetensors`` and ``model.json``, or one checkpoint of
the research code. Content decides what a file is, not its name.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flows.operations.workspace import Workspace
from storage.errors import TidenetError
from storage.weights import METADATA, WEIGHTS, model_digest

if TYPE_CHECKING:
    from torch import Tensor

    from tidenet.upstream import UpstreamConfig

LARGEST_MODEL_BYTES = 2_000_000_000
LARGEST_METADATA_BYTES = 50_000_000
_FILE_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".json")


class ModelFileError(TidenetError):
    """A file or folder is no model that can be taken in."""


class ModelTooLargeError(ModelFileError):
    """A model is larger than any of this network can be."""


class WrongChecksumError(ModelFileError):
    """A model does not have the checksum that was asked for."""


@dataclass(frozen=True)
class ModelFiles:
    """A model's files on the local disk.

    Parameters
    ----------
    origin
        Where they are from, without credentials.
    name
        Name of the folder or file that they are from.
    weights
        File with the weights.
    metadata
        File with all else; None where there is none: it may be one of the research code then.
    """

    origin: str
    name: str
    weights: Path
    metadata: Path | None

    def require_checksum(self, sha256: str) -> None:
        """Compare with a checksum: of the weights file alone, or of both files (as registered).

        Raises
        ------
        WrongChecksumError
            If neither is it.
        """
        weights = self.weights.read_bytes()
        found = {"weights file": hashlib.sha256(weights).hexdigest()}
        if self.metadata is not None:
            found["model"] = model_digest(weights, self.metadata.read_bytes())
        if sha256.strip().lower() not in found.values():
            raise WrongChecksumError(
                f"{self.origin} is not what was asked for.",
                found="; ".join(f"SHA-256 of the {of}: {value}" for of, value in found.items()),
                expected=f"SHA-256 {sha256}",
                remedy="Ask its author for the checksum again; do not use the file if it differs.",
            )


def fetch_model(workspace: Workspace, source: str, folder: Path) -> ModelFiles:
    """Bring a model's files to the local disk.

    Parameters
    ----------
    workspace
        How long to wait for the outside.
    source
        A folder or file, local or at an ``http(s)://`` or ``s3://`` URL.
    folder
        Where to put remote files.

    Raises
    ------
    SourceUnavailableError
        If it cannot be had, named more closely.
    ModelTooLargeError, ModelFileError
        If it is too large, or there is none.
    """
    from ingest.sources.addresses import file_name_of, is_local, public_url
    from ingest.sources.errors import SourceFileMissingError
    from tidenet.upstream.checkpoint import is_safetensors

    address = source.strip().rstrip("/")
    path = urlsplit(address).path if "://" in address else address
    is_file = path.lower().endswith(_FILE_ENDINGS)
    if is_local(address):
        is_file = Path(address.removeprefix("file://")).is_file()
    name = file_name_of(address.partition("?")[0])
    beside = _parent(address) if is_file else address
    weights_at = address if is_file else _joined(address, WEIGHTS)
    weights = _fetched(workspace, weights_at, folder / "weights", LARGEST_MODEL_BYTES)
    metadata = None
    if is_safetensors(weights):
        at = _joined(beside, METADATA)
        with suppress(ModelFileError, SourceFileMissingError):
            metadata = _fetched(workspace, at, folder / "metadata", LARGEST_METADATA_BYTES)
    return ModelFiles(
        public_url(address),
        Path(beside.partition("?")[0]).name if metadata else name,
        weights,
        metadata,
    )


@dataclass(frozen=True)
class ResearchCheckpoint:
    """What a checkpoint of the research code holds.

    Parameters
    ----------
    state
        Tensors by upstream's names.
    config
        The network's settings, read off them.
    notes
        What had to be assumed.
    """

    state: "dict[str, Tensor]"
    config: "UpstreamConfig"
    notes: tuple[str, ...]


def research_checkpoint(files: ModelFiles) -> ResearchCheckpoint:
    """Read a model without metadata, which has to be a checkpoint of the research code.

    Raises
    ------
    PickledCodeError
        If reading it could run code.
    ModelFileError
        If it holds the weights of something else.
    UnreadableCheckpointError, UpstreamConfigError, UpstreamWeightsError
        If it is damaged, or not whole.
    """
    from tidenet.upstream import assumed_config, from_state_dict, read_checkpoint

    state = read_checkpoint(files.weights)
    if not any(name.startswith("amplinet.") for name in state):
        raise ModelFileError(
            f"{files.origin} holds weights alone, and not those of the research code.",
            found=f"tensors {', '.join(sorted(state)[:3])} ... and no {METADATA} beside them",
            expected=f"{WEIGHTS} and {METADATA} in one folder, or a checkpoint of the research "
            "code",
            remedy=f"Put the {METADATA} of the same model beside the weights.",
        )
    config, notes = assumed_config(state)
    from_state_dict(state, config)  # refuses missing, strange and misshapen tensors
    return ResearchCheckpoint(state, config, notes)


def _fetched(workspace: Workspace, url: str, folder: Path, limit_bytes: int) -> Path:
    from ingest.errors import FileTooLargeError
    from ingest.sources.addresses import file_name_of, is_local, public_url
    from ingest.sources.downloads import Downloads
    from ingest.sources.listing import ProductFile

    if is_local(url) and not Path(url.removeprefix("file://")).is_file():
        raise ModelFileError(
            "There is no model here.",
            found=f"no file {url}",
            expected=f"a folder with {WEIGHTS} and {METADATA}, or a weights file",
            remedy="Correct the path; a model's folder is in TIDENET_MODELS under its version.",
        )
    settings = workspace.settings
    downloads = Downloads(
        folder,
        timeout_s=settings.timeout_s,
        attempts=settings.attempts,
        limit_bytes=limit_bytes,
    )
    public = public_url(url)
    wanted = ProductFile(public, file_name_of(public), None, 0)
    try:
        return downloads.fetch(wanted, url).path
    except FileTooLargeError as error:
        raise ModelTooLargeError(
            f"{public} is too large for a model.",
            found=error.found,
            expected=error.expected,
            remedy="Look at the file; it is not what its name says.",
        ) from error


def _joined(address: str, name: str) -> str:
    before, mark, parameters = address.partition("?")
    return f"{before.rstrip('/')}/{name}{mark}{parameters}"


def _parent(address: str) -> str:
    before, mark, parameters = address.partition("?")
    parent = before.rpartition("/")[0] if "/" in before else "."
    return f"{parent}{mark}{parameters}"
