"""What a model is given beside what it was trained on: seen when it changes, quiet when not."""

from collections.abc import Iterator

import numpy as np
import pytest
from services.archive_samples import model_version
from services.small_loop import World, all_passed, dataset, flux

from flows.operations.input_drift import (
    check_input_drift,
    look_at_inputs,
    standardised,
    statistics_of,
)
from flows.operations.verify import verify
from storage.input_drift_checks import HeldMonths, held_months, last_input_drift_checks
from storage.months import month, month_range

MODEL = model_version(trained_from=month("2003-01"), trained_until=month("2014-12"))


def held(
    n_served: int, rng: np.random.Generator, shift: float = 0.0, **changes: float
) -> HeldMonths:
    """Return twelve years of training and some months after it, of three regions."""
    n = 144 + n_served
    months = np.arange(month("2003-01"), month("2003-01") + n)
    season = -6 + 4 * np.cos(months.astype(int) * np.pi / 6)
    slow = np.zeros(n)
    for t in range(1, n):
        slow[t] = 0.6 * slow[t - 1] + 0.4 * rng.normal()
    whole = season + slow
    whole[144:] += shift
    apart = 2 + 0.3 * rng.normal(size=n)
    apart[144:] *= changes.get("contrast", 1.0)
    share = np.clip(0.8 + 0.05 * rng.normal(size=n), 0, 1)
    share[144:] *= changes.get("share", 1.0)
    mean = np.stack([whole, whole + apart, whole - apart], axis=1)
    return HeldMonths(months, ("all", "east", "west"), mean, np.array([2e11, 1e11, 1e11]), share)


def drifting(values: HeldMonths, world: World) -> set[str]:
    looks = look_at_inputs(MODEL, values, world.workspace)
    assert {look.statistic for look in looks} == {"mean", "contrast", "observed-share"}
    return {look.statistic for look in looks if look.drifting}


def test_a_sea_that_goes_on_as_it_was_is_quiet(empty: World) -> None:
    rang = [drifting(held(12, np.random.default_rng(seed)), empty) for seed in range(40)]
    assert sum(bool(one) for one in rang) <= 3


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"shift": 3.0}, "mean"),
        ({"shift": -3.0}, "mean"),
        ({"contrast": 2.0}, "contrast"),
        ({"share": 0.5}, "observed-share"),
    ],
)
def test_a_change_of_the_input_is_seen_within_a_year(
    empty: World, changes: dict[str, float], seen: str
) -> None:
    for seed in range(10):
        assert seen in drifting(held(12, np.random.default_rng(seed), **changes), empty)


def test_too_little_training_or_no_month_after_it_says_nothing(empty: World) -> None:
    values = held(12, np.random.default_rng(0))
    young = model_version(trained_from=month("2013-01"), trained_until=month("2014-12"))
    few = HeldMonths(
        values.months[120:], values.regions, values.mean[120:], values.area_m2,
        values.observed_share[120:],
    )  # fmt: skip
    assert look_at_inputs(young, few, empty.workspace) == ()
    newest = model_version(trained_from=month("2003-01"), trained_until=month("2015-12"))
    assert look_at_inputs(newest, values, empty.workspace) == ()


def test_contrast_is_the_spread_of_the_regions_around_the_whole() -> None:
    values = HeldMonths(
        np.array(["2010-01"], dtype="datetime64[M]"),
        ("all", "large", "small"),
        np.array([[-4.0, -5.0, -1.0]]),
        np.array([4e11, 3e11, 1e11]),
        np.array([0.9]),
    )
    # (3 * 1² + 1 * 3²) / 4 = 3
    assert statistics_of(values)["contrast"] == pytest.approx([np.sqrt(3)])


def test_departures_are_from_the_calendar_month_and_in_standard_deviations() -> None:
    months = np.arange(month("2010-01"), month("2013-01"))
    values = np.where(months.astype(int) % 12 == 0, 10.0, 2.0)
    values[:24] += np.tile([1.0, -1.0], 12) * np.repeat([1.0, -1.0], 12)
    values[24:] += 3.0
    learned = np.arange(36) < 24
    found = standardised(values, months, learned, 1e-3)
    assert found[:24].mean() == pytest.approx(0, abs=1e-12)
    assert found[24:] == pytest.approx(3 / np.std([1.0, -1.0] * 12, ddof=1))


@pytest.fixture
def shifted(trained: World) -> Iterator[World]:
    """The year after the training is another sea."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.quality._validate", all_passed)
        for each in month_range(month("2014-01"), month("2014-12")):
            trained.deliver(each, dataset(each, (flux(each) + 6).astype(np.float32)))
        trained.ingest()
        yield trained


def test_a_verification_finds_it_once_and_keeps_it(shifted: World) -> None:
    first = verify(shifted.workspace)
    assert any("mean flux has left" in alarm for alarm in first.alarms)
    assert verify(shifted.workspace).alarms == ()
    kept = last_input_drift_checks(shifted.workspace.engine, first.inputs[0].model_version)
    assert kept["mean"].drifting
    assert kept["mean"].n_training_months == 48
    assert shifted.count("input_drift_checks") == len(kept) == 3


def test_without_a_champion_nobody_looks(filled: World) -> None:
    assert check_input_drift(filled.workspace, "small-sea") == ()


def test_only_regions_that_every_month_is_archived_for_count(trained: World) -> None:
    verify(trained.workspace)
    found = held_months(trained.workspace.engine, month("2012-01"))
    assert found.regions[0] == "all"
    assert found.mean.shape == (len(found.months), len(found.regions))
    assert str(found.months[0]) == "2012-01"
    assert np.isfinite(found.mean).all()
