"""Hand-over: no step at the seam, terms recovered through noise, refusals that say why."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ingest.handover.correction import (
    HandOver,
    HandOverMismatchError,
    InvalidHandOverError,
    regions_of,
)
from ingest.handover.overlap import InsufficientOverlapError, OverlapStatistics
from ingest.reader import ProductMonth
from storage.grid import Grid, grid_named
from storage.months import Month, calendar_month, month, month_range
from storage.regions import REGIONS

GRID = Grid("ecs-half", south=23.0, west=117.0, step=0.5, n_lat=38, n_lon=30)
REGION, NAMES = regions_of(GRID)
SEAM = month("2014-01")
OVERLAP = month_range(month("2011-01"), month("2013-12"))
SCALE = 1.25


def seasonal_bias(m: int) -> float:
    return -2.0 + 3.0 * np.sin(2 * np.pi * (m - 2) / 12)


def smooth(rng: np.random.Generator, cells: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    made = gaussian_filter(rng.normal(size=GRID.shape), cells)
    return made / made.std()


# A coast that runs to the north-east, with land to its west.
OCEAN = GRID.lon[None, :] > 119.3 + 0.1 * (GRID.lat[:, None] - 25.0)
MEANS = {
    m: -6 + 5 * np.cos(2 * np.pi * m / 12) + 2.5 * smooth(np.random.default_rng(m), 3)
    for m in range(1, 13)
}


@dataclass(frozen=True)
class Common:
    """One month of both products and the sea's own flux."""

    month: Month
    truth: np.ndarray
    old: np.ndarray
    new: np.ndarray


def two_products(
    months: list[Month],
    *,
    noise: float = 1.0,
    noise_cells: float = 0.0,
    scale: Callable[[int], float] = lambda _: SCALE,
    bias: Callable[[int], np.ndarray | float] = seasonal_bias,
    seed: int = 0,
) -> Iterator[Common]:
    """Make months of an old product and of a new one: old = bias + scale x new, each with noise."""
    rng = np.random.default_rng(seed)

    def error(size: float) -> np.ndarray:
        return size * (smooth(rng, noise_cells) if noise_cells else rng.normal(size=GRID.shape))

    def seen() -> np.ndarray:
        return OCEAN & (rng.random(GRID.shape) > 0.2)

    for wanted in months:
        m = calendar_month(wanted)
        truth = MEANS[m] + 0.7 * smooth(rng, 4) + 0.3 * rng.normal()
        old = np.where(seen(), truth + error(0.5), np.nan)
        new = np.where(seen(), (truth - bias(m)) / scale(m) + error(noise), np.nan)
        yield Common(wanted, truth, old, new)


def fitted(months: Iterator[Common] | list[Common]) -> HandOver:
    statistics = OverlapStatistics(GRID, "old", "new")
    for one in months:
        statistics.add(one.month, one.old, one.new)
    return statistics.fit()


def product_month(
    wanted: Month, values: np.ndarray, grid: Grid = GRID, stated: float = np.nan
) -> ProductMonth:
    return ProductMonth(
        month=wanted,
        grid=grid,
        fco2=values.astype(np.float32),
        uncertainty=np.full(grid.shape, stated, dtype=np.float32),
        ocean=None,
        variable="fgco2",
        units="mmol m-2 d-1",
    )


@pytest.fixture(scope="module")
def hand_over() -> HandOver:
    return fitted(two_products(OVERLAP))


# --- the seam -------------------------------------------------------------------------------------


def step_at_seam(anomalies: list[float], months: list[Month], seam: Month) -> tuple[float, float]:
    """Return the difference of the means after and before, and half its 95 % interval.

    The calendar months' twelve differences are the sample, as one calendar month has one term.
    """
    which = np.array([calendar_month(m) for m in months])
    after = np.array(months) >= seam
    values = np.array(anomalies)
    steps = [
        values[after & (which == m)].mean() - values[~after & (which == m)].mean()
        for m in range(1, 13)
    ]
    student = 2.201  # 97.5 % point of Student's t with 11 degrees of freedom
    return float(np.mean(steps)), float(student * np.std(steps, ddof=1) / np.sqrt(12))


def area_mean(values: np.ndarray, where: np.ndarray, grid: Grid) -> float:
    return float(np.average(values[where], weights=grid.cell_area[where]))


@pytest.mark.parametrize("noise_cells", [0.0, 2.0], ids=["white noise", "noise in patches"])
@pytest.mark.parametrize("region", ["everywhere", "changjiang-plume", "yellow-sea"])
def test_a_change_of_product_puts_no_step_into_the_record(region: str, noise_cells: float) -> None:
    months = month_range(month("2006-01"), month("2018-12"))
    history = list(two_products(months, noise_cells=noise_cells, seed=3))
    made = fitted([one for one in history if one.month in OVERLAP])
    within = OCEAN if region == "everywhere" else OCEAN & (NAMES.index(region) == REGION)
    corrected: list[float] = []
    delivered: list[float] = []
    for one in history:
        usual = MEANS[calendar_month(one.month)]
        late = one.month >= SEAM
        new = made.apply(product_month(one.month, one.new)).fco2 if late else one.old
        for record, values in ((corrected, new), (delivered, one.new if late else one.old)):
            there = within & np.isfinite(values)
            record.append(area_mean(values - usual, there, GRID))
    step, half_width = step_at_seam(corrected, months, SEAM)
    assert abs(step) < half_width
    assert half_width < 0.4
    step, half_width = step_at_seam(delivered, months, SEAM)
    assert abs(step) > 2 * half_width


def test_real_months_distorted_from_2014_on_join_without_a_step(shared_data: Path) -> None:
    import h5py

    grid, seam = grid_named("east-asia-1deg"), month("2017-01")
    months = month_range(month("2010-01"), month("2019-12"))
    rng = np.random.default_rng(1)
    statistics = OverlapStatistics(grid, "real", "distorted")
    later, corrected, delivered = [], [], []
    for wanted in months:
        name = f"ECS_FCO2_monthly_1deg_{str(wanted).replace('-', '')}.nc"
        with h5py.File(shared_data / "fco2_1deg" / name) as file:
            truth = file["fco2"][0].astype(np.float64)
        truth[truth == -9999] = np.nan
        bias = 3.0 + 2.0 * np.cos(2 * np.pi * calendar_month(wanted) / 12)
        noise = rng.normal(0.0, 1.0, (2, *grid.shape)) + rng.normal(0.0, 0.2, (2, 1, 1))
        old, new = truth + noise[0], (truth - bias) / 1.3 + noise[1]
        if month("2014-01") <= wanted < seam:
            statistics.add(wanted, old, new)
        later.append((wanted, truth, old, new))
    made = statistics.fit()
    for wanted, truth, old, new in later:
        ours = made.apply(product_month(wanted, new, grid)).fco2 if wanted >= seam else old
        there = np.isfinite(truth)
        corrected.append(area_mean(ours - truth, there, grid))
        delivered.append(area_mean((new if wanted >= seam else old) - truth, there, grid))
    step, half_width = step_at_seam(corrected, months, seam)
    assert abs(step) < half_width < 0.3
    step, half_width = step_at_seam(delivered, months, seam)
    assert abs(step) > 2 * half_width
    scale = made.term("elsewhere", 1)
    assert abs(scale.scale - 1.3) < 1.96 * scale.scale_error < 0.1


# --- the terms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise_cells", [0.0, 2.0], ids=["white noise", "noise in patches"])
def test_noise_in_the_new_product_does_not_flatten_the_scale(noise_cells: float) -> None:
    months = list(two_products(OVERLAP, noise=2.0, noise_cells=noise_cells))
    made = fitted(months)
    x, y = (np.concatenate([getattr(one, k).ravel() for one in months]) for k in ("new", "old"))
    both = np.isfinite(x) & np.isfinite(y)
    least_squares = np.polyfit(x[both], y[both], 1)[0]
    assert least_squares < 0.9 * SCALE
    for name in NAMES:
        term = made.term(name, 1)
        assert abs(term.scale - SCALE) < 1.96 * term.scale_error
        assert term.scale_error < 0.12


def test_the_seasonal_bias_is_recovered_within_its_error(hand_over: HandOver) -> None:
    terms = [hand_over.term(name, m) for name in NAMES for m in range(1, 13)]
    errors = np.array([term.offset - seasonal_bias(term.calendar_month) for term in terms])
    stated = np.array([term.offset_error for term in terms])
    assert np.sqrt(np.mean(errors**2)) < 0.15
    assert np.mean(np.abs(errors) < 1.96 * stated) > 0.8


def test_regions_with_a_bias_of_their_own_keep_their_mean_though_borders_are_smooth() -> None:
    levels = np.array([3.0, -1.0, 2.0, -2.0, 1.0, -3.0, 0.0])[REGION]
    months = list(two_products(OVERLAP, noise=0.1, scale=lambda _: 1.0, bias=lambda _: levels))
    made = fitted(months)
    correction = made.apply(product_month(month("2015-06"), np.zeros(GRID.shape))).fco2
    for position, name in enumerate(NAMES):
        there = np.equal(REGION, position)
        wanted = levels[there].mean()
        assert made.term(name, 6).offset == pytest.approx(wanted, abs=0.2)
        assert area_mean(correction, there, GRID) == pytest.approx(wanted, abs=0.25)


def test_no_front_appears_at_the_border_of_regions(hand_over: HandOver) -> None:
    grid = grid_named("carbon-ecs-10")
    region, names = regions_of(grid)
    terms = tuple(
        replace(term, offset=float(5 * (names.index(term.region) % 2)), scale=1.0)
        for term in hand_over.terms
    )
    made = replace(hand_over, grid=grid.name, terms=terms)
    correction = made.apply(product_month(month("2015-06"), np.zeros(grid.shape), grid)).fco2
    steps = np.abs(np.diff(correction, axis=1))
    assert np.ptp(correction) > 4
    assert steps.max() < 0.25 * 5
    assert np.abs(np.diff(5.0 * (region % 2), axis=1)).max() == 5


def test_an_irregular_calendar_is_followed_and_few_noisy_years_are_smoothed() -> None:
    jump = {m: 6.0 if m == 7 else 0.0 for m in range(1, 13)}
    made = fitted(two_products(OVERLAP, noise=0.3, bias=lambda m: jump[m]))
    assert made.term("yellow-sea", 7).offset == pytest.approx(6.0, abs=0.6)
    assert made.term("yellow-sea", 6).offset == pytest.approx(0.0, abs=0.6)
    two_years = month_range(month("2011-01"), month("2012-12"))
    errors, raw = [], []
    for seed in range(3):
        months = list(two_products(two_years, noise=2.0, noise_cells=2.0, seed=seed))
        made = fitted(months)
        for m in range(1, 13):
            of = [one for one in months if calendar_month(one.month) == m]
            both = [np.isfinite(one.old) & np.isfinite(one.new) for one in of]
            plain = np.mean(
                [
                    area_mean(one.old - SCALE * one.new, there & (REGION == 0), GRID)
                    for one, there in zip(of, both, strict=True)
                ]
            )
            raw.append(plain - seasonal_bias(m))
            errors.append(made.term(NAMES[0], m).offset - seasonal_bias(m))
    assert np.sqrt(np.mean(np.square(errors))) < np.sqrt(np.mean(np.square(raw)))


def test_a_long_overlap_gives_each_calendar_month_a_scale_of_its_own() -> None:
    def scale(m: int) -> float:
        return 1.2 + 0.3 * np.cos(2 * np.pi * m / 12)

    months = month_range(month("2004-01"), month("2013-12"))
    made = fitted(two_products(months, noise=0.5, scale=scale))
    short = fitted(two_products(months[:60], noise=0.5, scale=scale))
    for m in (3, 6, 12):
        assert made.term("elsewhere", m).scale == pytest.approx(scale(m), abs=0.05)
    assert len({short.term("elsewhere", m).scale for m in range(1, 13)}) == 1


def test_where_no_pattern_tells_the_scale_it_stays_near_one_and_says_so() -> None:
    rng = np.random.default_rng(0)
    statistics = OverlapStatistics(GRID, "old", "new")
    for wanted in OVERLAP:
        flux = -5.0 + rng.normal()
        old, new = flux + rng.normal(size=(2, *GRID.shape))
        statistics.add(wanted, old, new - 2.0)
    term = statistics.fit().term("yellow-sea", 4)
    assert term.scale == pytest.approx(1.0, abs=0.3)
    assert term.scale_error > 0.2
    assert term.offset_error > 1.0
    assert term.offset + term.scale * -7.0 == pytest.approx(-5.0, abs=0.3)


def test_a_region_without_common_cells_takes_the_terms_of_all_regions() -> None:
    bare = NAMES.index("southern-shelf")
    months = [
        replace(one, new=np.where(bare == REGION, np.nan, one.new)) for one in two_products(OVERLAP)
    ]
    made = fitted(months)
    term = made.term("southern-shelf", 5)
    assert (term.n_months, term.n_cells) == (0, 0)
    assert term.offset == pytest.approx(seasonal_bias(5), abs=0.3)
    assert term.scale == pytest.approx(SCALE, abs=0.05)


def test_the_residual_is_what_years_left_out_leave(hand_over: HandOver) -> None:
    assert hand_over.years_left_out
    # Noise of the old product, and of the new one through the scale.
    noise = np.hypot(0.5, SCALE * 1.0)
    assert hand_over.rmse_after == pytest.approx(noise, rel=0.05)
    assert hand_over.rmse_before > 1.15 * hand_over.rmse_after
    assert hand_over.term("elsewhere", 1).residual == pytest.approx(noise, rel=0.1)
    two_years = fitted(two_products(month_range(month("2011-01"), month("2012-12"))))
    assert not two_years.years_left_out


def test_what_is_left_is_found_on_years_that_the_fit_did_not_see() -> None:
    rng = np.random.default_rng(5)
    months = [
        replace(one, new=one.new + rng.normal()) for one in two_products(OVERLAP, noise=0.1, seed=2)
    ]
    made = fitted(months)
    inside = np.sqrt(np.mean([term.residual**2 for term in made.terms]))
    assert made.rmse_after > 1.1 * inside


def test_offsets_are_weighted_by_area() -> None:
    tall = Grid("tall", south=44.0, west=150.0, step=2.0, n_lat=20, n_lon=10)
    statistics = OverlapStatistics(tall, "old", "new")
    bias = np.where(tall.lat > 64, 4.0, 0.0)[:, None]
    for wanted in OVERLAP:
        flux = np.random.default_rng(1).normal(size=tall.shape)
        statistics.add(wanted, flux + bias, flux)
    term = statistics.fit().term("elsewhere", 1)
    mean = area_mean(bias * np.ones(tall.shape), np.ones(tall.shape, dtype=bool), tall)
    assert term.offset == pytest.approx(mean, abs=0.1)
    assert mean < 1.6


def test_the_overlap_is_told(hand_over: HandOver) -> None:
    assert (hand_over.old_product, hand_over.new_product) == ("old", "new")
    assert (hand_over.grid, hand_over.n_months) == (GRID.name, 36)
    assert (hand_over.first_month, hand_over.last_month) == ("2011-01", "2013-12")
    term = hand_over.term("yellow-sea", 2)
    assert term.n_months == 3
    assert 0 < term.n_cells <= np.sum((NAMES.index("yellow-sea") == REGION) & OCEAN)


def test_a_month_added_again_replaces_the_first() -> None:
    statistics = OverlapStatistics(GRID, "old", "new")
    months = list(two_products(OVERLAP))
    for one in months:
        statistics.add(one.month, one.old, one.new + 50.0)
    for one in months:
        statistics.add(one.month, one.old, one.new)
    assert statistics.fit() == fitted(months)


# --- applying -------------------------------------------------------------------------------------


def test_a_corrected_month_keeps_its_gaps_and_its_uncertainty_grows(hand_over: HandOver) -> None:
    one = next(two_products([month("2015-06")]))
    delivered = product_month(one.month, one.new, stated=3.0)
    made = hand_over.apply(delivered)
    np.testing.assert_array_equal(np.isfinite(made.fco2), np.isfinite(delivered.fco2))
    assert made.fco2.dtype == made.uncertainty.dtype == np.float32
    assert (made.month, made.grid, made.units) == (one.month, GRID, "mmol m-2 d-1")
    there = np.isfinite(made.fco2) & (NAMES.index("elsewhere") == REGION)
    left = hand_over.term("elsewhere", 6).residual
    typical = float(np.median(made.uncertainty[there]))
    assert typical == pytest.approx(np.hypot(SCALE * 3.0, left), rel=0.05)
    unstated = hand_over.apply(product_month(one.month, one.new)).uncertainty
    assert float(np.median(unstated[there])) == pytest.approx(left, rel=0.05)
    assert np.isnan(unstated[np.isnan(made.fco2)]).all()


def test_a_month_on_another_grid_is_refused(hand_over: HandOver) -> None:
    other = Grid("other", south=23.0, west=117.0, step=0.5, n_lat=38, n_lon=30)
    with pytest.raises(HandOverMismatchError, match=r"other.*ecs-half"):
        hand_over.apply(product_month(month("2015-06"), np.zeros(other.shape), other))
    with pytest.raises(HandOverMismatchError, match=r"\(2, 3\)"):
        OverlapStatistics(GRID, "old", "new").add(
            month("2015-06"), np.ones((2, 3)), np.ones((2, 3))
        )


def test_every_cell_lies_in_one_region_and_the_first_that_contains_it() -> None:
    grid = grid_named("carbon-ecs-10")
    index, names = regions_of(grid)
    assert index.max() == len(names) - 1
    assert not {"all", "ecs-shelf"} & set(names)
    taken = np.zeros(grid.shape, dtype=bool)
    for region in REGIONS:
        if region.name in names:
            first = region.contains(grid) & ~taken
            np.testing.assert_array_equal(index == names.index(region.name), first)
            taken |= first
    np.testing.assert_array_equal(index == names.index("elsewhere"), ~taken)


# --- text -----------------------------------------------------------------------------------------


def test_a_hand_over_survives_the_way_through_text_exactly(hand_over: HandOver) -> None:
    again = HandOver.from_json(hand_over.to_json())
    assert again == hand_over
    delivered = product_month(month("2015-06"), np.full(GRID.shape, -3.0))
    np.testing.assert_array_equal(again.apply(delivered).fco2, hand_over.apply(delivered).fco2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda held: held.pop("grid"),
        lambda held: held.update(format=2),
        lambda held: held.update(surplus=1),
        lambda held: held.update(first_month="2011"),
        lambda held: held.update(n_months="36"),
        lambda held: held["terms"].pop(),
        lambda held: held["terms"].append(held["terms"][0]),
        lambda held: held["terms"][0].update(scale="1"),
        lambda held: held["terms"][0].update(scale=float("nan")),
        lambda held: held["terms"][0].pop("offset"),
        lambda held: held.update(terms=[]),
        lambda held: held.update(terms=None),
    ],
)
def test_a_text_that_is_no_hand_over_is_refused(
    hand_over: HandOver, damage: Callable[[dict[str, object]], object]
) -> None:
    held = json.loads(hand_over.to_json())
    damage(held)
    with pytest.raises(InvalidHandOverError):
        HandOver.from_json(json.dumps(held))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "3"])
def test_a_text_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidHandOverError):
        HandOver.from_json(text)


# --- too little -----------------------------------------------------------------------------------


def test_too_few_months_are_refused_with_what_is_missing() -> None:
    months = month_range(month("2011-01"), month("2012-07"))
    with pytest.raises(InsufficientOverlapError) as refused:
        fitted(two_products(months))
    text = str(refused.value)
    assert "19 common months, 2011-01 to 2012-07" in text
    assert "5 more (August lacks 1; September lacks 1;" in text
    assert "January" not in text


def test_enough_months_that_lack_a_calendar_month_are_refused() -> None:
    months = month_range(month("2010-01"), month("2013-12"))
    with pytest.raises(InsufficientOverlapError, match=r"2 more \(July lacks 2\)"):
        fitted(two_products([m for m in months if calendar_month(m) != 7]))


def test_products_without_a_common_cell_are_refused() -> None:
    with pytest.raises(InsufficientOverlapError, match="0 common months"):
        fitted([replace(one, new=np.full(GRID.shape, np.nan)) for one in two_products(OVERLAP)])
    with pytest.raises(InsufficientOverlapError, match="0 common months"):
        OverlapStatistics(GRID, "old", "new").fit()


def test_a_month_with_few_common_cells_does_not_count() -> None:
    months = list(two_products(month_range(month("2011-01"), month("2012-12"))))
    spots = np.zeros(GRID.shape, dtype=bool)
    spots[::6, ::6] = True
    months[4] = replace(months[4], old=np.where(spots, months[4].old, np.nan))
    with pytest.raises(InsufficientOverlapError, match=r"besides 1 with fewer.*May lacks 1"):
        fitted(months)
