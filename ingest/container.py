"""Opening a product file: its variables as they lie in it, undecoded, and nothing executed.

NetCDF-4 and plain HDF5 are read with h5netcdf, NetCDF-3 with scipy, both in a process of their own.
What a file claims to hold is looked at before a byte of it is read: a small file may claim a size
that no machine has.
"""

import math
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ingest.errors import (
    FileTooLargeError,
    InvalidEncodingError,
    RefusedFileError,
    UnreadableFileError,
)
from ingest.isolated import CPU_SECONDS, IsolatedError, Process, lent

LARGEST_CELLS = 50_000_000
"""A map of 1 km over East Asia has 3 million cells, of 4 km over the globe 37 million."""
LARGEST_AXIS = 100_000
"""Coordinates along one axis."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NETCDF3 = (b"CDF\x01", b"CDF\x02")
_KINDS = {
    b"CDF\x05": "a NetCDF-3 file with 64-bit data",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x0e\x03\x13\x01": "an HDF4 file",
    b"GRIB": "a GRIB file",
    b"%PDF": "a PDF document",
    b"\x80\x04": "a Python pickle, which is never loaded",
    b"\x80\x05": "a Python pickle, which is never loaded",
}


@dataclass(frozen=True)
class RawVariable:
    """A variable as it lies in a file.

    Parameters
    ----------
    name
        Its name, with groups before it.
    dims, shape
        Names and sizes of its dimensions.
    dtype
        Its type in the file.
    attributes
        Its attributes: text as str, numbers as numpy values.
    read
        Reads the values; an index may be given.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    attributes: Mapping[str, Any]
    _read: Callable[[Any], np.ndarray]

    @property
    def size(self) -> int:
        """Number of values that it claims to hold."""
        return math.prod(self.shape)

    def values(self, index: Any = ..., most: int = LARGEST_CELLS) -> np.ndarray:
        """Return the values, or part of them.

        Parameters
        ----------
        index
            A position or a slice of step 1 along each dimension; an ellipsis for everything.
        most
            How many values it may be.

        Raises
        ------
        FileTooLargeError
            If it claims to hold more.
        InvalidEncodingError
            If they are no numbers.
        UnreadableFileError
            If they are damaged.
        """
        wanted = self.size
        if isinstance(index, tuple):
            lengths = zip(index, self.shape, strict=True)
            wanted = math.prod(
                len(range(*i.indices(n))) for i, n in lengths if isinstance(i, slice)
            )
        self._refuse_more_than(most, wanted)
        if self.dtype.kind not in "fiub":
            raise InvalidEncodingError(
                f"The variable {self.name} holds no numbers.",
                found=f"type {self.dtype}",
                expected="floating point or integers",
                remedy="Name the right variable in the product specification.",
            )
        return self._read(index)

    def texts(self) -> list[str]:
        """Return values that are texts; of characters, those along the last dimension make one.

        Raises
        ------
        FileTooLargeError
            If it claims to hold more than an axis has.
        InvalidEncodingError
            If they are no texts.
        UnreadableFileError
            If they are damaged.
        """
        self._refuse_more_than(LARGEST_AXIS * 64, self.size)
        values: Any = np.asarray(self._read(...)) if self.dtype.kind in "SUOT" else np.empty(0)
        if self.dtype == np.dtype("S1") and values.ndim > 1:
            values = np.ascontiguousarray(values).view(f"S{values.shape[-1]}")
        texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values.flat]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise InvalidEncodingError(
                f"The variable {self.name} holds no texts.",
                found=f"type {self.dtype}",
                expected="texts",
                remedy="Ask the provider for a correct file.",
            )
        return [text.strip(" \0") for text in texts]

    def _refuse_more_than(self, most: int, wanted: int) -> None:
        if wanted > most:
            raise FileTooLargeError(
                f"The variable {self.name} claims to be far larger than it can be.",
                found=f"shape {self.shape}",
                expected=f"at most {most} values",
                remedy="Ask the provider for a correct file.",
            )


@dataclass(frozen=True)
class Container:
    """An opened file.

    Parameters
    ----------
    variables
        Its variables by name, those of HDF5 groups with the groups' names before them.
    attributes
        Its global attributes.
    """

    variables: Mapping[str, RawVariable]
    attributes: Mapping[str, Any]


@contextmanager
def opened(path: Path, *, cpu_seconds: int = CPU_SECONDS) -> Iterator[Container]:
    """Open a NetCDF or HDF5 file for reading.

    Parameters
    ----------
    path
        The file.
    cpu_seconds
        Processor time after which reading it is given up.

    Raises
    ------
    UnreadableFileError
        If it is no whole file of these kinds; the message says what it looks like.
    FileTooLargeError
        If it claims to hold more than any product.
    """
    head = beginning(path)
    kind = "hdf5" if head.startswith(_HDF5) else "netcdf3"
    if not head.startswith((_HDF5, *_NETCDF3)):
        raise _unreadable(path, head, "its first bytes are those of no such file")
    with lent() as process:
        try:
            held = process.open(path, kind, cpu_seconds)
        except IsolatedError as error:
            raise _refusal(path, head, error) from error
        yield Container(
            {
                described["name"]: _variable(process, number, described)
                for number, described in enumerate(held["variables"])
            },
            _Attributes(path.name, held["attributes"]),
        )


def beginning(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises
    ------
    UnreadableFileError
        If it is not there, is no plain file (a folder, a pipe), or may not be read.
    """
    try:
        # Opening a pipe would wait for somebody who writes into it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("not a plain file")
        with path.open("rb") as file:
            return file.read(512)
    except (OSError, ValueError) as error:
        raise UnreadableFileError(
            f"{path.name} cannot be opened.",
            found=_one_line(error),
            expected="a plain file that this user may read",
            remedy="Put the file itself there, readable for the user that runs this.",
        ) from error


def _variable(process: Process, number: int, described: Mapping[str, Any]) -> RawVariable:
    name = described["name"]

    def read(index: Any) -> np.ndarray:
        positions = None if index is ... else [_position(i) for i in index]
        try:
            return process.values(number, positions)
        except IsolatedError as error:
            raise UnreadableFileError(
                f"The values of {name} cannot be read.",
                found=_one_line(error),
                expected="whole data",
                remedy="Fetch the file again; if it is the same, ask the provider.",
            ) from error

    return RawVariable(
        name=name,
        dims=tuple(described["dims"]),
        shape=tuple(described["shape"]),
        dtype=np.dtype(described["dtype"]),
        attributes=_Attributes(name, described["attributes"]),
        _read=read,
    )


def _position(index: int | slice) -> int | list[int | None] | None:
    """Return a part of an index as JSON has it: a position, first and end, or None for all."""
    if isinstance(index, int):
        return index
    return None if index == slice(None) else [index.start, index.stop]


class _Attributes(Mapping[str, Any]):
    """Attributes by name. One that is there and cannot be read is refused when it is asked for."""

    def __init__(self, owner: str, plain: Mapping[str, Any]) -> None:
        self._owner = owner
        self._plain = plain

    def __getitem__(self, key: str) -> Any:
        value = self._plain[key]
        if not isinstance(value, dict):
            return value
        if "unreadable" in value:
            raise InvalidEncodingError(
                f"The attribute {key} of {self._owner} cannot be read.",
                found=value["unreadable"][:200],
                expected="a short text, or numbers",
                remedy="Ask the provider for a correct file.",
            )
        if "texts" in value:
            return np.array(value["texts"], dtype=np.str_)
        return np.array(value["values"], dtype=value["dtype"]).reshape(value["shape"])[()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)


def _refusal(path: Path, head: bytes, error: IsolatedError) -> RefusedFileError:
    if error.kind == "large":
        return FileTooLargeError(
            f"{path.name} claims to hold more than any product.",
            found=_one_line(error),
            expected="maps of a month, a year or a record",
            remedy="Ask the provider for a correct file.",
        )
    if error.kind == "elsewhere":
        return UnreadableFileError(
            f"{path.name} does not hold its own data.",
            found=_one_line(error),
            expected="a file that is complete by itself; nothing outside it is read",
            remedy="Ask the provider for a file without links into other files.",
        )
    return _unreadable(path, head, _one_line(error))


def _unreadable(path: Path, head: bytes, why: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"{path.name} cannot be read.",
        found=f"{_looks_like(head)}, {path.stat().st_size} bytes ({why})",
        expected="a whole NetCDF or HDF5 file",
        remedy="Fetch it again; if it is the same, ask the provider.",
    )


def _looks_like(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head.startswith(_HDF5):
        return "a NetCDF-4 (HDF5) file that is damaged or cut off"
    if head.startswith(_NETCDF3):
        return "a NetCDF-3 file that is damaged or cut off"
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            return kind
    if re.match(rb"\s*(<!doctype html|<html|<\?xml)", head, re.IGNORECASE):
        return "a web page, as servers send it instead of a file (a login or an error)"
    return f"bytes that begin with {head[:8]!r}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
