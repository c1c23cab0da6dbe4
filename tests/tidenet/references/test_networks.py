"""Networks as references: trained on the training period alone, dressed like all others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from services.small_sea import GRID, small_record

from storage.grid import Grid
from storage.months import month
from tidenet.errors import IncompatibleModelError, NotEnoughMonthsError
from tidenet.references import UnknownMethodError, fit_shared
from tidenet.references.networks import (
    NETWORK_METHODS,
    Frames,
    fit_network_reference,
    published_forecaster,
)
from tidenet.references.simvp import SimVP
from tidenet.upstream import PublishedTideNet, UpstreamConfig

UNTIL = month("2009-12")
N_LEADS = 3


def fitted(name: str, record, **options):
    return fit_network_reference(name, record.until(UNTIL), N_LEADS, **({"n_epochs": 1} | options))


def forecast(reference, record, init=UNTIL, n_members=4):
    rng = np.random.default_rng(0)
    return reference.forecast(record, init, n_members=n_members, rng=rng)


@pytest.fixture(scope="module")
def simvp():
    return fitted("simvp", small_record(), n_epochs=6)


@pytest.fixture(scope="module")
def upstream_recipe():
    return fitted("upstream-recipe", small_record())


@pytest.fixture(params=NETWORK_METHODS)
def reference(request):
    return request.getfixturevalue(request.param.replace("-", "_"))


def test_a_forecast_has_a_value_on_every_ocean_cell_and_none_on_land(reference, record):
    found = forecast(reference, record)
    assert found.members.shape == (4, N_LEADS, *GRID.shape)
    assert np.isfinite(found.members[..., record.ocean]).all()
    assert np.isnan(found.members[..., ~record.ocean]).all()
    assert np.isfinite(found.mean[..., record.ocean]).all()
    assert (reference.n_history, reference.n_leads) == (6, N_LEADS)


def test_later_months_are_not_read(reference, record):
    spoiled = record.fco2.copy()
    spoiled[record.index(UNTIL) + 1 :] = 1e4
    plain, other = (forecast(reference, r) for r in (record, replace(record, fco2=spoiled)))
    np.testing.assert_array_equal(plain.members, other.members)


def test_training_reads_no_month_of_the_block_that_errors_are_measured_on(record):
    spoiled = record.fco2.copy()
    spoiled[record.index(UNTIL) - 20 : record.index(UNTIL) + 1] += 3.0
    plain, other = (fitted("simvp", r) for r in (record, replace(record, fco2=spoiled)))
    # The calendar of the whole training period moves with it; the windows trained on do not.
    assert plain.dressing.variance().mean() < other.dressing.variance().mean()


def test_the_same_seed_gives_the_same_network_and_another_one_another(record):
    one, again, other = (fitted("simvp", record, seed=seed) for seed in (0, 0, 1))
    means = [forecast(each, record).mean[:, record.ocean] for each in (one, again, other)]
    np.testing.assert_array_equal(means[0], means[1])
    assert not np.array_equal(means[0], means[2])


def test_training_leaves_the_generator_of_the_caller_alone(record):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fitted("simvp", record)
    assert torch.rand(1) == expected


def test_the_convolutional_network_learns_anomalies_that_last(simvp, record):
    errors, anomalies = [], []
    usual = simvp.frames.scales.climatology
    for init in np.arange(UNTIL, record.last_month - 1):
        mean, truth = forecast(simvp, record, init).mean[0], record.fco2[record.index(init + 1)]
        errors.append(np.square(mean - truth)[record.ocean].mean())
        anomalies.append(np.square(usual.mean_of(init + 1) - truth)[record.ocean].mean())
    assert np.mean(errors) < 0.8 * np.mean(anomalies)


def test_published_frames_are_raw_maps_between_0_and_1_with_land_as_zero_flux(record):
    shared = fit_shared(record.until(UNTIL), N_LEADS, 32)
    frames = Frames.published(shared)
    maps = frames.of(shared.anomalies.values, shared.anomalies.calendar)
    assert maps.min() == 0
    assert maps.max() == 1
    raw = maps * (frames.high - frames.low) + frames.low
    flux = record.fco2[:, record.ocean]
    # Land has the largest flux of this sea, which is nowhere out of the water.
    rows, columns = GRID.shape
    inner = raw[:, :rows, :columns]
    np.testing.assert_allclose(inner[:, ~record.ocean], 0, atol=1e-5)
    np.testing.assert_allclose(inner[:, record.ocean], flux[: len(maps)], atol=1e-4)


def test_frames_of_both_kinds_lead_back_to_the_anomalies(record):
    shared = fit_shared(record.until(UNTIL), N_LEADS, 32)
    values, calendar = shared.anomalies.values, shared.anomalies.calendar
    for frames in (Frames(shared.scales), Frames.published(shared)):
        back = frames.anomalies(frames.of(values, calendar), calendar)
        np.testing.assert_allclose(back, values, atol=1e-4)


def test_published_weights_forecast_on_any_grid(record):
    torch.manual_seed(0)
    network = PublishedTideNet(UpstreamConfig(1, 32, 4, 5, (16, 16), spec_num=2))
    reference = published_forecaster(network, record.until(UNTIL), N_LEADS)
    found = forecast(reference, record)
    assert (reference.n_history, found.n_leads) == (4, N_LEADS)
    assert np.isfinite(found.mean[:, record.ocean]).all()
    with pytest.raises(IncompatibleModelError, match="5 leads"):
        published_forecaster(network, record.until(UNTIL), 6)


def test_a_coarser_working_grid_keeps_the_local_calendar(record):
    reference = fitted("simvp", record, working_cells=8, n_epochs=0)
    usual = reference.frames.scales.climatology
    mean = forecast(reference, record).mean[0]
    # Untrained it forecasts no anomaly: the calendar of every cell, not of its block.
    np.testing.assert_allclose(
        mean[record.ocean], usual.mean_of(UNTIL + 1)[record.ocean], atol=1e-4
    )


def test_what_cannot_be_fitted_is_refused(record):
    with pytest.raises(UnknownMethodError, match="upstream-recipe, simvp"):
        fitted("transformer", record)
    with pytest.raises(NotEnoughMonthsError, match="at least"):
        fit_network_reference("simvp", record.until(month("2007-06")), N_LEADS)


def test_a_record_of_another_grid_is_refused(simvp, record):
    moved = replace(record, grid=Grid("moved", 26, 120, 0.5, 12, 10))
    with pytest.raises(IncompatibleModelError):
        forecast(simvp, moved)


def test_the_convolutional_network_starts_with_no_anomaly_and_keeps_its_shape():
    network = SimVP(6, 3, width=8, translator_width=16, n_blocks=2)
    x = torch.randn(2, 6, 1, 16, 24)
    assert network(x).shape == (2, 3, 1, 16, 24)
    assert not network(x).any()


def test_progress_is_told_after_every_epoch(record):
    told = []
    fitted("simvp", record, n_epochs=2, progress=lambda *now: told.append(now))
    assert [(done, total) for done, total, _ in told] == [(1, 2), (2, 2)]
    assert all(np.isfinite(loss) for *_, loss in told)
