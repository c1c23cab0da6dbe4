"""Backbones: networks pre-trained on simulated worlds, kept as safetensors with their history.

A backbone is two files of one name: ``NAME.safetensors``, the weights, and ``NAME.json``, how they
were made: shape, seed, command, worlds, skill on worlds not trained on, and the checksum of
the weights. The package brings its own. The best weights in a training's checkpoint serve as one
too, so that a training that diverged can be gone on from.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidenet.configuration import TideNetConfig
from tidenet.errors import TidenetError
from tidenet.training.checkpoints import FILE as CHECKPOINT
from tidenet.training.checkpoints import Checkpoint, DamagedCheckpointError, read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED = Path(__file__).parents[1] / "backbones"
"""Folder of the backbones that the package brings."""

SHAPE = (
    *("n_history", "n_leads", "hidden_channels", "n_modes", "n_spectral_cells"),
    *("refiner", "refiner_channels", "fusion_channels"),
)
"""Fields of a configuration that decide whether weights fit; drivers are made room for."""


class BackboneMismatchError(TidenetError):
    """A backbone was asked for by a configuration that its weights do not fit."""


class DamagedBackboneError(TidenetError):
    """A backbone's files are missing, unreadable or not those that were written."""


@dataclass(frozen=True)
class Backbone:
    """A backbone on disk.

    Parameters
    ----------
    file
        Its weights, ``NAME.safetensors``; the metadata lie beside it.
    """

    file: Path

    @property
    def name(self) -> str:
        """Its name."""
        return self.file.stem

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """How it was made.

        Raises
        ------
        DamagedBackboneError
            If they cannot be read.
        """
        path = self.file.with_suffix(".json")
        try:
            metadata: dict[str, Any] = json.loads(path.read_text())
            TideNetConfig.model_validate(metadata["config"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedBackboneError(
                "The metadata of a backbone cannot be read.",
                found=f"{path}: {error}",
                expected="a JSON file with config and sha256",
                remedy="Install the package again, or make the backbone anew with "
                "python -m tidenet.pretraining.",
            ) from error
        return metadata

    @property
    def config(self) -> TideNetConfig:
        """A configuration that it fits; what is no matter of shape has its default."""
        return TideNetConfig.model_validate(self.metadata["config"])

    def differences(self, config: TideNetConfig) -> list[str]:
        """Return in what the shape of another network differs, in words; empty if it fits."""
        return _differences(self.config, config)

    def state(self, config: TideNetConfig) -> "dict[str, Tensor]":
        """Return the weights as the state of a network of a configuration.

        Drivers of the configuration, which no simulated world has, get weights of zero: the
        network starts by not looking at them.

        Raises
        ------
        BackboneMismatchError
            If they do not fit; the message names every difference.
        DamagedBackboneError
            If the file is not the one that was written.
        """
        _require_fit(self.name, self.config, config)
        return _make_room(self._read(), config)

    def _read(self) -> "dict[str, Tensor]":
        from safetensors.torch import load

        content = self.file.read_bytes() if self.file.is_file() else b""
        found = hashlib.sha256(content).hexdigest()
        if found != self.metadata["sha256"]:
            raise DamagedBackboneError(
                "The weights of a backbone are not those that were written.",
                found=f"{self.file}, {len(content)} bytes, sha256 {found}",
                expected=f"sha256 {self.metadata['sha256']}",
                remedy="Install the package again, or make the backbone anew with "
                "python -m tidenet.pretraining.",
            )
        state: dict[str, Tensor] = load(content)
        return state


def shipped_backbones() -> list[Backbone]:
    """Return the backbones that the package brings, by name."""
    return [Backbone(file) for file in sorted(SHIPPED.glob("*.safetensors"))]


def find_backbone(config: TideNetConfig) -> Backbone | None:
    """Return the first of the package's backbones that fits a configuration, or None."""
    fitting = (b for b in shipped_backbones() if not b.differences(config))
    return next(fitting, None)


def load_backbone(config: TideNetConfig, file: Path | None = None) -> "dict[str, Tensor]":
    """Return the weights of a backbone as the state of a network of a configuration.

    Parameters
    ----------
    config
        The network's configuration.
    file
        The backbone's safetensors file, or a training's checkpoint, by its file or folder, whose
        best weights are taken; by default the backbone of the package that fits.

    Raises
    ------
    BackboneMismatchError
        If the backbone, or every one of the package, does not fit; the message says why.
    DamagedBackboneError
        If its files are missing or not those that were written.
    """
    if file is not None:
        if file.is_dir() or file.name == CHECKPOINT:
            return _best_of_checkpoint(file if file.is_dir() else file.parent, config)
        return Backbone(file).state(config)
    fitting = find_backbone(config)
    if fitting is not None:
        return fitting.state(config)
    reasons = [f"{b.name} has {', '.join(b.differences(config))}" for b in shipped_backbones()]
    raise BackboneMismatchError(
        "The package has no backbone for this network.",
        found="; ".join(reasons) or "no backbone at all",
        expected="a network of a backbone's shape",
        remedy="Train without a backbone, leave these options at the backbone's values, or make "
        "one for them with python -m tidenet.pretraining.",
    )


def save_backbone(
    file: Path, state: "Mapping[str, Tensor]", config: TideNetConfig, history: Mapping[str, Any]
) -> Backbone:
    """Write a backbone: weights as float32, metadata beside them.

    Parameters
    ----------
    file
        ``NAME.safetensors``; its folder is made.
    state
        Of the network.
    config
        Its configuration, without drivers; the fields in `SHAPE` are kept.
    history
        How it was made, JSON-able.
    """
    from safetensors.torch import save

    file.parent.mkdir(parents=True, exist_ok=True)
    content = save({name: t.detach().float().cpu().contiguous() for name, t in state.items()})
    metadata = {
        **history,
        "config": config.model_dump(mode="json", include=set(SHAPE)),
        "n_parameters": sum(tensor.numel() for tensor in state.values()),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    file.write_bytes(content)
    file.with_suffix(".json").write_text(json.dumps(metadata, indent=1) + "\n")
    return Backbone(file)


def _best_of_checkpoint(folder: Path, config: TideNetConfig) -> "dict[str, Tensor]":
    """Return the best weights of the checkpoint in a folder, as `load_backbone`."""
    try:
        checkpoint = Checkpoint.decode(read_checkpoint(folder), folder)
        stated = checkpoint.identity["config"]
        own = TideNetConfig.model_validate({name: stated[name] for name in (*SHAPE, "drivers")})
    except (DamagedCheckpointError, ValueError, KeyError, TypeError) as error:
        raise DamagedBackboneError(
            "There are no weights to start from in this folder.",
            found=f"{folder}: {getattr(error, 'found', '') or error}",
            expected=f"{CHECKPOINT} of a training, as in training/RUN/network0 of the home folder",
            remedy="Name the folder that holds it, or another backbone.",
        ) from error
    _require_fit(str(folder), own, config)
    return checkpoint.best if own.drivers else _make_room(checkpoint.best, config)


def _differences(own: TideNetConfig, config: TideNetConfig) -> list[str]:
    """Return in what the shape of a network differs from that of weights, in words."""
    pairs = [(name, getattr(own, name), getattr(config, name)) for name in SHAPE]
    if config.refiner == own.refiner == "none":
        pairs = [pair for pair in pairs if pair[0] != "refiner_channels"]
    if own.drivers:  # there is room for those that were learned with, and for no others
        pairs.append(("drivers", own.drivers, config.drivers))
    return [f"{name} {ours}, not {theirs}" for name, ours, theirs in pairs if ours != theirs]


def _require_fit(name: str, own: TideNetConfig, config: TideNetConfig) -> None:
    """Refuse weights that do not fit a network; the message names every difference."""
    differences = _differences(own, config)
    if differences:
        raise BackboneMismatchError(
            f"The backbone {name} does not fit the network.",
            found="; ".join(differences),
            expected="the backbone's shape",
            remedy="Train without a backbone, leave these options at the backbone's values, or "
            "make one for them with python -m tidenet.pretraining.",
        )


def _make_room(state: "dict[str, Tensor]", config: TideNetConfig) -> "dict[str, Tensor]":
    """Insert zero weights for drivers behind the flux, the first channel of the encoder."""
    import torch

    if not config.drivers:
        return state
    for name in ("amplitude.encode.0.first.convolution.weight", "amplitude.encode.0.beside.weight"):
        weight = state[name]
        room = weight.new_zeros(len(weight), len(config.drivers), *weight.shape[2:])
        state[name] = torch.cat([weight[:, :1], room, weight[:, 1:]], dim=1)
    return state
