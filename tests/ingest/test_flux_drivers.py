"""From drivers to a flux: what is needed, what is preferred, what is refused."""

import numpy as np
import pydantic
import pytest

from ingest.errors import GridMismatchError, ImpossibleValuesError
from ingest.flux.bulk import (
    FluxOptions,
    MissingDriverError,
    flux_from_drivers,
    missing_drivers,
    pco2_of_air,
    sea_air_flux,
)
from ingest.flux.solubility import fugacity_coefficient

PRESSURE = 101_325.0
ONE_ATM = FluxOptions(pressure_if_missing=PRESSURE)


WORKED = {"pco2_sea": 350.0, "pco2_air": 400.0, "sst": 20.0, "sss": 35.0}


def drivers(**others: np.ndarray | float | None) -> dict[str, np.ndarray]:
    """Return the drivers of the worked value on two rows of three cells, and others."""
    values = {**WORKED, "wind_speed_squared": 64.0, **others}
    return {
        name: np.full((2, 3), value) if np.ndim(value) == 0 else np.asarray(value)
        for name, value in values.items()
        if value is not None
    }


def flux(given: dict[str, np.ndarray], options: FluxOptions | None = None) -> np.ndarray:
    return flux_from_drivers(given, {}, options or FluxOptions()).fco2


def test_drivers_give_the_worked_value_in_single_precision() -> None:
    estimate = flux_from_drivers(drivers(), {}, FluxOptions())
    assert estimate.fco2.dtype == estimate.uncertainty.dtype == np.float32
    assert estimate.fco2.shape == estimate.uncertainty.shape == (2, 3)
    assert estimate.fco2 == pytest.approx(-6.36, abs=0.005)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("wanninkhof-2014", 1.0),
        ("wanninkhof-1992", 0.31 / 0.251 * np.sqrt(668.344 / 665.988)),
        ("sweeney-2007", 0.27 / 0.251),
        ("ho-2006", 0.266 / 0.251 * np.sqrt(600 / 660)),
        ("nightingale-2000", (0.222 * 64 + 0.333 * 7) / (0.251 * 64) * np.sqrt(600 / 660)),
    ],
)
def test_the_options_choose_the_transfer_velocity(name: str, factor: float) -> None:
    options = FluxOptions.model_validate({"transfer_velocity": name})
    found = flux(drivers(wind_speed=7.0), options) / flux(drivers(wind_speed=7.0))
    assert found == pytest.approx(factor, rel=1e-5)


def test_a_delivered_second_moment_is_used_and_a_missing_one_is_estimated() -> None:
    with_both = flux(drivers(wind_speed=5.0))
    estimated = flux(drivers(wind_speed=5.0, wind_speed_squared=None))
    assert with_both == pytest.approx(flux(drivers()))
    assert estimated == pytest.approx(with_both * (4 / np.pi * 25) / 64, rel=1e-6)


def test_dry_air_becomes_moist_air_at_the_delivered_pressure() -> None:
    dry = drivers(pco2_air=None, xco2_air=400.0, pressure=99_000.0)
    moist = drivers(pco2_air=pco2_of_air(400.0, 20.0, 35.0, pressure_atm=99_000.0 / PRESSURE))
    assert flux(dry) == pytest.approx(flux(moist), rel=1e-6)


def test_a_delivered_partial_pressure_is_preferred_to_dry_air() -> None:
    both = drivers(xco2_air=500.0, pressure=PRESSURE)
    assert flux(both) == pytest.approx(flux(drivers()))


@pytest.mark.parametrize("difference", ["pressure", "fugacity"])
def test_fugacity_and_partial_pressure_are_never_compared_with_each_other(difference: str) -> None:
    """Whatever is delivered on either side, the same water and air give the same flux."""
    options = FluxOptions.model_validate({"difference": difference})
    coefficient = float(fugacity_coefficient(20.0))
    sea = {"pco2_sea": 350.0, "fugacity_sea": 350.0 * coefficient}
    air = {"pco2_air": 400.0, "fugacity_air": 400.0 * coefficient}
    common = drivers(pco2_sea=None, pco2_air=None, pressure=PRESSURE)
    found = [
        flux(common | {one: np.array(sea[one]), other: np.array(air[other])}, options)[0, 0]
        for one in sea
        for other in air
    ]
    expected = -6.36 * (coefficient if difference == "fugacity" else 1.0)
    assert found == pytest.approx([found[0]] * 4, rel=1e-6)
    assert found[0] == pytest.approx(expected, abs=0.005)


def test_a_skin_is_the_delivered_one_or_a_constant_or_none() -> None:
    delivered = FluxOptions(skin="delivered")
    constant = FluxOptions(skin="constant")
    given = drivers(sst_skin=19.83)
    expected = sea_air_flux(
        pco2_sea=350.0, pco2_air=400.0, sst=20.0, sst_skin=19.83, sss=35.0, wind_squared=64.0
    )
    assert flux(given, delivered) == pytest.approx(float(expected), rel=1e-6)
    assert flux(drivers(sst_skin=10.0), constant) == pytest.approx(float(expected), rel=1e-6)
    assert flux(drivers(sst_skin=10.0)) == pytest.approx(flux(drivers()))


def test_vapour_pressure_is_that_at_the_skin() -> None:
    options = FluxOptions(skin="delivered", pressure_if_missing=PRESSURE)
    dry = drivers(pco2_air=None, xco2_air=400.0, sst_skin=15.0)
    moist = drivers(pco2_air=pco2_of_air(400.0, 15.0, 35.0), sst_skin=15.0)
    assert flux(dry, options) == pytest.approx(flux(moist, options), rel=1e-6)


def test_salinity_and_pressure_are_assumed_only_where_the_options_say_so() -> None:
    assert flux(drivers(sss=None), FluxOptions(salinity_if_missing=35.0)) == pytest.approx(
        flux(drivers())
    )
    dry = drivers(pco2_air=None, xco2_air=400.0)
    assert flux(dry, ONE_ATM) == pytest.approx(flux(dry | {"pressure": np.full((2, 3), PRESSURE)}))
    for given in (drivers(sss=None), dry):
        with pytest.raises(MissingDriverError):
            flux(given)


def test_a_delivered_driver_counts_more_than_the_assumed_one() -> None:
    options = FluxOptions(salinity_if_missing=20.0, pressure_if_missing=90_000.0)
    given = drivers(pco2_air=None, xco2_air=400.0, pressure=PRESSURE)
    assert flux(given, options) == pytest.approx(flux(given))


@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        ("pco2_sea", "pco2_sea or fugacity_sea"),
        ("pco2_air", "pco2_air or fugacity_air or xco2_air"),
        ("sst", "sst"),
        ("sss", "sss"),
        ("wind_speed_squared", "wind_speed_squared or wind_speed"),
    ],
)
def test_a_missing_driver_is_named_with_what_is_there(left_out: str, named: str) -> None:
    given = drivers(**{left_out: None})
    with pytest.raises(MissingDriverError, match=f"without {named}\\.") as refused:
        flux(given)
    assert refused.value.found == ", ".join(sorted(given))
    assert missing_drivers(given, FluxOptions()) == (named,)


def test_pressure_and_skin_are_needed_only_where_they_are_used() -> None:
    names = set(drivers())
    assert missing_drivers(names, FluxOptions()) == ()
    assert missing_drivers(names, FluxOptions(difference="fugacity")) == ("pressure",)
    assert missing_drivers(names - {"pco2_air"} | {"xco2_air"}, FluxOptions()) == ("pressure",)
    assert missing_drivers(names - {"pco2_air"} | {"xco2_air"}, ONE_ATM) == ()
    assert missing_drivers(names, FluxOptions(skin="delivered")) == ("sst_skin",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sst", 290.0),
        ("sss", 0.035 * 1e4),
        ("pco2_sea", 35.0),
        ("pco2_air", 9.969e36),
        ("pressure", 1013.25),
        ("ice_fraction", 50.0),
        ("wind_speed", -5.0),
        ("wind_speed_squared", np.inf),
    ],
)
def test_impossible_values_are_refused_by_name(name: str, value: float) -> None:
    """Kelvin, a scale of 1e4, pascal, a fill, hectopascal, percent, a wind component."""
    with pytest.raises(ImpossibleValuesError, match=f"\\({name}\\).*What to do"):
        flux(drivers(**{name: value}))


def test_one_impossible_cell_is_enough_to_refuse() -> None:
    sst = np.full((2, 3), 20.0)
    sst[1, 2] = -999.0
    with pytest.raises(ImpossibleValuesError, match="1 of 6 values outside"):
        flux(drivers(sst=sst))


def test_a_variance_in_place_of_the_second_moment_is_refused() -> None:
    with pytest.raises(ImpossibleValuesError, match="second moment"):
        flux(drivers(wind_speed=8.0, wind_speed_squared=17.0))


def test_few_cells_whose_winds_contradict_are_missing() -> None:
    squared = np.full((20, 20), 64.0)
    squared[3, 4] = 10.0
    given = {name: values[0, 0] for name, values in drivers(wind_speed=7.0).items()}
    found = flux(given | {"wind_speed_squared": squared})
    assert np.isnan(found[3, 4])
    assert np.isfinite(found).sum() == 399


@pytest.mark.parametrize("name", ["pco2_sea", "pco2_air", "sst", "sss", "wind_speed_squared"])
def test_a_cell_without_a_needed_driver_has_no_flux_and_no_error(name: str) -> None:
    values = drivers()[name].copy()
    values[0, 1] = np.nan
    estimate = flux_from_drivers(drivers(**{name: values}), {}, FluxOptions())
    for array in (estimate.fco2, estimate.uncertainty):
        assert np.isnan(array[0, 1])
        assert np.isfinite(array).sum() == 5


def test_masked_cells_are_missing_whatever_lies_under_the_mask() -> None:
    masked = np.ma.masked_equal(np.where(np.eye(2, 3) == 1, -9999.0, 20.0), -9999.0)
    found = flux(drivers() | {"sst": masked})
    assert np.isnan(found[[0, 1], [0, 1]]).all()
    assert np.isfinite(found).sum() == 4


def test_drivers_that_are_not_used_do_not_matter() -> None:
    skinless = drivers(sst_skin=np.nan, wind_speed=np.nan, pressure=np.nan, chlorophyll=-5.0)
    assert flux(skinless) == pytest.approx(flux(drivers()))


def test_ice_maps_leave_open_water_empty() -> None:
    ice = np.array([[np.nan, 0.0, 0.25], [0.5, 0.75, 1.0]])
    found = flux(drivers(ice_fraction=ice)) / flux(drivers())
    assert found.ravel() == pytest.approx([1.0, 1.0, 0.75, 0.5, 0.25, 0.0])


def test_numbers_and_single_rows_are_spread_over_the_map() -> None:
    given = drivers() | {"pco2_air": np.array([[400.0], [350.0]]), "sss": np.array(35.0)}
    found = flux(given)
    assert found[0] == pytest.approx(flux(drivers())[0])
    assert found[1] == pytest.approx([0.0, 0.0, 0.0])


def test_drivers_on_different_grids_are_refused() -> None:
    with pytest.raises(GridMismatchError, match=r"sst \(3, 2\)"):
        flux(drivers(sst=np.full((3, 2), 20.0)))


@pytest.mark.parametrize(
    "section",
    [
        {"transfer_velocity": "liss-merlivat-1986"},
        {"difference": "pCO2"},
        {"skin_difference": 0.17},
        {"pressure_if_missing": 1013.25},
        {"wind_uncertainty": -1},
        {"transfer_velocities": "ho-2006"},
    ],
)
def test_options_that_cannot_be_meant_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        FluxOptions.model_validate(section)
