"""A small published network with weights by upstream's names."""

import pytest
import torch

from tidenet.upstream import PublishedTideNet, UpstreamConfig, to_state_dict

SMALL = UpstreamConfig(
    img_channels=1, dim=32, T_in=3, T_out=2, input_shape=(16, 24), n_layers=3, spec_num=5
)


@pytest.fixture(scope="session")
def state() -> dict[str, torch.Tensor]:
    """State dict as upstream would save it."""
    torch.manual_seed(0)
    return to_state_dict(PublishedTideNet(SMALL))


@pytest.fixture
def settings() -> dict[str, object]:
    """Settings that the state was made with."""
    return {
        "input_shape": [16, 24],
        "img_channels": 1,
        "dim": 32,
        "T_in": 3,
        "T_out": 2,
        "n_layers": 3,
        "spec_num": 5,
    }
