import json

import numpy as np
import pytest
import torch

from tidenet.upstream import (
    UpstreamConfig,
    UpstreamConfigError,
    UpstreamInputError,
    UpstreamWeightsError,
    amplitude_weight,
    assumed_config,
    from_state_dict,
    infer_config,
    losses,
    to_state_dict,
)

BUFFERS = {"phasenet.uv", "alphamixer.spec_mask", "spec_mask"}


def weights_by_formula(parameters) -> dict[str, torch.Tensor]:
    """Return the weights that the reference numbers were made with."""
    state = {}
    for k, (name, shape) in enumerate(parameters):
        i = np.arange(np.prod(shape))
        values = np.sin(12.9898 * (i + 1) + 78.233 * (k + 1))
        if len(shape) > 1:
            values = values / np.sqrt(np.prod(shape[1:]))
        else:
            values = 0.05 * values + name.endswith(".weight")
        state[name] = torch.from_numpy(values.reshape(shape).astype(np.float32))
    return state


@pytest.fixture(scope="module")
def reference(upstream_numbers):
    described = json.loads((upstream_numbers / "tidenet_upstream_dim32.json").read_text())
    with np.load(upstream_numbers / "tidenet_upstream_dim32.npz") as numbers:
        return described, dict(numbers)


@pytest.fixture(scope="module")
def computed(reference):
    described, numbers = reference
    state = weights_by_formula(described["parameters"])
    network = from_state_dict(state, described["config"])
    with torch.inference_mode():
        return network, network.components(torch.from_numpy(numbers["x"]))


def distance(ours: torch.Tensor, theirs: np.ndarray) -> float:
    """Return the relative L2 distance."""
    return float(np.linalg.norm(ours.numpy() - theirs) / np.linalg.norm(theirs))


def test_every_output_agrees_with_the_upstream_code(reference, computed):
    _, numbers = reference
    _, components = computed
    assert set(components) == {"pred", "amplitude_image", "phase_image", "phase", "alpha"}
    for name, values in components.items():
        assert values.shape == numbers[name].shape
        assert distance(values, numbers[name]) < 1e-4, name


def test_every_loss_term_agrees_with_the_upstream_code(reference, computed):
    described, numbers = reference
    _, components = computed
    terms = losses(
        components,
        torch.from_numpy(numbers["y"]),
        n_modes=described["config"]["spec_num"],
        amplitude_weight=amplitude_weight(1),
    )
    assert {f"loss_{name}" for name in terms} == {n for n in numbers if n.startswith("loss_")}
    for name, value in terms.items():
        assert float(value) == pytest.approx(float(numbers[f"loss_{name}"]), rel=1e-4), name


def test_the_reference_weights_go_back_unchanged(reference, computed):
    described, _ = reference
    network, _ = computed
    state = weights_by_formula(described["parameters"])
    back = to_state_dict(network)
    assert set(back) == set(state) | BUFFERS
    for name, tensor in state.items():
        torch.testing.assert_close(back[name], tensor, rtol=0, atol=0)


def test_weights_and_buffers_go_there_and_back_unchanged(state, settings):
    back = to_state_dict(from_state_dict(state, settings))
    assert back.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(back[name], tensor), name
    assert back["spec_mask"].shape == (16, 13)
    assert back["spec_mask"].sum() == 2 * 5 * 5
    torch.testing.assert_close(back["phasenet.uv"][0, :, 0], torch.fft.fftfreq(16))
    torch.testing.assert_close(back["phasenet.uv"][1, 0], torch.fft.rfftfreq(24))


def test_loading_copies_the_weights(state, settings):
    network = from_state_dict(state, settings)
    name = "amplinet.tmlp.0.bias"
    before = state[name].clone()
    with torch.no_grad():
        network.amplitude.skip.first.bias += 1
    assert torch.equal(state[name], before)


def test_buffers_may_be_left_out(state, settings):
    bare = {name: tensor for name, tensor in state.items() if name not in BUFFERS}
    x = torch.rand(1, 3, 1, 16, 24)
    with torch.inference_mode():
        assert torch.equal(from_state_dict(bare, settings)(x), from_state_dict(state)(x))


def test_the_settings_are_read_off_the_weights(state, settings):
    assert infer_config(state) == UpstreamConfig.from_mapping(settings)
    bare = {name: tensor for name, tensor in state.items() if name not in BUFFERS}
    with pytest.raises(UpstreamConfigError, match="spec_num and input_shape"):
        infer_config(bare)
    told = infer_config(bare, spec_num=5, input_shape=(16, 24))
    assert told == UpstreamConfig.from_mapping(settings)


def test_upstreams_defaults_are_taken_where_only_a_missing_buffer_tells(state, settings):
    assert assumed_config(state) == (UpstreamConfig.from_mapping(settings), ())
    bare = {name: tensor for name, tensor in state.items() if name not in BUFFERS}
    config, notes = assumed_config(bare)
    defaults = {"spec_num": 20, "input_shape": (128, 128)}
    assert config == UpstreamConfig.from_mapping(settings | defaults)
    assert ["128 x 128" in note for note in notes] == [True]


def test_the_layers_setting_has_no_effect_as_upstream(state, settings):
    x = torch.rand(1, 3, 1, 16, 24)
    with torch.inference_mode():
        one = from_state_dict(state, settings | {"n_layers": 1})(x)
        assert torch.equal(one, from_state_dict(state, settings)(x))


def test_the_network_takes_frames_of_another_size(state, settings):
    network = from_state_dict(state, settings)
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 1, 24, 8)).shape == (1, 2, 1, 24, 8)


@pytest.mark.parametrize(
    "shape", [(1, 2, 1, 16, 24), (1, 3, 2, 16, 24), (1, 3, 1, 16, 20), (3, 16, 24)]
)
def test_frames_that_do_not_fit_are_refused(state, settings, shape):
    with pytest.raises(UpstreamInputError, match="multiples of 8"):
        from_state_dict(state, settings)(torch.rand(shape))


def test_every_tensor_that_does_not_fit_is_listed(state, settings):
    wrong = dict(state)
    del wrong["amplinet.tmlp.0.weight"]
    wrong["phasenet.pha_conv0.weight"] = torch.zeros(2, 5, 3, 3)
    wrong["encoder.weight"] = torch.zeros(1)
    with pytest.raises(UpstreamWeightsError) as error:
        from_state_dict(wrong, settings)
    for found in (
        "amplinet.tmlp.0.weight missing",
        "phasenet.pha_conv0.weight has shape (2, 5, 3, 3), expected (2, 5, 1, 1)",
        "encoder.weight unexpected",
    ):
        assert found in str(error.value)


@pytest.mark.parametrize("change", [{"spec_num": 4}, {"input_shape": (16, 16)}, {"T_in": 4}])
def test_settings_of_other_weights_are_refused(state, settings, change):
    with pytest.raises(UpstreamWeightsError):
        from_state_dict(state, settings | change)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"dim": 48}, "multiple of 32"),
        ({"input_shape": (16, 20)}, "not multiples of 8"),
        ({"T_in": 0}, "T_in 0"),
        ({"T_out": "six"}, "six"),
    ],
)
def test_impossible_settings_are_refused(state, settings, change, found):
    with pytest.raises(UpstreamConfigError, match=found):
        from_state_dict(state, settings | change)


def test_a_missing_setting_is_named(state, settings):
    del settings["T_out"]
    with pytest.raises(UpstreamConfigError, match="no T_out"):
        from_state_dict(state, settings)


def test_the_amplitude_weight_falls_to_zero():
    assert amplitude_weight(1, start=0.01, n_steps=10) == pytest.approx(0.009)
    assert amplitude_weight(10, start=0.01, n_steps=10) == 0
    assert amplitude_weight(11, start=0.01, n_steps=10) == 0
