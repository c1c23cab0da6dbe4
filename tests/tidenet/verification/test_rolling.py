"""Rolling-origin hindcasts: nothing of the future enters, and all methods see the same months."""

from dataclasses import replace

import numpy as np
import pytest
from services.small_sea import small_record

from storage.months import month
from tidenet.configuration import TideNetConfig
from tidenet.errors import NotEnoughMonthsError
from tidenet.forecaster import Forecast
from tidenet.record import FluxRecord
from tidenet.references import METHODS, fit_reference
from tidenet.training import refit, train
from tidenet.verification.rolling import FitMethod, Origin, reference_fit, rolling_hindcasts

ORIGIN = month("2011-12")
N_LEADS = 3


def hindcasts(record: FluxRecord, methods: dict[str, FitMethod], **options):
    settings = {"first_origin": ORIGIN, "last_init": month("2013-06"), "n_leads": N_LEADS}
    return rolling_hindcasts(record, methods, **(settings | {"n_members": 4} | options))


def spoiled_after(record: FluxRecord, last) -> FluxRecord:
    fields = record.fco2.copy()
    fields[record.index(last) + 1 :] = 1e4
    return replace(record, fco2=fields)


def leaks(record: FluxRecord, method_of, origin=ORIGIN) -> bool:
    """Return whether a month after the origin changes what a method forecasts at the origin.

    ``method_of(record)`` returns how the method is fitted in a world with that record.
    """
    forecasts = []
    for world in (record, spoiled_after(record, origin)):
        known = world.until(origin)
        fit = method_of(world)
        forecaster = fit(Origin(known, shared_of(known), 0))
        rng = np.random.default_rng(0)
        forecasts.append(forecaster.forecast(known, origin, n_members=3, rng=rng))
    return not np.array_equal(forecasts[0].members, forecasts[1].members, equal_nan=True)


def shared_of(known: FluxRecord):
    from tidenet.references import fit_shared

    return fit_shared(known, N_LEADS)


def tidenet_fit(_: FluxRecord) -> FitMethod:
    config = TideNetConfig.tiny(n_leads=N_LEADS, n_epochs=1, validation_months=12)
    return lambda origin: train(origin.record, config, seed=0)


@pytest.mark.parametrize("method", METHODS)
def test_no_reference_knows_a_month_after_its_origin(method):
    assert not leaks(small_record(), lambda _: reference_fit(method, N_LEADS))


def test_tidenet_knows_no_month_after_its_origin():
    assert not leaks(small_record(), tidenet_fit)


def test_a_planted_leak_is_caught():
    """A climatology of all months, the future's too, is what the check must not miss."""
    assert leaks(
        small_record(), lambda world: lambda _: fit_reference("climatology", world, N_LEADS)
    )


class Looking:
    """Forecasts the last month of all that it is given, and remembers what it saw."""

    n_history, n_leads = 1, N_LEADS

    def __init__(self):
        self.seen, self.forecasts = set(), {}

    def forecast(self, record, init_month, *, n_members, rng):
        self.seen.add((str(init_month), str(record.last_month), len(record.fco2)))
        mean = np.repeat(record.fco2[-1:], N_LEADS, axis=0)
        self.forecasts[str(init_month)] = mean
        return Forecast(record.grid, init_month, np.stack([mean] * n_members), mean)


def test_a_method_that_looks_at_all_that_it_is_given_sees_its_init_month_last():
    looking, record = Looking(), small_record()
    hindcasts(record, {"looking": lambda _: looking})
    months = np.arange(month("2012-01"), month("2013-07"))
    assert looking.seen == {(str(m), str(m), record.index(m) + 1) for m in months}


def test_later_months_change_no_forecast_of_a_method_that_looks_at_all_that_it_is_given():
    last, worlds = month("2012-05"), []
    for record in (small_record(), spoiled_after(small_record(), last)):
        looking = Looking()
        hindcasts(record, {"looking": lambda _, looking=looking: looking}, last_init=last)
        worlds.append(looking.forecasts)
    clean, spoiled = worlds
    assert len(clean) == 5
    for init_month, forecast in clean.items():
        np.testing.assert_array_equal(spoiled[init_month], forecast)


def test_months_after_the_init_month_change_no_score_of_the_months_before():
    record = small_record()
    methods = {"damped-persistence": reference_fit("damped-persistence", N_LEADS)}
    clean = hindcasts(record, methods, last_init=month("2012-05"))
    spoiled = hindcasts(
        spoiled_after(record, month("2012-08")), methods, last_init=month("2012-05")
    )
    assert [r.sums for r in clean.skill] == [r.sums for r in spoiled.skill]


def test_methods_are_refitted_at_every_origin_and_each_init_month_comes_once():
    origins = []

    def fit(origin: Origin):
        origins.append((origin.number, str(origin.record.last_month)))
        return reference_fit("climatology", N_LEADS)(origin)

    found = hindcasts(small_record(), {"climatology": fit}, refit_months=6)
    assert origins == [(0, "2011-12"), (1, "2012-06"), (2, "2012-12")]
    months = sorted({row.init_month for row in found.skill})
    assert months == list(np.arange(month("2012-01"), month("2013-07")))
    assert len(found.skill) == len(months) * N_LEADS


def test_leads_past_the_end_of_the_record_are_left_out():
    record = small_record()
    found = hindcasts(
        record, {"trend": reference_fit("trend", N_LEADS)}, last_init=record.last_month
    )
    last = [r.lead_months for r in found.skill if r.init_month == record.last_month - 1]
    assert last == [1]


def test_a_method_that_cannot_be_fitted_is_named_and_the_others_go_on():
    def impossible(_: Origin):
        raise NotEnoughMonthsError("The record is too short to train on.")

    found = hindcasts(
        small_record(), {"tidenet": impossible, "trend": reference_fit("trend", N_LEADS)}
    )
    assert "too short" in found.failed["tidenet"]
    assert {row.method for row in found.skill} == {"trend"}


def test_a_cut_off_outside_the_record_is_refused():
    with pytest.raises(NotEnoughMonthsError, match="2013-12"):
        hindcasts(small_record(), {}, first_origin=month("2013-12"), last_init=month("2020-01"))


def test_progress_ends_at_its_total():
    seen = []
    hindcasts(
        small_record(),
        {"trend": reference_fit("trend", N_LEADS)},
        progress=lambda done, total, detail: seen.append((done, total, detail)),
    )
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_refitting_keeps_the_networks_and_renews_the_rest():
    record = small_record()
    config = TideNetConfig.tiny(n_leads=N_LEADS, n_epochs=1, validation_months=12)
    old = train(record.until(ORIGIN), config, seed=0)
    new = refit(old, record.until(ORIGIN + 12))
    assert new.networks is old.networks
    np.testing.assert_array_equal(new.follow, old.follow)
    assert np.nanmax(np.abs(new.climatology.mean - old.climatology.mean)) > 0
