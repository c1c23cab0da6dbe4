"""Backbones on disk: exact, checked, and only for networks that they fit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from services.tiny_training import tiny, windows

from tidenet.configuration import TideNetConfig
from tidenet.model.network import NetworkInput, TideNet
from tidenet.pretraining import (
    Backbone,
    BackboneMismatchError,
    DamagedBackboneError,
    find_backbone,
    load_backbone,
    save_backbone,
    shipped_backbones,
)
from tidenet.pretraining.backbone import SHAPE
from tidenet.pretraining.pretrain import PretrainingPlan
from tidenet.training.checkpoints import FILE
from tidenet.training.loop import fit_network

CONFIG = TideNetConfig.tiny()


def network(config: TideNetConfig, seed: int = 0) -> TideNet:
    """A network none of whose layers is zero."""
    torch.manual_seed(seed)
    made = TideNet(config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made.eval()


def some_input(config: TideNetConfig) -> NetworkInput:
    torch.manual_seed(1)
    n_channels = 1 + len(config.drivers)
    return NetworkInput(
        torch.randn(2, config.n_history, n_channels, 16, 16),
        torch.randn(2, config.n_leads, 16, 16),
        torch.randn(2, 1 + config.n_leads, 2),
        torch.ones(2, 1, 16, 16),
    )


@pytest.fixture
def saved(tmp_path: Path) -> Backbone:
    state = network(CONFIG).state_dict()
    return save_backbone(tmp_path / "b" / "mine.safetensors", state, CONFIG, {"seed": 3})


def test_weights_come_back_exactly_with_their_history(saved: Backbone) -> None:
    original, loaded = network(CONFIG), TideNet(CONFIG).eval()
    loaded.load_state_dict(load_backbone(CONFIG, saved.file))
    x = some_input(CONFIG)
    noise = torch.zeros_like(x.linear)
    torch.testing.assert_close(
        loaded(x, noise).departure, original(x, noise).departure, rtol=0, atol=0
    )
    assert saved.metadata["seed"] == 3
    assert saved.differences(CONFIG) == []
    assert set(saved.metadata["config"]) == set(SHAPE)


def test_training_options_and_the_working_grid_do_not_matter_but_shape_does(
    saved: Backbone,
) -> None:
    other = CONFIG.model_copy(update={"working_cells": 32, "n_epochs": 1, "learning_rate": 1e-4})
    assert saved.differences(other) == []
    wider = TideNetConfig.tiny(hidden_channels=16, n_history=12)
    with pytest.raises(BackboneMismatchError) as caught:
        load_backbone(wider, saved.file)
    assert "hidden_channels 8, not 16" in str(caught.value)
    assert "n_history 6, not 12" in str(caught.value)


def test_every_field_that_changes_a_tensors_shape_is_compared(saved: Backbone) -> None:
    shapes = {name: tensor.shape for name, tensor in TideNet(CONFIG).state_dict().items()}
    changes: list[dict[str, object]] = [
        {"n_history": 7},
        {"n_leads": 5},
        {"hidden_channels": 16},
        {"n_spectral_cells": 2},
        {"refiner": "none"},
        {"refiner": "diffusion"},
        {"refiner_channels": (8, 16)},
        {"fusion_channels": (8, 16)},
        {"working_cells": 40},
        {"n_patterns": 3},
        {"refiner_steps": 3},
    ]
    for change in changes:
        config = TideNetConfig.tiny(**change)
        same = {n: t.shape for n, t in TideNet(config).state_dict().items()} == shapes
        assert same == (saved.differences(config) == []), change


def test_drivers_are_made_room_for_and_not_looked_at_before_training(saved: Backbone) -> None:
    config = TideNetConfig.tiny(drivers=("sst", "wind"))
    widened = TideNet(config).eval()
    widened.load_state_dict(load_backbone(config, saved.file))
    x = some_input(config)
    flux = NetworkInput(x.history[:, :, :1], x.linear, x.season, x.mask)
    noise = torch.zeros_like(x.linear)
    torch.testing.assert_close(
        widened(x, noise).departure, network(CONFIG)(flux, noise).departure, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("damage", ["weights", "missing", "metadata", "hash"])
def test_files_that_are_not_those_that_were_written_are_refused(
    damage: str, saved: Backbone
) -> None:
    path = saved.file.with_suffix(".json")
    if damage == "weights":
        content = bytearray(saved.file.read_bytes())
        content[-3] ^= 1
        saved.file.write_bytes(content)
    elif damage == "missing":
        saved.file.unlink()
    elif damage == "metadata":
        path.write_text("{")
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": "0"}))
    with pytest.raises(DamagedBackboneError, match="mine"):
        load_backbone(CONFIG, saved.file)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the checkpoint of a training that read one driver."""
    config = tiny(n_epochs=1, drivers=("sst",))
    fitting, validation = (windows(n, config) for n in (12, 5))
    for samples in (fitting, validation):  # the driver beside the flux
        history = torch.cat([samples.x.history] * 2, dim=2)
        object.__setattr__(samples, "x", replace(samples.x, history=history))
    folder: Path = tmp_path_factory.mktemp("home") / "network0"
    fit_network(config, fitting, validation, 0, None, checkpoint=folder)
    return folder


def test_the_best_weights_of_a_checkpoint_are_a_backbone_by_folder_and_by_file(
    checkpoint: Path,
) -> None:
    config = CONFIG.model_copy(update={"drivers": ("sst",), "learning_rate": 1e-4})
    by_folder, by_file = (load_backbone(config, path) for path in (checkpoint, checkpoint / FILE))
    TideNet(config).load_state_dict(by_folder)
    for name, values in by_folder.items():
        assert torch.equal(values, by_file[name]), name


def test_a_checkpoint_of_another_shape_or_other_drivers_is_no_backbone(checkpoint: Path) -> None:
    wider = CONFIG.model_copy(update={"hidden_channels": 16, "drivers": ("wind",)})
    with pytest.raises(BackboneMismatchError, match="hidden_channels 8, not 16") as caught:
        load_backbone(wider, checkpoint)
    assert "drivers ('sst',), not ('wind',)" in caught.value.found


@pytest.mark.parametrize("content", [None, b"", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_folder_without_a_training_is_no_backbone(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DamagedBackboneError, match="no weights to start from") as caught:
        load_backbone(CONFIG, tmp_path)
    assert str(tmp_path) in caught.value.found


def test_the_package_brings_a_small_backbone_for_the_default_network() -> None:
    config = TideNetConfig()
    shipped = find_backbone(config)
    assert shipped is not None, [b.differences(config) for b in shipped_backbones()]
    assert shipped.file.stat().st_size <= 8e6
    rounds, seed = shipped.metadata["n_rounds"], shipped.metadata["plan"]["seed"]
    command = f"python -m tidenet.pretraining --rounds {rounds} --seed {seed} --threads 1"
    assert shipped.metadata["command"] == f"{command} --name {shipped.name}"
    # What the command does not say has the value that it had when the backbone was made.
    plan = PretrainingPlan(config, seed=seed, n_rounds=rounds).describe()
    assert shipped.metadata["plan"] == json.loads(json.dumps(plan))
    made = TideNet(config)
    made.load_state_dict(load_backbone(config))
    skill = shipped.metadata["skill_on_other_worlds"]
    assert np.mean(skill["damped"]) > 0
    assert np.mean(skill["linear"]) > 0


def test_a_network_of_another_shape_is_told_what_there_is() -> None:
    config = TideNetConfig(hidden_channels=64)
    assert find_backbone(config) is None
    with pytest.raises(BackboneMismatchError, match="not 64"):
        load_backbone(config)
