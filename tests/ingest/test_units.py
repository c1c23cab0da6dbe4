"""Units of a flux."""

import pytest

from ingest.errors import MissingUnitsError, UnitsError
from ingest.units import to_canonical

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
    assert to_canonical(text) == pytest.approx(factor, rel=1e-9)


@pytest.mark.parametrize(
    "text",
    ["K", "1", "mmol m-2", "furlongs", "g m-2 d-1", "kg m-2 s-1", "mmol m-2 month-1", "m; x"],
)
def test_what_is_no_flux_of_co2_is_refused(text: str) -> None:
    with pytest.raises(UnitsError, match="mmol m-2 d-1"):
        to_canonical(text)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_missing_units_are_refused(text: str | None) -> None:
    with pytest.raises(MissingUnitsError):
        to_canonical(text)
