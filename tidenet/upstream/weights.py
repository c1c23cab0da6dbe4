"""Upstream's parameter names for ours, both ways."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tidenet.model.frequency import mode_position
from tidenet.model.fusion import low_pass
from tidenet.upstream.configuration import UpstreamConfig, count_cells, infer_config
from tidenet.upstream.errors import UpstreamWeightsError
from tidenet.upstream.network import PublishedTideNet

_RENAMES = (
    # Spectral cells and the refiner's two U-Nets are one list upstream: 0, 1, U-Nets, 2, ...
    (r"^amplitude\.cells\.([01])\.", r"amplinet.layers.\1."),
    (r"^amplitude\.cells\.(\d+)\.", lambda found: f"amplinet.layers.{int(found[1]) + 2}."),
    (r"^amplitude\.refiner\.(\d+)\.", lambda found: f"amplinet.layers.{int(found[1]) + 2}."),
    (r"^amplitude\.skip\.", "amplinet.tmlp."),
    (r"^amplitude\.encode\.", "amplinet.convin."),
    (r"^amplitude\.decode\.", "amplinet.convout."),
    (r"^phase\.network\.guess\.", "phasenet.pha_conv0."),
    (r"^phase\.network\.plus\.", "phasenet.phase_0."),
    (r"^phase\.network\.times\.", "phasenet.phase_1."),
    (r"^phase\.network\.times_near\.", "phasenet.phase_2."),
    (r"^phase\.network\.mix\.", "phasenet.pha_conv1."),
    (r"^fusion\.", "alphamixer."),
    (r"\.spectral\.weight(\d)$", r".amptime.w\1"),
    (r"\.spectral\.bias(\d)$", r".amptime.b\1"),
    (r"\.local\.", ".amptime.tmlp."),
    (r"(layers\.\d+)\.beside\.", r"\1.tmlp."),
    (r"\.convolutions\.", ".conv."),
    (r"(tmlp)\.first\.", r"\1.0."),
    (r"(tmlp)\.second\.", r"\1.2."),
    (r"(\.\d)\.first\.", r"\1.block1."),
    (r"(\.\d)\.second\.", r"\1.block2."),
    (r"(block\d)\.convolution\.", r"\1.proj."),
    (r"(\.\d)\.beside\.", r"\1.res_conv."),
)
_BUFFERS = ("phasenet.uv", "alphamixer.spec_mask", "spec_mask")


def from_state_dict(
    state: Mapping[str, Tensor], config: UpstreamConfig | Mapping[str, Any] | None = None
) -> PublishedTideNet:
    """Return the published network with upstream's weights, in evaluation mode.

    Parameters
    ----------
    state
        Tensors by upstream's names; they are copied. The buffers may be left out; where they are
        there they must agree with the settings.
    config
        Settings (``img_channels``, ``dim``, ``T_in``, ``T_out``, ``input_shape``, ``n_layers``,
        ``spec_num``); None to read them off the weights.

    Raises
    ------
    UpstreamConfigError
        If the settings are impossible or cannot be read off.
    UpstreamWeightsError
        If names, shapes or buffers are not those of this network; all of them are listed.
    """
    if config is None:
        config = infer_config(state)
    elif not isinstance(config, UpstreamConfig):
        config = UpstreamConfig.from_mapping(config)
    with torch.device("meta"):
        network = PublishedTideNet(config, count_cells(state) or 3)
    ours = {upstream_name(name): name for name in network.state_dict()}
    _require_match(state, network, ours)
    parameters = {
        ours[name]: _ours(name, tensor.detach().to(torch.float32, copy=True))
        for name, tensor in state.items()
        if name not in _BUFFERS
    }
    network.load_state_dict(parameters, assign=True)
    return network.eval()


def to_state_dict(network: PublishedTideNet) -> dict[str, Tensor]:
    """Return copies of the weights by upstream's names, buffers included.

    Upstream's network of the same settings loads them strictly.
    """
    state = {}
    for name, tensor in network.state_dict().items():
        theirs = upstream_name(name)
        state[theirs] = _theirs(theirs, tensor.detach().clone().contiguous())
    return state | _buffers(network.config)


def upstream_name(name: str) -> str:
    """Return upstream's name of one of our parameters."""
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _ours(name: str, tensor: Tensor) -> Tensor:
    # Upstream's complex biases have three axes of length 1 for channel and place.
    return tensor.flatten(1) if _is_complex_bias(name) else tensor.contiguous()


def _theirs(name: str, tensor: Tensor) -> Tensor:
    return tensor[:, None, None, None] if _is_complex_bias(name) else tensor


def _is_complex_bias(name: str) -> bool:
    return name.endswith((".amptime.b1", ".amptime.b2"))


def _buffers(config: UpstreamConfig) -> dict[str, Tensor]:
    height, width = config.input_shape
    mask = low_pass((height, width), config.spec_num, torch.device("cpu"))
    where = mode_position(height, width, torch.device("cpu"))
    return dict(zip(_BUFFERS, (where, mask, mask.clone()), strict=True))


def _require_match(
    state: Mapping[str, Tensor], network: PublishedTideNet, ours: Mapping[str, str]
) -> None:
    """Raise one error that lists every missing, unexpected and mis-shaped tensor."""
    buffers = _buffers(network.config)
    own = network.state_dict()
    expected = {name: _theirs(name, own[mine]).shape for name, mine in ours.items()}
    wrong = [f"{name} missing" for name in expected if name not in state]
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            wrong.append(f"{name} is no tensor")
        elif name in buffers:
            if tensor.shape != buffers[name].shape:
                wrong.append(_misshaped(name, tensor.shape, buffers[name].shape))
            elif not torch.allclose(tensor.detach().cpu().float(), buffers[name]):
                wrong.append(f"{name} belongs to another spec_num or grid")
        elif name not in expected:
            wrong.append(f"{name} unexpected")
        elif tensor.shape != expected[name]:
            wrong.append(_misshaped(name, tensor.shape, expected[name]))
    if wrong:
        raise UpstreamWeightsError(
            "The weights are not those of the published network with these settings.",
            found="; ".join(wrong),
            expected=f"{len(expected)} tensors of upstream's models/tidenet.py with "
            f"{network.config}",
            remedy="Give the settings that the weights were trained with, or leave them out to "
            "have them read off the weights.",
        )


def _misshaped(name: str, found: torch.Size, expected: torch.Size) -> str:
    return f"{name} has shape {tuple(found)}, expected {tuple(expected)}"
