"""Files of every kind that a researcher may have are read as the field that they hold."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from flows.operations.field import read_field
from storage.errors import TidenetError
from storage.grid import EARTH_RADIUS_M
from tidenet.record import FluxRecord

N = 48
FIRST = np.datetime64("2001-01", "M")
MONTHS = FIRST + np.arange(N)
LAT, LON = np.arange(30.5, 36), np.arange(120.5, 127)


def truth(lat: np.ndarray, lon: np.ndarray, months: np.ndarray) -> np.ndarray:
    """Return a field (time, lat, lon) whose every value is told by its place and month alone."""
    number = np.asarray(months).astype("datetime64[M]").astype(int)[:, None, None]
    east = np.deg2rad(np.asarray(lon))
    swell = np.sin(0.7 * number + 0.2 * np.asarray(lat)[:, None])
    return 10 * np.asarray(lat)[:, None] / 90 + 3 * np.sin(east) + np.cos(2 * east) + 2 * swell


def field(
    lat: np.ndarray = LAT,
    lon: np.ndarray = LON,
    months: np.ndarray = MONTHS,
    names: tuple[str, str, str] = ("time", "lat", "lon"),
) -> xr.Dataset:
    """Return a plain field; its times are in the middle of the months."""
    times = months.astype("datetime64[D]").astype("datetime64[ns]") + np.timedelta64(14, "D")
    coordinates = dict(zip(names, (times, lat, lon), strict=True))
    values = truth(lat, lon, months).astype(np.float32)
    about = {"units": "mol m-2 yr-1", "long_name": "a flux"}
    return xr.Dataset({"flux": (names, values, about)}, coords=coordinates)


def edited(values: np.ndarray, **attributes: Any) -> xr.Dataset:
    """Return the plain field with other values."""
    dataset = field()
    dataset["flux"] = (("time", "lat", "lon"), values, dataset["flux"].attrs | attributes)
    return dataset


def with_times(values: Any, dtype: str = "f8", **attributes: str) -> xr.Dataset:
    """Return the plain field with its times written as they are here."""
    times = ("time", np.asarray(values).astype(dtype), attributes)
    return field().assign_coords(time=times)


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., str]:
    """Return what writes a dataset into a file as it is, without xarray's own fill values."""

    def write(dataset: xr.Dataset, name: str = "field.nc", **options: Any) -> str:
        path = tmp_path / name
        encoding = {n: {"_FillValue": None} for n in dataset.variables}
        for variable, said in options.pop("encoding", {}).items():
            encoding[variable] = said
        dataset.to_netcdf(path, encoding=encoding, engine="h5netcdf", **options)
        return str(path)

    return write


def assert_is_truth(record: FluxRecord, tolerance: float = 1e-4) -> None:
    """Every ocean value is the one that belongs to its place and month."""
    expected = truth(record.grid.lat, record.grid.lon, record.months)
    assert record.ocean.all()
    np.testing.assert_allclose(record.fco2, expected, atol=tolerance)


def refused(source: str, *words: str, variable: str | None = None) -> TidenetError:
    """The source is refused, and the error says these words and what to do."""
    with pytest.raises(TidenetError) as caught:
        read_field(source, variable)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.found and caught.value.expected and caught.value.remedy
    return caught.value


# --- a plain file ---------------------------------------------------------------------------------


def test_a_plain_file_is_read_as_it_is(kept: Callable[..., str]) -> None:
    read = read_field(kept(field()))
    assert (read.variable, read.units) == ("flux", "mol m-2 yr-1")
    assert read.record.first_month == FIRST
    assert read.record.fco2.dtype == np.float32
    assert read.record.observed is not None and read.record.observed.all()
    np.testing.assert_allclose(read.record.grid.lat, LAT)
    np.testing.assert_allclose(read.record.grid.lon, LON)
    assert read.notes == ()
    assert_is_truth(read.record)


def test_a_path_is_as_good_as_a_text(kept: Callable[..., str]) -> None:
    assert_is_truth(read_field(Path(kept(field()))).record)


# --- dimensions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("time", "latitude", "longitude"),
        ("t", "y", "x"),
        ("month", "nav_lat", "nav_lon"),
        ("TIME", "LAT", "LON"),
        ("time_counter", "Latitude", "Longitude"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("turned", [(0, 1, 2), (2, 1, 0)], ids=str)
def test_dimensions_are_known_by_their_names(
    kept: Callable[..., str], names: tuple[str, str, str], turned: tuple[int, int, int]
) -> None:
    dataset = field(names=names).transpose(*(names[n] for n in turned))
    assert_is_truth(read_field(kept(dataset)).record)


@pytest.mark.parametrize("order", list(permutations(("time", "lat", "lon"))), ids=" ".join)
def test_dimensions_may_have_any_order(kept: Callable[..., str], order: tuple[str, ...]) -> None:
    assert_is_truth(read_field(kept(field().transpose(*order))).record)


@pytest.mark.parametrize("order", [("when", "up", "along"), ("along", "when", "up")], ids=" ".join)
def test_attributes_tell_dimensions_whatever_they_are_called(
    kept: Callable[..., str], order: tuple[str, ...]
) -> None:
    dataset = field(names=("when", "up", "along"))
    dataset["up"].attrs["standard_name"] = "latitude"
    dataset["along"].attrs["units"] = "degrees_east"
    assert_is_truth(read_field(kept(dataset.transpose(*order))).record)


@pytest.mark.parametrize("order", [("when", "up", "along"), ("up", "along", "when")], ids=" ".join)
def test_coordinates_tell_dimensions_that_nothing_else_tells(
    kept: Callable[..., str], order: tuple[str, ...]
) -> None:
    dataset = field(names=("when", "up", "along")).transpose(*order)
    assert_is_truth(read_field(kept(dataset)).record)


@pytest.mark.parametrize("maps", [False, True], ids=["rows", "maps"])
def test_coordinates_may_have_other_names_than_the_dimensions(
    kept: Callable[..., str], maps: bool
) -> None:
    values = field()["flux"].values
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    coordinates = {
        "nav_lat": (("y", "x"), lat) if maps else ("y", LAT),
        "nav_lon": (("y", "x"), lon) if maps else ("x", LON),
        "time": field()["time"],
    }
    dataset = xr.Dataset({"flux": (("time", "y", "x"), values)}, coords=coordinates)
    assert_is_truth(read_field(kept(dataset)).record)


def test_a_grid_of_curved_rows_is_refused(kept: Callable[..., str]) -> None:
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    coordinates = {
        "nav_lat": (("y", "x"), lat + 0.5 * lon),
        "nav_lon": (("y", "x"), lon),
        "time": field()["time"],
    }
    dataset = xr.Dataset({"flux": (("time", "y", "x"), field()["flux"].values)}, coordinates)
    refused(kept(dataset), "rows")


def test_dimensions_of_one_step_are_dropped(kept: Callable[..., str]) -> None:
    dataset = field().expand_dims(depth=[0.5], member=[1]).transpose("time", "depth", ...)
    assert_is_truth(read_field(kept(dataset)).record)


def test_a_dimension_of_several_levels_is_refused_by_name(kept: Callable[..., str]) -> None:
    dataset = xr.concat([field(), field()], "depth").assign_coords(depth=[0.0, 10.0])
    refused(kept(dataset), "depth", variable="flux")


# --- where cells lie ------------------------------------------------------------------------------


def test_latitudes_from_north_to_south_are_turned(kept: Callable[..., str]) -> None:
    record = read_field(kept(field(lat=LAT[::-1]))).record
    assert (np.diff(record.grid.lat) > 0).all()
    assert_is_truth(record)


@pytest.mark.parametrize(
    ("west", "written"),
    [
        (-5.0, lambda lon: lon % 360),  # Greenwich in 0..360
        (-5.0, lambda lon: lon),
        (170.0, lambda lon: (lon + 180) % 360 - 180),  # the date line in -180..180
        (170.0, lambda lon: lon),
        (-180.0, lambda lon: lon),
    ],
    ids=["greenwich-360", "greenwich", "date-line-180", "date-line-360", "west"],
)
@pytest.mark.parametrize("sort", [False, True], ids=["as-it-is", "sorted"])
def test_a_sea_stays_in_one_piece(
    kept: Callable[..., str], west: float, written: Any, sort: bool
) -> None:
    lon = written(west + 0.5 + np.arange(20))
    record = read_field(kept(field(lon=np.sort(lon) if sort else lon))).record
    np.testing.assert_allclose(np.diff(record.grid.lon), 1.0)
    np.testing.assert_allclose((record.grid.lon[0] - west - 0.5 + 180) % 360 - 180, 0, atol=1e-6)
    assert_is_truth(record)


@pytest.mark.parametrize("west", [0.0, -180.0])
def test_the_globe_stays_as_it_is(kept: Callable[..., str], west: float) -> None:
    lon = west + np.arange(0, 360, 20.0)
    record = read_field(kept(field(lon=lon))).record
    np.testing.assert_allclose(record.grid.lon, lon)
    assert_is_truth(record)


@pytest.mark.parametrize(
    ("lat", "lon"),
    [
        (np.arange(30.0, 40, 2), np.arange(120, 126, 0.5)),  # cells that are not square
        (np.rad2deg(np.arcsin(np.linspace(-0.98, 0.98, 21))), np.arange(0, 360, 30.0)),
        (np.rad2deg(np.arctan(np.sinh(np.linspace(0.1, 1.5, 15)))), np.arange(0, 9, 1.0)),
        (np.array([-90.0, -60, -30, 0, 30, 60, 90]), np.arange(0, 360, 30.0)),
    ],
    ids=["not-square", "gaussian", "mercator", "poles"],
)
def test_cells_of_any_shape_have_their_own_areas(
    kept: Callable[..., str], lat: np.ndarray, lon: np.ndarray
) -> None:
    grid = read_field(kept(field(lat=lat, lon=lon))).record.grid
    inside = (grid.lat_bounds[:, 0] <= lat) & (lat <= grid.lat_bounds[:, 1])
    assert inside.all()
    assert grid.shape == (grid.n_lat, grid.n_lon) == grid.cell_area.shape == (len(lat), len(lon))
    south, north = grid.lat_bounds[0, 0], grid.lat_bounds[-1, 1]
    assert -90 <= south < north <= 90
    np.testing.assert_allclose(grid.lat_bounds[1:, 0], grid.lat_bounds[:-1, 1])
    width = np.deg2rad(grid.lon_bounds[-1, 1] - grid.lon_bounds[0, 0])
    zone = np.sin(np.deg2rad(north)) - np.sin(np.deg2rad(south))
    np.testing.assert_allclose(grid.cell_area.sum(), EARTH_RADIUS_M**2 * width * zone, rtol=1e-6)
    coarse = grid.coarsened(2)
    np.testing.assert_allclose(coarse.cell_area.sum(), grid.cell_area.sum(), rtol=1e-6)


# --- months ---------------------------------------------------------------------------------------

NUMBER = MONTHS.astype(int)
YEAR, MONTH = 1970 + NUMBER // 12, NUMBER % 12 + 1
YYYYMM = YEAR * 100 + MONTH
DAYS = MONTHS.astype("datetime64[D]").astype(int)
LENGTH = (MONTHS + 1).astype("datetime64[D]").astype(int) - DAYS
NO_LEAP = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])[MONTH - 1] + 365 * YEAR
TIMES = {
    "start": (DAYS, {"units": "days since 1970-01-01"}),
    "middle": (DAYS + LENGTH / 2, {"units": "days since 1970-01-01 00:00:00"}),
    "end": (DAYS + LENGTH - 1, {"units": "days since 1970-1-1"}),
    "hours": (DAYS * 24 + 12, {"units": "hours since 1970-01-01T00:00:00Z"}),
    "seconds": (DAYS * 86400, {"units": "seconds since 1970-01-01", "calendar": "gregorian"}),
    "proleptic": (DAYS, {"units": "days since 1970-01-01", "calendar": "proleptic_gregorian"}),
    "since-1800": (DAYS + 62091, {"units": "days since 1800-01-01", "calendar": "standard"}),
    "since-1-1-1": (DAYS + 719164, {"units": "days since 1-1-1 00:00:00"}),
    "noleap": (NO_LEAP - 365 * 2000 + 15, {"units": "days since 2000-01-01", "calendar": "noleap"}),
    "365": (NO_LEAP - 365 * 1850, {"units": "days since 1850-01-01", "calendar": "365_day"}),
    "360": (
        (YEAR - 1950) * 360 + (MONTH - 1) * 30 + 15,
        {"units": "days since 1950-01-01", "calendar": "360_day"},
    ),
    "months": (np.arange(N), {"units": "months since 2001-01-01"}),
    "mid-months": (NUMBER + 120 + 0.5, {"units": "months since 1960-01-01"}),
    "yyyymm": (YYYYMM, {}),
    "yyyymm-float": (YYYYMM.astype(float), {"units": "YYYYMM"}),
    "yyyymmdd": (YYYYMM * 100 + 15, {"units": "day as %Y%m%d.%f"}),
    "decimal": (YEAR + (MONTH - 0.5) / 12, {"units": "years"}),
    "decimal-start": (YEAR + (MONTH - 1) / 12, {}),
}


@pytest.mark.parametrize("written", TIMES)
def test_months_are_known_however_they_are_written(kept: Callable[..., str], written: str) -> None:
    values, attributes = TIMES[written]
    record = read_field(kept(with_times(values, **attributes))).record
    assert record.first_month == FIRST
    assert_is_truth(record)


@pytest.mark.parametrize("dtype", ["i4", "i8", "f4"])
def test_months_are_known_whatever_the_type_of_the_numbers(
    kept: Callable[..., str], dtype: str
) -> None:
    assert_is_truth(read_field(kept(with_times(YYYYMM, dtype))).record)
    days = with_times(DAYS, dtype, units="days since 1970-01-01")
    assert_is_truth(read_field(kept(days, "days.nc")).record)


def test_months_are_put_in_order(kept: Callable[..., str]) -> None:
    mixed = np.random.default_rng(0).permutation(N)
    assert_is_truth(read_field(kept(field().isel(time=mixed))).record)


def test_a_repeated_month_is_refused_by_name(kept: Callable[..., str]) -> None:
    refused(kept(field().isel(time=[*range(N), 3])), "2001-04")


def test_missing_months_are_refused_by_name(kept: Callable[..., str]) -> None:
    dataset = field().drop_isel(time=[5, 17])
    error = refused(kept(dataset), "2001-06", "2002-06")
    assert "2001-07" not in str(error)


def test_daily_steps_are_refused(kept: Callable[..., str]) -> None:
    dataset = with_times(np.arange(N), units="days since 2001-01-01")
    refused(kept(dataset), "2001-01")


def test_yearly_steps_are_refused(kept: Callable[..., str]) -> None:
    dataset = with_times(np.arange(N), units="years since 1960-01-01")
    refused(kept(dataset), "1960-02")


@pytest.mark.parametrize("units", ["", "m", "fortnights since 2001-01-01", "days since long ago"])
def test_times_that_say_nothing_are_refused(kept: Callable[..., str], units: str) -> None:
    refused(kept(with_times(np.arange(N), units=units)), "time")


def test_a_field_without_times_is_refused(kept: Callable[..., str]) -> None:
    refused(kept(field().drop_vars("time")), "time")


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f4", "<f8", ">f8"])
def test_numbers_of_any_type_are_read(tmp_path: Path, dtype: str) -> None:
    dataset = field()
    dataset["flux"] = dataset["flux"].astype(dtype)
    dataset.to_zarr(tmp_path / "field.zarr", zarr_format=2)
    tolerance = 0.02 if dtype == "f2" else 1e-4
    assert_is_truth(read_field(str(tmp_path / "field.zarr")).record, tolerance)


@pytest.mark.parametrize("format", ["NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_old_files_are_read(tmp_path: Path, format: str) -> None:
    field().to_netcdf(tmp_path / "field.nc", format=format, engine="scipy")  # type: ignore[call-overload]
    assert_is_truth(read_field(str(tmp_path / "field.nc")).record)


def test_packed_numbers_are_unpacked(kept: Callable[..., str]) -> None:
    values = truth(LAT, LON, MONTHS)
    values[3, 1, 1] = np.nan
    packing = {"dtype": "i2", "scale_factor": 0.001, "add_offset": 5.0, "_FillValue": -32768}
    record = read_field(kept(edited(values), encoding={"flux": packing})).record
    expected = truth(LAT, LON, MONTHS)
    seen = np.isfinite(values)
    np.testing.assert_allclose(record.fco2[seen], expected[seen], atol=6e-4)
    assert record.observed is not None and np.array_equal(record.observed, seen)


FILLS = [1e20, -9999.0, -999.0, -32767.0, 9.96921e36, -1e34, np.inf]


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
def test_fill_values_are_land(kept: Callable[..., str], fill: float, declared: bool) -> None:
    values = truth(LAT, LON, MONTHS)
    land = np.zeros(values.shape[1:], dtype=bool)
    land[:2, :3] = True
    values[:, land] = fill
    attributes = {"missing_value": np.float32(fill)} if declared else {}
    record = read_field(kept(edited(values.astype("f4"), **attributes))).record
    assert np.array_equal(record.ocean, ~land)
    assert np.isnan(record.fco2[:, land]).all()
    np.testing.assert_allclose(record.fco2[:, ~land], truth(LAT, LON, MONTHS)[:, ~land], atol=1e-4)


@pytest.mark.parametrize("fill", [-9999.0, 1e20, np.nan])
def test_a_fill_in_one_month_is_a_gap_and_not_a_value(
    kept: Callable[..., str], fill: float
) -> None:
    values = truth(LAT, LON, MONTHS)
    values[7, 2, 2], values[:, 0, 0] = fill, fill
    record = read_field(kept(edited(values.astype("f4")))).record
    assert record.observed is not None
    assert not record.observed[7, 2, 2] and record.ocean[2, 2]
    assert record.observed.sum() == N * (LAT.size * LON.size - 1) - 1
    assert abs(record.fco2[7, 2, 2] - truth(LAT, LON, MONTHS)[7, 2, 2]) < 2.5


def test_a_gap_keeps_the_season_of_its_cell(kept: Callable[..., str]) -> None:
    rng = np.random.default_rng(0)
    season = 20 * np.cos(2 * np.pi * np.arange(N) / 12)[:, None, None]
    values = season + rng.normal(size=(N, LAT.size, LON.size))
    gaps = rng.random(values.shape) < 0.05
    record = read_field(kept(edited(np.where(gaps, np.nan, values)))).record
    assert np.isfinite(record.fco2).all()
    assert record.observed is not None and np.array_equal(record.observed, ~gaps)
    np.testing.assert_array_equal(record.fco2[~gaps], values[~gaps].astype("f4"))
    assert np.sqrt(np.mean((record.fco2 - values)[gaps] ** 2)) < 1.5


def test_a_gap_is_filled_without_looking_ahead(kept: Callable[..., str]) -> None:
    values = truth(LAT, LON, MONTHS)
    values[40, 2, 2:4] = np.nan
    changed = values.copy()
    changed[41:] += 50.0
    one, other = (
        read_field(kept(edited(v), f"{n}.nc")).record.fco2[:41]
        for n, v in enumerate((values, changed))
    )
    np.testing.assert_array_equal(one, other)


def test_cells_that_are_mostly_empty_are_land(kept: Callable[..., str]) -> None:
    values = truth(LAT, LON, MONTHS)
    values[::2, 0, 0], values[5:, 1, 1] = np.nan, np.nan
    values[0::4, 0, 0] = np.nan
    values[1::4, 0, 0] = np.nan
    record = read_field(kept(edited(values))).record
    assert not record.ocean[0, 0] and not record.ocean[1, 1]
    assert record.ocean.sum() == record.ocean.size - 2


@pytest.mark.parametrize("constant", [0.0, -1.8])
def test_cells_that_never_change_are_no_ocean_and_it_is_said(
    kept: Callable[..., str], constant: float
) -> None:
    values = truth(LAT, LON, MONTHS)
    values[:, 2:4, 1] = constant
    read = read_field(kept(edited(values)))
    assert not read.record.ocean[2:4, 1].any()
    assert read.record.ocean.sum() == read.record.ocean.size - 2
    assert any("2 cells" in note for note in read.notes)


# --- size -----------------------------------------------------------------------------------------


def test_blocks_are_means_by_area_over_the_ocean(kept: Callable[..., str]) -> None:
    lat, lon = np.arange(0.0, 60, 5), np.arange(0.0, 50, 5)
    dataset = field(lat=lat, lon=lon)
    values = dataset["flux"].values
    values[:, 0, 0] = np.nan
    fine = read_field(kept(dataset), coarsen=1).record.grid
    read = read_field(kept(dataset, "again.nc"), coarsen=2)
    assert read.record.grid.shape == (6, 5)
    area = np.where(np.isfinite(values[0]), fine.cell_area, 0.0)
    for row, column in ((0, 0), (5, 4)):
        block = np.s_[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        expected = (np.nan_to_num(values)[:, *block] * area[block]).sum((1, 2)) / area[block].sum()
        np.testing.assert_allclose(read.record.fco2[:, row, column], expected, atol=1e-4)
    assert any("2 x 2" in note for note in read.notes)


def test_a_large_field_is_made_coarser_and_it_is_said(kept: Callable[..., str]) -> None:
    lat, lon = np.linspace(10, 60, 280), np.linspace(100, 160, 300)
    source = kept(field(lat=lat, lon=lon, months=MONTHS[:36]))
    read = read_field(source)
    assert read.record.ocean.size < lat.size * lon.size / 2
    assert any("coarsen" in note for note in read.notes)
    assert np.isfinite(read.record.fco2[:, read.record.ocean]).all()
    expected = truth(read.record.grid.lat, read.record.grid.lon, read.record.months)
    np.testing.assert_allclose(read.record.fco2, expected, atol=0.1)


def test_coarsen_1_keeps_every_cell(kept: Callable[..., str]) -> None:
    lat, lon = np.linspace(10, 60, 280), np.linspace(100, 160, 300)
    source = kept(field(lat=lat, lon=lon, months=MONTHS[:36]))
    assert read_field(source, coarsen=1).record.grid.shape == (280, 300)


@pytest.mark.parametrize("coarsen", [0, -2])
def test_blocks_of_no_cells_are_refused(kept: Callable[..., str], coarsen: int) -> None:
    with pytest.raises(TidenetError, match="keep every cell"):
        read_field(kept(field()), coarsen=coarsen)


# --- which variable -------------------------------------------------------------------------------


def test_several_fields_are_refused_and_listed(kept: Callable[..., str]) -> None:
    dataset = field().assign(other=field()["flux"] + 1)
    source = kept(dataset)
    refused(source, "flux", "other")
    assert read_field(source, "other").variable == "other"


def test_bounds_and_maps_are_no_fields(kept: Callable[..., str]) -> None:
    dataset = field().assign(
        mask=(("lat", "lon"), np.ones((LAT.size, LON.size))),
        time_bnds=(("time", "nv"), np.zeros((N, 2))),
    )
    assert read_field(kept(dataset)).variable == "flux"


def test_an_unknown_variable_is_refused_with_those_that_are_there(kept: Callable[..., str]) -> None:
    refused(kept(field()), "sst", "flux", variable="sst")


def test_a_map_without_time_is_refused(kept: Callable[..., str]) -> None:
    refused(kept(field().isel(time=0, drop=True)), variable="flux")


# --- what there is too little of ------------------------------------------------------------------


def test_too_few_months_are_refused(kept: Callable[..., str]) -> None:
    refused(kept(field(months=MONTHS[:35])), "35")


def test_too_few_cells_are_refused(kept: Callable[..., str]) -> None:
    dataset = field(lat=LAT[:2], lon=LON[:2])
    dataset["flux"][:, 0, 0] = np.nan
    refused(kept(dataset), "3 of 4 cells")


def test_a_field_without_values_is_refused(kept: Callable[..., str]) -> None:
    refused(kept(edited(np.full((N, LAT.size, LON.size), np.nan))))


def test_an_empty_month_is_refused_by_name(kept: Callable[..., str]) -> None:
    values = truth(LAT, LON, MONTHS)
    values[20] = np.nan
    refused(kept(edited(values)), "2002-09")


# --- places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
def test_zarr_stores_are_read(tmp_path: Path, version: Any, zipped: bool) -> None:
    store = tmp_path / "field.zarr"
    values = truth(LAT, LON, MONTHS).astype("f4")
    values[:, 0, 0] = np.nan
    edited(values).to_zarr(store, zarr_format=version)
    if zipped:
        store = Path(shutil.make_archive(str(store), "zip", store))
    record = read_field(str(store)).record
    assert not record.ocean[0, 0] and record.ocean.sum() == record.ocean.size - 1
    expected = truth(LAT, LON, MONTHS)
    np.testing.assert_allclose(record.fco2[:, record.ocean], expected[:, record.ocean], atol=1e-4)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Serve the test's folder; return its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_file_is_read_from_its_url(kept: Callable[..., str], served: str) -> None:
    kept(field())
    assert_is_truth(read_field(f"{served}/field.nc").record)


@pytest.mark.parametrize("version", [2, 3])
def test_a_store_is_read_from_its_url(tmp_path: Path, served: str, version: Any) -> None:
    field().to_zarr(tmp_path / "field.zarr", zarr_format=version, consolidated=True)
    assert_is_truth(read_field(f"{served}/field.zarr").record)


def test_a_url_that_leads_nowhere_is_refused(served: str) -> None:
    with pytest.raises(TidenetError):
        read_field(f"{served}/nothing.zarr")
    with pytest.raises(TidenetError):
        read_field(f"{served}/nothing.nc")


@pytest.mark.parametrize("content", [b"", b"lat,lon,flux\n", b"<html>no</html>", b"CDF\x01\0\0"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "field.nc").write_bytes(content)
    refused(str(tmp_path / "field.nc"), "field.nc")


def test_a_place_with_nothing_is_refused(tmp_path: Path) -> None:
    refused(str(tmp_path / "none.nc"), "none.nc")
    refused(str(tmp_path))


# --- what the science makes of it -----------------------------------------------------------------


def test_the_science_takes_the_grid_as_its_own(kept: Callable[..., str]) -> None:
    from tidenet.identity import Domain
    from tidenet.references import fit_reference

    rng = np.random.default_rng(0)
    lat = np.rad2deg(np.arcsin(np.linspace(0.2, 0.8, 6)))
    dataset = field(lat=lat, months=FIRST + np.arange(96))
    dataset["flux"] += rng.normal(size=dataset["flux"].shape)
    record = read_field(kept(dataset)).record
    domain = Domain(record.grid, record.ocean)
    domain.require(json.loads(json.dumps(domain.describe())))
    forecaster = fit_reference("damped-persistence", record, 3)
    forecast = forecaster.forecast(record, record.last_month, n_members=3, rng=rng)
    assert forecast.grid == record.grid
    assert np.isfinite(forecast.mean).all()


def test_sea_surface_temperature_of_the_real_file(shared_data: Path) -> None:
    file = shared_data / "tables" / "ersstv5_eastasia_2deg_201001_202008.nc"
    read = read_field(str(file))
    with xr.open_dataset(file) as dataset:
        sst = dataset["sst"].values
    record = read.record
    assert (read.variable, read.units) == ("sst", "degC")
    assert (str(record.first_month), str(record.last_month)) == ("2010-01", "2020-08")
    assert record.grid.shape == (23, 23)
    assert np.array_equal(record.ocean, np.isfinite(sst).all(axis=0))
    np.testing.assert_allclose(record.fco2[:, record.ocean], sst[:, record.ocean], atol=1e-5)
