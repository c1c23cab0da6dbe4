import numpy as np
import pytest

from tidenet.configuration import TideNetConfig
from tidenet.training import train_and_hold_out
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
