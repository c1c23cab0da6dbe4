"""The error of a flux, against drawing the drivers at random."""

from collections.abc import Mapping

import numpy as np
import pytest

from ingest.errors import GridMismatchError, ImpossibleValuesError
from ingest.flux.bulk import FluxOptions, flux_from_drivers

DRAWS = 40_000
DRIVERS = {"pco2_sea": 330.0, "pco2_air": 390.0, "sst": 18.0, "sss": 33.0, "pressure": 101_000.0}
MOMENTS = {"wind_speed": 7.5, "wind_speed_squared": 80.0}
# Errors that are small enough for a first order, and large enough to be seen.
ERRORS = {"pco2_sea": 12.0, "pco2_air": 3.0}
NO_ERROR = FluxOptions(
    sea_uncertainty=0.0,
    air_uncertainty=0.0,
    wind_uncertainty=0.0,
    second_moment_uncertainty=0.0,
    skin_uncertainty=0.0,
    transfer_velocity_uncertainty=0.0,
)


def options(**others: object) -> FluxOptions:
    """Return options without any error but these."""
    return FluxOptions.model_validate(NO_ERROR.model_dump() | others)


def estimate(
    drivers: Mapping[str, float], errors: Mapping[str, float], chosen: FluxOptions
) -> tuple[float, float]:
    """Return the flux and the error of one cell."""
    cell = flux_from_drivers(_arrays(drivers), _arrays(errors), chosen)
    return float(cell.fco2[0]), float(cell.uncertainty[0])


def drawn(
    drivers: Mapping[str, float],
    errors: Mapping[str, float],
    chosen: FluxOptions,
    relative_error_of_k: float = 0.0,
) -> float:
    """Return the standard deviation of the flux with independently drawn drivers."""
    rng = np.random.default_rng(7)
    values = {
        name: value + errors.get(name, 0.0) * rng.standard_normal(DRAWS)
        for name, value in drivers.items()
    }
    flux = flux_from_drivers(values, {}, chosen).fco2.astype(float)
    return float(np.std(flux * (1 + relative_error_of_k * rng.standard_normal(DRAWS))))


def _arrays(values: Mapping[str, float]) -> dict[str, np.ndarray]:
    return {name: np.array([value]) for name, value in values.items()}


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"difference": "fugacity"},
        {"skin": "constant"},
        {"transfer_velocity": "nightingale-2000"},
    ],
)
def test_errors_of_gases_wind_and_k_are_those_of_random_draws(section: dict[str, object]) -> None:
    drivers = DRIVERS | MOMENTS
    errors = ERRORS | {"wind_speed_squared": 4.0}
    chosen = options(**section, transfer_velocity_uncertainty=0.1)
    _, error = estimate(drivers, errors, chosen)
    assert error == pytest.approx(drawn(drivers, errors, chosen, 0.1), rel=0.03)


@pytest.mark.parametrize(
    ("name", "error"),
    [("sst", 1.0), ("sss", 2.0), ("pressure", 800.0), ("ice_fraction", 0.05), ("xco2_air", 4.0)],
)
def test_every_delivered_error_counts(name: str, error: float) -> None:
    drivers = DRIVERS | MOMENTS | {"ice_fraction": 0.4, "xco2_air": 395.0}
    del drivers["pco2_air"]
    _, found = estimate(drivers, {name: error}, NO_ERROR)
    assert found > 0
    assert found == pytest.approx(drawn(drivers, {name: error}, NO_ERROR), rel=0.03)


@pytest.mark.parametrize("gas", ["pco2_sea", "fugacity_sea", "pco2_air", "fugacity_air"])
def test_the_error_of_a_gas_counts_under_each_of_its_names(gas: str) -> None:
    values = {"pco2_sea": 330.0, "pco2_air": 390.0}
    side = "sea" if gas.endswith("sea") else "air"
    drivers = DRIVERS | MOMENTS | {gas: values.pop(f"pco2_{side}")}
    if gas.startswith("fugacity"):
        del drivers[f"pco2_{side}"]
    _, by_product = estimate(drivers, {gas: 9.0}, NO_ERROR)
    _, by_options = estimate(drivers, {}, options(**{f"{side}_uncertainty": 9.0}))
    assert by_product == pytest.approx(by_options, rel=1e-5)
    assert by_product > 0


def test_both_moments_of_the_wind_err_together() -> None:
    """An offset of every wind by d: ⟨U⟩ + d and ⟨U²⟩ + 2 ⟨U⟩ d + d²."""
    chosen = options(transfer_velocity="nightingale-2000", wind_uncertainty=0.3)
    drivers = DRIVERS | MOMENTS
    _, error = estimate(drivers, {}, chosen)
    offset = 0.3 * np.random.default_rng(3).standard_normal(DRAWS)
    shifted = {name: np.full(DRAWS, value) for name, value in drivers.items()}
    shifted["wind_speed"] += offset
    shifted["wind_speed_squared"] += 2 * MOMENTS["wind_speed"] * offset + offset**2
    assert error == pytest.approx(flux_from_drivers(shifted, {}, chosen).fco2.std(), rel=0.03)


@pytest.mark.parametrize("name", ["wanninkhof-2014", "nightingale-2000"])
def test_an_estimated_second_moment_errs_with_the_wind_and_by_itself(name: str) -> None:
    chosen = options(transfer_velocity=name, wind_uncertainty=0.3, second_moment_uncertainty=0.15)
    _, error = estimate(DRIVERS | {"wind_speed": 7.5}, {}, chosen)
    rng = np.random.default_rng(5)
    winds = 7.5 + 0.3 * rng.standard_normal(DRAWS)
    squared = 4 / np.pi * winds**2 * (1 + 0.15 * rng.standard_normal(DRAWS))
    values = {name: np.full(DRAWS, value) for name, value in DRIVERS.items()}
    values |= {"wind_speed": np.minimum(winds, np.sqrt(squared)), "wind_speed_squared": squared}
    assert error == pytest.approx(flux_from_drivers(values, {}, chosen).fco2.std(), rel=0.03)


def test_an_estimated_second_moment_is_less_certain_than_a_delivered_one() -> None:
    same = {"wind_speed": 7.5, "wind_speed_squared": 4 / np.pi * 7.5**2}
    _, delivered = estimate(DRIVERS | same, {}, FluxOptions())
    _, estimated = estimate(DRIVERS | {"wind_speed": 7.5}, {}, FluxOptions())
    assert estimated > 1.1 * delivered


def test_an_estimated_mean_wind_counts_where_the_transfer_velocity_uses_it() -> None:
    drivers = DRIVERS | {"wind_speed_squared": 72.0}
    flux, error = estimate(
        drivers, {}, options(transfer_velocity="nightingale-2000", second_moment_uncertainty=0.2)
    )
    mean = np.sqrt(72.0 * np.pi / 4)
    share = 0.333 * mean / (0.222 * 72.0 + 0.333 * mean)
    assert error == pytest.approx(abs(flux) * share * 0.1, rel=1e-3)
    assert estimate(drivers, {}, options(second_moment_uncertainty=0.2))[1] == 0


def test_a_delivered_skin_errs_by_its_own_error() -> None:
    drivers = DRIVERS | MOMENTS | {"sst_skin": 17.8}
    chosen = options(skin="delivered", skin_uncertainty=0.2)
    _, by_options = estimate(drivers, {}, chosen)
    _, by_product = estimate(drivers, {"sst_skin": 0.4}, chosen)
    assert by_options == pytest.approx(drawn(drivers, {"sst_skin": 0.2}, chosen), rel=0.03)
    assert by_product == pytest.approx(2 * by_options, rel=0.01)


def test_a_constant_skin_errs_by_the_options_and_follows_the_water() -> None:
    drivers = DRIVERS | MOMENTS
    own = options(skin="constant", skin_uncertainty=0.2)
    measured = options(skin="delivered", skin_uncertainty=0.2)
    same = drivers | {"sst_skin": 18.0 - 0.17}
    assert estimate(drivers, {}, own)[1] == pytest.approx(estimate(same, {}, measured)[1])
    _, together = estimate(drivers, {"sst": 1.0}, options(skin="constant"))
    _, apart = estimate(same, {"sst": 1.0, "sst_skin": 1.0}, options(skin="delivered"))
    assert apart > 5 * together


@pytest.mark.parametrize(
    ("name", "relative"),
    [
        ("wanninkhof-1992", 0.25),
        ("nightingale-2000", 0.2),
        ("ho-2006", 0.2),
        ("sweeney-2007", 0.3),
        ("wanninkhof-2014", 0.2),
    ],
)
def test_each_transfer_velocity_has_its_own_error_unless_the_options_say_so(
    name: str, relative: float
) -> None:
    drivers = DRIVERS | MOMENTS
    own = options(transfer_velocity=name, transfer_velocity_uncertainty=None)
    flux, error = estimate(drivers, {}, own)
    assert error == pytest.approx(relative * abs(flux), rel=1e-5)
    said = options(transfer_velocity=name, transfer_velocity_uncertainty=0.05)
    assert estimate(drivers, {}, said)[1] == pytest.approx(0.05 * abs(flux), rel=1e-5)


def test_where_an_error_is_unknown_that_of_the_options_counts() -> None:
    values = {name: np.full((1, 3), value) for name, value in (DRIVERS | MOMENTS).items()}
    errors = {"pco2_sea": np.array([[5.0, np.nan, 0.0]])}
    found = flux_from_drivers(values, errors, options(sea_uncertainty=10.0)).uncertainty[0]
    assert found[1] == pytest.approx(2 * found[0], rel=1e-4)
    assert found[2] == 0


def test_without_difference_there_is_still_an_error() -> None:
    flux, error = estimate(DRIVERS | MOMENTS | {"pco2_air": 330.0}, {}, FluxOptions())
    assert flux == 0
    assert 1.0 < error < 4.0


@pytest.mark.parametrize("error", [-1.0, np.inf])
def test_impossible_errors_are_refused(error: float) -> None:
    with pytest.raises(ImpossibleValuesError, match="standard error of the partial pressure"):
        estimate(DRIVERS | MOMENTS, {"pco2_sea": error}, FluxOptions())


def test_errors_on_another_grid_are_refused() -> None:
    values = {name: np.full((2, 3), value) for name, value in (DRIVERS | MOMENTS).items()}
    with pytest.raises(GridMismatchError, match="error of pco2_sea"):
        flux_from_drivers(values, {"pco2_sea": np.full((3, 2), 5.0)}, FluxOptions())
