import json
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import xarray as xr
import zarr
from services import field_files as files
from services.field_files import read, same_as_plain

from ingest.errors import UnreadableFileError
from ingest.field.errors import FieldError, FieldFileError
from storage.errors import TidenetError
from storage.months import month


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("group", ["", "ocean"])
def test_zarr_stores_are_read(tmp_path, version, group):
    store = tmp_path / "sea.zarr"
    files.dataset().to_zarr(store, group=group, zarr_format=version, consolidated=False)
    same_as_plain(read(store, variable="sst"))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("inside", ["", "deep/sea.zarr/"])
def test_a_zipped_zarr_store_is_read_wherever_it_lies_in_the_archive(tmp_path, version, inside):
    store = tmp_path / "sea.zarr"
    files.dataset().to_zarr(store, zarr_format=version, consolidated=False)
    with zipfile.ZipFile(tmp_path / "sea.zip", "w") as archive:
        for path in sorted(store.rglob("*")):
            if path.is_file():
                archive.write(path, inside + str(path.relative_to(store)))
    same_as_plain(read(tmp_path / "sea.zip"))


MONTHS = files.FIRST + np.arange(files.N_MONTHS)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("time", [MONTHS.astype("M8[ns]"), MONTHS.astype("M8[D]")], ids=str)
def test_times_of_numpy_are_read(tmp_path, version, time):
    found = files.dataset()
    group = zarr.open_group(tmp_path / "sea.zarr", mode="w", zarr_format=version)
    for name in ("sst", "lat", "lon", "time"):
        values = time if name == "time" else found[name].values
        named = {"dimension_names": found[name].dims} if version == 3 else {}
        array = group.create_array(name, data=values, **named)
        array.attrs.update({"_ARRAY_DIMENSIONS": list(found[name].dims)} if version == 2 else {})
    same_as_plain(read(tmp_path / "sea.zarr"))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", ["U", "S", "O"])
def test_times_as_texts_are_read_from_a_store(tmp_path, version, kind):
    found = files.dataset(time=MONTHS.astype(str).astype(kind), units="")
    found.to_zarr(tmp_path / "sea.zarr", zarr_format=version, consolidated=False)
    same_as_plain(read(tmp_path / "sea.zarr"))


def test_a_zarr_store_that_would_run_code_is_refused(tmp_path):
    files.dataset().to_zarr(tmp_path / "sea.zarr", zarr_format=2, consolidated=False)
    described = tmp_path / "sea.zarr" / "sst" / ".zarray"
    changed = json.loads(described.read_text()) | {"filters": [{"id": "pickle", "protocol": 5}]}
    described.write_text(json.dumps(changed))
    with pytest.raises(FieldFileError, match="code"):
        read(tmp_path / "sea.zarr")


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    files.netcdf(files.dataset(), tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    same_as_plain(read("~/field.nc"))
    with pytest.raises(FieldFileError, match="~nobody-of-this-name"):
        read("~nobody-of-this-name/field.nc")


@pytest.mark.parametrize("address", ["ftp://host/sea.nc", "gs://box/sea.zarr", "dods://host/sea"])
def test_addresses_of_other_kinds_are_refused(address):
    with pytest.raises(FieldFileError, match="Download the file first"):
        read(address)


def test_many_files_are_to_be_merged_first(tmp_path):
    files.netcdf(files.dataset(), tmp_path)
    for several in (tmp_path, tmp_path / "*.nc"):
        with pytest.raises(FieldFileError, match="Merge"):
            read(several)


def test_what_is_no_file_or_store_is_refused(tmp_path):
    with pytest.raises(FieldFileError, match="no such file"):
        read(tmp_path / "nothing.nc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FieldFileError, match="Zarr"):
        read(tmp_path / "empty")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(FieldFileError):
        read(tmp_path / "broken.zip")


@pytest.mark.parametrize("content", [b"", b"lat,lon,flux\n", b"<html>no</html>", b"CDF\x01\0\0"])
def test_what_is_no_such_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "field.nc").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"field\.nc"):
        read(tmp_path / "field.nc")


def test_files_of_xarray_with_its_own_encoding_are_read(tmp_path):
    found = xr.decode_cf(files.dataset())
    found.to_netcdf(tmp_path / "own.nc", engine="h5netcdf")
    same_as_plain(read(tmp_path / "own.nc"))
    found.to_zarr(tmp_path / "own.zarr", zarr_format=3, consolidated=False)
    same_as_plain(read(tmp_path / "own.zarr"))


def test_real_temperatures_are_read(shared_data):
    path = shared_data / "tables" / "ersstv5_eastasia_2deg_201001_202008.nc"
    found = read(path, train_until=month("2016-12"))
    with xr.open_dataset(path) as dataset:
        sst = dataset["sst"].values
    assert (found.variable, found.units, str(found.first_month)) == ("sst", "degC", "2010-01")
    assert found.grid.shape == (23, 23) and len(found.values) == 128
    assert np.array_equal(found.ocean, np.isfinite(sst).all(axis=0))
    np.testing.assert_allclose(found.values[:, found.ocean], sst[:, found.ocean], atol=1e-5)


# --- from elsewhere -------------------------------------------------------------------------------


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args): ...


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serve a folder; return it and its address."""
    folder = tmp_path_factory.mktemp("served")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_file_is_read_from_its_url(served):
    folder, address = served
    files.netcdf(files.dataset(), folder)
    same_as_plain(read(f"{address}/field.nc"))


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("version", [2, 3])
def test_a_store_is_read_from_its_url(served, version):
    folder, address = served
    files.dataset().to_zarr(folder / f"v{version}.zarr", zarr_format=version, consolidated=True)
    same_as_plain(read(f"{address}/v{version}.zarr"))


def test_a_url_that_leads_nowhere_is_refused(served):
    for name in ("nothing.zarr", "nothing.nc"):
        with pytest.raises(TidenetError, match="nothing"):
            read(f"{served[1]}/{name}")


def test_what_the_library_of_a_remote_store_raises_is_said_by_name(monkeypatch):
    class EndpointError(Exception): ...

    def fails(*args, **kwargs):
        raise EndpointError("cannot connect")

    monkeypatch.setattr("zarr.open_group", fails)
    with pytest.raises(FieldError, match="cannot connect"):
        read("s3://bucket/sea.zarr")
