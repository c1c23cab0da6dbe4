"""Settings of the published network, and how they are read off its weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidenet.upstream.errors import UpstreamConfigError

if TYPE_CHECKING:
    from torch import Tensor

WIDTH_MULTIPLE = 32
"""The U-Nets' group norms have 32 groups."""

SIZE_MULTIPLE = 8
"""The fusion U-Net halves height and width three times."""


DEFAULT_MODES, DEFAULT_SHAPE = 20, (128, 128)
"""Upstream's ``spec_num`` and ``input_shape`` where training does not set them."""


@dataclass(frozen=True)
class UpstreamConfig:
    """Settings of the published network, by upstream's names.

    Parameters
    ----------
    img_channels
        Channels of a frame.
    dim
        Hidden width, a multiple of 32.
    T_in, T_out
        Months in and out.
    input_shape
        Height and width of the frames that it was trained on, multiples of 8. Only exported
        buffers depend on it.
    n_layers
        Spectral cells that are asked for. Upstream builds three whatever this says, so that loaded
        weights, not this, tell how many there are.
    spec_num
        Low modes per direction that alpha holds and the phase loss counts.
    """

    img_channels: int
    dim: int
    T_in: int
    T_out: int
    input_shape: tuple[int, int]
    n_layers: int = 3
    spec_num: int = DEFAULT_MODES

    def __post_init__(self) -> None:
        wrong = [
            f"{name} {value}"
            for name, value in vars(self).items()
            if name != "input_shape" and value < 1
        ]
        if self.dim % WIDTH_MULTIPLE:
            wrong.append(f"dim {self.dim}, not a multiple of {WIDTH_MULTIPLE}")
        if len(self.input_shape) != 2 or any(s < 1 or s % SIZE_MULTIPLE for s in self.input_shape):
            wrong.append(f"input_shape {self.input_shape}, not multiples of {SIZE_MULTIPLE}")
        if wrong:
            raise UpstreamConfigError(
                "The published network cannot have these settings.",
                found="; ".join(wrong),
                expected="positive numbers, dim a multiple of 32, height and width of 8",
                remedy="Give the settings that the weights were trained with.",
            )

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> "UpstreamConfig":
        """Return settings from a mapping such as upstream's ``get_model`` takes.

        Settings of the loss and any others that give the network no shape are passed over.

        Raises
        ------
        UpstreamConfigError
            If one is missing or impossible.
        """
        known = {name: settings[name] for name in cls.__annotations__ if name in settings}
        missing = [
            name
            for name in ("img_channels", "dim", "T_in", "T_out", "input_shape")
            if name not in known
        ]
        if missing:
            raise UpstreamConfigError(
                "Settings of the published network are missing.",
                found=f"no {', '.join(missing)}",
                expected=", ".join(cls.__annotations__),
                remedy="Add them, or leave the settings out to have them read off the weights.",
            )
        try:
            height, width = (int(side) for side in known.pop("input_shape"))
            numbers = {name: int(value) for name, value in known.items()}
        except (TypeError, ValueError) as error:
            raise UpstreamConfigError(
                "A setting of the published network is not a whole number.",
                found=error,
                expected="whole numbers, and two of them for input_shape",
                remedy="Correct the setting.",
            ) from error
        return cls(input_shape=(height, width), **numbers)


def infer_config(
    state: "Mapping[str, Tensor]",
    *,
    spec_num: int | None = None,
    input_shape: tuple[int, int] | None = None,
) -> UpstreamConfig:
    """Read the settings off the shapes of upstream's weights.

    Parameters
    ----------
    state
        Tensors by upstream's names.
    spec_num, input_shape
        No parameter tells them. Where they are not given they come from the buffer ``spec_mask``.

    Raises
    ------
    UpstreamConfigError
        If neither shapes nor buffers tell a setting.
    """
    first, mixing = "amplinet.convin.0.block1.proj.weight", "amplinet.layers.0.amptime.w1"
    missing = [name for name in (first, mixing) if name not in state]
    if missing:
        raise UpstreamConfigError(
            "The settings cannot be read off the weights.",
            found=f"no tensor {', '.join(missing)}",
            expected="the state dict of upstream's models/tidenet.py",
            remedy="Give the state dict of the model itself, not of its optimiser or a part of it.",
        )
    mask = _mask(state)
    if mask is not None:
        spec_num = int(mask[0].sum()) if spec_num is None else spec_num
        input_shape = input_shape or (mask.shape[0], 2 * (mask.shape[1] - 1))
    if spec_num is None or input_shape is None:
        raise UpstreamConfigError(
            "The weights come without their buffers, so that not every setting can be read off.",
            found="no spec_mask",
            expected="spec_num and input_shape",
            remedy="Give both as they were in training (upstream's defaults: "
            f"{DEFAULT_MODES}, and {DEFAULT_SHAPE[0]} x {DEFAULT_SHAPE[1]}).",
        )
    dim, img_channels = state[first].shape[:2]
    _, t_in, t_out = state[mixing].shape
    return UpstreamConfig(img_channels, dim, t_in, t_out, input_shape, count_cells(state), spec_num)


def assumed_config(state: "Mapping[str, Tensor]") -> tuple[UpstreamConfig, tuple[str, ...]]:
    """Read the settings off weights, with upstream's defaults where only a missing buffer tells.

    Returns
    -------
    UpstreamConfig, tuple of str
        The settings, and what was assumed.

    Raises
    ------
    UpstreamConfigError
        If the shapes do not tell the other settings.
    """
    if _mask(state) is not None:
        return infer_config(state), ()
    height, width = DEFAULT_SHAPE
    note = (
        f"the weights come without their buffers: spec_num {DEFAULT_MODES} and maps of {height} x "
        f"{width} are assumed, upstream's defaults"
    )
    return infer_config(state, spec_num=DEFAULT_MODES, input_shape=DEFAULT_SHAPE), (note,)


def _mask(state: "Mapping[str, Tensor]") -> "Tensor | None":
    return state.get("spec_mask", state.get("alphamixer.spec_mask"))


def count_cells(names: "Mapping[str, Tensor]") -> int:
    """Return how many spectral cells weights hold."""
    cell = re.compile(r"amplinet\.layers\.\d+\.amptime\.w1")
    return sum(1 for name in names if cell.fullmatch(name))
