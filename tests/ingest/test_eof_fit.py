"""The EOF basis: the planted modes are found, through gaps, in bands, wherever it is computed."""

from dataclasses import replace

import numpy as np
import pytest
from services.eof_samples import EOF_GRID, N_PLANTED, NOISE, eof_months, eof_ocean, eof_truth

from ingest.completion import choice, fit, modes, tasks
from ingest.completion.fit import TooFewMonthsError, fit_basis
from ingest.completion.modes import anomalies, covariance_sum, filled, iterate, modes_of
from ingest.completion.tasks import ClusterUnavailableError, no_progress, task_runner
from storage.eof_basis import EofBasis
from storage.months import calendar_months

OCEAN = eof_ocean()


RANKS = (1, 2, 3, 5, 8)


@pytest.fixture(scope="module")
def basis() -> EofBasis:
    return fit_basis(eof_months(part_completed=0.2), OCEAN, ranks=RANKS)


def close(one: EofBasis, other: EofBasis) -> bool:
    """Return whether two bases agree to 1e-6 of the largest value of each array."""
    names = ("climatology", "patterns", "variances", "residual_variance")
    pairs = [(getattr(one, name), getattr(other, name)) for name in names]
    return one.rank == other.rank and all(
        np.abs(a - b).max() <= 1e-6 * np.abs(a).max() for a, b in pairs
    )


def test_cross_validation_chooses_as_many_modes_as_there_are(basis: EofBasis) -> None:
    assert basis.rank == N_PLANTED
    by_rank = {score.rank: score for score in basis.scores}
    assert by_rank[1].rmse > by_rank[2].rmse > 1.2 * by_rank[3].rmse
    assert by_rank[1].behind > 1
    assert by_rank[N_PLANTED].behind <= 1


def test_the_modes_explain_all_but_the_noise(basis: EofBasis) -> None:
    assert np.sqrt(basis.residual_variance.mean()) == pytest.approx(NOISE, rel=0.1)
    assert (np.diff(basis.variances) <= 0).all()
    weights = EOF_GRID.cell_area[OCEAN]
    squares = np.average(basis.patterns.astype(float) ** 2, axis=1, weights=weights)
    np.testing.assert_allclose(squares, 1, rtol=0.05)


def test_gaps_of_earlier_months_are_filled_by_the_modes_not_believed() -> None:
    reader = eof_months(part_completed=0.3)
    truth = eof_truth(len(reader.months))[:, OCEAN]
    gaps = ~reader.observed[:, OCEAN]
    calendar = calendar_months(reader.months)
    climatology, anomaly = anomalies(reader.fco2[:, OCEAN], reader.observed[:, OCEAN], calendar)
    weights = np.ones(OCEAN.sum())
    modes = iterate(
        lambda guess: covariance_sum(anomaly, calendar, weights, guess), N_PLANTED, None
    )
    whole, correction = filled(anomaly, calendar, modes)
    made = whole + (climatology + correction)[calendar - 1]
    there = truth - climatology[calendar - 1]
    assert np.sqrt(np.mean((made - truth)[gaps] ** 2)) < 0.2 * there[gaps].std()
    assert np.isnan(anomaly[gaps]).all()


def test_a_year_that_was_not_observed_does_not_bend_the_climatology(basis: EofBasis) -> None:
    """The mean over all years counts, also where some were not seen."""
    complete = fit_basis(eof_months(), OCEAN, ranks=RANKS)
    spread = eof_truth(72)[:, OCEAN].std(axis=0).mean()
    assert np.sqrt(np.mean((basis.climatology - complete.climatology) ** 2)) < 0.06 * spread


def test_the_climatology_is_that_of_what_was_observed() -> None:
    values = np.array([[1.0], [3.0], [100.0]] * 12, dtype=np.float32)
    observed = np.array([[True], [True], [False]] * 12)
    calendar = np.repeat(np.arange(1, 13), 3)
    climatology, anomaly = anomalies(values, observed, calendar)
    # A completed value counts little: the mean must exist where nothing was ever observed.
    np.testing.assert_allclose(climatology, (1 + 3 + 5) / 2.05, rtol=1e-6)
    assert np.isnan(anomaly[2::3]).all()
    never, _ = anomalies(values, np.zeros_like(observed), calendar)
    np.testing.assert_allclose(never, 104 / 3, rtol=1e-6)


def test_modes_are_orthonormal_ordered_and_of_a_fixed_sign() -> None:
    rng = np.random.default_rng(4)
    fields = rng.standard_normal((40, 500)) * np.linspace(3, 1, 40)[:, None]
    modes = modes_of(fields @ fields.T / 500, 5)
    np.testing.assert_allclose(modes.series.T @ modes.series, np.eye(5), atol=1e-12)
    assert (np.diff(modes.power) < 0).all()
    assert (np.diff(modes.shrinkage) < 0).all()
    assert (modes.series.max(axis=0) == np.abs(modes.series).max(axis=0)).all()


def test_bands_do_not_change_the_result(basis: EofBasis, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = eof_months(part_completed=0.2)
    monkeypatch.setattr(modes, "VALUES_IN_BAND", 5 * len(reader.months) * EOF_GRID.n_lon)
    assert len(modes.bands_of(EOF_GRID, len(reader.months))) == 5
    assert close(basis, fit_basis(reader, OCEAN, ranks=RANKS))


def test_the_order_of_the_tasks_does_not_change_a_bit(basis: EofBasis) -> None:
    again = fit_basis(eof_months(part_completed=0.2), OCEAN, ranks=RANKS, scheduler="synchronous")
    assert again.content_hash() == basis.content_hash()


def test_a_thinned_grid_chooses_the_same(basis: EofBasis, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = eof_months(part_completed=0.2)
    monkeypatch.setattr(choice, "_MOST_CELLS", 100)
    monkeypatch.setattr(modes, "VALUES_IN_BAND", 7 * len(reader.months) * EOF_GRID.n_lon)
    thinned = fit_basis(reader, OCEAN, ranks=RANKS)
    assert thinned.rank == basis.rank
    similar = np.abs((thinned.patterns * basis.patterns).mean(axis=1))
    assert (similar > 0.98).all()


def test_other_data_hide_other_patches() -> None:
    folds = [choice._folds(eof_months(seed=seed), OCEAN) for seed in (0, 0, 1)]
    hidden = [np.concatenate([fold.hidden for fold in some]) for some in folds]
    np.testing.assert_array_equal(hidden[0], hidden[1])
    assert (hidden[0] != hidden[2]).any()


def test_the_thinned_grid_is_where_its_values_are(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = eof_months(36)
    monkeypatch.setattr(modes, "VALUES_IN_BAND", 7 * len(reader.months) * EOF_GRID.n_lon)
    for most, stride in ((100, 2), (50, 3)):
        monkeypatch.setattr(choice, "_MOST_CELLS", most)
        assert choice.thinning(int(OCEAN.sum())) == stride
        with task_runner("synchronous", no_progress) as run:
            sample, ocean = fit._sample(fit._Problem(reader, OCEAN, run))
        rows, columns = (
            np.abs(fine[:, None] - coarse).argmin(axis=0)
            for fine, coarse in (
                (EOF_GRID.lat, sample.grid.lat),
                (EOF_GRID.lon, sample.grid.lon),
            )
        )
        np.testing.assert_allclose(EOF_GRID.lat[rows], sample.grid.lat)
        np.testing.assert_allclose(EOF_GRID.lon[columns], sample.grid.lon)
        np.testing.assert_array_equal(OCEAN[np.ix_(rows, columns)], ocean)
        np.testing.assert_array_equal(reader.fco2[:, rows][:, :, columns], sample.fco2)


def test_the_error_is_calibrated_and_the_part_that_surroundings_tell_is_found() -> None:
    rng = np.random.default_rng(5)
    n = 40_000
    modes, residual = rng.uniform(0.1, 0.3, n), rng.uniform(0.5, 1.5, n)
    trusts = rng.uniform(0, 0.5, (2, n))
    true = 4 * (modes + residual * (1 - np.array([0.8, 0.3]) @ trusts))
    squared = true * rng.standard_normal(n) ** 2
    explained, calibration = choice._calibrate(
        np.stack([np.ones(n), squared, modes, residual, *trusts])
    )
    np.testing.assert_allclose(explained, [0.8, 0.3], atol=0.1)
    assert calibration == pytest.approx(2, rel=0.05)


def test_few_months_flatter_the_error_and_calibration_makes_up_for_it(basis: EofBasis) -> None:
    short = fit_basis(eof_months(40), OCEAN, ranks=RANKS)
    assert short.calibration > 1.15
    assert 0.95 < basis.calibration < short.calibration


def test_withheld_months_are_not_learned_from() -> None:
    reader = eof_months(part_completed=0.2)
    folds = choice._folds(reader, OCEAN)
    for fold in folds:
        assert not set(fold.learned) & set(fold.tested)
        assert not (fold.hidden & ~reader.observed[fold.tested]).any()
    assert sum(len(fold.tested) for fold in folds) == len(reader.months)


def test_a_short_record_is_refused() -> None:
    with pytest.raises(TooFewMonthsError, match="at least 36"):
        fit_basis(eof_months(35), OCEAN, ranks=RANKS)


def test_months_with_nothing_to_withhold_are_left_out() -> None:
    reader = eof_months(48)
    observed = reader.observed.copy()
    observed[::3] = False  # every third month was filled from elsewhere, but for a few cells
    observed[::3, 4:6, 8:11] = True
    fitted = fit_basis(replace(reader, observed=observed), OCEAN, ranks=RANKS)
    assert fitted.rank == N_PLANTED
    assert np.isfinite(fitted.calibration)
    with pytest.raises(TooFewMonthsError, match="observed"):
        fit_basis(replace(reader, observed=np.zeros_like(observed)), OCEAN)


def test_more_modes_than_the_months_support_are_not_tried() -> None:
    tried = [score.rank for score in fit_basis(eof_months(36), OCEAN).scores]
    assert tried == [1, 2, 3, 5, 8]  # 24 months less 12 means leave 12: three quarters of that


def test_progress_is_told() -> None:
    steps: list[tuple[int, int, str]] = []
    fit_basis(eof_months(36), OCEAN, ranks=RANKS, progress=lambda *step: steps.append(step))
    assert {detail for _, _, detail in steps} >= {"choosing the rank", "patterns"}
    assert all(1 <= done <= total for done, total, _ in steps)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(ClusterUnavailableError, match="TIDENET_DASK_SCHEDULER"):
            fit_basis(eof_months(36), OCEAN, scheduler=address)
