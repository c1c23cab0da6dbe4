"""Units of a flux."""

import numpy as np
import pytest

from ingest.errors import MissingUnitsError, UnitsError
from ingest.units import conversion

YEAR_DAYS = 365.25


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("mmol m-2 d-1", 1.0),
        ("mmol/m^2/day", 1.0),
        ("mmol CO2 m-2 d-1", 1.0),
        ("mmol C m-2 day-1", 1.0),
        ("mmol.m-2.d-1", 1.0),
        ("mol m-2 yr-1", 1000 / YEAR_DAYS),
        ("mol m**-2 a**-1", 1000 / YEAR_DAYS),
        ("molC/m2/yr", 1000 / YEAR_DAYS),
        ("umol m-2 s-1", 86.4),
        ("g C m-2 d-1", 1000 / 12.011),
        ("gC m-2 day-1", 1000 / 12.011),
        ("g CO2 m-2 d-1", 1000 / 44.009),
        ("mg CO2 m-2 h-1", 24 / 44.009),
        ("kg C m-2 s-1", 1e6 / 12.011 * 86400),
    ],
)
def test_a_flux_is_converted_when_its_units_say_so(text: str, factor: float) -> None:
    assert conversion(text, "fco2").factor == pytest.approx(factor, rel=1e-9)


@pytest.mark.parametrize(
    "text",
    ["K", "1", "mmol m-2", "furlongs", "g m-2 d-1", "kg m-2 s-1", "mmol m-2 month-1", "m; x"],
)
def test_what_is_no_flux_of_co2_is_refused(text: str) -> None:
    with pytest.raises(UnitsError, match="mmol m-2 d-1"):
        conversion(text, "fco2")


@pytest.mark.parametrize("text", [None, "", "  "])
def test_missing_units_are_refused(text: str | None) -> None:
    with pytest.raises(MissingUnitsError):
        conversion(text, "fco2")


@pytest.mark.parametrize(
    ("text", "quantity", "factor", "offset"),
    [
        ("Kelvin", "sst", 1.0, -273.15),
        ("K", "sst_skin", 1.0, -273.15),
        ("degrees_C", "sst", 1.0, 0.0),
        ("unitless", "sss", 1.0, 0.0),
        ("PSU", "sss", 1.0, 0.0),
        ("1e-3", "sss", 1.0, 0.0),
        ("m/s", "wind_speed", 1.0, 0.0),
        ("m^2/s^2", "wind_speed_squared", 1.0, 0.0),
        ("hPa", "pressure", 100.0, 0.0),
        ("umol mol-1", "xco2_air", 1.0, 0.0),
        ("Pa", "pco2_sea", 1e6 / 101325, 0.0),
        ("mg m^-3", "chlorophyll", 1.0, 0.0),
        ("%", "ice_fraction", 0.01, 0.0),
    ],
)
def test_a_driver_is_converted_when_its_units_say_so(
    text: str, quantity: str, factor: float, offset: float
) -> None:
    found = conversion(text, quantity)
    assert (found.factor, found.offset) == pytest.approx((factor, offset), rel=1e-12)
    assert found.of_error(np.array([2.0])) == pytest.approx(2.0 * factor)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("m s-1", "wind_speed_squared"),
        ("m", "sst"),
        ("degC", "pressure"),
        ("uatm", "xco2_air"),
        ("m-999999 s", "wind_speed"),
        ("bananas per square fortnight", "sss"),
        ("1; import os", "sss"),
        ("m " * 500, "wind_speed"),
    ],
)
def test_units_of_another_quantity_are_refused(text: str, quantity: str) -> None:
    with pytest.raises(UnitsError):
        conversion(text, quantity)
