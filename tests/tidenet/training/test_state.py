import torch
from services.tiny_training import tiny

from tidenet.model.network import TideNet
from tidenet.training.state import TrainingState


def test_a_running_average_of_the_weights_is_what_is_kept():
    torch.manual_seed(0)
    state = TrainingState.start(tiny(ema_decay=0.9), TideNet(tiny()), n_windows=60)
    expected = None
    for _ in range(4):
        state.weights.gradient.normal_()
        state.step()
        now = state.weights.values.detach().clone()
        # The first step begins the average, in which the weights before it have no part.
        expected = now if expected is None else 0.9 * expected + 0.1 * now
    torch.testing.assert_close(state.averaged.values.detach(), expected)
    state.keep_best(1, 0.5)
    state.step()
    kept = torch.cat([p.detach().flatten() for p in state.best_network().parameters()])
    torch.testing.assert_close(kept, expected)
