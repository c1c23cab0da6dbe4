"""Gridded predictions: one immutable Zarr group for each forecast run.

A run is visible when it is whole, is never overwritten, and is known by the checksum that the
archive keeps beside its URL.
"""

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
from storage.publishing import AlreadyPublishedError, checksum, is_published, publish

MANTISSA_BITS = 12
# The metadata of the root group: without it there is no Zarr group.
MARKER = "zarr.json"
DEFAULT_PATIENCE = Patience()


class MissingFieldsError(TidenetError):
    """There are no complete fields at a URL."""


class CorruptFieldsError(TidenetError):
    """Stored fields are not what was written."""


class FieldsExistError(TidenetError):
    """A run was to be written where there is one."""


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
    encoding = {str(name): _encoding(array) for name, array in prepared.data_vars.items()}

    def fill(folder: Path) -> None:
        prepared.to_zarr(folder, mode="w", zarr_format=3, consolidated=False, encoding=encoding)

    try:
        sha256 = publish(location, patience, fill, MARKER)
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
