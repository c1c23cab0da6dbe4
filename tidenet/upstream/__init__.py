"""The network as published at github.com/Son4ta/TIDE-Net, from the same modules as ours.

Weights go both ways: `from_state_dict` takes upstream's parameter names, `to_state_dict` gives
them back. `read_checkpoint` reads files of weights and never runs code that is pickled in them.
"""

from tidenet.upstream.checkpoint import read_checkpoint
from tidenet.upstream.configuration import UpstreamConfig, assumed_config, infer_config
from tidenet.upstream.errors import (
    PickledCodeError,
    UnreadableCheckpointError,
    UpstreamConfigError,
    UpstreamInputError,
    UpstreamWeightsError,
)
from tidenet.upstream.losses import amplitude_weight, losses
from tidenet.upstream.network import PublishedTideNet
from tidenet.upstream.optimised import lean_training, optimised
from tidenet.upstream.weights import from_state_dict, to_state_dict

__all__ = [
    "PickledCodeError",
    "PublishedTideNet",
    "UnreadableCheckpointError",
    "UpstreamConfig",
    "UpstreamConfigError",
    "UpstreamInputError",
    "UpstreamWeightsError",
    "amplitude_weight",
    "assumed_config",
    "from_state_dict",
    "infer_config",
    "lean_training",
    "losses",
    "optimised",
    "read_checkpoint",
    "to_state_dict",
]
