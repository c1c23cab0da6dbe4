from itertools import permutations

import numpy as np
import pytest
from services import field_files as files
from services.field_files import is_placed, placed, read, same_as_plain

from ingest.field.errors import FieldAxesError, FieldVariableError
from ingest.field.grid import FieldGrid
from storage.grid import EARTH_RADIUS_M, Grid

# --- which variable -------------------------------------------------------------------------------


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


def test_bounds_maps_and_corners_are_no_fields(tmp_path):
    found = files.dataset()
    found["mask"] = ("lat", "lon"), files.ocean()
    found["time_bnds"] = ("time", "nv"), np.zeros((60, 2))
    found["vertices_latitude"] = ("lat", "lon", "vertices"), np.zeros((8, 10, 4))
    path = files.netcdf(found, tmp_path)
    assert read(path).variable == "sst"
    with pytest.raises(FieldVariableError, match="no field"):
        read(path, variable="mask")


def test_a_variable_in_a_group_is_found_by_its_own_name(tmp_path):
    files.dataset().to_netcdf(tmp_path / "field.nc", group="data", engine="h5netcdf")
    same_as_plain(read(tmp_path / "field.nc", variable="sst"))


# --- dimensions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_a_plain_file_is_read_as_it_is(tmp_path, kind):
    found = read(files.netcdf(files.dataset(), tmp_path, kind=kind))
    same_as_plain(found)
    assert (found.variable, found.units, found.notes) == ("sst", "degC", ())
    np.testing.assert_allclose(found.grid.lon, files.LON)


@pytest.mark.parametrize(
    "dims",
    [
        ("time", "latitude", "longitude"),
        ("t", "y", "x"),
        ("month", "nav_lat", "nav_lon"),
        ("TIME", "LAT", "LON"),
        ("time_counter", "Latitude", "Longitude"),
    ],
    ids=" ".join,
)
def test_dimensions_are_known_by_their_names(tmp_path, dims):
    found = files.dataset(dims=dims).transpose(*reversed(dims))
    for name in dims[1:]:
        found[name].attrs = {}
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_attributes_tell_dimensions_whatever_they_are_called(tmp_path):
    found = files.dataset(dims=("when", "up", "along")).transpose("along", "when", "up")
    found["up"].attrs = {"standard_name": "latitude"}
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_dimensions_without_telling_names_are_taken_in_the_usual_order(tmp_path):
    found = files.dataset(dims=("a", "b", "c"))
    for name in "bc":
        found[name].attrs = {}
    found = read(files.netcdf(found, tmp_path), first_month=files.FIRST)
    assert np.array_equal(found.ocean, files.ocean())


@pytest.mark.parametrize("order", list(permutations(("time", "lat", "lon"))), ids=" ".join)
def test_dimensions_may_come_in_any_order_and_with_single_levels(tmp_path, order):
    found = files.dataset().transpose(*order).expand_dims({"depth": [0.5]}, axis=1)
    found = found.expand_dims({"member": [1]})
    found["depth"].attrs = {"units": "m", "positive": "down"}
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_several_levels_are_refused(tmp_path):
    found = files.dataset().expand_dims({"depth": [0.5, 10.0]}, axis=1)
    found["depth"].attrs = {"positive": "down"}
    with pytest.raises(FieldAxesError, match="depth"):
        read(files.netcdf(found, tmp_path), variable="sst")
    with pytest.raises(FieldVariableError, match="depth"):
        read(files.netcdf(found, tmp_path))


@pytest.mark.parametrize("dim", ["time", "lat"])
def test_a_dimension_without_steps_is_refused(tmp_path, dim):
    found = files.dataset().isel({dim: slice(0, 0)})
    with pytest.raises(FieldAxesError, match=f"{dim} \\(0\\)"):
        read(files.netcdf(found, tmp_path))


# --- where cells lie ------------------------------------------------------------------------------


def test_rows_from_the_north_are_turned(tmp_path):
    turned = files.dataset(files.sea()[:, ::-1], lat=files.LAT[::-1])
    same_as_plain(read(files.netcdf(turned, tmp_path)))


@pytest.mark.parametrize("maps", [False, True], ids=["rows", "maps"])
def test_coordinates_may_have_other_names_than_the_dimensions(tmp_path, maps):
    found = files.dataset(dims=("time", "y", "x")).drop_vars(["y", "x"])
    lat, lon = np.meshgrid(files.LAT, files.LON, indexing="ij")
    found["nav_lat"] = (("y", "x"), lat) if maps else ("y", files.LAT)
    found["nav_lon"] = (("y", "x"), lon) if maps else ("x", files.LON)
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_a_grid_of_curved_rows_is_refused(tmp_path):
    found = files.dataset(dims=("time", "y", "x")).drop_vars(["y", "x"])
    lat, lon = np.meshgrid(files.LAT, files.LON, indexing="ij")
    found["nav_lat"] = ("y", "x"), lat + 0.3 * (lon - 140)
    found["nav_lon"] = ("y", "x"), lon
    with pytest.raises(FieldAxesError, match="straight"):
        read(files.netcdf(found, tmp_path))


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
def test_a_sea_stays_in_one_piece(tmp_path, west, written, sort):
    lon = written(west + 0.5 + np.arange(20))
    found = placed(lon=np.sort(lon) if sort else lon)
    found = read(files.netcdf(found, tmp_path), train_until=None)
    np.testing.assert_allclose(np.diff(found.grid.lon), 1.0)
    np.testing.assert_allclose((found.grid.lon[0] - west - 0.5 + 180) % 360 - 180, 0, atol=1e-6)
    is_placed(found)


@pytest.mark.parametrize("west", [0.0, -180.0])
def test_the_globe_stays_as_it_is(tmp_path, west):
    lon = west + np.arange(0, 360, 20.0)
    found = read(files.netcdf(placed(lon=lon), tmp_path), train_until=None)
    np.testing.assert_allclose(found.grid.lon, lon)
    is_placed(found)


def test_a_longitude_that_comes_round_again_is_taken_once(tmp_path):
    lon = np.arange(0.0, 361.0, 40.0)
    found = read(files.netcdf(files.dataset(lon=lon), tmp_path))
    assert found.grid.n_lon == 9
    assert found.grid.cell_area.sum() == pytest.approx(
        FieldGrid.around("g", files.LAT, np.arange(0.0, 360, 40)).cell_area.sum()
    )


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
def test_cells_of_any_shape_have_their_own_areas(lat, lon):
    grid = FieldGrid.around("f", lat, lon)
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
