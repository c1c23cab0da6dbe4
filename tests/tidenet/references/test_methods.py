import numpy as np
import pytest
from services.anomaly_worlds import drifting, fading, sea, skill

from tidenet.references.anomalies import Anomalies, Sea, split_off
from tidenet.references.blend import Blend, fit_blend
from tidenet.references.cycle import denoised_season, fit_cycle, shrunk_trend
from tidenet.references.damping import fit_damping
from tidenet.references.modes import correct_modes, fit_inverse_model
from tidenet.references.neighbours import fit_analogue, fit_ridge
from tidenet.references.propagator import fit_propagator, neighbourhood


def halves(anomalies: Anomalies) -> tuple[Anomalies, int]:
    return anomalies.part(0, len(anomalies) // 2), len(anomalies) // 2


def test_the_propagator_learns_a_drift_that_damping_cannot_see():
    world = drifting()
    known, half = halves(world)
    carried, damped = fit_propagator(known, 3), fit_damping(known, 3)
    assert skill(carried, world, half, 1) > 0.5  # the best possible is 0.64
    assert skill(carried, world, half, 3) > 0.1
    assert abs(skill(damped, world, half, 1)) < 0.05
    west = neighbourhood().index((0, -1))
    assert carried.weights[:, west].mean() == pytest.approx(0.8, abs=0.15)


def test_the_propagator_does_not_harm_where_nothing_moves():
    world = fading()
    known, half = halves(world)
    difference = skill(fit_damping(known, 1), world, half, 1)
    difference -= skill(fit_propagator(known, 1), world, half, 1)
    assert difference < 0.03


@pytest.mark.parametrize("fit", [fit_inverse_model, fit_ridge, fit_analogue])
def test_other_methods_have_skill_on_a_pattern_that_lasts(fit):
    world = fading(seed=2)
    rng = np.random.default_rng(3)
    index = np.zeros(len(world))
    for t in range(1, len(index)):
        index[t] = 0.9 * index[t - 1] + np.sqrt(1 - 0.81) * rng.standard_normal()
    pattern = np.linspace(-3, 3, world.values.shape[1])
    world = world.with_values((world.values + index[:, None] * pattern).astype(np.float32))
    known, half = halves(world)
    assert skill(fit(known, 2), world, half, 1) > 0.3


def test_methods_do_not_read_rows_after_the_init_month():
    world = fading()
    changed = world.with_values(world.values.copy())
    changed.values[121:] = 1e6
    known = world.part(0, 120)
    for fitted in (
        fit_blend(known, 3).blend,
        fit_inverse_model(known, 3),
        fit_ridge(known, 3),
        fit_analogue(known, 3),
    ):
        last = np.array([120])
        np.testing.assert_array_equal(fitted.forecast(world, last), fitted.forecast(changed, last))


def test_the_blend_follows_the_method_that_does_best_on_months_left_out():
    moving, still = fit_blend(drifting(), 2).blend, fit_blend(fading(), 2).blend
    names = ("damped", "seasonal", "propagated", "mode")
    assert moving.weights.sum(axis=1) == pytest.approx(1)
    assert moving.weights.min() >= 0
    local = [names.index("damped"), names.index("seasonal")]
    assert moving.weights[0, local].sum() < 0.1
    assert still.weights[0, local].sum() > moving.weights[0, local].sum()


def test_forecasts_of_left_out_months_never_saw_them():
    world = fading()
    fitted = fit_blend(world, 2)
    block, rest = next(iter(split_off(len(world), 5, 3)))
    assert rest == [(int(block[-1]) + 4, len(world))]
    noise = np.random.default_rng(0).standard_normal(world.values.shape).astype(np.float32)
    unforeseeable = fit_blend(world.with_values(noise), 2)
    # On pure noise a method that had seen the months would seem to have skill.
    truth = noise[1:]
    foreseen = unforeseeable.left_out[:-1, 0]
    assert (truth * foreseen).sum() <= np.square(foreseen).sum()
    assert fitted.left_out.shape == (len(world), 2, world.values.shape[1])


def test_a_forecast_without_skill_relaxes_to_the_expected_season():
    rng = np.random.default_rng(5)
    where = sea()
    noise = rng.standard_normal((240, len(where.weight))).astype(np.float32)
    forecast = fit_blend(Anomalies(noise, 0, where), 3).blend.forecast(
        Anomalies(noise, 0, where), np.arange(200)
    )
    assert np.square(forecast).mean() < 0.02


def test_a_blend_survives_saving():
    world = fading()
    blend = fit_blend(world, 2).blend
    again = Blend.from_tensors(blend.tensors())
    rows = np.arange(3)
    np.testing.assert_array_equal(blend.forecast(world, rows), again.forecast(world, rows))


def test_modes_put_the_memory_of_the_largest_pattern_right():
    world = fading(memory=0.3, seed=4)
    rng = np.random.default_rng(6)
    index = np.zeros(len(world))
    for t in range(1, len(index)):
        index[t] = 0.95 * index[t - 1] + np.sqrt(1 - 0.95**2) * rng.standard_normal()
    world = world.with_values((world.values + index[:, None]).astype(np.float32))
    known, half = halves(world)
    base = fit_damping(known, 4)
    corrected = correct_modes(base, known, 4)
    assert skill(corrected, world, half, 4) > skill(base, world, half, 4)


# --- season and trend -----------------------------------------------------------------------------


def test_a_clear_trend_is_kept_and_one_of_noise_is_not():
    where, rng = sea(), np.random.default_rng(0)
    noise = rng.standard_normal((240, len(where.weight)))
    assert np.abs(shrunk_trend(noise, where)).mean() < 0.0005
    trend = 0.01 * (np.arange(240) - 119.5)[:, None]
    assert shrunk_trend(noise + trend, where) == pytest.approx(0.01, abs=0.001)


def test_slow_swings_are_not_taken_for_a_trend():
    """A red basin-wide swing of few independent years: the fitted slope is mostly discarded."""
    where, kept, fitted = sea(), [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        swing = np.zeros(120)
        for t in range(1, 120):
            swing[t] = 0.95 * swing[t - 1] + 0.3 * rng.standard_normal()
        values = swing[:, None] + 0.3 * rng.standard_normal((120, len(where.weight)))
        time = np.arange(120) - 59.5
        fitted.append(abs((time @ values).mean() / np.square(time).sum()))
        kept.append(abs(shrunk_trend(values, where).mean()))
    assert np.mean(kept) < 0.5 * np.mean(fitted)


def test_a_smooth_season_is_found_more_exactly_than_by_its_monthly_means():
    where, rng = sea(), np.random.default_rng(1)
    n_cells = len(where.weight)
    true = 5 * np.cos(2 * np.pi * (np.arange(12) - 1) / 12)[:, None] * np.ones(n_cells)
    noise = rng.standard_normal((12, n_cells)) / np.sqrt(10)
    denoised = denoised_season(true + noise, np.ones((12, n_cells)), 10, where)
    assert np.square(denoised - true).mean() < 0.5 * np.square(noise).mean()


def test_the_expected_cycle_goes_on_past_the_training_period():
    where = Sea.of(np.ones((4, 4)))
    rng = np.random.default_rng(0)
    trend = 0.02 * (np.arange(180) - 89.5)[:, None]
    values = (rng.standard_normal((180, 16)) * 0.3 + trend).astype(np.float32)
    anomalies = Anomalies(values, 3, where)
    cycle = fit_cycle(anomalies, np.zeros((12, 16)), np.ones((12, 16)))
    assert cycle.expected(np.array([200])).mean() == pytest.approx(0.02 * 110.5, rel=0.1)
    left = cycle.remove(anomalies)
    assert abs(np.polyfit(np.arange(180), left.values.mean(axis=1), 1)[0]) < 0.003
    later = cycle.remove(anomalies.part(100, 180), first_row=100)
    np.testing.assert_allclose(later.values, left.values[100:], atol=1e-6)


def test_a_blend_reaches_further_than_any_stretch_that_it_is_fitted_on():
    few = fading().part(0, 30)
    found = fit_blend(few, 12)
    assert np.isfinite(found.left_out).all()
    assert np.isfinite(found.blend.forecast(few, np.array([29]))).all()
