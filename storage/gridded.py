"""Gridded predictions: one immutable Zarr group for each forecast run.

A run is visible when it is whole, is never overwritten, and is known by the checksum that the
archive keeps beside its URL.
"""

import datetime as dt
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr.errors
from zarr.codecs import BloscCodec

from storage.errors import TidenetError
from storage.locations import Location, Patience, storage_errors
from storage.month_checks import rounded
from storage.publishing import (
    AlreadyPublishedError,
    checksum,
    folder_checksum,
    is_published,
    publish,
)

MANTISSA_BITS = 12
# The metadata of the root group: without it there is no Zarr group.
MARKER = "zarr.json"
DEFAULT_PATIENCE = Patience()
_LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class MissingFieldsError(TidenetError):
    """There are no complete fields at a URL."""


class CorruptFieldsError(TidenetError):
    """Stored fields are not what was written."""


class FieldsExistError(TidenetError):
    """A run was to be written where there is one."""


FIELD_ERRORS = (
    MissingFieldsError,
    CorruptFieldsError,
    # What reading a damaged chunk raises, as late as its values are used.
    RuntimeError,
    ValueError,
    zarr.errors.BaseZarrError,
)
"""What tells that the fields of a run are gone or damaged, not that their store is."""


@dataclass(frozen=True)
class StoredFields:
    """Where the fields of a run are.

    Parameters
    ----------
    uri
        Their URL, without credentials.
    sha256
        Hexadecimal digest over the names and bytes of all objects.
    """

    uri: str
    sha256: str


@dataclass(frozen=True)
class StoredGroup:
    """A group of fields that lies in the store, whether a run refers to it or not.

    Parameters
    ----------
    url
        Where.
    whole
        Whether it was written to its end.
    changed_at
        When something of it was written last (aware, UTC).
    n_bytes
        Its size.
    """

    url: str
    whole: bool
    changed_at: dt.datetime
    n_bytes: int


def write_run(
    url: str | Path, dataset: xr.Dataset, patience: Patience = DEFAULT_PATIENCE
) -> StoredFields:
    """Write the fields of a run, once.

    Parameters
    ----------
    url
        The run's own folder or ``s3://`` prefix. Nobody else writes there.
    dataset
        Variables (..., lat, lon), with their CF attributes. float32 values are rounded to 12
        mantissa bits (relative error at most 1.2e-4).
    patience
        How long to wait for the store.

    Raises
    ------
    FieldsExistError
        If there are fields already.
    StoreUnavailableError
        If the place cannot be written to; nothing is visible there then.
    """
    location = Location.parse(url)
    prepared = _rounded(dataset)
    try:
        sha256 = publish(location, patience, lambda folder: _fill(folder, prepared), MARKER)
    except AlreadyPublishedError as error:
        raise FieldsExistError(
            "There are fields of a run already; runs are never overwritten.",
            found=location.url,
            expected="an unused URL",
            remedy="Give the rerun a new run id.",
        ) from error
    return StoredFields(location.url, sha256)


def read_run(uri: str | Path, patience: Patience = DEFAULT_PATIENCE) -> xr.Dataset:
    """Open the fields of a run. Values are read when they are used.

    Raises
    ------
    MissingFieldsError
        If there are none, or they were never completed.
    CorruptFieldsError
        If what is there cannot be read as fields.
    StoreUnavailableError
        If the place cannot be reached.
    """
    location = _existing(uri, patience)
    options = None if location.is_local else location.storage_options(patience)
    kinds = (ValueError, KeyError, TypeError, zarr.errors.BaseZarrError)
    with storage_errors(location, "read"):
        try:
            return xr.open_zarr(
                location.url, chunks=None, consolidated=False, storage_options=options
            )
        except (FileNotFoundError, *kinds) as error:
            raise _corrupt(location, found=f"{type(error).__name__}: {error}") from error


def verify_run(uri: str | Path, sha256: str, patience: Patience = DEFAULT_PATIENCE) -> None:
    """Compare the stored fields of a run with their checksum.

    Raises
    ------
    MissingFieldsError
        If there are none, or they were never completed.
    CorruptFieldsError
        If an object was changed, added or removed since they were written.
    """
    location = _existing(uri, patience)
    found = checksum(location, patience)
    if found != sha256:
        raise _corrupt(location, found=f"SHA-256 {found}", expected=f"SHA-256 {sha256}")


def as_stored(dataset: xr.Dataset) -> xr.Dataset:
    """Return fields with the precision that they are stored with."""
    return _rounded(dataset)


def digest(dataset: xr.Dataset) -> str:
    """Return the checksum that the fields of a run would have, without keeping them anywhere."""
    with tempfile.TemporaryDirectory(prefix="tidenet-") as folder:
        _fill(Path(folder), _rounded(dataset))
        return folder_checksum(Path(folder))


def stored_runs(url: str | Path, patience: Patience = DEFAULT_PATIENCE) -> tuple[StoredGroup, ...]:
    """Return every group of fields below a URL, whole or not, and what writers left, by URL.

    Raises
    ------
    StoreUnavailableError
        If the place cannot be read.
    """
    location = Location.parse(url)
    filesystem = location.filesystem(patience)
    found = []
    with storage_errors(location, "read"):
        for pattern in ("*/*.zarr", "*/.writing-*"):
            for path in filesystem.glob(f"{location.path}/{pattern}"):
                group = Location(location.scheme, path.rstrip("/"))
                files = filesystem.find(group.path, detail=True).values()
                found.append(
                    StoredGroup(
                        url=group.url,
                        whole=any(f["name"].endswith(f"{path}/{MARKER}") for f in files),
                        changed_at=max((_changed_at(f) for f in files), default=_LONG_AGO),
                        n_bytes=sum(int(f["size"] or 0) for f in files),
                    )
                )
    return tuple(sorted(found, key=lambda group: group.url))


def remove_run(url: str, patience: Patience = DEFAULT_PATIENCE) -> None:
    """Remove a group of fields that no run refers to; the marker goes first."""
    location = Location.parse(url)
    filesystem = location.filesystem(patience)
    with storage_errors(location, "removed"):
        if filesystem.exists(f"{location.path}/{MARKER}"):
            filesystem.rm_file(f"{location.path}/{MARKER}")
        filesystem.rm(location.path, recursive=True)


def _changed_at(file: Mapping[str, Any]) -> dt.datetime:
    """Return when a file was written last, as its filesystem tells."""
    said = file.get("LastModified") or file.get("mtime") or 0
    return said if isinstance(said, dt.datetime) else dt.datetime.fromtimestamp(said, dt.UTC)


def _existing(uri: str | Path, patience: Patience) -> Location:
    location = Location.parse(uri)
    if not is_published(location, patience, MARKER):
        raise MissingFieldsError(
            "There are no complete fields here.",
            found=f"nothing complete at {location.url}",
            expected="the fields of one forecast run",
            remedy="Check TIDENET_PREDICTIONS; if the fields are lost, make the forecast again.",
        )
    return location


def _corrupt(location: Location, found: str, expected: str = "") -> CorruptFieldsError:
    return CorruptFieldsError(
        f"The fields at {location.url} are damaged.",
        found=found,
        expected=expected,
        remedy="Restore them from their last copy, or make the forecast again as a new run.",
    )


def _fill(folder: Path, prepared: xr.Dataset) -> None:
    encoding = {str(name): _encoding(array) for name, array in prepared.data_vars.items()}
    prepared.to_zarr(folder, mode="w", zarr_format=3, consolidated=False, encoding=encoding)


def _rounded(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset with float32 rounded and no encoding left from where it was read."""
    changed = dataset.drop_encoding()
    for name, array in dataset.data_vars.items():
        if array.dtype == np.float32:
            changed[name] = changed[name].copy(data=rounded(array.values, MANTISSA_BITS))
    return changed


def _encoding(array: xr.DataArray) -> dict[str, Any]:
    """One chunk a field: a map of one lead and one quantile is one read."""
    if array.ndim == 0:
        return {}
    lengths = array.shape[-2:]
    chunks = (1,) * (array.ndim - len(lengths)) + tuple(max(1, n) for n in lengths)
    compressor = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")
    return {"chunks": chunks, "compressors": [compressor]}
