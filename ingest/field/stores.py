"""Opening a file or store that somebody has: NetCDF, HDF5 or Zarr, local or remote, never executed.

NetCDF and HDF5 are read in a process of their own (`ingest.container`). Zarr is read here, chunk by
chunk, with codecs that only unpack numbers.
"""

import base64
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.container import Container, RawVariable, beginning, opened
from ingest.field.errors import FieldFileError

if TYPE_CHECKING:
    import zarr

CPU_SECONDS = 1800
"""Processor time for one file; many compressed months take minutes."""

_DEEPEST_GROUP = 4
_ZIP = b"PK"
_EXECUTING = ("pickle",)
"""Codecs that run code which lies in the data."""

_NETCDF = (".nc", ".nc4", ".h5", ".cdf")
_MERGE = "Merge them first: cdo mergetime *.nc all.nc, or xarray's open_mfdataset and to_netcdf."
_REMEDY = "Give a NetCDF file (.nc), or a Zarr store: a folder, a .zip of one, or its URL."


@contextmanager
def opened_store(source: str, *, timeout_s: float = 60.0, attempts: int = 3) -> Iterator[Container]:
    """Open a NetCDF file or Zarr store for reading.

    Parameters
    ----------
    source
        Path or ``http(s)://`` or ``s3://`` URL of a file, or of a Zarr store.
    timeout_s, attempts
        How long to wait for a remote file, and how often to try.

    Raises
    ------
    FieldFileError
        If it is no Zarr store, or one with code in it.
    UnreadableFileError, FileTooLargeError
        If it is no NetCDF or HDF5 file either, or a damaged one.
    SourceUnavailableError
        If a remote file cannot be had.
    """
    from ingest.sources.addresses import is_http, is_local, public_url

    address = source.strip()
    if not (is_local(address) or is_http(address) or address.startswith("s3://")):
        raise FieldFileError(
            "Files are not fetched from addresses of this kind.",
            found=public_url(address),
            expected="a path of this machine, or an http(s):// or s3:// URL",
            remedy="Download the file first, and give its path.",
        )
    if is_local(address):
        with _opened_path(_local_path(address)) as container:
            yield container
    elif _looks_like_file(address):
        with tempfile.TemporaryDirectory(prefix="tidenet-field-") as folder:
            path = _downloaded(address, Path(folder), timeout_s, attempts)
            with _opened_path(path) as container:
                yield container
    else:
        yield _zarr_container(_remote_store(address), public_url(address))


def _local_path(address: str) -> Path:
    """Return a path as a shell would: ``~`` is the home folder, if there is such a user."""
    path = Path(address.removeprefix("file://"))
    try:
        return path.expanduser()
    except RuntimeError:
        return path


@contextmanager
def _opened_path(path: Path) -> Iterator[Container]:
    if not path.exists():
        raise FieldFileError(
            "There is no such file or store.",
            found=str(path),
            expected="a file or folder",
            remedy=_MERGE if "*" in path.name else _REMEDY,
        )
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix.lower() in _NETCDF]
        if files:
            raise FieldFileError(
                "A field is read from one file.",
                found=f"{path}, a folder with {len(files)} NetCDF files",
                expected="one file with all months, or a Zarr store",
                remedy=_MERGE,
            )
        yield _zarr_container(str(path), path.name or str(path.absolute()))
    elif beginning(path).startswith(_ZIP):
        with _zip_store(path) as (store, group):
            yield _zarr_container(store, path.name, group)
    else:
        with opened(path, cpu_seconds=CPU_SECONDS) as container:
            yield container


def _looks_like_file(address: str) -> bool:
    name = address.partition("?")[0].rstrip("/").rsplit("/", 1)[-1].lower()
    return not name.endswith(".zarr") and "." in name


def _downloaded(address: str, folder: Path, timeout_s: float, attempts: int) -> Path:
    from ingest.sources.addresses import file_name_of, public_url
    from ingest.sources.downloads import Downloads
    from ingest.sources.listing import ProductFile

    downloads = Downloads(folder, timeout_s=timeout_s, attempts=attempts)
    public = public_url(address)
    return downloads.fetch(ProductFile(public, file_name_of(public), None, 0), address).path


def _remote_store(address: str) -> Any:
    from zarr.storage import FsspecStore

    return FsspecStore.from_url(address, read_only=True)


@contextmanager
def _zip_store(path: Path) -> Iterator[tuple[Any, str]]:
    """Open a zip archive, and say in which of its folders the store lies."""
    import zipfile

    from zarr.storage import ZipStore

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise _no_store(path.name, error) from error
    roots = [n.rpartition("/")[0] for n in names if n.rsplit("/", 1)[-1] in _ROOT_FILES]
    store = ZipStore(path, mode="r")
    try:
        yield store, min(roots, key=len, default="")
    finally:
        store.close()


_ROOT_FILES = ("zarr.json", ".zgroup", ".zmetadata")


def _zarr_container(store: Any, name: str, group: str = "") -> Container:
    import zarr

    try:
        root = zarr.open_group(store, mode="r", path=group or None)
        members = root.members(max_depth=_DEEPEST_GROUP)
        arrays = [(key, found) for key, found in members if isinstance(found, zarr.Array)]
        variables = {key: _zarr_variable(key, array) for key, array in arrays}
    except FieldFileError:
        raise
    except Exception as error:
        # Each library of a remote store has errors of its own.
        raise _no_store(name, error) from error
    return Container(variables, dict(root.attrs))


def _zarr_variable(name: str, array: "zarr.Array[Any]") -> RawVariable:
    _refuse_code(name, array)
    attributes = {k: _plain(v) for k, v in array.attrs.items() if k != "_ARRAY_DIMENSIONS"}
    dims = getattr(array.metadata, "dimension_names", None)
    dims = dims or array.attrs.get("_ARRAY_DIMENSIONS")
    if not isinstance(dims, list | tuple) or len(dims) != array.ndim:
        dims = [f"{name}_{n}" for n in range(array.ndim)]
    dims = tuple(str(dim) for dim in dims)
    if array.metadata.zarr_format == 2 and array.fill_value is not None:
        # In version 2 the fill value of the array is that of the convention.
        attributes.setdefault("_FillValue", np.asarray(array.fill_value)[()])
    elif isinstance(fill := attributes.get("_FillValue"), str):
        attributes["_FillValue"] = _decoded_fill(name, fill)

    dtype = np.dtype(array.dtype)
    is_time = dtype.kind == "M"
    if is_time:
        attributes |= {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}
        attributes["_FillValue"] = np.datetime64("NaT").astype(np.int64)

    def read(index: Any) -> np.ndarray:
        try:
            values = np.asarray(array[index])
        except Exception as error:
            raise _no_store(name, error) from error
        return values.astype("M8[s]").astype(np.int64) if is_time else values

    return RawVariable(
        name, dims, array.shape, np.dtype(np.int64) if is_time else dtype, attributes, read
    )


def _refuse_code(name: str, array: "zarr.Array[Any]") -> None:
    """Refuse an array whose codecs would run code that lies in its data.

    Raises
    ------
    FieldFileError
        If it has one.
    """
    stated = str(array.metadata.to_dict()).lower()
    if any(word in stated for word in _EXECUTING) or array.dtype.kind == "O":
        raise FieldFileError(
            f"The array {name} holds objects; reading them could run code, and it was not read.",
            found=f"type {array.dtype}",
            expected="numbers",
            remedy="Ask its author for a store of plain numbers.",
        )


def _plain(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(v, int | float) for v in value):
        return np.asarray(value)
    return value if isinstance(value, str | Mapping) else np.asarray(value)[()]


def _decoded_fill(name: str, text: str) -> float:
    """Return a fill value as xarray writes it into version 3: a double in base64, or a word."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        (value,) = struct.unpack("<d", base64.b64decode(text, validate=True))
        return float(value)
    except (ValueError, struct.error) as error:
        raise FieldFileError(
            f"The _FillValue of {name} cannot be understood.",
            found=repr(text)[:100],
            expected="a number",
            remedy="Write the store again with a recent xarray.",
        ) from error


def _no_store(name: str, error: Exception) -> FieldFileError:
    from ingest.sources.addresses import reason

    return FieldFileError(
        f"{name} cannot be read as a Zarr store.",
        found=reason(error),
        expected="a Zarr group of version 2 or 3",
        remedy=_REMEDY,
    )
