"""Completion with EOFs: better than the usual ways on real months, with an error that is true."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from services.eof_samples import EOF_GRID, EOF_START, NOISE, eof_months, eof_ocean, eof_truth

from ingest.completion.amplitudes import BasisMismatchError
from ingest.completion.cloud_shapes import cloud_shape
from ingest.completion.complete import LEAST_OBSERVED, Completion, complete_month
from ingest.completion.fit import fit_basis
from ingest.completion.modes import ArrayReader
from ingest.errors import TooLittleObservedError
from ingest.reader import ProductMonth
from storage.eof_basis import EofBasis
from storage.flux_month import Quality, SourceFile
from storage.grid import Grid, grid_named
from storage.months import Month, calendar_months, month, month_range

SOURCE = SourceFile("small", "FLUX.nc", "0" * 64)
OCEAN = eof_ocean()
N_FITTED = 72
ARRIVING = EOF_START + N_FITTED


def complete(
    field: np.ndarray,
    basis: EofBasis | None,
    *,
    of: Month = ARRIVING,
    earlier: np.ndarray | None = None,
    error: float = 0.0,
) -> Completion:
    """Complete a month on the grid and mask of a basis."""
    grid = EOF_GRID if basis is None else basis.grid
    ocean = OCEAN if basis is None else basis.ocean
    unknown = np.full(grid.shape, np.nan, dtype=np.float32)
    made = ProductMonth(of, grid, field.astype(np.float32), unknown, None, "fco2", "")
    before = np.empty((0, *grid.shape), np.float32) if earlier is None else earlier
    return complete_month(
        made, ocean, before, observed_uncertainty=error, source=SOURCE, basis=basis
    )


# --- real months ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Real months of 2010 to 2017 (time,), and their flux (time, lat, lon)."""
    import h5netcdf

    months = np.array(month_range(month("2010-01"), month("2017-12")))
    fields = []
    for of in months:
        name = f"ECS_FCO2_monthly_1deg_{str(of).replace('-', '')}.nc"
        with h5netcdf.File(shared_data / "fco2_1deg" / name) as file:
            values = file["fco2"][0]
        fields.append(np.where(values > -9000, values, np.nan).astype(np.float32))
    return months, np.stack(fields)


@pytest.fixture(scope="module")
def real_basis(real: tuple[np.ndarray, np.ndarray]) -> EofBasis:
    months, flux = real
    n = int((months < month("2016-01")).sum())
    ocean = np.isfinite(flux).all(axis=0)
    observed = np.broadcast_to(ocean, (n, *ocean.shape))
    reader = ArrayReader(grid_named("east-asia-1deg"), months[:n], flux[:n], observed)
    return fit_basis(reader, ocean)


def linear_in_space(seen: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

    known = np.isfinite(seen)
    points, everywhere = np.argwhere(known), np.argwhere(ocean)
    values = LinearNDInterpolator(points, seen[known])(everywhere)
    nearest = NearestNDInterpolator(points, seen[known])(everywhere)
    field = np.full(seen.shape, np.nan)
    field[ocean] = np.where(np.isnan(values), nearest, values)
    return field


Cases = dict[str, list[tuple[np.ndarray, np.ndarray]]]


@pytest.fixture(scope="module")
def real_cases(real: tuple[np.ndarray, np.ndarray], real_basis: EofBasis) -> dict[float, Cases]:
    """Errors and estimates inside the gaps of several months, by part hidden and way of filling."""
    return {part: compare(*real, real_basis, part) for part in (0.1, 0.3, 0.6)}


def compare(months: np.ndarray, flux: np.ndarray, basis: EofBasis, part: float) -> Cases:
    ocean = basis.ocean
    calendar = calendar_months(months)
    found: Cases = {}
    for at in range(73, 95, 3):
        rng = np.random.default_rng(at)
        gap = cloud_shape(ocean, part, rng.uniform(1.5, 4.0), rng)
        seen = np.where(gap, np.nan, flux[at])
        alone = replace(basis, local_gain=(0.0, 0.0, 0.0))
        made, modes = (complete(seen, one, of=months[at]).month for one in (basis, alone))
        fillings = {
            "eof": made.fco2,
            "modes": modes.fco2,
            "climatology": flux[:72][calendar[:72] == calendar[at]].mean(axis=0),
            "time": (flux[at - 1] + flux[at + 1]) / 2,
            "space": linear_in_space(seen, ocean),
        }
        for name, filling in fillings.items():
            errors = (filling - flux[at])[gap]
            found.setdefault(name, []).append((errors, made.uncertainty[gap]))
    return found


@pytest.mark.parametrize("part", [0.1, 0.3])
def test_real_gaps_are_filled_better_than_by_climatology_and_interpolation(
    part: float, real_cases: dict[float, Cases]
) -> None:
    rmse = {
        name: np.sqrt(np.mean(np.concatenate([errors for errors, _ in cases]) ** 2))
        for name, cases in real_cases[part].items()
    }
    ours, modes = rmse.pop("eof"), rmse.pop("modes")
    assert ours < 0.97 * modes, "what the modes leave around a gap tells more"
    assert ours < 0.5 * min(rmse.values()), rmse


@pytest.mark.parametrize("part", [0.1, 0.3, 0.6])
def test_the_stated_error_of_real_gaps_is_the_error_found(
    part: float, real_cases: dict[float, Cases]
) -> None:
    ratios = [np.mean((errors / stated) ** 2) for errors, stated in real_cases[part]["eof"]]
    assert 0.75 < np.sqrt(np.mean(ratios)) < 1.33


def test_where_the_stated_error_is_larger_real_errors_are_larger(
    real_cases: dict[float, Cases],
) -> None:
    columns = zip(*real_cases[0.6]["eof"], strict=True)
    errors, stated = (np.concatenate(column) for column in columns)
    certain = stated < np.median(stated)
    assert np.sqrt(np.mean(errors[~certain] ** 2)) > 1.5 * np.sqrt(np.mean(errors[certain] ** 2))


# --- a sea of three patterns ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def basis() -> EofBasis:
    return replace(fit_basis(eof_months(N_FITTED, part_completed=0.15), OCEAN), id="BASIS1")


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """The month after those that the basis was fitted on."""
    return eof_truth(N_FITTED + 1)[-1]


@pytest.fixture(scope="module")
def noisy(truth: np.ndarray) -> np.ndarray:
    return truth + NOISE * np.random.default_rng(9).standard_normal(truth.shape)


def cloud(part: float, seed: int = 1) -> np.ndarray:
    return cloud_shape(OCEAN, part, 3.0, np.random.default_rng(seed))


def test_a_sea_of_few_patterns_is_known_from_a_part_of_it(
    basis: EofBasis, truth: np.ndarray, noisy: np.ndarray
) -> None:
    for part in (0.3, 0.6, 0.9):
        gap = cloud(part)
        made = complete(np.where(gap, np.nan, noisy), basis).month
        assert np.sqrt(np.mean((made.fco2 - truth)[gap] ** 2)) < 1.5 * NOISE


def test_every_cell_is_flagged_and_observed_values_stay(basis: EofBasis, noisy: np.ndarray) -> None:
    gap = cloud(0.3)
    completion = complete(np.where(gap, np.nan, noisy), basis)
    made = completion.month
    assert np.isfinite(made.fco2[OCEAN]).all()
    assert np.isnan(made.fco2[~OCEAN]).all()
    assert np.isnan(made.uncertainty[~OCEAN]).all()
    np.testing.assert_array_equal(made.quality == Quality.COMPLETED, gap)
    seen = OCEAN & ~gap
    np.testing.assert_array_equal(made.fco2[seen], noisy[seen].astype(np.float32))
    assert completion.method == f"eof:BASIS1:{basis.rank}"
    assert (completion.n_observed, completion.n_completed) == (seen.sum(), gap.sum())


def test_a_month_without_gaps_names_no_method(basis: EofBasis, noisy: np.ndarray) -> None:
    assert complete(noisy, basis).method == ""
    assert complete(np.where(cloud(0.2), np.nan, noisy), None).method == "gaussian"


def test_a_filled_cell_is_never_more_certain_than_an_observed_one_and_less_so_with_less_seen(
    basis: EofBasis, noisy: np.ndarray
) -> None:
    little, much = cloud(0.9), cloud(0.3)
    assert (much & ~little).sum() < 0.3 * much.sum()
    both = little & much
    errors = [
        complete(np.where(gap, np.nan, noisy), basis, error=0.5).month.uncertainty[both]
        for gap in (much, little)
    ]
    assert (errors[0] > 0.5).all()
    assert errors[1].mean() > errors[0].mean()


def test_a_month_unlike_any_before_is_less_certain(basis: EofBasis, noisy: np.ndarray) -> None:
    gap = cloud(0.3)
    strange = noisy + np.random.default_rng(3).standard_normal(noisy.shape)
    usual, unusual = (
        complete(np.where(gap, np.nan, field), basis).month.uncertainty[gap].mean()
        for field in (noisy, strange)
    )
    assert unusual > 2 * usual


def test_calibration_scales_the_stated_error(basis: EofBasis, noisy: np.ndarray) -> None:
    gap = cloud(0.3)
    twice = replace(basis, calibration=2 * basis.calibration)
    once, doubled = (
        complete(np.where(gap, np.nan, noisy), one).month.uncertainty[gap] for one in (basis, twice)
    )
    np.testing.assert_allclose(doubled, 2 * once, rtol=1e-6)


def test_a_spike_is_removed_and_reported(basis: EofBasis, noisy: np.ndarray) -> None:
    spiked = noisy.copy()
    spiked[12, 15] += 60
    completion = complete(spiked, basis)
    assert completion.n_spikes == 1
    assert completion.spike_rate == pytest.approx(1 / OCEAN.sum())
    assert completion.month.quality[12, 15] == Quality.COMPLETED
    assert abs(completion.month.fco2[12, 15] - noisy[12, 15]) < 5 * NOISE


def test_the_same_file_and_basis_give_the_same_bytes(basis: EofBasis, noisy: np.ndarray) -> None:
    field = np.where(cloud(0.3), np.nan, noisy)
    first, second = (complete(field, basis).month for _ in range(2))
    assert first.content_hash() == second.content_hash()


def test_cells_of_one_footprint_count_as_one_observation(
    basis: EofBasis, noisy: np.ndarray
) -> None:
    """Wider footprints leave the month less known."""
    from ingest.completion.amplitudes import estimate_amplitudes

    anomaly = (noisy[OCEAN] - basis.climatology[0]).astype(np.float64)
    cell = float(EOF_GRID.cell_area.mean())
    spread = [
        np.trace(np.linalg.inv(estimate_amplitudes(basis, anomaly, cells * cell).precision))
        for cells in (0.0, 0.5, 10.0)
    ]
    assert spread[0] == spread[1]
    assert spread[2] == pytest.approx(10 * spread[0], rel=0.1)


@pytest.mark.parametrize("with_basis", [True, False])
def test_a_month_with_too_little_left_is_refused_not_invented(
    with_basis: bool, basis: EofBasis, noisy: np.ndarray
) -> None:
    few = np.full(EOF_GRID.shape, np.nan)
    cells = np.argwhere(OCEAN)[: int(LEAST_OBSERVED * OCEAN.sum()) - 1]
    few[tuple(cells.T)] = noisy[tuple(cells.T)]
    with pytest.raises(TooLittleObservedError, match=f"{len(cells)} of {OCEAN.sum()}"):
        complete(few, basis if with_basis else None)


def test_a_basis_of_another_grid_or_mask_is_refused(basis: EofBasis, noisy: np.ndarray) -> None:
    mask = basis.ocean.copy()
    mask[5, 8] = False
    other = Grid("other", south=24.0, west=118.0, step=0.25, n_lat=24, n_lon=20)
    for wrong in (replace(basis, ocean=mask), replace(basis, grid=other)):
        unknown = np.full(EOF_GRID.shape, np.nan, dtype=np.float32)
        made = ProductMonth(ARRIVING, EOF_GRID, noisy.astype("f4"), unknown, None, "fco2", "")
        with pytest.raises(BasisMismatchError):
            complete_month(
                made, OCEAN, unknown[None], observed_uncertainty=1, source=SOURCE, basis=wrong
            )
