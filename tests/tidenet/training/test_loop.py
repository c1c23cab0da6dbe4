import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from services.tiny_training import fit, tiny, windows
from torch.nn.modules.module import register_module_forward_pre_hook

from tidenet.errors import TrainingDivergedError
from tidenet.model.network import TideNet
from tidenet.pretraining import load_backbone
from tidenet.training.batches import draw_batch, own_rows, part_loss
from tidenet.training.checkpoints import (
    FILE,
    CheckpointMismatchError,
    DamagedCheckpointError,
)
from tidenet.training.loop import departures, fit_network
from tidenet.training.memory import NotEnoughMemoryError

ROOT = Path(__file__).parents[3]


def start(*arguments: object, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a tiny training in a process of its own."""
    found = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-m", "services.tiny_training", *map(str, arguments)]
    return subprocess.Popen(command, env=found | environment, cwd=ROOT)


def assert_same(one, other, tolerance=0.0):
    assert one.keys() == other.keys()
    for name, values in one.items():
        torch.testing.assert_close(other[name], values, rtol=0, atol=tolerance, msg=name)


@pytest.fixture(scope="module")
def undisturbed():
    """Network and report of the tiny training."""
    return fit(tiny())


@pytest.fixture
def few_windows_fit():
    """Make networks run out of memory as soon as they are given more windows than so many."""
    hooks = []

    def limit(most: int) -> None:
        def forward(module, given):
            if isinstance(module, TideNet) and len(given[0].linear) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

        hooks.append(register_module_forward_pre_hook(forward))

    yield limit
    for hook in hooks:
        hook.remove()


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, undisturbed):
    whole, expected = undisturbed
    threads = str(torch.get_num_threads())
    folder = tmp_path / "checkpoint"
    # The clock is read twice per epoch and once per step: 7 steps are done, of 4 per epoch.
    killed = start(tmp_path, "--checkpoint", folder, "--die-at", 8, OMP_NUM_THREADS=threads)
    assert killed.wait() == -signal.SIGKILL
    heard = []
    config = tiny()
    resumed, report = fit_network(
        config,
        windows(20, config),
        windows(5, config, seed=1),
        3,
        heard.append,
        checkpoint=folder,
    )
    assert [now.epoch for now in heard] == [2]
    assert_same(whole.state_dict(), resumed.state_dict())
    assert report.losses == expected.losses
    assert report.validation_losses == expected.validation_losses
    assert report.seconds > 1000  # the time before the kill counts


def test_two_processes_come_to_the_result_of_one(tmp_path):
    # The second batch of an epoch has one window, which leaves a process without any.
    changes = {"batch_size": 19, "refiner": "diffusion", "n_epochs": 1}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    there = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }
    told = json.dumps(changes)
    both = [start(tmp_path, "--config", told, **there, RANK=r, LOCAL_RANK=r) for r in "01"]
    one, report = fit(tiny(**changes))
    assert [process.wait() for process in both] == [0, 0]
    results = [load_file(tmp_path / f"of2-{rank}.safetensors") for rank in "01"]
    assert_same(results[0], results[1])
    assert_same(one.state_dict(), results[0], tolerance=2e-5)
    assert report.n_processes == 1


@pytest.mark.parametrize("refiner", ["unet", "diffusion", "none"])
def test_the_losses_of_all_parts_sum_to_that_of_the_batch(refiner):
    config = tiny(refiner=refiner, phase_loss=0.5)
    batch = draw_batch(windows(20, config), torch.arange(7), 3, 1, 1)
    torch.manual_seed(0)
    network = TideNet(config)
    for parameter in network.parameters():  # the last layers start at zero
        parameter.data += 0.05 * torch.randn_like(parameter)
    shares, cpu = batch.shares(network.n_modes), torch.device("cpu")

    @torch.no_grad()
    def loss(rows):
        return float(part_loss(network, batch, rows, shares, config, cpu))

    whole = loss(torch.arange(7))
    parts = [rows for process in range(3) for rows in own_rows(7, process, 3, 2)]
    assert torch.equal(torch.cat(parts), torch.arange(7))
    assert sum(map(loss, parts)) == pytest.approx(whole, rel=1e-5)


def test_a_step_worked_off_in_parts_is_the_same_step(undisturbed):
    whole, _ = undisturbed
    parts, report = fit(tiny(accumulate_batches=4))
    assert report.batch_size_used == 2
    assert_same(whole.state_dict(), parts.state_dict(), tolerance=2e-5)


def test_out_of_memory_halves_what_is_in_memory_and_not_the_step(few_windows_fit, undisturbed):
    whole, expected = undisturbed
    few_windows_fit(2)
    halved, report = fit(tiny())
    assert (expected.batch_size_used, expected.halvings) == (6, 0)
    assert (report.batch_size_used, report.halvings) == (2, 2)
    assert_same(whole.state_dict(), halved.state_dict(), tolerance=2e-5)


def test_a_window_that_does_not_fit_alone_stops_training_by_name(few_windows_fit):
    few_windows_fit(0)
    with pytest.raises(NotEnoughMemoryError, match="one window"):
        fit(tiny())


def test_validation_goes_on_window_by_window_before_it_gives_up(few_windows_fit, undisturbed):
    network, _ = undisturbed
    samples = windows(5, tiny(), seed=1)
    whole = departures(network, samples)
    few_windows_fit(1)
    np.testing.assert_allclose(departures(network, samples), whole, atol=1e-5)
    few_windows_fit(0)
    with pytest.raises(NotEnoughMemoryError, match="cpu ran out of memory"):
        departures(network, samples)


def test_a_loss_that_turns_nan_says_where_and_leaves_the_best_weights(tmp_path):
    config = tiny()
    fitting, validation = windows(20, config), windows(5, config, seed=1)

    def poison(now):
        fitting.target[...] = torch.nan

    with pytest.raises(TrainingDivergedError) as stopped:
        fit_network(config, fitting, validation, 3, poison, checkpoint=tmp_path)
    place, _, months = stopped.value.found.partition("; init months ")
    assert place.endswith("in epoch 2, batch 1 of 4, step 5")
    assert len(set(months.split(", ")) & {str(m) for m in fitting.init_months}) == 6
    told = f"tidenet train --fresh --backbone {tmp_path} --learning-rate 0.0005, "
    assert told in stopped.value.remedy
    # The weights of the epoch before, as they were averaged.
    averaged = load_file(tmp_path / FILE)["averaged"]
    best = load_backbone(config, tmp_path)
    network, _ = fit(tiny(n_epochs=0), initial=best)
    assert torch.equal(torch.cat([p.flatten() for p in network.parameters()]), averaged)


def test_a_loss_that_turns_nan_before_any_epoch_names_no_weights_to_go_on_from(tmp_path):
    ticks = itertools.count(step=1000)  # every step writes a checkpoint
    with pytest.raises(TrainingDivergedError, match="epoch 1, batch 2 of 4") as stopped:
        fit(tiny(learning_rate=1e30), checkpoint=tmp_path, clock=ticks.__next__)
    assert (tmp_path / FILE).exists()
    assert "--backbone" not in stopped.value.remedy


def test_a_gradient_that_turns_nan_never_reaches_the_weights():
    with pytest.raises(TrainingDivergedError, match="epoch 1, batch 2 of 4"):
        fit(tiny(learning_rate=1e30))


def test_a_finished_training_is_not_done_again(tmp_path):
    one, report = fit(tiny(), checkpoint=tmp_path)
    config, heard = tiny(), []
    again = (windows(20, config), windows(5, config, seed=1), 3, heard.append)
    other, second = fit_network(config, *again, checkpoint=tmp_path)
    assert not heard
    assert second == report
    assert_same(one.state_dict(), other.state_dict())


def test_a_checkpoint_of_another_training_is_refused_with_every_difference(tmp_path):
    fit(tiny(), checkpoint=tmp_path)
    config = tiny(learning_rate=0.5)
    data = (windows(19, config), windows(5, config, seed=1))
    with pytest.raises(CheckpointMismatchError) as refused:
        fit_network(config, *data, 4, None, checkpoint=tmp_path)
    for part in (
        "config.learning_rate 0.002, not 0.5",
        "fitting.windows 20, not 19",
        "fitting.last '2002-08', not '2002-07'",
        "first_weights",
        "seed 3, not 4",
    ):
        assert part in refused.value.found
    assert "validation" not in refused.value.found


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path):
    fit(tiny(n_epochs=1), checkpoint=tmp_path)
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DamagedCheckpointError, match=FILE):
        fit(tiny(n_epochs=1), checkpoint=tmp_path)


def test_the_weights_that_training_starts_from_stay_if_nothing_is_better(
    undisturbed,
):
    good, first = undisturbed
    kept, report = fit(tiny(learning_rate=0.3), initial=good.state_dict())
    assert report.best_epoch == 0
    assert_same(good.state_dict(), kept.state_dict())
    _, report = fit(tiny(n_epochs=1), initial=good.state_dict())
    assert report.best_epoch == 1
    assert report.losses[0] < first.losses[0]


def test_bf16_trains_float32_weights_to_nearly_the_same_losses(undisturbed):
    _, expected = undisturbed
    reduced, report = fit(tiny(precision="bf16"))
    assert report.precision == "bf16"
    assert {values.dtype for values in reduced.state_dict().values()} == {torch.float32}
    assert report.losses != expected.losses
    assert report.losses == pytest.approx(expected.losses, rel=0.03)


def test_the_report_tells_how_it_went(undisturbed):
    _, report = undisturbed
    told = report.describe()
    assert told["seed"] == 3
    assert told["device"] == "cpu"
    assert len(told["losses"]) == len(told["validation_losses"]) == 2
    assert told["best_epoch"] == 1 + min(range(2), key=report.validation_losses.__getitem__)
    assert told["seconds"] > 0


def one_epoch(**changes):
    """Weights after an epoch of two steps, and its loss."""
    config = {"n_epochs": 1, "batch_size": 10, "refiner": "diffusion"} | changes
    network, report = fit(tiny(**config))
    return torch.cat([p.detach().flatten() for p in network.parameters()]), report.losses[0]


@pytest.fixture(scope="module")
def first_epoch():
    return one_epoch()


@pytest.mark.parametrize(
    ("name", "value"), [("weight_decay", 2.0), ("amplitude_loss", 0.0), ("refiner_loss", 2.0)]
)
def test_every_weight_of_the_loss_changes_what_is_learned(name, value, first_epoch):
    (plain, loss), (weights, other) = first_epoch, one_epoch(**{name: value})
    assert (weights - plain).abs().max() > 1e-4
    if name == "weight_decay":
        assert weights.norm() < plain.norm()
    else:
        assert (other > loss) == (value > 0)
