"""Real files of every kind, and files shaped like those of products that none is at hand of.

Expected numbers were found by indexing the raw files with h5py at known coordinates, not by the
reader: row and column say where in the file, so that a flip or a shift shows.
"""

import datetime as dt
from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import yaml

from ingest.catalogue import list_products, load_files_product, parse_product
from ingest.errors import MissingMonthError, SignError, TimeMismatchError, UnitsError
from ingest.reader import DeliveredMonth, months_in, read_month
from ingest.specification import ProductSpecification
from storage.grid import Grid
from storage.months import month

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)

REAL = {
    "socat-kriged-pco2": "formats/20100101_OCF-CO2-GLO-1M-KRG-CLIM.nc",
    "oceanflux-pressure": "formats/201001_OCF-PRE-GLO-1M-100-ECMWF.nc",
    "oceanflux-wind": "formats/201001_OCF-WSP-GLO-1M-100-MGD-GW-v2.nc",
    "nasa-l3m-chlorophyll-9km": "formats/S20080012008031.L3m_MO_CHL_chlor_a_9km.nc",
    "woa18-salinity": "formats/surface_woa18_A5B7_s01_01.nc",
    "noaa-ersst-east-asia": "tables/ersstv5_eastasia_2deg_201001_202008.nc",
    "noaa-global-co2": "tables/noaa_gml_co2_monthly_global.csv",
    "noaa-mbl-co2": "tables/noaa_mbl_xco2_monthly_25N_40N.csv",
}


def read(path: Path, product: ProductSpecification, wanted: str | None = None) -> DeliveredMonth:
    when = month(wanted) if wanted else None
    return read_month(path, product, file_name=path.name, now=NOW, wanted=when)


def real(shared_data: Path, name: str, wanted: str | None = None) -> DeliveredMonth:
    return read(shared_data / REAL[name], load_files_product(name), wanted)


def at(delivered: DeliveredMonth, quantity: str, lat: float, lon: float) -> float:
    grid = delivered.grid
    row, column = np.abs(grid.lat - lat).argmin(), np.abs(grid.lon - lon).argmin()
    assert abs(grid.lat[row] - lat) < 1e-4
    assert abs(grid.lon[column] - lon) < 1e-4
    return float(delivered.fields[quantity].values[row, column])


# --- real files -----------------------------------------------------------------------------------


def test_every_real_file_is_one_of_exactly_one_product(shared_data: Path) -> None:
    products = [p for p in list_products() if isinstance(p, ProductSpecification)]
    for path in sorted((shared_data / "formats").iterdir()):
        fitting = [p.name for p in products if p.matches(path.name)]
        assert len(fitting) == 1, (path.name, fitting)
        assert REAL[fitting[0]].endswith(path.name)


def test_kriged_pco2_takes_the_month_from_its_name_and_kelvin_to_celsius(shared_data: Path) -> None:
    """Its time variable says a thousand million days; errors lie beside the values."""
    got = real(shared_data, "socat-kriged-pco2")
    assert got.month == month("2010-01")
    assert at(got, "pco2_sea", 0.5, -120.5) == pytest.approx(415.825, abs=1e-3)
    assert at(got, "fugacity_sea", 0.5, -120.5) == pytest.approx(414.498, abs=1e-3)
    assert at(got, "pco2_sea", 28.5, 125.5) == pytest.approx(323.555, abs=1e-3)
    assert at(got, "sst", 28.5, 125.5) == pytest.approx(291.45264 - 273.15, abs=1e-4)
    assert at(got, "xco2_air", 60.5, -30.5) == pytest.approx(393.065, abs=1e-3)
    errors = got.fields["pco2_sea"].uncertainty
    assert errors[118, 305] == pytest.approx(5.996282, abs=1e-5)
    assert np.nanmax(errors) < 200  # the fill of -999 is no error
    assert int(np.isfinite(got.fields["pco2_sea"].values).sum()) == 43224


def test_pressure_lies_where_the_siberian_high_is(shared_data: Path) -> None:
    got = real(shared_data, "oceanflux-pressure")
    assert got.month == month("2010-01")
    assert at(got, "pressure", 50.5, 95.5) == pytest.approx(103925.369, abs=1e-2)
    assert at(got, "pressure", -60.5, 0.5) == pytest.approx(98548.634, abs=1e-2)


def test_the_second_moment_of_wind_is_a_square_whatever_the_file_says(shared_data: Path) -> None:
    got = real(shared_data, "oceanflux-wind")
    mean, square = got.fields["wind_speed"].values, got.fields["wind_speed_squared"].values
    assert at(got, "wind_speed", 50.5, -30.5) == pytest.approx(9.588767, abs=1e-5)
    assert at(got, "wind_speed_squared", 50.5, -30.5) == pytest.approx(119.312109, abs=1e-5)
    assert np.isnan(at(got, "wind_speed", 0.5, 100.5))  # Sumatra
    known = np.isfinite(mean)
    assert int(known.sum()) == 64800 - 27891
    assert (square[known] >= mean[known] ** 2 - 1e-9).all()


def test_eleven_pixels_of_chlorophyll_land_on_their_coordinates(shared_data: Path) -> None:
    """Rows of NASA's maps lie from the north; row 1991 of 2160 is in the Ross Sea."""
    path = shared_data / REAL["nasa-l3m-chlorophyll-9km"]
    got = real(shared_data, "nasa-l3m-chlorophyll-9km")
    assert got.month == month("2008-01")
    values = got.fields["chlorophyll"].values
    rows, columns = np.nonzero(np.isfinite(values))
    found = {
        (round(got.grid.lat[r], 3), round(got.grid.lon[c], 3), round(values[r, c], 4))
        for r, c in zip(rows, columns, strict=True)
    }
    with h5py.File(path) as file:
        raw = file["chlor_a"][1991:1992, 4204:4209], file["chlor_a"][2008:2009, 4141:4147]
    assert [piece.shape[1] for piece in raw if (piece > 0).all()] == [5, 6]
    expected = {(-75.958, round(170.375 + i / 12, 3), 1.7119) for i in range(5)}
    expected |= {(-77.375, round(165.125 + i / 12, 3), 0.7588) for i in range(6)}
    assert found == expected


def test_salinity_of_a_calendar_month_has_the_librarys_fill_and_no_unit(shared_data: Path) -> None:
    got = real(shared_data, "woa18-salinity", "2015-01")
    assert got.month == month("2015-01")
    assert at(got, "sss", 25.5, -35.5) == pytest.approx(37.383499, abs=1e-5)  # saltiest Atlantic
    assert at(got, "sss", 58.5, 20.5) == pytest.approx(6.677410, abs=1e-5)  # Baltic
    assert np.nanmax(got.fields["sss"].values) < 41


def test_a_series_gives_the_month_that_is_asked_for(shared_data: Path) -> None:
    name = "noaa-ersst-east-asia"
    product, path = load_files_product(name), shared_data / REAL[name]
    held = months_in(path, product, file_name=path.name, now=NOW)
    assert (len(held), str(held[0]), str(held[-1])) == (128, "2010-01", "2020-08")
    assert at(real(shared_data, name, "2010-01"), "sst", 30, 126) == pytest.approx(17.332598)
    assert at(real(shared_data, name, "2020-08"), "sst", 30, 126) == pytest.approx(28.60479)
    with pytest.raises(MissingMonthError, match="2020-09"):
        real(shared_data, name, "2020-09")


def test_tables_of_co2_are_read_by_position_and_by_latitude(shared_data: Path) -> None:
    everywhere = real(shared_data, "noaa-global-co2", "2010-01")
    assert np.unique(everywhere.fields["xco2_air"].values) == pytest.approx([388.62])
    assert np.unique(everywhere.fields["xco2_air"].uncertainty) == pytest.approx([0.09])
    layers = real(shared_data, "noaa-mbl-co2", "2010-01")
    assert at(layers, "xco2_air", 27.5, 125.5) == pytest.approx((390.442 + 390.968) / 2)
    assert at(layers, "xco2_air", 10.5, 125.5) == pytest.approx(390.442)
    assert at(layers, "xco2_air", 60.5, 125.5) == pytest.approx(391.776)


# --- files shaped like the published ones ---------------------------------------------------------


def on_grid(name: str, **grid: float) -> ProductSpecification:
    """Return a shipped product on a coarser grid, so that its files stay small."""
    text = files("ingest").joinpath("products", f"{name}.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text) | {"grid": {"name": "coarse", **grid}}
    product = parse_product(name, yaml.safe_dump(content))
    assert isinstance(product, ProductSpecification)
    return product


GLOBE = {"south": -90, "west": -180, "step": 10, "n_lat": 18, "n_lon": 36}


def pattern(grid: Grid) -> np.ndarray:
    """Return a field (lat, lon) that differs everywhere, rows from the south."""
    return grid.lat[:, None] + grid.lon[None, :] / 1000


def carbon_file(path: Path, units: str, pressure: str, standard_name: str) -> ProductSpecification:
    """Write a file like those of Copernicus Marine: flux into the sea is positive in it."""
    product = on_grid("copernicus-surface-carbon", **GLOBE)
    grid = product.target_grid
    dims = ("time", "latitude", "longitude")
    scale = {"uatm": 1.0, "Pa": 0.101325}[pressure]
    xr.Dataset(
        {
            "fgco2": (
                dims,
                (pattern(grid) / 100)[None].astype("f4"),
                {"units": units, "standard_name": standard_name, "_FillValue": np.float32(1e20)},
            ),
            "fgco2_uncertainty": (dims, np.full((1, 18, 36), 0.3, "f4"), {"units": units}),
            "spco2": (
                dims,
                ((380 + pattern(grid) / 10) * scale)[None].astype("f4"),
                {"units": pressure},
            ),
            "spco2_uncertainty": (dims, np.full((1, 18, 36), 9 * scale, "f4"), {"units": pressure}),
        },
        {
            "time": ("time", [14], {"units": "days since 2010-01-01"}),
            "latitude": ("latitude", grid.lat.astype("f4")),
            "longitude": ("longitude", grid.lon.astype("f4")),
        },
    ).to_netcdf(path, engine="h5netcdf")
    return product


DOWN = "surface_downward_mass_flux_of_carbon_dioxide_expressed_as_carbon"
CARBON_NAME = "cmems_obs-mob_glo_bgc-car_my_irr-i_201001.nc"


@pytest.mark.parametrize("pressure", ["uatm", "Pa"])
def test_copernicus_flux_is_turned_out_of_the_sea_and_to_our_units(
    tmp_path: Path, pressure: str
) -> None:
    product = carbon_file(tmp_path / CARBON_NAME, "molC m-2 yr-1", pressure, DOWN)
    got = read(tmp_path / CARBON_NAME, product)
    assert got.month == month("2010-01")
    per_day = 1000 / 365.25
    expected = -pattern(got.grid) / 100 * per_day
    np.testing.assert_allclose(got.fields["fco2"].values, expected, rtol=1e-5)
    np.testing.assert_allclose(got.fields["fco2"].uncertainty, 0.3 * per_day, rtol=1e-5)
    sea = got.fields["pco2_sea"]
    np.testing.assert_allclose(sea.values, 380 + pattern(got.grid) / 10, rtol=1e-5)
    np.testing.assert_allclose(sea.uncertainty, 9, rtol=1e-5)


def test_copernicus_flux_without_a_direction_or_a_carrier_is_refused(tmp_path: Path) -> None:
    product = carbon_file(tmp_path / CARBON_NAME, "molC m-2 yr-1", "uatm", "")
    with pytest.raises(SignError, match="does not say which direction"):
        read(tmp_path / CARBON_NAME, product)
    product = carbon_file(tmp_path / CARBON_NAME, "kg m-2 s-1", "uatm", DOWN)
    with pytest.raises(UnitsError, match="kg m-2 s-1"):
        read(tmp_path / CARBON_NAME, product)


def test_nasa_sst_is_unpacked_and_kept_by_its_quality(tmp_path: Path) -> None:
    """Valid limits are of the packed numbers: 10000 is 50 degC, and no sea at 5 degC is lost."""
    product = on_grid("nasa-l3m-sst-4km", **GLOBE)
    grid = product.target_grid
    truth = 15 + pattern(grid) / 10
    packed = np.round(truth / 0.005).astype("i2")[::-1].copy()
    packed[0, 0] = -32767
    quality = np.zeros((18, 36), "u1")
    quality[1, 1], quality[2, 2], quality[3, 3] = 1, 2, 255
    name = "AQUA_MODIS.20080201_20080229.L3m.MO.NSST.sst.4km.nc"
    attributes = {
        "units": "degree_C",
        "_FillValue": np.int16(-32767),
        "valid_min": np.int16(-1000),
        "valid_max": np.int16(10000),
        "scale_factor": np.float32(0.005),
        "add_offset": np.float32(0),
    }
    xr.Dataset(
        {
            "sst": (("lat", "lon"), packed, attributes),
            "qual_sst": (("lat", "lon"), quality, {"_FillValue": np.uint8(255)}),
        },
        {"lat": ("lat", grid.lat[::-1].astype("f4")), "lon": ("lon", grid.lon.astype("f4"))},
    ).to_netcdf(tmp_path / name, engine="h5netcdf")
    got = read(tmp_path / name, product)
    values = got.fields["sst_skin"].values
    assert got.month == month("2008-02")
    assert product.stage_of(name) == "final"
    assert product.stage_of(name.replace(".nc", ".NRT.nc")) == "preliminary"
    missing = {(17, 0), (15, 2), (14, 3)}
    assert set(zip(*(i.tolist() for i in np.nonzero(np.isnan(values))), strict=True)) == missing
    kept = np.isfinite(values)
    np.testing.assert_allclose(values[kept], truth[kept], atol=0.003)


def test_oisst_turns_longitudes_and_finds_a_month_of_its_series(tmp_path: Path) -> None:
    product = on_grid("noaa-oisst", **GLOBE | {"west": 0})
    grid = product.target_grid
    truth = 15 + pattern(grid) / 10
    days = [(np.datetime64(m, "D") - np.datetime64("1800-01-01")).astype(int) for m in MONTHS]
    stack = np.stack([truth + i for i in range(3)]).astype("f4")
    stack[:, 0, 0] = 9.96921e36
    path = tmp_path / "sst.mon.mean.nc"
    xr.Dataset(
        {
            "sst": (
                ("time", "lat", "lon"),
                stack[:, ::-1],
                {"units": "degC", "valid_range": np.array([-3, 45], "f4")},
            )
        },
        {
            "time": ("time", days, {"units": "days since 1800-01-01 00:00:0.0"}),
            "lat": ("lat", grid.lat[::-1].astype("f4")),
            "lon": ("lon", grid.lon.astype("f4")),
        },
    ).to_netcdf(path, engine="h5netcdf")
    assert [str(m) for m in months_in(path, product, file_name=path.name, now=NOW)] == MONTHS
    values = read(path, product, "2010-02").fields["sst"].values
    assert np.isnan(values[0, 0])
    np.testing.assert_allclose(values.ravel()[1:], (truth + 1).ravel()[1:], atol=1e-4)


MONTHS = ["2010-01", "2010-02", "2010-03"]


def test_ersst_has_a_level_of_one_and_begins_at_the_meridian(tmp_path: Path) -> None:
    product = load_files_product("noaa-ersst")
    grid = product.target_grid
    assert (grid.lat[0], grid.lat[-1], grid.lon[0], grid.lon[-1]) == (-88, 88, 0, 358)
    truth = 15 + pattern(grid) / 10
    stored = truth.astype("f4")
    stored[5] = -999
    path = tmp_path / "ersst.v5.201002.nc"
    xr.Dataset(
        {
            "sst": (
                ("time", "lev", "lat", "lon"),
                stored[None, None],
                {"units": "degree_C", "_FillValue": np.float32(-999)},
            )
        },
        {
            "time": ("time", [0.0], {"units": "minutes since 2010-02-01 00:00"}),
            "lev": ("lev", [0.0]),
            "lat": ("lat", grid.lat),
            "lon": ("lon", grid.lon),
        },
    ).to_netcdf(path, engine="h5netcdf")
    got = read(path, product)
    assert got.month == month("2010-02")
    values = got.fields["sst"].values
    assert np.isnan(values[5]).all()
    np.testing.assert_allclose(np.delete(values, 5, 0), np.delete(truth, 5, 0), atol=1e-4)


@pytest.mark.parametrize("name", ["fco2", "FCO2", "co2_flux", "air_sea_co2_flux"])
def test_the_1_km_series_is_found_under_each_candidate_name(tmp_path: Path, name: str) -> None:
    window = {"south": 23, "west": 117, "step": 1, "n_lat": 19, "n_lon": 15}
    product = on_grid("zenodo-ecs-1km", **window)
    grid = product.target_grid
    stored = (pattern(grid) / 10)[::-1].astype("f4")
    stored[0, 0], stored[0, 1] = -9999, -999
    path = tmp_path / "ECS_FCO2_monthly_1km_201611.nc"
    xr.Dataset(
        {name: (("y", "x"), stored, {"units": "mmol m-2 d-1"})},
        {"lat": ("y", grid.lat[::-1]), "lon": ("x", grid.lon)},
    ).to_netcdf(path, engine="h5netcdf")
    got = read(path, product)
    assert (str(got.month), got.fields["fco2"].variable) == ("2016-11", name)
    values = got.fields["fco2"].values
    assert np.isnan(values[18, :2]).all()
    assert np.isfinite(values).sum() == 19 * 15 - 2
    np.testing.assert_allclose(values[:18], (pattern(grid) / 10)[:18], rtol=1e-6)


def test_a_renamed_file_of_another_month_is_refused(shared_data: Path, tmp_path: Path) -> None:
    name = "201002_OCF-PRE-GLO-1M-100-ECMWF.nc"
    (tmp_path / name).write_bytes((shared_data / REAL["oceanflux-pressure"]).read_bytes())
    with pytest.raises(TimeMismatchError, match="2010-02"):
        read(tmp_path / name, load_files_product("oceanflux-pressure"))


def test_a_climatology_serves_its_calendar_month_of_any_year_and_no_other(
    shared_data: Path,
) -> None:
    path = shared_data / "formats" / "surface_woa18_A5B7_s01_01.nc"
    product = load_files_product("woa18-salinity")
    for wanted in ("1999-01", "2020-01"):
        read = read_month(path, product, file_name=path.name, now=NOW, wanted=month(wanted))
        assert read.month == month(wanted)
    with pytest.raises(MissingMonthError, match="another calendar month"):
        read_month(path, product, file_name=path.name, now=NOW, wanted=month("2020-02"))
