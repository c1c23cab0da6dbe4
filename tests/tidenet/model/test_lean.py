import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel

from tidenet.model import lean, recompute
from tidenet.model.blocks import TimeNetwork, UNetShape, sum_of_two, unet
from tidenet.model.frequency import SpectralCell

SHAPE = {
    "in_channels": 3,
    "out_channels": 2,
    "layers_per_block": 1,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D",) * 2,
    "up_block_types": ("UpBlock2D",) * 2,
    "norm_num_groups": 4,
}


@pytest.fixture(scope="module")
def pair():
    """A U-Net of diffusers and the lean one with the same weights."""
    torch.manual_seed(0)
    theirs = UNet2DModel(**SHAPE)
    ours = unet(3, 2, UNetShape((8, 16), layers=1, groups=4))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("step", [0, torch.tensor([1, 6])])
def test_the_lean_unet_is_that_of_diffusers(pair, gradients, layout, step):
    theirs, ours = pair
    x = torch.randn(2, 3, 8, 16).contiguous(memory_format=layout)
    given = x.clone()
    with torch.set_grad_enabled(gradients):
        close(lean.run_unet(ours, x, step), theirs(x, step).sample)
    assert torch.equal(x, given)


def test_gradients_are_those_of_diffusers_with_and_without_recomputing(pair):
    theirs, ours = pair
    x = torch.randn(2, 3, 8, 8)
    for again in (False, True):
        for part in ours.modules():
            if isinstance(part, lean.LeanResidual):
                part.recompute = again
        theirs.zero_grad()
        ours.zero_grad()
        theirs(x, 0).sample.square().sum().backward()
        lean.run_unet(ours, x, 0).square().sum().backward()
        wanted = dict(theirs.named_parameters())
        for name, parameter in ours.named_parameters():
            close(parameter.grad, wanted[name].grad)


def test_recomputing_keeps_less_for_the_backward_pass():
    norm, convolution, kept = torch.nn.GroupNorm(4, 8), torch.nn.Conv2d(8, 8, 1), []

    def count(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    sizes = []
    for again in (False, True):
        kept.clear()
        x = torch.randn(1, 8, 16, 16, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            recompute.norm_silu_conv(norm, convolution, x, again)
        sizes.append(sum(kept))
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_months_are_mixed_alike_a_few_channels_at_a_time(layout, monkeypatch):
    torch.manual_seed(0)
    cell = SpectralCell(3, 2, 8).to(memory_format=layout)
    x = torch.randn(2, 24, 8, 16).contiguous(memory_format=layout).unflatten(1, (3, 8))
    whole = cell(x)
    monkeypatch.setattr(lean, "PLACES_AT_ONCE", 3 * 8 * 16)
    with torch.no_grad():
        few = cell(x)
    close(few, whole.detach())
    assert few.flatten(1, 2).is_contiguous(memory_format=layout)


def test_two_networks_over_time_add_up():
    one, other, x = TimeNetwork(3, 4, 2), TimeNetwork(3, 2, 2), torch.randn(2, 3, 1, 4, 4)
    close(sum_of_two(one, other, x), one(x) + other(x))
    with torch.no_grad():
        close(sum_of_two(one, other, x), one(x) + other(x))
