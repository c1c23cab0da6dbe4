import numpy as np
import pytest
import torch

from tidenet.configuration import TideNetConfig
from tidenet.model.frequency import ConservingPhaseBranch, SpectralTimeNetwork
from tidenet.model.fusion import band_limited_mix
from tidenet.model.network import NetworkInput, TideNet, history_season
from tidenet.model.refiner import DiffusionRefiner
from tidenet.training.losses import RefinerDraw, masked_mean_square, phase_error, training_loss

CONFIG = TideNetConfig.tiny()


def some_input(mask: torch.Tensor, config: TideNetConfig = CONFIG) -> NetworkInput:
    batch, generator = 2, torch.Generator().manual_seed(0)
    shape = (batch, config.n_history, 1 + len(config.drivers), *mask.shape)
    history = torch.randn(shape, generator=generator) * mask
    linear = history[:, -1:, 0] * torch.linspace(0.8, 0.1, config.n_leads).view(1, -1, 1, 1)
    season = torch.randn(batch, config.n_leads + 1, 2, generator=generator)
    return NetworkInput(history, linear, season, mask.expand(batch, 1, *mask.shape))


def half_mask() -> torch.Tensor:
    mask = torch.ones(16, 24)
    mask[:, :6] = 0
    return mask


def randomised(network: TideNet) -> TideNet:
    """Return the network with every parameter that starts at zero drawn at random."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    return network


@pytest.mark.parametrize("refiner", ["unet", "diffusion", "none"])
def test_the_untrained_network_departs_nowhere(refiner):
    network = TideNet(TideNetConfig.tiny(refiner=refiner))
    x = some_input(half_mask())
    output = network(x, torch.randn_like(x.linear))
    assert (output.departure == 0).all()
    assert (output.detail != 0).any() == (refiner == "diffusion")
    torch.testing.assert_close(output.amplitude_image, x.linear)
    last = (x.history[:, -1:, 0] * x.mask).expand_as(x.linear)
    torch.testing.assert_close(output.phase_image, last, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("refiner", ["unet", "diffusion", "none"])
def test_every_parameter_learns_after_the_first_step(refiner):
    torch.manual_seed(0)
    config = TideNetConfig.tiny(refiner=refiner, drivers=("sst",))
    network = randomised(TideNet(config))
    x = some_input(half_mask(), config)
    output = network(x, torch.zeros_like(x.linear))
    draw = RefinerDraw(torch.tensor([10, 500]), torch.randn_like(x.linear))
    weight = half_mask()
    target = torch.randn_like(x.linear)
    training_loss(network, x, target, weight, draw, config, output).backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_one_network_serves_seas_of_any_size():
    network = randomised(TideNet(CONFIG))
    for size in ((16, 24), (32, 8)):
        x = some_input(torch.ones(size))
        assert network(x, torch.zeros_like(x.linear)).departure.shape == (2, 6, *size)
    assert not list(network.buffers())


def test_a_trained_network_departs_on_the_ocean_only():
    network = randomised(TideNet(CONFIG))
    x = some_input(half_mask())
    departure = network(x, torch.zeros_like(x.linear)).departure
    assert departure[..., 6:].abs().min() > 0
    assert (departure[..., :6] == 0).all()


def test_each_condition_reaches_the_departure():
    config = TideNetConfig.tiny(drivers=("sst",))
    network = randomised(TideNet(config))
    x = some_input(half_mask(), config)
    before = network(x, torch.zeros_like(x.linear)).departure
    driver, month = x.history.clone(), x.season.clone()
    driver[:, :, 1] += 1.0
    month[:, 1:] = month[:, 1:].flip(-1)
    for changed in (
        NetworkInput(driver, x.linear, x.season, x.mask),
        NetworkInput(x.history, x.linear + 1, x.season, x.mask),
        NetworkInput(x.history, x.linear, month, x.mask),
        NetworkInput(x.history, x.linear, x.season, torch.ones_like(x.mask)),
    ):
        after = network(changed, torch.zeros_like(x.linear)).departure
        assert (after - before)[..., 6:].abs().max() > 1e-5


def test_the_lead_is_told_to_the_fusion_head():
    network = randomised(TideNet(CONFIG))
    images = torch.randn(1, 1, 8, 16, 16).expand(1, 2, 8, 16, 16)
    one, two = network.fusion(images, torch.tensor([1, 2]))[0]
    assert not torch.allclose(one, two)


def test_the_months_of_the_history_end_with_the_init_month():
    angle = 2 * torch.pi * torch.tensor([11.0, 0.0, 1.0]) / 12
    circle = torch.stack([angle.sin(), angle.cos()], dim=-1)
    torch.testing.assert_close(history_season(circle[-1:], 3)[0], circle, rtol=1e-5, atol=1e-6)


def test_the_phase_branch_turns_modes_but_keeps_amplitudes_and_mean():
    torch.manual_seed(0)
    branch = ConservingPhaseBranch(n_history=4, n_leads=3, channels=8, n_modes=5)
    for parameter in branch.network.mix.parameters():
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


def test_the_spectral_network_is_a_complex_one_of_two_layers():
    torch.manual_seed(0)
    network = SpectralTimeNetwork(3, 2).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(1, 3, 1, 8, 8)
    modes = torch.fft.rfft2(x, norm="ortho")[0, :, 0].permute(1, 2, 0).to(torch.complex128)
    w1, w2 = (torch.complex(*w.detach()) for w in (network.weight1, network.weight2))
    b1, b2 = (torch.complex(*b.detach()) for b in (network.bias1, network.bias2))
    hidden = modes @ w1 + b1
    hidden = torch.complex(hidden.real.relu(), hidden.imag.relu())
    expected = torch.fft.irfft2((hidden @ w2 + b2).permute(2, 0, 1), s=(8, 8), norm="ortho")
    torch.testing.assert_close(network.float()(x)[0, :, 0], expected.float(), rtol=1e-4, atol=1e-4)


def test_alpha_joins_low_amplitudes_with_the_given_phase():
    image = torch.randn(1, 2, 16, 16)
    modes = torch.fft.rfft2(image)
    own_phase = modes / modes.abs().clamp_min(1e-6)
    alpha = band_limited_mix(image, own_phase, n_modes=9)
    torch.testing.assert_close(alpha, image, rtol=1e-3, atol=1e-3)
    assert torch.fft.rfft2(band_limited_mix(image, own_phase, 3))[..., 5, 5].abs().max() < 1e-4


def test_the_refiner_refines_step_by_step_and_needs_every_step():
    torch.manual_seed(0)
    refiner = DiffusionRefiner(n_leads=2, n_conditions=3, channels=(8,), n_steps=3)
    calls = []
    handle = refiner.register_forward_pre_hook(lambda _, given: calls.append(given[1]))
    conditions, noise = torch.randn(1, 3, 16, 16), torch.randn(1, 2, 16, 16)
    three = refiner.refine(conditions, noise)
    assert [int(step) for step in calls] == [999, 666, 332]
    handle.remove()
    refiner.n_steps = 2
    assert not torch.allclose(three, refiner.refine(conditions, noise))
    assert not torch.allclose(three, refiner.refine(conditions, -noise))


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
