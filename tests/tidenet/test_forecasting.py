import copy
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from services.small_sea import small_record

from storage.months import month
from tidenet import load_forecaster
from tidenet.configuration import TideNetConfig
from tidenet.drivers import UnknownDriverError
from tidenet.errors import (
    IncompatibleModelError,
    IncompleteFieldError,
    NotEnoughMonthsError,
    TrainingDivergedError,
)
from tidenet.record import FluxRecord
from tidenet.references import fit_reference
from tidenet.training import train
from tidenet.verification.monthly import season_of

CUT_OFF = month("2012-12")


def run(forecaster, record, init=CUT_OFF, n_members=4, seed=5):
    rng = np.random.default_rng(seed)
    return forecaster.forecast(record, init, n_members=n_members, rng=rng)


def same(one, other):
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.members, other.members)


def changed_after(record: FluxRecord, last) -> FluxRecord:
    fields = record.fco2.copy()
    fields[record.index(last) + 1 :] = 1e6
    return replace(record, fco2=fields)


def test_the_untrained_network_is_the_best_linear_reference_exactly(record):
    known = record.until(CUT_OFF)
    forecaster = train(known, TideNetConfig.tiny(n_epochs=0), seed=1)
    followed = replace(forecaster, follow=np.ones_like(forecaster.follow))
    blend = fit_reference("linear-blend", known, forecaster.n_leads)
    np.testing.assert_array_equal(run(followed, known).mean, run(blend, known).mean)


def test_members_are_as_wide_as_the_factor_of_lead_and_season_says(record, trained):
    plain = replace(trained, spread=np.ones_like(trained.spread))
    factor = np.arange(1, trained.spread.size + 1, dtype=np.float32).reshape(trained.spread.shape)
    wide = run(replace(trained, spread=factor), record)
    valid = CUT_OFF + np.arange(1, trained.n_leads + 1)
    expected = factor[np.arange(trained.n_leads), season_of(valid)]
    one, other = (
        (found.members - found.mean)[..., record.ocean] for found in (run(plain, record), wide)
    )
    np.testing.assert_allclose(other, one * expected[:, None], rtol=1e-3, atol=1e-3)


def test_several_networks_are_followed_in_their_mean(record, trained):
    [one] = trained.networks
    other = copy.deepcopy(one)
    for parameter in other.parameters():
        parameter.data *= 1.5
    followed = replace(trained, follow=np.ones_like(trained.follow))
    means = [
        run(replace(followed, networks=networks), record).mean[:, record.ocean]
        for networks in ((one,), (other,), (one, other))
    ]
    assert np.abs(means[0] - means[1]).max() > 0.01
    np.testing.assert_allclose(means[2], (means[0] + means[1]) / 2, atol=1e-4)


def test_months_after_the_init_month_change_nothing(record, trained):
    same(run(trained, record), run(trained, changed_after(record, CUT_OFF)))


def test_months_after_the_cut_off_change_no_fitted_value(record):
    config = TideNetConfig.tiny(n_epochs=1)
    planted = changed_after(record, CUT_OFF).until(CUT_OFF)
    one = train(record.until(CUT_OFF), config, seed=2).tensors()
    other = train(planted, config, seed=2).tensors()
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_the_validation_block_does_not_change_what_the_network_learns_from(record, monkeypatch):
    seen = {}

    def spy(config, fitting, validation, seed, progress, **options):
        seen["fitting"] = fitting
        return real(config, fitting, validation, seed, progress, **options)

    import tidenet.training.loop as loop

    real = loop.fit_network
    monkeypatch.setattr(loop, "fit_network", spy)
    known, config = record.until(CUT_OFF), TideNetConfig.tiny(n_epochs=0)
    train(known, config, seed=1)
    before = seen["fitting"]
    changed = replace(known, fco2=known.fco2.copy())
    changed.fco2[-(config.validation_months + 12) :] *= 3
    train(changed, config, seed=1)
    assert torch.equal(before.target, seen["fitting"].target)
    assert torch.equal(before.x.linear, seen["fitting"].x.linear)


def test_land_never_influences_the_ocean(record, trained):
    clean = run(trained, record)
    for poison in (1e6, 0.0):
        fields = np.where(record.ocean, record.fco2, np.float32(poison))
        same(clean, run(trained, replace(record, fco2=fields)))
    assert np.isfinite(clean.members[:, :, record.ocean]).all()
    assert np.isnan(clean.mean[:, ~record.ocean]).all()


def test_land_never_influences_training(record):
    known, config = record.until(CUT_OFF), TideNetConfig.tiny(n_epochs=1)
    poisoned = replace(known, fco2=np.where(known.ocean, known.fco2, np.float32(1e6)))
    one, other = train(known, config, seed=1), train(poisoned, config, seed=1)
    np.testing.assert_array_equal(run(one, record).mean, run(other, record).mean)


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_members(record, trained):
    same(run(trained, record), run(trained, record))
    other = run(trained, record, seed=6)
    assert np.nanmax(np.abs(other.members - run(trained, record).members)) > 0
    np.testing.assert_array_equal(other.mean, run(trained, record).mean)


def test_training_twice_gives_the_same_weights(record, trained):
    again = train(record.until(CUT_OFF), trained.config, seed=3).tensors()
    for name, values in trained.tensors().items():
        np.testing.assert_array_equal(values, again[name], err_msg=name)


def test_global_random_states_are_left_alone(record, trained):
    torch.manual_seed(1)
    random.seed(1)
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    run(trained, record)
    train(record.until(CUT_OFF), TideNetConfig.tiny(n_epochs=1), seed=9)
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert states[1] == random.getstate()
    np.testing.assert_array_equal(states[2], np.random.get_state()[1])


def test_saved_and_loaded_it_forecasts_the_same_bits(record, trained):
    loaded = load_forecaster(trained.tensors(), trained.metadata(), record.grid, record.ocean)
    same(run(trained, record), run(loaded, record))
    for name, reference in trained.references.items():
        same(run(reference, record), run(loaded.references[name], record))
        tensors, metadata = reference.tensors(), reference.metadata()
        alone = load_forecaster(tensors, metadata, record.grid, record.ocean)
        same(run(reference, record), run(alone, record))


def test_members_may_take_their_local_part_from_the_refiner(record, trained):
    config = trained.config.model_copy(update={"detail_share": 0.5})
    refined = replace(trained, config=config)
    one, other = run(refined, record), run(trained, record)
    np.testing.assert_array_equal(one.mean, other.mean)
    assert np.nanmax(np.abs(one.members - other.members)) > 0
    same(one, run(refined, record))
    ratio = np.nanstd(one.members - one.mean) / np.nanstd(other.members - other.mean)
    assert 0.7 < ratio < 1.4


def with_drivers(record: FluxRecord) -> FluxRecord:
    rng = np.random.default_rng(8)
    n = len(record.fco2)
    wind = 0.1 * (1 + 0.1 * rng.standard_normal((n, *record.grid.shape))).astype(np.float32)
    index = rng.standard_normal(n).astype(np.float32)
    return replace(record, drivers={"transfer": wind, "nino34": index})


@pytest.fixture(scope="module")
def driven():
    """A tiny TIDE-Net that reads an index and forecasts the disequilibrium."""
    record = with_drivers(small_record())
    config = TideNetConfig.tiny(n_epochs=1, target="disequilibrium", drivers=("nino34",))
    forecaster = train(record.until(CUT_OFF), config, seed=1)
    return replace(forecaster, follow=np.ones_like(forecaster.follow))


def test_drivers_are_read_up_to_the_init_month_and_no_further(record, driven):
    known = with_drivers(record)
    clean = run(driven, known)
    later, now = ({n: d.copy() for n, d in known.drivers.items()} for _ in range(2))
    for name in later:
        later[name][known.index(CUT_OFF) + 1 :] = 1e6
        now[name][known.index(CUT_OFF)] *= 2
    same(clean, run(driven, replace(known, drivers=later)))
    for name in now:
        changed = run(driven, replace(known, drivers=known.drivers | {name: now[name]}))
        assert np.nanmax(np.abs(changed.mean - clean.mean)) > 0, name


def test_with_drivers_it_survives_saving(record, driven):
    known = with_drivers(record)
    loaded = load_forecaster(driven.tensors(), driven.metadata(), record.grid, record.ocean)
    same(run(driven, known), run(loaded, known))


def test_a_missing_driver_is_named(record, driven):
    with pytest.raises(UnknownDriverError, match=r"nino34|transfer"):
        run(driven, record)


def test_loading_for_another_sea_lists_every_difference(record, trained):
    grid = replace(record.grid, name="other", west=121.0)
    with pytest.raises(IncompatibleModelError) as refused:
        load_forecaster(trained.tensors(), trained.metadata(), grid, ~record.ocean)
    for part in ("grid.name", "grid.west", "ocean_cells", "ocean_sha256"):
        assert part in str(refused.value)


def test_loading_with_a_tensor_missing_is_refused(record, trained):
    tensors = trained.tensors()
    del tensors["network0.fusion.unet.conv_out.weight"]
    with pytest.raises(IncompatibleModelError, match=r"fusion\.unet\.conv_out\.weight"):
        load_forecaster(tensors, trained.metadata(), record.grid, record.ocean)


def test_a_hole_in_the_input_window_is_refused(record, trained):
    fields = record.fco2.copy()
    fields[record.index(CUT_OFF) - 2, 8, 8] = np.nan
    with pytest.raises(IncompleteFieldError, match="2012-10: 1 cells"):
        run(trained, replace(record, fco2=fields))


def test_too_little_history_is_refused(record, trained):
    with pytest.raises(NotEnoughMonthsError, match="at least 6"):
        run(trained, record, init=month("2005-05"))


def test_training_lowers_the_loss_and_reports_every_epoch(record):
    reports = []
    config = TideNetConfig.tiny(n_epochs=8, patience=8, learning_rate=5e-3)
    train(record.until(CUT_OFF), config, seed=1, progress=reports.append)
    assert [report.epoch for report in reports] == list(range(1, 9))
    assert reports[-1].loss < reports[0].loss
    assert reports[-1].best_validation_loss == min(report.validation_loss for report in reports)


def test_training_stops_when_validation_no_longer_improves(record):
    reports = []
    config = TideNetConfig.tiny(n_epochs=40, patience=1, learning_rate=2e-2)
    train(record.until(CUT_OFF), config, seed=1, progress=reports.append)
    assert len(reports) < 40


def test_a_loss_that_is_no_number_stops_training_by_name(record):
    config = TideNetConfig.tiny(n_epochs=3, learning_rate=1e30)
    with pytest.raises(TrainingDivergedError, match="epoch 1, batch"):
        train(record.until(CUT_OFF), config, seed=1)
