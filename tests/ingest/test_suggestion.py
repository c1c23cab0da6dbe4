"""Suggested specifications: they parse, and read the very file that they were made from."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from services.product_files import good_dataset, smooth_field

from ingest.catalogue import load_files_product, parse_product
from ingest.errors import UnreadableFileError
from ingest.inspection.name_guess import guess_name
from ingest.inspection.suggest import product_name, suggest
from ingest.reader import DeliveredMonth, months_in, read_month
from ingest.specification import ProductSpecification
from storage.grid import Grid
from storage.months import month

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
GRID = Grid("own", south=25.0, west=120.0, step=0.5, n_lat=16, n_lon=14)


def suggested(path: Path) -> tuple[str, ProductSpecification]:
    text = suggest(path, path.name, now=NOW)
    product = parse_product(product_name(path.name), text)
    assert isinstance(product, ProductSpecification)
    assert product.matches(path.name)
    return text, product


def read(path: Path, product: ProductSpecification) -> DeliveredMonth:
    held = months_in(path, product, file_name=path.name, now=NOW)
    wanted = held[-1] if held else month("2025-01")
    return read_month(path, product, file_name=path.name, now=NOW, wanted=wanted)


# --- real files -----------------------------------------------------------------------------------

FORMATS = {
    "20100101_OCF-CO2-GLO-1M-KRG-CLIM.nc": "socat-kriged-pco2",
    "201001_OCF-PRE-GLO-1M-100-ECMWF.nc": "oceanflux-pressure",
    "201001_OCF-WSP-GLO-1M-100-MGD-GW-v2.nc": "oceanflux-wind",
    "S20080012008031.L3m_MO_CHL_chlor_a_9km.nc": "nasa-l3m-chlorophyll-9km",
    "surface_woa18_A5B7_s01_01.nc": "woa18-salinity",
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_suggestion_reads_a_published_file_as_the_shipped_product_does(
    shared_data: Path, name: str
) -> None:
    path, shipped = shared_data / "formats" / name, load_files_product(FORMATS[name])
    _, product = suggested(path)
    assert set(product.delivers) == set(shipped.delivers)
    got, expected = read(path, product), read(path, shipped)
    assert got.month == expected.month
    for quantity, field in expected.fields.items():
        np.testing.assert_array_equal(got.fields[quantity].values, field.values)


DRIVERS = {
    "pco2": {"pco2_sea"},
    "sst": {"sst"},
    "sst_skin": {"sst_skin"},
    "wind": {"wind_speed", "wind_speed_squared"},
    "msl": {"pressure"},
    "sss": {"sss"},
    "xco2": {"xco2_air"},
    "chl": {"chlorophyll"},
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_suggestion_finds_the_quantities_of_every_driver(shared_data: Path, driver: str) -> None:
    for path in sorted((shared_data / "drivers_2010").glob(f"{driver}_2010*.nc"))[::5]:
        _, product = suggested(path)
        assert set(product.delivers) == DRIVERS[driver]
        assert product.target_grid.name == "east-asia-1deg"
        assert str(read(path, product).month).replace("-", "") == path.stem[-6:]


def test_a_suggestion_reads_the_real_flux_and_its_direction(shared_data: Path) -> None:
    for path in sorted((shared_data / "fco2_1deg").iterdir())[::40]:
        text, product = suggested(path)
        shipped = load_files_product("ecs-fco2-1deg")
        np.testing.assert_array_equal(
            read(path, product).fields["fco2"].values, read(path, shipped).fields["fco2"].values
        )
        assert "positive: up\n" in text


def test_tables_and_series_are_recognised(shared_data: Path) -> None:
    tables = shared_data / "tables"
    _, sst = suggested(tables / "ersstv5_eastasia_2deg_201001_202008.nc")
    assert (sst.holds, sst.delivers) == ("series", ("sst",))
    for name in ("noaa-mbl-co2", "noaa-global-co2"):
        shipped = load_files_product(name)
        path = tables / shipped.file_pattern
        text, product = suggested(path)
        assert "# check" in text
        np.testing.assert_array_equal(
            read(path, product).fields["xco2_air"].values,
            read(path, shipped).fields["xco2_air"].values,
        )


# --- files with less in them ----------------------------------------------------------------------


def flux_file(path: Path, change: Callable[[xr.Dataset], xr.Dataset] = lambda d: d) -> Path:
    change(good_dataset(GRID)).to_netcdf(path, engine="h5netcdf")
    return path


def without(*attributes: str) -> Callable[[xr.Dataset], xr.Dataset]:
    def change(dataset: xr.Dataset) -> xr.Dataset:
        for attribute in attributes:
            del dataset["fco2"].attrs[attribute]
        return dataset

    return change


def test_what_a_file_does_not_say_is_marked_for_a_person(tmp_path: Path) -> None:
    path = flux_file(tmp_path / "my-flux_201801.nc", without("units", "_FillValue"))
    text, product = suggested(path)
    assert "units_if_missing: mmol m-2 d-1  # check: the file states no units" in text
    assert "positive: up  # check:" in text
    assert "fill_values: [-9999]  # check:" in text
    assert product.target_grid.shape == GRID.shape
    np.testing.assert_array_equal(read(path, product).fields["fco2"].values, smooth_field(GRID))


def test_a_downward_flux_is_suggested_as_one(tmp_path: Path) -> None:
    def down(dataset: xr.Dataset) -> xr.Dataset:
        dataset["fco2"].attrs["long_name"] = "flux into the sea"
        return dataset

    path = flux_file(tmp_path / "flux_201801.nc", down)
    text, product = suggested(path)
    assert "positive: down\n" in text
    np.testing.assert_array_equal(read(path, product).fields["fco2"].values, -smooth_field(GRID))


def test_a_time_that_disagrees_with_the_name_gives_way_to_it(tmp_path: Path) -> None:
    path = flux_file(tmp_path / "flux_201805.nc")
    text, product = suggested(path)
    assert "time: name  # check: the time variable says 2018-01" in text
    assert read(path, product).month == month("2018-05")


def test_a_file_that_says_no_month_gets_a_fixed_one_to_correct(tmp_path: Path) -> None:
    path = flux_file(tmp_path / "flux.nc", lambda d: d.isel(time=0, drop=True))
    text, product = suggested(path)
    assert 'fixed_month: "2000-01"  # check: nothing says the month' in text
    assert read(path, product).month == month("2000-01")


def test_a_window_across_the_meridian_of_180_is_one_window(tmp_path: Path) -> None:
    def across(dataset: xr.Dataset) -> xr.Dataset:
        lon = (dataset["lon"].values + 57 + 180) % 360 - 180
        assert lon.min() < 0 < lon.max()
        return dataset.assign_coords(lon=("lon", lon)).sortby("lon")

    path = flux_file(tmp_path / "flux_201801.nc", across)
    _, product = suggested(path)
    assert (product.target_grid.west, product.target_grid.n_lon) == (177.0, 14)
    np.testing.assert_array_equal(read(path, product).fields["fco2"].values, smooth_field(GRID))


def test_yearly_files_without_coordinates_are_recognised(tmp_path: Path) -> None:
    path = tmp_path / "fco2_2012.h5"
    with h5py.File(path, "w") as file:
        for number in (1, 2):
            file[f"fco2_processed/2012{number:02d}"] = smooth_field(GRID)[::-1] - number
        file["land_mask"] = np.isnan(smooth_field(GRID))[::-1]
    text, product = suggested(path)
    assert (product.holds, product.rows) == ("year", "north-first")
    assert 'names: ["fco2_processed/{year}{month}"]' in text
    got = read(path, product)
    assert got.month == month("2012-02")
    assert got.ocean is not None
    np.testing.assert_array_equal(got.fields["fco2"].values, smooth_field(GRID) - 2)


def test_a_file_of_no_known_quantity_still_gives_a_text_to_complete(tmp_path: Path) -> None:
    path = flux_file(tmp_path / "rain_201801.nc", lambda d: d.rename(fco2="rain"))
    text, product = suggested(path)
    assert "no quantity was recognised among rain" in text
    assert "as it stands, this file is refused" in text
    assert product.delivers == ("sst",)


def test_a_file_that_is_no_map_and_no_table_is_refused(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "page.nc").write_text("<html>Please log in</html>\n<p>or not</p>\n")
    with pytest.raises(UnreadableFileError, match="web page"):
        suggest(tmp_path / "page.nc", "page.nc", now=NOW)
    with pytest.raises(UnreadableFileError):
        solubility = shared_data / "tables" / "weiss1974_tableIII.csv"
        suggest(solubility, solubility.name, now=NOW)


@pytest.mark.parametrize(
    ("name", "pattern", "says"),
    [
        ("flux_201603.nc", "flux_{year}{month}.nc", "2016-03"),
        ("flux-2016-03-v2.nc", "flux-{year}-{month}-v2.nc", "2016-03"),
        ("flux_20160315.nc", "flux_{year}{month}15.nc", "2016-03"),
        ("x.20160201_20160229.L3m.nc", "x.{year}{month}01_{year}{month}*.L3m.nc", "2016-02"),
        ("S20160322016060.L3m.nc", "S{year}{doy}*.L3m.nc", "2016-02"),
        ("flux_201603_c20240115083000.nc", "flux_{year}{month}_c*.nc", "2016-03"),
        ("flux_2016.nc", "flux_{year}.nc", None),
        ("flux.nc", "flux.nc", None),
    ],
)
def test_the_month_is_found_in_names_of_many_kinds(
    name: str, pattern: str, says: str | None
) -> None:
    guess = guess_name(name)
    assert guess.pattern == pattern
    assert guess.month == (month(says) if says else None)
