"""Exported fields: other programs read the same numbers, at the same place, with their origin."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.crs import CRS
from services.small_loop import GRID, NOW, World
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.operations.export import export
from flows.operations.export_files import Format, TargetExistsError, UnwritableTargetError
from flows.operations.forecast import forecast
from storage.gridded import CorruptFieldsError, MissingFieldsError, read_run

FIELDS = (Format.NETCDF, Format.GEOTIFF)
LEADS = range(1, 7)
VALID = [np.datetime64("2015-06") + lead for lead in LEADS]
BANDS = ("mean", "spread", "q05", "q25", "q50", "q75", "q95", "climatology", "damped_persistence")


@pytest.fixture(scope="module")
def made(trained_template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with one run; nothing in it is changed."""
    world = trained_template.copied_to(tmp_path_factory.mktemp("export") / "home")
    forecast(world.workspace)
    return world


@pytest.fixture
def stored(made: World) -> xr.Dataset:
    [(url,)] = made.rows("SELECT fields_url FROM forecast_runs")
    return read_run(url).load()


@pytest.fixture
def netcdf(made: World, tmp_path: Path) -> Path:
    [path] = export(made.workspace, form=Format.NETCDF, to=tmp_path / "run.nc")
    return path


@pytest.fixture
def maps(made: World, tmp_path: Path) -> list[Path]:
    return list(export(made.workspace, form=Format.GEOTIFF, to=tmp_path / "maps"))


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def provenance(world: World) -> dict[str, str]:
    """Return what the archive says of its run, and every export has to say."""
    columns = "run_id, model_version, weights_sha256, snapshot_id, fields_sha256, issued_kind"
    [row] = world.rows(f"SELECT {columns}, code_version, CAST(seed AS TEXT) FROM lineage")
    names = (*columns.split(", "), "code_version", "seed")
    created_at = {"created_at": NOW.isoformat(), "degraded": "false", "init_month": "2015-06"}
    return dict(zip(names, row, strict=True)) | created_at


# --- NetCDF ---------------------------------------------------------------------------------------


def test_netcdf_holds_every_field_unchanged(netcdf: Path, stored: xr.Dataset) -> None:
    with xr.open_dataset(netcdf) as read:
        for name, field in stored.data_vars.items():
            assert read[name].dims == field.dims
            np.testing.assert_array_equal(read[name].values, field.values)
            assert read[name].attrs["units"] == "mmol m-2 d-1"
            assert read[name].attrs["standard_name"] == "surface_upward_mole_flux_of_carbon_dioxide"
            assert read[name].attrs["cell_methods"].startswith("area: mean")
            assert np.isnan(read[name].encoding["_FillValue"])
        np.testing.assert_array_equal(read["quantile"], stored["quantile"])
        assert np.isfinite(read["fco2_mean"]).any()
        assert np.isnan(read["fco2_mean"].sel(lead=1, lat=29.75, lon=120.25))


def test_netcdf_says_when(netcdf: Path) -> None:
    with xr.open_dataset(netcdf) as read:
        assert read["lead"].values.tolist() == list(LEADS)
        assert read["time"].values.astype("datetime64[M]").tolist() == [m.tolist() for m in VALID]
        assert read["time_bnds"].values[0].astype("datetime64[D]").astype(str).tolist() == [
            "2015-07-01",
            "2015-08-01",
        ]
        assert str(read["forecast_reference_time"].values)[:10] == "2015-06-01"
        since = read["time"].values - read["forecast_reference_time"].values
        np.testing.assert_array_equal(
            read["forecast_period"].values, since // np.timedelta64(1, "D")
        )
        assert {"time", "forecast_period"} <= set(read["fco2"].coords)


def test_netcdf_says_where(netcdf: Path) -> None:
    with xr.open_dataset(netcdf) as read:
        for axis, values, bounds in (
            ("lat", GRID.lat, GRID.lat_bounds),
            ("lon", GRID.lon, GRID.lon_bounds),
        ):
            np.testing.assert_array_equal(read[axis], values)
            np.testing.assert_array_equal(read[f"{axis}_bnds"], bounds)
        np.testing.assert_allclose(read["cell_area"], GRID.cell_area)
        crs = read["crs"].attrs
        assert CRS.from_wkt(crs["crs_wkt"]).to_epsg() == 4326
        assert crs["grid_mapping_name"] == "latitude_longitude"


def test_netcdf_names_nothing_that_is_not_there(netcdf: Path) -> None:
    naming = ("coordinates", "bounds", "grid_mapping", "ancillary_variables")
    with h5py.File(netcdf) as file:
        for name, variable in file.items():
            attributes = dict(variable.attrs)
            named = " ".join(str(attributes.get(key, "")) for key in naming).split()
            named += str(attributes.get("cell_measures", "")).split()[1:]
            assert set(named) <= set(file), name
        assert file["fco2_mean"].attrs["ancillary_variables"] == "fco2_spread"
        assert (file["fco2"].compression, file["fco2"].shuffle) == ("gzip", True)


def test_netcdf_says_where_it_comes_from(netcdf: Path, made: World) -> None:
    with xr.open_dataset(netcdf) as read:
        assert provenance(made).items() <= read.attrs.items()
        assert read.attrs["Conventions"] == "CF-1.11"
        assert "institution" not in read.attrs
        for name in ("title", "source", "history", "references"):
            assert read.attrs[name]


# --- GeoTIFF --------------------------------------------------------------------------------------


def test_there_is_a_map_of_every_lead(maps: list[Path], tmp_path: Path) -> None:
    names = [f"fco2_2015-06_lead{lead:02d}_{of}.tif" for lead, of in zip(LEADS, VALID, strict=True)]
    assert [path.name for path in maps] == names
    assert left_in(tmp_path / "maps") == names
    assert left_in(tmp_path) == ["maps"]


def test_maps_hold_the_fields_unchanged_north_up(maps: list[Path], stored: xr.Dataset) -> None:
    for lead, path in zip(LEADS, maps, strict=True):
        month = stored.sel(lead=lead)
        quantiles = {
            f"q{name}": month["fco2"].sel(quantile=int(name) / 100)
            for name in ("05", "25", "50", "75", "95")
        }
        fields = {
            **quantiles,
            "mean": month["fco2_mean"],
            "spread": month["fco2_spread"],
            "climatology": month["climatology"],
            "damped_persistence": month["damped_persistence"],
        }
        with rasterio.open(path) as image:
            assert image.descriptions == BANDS
            assert set(image.units) == {"mmol m-2 d-1"}
            for name, band in zip(BANDS, image.read(), strict=True):
                np.testing.assert_array_equal(band[::-1], fields[name].values, err_msg=name)


def test_a_map_finds_a_place(maps: list[Path], stored: xr.Dataset) -> None:
    lon, lat = 125.6, 26.9
    with rasterio.open(maps[0]) as image:
        assert image.crs.to_epsg() == 4326
        assert image.bounds == (120, 25, 127, 33)
        assert np.isnan(image.nodata)
        [found] = image.sample([(lon, lat)])
        [land] = image.sample([(120.2, 29.9)])
    expected = stored["fco2_mean"].sel(lead=1).sel(lat=lat, lon=lon, method="nearest")
    assert found[0] == expected.values
    assert np.isnan(land).all()


def test_a_map_is_cloud_optimised_and_says_where_it_comes_from(
    maps: list[Path], made: World
) -> None:
    with rasterio.open(maps[2]) as image:
        assert image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (image.profile["tiled"], image.profile["compress"]) == (True, "deflate")
        said = provenance(made) | {"lead_months": "3", "valid_month": "2015-09"}
        assert said.items() <= image.tags().items()


# --- whole or not at all --------------------------------------------------------------------------


@pytest.mark.parametrize("form", Format)
def test_what_is_there_is_replaced_only_when_asked_for(
    made: World, tmp_path: Path, form: Format
) -> None:
    target = tmp_path / "target"
    first = export(made.workspace, form=form, to=target)
    first[0].write_bytes(b"precious")
    with pytest.raises(TargetExistsError, match="--overwrite"):
        export(made.workspace, form=form, to=target)
    assert first[0].read_bytes() == b"precious"
    assert export(made.workspace, form=form, to=target, overwrite=True) == first
    assert first[0].read_bytes() != b"precious"
    assert left_in(tmp_path) == ["target"]


@pytest.mark.parametrize("form", Format)
def test_an_interrupted_export_leaves_nothing_and_the_earlier_one(
    made: World, tmp_path: Path, form: Format
) -> None:
    def interrupt(done: int, total: int, detail: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    target = tmp_path / "target"
    with pytest.raises(KeyboardInterrupt):
        export(made.workspace, form=form, to=target, progress=interrupt)
    assert left_in(tmp_path) == []
    before = [path.read_bytes() for path in export(made.workspace, form=form, to=target)]
    with pytest.raises(KeyboardInterrupt):
        export(made.workspace, form=form, to=target, overwrite=True, progress=interrupt)
    paths = sorted(target.iterdir()) if target.is_dir() else [target]
    assert [path.read_bytes() for path in paths] == before
    assert left_in(tmp_path) == ["target"]


@pytest.mark.parametrize("form", Format)
def test_a_full_disk_is_named_and_nothing_is_left(
    made: World, small_disk: Path, form: Format
) -> None:
    state = os.statvfs(small_disk)
    spare = 4 * state.f_frsize
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (state.f_bavail * state.f_frsize - spare))
    with pytest.raises(UnwritableTargetError, match=r"No space left.*Free some space"):
        export(made.workspace, form=form, to=small_disk / "target")
    assert left_in(small_disk) == ["ballast"]


def test_the_earlier_maps_stay_if_the_new_ones_cannot_take_their_place(
    made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    target = tmp_path / "target"
    before = export(made.workspace, form=Format.GEOTIFF, to=target)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(UnwritableTargetError, match="Input/output error"):
        export(made.workspace, form=Format.GEOTIFF, to=target, overwrite=True)
    assert left_in(target) == [path.name for path in before]
    assert left_in(tmp_path) == ["target"]


def no_folder(tmp_path: Path) -> Path:
    return tmp_path / "no" / "such" / "target"


def no_permission(tmp_path: Path) -> Path:
    if os.geteuid() == 0:
        return Path("/sys/target")
    (tmp_path / "locked").mkdir(mode=0o500)
    return tmp_path / "locked" / "target"


def below_a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    return tmp_path / "file" / "target"


@pytest.mark.parametrize("place", [no_folder, no_permission, below_a_file])
def test_a_place_that_cannot_be_written_to_is_named(
    made: World, tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    with pytest.raises(UnwritableTargetError, match="--to"):
        export(made.workspace, form=Format.CSV, to=place(tmp_path))


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_export_is_never_replaced(made: World, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").touch()
    for form, name in (
        (Format.NETCDF, "folder"),
        (Format.GEOTIFF, "folder"),
        (Format.GEOTIFF, "file"),
    ):
        with pytest.raises(TargetExistsError):
            export(made.workspace, form=form, to=tmp_path / name, overwrite=overwrite)
    assert left_in(tmp_path / "folder") == ["thesis.tex"]


# --- fields that are gone -------------------------------------------------------------------------


@pytest.mark.parametrize("form", FIELDS)
def test_missing_and_damaged_fields_are_named(trained: World, tmp_path: Path, form: Format) -> None:
    forecast(trained.workspace)
    [(url,)] = trained.rows("SELECT fields_url FROM forecast_runs")
    chunk = next(path for path in sorted(Path(url).rglob("c/*")) if path.is_file())
    chunk.write_bytes(b"garbage")
    with pytest.raises(CorruptFieldsError, match="SHA-256"):
        export(trained.workspace, form=form, to=tmp_path / "target")
    shutil.rmtree(url)
    with pytest.raises(MissingFieldsError):
        export(trained.workspace, form=form, to=tmp_path / "target")
    assert not (tmp_path / "target").exists()
    assert export(trained.workspace, form=Format.CSV, to=tmp_path / "rows.csv")


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def tidenet_export(world: World, *arguments: str) -> Result:
    result = CliRunner().invoke(app, ["--home", str(world.home), "export", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_command_prints_every_path_that_it_wrote(made: World, here: Path) -> None:
    [(run_id,)] = made.rows("SELECT run_id FROM runs")
    named = f"fco2_2015-06_{run_id[:8]}"
    for arguments, names in (
        (("--format", "netcdf"), [f"{named}.nc"]),
        (("latest", "--format", "parquet"), [f"{named}.parquet"]),
        ((run_id[:4], "--format", "csv"), [f"{named}.csv"]),
        ((run_id, "--format", "csv", "--what", "regions"), [f"{named}_regions.csv"]),
        (
            ("--format", "geotiff"),
            [
                f"{named}/fco2_2015-06_lead{k:02d}_{m}.tif"
                for k, m in zip(LEADS, VALID, strict=True)
            ],
        ),
        (("--format", "geotiff", "--to", "m", "--overwrite"), None),
    ):
        done = tidenet_export(made, *arguments)
        assert done.exit_code == 0, done.output
        written = done.stdout.splitlines()
        assert written == (names or written)
        assert all((here / path).is_file() for path in written)


@pytest.mark.parametrize(
    "arguments",
    [(), ("--format", "shapefile"), ("--format", "netcdf", "--what", "cells")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(made: World, here: Path, arguments: tuple[str, ...]) -> None:
    assert tidenet_export(made, *arguments).exit_code == 2
    assert left_in(here) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("0000none", "--format", "csv"), "UnknownRunError"),
        (("--format", "netcdf", "--to", "no/such/folder.nc"), "UnwritableTargetError"),
        (("--format", "netcdf", "--to", "."), "TargetExistsError"),
    ],
    ids=str,
)
def test_errors_are_named(made: World, here: Path, arguments: tuple[str, ...], error: str) -> None:
    done = tidenet_export(made, *arguments)
    assert done.exit_code == 1
    assert error in done.output
    assert "what to do" in done.output
    assert left_in(here) == []
