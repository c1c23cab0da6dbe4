import numpy as np
import pytest
import torch

from tidenet.configuration import TideNetConfig
from tidenet.model.frequency import PhaseBranch, band_limited_mix
from tidenet.model.network import NetworkInput, TideNet
from tidenet.model.refiner import LocalRefiner
from tidenet.training.losses import masked_mean_square, phase_error

CONFIG = TideNetConfig.tiny()


def some_input(mask: torch.Tensor, batch: int = 2) -> NetworkInput:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, CONFIG.n_history, *mask.shape)
    history = torch.randn(shape, generator=generator) * mask
    linear = history[:, -1:] * torch.linspace(0.8, 0.1, CONFIG.n_leads).view(1, -1, 1, 1)
    season = torch.randn(batch, CONFIG.n_leads + 1, 2, generator=generator)
    return NetworkInput(history[:, :, None], linear, season, mask.expand(batch, 1, *mask.shape))


def half_mask() -> torch.Tensor:
    mask = torch.ones(16, 24)
    mask[:, :6] = 0
    return mask


def test_the_untrained_network_departs_nowhere():
    network = TideNet(CONFIG)
    x = some_input(half_mask())
    output = network(x, torch.zeros_like(x.linear))
    assert (output.departure == 0).all()
    assert output.detail.abs().max() > 0


def test_the_phase_branch_turns_modes_but_keeps_amplitudes_and_mean():
    torch.manual_seed(0)
    branch = PhaseBranch(n_history=4, n_leads=3, channels=8, n_modes=5)
    for parameter in branch.head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    history = torch.randn(2, 4, 16, 24) + 1.0
    image, _ = branch(history, torch.zeros(2, 2))
    last = history[:, -1:]
    assert (image - last).abs().max() > 0.1
    torch.testing.assert_close(image.mean(dim=(2, 3)), last.mean(dim=(2, 3)).expand(2, 3))
    torch.testing.assert_close(
        torch.fft.rfft2(image).abs(),
        torch.fft.rfft2(last).abs().expand(2, 3, 16, 13),
        rtol=1e-3,
        atol=1e-3,
    )


def test_alpha_joins_low_amplitudes_with_the_given_phase():
    image = torch.randn(1, 2, 16, 16)
    modes = torch.fft.rfft2(image)
    own_phase = modes / modes.abs().clamp_min(1e-6)
    alpha = band_limited_mix(image, own_phase, n_modes=9)
    torch.testing.assert_close(alpha, image, rtol=1e-3, atol=1e-3)
    assert torch.fft.rfft2(band_limited_mix(image, own_phase, 3))[..., 5, 5].abs().max() < 1e-4


def test_the_refiner_refines_step_by_step_and_needs_every_step():
    torch.manual_seed(0)
    refiner = LocalRefiner(n_leads=2, n_conditions=3, channels=(8,), n_steps=3)
    calls = []
    handle = refiner.denoiser.register_forward_pre_hook(lambda _, given: calls.append(given[1]))
    conditions, noise = torch.randn(1, 3, 16, 16), torch.randn(1, 2, 16, 16)
    three = refiner.refine(conditions, noise)
    assert [int(step) for step in calls] == [999, 666, 332]
    handle.remove()
    refiner.n_steps = 2
    assert not torch.allclose(three, refiner.refine(conditions, noise))
    assert not torch.allclose(three, refiner.refine(conditions, -noise))


def test_a_trained_head_departs_on_the_ocean_only():
    torch.manual_seed(0)
    network = TideNet(CONFIG)
    for parameter in network.fusion.head.parameters():
        torch.nn.init.normal_(parameter)
    x = some_input(half_mask())
    departure = network(x, torch.zeros_like(x.linear)).departure
    assert departure[..., 6:].abs().min() > 0
    assert (departure[..., :6] == 0).all()


def test_nan_on_land_reaches_neither_loss_nor_gradient():
    weight = torch.tensor([[1.0, 3.0, 0.0]])
    error = torch.tensor([[2.0, 4.0, float("nan")]], requires_grad=True)
    loss = masked_mean_square(error, weight)
    loss.backward()
    assert loss.item() == pytest.approx((1 * 4 + 3 * 16) / 4)
    np.testing.assert_allclose(error.grad.numpy(), [[1.0, 6.0, 0.0]])


def test_the_phase_error_is_nothing_for_the_right_phase_and_two_for_the_opposite():
    target = torch.randn(1, 1, 16, 16)
    modes = torch.fft.rfft2(target)
    phase = modes / modes.abs()
    assert phase_error(phase, target, 5).item() == pytest.approx(0, abs=1e-4)
    assert phase_error(-phase, target, 5).item() == pytest.approx(2, abs=1e-4)
