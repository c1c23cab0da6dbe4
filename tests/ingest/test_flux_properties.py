"""What holds for the flux of any sea."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.flux.bulk import FluxEstimate, FluxOptions, flux_from_drivers
from ingest.flux.gas_transfer import TRANSFER_VELOCITIES

# Drivers are drawn to whole hundredths, so that differences are seen in single precision.
HUNDREDTHS = 100


def between(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low * HUNDREDTHS, high * HUNDREDTHS).map(lambda value: value / HUNDREDTHS)


PLAIN_OPTIONS = st.builds(
    FluxOptions,
    transfer_velocity=st.sampled_from(sorted(TRANSFER_VELOCITIES)),
    difference=st.sampled_from(["pressure", "fugacity"]),
    pressure_if_missing=st.just(101_325.0),
)
ALL_OPTIONS = st.builds(
    FluxOptions,
    transfer_velocity=st.sampled_from(sorted(TRANSFER_VELOCITIES)),
    difference=st.sampled_from(["pressure", "fugacity"]),
    skin=st.sampled_from(["none", "constant"]),
    pressure_if_missing=st.just(101_325.0),
)
SEAS = st.fixed_dictionaries(
    {
        "pco2_sea": between(100, 900),
        "pco2_air": between(250, 600),
        "sst": between(-2, 35),
        "sss": between(0, 40),
        "wind_speed": between(1, 25),
        "ice_fraction": st.sampled_from([0.0, 0.3, 0.9]),
    }
)
EXAMPLES = settings(max_examples=60, deadline=None)


def flux_of(sea: dict[str, float], options: FluxOptions) -> FluxEstimate:
    return flux_from_drivers(
        {name: np.array([[value]]) for name, value in sea.items()}, {}, options
    )


@EXAMPLES
@given(sea=SEAS, options=PLAIN_OPTIONS)
def test_without_a_skin_the_sign_of_the_flux_is_that_of_the_difference(
    sea: dict[str, float], options: FluxOptions
) -> None:
    difference = sea["pco2_sea"] - sea["pco2_air"]
    assert np.sign(flux_of(sea, options).fco2) == np.sign(difference)


@EXAMPLES
@given(sea=SEAS, options=ALL_OPTIONS)
def test_closed_ice_stops_the_flux(sea: dict[str, float], options: FluxOptions) -> None:
    closed = flux_of(sea | {"ice_fraction": 1.0}, options)
    assert closed.fco2 == 0
    assert closed.uncertainty == 0


@EXAMPLES
@given(sea=SEAS, options=ALL_OPTIONS, stronger=between(1, 10))
def test_more_wind_moves_more(sea: dict[str, float], options: FluxOptions, stronger: float) -> None:
    calm = flux_of(sea, options)
    windy = flux_of(sea | {"wind_speed": sea["wind_speed"] + stronger}, options)
    assert abs(windy.fco2) >= abs(calm.fco2)
    assert (abs(windy.fco2) > abs(calm.fco2)) == (calm.fco2 != 0)


@EXAMPLES
@given(sea=SEAS, options=PLAIN_OPTIONS)
def test_a_sea_in_balance_with_the_air_takes_up_co2_through_a_cool_skin(
    sea: dict[str, float], options: FluxOptions
) -> None:
    balanced = sea | {"pco2_sea": sea["pco2_air"]}
    assert flux_of(balanced, options).fco2 == 0
    assert flux_of(balanced, options.model_copy(update={"skin": "constant"})).fco2 < 0


@EXAMPLES
@given(
    sea=SEAS,
    options=ALL_OPTIONS,
    land=st.lists(st.booleans(), min_size=6, max_size=6),
    driver=st.sampled_from(["pco2_sea", "pco2_air", "sst", "sss", "wind_speed"]),
)
def test_land_stays_land_and_the_sea_has_a_flux_and_an_error(
    sea: dict[str, float], options: FluxOptions, land: list[bool], driver: str
) -> None:
    drivers = {name: np.full((2, 3), value) for name, value in sea.items()}
    drivers[driver][np.reshape(land, (2, 3))] = np.nan
    estimate = flux_from_drivers(drivers, {}, options)
    assert (np.isnan(estimate.fco2).ravel() == land).all()
    assert (np.isnan(estimate.uncertainty).ravel() == land).all()
    assert (estimate.uncertainty[np.isfinite(estimate.fco2)] > 0).all()


@EXAMPLES
@given(seas=st.lists(SEAS, min_size=2, max_size=5), options=ALL_OPTIONS)
def test_a_cell_does_not_know_its_neighbours(
    seas: list[dict[str, float]], options: FluxOptions
) -> None:
    drivers = {name: np.array([sea[name] for sea in seas]) for name in seas[0]}
    together = flux_from_drivers(drivers, {}, options)
    apart = [flux_of(sea, options) for sea in seas]
    assert together.fco2 == pytest.approx([float(one.fco2[0, 0]) for one in apart], rel=1e-5)
    assert together.uncertainty == pytest.approx(
        [float(one.uncertainty[0, 0]) for one in apart], rel=1e-5
    )
