"""Simulated worlds and the windows made from them."""

import numpy as np
import pytest
import torch

from tidenet.configuration import TideNetConfig
from tidenet.pretraining.lessons import join_lessons, make_lesson
from tidenet.pretraining.worlds import WorldKind, make_world, smooth_noise

KIND = WorldKind(n_months=96)
SHAPE = (16, 24)
CONFIG = TideNetConfig.tiny()


def anomalies(values: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    """Cells without the mean of their calendar month (time, cell)."""
    cells = values[:, ocean].astype(np.float64)
    for calendar in range(12):
        cells[calendar::12] -= cells[calendar::12].mean(axis=0)
    return cells


def test_a_world_follows_from_its_seed() -> None:
    one, again = (make_world((1, 2), SHAPE, KIND) for _ in range(2))
    other = make_world((1, 3), SHAPE, KIND)
    np.testing.assert_array_equal(one.fco2, again.fco2)
    assert not np.array_equal(one.fco2, other.fco2, equal_nan=True)


def test_worlds_differ_in_coast_and_memory_and_all_can_be_trained_on() -> None:
    oceans, memories = set(), []
    for number in range(12):
        world = make_world((number,), SHAPE, KIND)
        assert world.fco2.shape == (96, *SHAPE)
        assert np.isfinite(world.fco2[:, world.ocean]).all()
        assert np.isnan(world.fco2[:, ~world.ocean]).all()
        assert world.ocean.mean() > 0.3
        oceans.add(world.ocean.tobytes())
        z = anomalies(world.fco2, world.ocean)
        memories.append(float((z[1:] * z[:-1]).mean() / np.square(z).mean()))
    assert len(oceans) > 6
    assert max(memories) - min(memories) > 0.3
    assert 0.2 < np.mean(memories) < 0.95


def test_patches_drift_with_the_currents() -> None:
    """Last month shifted upstream tells more than last month in place."""
    kind = WorldKind(n_months=96, still_share=0.0, open_share=1.0)
    from tidenet.pretraining import worlds

    rng = np.random.default_rng(5)
    ocean, flow = np.ones((32, 32), dtype=bool), np.zeros((2, 32, 32))
    flow[1] = 2.0
    patches = worlds._patches(rng, (32, 32), ocean, flow, kind)
    moved = (patches[1:, :, 2:] * patches[:-1, :, :-2]).mean()
    assert moved > (patches[1:] * patches[:-1]).mean() + 0.05
    currents = [worlds._currents(np.random.default_rng(s), (32, 32), ocean, kind) for s in range(9)]
    speeds = [np.sqrt(np.square(current).sum(axis=0)).mean() for current in currents]
    assert max(speeds) > 1.0 > min(speeds)
    assert max(speeds) < 1.5 * kind.most_speed


def test_smooth_noise_has_unit_variance_and_does_not_wrap_around() -> None:
    maps = smooth_noise(np.random.default_rng(0), 400, (24, 24), 2.0)
    assert np.square(maps).mean() == pytest.approx(1.0, abs=0.1)
    assert abs((maps[:, :, 0] * maps[:, :, -1]).mean()) < 0.1
    assert (maps[:, :, 0] * maps[:, :, 1]).mean() > 0.8


def test_windows_lie_after_the_months_that_the_linear_forecast_was_fitted_on() -> None:
    world = make_world((4,), SHAPE, KIND)
    lesson = make_lesson(world, 72, CONFIG, np.random.default_rng(0))
    assert lesson.samples.init_months[0] == world.first_month + 72 + CONFIG.n_history - 2
    assert lesson.samples.init_months[-1] == world.last_month - CONFIG.n_leads
    changed = world.fco2.copy()
    changed[72:] = changed[72:][::-1]
    other = type(world)(world.grid, world.ocean, world.first_month, changed)
    again = make_lesson(other, 72, CONFIG, np.random.default_rng(0))
    # The scales of the loss come from the training period only.
    torch.testing.assert_close(again.samples.weight, lesson.samples.weight)
    land = lesson.samples.x.mask[0, 0] == 0
    for part in (lesson.samples.x.history, lesson.samples.target, lesson.samples.x.linear):
        assert float(part[..., land].abs().max()) == 0 if land.any() else True


def test_no_world_explodes_where_currents_converge() -> None:
    from tidenet.pretraining.worlds import _moved

    now = np.random.default_rng(0).standard_normal((16, 16))
    peak = np.array(np.unravel_index(np.abs(now).argmax(), now.shape))
    moved = _moved(now, np.broadcast_to(peak[:, None, None], (2, 16, 16)))
    assert np.square(moved).sum() == pytest.approx(np.square(now).sum())
    still = _moved(now, np.indices((16, 16)).astype(float))
    np.testing.assert_allclose(still, now, atol=1e-12)


def test_a_stride_takes_every_so_many_windows() -> None:
    world = make_world((4,), SHAPE, KIND)
    every, third = (
        make_lesson(world, 60, CONFIG, np.random.default_rng(0), stride).samples
        for stride in (1, 3)
    )
    assert third.init_months == every.init_months[::3]
    torch.testing.assert_close(third.target, every.target[::3])


def test_its_linear_forecast_beats_the_calendar_on_months_it_has_not_seen() -> None:
    worlds = [make_world((number,), SHAPE, WorldKind(n_months=144)) for number in range(4)]
    rng = np.random.default_rng(1)
    lesson = join_lessons([make_lesson(world, 108, CONFIG, rng) for world in worlds])
    samples = lesson.samples
    assert len(lesson) == sum(len(make_lesson(w, 108, CONFIG, rng)) for w in worlds)

    def error(forecast: torch.Tensor) -> float:
        return float((samples.weight * (forecast - samples.target).square())[:, 0].sum())

    calendar = error(torch.zeros_like(samples.target))
    assert error(samples.x.linear) < 0.9 * calendar
    assert error(lesson.damped) < 0.9 * calendar
