"""What lies in NetCDF and HDF5 files, read by the libraries that know them.

These functions run in the process of their own that `ingest.isolated` starts: on damaged bytes the
libraries were seen to run without end, and nothing that they do then reaches the caller.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

MOST_OBJECTS = 5_000
"""Groups and variables that a file may hold: a year of daily variables, many times over."""

_LARGEST_CHUNK_BYTES = 400_000_000
_LARGEST_ATTRIBUTE_BYTES = 1_000_000
_LONGEST_TEXT = 10_000
_DEEPEST_GROUP = 4


class ClaimsTooMuchError(Exception):
    """The file claims to hold more than a product file can."""


class PointsElsewhereError(Exception):
    """The file has parts that lie in other files of this machine."""


@dataclass(frozen=True)
class StoredVariable:
    """A variable of an opened file.

    Parameters
    ----------
    name
        Its name, with groups before it.
    dims, shape, dtype
        Its dimensions and its type; ``object`` for a type that numpy does not have.
    attributes
        Its attributes; an exception in place of a value that cannot be read.
    values
        Takes an index and gives the values.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    attributes: Mapping[str, Any]
    values: Any


def open_hdf5(path: Path, stack: ExitStack) -> tuple[list[StoredVariable], dict[str, Any]]:
    """Open a NetCDF-4 or plain HDF5 file; return its variables and its global attributes.

    Raises
    ------
    ClaimsTooMuchError, PointsElsewhereError
        If it holds more than any product, or parts of it lie in other files.
    Exception
        Whatever the library raises on damaged bytes.
    """
    import h5netcdf
    import h5py

    hdf5 = stack.enter_context(h5py.File(path, "r"))
    _refuse_what_no_product_has(hdf5)
    # Plain HDF5 has no dimensions by name; each axis gets one of its own.
    options = {"phony_dims": "access", "decode_vlen_strings": True}
    file = stack.enter_context(h5netcdf.File(hdf5, "r", **options))
    variables = []
    for group, prefix in _groups(file, hdf5, "", set()):
        for name, variable in group.variables.items():
            stored = hdf5[prefix + name]
            variables.append(
                StoredVariable(
                    name=prefix + name,
                    dims=tuple(str(dim) for dim in variable.dimensions),
                    shape=tuple(int(length) for length in variable.shape),
                    dtype=_dtype(variable),
                    attributes=_attributes(variable.attrs, stored.attrs),
                    values=partial(_whole_values, variable, stored),
                )
            )
    return variables, _attributes(file.attrs, hdf5.attrs)


def open_netcdf3(path: Path, stack: ExitStack) -> tuple[list[StoredVariable], dict[str, Any]]:
    """Open a NetCDF-3 file; return its variables and its global attributes.

    Raises
    ------
    Exception
        Whatever the library raises on damaged bytes.
    """
    from scipy.io import netcdf_file

    file = stack.enter_context(netcdf_file(path, "r", mmap=False))
    variables = [
        StoredVariable(
            name=name,
            dims=tuple(variable.dimensions),
            shape=tuple(int(length) for length in variable.shape),
            dtype=np.dtype(variable.data.dtype),
            attributes=_short(variable._attributes),
            values=variable.data.__getitem__,
        )
        for name, variable in file.variables.items()
    ]
    return variables, _short(file._attributes)


def _refuse_what_no_product_has(hdf5: Any) -> None:
    """Look at every object of an HDF5 file before anything follows its links or reads its data."""
    import h5py

    seen: set[int] = set()
    waiting = [hdf5]
    links = 0
    while waiting:
        group = waiting.pop()
        links += len(group)
        if links > MOST_OBJECTS:
            raise ClaimsTooMuchError(f"more than {MOST_OBJECTS} groups and variables")
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                # Its target, if it has one in this file, is reached by its own name.
                continue
            if not isinstance(link, h5py.HardLink):
                raise PointsElsewhereError(f"{name} is a link into another file")
            found = group[name]
            if _is_new(found, seen) and isinstance(found, h5py.Group):
                waiting.append(found)
            elif isinstance(found, h5py.Dataset):
                _refuse_dataset(found)


def _whole_values(variable: Any, stored: Any, index: Any) -> np.ndarray:
    """Return values of an HDF5 variable, if every piece that they lie in is there.

    HDF5 gives fill values for a piece that its index does not have, be it lost or never written.
    """
    if stored.chunks:
        where = index if isinstance(index, tuple) else (slice(None),) * len(stored.shape)
        sized = zip(where, stored.shape, stored.chunks, strict=True)
        first = [range(0, n, c) if isinstance(i, slice) else (i // c * c,) for i, n, c in sized]
        for place in itertools.product(*first):
            # Raises where there is no such piece; asking for its address finds it all the same.
            stored.id.read_direct_chunk(place)
    return variable[index]


def _is_new(found: Any, seen: set[int]) -> bool:
    """Return whether an object of an HDF5 file was not seen yet; links may lead to it again."""
    import h5py

    address = h5py.h5o.get_info(found.id).addr
    new = address not in seen
    seen.add(address)
    return new


def _refuse_dataset(dataset: Any) -> None:
    if dataset.is_virtual or dataset.external:
        raise PointsElsewhereError(f"the values of {dataset.name} lie in other files")
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if chunk > _LARGEST_CHUNK_BYTES:
        raise ClaimsTooMuchError(f"{dataset.name} is stored in pieces of {chunk} bytes")


def _groups(group: Any, hdf5: Any, prefix: str, seen: set[int]) -> Iterator[tuple[Any, str]]:
    """Return a group and those in it, each once and with its path, to a reasonable depth."""
    yield group, prefix
    if prefix.count("/") < _DEEPEST_GROUP:
        for name in group.groups:
            inner = f"{prefix}{name}/"
            if _is_new(hdf5[inner], seen):
                yield from _groups(group.groups[name], hdf5, inner, seen)


def _dtype(variable: Any) -> np.dtype:
    try:
        return np.dtype(variable.dtype)
    except TypeError:
        # An enumeration or a type of the file's own.
        return np.dtype(object)


def _attributes(attributes: Mapping[str, Any], stored: Any) -> dict[str, Any]:
    """Return attributes of an HDF5 object; an exception where one cannot be read."""
    kept: dict[str, Any] = {}
    for key in list(attributes):
        try:
            claimed = stored.get_id(key)
            if math.prod(claimed.shape or ()) * claimed.dtype.itemsize > _LARGEST_ATTRIBUTE_BYTES:
                raise ValueError(f"it claims the shape {claimed.shape}")
            kept[key] = attributes[key]
        except Exception as error:
            kept[key] = error
    return _short(kept)


def _short(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes with an exception in place of a text that says more than it can mean."""
    kept: dict[str, Any] = {}
    for key, value in attributes.items():
        long = isinstance(value, str | bytes) and len(value) > _LONGEST_TEXT
        kept[str(key)] = ValueError(f"a text of {len(value)} characters") if long else value
    return kept
