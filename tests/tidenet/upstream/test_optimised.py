import torch

from tidenet.upstream import from_state_dict, lean_training, losses, optimised


def distance(one, other):
    return float((one - other).norm() / other.norm())


def test_forecasts_equal_those_with_gradients(state):
    network = from_state_dict(state)
    x = torch.rand(2, 3, 1, 16, 24)
    with_gradients = network.components(x)
    with torch.inference_mode():
        without = optimised(network, "float32").components(x)
    for name, values in without.items():
        assert distance(values, with_gradients[name].detach()) < 1e-5, name


def test_reduced_precision_leaves_phases_and_frames_in_float32(state):
    network = from_state_dict(state)
    x = torch.rand(1, 3, 1, 16, 24)
    with torch.inference_mode():
        exact = network.components(x)
        reduced = optimised(network, "bfloat16").components(x)
    assert {values.dtype for values in reduced.values()} == {torch.float32}
    assert distance(reduced["phase_image"], exact["phase_image"]) < 1e-6
    assert 0 < distance(reduced["amplitude_image"], exact["amplitude_image"]) < 0.02
    assert network.amplitude.decode[2].weight.dtype == torch.float32


def gradients(network, x, y, precision=None):
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision is not None):
        components = network.components(x)
    losses(components, y, n_modes=5)["total_loss"].backward()
    return {name: parameter.grad.clone() for name, parameter in network.named_parameters()}


def test_lean_training_has_the_same_gradients(state):
    network = from_state_dict(state)
    torch.manual_seed(0)
    x, y = torch.rand(1, 3, 1, 16, 24), torch.rand(1, 2, 1, 16, 24)
    before = gradients(network, x, y)
    lean_training(network)
    after = gradients(network, x, y)
    size = max(float(gradient.norm()) for gradient in before.values())
    for name, gradient in before.items():
        assert float((after[name] - gradient).norm()) < 1e-3 * size, name
    reduced = gradients(network, x, y, torch.bfloat16)
    assert all(gradient.isfinite().all() for gradient in reduced.values())
