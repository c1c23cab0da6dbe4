from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tidenet.configuration import TideNetConfig
from tidenet.model.network import TideNet
from tidenet.pretraining import load_backbone, save_backbone
from tidenet.training import train, train_and_hold_out
from tidenet.training.checkpoints import digest
from tidenet.training.fit import DOUBT
from tidenet.training.tracking import Tracker


class Names(Tracker):
    """A tracker that remembers what it was told about."""

    def __init__(self):
        self.seen = set()

    def log(self, values, step):
        self.seen |= set(values)


@pytest.fixture
def config() -> TideNetConfig:
    return TideNetConfig.tiny(n_epochs=1, n_networks=2, fusion_channels=(4,), backbone="none")


def test_each_network_goes_on_from_a_checkpoint_of_its_own(record, config, tmp_path):
    heard, names = [], Names()
    options = {"seed": 5, "progress": heard.append, "checkpoint": tmp_path, "tracker": names}
    one = train_and_hold_out(record, config, **options)
    assert [report.seed for report in one.reports] == [5, 6]
    assert {path.name for path in tmp_path.iterdir()} == {"network0", "network1"}
    assert {"network0/loss", "network1/loss"} <= names.seen
    assert len(heard) == 2
    (tmp_path / "network1" / "checkpoint.safetensors").unlink()
    again = train_and_hold_out(record, config, **options)
    assert len(heard) == 3  # only the second network is trained anew
    for name, values in one.forecaster.tensors().items():
        np.testing.assert_array_equal(values, again.forecaster.tensors()[name], err_msg=name)


def test_a_departure_is_followed_as_far_as_both_halves_of_the_validation_block_agree(
    record, monkeypatch
):
    def departures(network, samples):
        departed = (samples.target - samples.x.linear).numpy().copy()
        half = len(departed) // 2
        departed[:, 0] *= 2  # the right way, but too far
        departed[:, 1] *= -1  # the wrong way
        departed[:half, 2] *= -1  # the wrong way in the earlier half
        departed[half:, 3] *= 4  # too far in the later half
        return departed

    monkeypatch.setattr("tidenet.training.loop.departures", departures)
    config = TideNetConfig.tiny(n_epochs=0, n_leads=4, backbone="none")
    trained = train_and_hold_out(record, config, seed=0)
    # Of the 24 months of validation, targets of 21 windows of 4 months, 6 are independent windows.
    slopes = np.array([0.5, 0, 0, 0.25])
    for forecaster in (trained.forecaster, trained.held_out):
        np.testing.assert_allclose(forecaster.follow, slopes * 6 / (6 + DOUBT), rtol=1e-5)


def test_larger_errors_in_the_validation_block_make_the_spread_larger(record):
    config = TideNetConfig.tiny(n_epochs=0, backbone="none")
    restless = replace(record, fco2=record.fco2.copy())
    noise = np.random.default_rng(0).standard_normal((24, *record.grid.shape))
    restless.fco2[-24:] += 2 * noise.astype(np.float32)
    calm, wide = (train(known, config, seed=0).spread for known in (record, restless))
    assert calm.shape == (config.n_leads, 4)
    assert (wide > 1.2 * calm).all()


@pytest.mark.parametrize("kind", ["file", "shipped"])
def test_training_starts_from_the_backbone_that_the_options_name(record, tmp_path: Path, kind):
    if kind == "file":
        config = TideNetConfig.tiny(n_epochs=0, backbone=str(tmp_path / "mine.safetensors"))
        torch.manual_seed(9)
        save_backbone(Path(config.backbone), TideNet(config).state_dict(), config, {})
        expected = load_backbone(config, Path(config.backbone))
    else:
        config = TideNetConfig(n_epochs=0, working_cells=16)
        expected = load_backbone(config)
    trained = train_and_hold_out(record, config, seed=0)
    [network] = trained.forecaster.networks
    assert trained.reports[0].first_weights == digest(network.state_dict().values())
    for name, values in network.state_dict().items():
        assert torch.equal(values, expected[name]), name
