"""The bulk formula."""

import csv
from pathlib import Path

import pytest

from ingest.flux import pco2_of_air, schmidt_number, sea_air_flux, solubility


def test_the_worked_value_of_the_bulk_formula() -> None:
    flux = sea_air_flux(pco2_sea=350.0, pco2_air=400.0, sst=20.0, sss=35.0, wind_squared=64.0)
    assert float(flux) == pytest.approx(-6.36, abs=0.005)


def test_the_schmidt_number_at_20_degrees() -> None:
    assert float(schmidt_number(20.0)) == pytest.approx(668.3, abs=0.5)


def test_flux_goes_into_the_sea_where_the_air_has_more_and_stops_under_ice() -> None:
    common = {"sst": 10.0, "sss": 34.0, "wind_squared": 50.0}
    assert sea_air_flux(pco2_sea=300, pco2_air=400, **common) < 0
    assert sea_air_flux(pco2_sea=500, pco2_air=400, **common) > 0
    assert sea_air_flux(pco2_sea=300, pco2_air=400, ice_fraction=1.0, **common) == 0


def test_moist_air_holds_less_co2_than_dry_air() -> None:
    assert 385 < float(pco2_of_air(400.0, 20.0, 35.0)) < 395


def test_solubility_agrees_with_the_published_table(shared_data: Path) -> None:
    """Weiss (1974), Table III: 1e-2 mol kg-1 atm-1 by temperature and salinity, three decimals."""
    with (shared_data / "tables" / "weiss1974_tableIII.csv").open() as table:
        header, *rows = csv.reader(table)
    compared = 0
    for temperature, *values in rows:
        for salinity, value in zip(header[1:], values, strict=True):
            if value:
                ours = 100 * solubility(float(temperature), float(salinity), per="kg")
                assert float(ours) == pytest.approx(float(value), abs=6e-4)
                compared += 1
    assert compared > 200
