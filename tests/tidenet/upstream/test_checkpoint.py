import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from tidenet.upstream import (
    PickledCodeError,
    UnreadableCheckpointError,
    from_state_dict,
    read_checkpoint,
)


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_safetensors_are_read_whatever_the_name(tmp_path, state):
    save_file(state, tmp_path / "weights.bin")
    same(read_checkpoint(tmp_path / "weights.bin"), state)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_state_dict_is_read_whatever_the_name(tmp_path, state, zipped, name):
    torch.save(state, tmp_path / name, _use_new_zipfile_serialization=zipped)
    same(read_checkpoint(tmp_path / name), state)


def test_a_training_checkpoint_gives_the_weights_of_its_model(tmp_path, state):
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    averaged = {name: tensor + 1 for name, tensor in state.items() if tensor.is_floating_point()}
    checkpoint = {"step": 7, "ema": averaged, "model": parallel, "opt": {"lr": 1e-4}}
    torch.save(checkpoint, tmp_path / "ckpt-7.pt")
    read = read_checkpoint(tmp_path / "ckpt-7.pt")
    same(read, state)
    assert from_state_dict(read).config.T_in == 3


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["evil.pt", "evil.safetensors"])
def test_pickled_code_is_refused_and_never_runs(tmp_path, state, zipped, name):
    made = tmp_path / "made-by-code"
    content = {"model": state, "args": Malicious(made)}
    torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
    with pytest.raises(PickledCodeError, match="system") as error:
        read_checkpoint(tmp_path / name)
    assert "safetensors" in error.value.remedy
    assert not made.exists()


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_with_code_is_refused_and_never_runs(tmp_path, protocol):
    made = tmp_path / "made-by-code"
    (tmp_path / "evil.bin").write_bytes(pickle.dumps(Malicious(made), protocol))
    with pytest.raises(PickledCodeError):
        read_checkpoint(tmp_path / "evil.bin")
    assert not made.exists()


def test_a_whole_pickled_model_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(PickledCodeError, match="Linear"):
        read_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint at all", b"\x10" + bytes(7) + b"{oops"]
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableCheckpointError, match=name):
        read_checkpoint(tmp_path / name)


def test_a_cut_off_checkpoint_is_refused(tmp_path, state):
    torch.save(state, tmp_path / "weights.pt")
    whole = (tmp_path / "weights.pt").read_bytes()
    (tmp_path / "weights.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableCheckpointError):
        read_checkpoint(tmp_path / "weights.pt")


@pytest.mark.parametrize("kept", [12, 1000])
def test_safetensors_that_were_cut_off_are_called_damaged_and_not_code(tmp_path, kept):
    # A header of this length begins like a pickle.
    header = b"\x80\x01" + bytes(6) + b'{"w":{"dtype":"F32","shape":[300],"data_offsets":[0,1200]}}'
    (tmp_path / "weights.pt").write_bytes((header.ljust(8 + 0x180) + bytes(1200))[:kept])
    with pytest.raises(UnreadableCheckpointError, match="SafetensorError"):
        read_checkpoint(tmp_path / "weights.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableCheckpointError, match="FileNotFoundError"):
        read_checkpoint(tmp_path / "none.pt")


def test_a_checkpoint_without_weights_is_refused(tmp_path):
    torch.save({"step": 3, "model": {}}, tmp_path / "empty.pt")
    with pytest.raises(UnreadableCheckpointError, match="no weights"):
        read_checkpoint(tmp_path / "empty.pt")
