"""A month of a driver: on the record's grid, at sea only, or the one number of a table."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from ingest.catalogue import load_files_product, parse_product
from ingest.driver_months import driver_field, index_value, is_index, transfer_field
from ingest.errors import EmptyMonthError
from ingest.flux.bulk import sea_air_flux
from ingest.flux.drivers import MissingDriverError
from ingest.flux.options import FluxOptions
from ingest.flux.transfer import bulk_transfer
from ingest.reader import DeliveredMonth, read_month
from ingest.reading import Field
from ingest.specification import ProductSpecification
from storage.grid import Grid
from storage.months import month

COARSE = Grid("coarse", south=20, west=115, step=1.0, n_lat=12, n_lon=12)
FINE = Grid("fine", south=22, west=117, step=0.25, n_lat=32, n_lon=32)
WHEN = month("2010-05")
NOW = dt.datetime(2011, 1, 1, tzinfo=dt.UTC)
NINO = """\
 YR   MON  NINO1+2   ANOM   NINO3    ANOM   NINO4    ANOM NINO3.4   ANOM
2010   4   25.60   0.27   28.14   0.61   29.05   0.47   28.36   0.59
2010   5   24.29  -0.10   27.08  -0.11   28.99   0.10   27.68  -0.25
"""


def delivered(grid: Grid = COARSE, **fields: object) -> DeliveredMonth:
    known = {
        name: Field(
            np.broadcast_to(np.asarray(values, dtype=float), grid.shape),
            np.full(grid.shape, np.nan),
            name,
            "",
        )
        for name, values in fields.items()
    }
    return DeliveredMonth(WHEN, grid, known)


def sea(grid: Grid = FINE) -> np.ndarray:
    ocean = np.ones(grid.shape, dtype=bool)
    ocean[:, :6] = False
    return ocean


def test_a_coarse_field_comes_onto_the_grid_within_its_range_and_at_sea_only() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(COARSE.shape) < 0.1, np.nan, rng.uniform(0, 30, COARSE.shape))
    made = driver_field(delivered(sst=values), "sst", FINE, sea())
    assert made.shape == FINE.shape
    assert made.dtype == np.float32
    assert np.isnan(made[~sea()]).all()
    assert np.nanmin(made) >= np.float32(np.nanmin(values))
    assert np.nanmax(made) <= np.float32(np.nanmax(values))


def test_a_gap_stays_a_gap() -> None:
    values = np.full(COARSE.shape, 20.0)
    values[4:9, 4:9] = np.nan
    made = driver_field(delivered(sst=values), "sst", COARSE, np.ones(COARSE.shape, dtype=bool))
    np.testing.assert_array_equal(np.isnan(made), np.isnan(values))


def test_a_field_with_values_on_land_only_is_refused() -> None:
    values = np.full(FINE.shape, np.nan)
    values[:, :6] = 20.0
    with pytest.raises(EmptyMonthError, match="No ocean cell"):
        driver_field(delivered(FINE, sst=values), "sst", FINE, sea())


def test_the_transfer_times_the_difference_of_pressure_is_the_flux() -> None:
    rng = np.random.default_rng(1)
    sst, squared = rng.uniform(5, 28, FINE.shape), rng.uniform(20, 120, FINE.shape)
    month_of = {
        "sst": delivered(FINE, sst=sst),
        "wind_speed_squared": delivered(FINE, wind_speed_squared=squared),
        "sss": delivered(FINE, sss=33.5),
        "ice_fraction": delivered(FINE, ice_fraction=0.25),
    }
    transfer = transfer_field(month_of, FINE, sea(), FluxOptions())
    flux = sea_air_flux(
        pco2_sea=350.0,
        pco2_air=400.0,
        sst=sst,
        sss=33.5,
        wind_squared=squared,
        ice_fraction=0.25,
    )
    np.testing.assert_allclose(transfer[sea()] * -50.0, flux[sea()], rtol=1e-5)
    assert np.isnan(transfer[~sea()]).all()


def test_the_transfer_of_a_known_case() -> None:
    # SST 20 °C, S 35, second moment 64 m2 s-2: -6.36 mmol m-2 d-1 at -50 uatm.
    known = {"sst": np.array(20.0), "sss": np.array(35.0), "wind_speed_squared": np.array(64.0)}
    assert bulk_transfer(known, FluxOptions()) == pytest.approx(6.36 / 50, rel=2e-3)


def test_a_transfer_without_wind_or_salinity_says_what_is_missing() -> None:
    with pytest.raises(MissingDriverError, match=r"transfer.*wind_speed_squared or wind_speed"):
        transfer_field({"sst": delivered(FINE, sst=20.0)}, FINE, sea(), FluxOptions())
    options = FluxOptions(salinity_if_missing=34.0)
    month_of = {name: delivered(FINE, **{name: 8.0}) for name in ("sst", "wind_speed")}
    assert np.isfinite(transfer_field(month_of, FINE, sea(), options)[sea()]).all()


def test_a_table_of_a_climate_index_is_one_number_a_month(tmp_path: Path) -> None:
    product = load_files_product("noaa-nino34")
    path = tmp_path / product.file_pattern
    path.write_text(NINO)
    assert is_index(product)
    read = read_month(path, product, file_name=path.name, now=NOW, wanted=WHEN)
    value = index_value(read, "climate_index")
    assert value.shape == ()
    assert value == np.float32(-0.25)


def test_a_table_by_latitude_is_a_field() -> None:
    assert not is_index(load_files_product("noaa-mbl-co2"))
    assert is_index(load_files_product("noaa-global-co2"))
    assert not is_index(load_files_product("noaa-oisst"))


def test_a_climate_index_is_a_quantity_of_a_users_product() -> None:
    text = (
        "title: An index\nfile_pattern: index.txt\nholds: series\ngrid: global-1deg\n"
        "time: variable\ntable: {quantity: climate_index, units: '1', year: 0, month: 1, "
        "bands: [{column: 2}]}\n"
    )
    product = parse_product("my-index", text)
    assert isinstance(product, ProductSpecification)
    assert product.delivers == ("climate_index",)
