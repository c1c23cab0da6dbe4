"""The part of the corpus of bad files that is about bytes, NetCDF-3 and the file system."""

import bz2
import gzip
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np
from services.bad_files import TRUTH, Case, good, stored

from ingest import errors
from storage.grid import Grid


def checksummed(path: Path, grid: Grid) -> Path:
    """Write a good file whose values and coordinates carry checksums.

    A flipped bit in values without a checksum is a value like any other: nobody could see it.
    """
    small: dict[str, object] = {"fletcher32": True, "zlib": True}
    encoding: dict[Hashable, Any] = {
        "fco2": small | {"chunksizes": (1, 8, 7)},
        "lat": small | {"chunksizes": (grid.n_lat,)},
        "lon": small | {"chunksizes": (grid.n_lon,)},
        "time": small | {"chunksizes": (1,)},
    }
    good(grid).to_netcdf(path, engine="h5netcdf", encoding=encoding)
    return path


def damaged(change: Callable[[bytearray], bytes | bytearray]) -> Callable[[Path, Grid], object]:
    """Write the good file with checksums, its bytes changed."""

    def write(path: Path, grid: Grid) -> None:
        whole = bytearray(checksummed(path, grid).read_bytes())
        path.write_bytes(change(whole))

    return write


def flipped(*where: bytes, after: int = 0, bits: int = 0xFF) -> Callable[[bytearray], bytearray]:
    """Flip a byte behind the first place where any of these bytes are."""

    def change(whole: bytearray) -> bytearray:
        place = next(found for found in map(whole.find, where) if found >= 0)
        whole[place + after] ^= bits
        return whole

    return change


def endless(whole: bytearray) -> bytearray:
    """Make the last object of the first heap zero bytes long: HDF5 reads it for ever."""
    heap = whole.find(b"GCOL")
    size = int.from_bytes(whole[heap + 8 : heap + 16], "little")
    place = heap + 16
    while place < heap + size and int.from_bytes(whole[place : place + 2], "little"):
        length = int.from_bytes(whole[place + 8 : place + 16], "little")
        place += 16 + -(-length // 8) * 8
    whole[place + 8 : place + 16] = bytes(8)
    return whole


def damaged_at_random(whole: bytes, seed: int) -> bytes:
    """Flip bits in one byte or in three, or cut the end off."""
    rng = np.random.default_rng(seed)
    if seed % 4 == 3:
        return whole[: rng.integers(0, len(whole))]
    changed = bytearray(whole)
    for _ in range(3 if seed % 4 == 2 else 1):
        changed[rng.integers(0, len(whole))] ^= rng.integers(1, 256)
    return bytes(changed)


def content(of: bytes) -> Callable[[Path, Grid], object]:
    """Write bytes that are no product file."""
    return lambda path, _: path.write_bytes(of)


def wrapped(wrap: Callable[[bytes], bytes]) -> Callable[[Path, Grid], object]:
    """Write the good file inside another format."""
    return lambda path, grid: path.write_bytes(wrap(checksummed(path, grid).read_bytes()))


def zipped(inner: bytes) -> bytes:
    """Return a zip archive with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("FLUX_201801.nc", inner)
    return buffer.getvalue()


def netcdf3(change: Callable[[bytearray], bytes | bytearray]) -> Callable[[Path, Grid], object]:
    """Write a good NetCDF-3 file, its bytes changed."""

    def write(path: Path, grid: Grid) -> None:
        good(grid).to_netcdf(path, engine="scipy")
        path.write_bytes(change(bytearray(path.read_bytes())))

    return write


def with_length(name: bytes, length: int) -> Callable[[bytearray], bytearray]:
    """Change the length that the header of a NetCDF-3 file gives a dimension."""

    def change(whole: bytearray) -> bytearray:
        place = whole.find(struct.pack(">i", len(name)) + name)
        place += 4 + len(name) + -len(name) % 4
        whole[place : place + 4] = struct.pack(">I", length)
        return whole

    return change


def pipe(path: Path, _: Grid) -> None:
    """Put a pipe into which nobody writes."""
    os.mkfifo(path)


def unreadable(path: Path, grid: Grid) -> None:
    """Write a file that nobody may read."""
    checksummed(path, grid).chmod(0)


BYTES: dict[str, Case] = {
    "good, with checksums": Case(damaged(lambda b: b), TRUTH),
    "garbage behind the end": Case(damaged(lambda b: b + b"garbage" * 999), TRUTH),
    "garbage before the beginning": Case(
        damaged(lambda b: b"\r\n\r\n" + b), errors.UnreadableFileError),
    "half of it": Case(damaged(lambda b: b[: len(b) // 2]), errors.UnreadableFileError),
    "all but the last byte": Case(damaged(lambda b: b[:-1]), errors.UnreadableFileError),
    "the second half lost to zeros": Case(
        damaged(lambda b: b[: len(b) // 2] + bytes(len(b) // 2)), errors.UnreadableFileError),
    "line ends changed on the way": Case(
        damaged(lambda b: b.replace(b"\r\n", b"\n")), errors.UnreadableFileError),
    "damage in the superblock": Case(
        damaged(flipped(b"\x89HDF", after=13)), errors.UnreadableFileError),
    "damage in a B-tree": Case(damaged(flipped(b"TREE", after=5)), errors.UnreadableFileError),
    "damage in a compressed piece": Case(
        damaged(flipped(b"\x78\x5e", b"\x78\x9c", after=9)), errors.UnreadableFileError),
    "an empty file": Case(content(b""), errors.UnreadableFileError),
    "one byte": Case(content(b"\x89"), errors.UnreadableFileError),
    "only the first bytes": Case(content(b"\x89HDF\r\n\x1a\n"), errors.UnreadableFileError),
    "zeros": Case(content(bytes(5000)), errors.UnreadableFileError),
    "a web page": Case(
        content(b"<!DOCTYPE html><html>Please log in</html>"), errors.UnreadableFileError),
    "a zip archive": Case(wrapped(zipped), errors.UnreadableFileError),
    "gzip": Case(wrapped(gzip.compress), errors.UnreadableFileError),
    "bzip2": Case(wrapped(bz2.compress), errors.UnreadableFileError),
    "a pickle": Case(wrapped(pickle.dumps), errors.UnreadableFileError),
    "a folder": Case(lambda path, _: path.mkdir(), errors.UnreadableFileError),
    "a link to nowhere": Case(
        lambda path, _: path.symlink_to("nowhere.nc"), errors.UnreadableFileError),
    "a pipe": Case(pipe, errors.UnreadableFileError),
    "no permission": Case(unreadable, errors.UnreadableFileError),
}  # fmt: skip

NETCDF3: dict[str, Case] = {
    "good": Case(netcdf3(lambda b: b), TRUTH),
    "64-bit offsets": Case(stored(lambda d: d, engine="scipy", format="NETCDF3_64BIT"), TRUTH),
    "garbage behind the end": Case(netcdf3(lambda b: b + b"garbage"), TRUTH),
    "half of it": Case(netcdf3(lambda b: b[: len(b) // 2]), errors.UnreadableFileError),
    "all but the last value": Case(netcdf3(lambda b: b[:-4]), errors.UnreadableFileError),
    "64-bit data": Case(netcdf3(lambda b: b"CDF\x05" + b[4:]), errors.UnreadableFileError),
    "a claim of 5 GB": Case(
        netcdf3(with_length(b"lat", 100_000_000)), errors.UnreadableFileError),
    "a negative length": Case(
        netcdf3(with_length(b"lat", 2**32 - 16)), errors.UnreadableFileError),
    "two billion dimensions": Case(
        netcdf3(lambda b: b[:12] + struct.pack(">i", 2**31 - 1) + b[16:]),
        errors.UnreadableFileError),
    "two billion records": Case(
        netcdf3(lambda b: b[:4] + struct.pack(">i", 2**31 - 1) + with_length(b"time", 0)(b)[8:]),
        errors.UnreadableFileError),
    "rows called columns": Case(
        netcdf3(lambda b: b.replace(b"lat\0", b"xxx\0").replace(b"lon\0", b"lat\0").replace(
            b"xxx\0", b"lon\0")), errors.GridMismatchError),
}  # fmt: skip
