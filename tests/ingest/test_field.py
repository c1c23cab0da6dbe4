import zipfile

import numpy as np
import pytest
import xarray as xr
from services import field_files as files

from ingest.errors import UnreadableFileError
from ingest.field.errors import (
    DuplicateMonthsError,
    FieldAxesError,
    FieldFileError,
    FieldTimeError,
    FieldTooLargeError,
    FieldVariableError,
    MissingMonthsError,
    NoOceanError,
)
from ingest.field.grid import FieldGrid
from ingest.field.reading import FieldRequest, MonthlyField, read_field
from storage.grid import Grid
from storage.months import month

UNTIL = month("2004-06")


def read(source, **options) -> MonthlyField:
    return read_field(FieldRequest(str(source), **({"train_until": UNTIL} | options)))


def same_as_plain(found: MonthlyField, atol: float = 1e-5) -> None:
    """Compare with the sea as it was made."""
    assert np.array_equal(found.ocean, files.ocean())
    assert found.first_month == files.FIRST
    np.testing.assert_allclose(found.values, files.sea().astype("f4"), atol=atol)
    assert np.array_equal(found.observed, np.broadcast_to(files.ocean(), found.values.shape))
    np.testing.assert_allclose(found.grid.lat, files.LAT)


# --- how maps lie in a file -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_a_plain_file_is_read_as_it_is(tmp_path, kind):
    found = read(files.netcdf(files.dataset(), tmp_path, kind=kind))
    same_as_plain(found)
    assert (found.variable, found.units, found.notes) == ("sst", "degC", ())
    np.testing.assert_allclose(found.grid.lon, files.LON)


def test_rows_from_the_north_are_turned(tmp_path):
    turned = files.dataset(files.sea()[:, ::-1], lat=files.LAT[::-1])
    same_as_plain(read(files.netcdf(turned, tmp_path)))


@pytest.mark.parametrize(
    "dims",
    [("time", "latitude", "longitude"), ("t", "y", "x"), ("month", "nav_lat", "nav_lon")],
)
def test_dimensions_may_have_other_names(tmp_path, dims):
    same_as_plain(read(files.netcdf(files.dataset(dims=dims), tmp_path)))


def test_dimensions_without_telling_names_are_taken_in_the_usual_order(tmp_path):
    found = files.dataset(dims=("a", "b", "c"))
    for name in "bc":
        found[name].attrs = {}
    found = read(files.netcdf(found, tmp_path), first_month=files.FIRST)
    assert np.array_equal(found.ocean, files.ocean())


def test_dimensions_may_come_in_another_order_and_with_a_single_level(tmp_path):
    found = files.dataset().transpose("lon", "time", "lat").expand_dims({"depth": [0.5]}, axis=1)
    found["depth"].attrs = {"units": "m", "positive": "down"}
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_several_levels_are_refused(tmp_path):
    found = files.dataset().expand_dims({"depth": [0.5, 10.0]}, axis=1)
    found["depth"].attrs = {"positive": "down"}
    with pytest.raises(FieldAxesError, match="depth"):
        read(files.netcdf(found, tmp_path), variable="sst")


def test_a_sea_across_the_date_line_stays_in_one_piece(tmp_path):
    lon = np.arange(175.5, 185.5)
    split = (lon + 180) % 360 - 180
    order = np.argsort(split)
    found = read(files.netcdf(files.dataset(files.sea()[:, :, order], lon=split[order]), tmp_path))
    same_as_plain(found)
    np.testing.assert_allclose(found.grid.lon, lon)


def test_a_sea_across_greenwich_in_0_to_360_stays_in_one_piece(tmp_path):
    lon = np.arange(-4.5, 5.5)
    order = np.argsort(lon % 360)
    found = files.dataset(files.sea()[:, :, order], lon=(lon % 360)[order])
    found = read(files.netcdf(found, tmp_path))
    same_as_plain(found)
    np.testing.assert_allclose(found.grid.lon % 360, lon % 360)
    assert (np.diff(found.grid.lon) > 0).all()


def test_a_longitude_that_comes_round_again_is_taken_once(tmp_path):
    lon = np.arange(0.0, 361.0, 40.0)
    found = read(files.netcdf(files.dataset(lon=lon), tmp_path))
    assert found.grid.n_lon == 9
    assert found.grid.cell_area.sum() == pytest.approx(
        FieldGrid.around("g", files.LAT, np.arange(0.0, 360, 40)).cell_area.sum()
    )


def test_latitudes_given_as_a_map_are_read_where_rows_are_straight(tmp_path):
    found = files.dataset(dims=("time", "y", "x")).drop_vars(["y", "x"])
    lat, lon = np.meshgrid(files.LAT, files.LON, indexing="ij")
    found["nav_lat"], found["nav_lon"] = (("y", "x"), lat), (("y", "x"), lon)
    same_as_plain(read(files.netcdf(found, tmp_path)))
    found["nav_lat"] = ("y", "x"), lat + 0.3 * (lon - 140)
    with pytest.raises(FieldAxesError, match="straight"):
        read(files.netcdf(found, tmp_path))


def test_without_coordinates_all_cells_count_alike_and_it_is_said(tmp_path):
    found = files.dataset(dims=("time", "y", "x")).drop_vars(["y", "x"])
    found = read(files.netcdf(found, tmp_path))
    assert len(np.unique(found.grid.cell_area)) == 1
    assert any("count alike" in note for note in found.notes)


def test_areas_are_exact_for_rows_of_any_height():
    regular = Grid("r", south=-60, west=10, step=2.0, n_lat=40, n_lon=30)
    mine = FieldGrid.around("f", regular.lat, regular.lon)
    np.testing.assert_allclose(mine.cell_area, regular.cell_area, rtol=1e-6)
    uneven = FieldGrid.around("u", np.array([-70.0, -50, -45, 0, 60]), regular.lon)
    edges = FieldGrid.between("v", np.array([-80.0, 75.0]), np.array([9.0, 71.0]))
    part = uneven.cell_area.sum() / edges.cell_area.sum()
    top, bottom = (np.sin(np.deg2rad(x)) for x in (90.0, -80.0))
    assert part == pytest.approx(
        (top - bottom) * 60 / 62 / np.diff(np.sin(np.deg2rad([-80, 75])))[0]
    )
    assert uneven.coarsened(2).cell_area.sum() == pytest.approx(uneven.cell_area.sum())


# --- the months -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "units", "calendar"),
    [
        (files.days(day=1), "days since 1950-01-01", "standard"),
        (files.days(day=28) * 24, "hours since 1950-01-01 00:00:00", "gregorian"),
        (np.arange(60) + 0.5, "months since 2001-01-01", "standard"),
        (30 * np.arange(60) + 15, "days since 2001-01-01", "360_day"),
        (np.arange(60) * 365 / 12 + 5, "days since 2001-01-01", "noleap"),
        (files.days(day=1) + 711858 + 2, "days since 0001-01-01", "standard"),
        (200101 + np.arange(60) % 12 + np.arange(60) // 12 * 100, "", ""),
        (20010116 + np.arange(60) % 12 * 100 + np.arange(60) // 12 * 10000, "day as %Y%m%d.%f", ""),
        (2001 + (np.arange(60) + 0.5) / 12, "years", ""),
        (2001 + np.arange(60) / 12, "", ""),
    ],
    ids=[
        *("first-day", "hours", "months-since", "360", "noleap", "year-one"),
        *("yyyymm", "yyyymmdd", "decimal-middle", "decimal-start"),
    ],
)
def test_times_are_understood_however_they_are_written(tmp_path, time, units, calendar):
    found = files.dataset(time=time, units=units, **({"calendar": calendar} if calendar else {}))
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_the_middle_of_time_bounds_counts(tmp_path):
    found = files.dataset(time=files.days(61, day=1)[1:])
    found["time"].attrs["bounds"] = "time_bnds"
    starts = files.days(61, day=1)
    found["time_bnds"] = ("time", "nv"), np.stack([starts[:-1], starts[1:]], axis=1)
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_months_out_of_order_are_put_in_order(tmp_path):
    order = np.random.default_rng(0).permutation(60)
    found = files.dataset(files.sea()[order], time=files.days()[order])
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_a_month_twice_is_refused_by_name(tmp_path):
    time = files.days()
    time[7] = time[6]
    with pytest.raises(DuplicateMonthsError, match="2001-07"):
        read(files.netcdf(files.dataset(time=time), tmp_path))


def test_missing_months_are_refused_by_name(tmp_path):
    keep = [t for t in range(60) if t not in (20, 21)]
    found = files.dataset(files.sea()[keep], time=files.days()[keep])
    with pytest.raises(MissingMonthsError, match="2002-09, 2002-10"):
        read(files.netcdf(found, tmp_path))


def test_an_empty_month_inside_is_refused_and_at_the_end_left_out(tmp_path):
    values = files.sea()
    values[-2:] = np.nan
    found = read(files.netcdf(files.dataset(values), tmp_path))
    assert len(found.values) == 58
    assert any("2 empty months" in note for note in found.notes)
    values[30] = np.nan
    with pytest.raises(MissingMonthsError, match="2003-07"):
        read(files.netcdf(files.dataset(values), tmp_path))


def test_a_file_without_times_says_how_to_give_them(tmp_path):
    path = files.netcdf(files.dataset().drop_vars("time"), tmp_path)
    with pytest.raises(FieldTimeError, match="--first-month"):
        read(path)
    same_as_plain(read(path, first_month=files.FIRST))


def test_training_must_end_inside_the_field(tmp_path):
    path = files.netcdf(files.dataset(), tmp_path)
    for wrong in ("2000-12", "2005-12", "2030-01"):
        with pytest.raises(FieldTimeError, match="2001-01 to 2005-12"):
            read(path, train_until=month(wrong))
    assert read(path, train_until=None).train_until == month("2004-09")


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_numbers_of_any_precision_are_read(tmp_path, dtype):
    found = read(files.netcdf(files.dataset(files.sea().astype(dtype)), tmp_path))
    same_as_plain(found, atol=0.02)


def test_packed_numbers_are_unpacked_and_their_fills_understood(tmp_path):
    packed = np.where(files.ocean(), np.round(files.sea() / 0.01), -32768).astype("i2")
    packing = {"scale_factor": 0.01, "add_offset": 0.0}
    undeclared = files.dataset(packed, attributes=packing)
    found = read(files.netcdf(undeclared, tmp_path))
    same_as_plain(found, atol=0.0051)
    declared = files.dataset(packed, attributes=packing | {"missing_value": np.int16(-32768)})
    same_as_plain(read(files.netcdf(declared, tmp_path)), atol=0.0051)


@pytest.mark.parametrize("fill", [-9999.0, 1e20, -1e34, -999.9, 0.0, 9.96921e36])
def test_land_filled_with_a_value_is_no_ocean(tmp_path, fill):
    values = np.where(files.ocean(), files.sea(), fill)
    same_as_plain(read(files.netcdf(files.dataset(values.astype("f4")), tmp_path)))


def test_gaps_with_an_undeclared_fill_are_no_truth(tmp_path):
    values = files.sea()
    values[5, 5, 5] = values[50, 6, 5] = -999.0
    found = read(files.netcdf(files.dataset(values), tmp_path))
    assert any("-999 taken as missing" in note for note in found.notes)
    assert not found.observed[5, 5, 5]
    assert not found.observed[50, 6, 5]
    assert np.isfinite(found.values[:, found.ocean]).all()
    assert np.nanmin(found.values) > -50


def test_a_value_like_a_fill_inside_the_range_is_a_value(tmp_path):
    values = files.sea() * 100
    values[5, 5, 5] = -999.0
    found = read(files.netcdf(files.dataset(values), tmp_path))
    assert found.values[5, 5, 5] == -999.0


def test_cells_that_are_mostly_missing_or_never_change_are_left_out(tmp_path):
    values = files.sea()
    values[:, 5, 5] = 7.0
    values[::2, 6, 6] = np.nan
    values[1:20, 6, 6] = np.nan
    found = read(files.netcdf(files.dataset(values), tmp_path))
    expected = files.ocean()
    expected[5, 5] = expected[6, 6] = False
    assert np.array_equal(found.ocean, expected)
    assert any("1 cells that never change" in note for note in found.notes)


def test_gaps_are_filled_with_the_season_and_what_lies_around_them(tmp_path):
    rng = np.random.default_rng(1)
    values = files.sea() + 3 * rng.standard_normal((60, 1, 1))
    holes = (rng.random(values.shape) < 0.15) & files.ocean()
    found = read(files.netcdf(files.dataset(np.where(holes, np.nan, values)), tmp_path))
    assert np.array_equal(found.observed, files.ocean() & ~holes)
    usual = np.array([values[m::12].mean(axis=0) for m in range(12)])[np.arange(60) % 12]
    filled, seasonal = (np.square(x[holes] - values[holes]).mean() for x in (found.values, usual))
    assert filled < 0.5 * seasonal


def test_nothing_after_the_training_period_changes_anything_before(tmp_path):
    values, rng = files.sea(), np.random.default_rng(1)
    values[(rng.random(values.shape) < 0.1)] = np.nan
    plain = read(files.netcdf(files.dataset(values), tmp_path))
    n = 50  # three months after the training period, as a forecast from there sees the field
    values[n:] = rng.normal(1e3, 1e3, values[n:].shape)
    other = read(files.netcdf(files.dataset(values), tmp_path))
    assert np.array_equal(plain.ocean, other.ocean)
    assert np.array_equal(plain.values[:n], other.values[:n], equal_nan=True)


def test_a_field_without_change_is_refused(tmp_path):
    with pytest.raises(NoOceanError, match="change"):
        read(files.netcdf(files.dataset(np.ones((60, 8, 10))), tmp_path))
    with pytest.raises(NoOceanError):
        read(files.netcdf(files.dataset(np.full((60, 8, 10), np.nan)), tmp_path))


def test_tiny_numbers_are_counted_in_a_power_of_ten(tmp_path):
    found = read(files.netcdf(files.dataset(files.sea() * 1e-12), tmp_path))
    assert found.units == "1e-12 degC"
    assert np.nanmax(np.abs(found.values)) < 100


# --- coarser --------------------------------------------------------------------------------------


def test_coarsening_keeps_the_area_mean(tmp_path):
    rng = np.random.default_rng(3)
    path = files.netcdf(files.dataset(rng.normal(10, 2, (60, 8, 10))), tmp_path)
    full, coarse = (read(path, coarsen=n) for n in (1, 3))
    assert (coarse.grid.shape, coarse.coarsened) == ((3, 4), 3)
    fine, blocks = (np.average(x.values[3], weights=x.grid.cell_area) for x in (full, coarse))
    assert blocks == pytest.approx(fine, abs=1e-4)


def test_a_block_is_ocean_where_half_of_it_is_and_has_the_mean_of_its_ocean(tmp_path):
    full, coarse = (read(files.netcdf(files.dataset(), tmp_path), coarsen=n) for n in (1, 2))
    expected = np.ones((4, 5), dtype=bool)
    expected[0, 0] = False
    assert np.array_equal(coarse.ocean, expected)
    half = full.values[0, 6:8, 4:6]  # land in its northern row
    assert coarse.values[0, 3, 2] == pytest.approx(half[0].mean(), rel=1e-5)


def test_a_large_field_is_made_coarser_and_it_is_said(tmp_path):
    large = np.repeat(np.repeat(files.sea(30), 30, axis=1), 30, axis=2).astype("f4")
    lat, lon = np.linspace(10, 34, 240), np.linspace(100, 130, 300)
    path = files.netcdf(files.dataset(large, lat=lat, lon=lon), tmp_path)
    found = read(path, train_until=month("2002-12"))
    assert found.coarsened == 2
    assert any("--coarsen" in note for note in found.notes)


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.field.reading.MOST_VALUES", 1000)
    with pytest.raises(FieldTooLargeError, match="--coarsen"):
        read(files.netcdf(files.dataset(), tmp_path), coarsen=1)


def test_a_variable_too_large_to_hold_is_read_month_by_month(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.field.reading.HELD_VALUES", 100)
    same_as_plain(read(files.netcdf(files.dataset().transpose("lat", "time", "lon"), tmp_path)))


# --- stores ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_stores_are_read(tmp_path, version):
    files.dataset().to_zarr(tmp_path / "sea.zarr", zarr_format=version, consolidated=False)
    same_as_plain(read(tmp_path / "sea.zarr"))


def test_a_zipped_zarr_store_is_read_wherever_it_lies_in_the_archive(tmp_path):
    files.dataset().to_zarr(tmp_path / "sea.zarr", consolidated=False)
    for inside in ("", "deep/sea.zarr/"):
        with zipfile.ZipFile(tmp_path / "sea.zip", "w") as archive:
            for path in sorted((tmp_path / "sea.zarr").rglob("*")):
                if path.is_file():
                    archive.write(path, inside + str(path.relative_to(tmp_path / "sea.zarr")))
        same_as_plain(read(tmp_path / "sea.zip"))


def test_a_zarr_store_that_would_run_code_is_refused(tmp_path):
    import json

    files.dataset().to_zarr(tmp_path / "sea.zarr", zarr_format=2, consolidated=False)
    described = tmp_path / "sea.zarr" / "sst" / ".zarray"
    changed = json.loads(described.read_text()) | {"filters": [{"id": "pickle", "protocol": 5}]}
    described.write_text(json.dumps(changed))
    with pytest.raises(FieldFileError, match="code"):
        read(tmp_path / "sea.zarr")


def test_what_is_no_file_or_store_is_refused(tmp_path):
    with pytest.raises(FieldFileError, match="no such file"):
        read(tmp_path / "nothing.nc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FieldFileError, match="Zarr"):
        read(tmp_path / "empty")
    (tmp_path / "text.nc").write_text("This is no file of maps.")
    with pytest.raises(UnreadableFileError):
        read(tmp_path / "text.nc")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(FieldFileError):
        read(tmp_path / "broken.zip")


def test_the_variable_must_be_named_where_there_are_several(tmp_path):
    found = files.dataset()
    found["sss"] = found["sst"] + 20
    path = files.netcdf(found, tmp_path)
    with pytest.raises(FieldVariableError, match="sst, sss"):
        read(path)
    assert read(path, variable="sss").variable == "sss"
    with pytest.raises(FieldVariableError, match="sst, sss"):
        read(path, variable="chl")
    with pytest.raises(FieldVariableError, match="no field"):
        read(path, variable="time")


def test_real_temperatures_are_read(shared_data):
    found = read(
        shared_data / "tables" / "ersstv5_eastasia_2deg_201001_202008.nc",
        train_until=month("2016-12"),
    )
    assert found.grid.shape == (23, 23)
    assert 300 < found.ocean.sum() < 450
    assert 0 < found.values[:, found.ocean].mean() < 30


def test_files_of_xarray_with_its_own_encoding_are_read(tmp_path):
    found = xr.decode_cf(files.dataset())
    found.to_netcdf(tmp_path / "own.nc", engine="h5netcdf")
    same_as_plain(read(tmp_path / "own.nc"))
    found.to_zarr(tmp_path / "own.zarr", zarr_format=3, consolidated=False)
    same_as_plain(read(tmp_path / "own.zarr"))
