"""Pre-training: exact by its seed, better than what it departs from, a command that says so."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tidenet.configuration import TideNetConfig
from tidenet.errors import TrainingDivergedError
from tidenet.pretraining import Backbone
from tidenet.pretraining.pretrain import (
    TRAINING,
    VALIDATION,
    PretrainingPlan,
    PretrainingProgress,
    pretrain,
    untrained,
)
from tidenet.pretraining.worlds import WorldKind

PLAN = PretrainingPlan(
    TideNetConfig.tiny(refiner="none", n_history=3, n_leads=2, n_modes=2),
    seed=5,
    n_rounds=1,
    worlds_per_round=2,
    shapes=((8, 8), (8, 16)),
    kind=WorldKind(n_months=60),
    n_fitting=36,
    batch_size=8,
    validation_worlds=2,
)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    one, again = pretrain(PLAN), pretrain(PLAN)
    other = pretrain(replace(PLAN, seed=6))
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(tensor, again.network.state_dict()[name], rtol=0, atol=0)
    assert one.skill.describe() == again.skill.describe()
    weights = [next(iter(made.network.parameters())) for made in (one, other)]
    assert not torch.equal(*weights)


def test_no_world_comes_twice_and_validation_worlds_are_never_trained_on() -> None:
    lessons = [PLAN.lesson(TRAINING, n) for n in range(3)]
    lessons += [PLAN.lesson(VALIDATION, n) for n in range(3)]
    firsts = [lesson.samples.target[0].numpy().tobytes() for lesson in lessons]
    assert len(set(firsts)) == 6


def test_minutes_become_a_number_of_rounds_that_the_progress_tells() -> None:
    now = iter(float(second) for second in range(0, 1000, 2))  # two seconds a round
    seen: list[PretrainingProgress] = []
    plan = replace(PLAN, n_rounds=None, minutes=10 / 60, worlds_per_round=1, validation_worlds=1)
    made = pretrain(plan, seen.append, clock=lambda: next(now))
    assert made.n_rounds == 5
    assert [progress.n_rounds for progress in seen] == [None, None, 5, 5, 5]
    assert made.n_windows == 5 * len(plan.lesson(TRAINING, 0))


def test_training_learns_more_than_the_linear_forecast_knows() -> None:
    plan = replace(PLAN, n_rounds=6, learning_rate=5e-3, ema_decay=0.9, validation_worlds=4)
    skill = pretrain(plan).skill
    assert np.mean(skill.linear) > 0
    untrained = pretrain(replace(plan, n_rounds=0)).skill
    np.testing.assert_allclose(untrained.linear, 0.0, atol=1e-6)
    np.testing.assert_allclose(untrained.climatology, untrained.linear_alone)


def test_it_starts_from_a_network_that_departs_nowhere_and_whose_amplitude_branch_is_heard() -> (
    None
):
    samples = PLAN.lesson(TRAINING, 0).samples
    network = untrained(PLAN.config, seed=1)
    departure = network(samples.x, torch.zeros_like(samples.x.linear)).departure
    torch.testing.assert_close(departure, torch.zeros_like(departure), rtol=0, atol=1e-6)
    (departure + samples.x.linear - samples.target).square().mean().backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    decode = gradients["amplitude.decode.2.weight"]
    assert decode is not None
    assert float(decode.abs().max()) > 1e-4


def test_a_loss_that_is_no_number_stops_it() -> None:
    with pytest.raises(TrainingDivergedError, match="round"):
        pretrain(replace(PLAN, learning_rate=1e30, n_rounds=4))


def test_the_command_writes_a_backbone_with_the_command_that_makes_it_again(
    tmp_path: Path,
) -> None:
    config = TideNetConfig.tiny(refiner="none", n_history=2, n_leads=2)
    (tmp_path / "shape.json").write_text(config.model_dump_json())
    options = ["--rounds", "0", "--seed", "4", "--config", str(tmp_path / "shape.json")]
    options += ["--name", "tiny", "--out", str(tmp_path), "--validation-worlds", "1"]
    # A process of its own, because the command chooses how many threads its process uses.
    done = subprocess.run(
        [sys.executable, "-m", "tidenet.pretraining", *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    backbone = Backbone(tmp_path / "tiny.safetensors")
    assert backbone.differences(config) == []
    wanted = "--rounds 0 --seed 4 --config shape.json --validation-worlds 1 --threads 1"
    wanted += " --name tiny"
    assert backbone.metadata["command"] == f"python -m tidenet.pretraining {wanted}"
    assert json.loads((tmp_path / "tiny.json").read_text())["n_rounds"] == 0
    assert "tiny.safetensors" in done.stdout
