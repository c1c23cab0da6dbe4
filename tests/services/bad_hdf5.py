"""The part of the corpus of bad files that is made with h5py: what NetCDF writers never write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from services.bad_files import BY_CHECKS, GRID, SQUARE, TRUTH, Case, good

from ingest import errors
from storage.grid import Grid

Edit = Callable[[h5py.File], object]

CLAIMED = (1, 36_000, 36_000)
"""5 GB of single precision."""


def edited(edit: Edit) -> Callable[[Path, Grid], object]:
    """Write the good file and change it with h5py."""

    def write(path: Path, grid: Grid) -> None:
        good(grid).to_netcdf(path, engine="h5netcdf")
        with h5py.File(path, "r+") as file:
            edit(file)

    return write


def made(make: Callable[[h5py.File, Grid], object], **options: object) -> Callable:
    """Write a plain HDF5 file, without what NetCDF adds to it."""

    def write(path: Path, grid: Grid) -> None:
        with h5py.File(path, "w", **options) as file:
            make(file, grid)

    return write


def replaced(file: h5py.File, name: str, *, dims: bool = True, **options: object) -> h5py.Dataset:
    """Put another dataset in the place of one, with its attributes and dimensions."""
    old = file[name]
    attrs = {k: v for k, v in old.attrs.items() if k in ("units", "_FillValue")}
    scales = [scale.values() for scale in old.dims]
    labels = [next(iter(s)) for s in scales if len(s)]
    del file[name]
    new = file.create_dataset(name, **options)
    new.attrs.update(attrs)
    for axis, scale in enumerate(labels if dims else ()):
        new.dims[axis].attach_scale(scale)
    return new


def of_type(data: Callable[[np.ndarray], np.ndarray], dtype: object = None) -> Edit:
    """Store the values as another type."""

    def edit(file: h5py.File) -> None:
        raw = file["fco2"][...]
        replaced(file, "fco2", data=data(raw), dtype=dtype)

    return edit


def claims(name: str, shape: tuple[int, ...], **options: Any) -> Callable[[Path, Grid], object]:
    """Write a plain HDF5 file that claims a size of which not a byte is stored."""

    def make(file: h5py.File, grid: Grid) -> None:
        plain(file, grid)
        replaced(file, name, shape=shape, dtype="f4", **options)

    return made(make)


def plain(file: h5py.File, grid: Grid, *, axes: bool = True) -> None:
    """Fill a plain HDF5 file: no dimension has a name."""
    raw = good(grid)
    flux = file.create_dataset("fco2", data=raw["fco2"].values[0])
    flux.attrs["units"] = "mmol m-2 d-1"
    file.create_dataset("time", data=raw["time"].values).attrs["units"] = "days since 2000-01-01"
    if axes:
        file["lat"], file["lon"] = grid.lat, grid.lon


def filtered_by_nobody(file: h5py.File) -> None:
    """Store the values with a filter that is not installed."""
    raw = file["fco2"][...]
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk(raw.shape)
    creation.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple(raw.shape)
    del file["fco2"]
    dataset = h5py.h5d.create(file.id, b"fco2", h5py.h5t.IEEE_F32LE, space, creation)
    dataset.write_direct_chunk((0, 0, 0), raw.tobytes(), filter_mask=0)
    file["fco2"].attrs["units"] = "mmol m-2 d-1"
    for axis, name in enumerate(("time", "lat", "lon")):
        file["fco2"].dims[axis].attach_scale(file[name])


def written_in_part(file: h5py.File) -> None:
    """Store the southern half, and leave out the pieces of the northern one."""
    raw = file["fco2"][...]
    half = raw.shape[1] // 2
    new = replaced(file, "fco2", shape=raw.shape, dtype="f4", chunks=(1, half, raw.shape[2]))
    new[:, :half] = raw[:, :half]


def stored_elsewhere(file: h5py.File) -> None:
    """Let the values be the bytes of a file of this machine."""
    external = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    shape = file["fco2"].shape
    replaced(file, "fco2", shape=shape, dtype="f4", external=external)


def virtual(file: h5py.File) -> None:
    """Let the values be a view of another file."""
    shape = file["fco2"].shape
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource("other.h5", "fco2", shape)
    units = file["fco2"].attrs["units"]
    del file["fco2"]
    file.create_virtual_dataset("fco2", layout).attrs["units"] = units


def linked_elsewhere(path: Path, grid: Grid) -> None:
    """Write a file whose flux is a link to that of a good file beside it."""
    good(grid).to_netcdf(path.with_name("beside.nc"), engine="h5netcdf")
    edited(lambda file: relinked(file, h5py.ExternalLink("beside.nc", "/fco2")))(path, grid)


def relinked(file: h5py.File, link: object) -> None:
    """Put a link in the place of the flux."""
    del file["fco2"]
    file["fco2"] = link


def renamed(file: h5py.File, name: str, link: object) -> None:
    """Give the flux another name, and put a link to that in its place."""
    file.move("fco2", name)
    file["fco2"] = link


def in_circles(file: h5py.File) -> None:
    """Link groups to each other, so that there are endless ways through them."""
    groups = [file.create_group(f"group{number}") for number in range(20)]
    for group in groups:
        for number, other in enumerate(groups):
            group[f"link{number}"] = other


def in_circles_softly(file: h5py.File) -> None:
    """Do so with links by name."""
    for number in range(60):
        file[f"loop{number}"] = h5py.SoftLink("/")


def deep(file: h5py.File) -> None:
    """Add groups in groups in groups."""
    file.create_group("/".join(["deeper"] * 300))


def many(n: int) -> Edit:
    """Add variables."""

    def edit(file: h5py.File) -> None:
        for number in range(n):
            file.create_dataset(f"extra{number}", (), dtype="i1")

    return edit


def aliased(file: h5py.File) -> None:
    """Give a variable thousands of names."""
    for number in range(5_001):
        file[f"name{number}"] = file["lat"]


def attribute(name: str, value: object, dtype: object = None) -> Edit:
    """Give the flux an attribute as it could not be given through NetCDF."""

    def edit(file: h5py.File) -> None:
        file["fco2"].attrs.create(name, value, dtype=dtype)

    return edit


def fixed_text(value: bytes) -> np.ndarray:
    """Return bytes that are called text."""
    return np.array(value, dtype=f"S{len(value)}")


def of_five_gigabytes(file: h5py.File, grid: Grid) -> None:
    """Claim coordinates and values of many gigabytes that fit each other."""
    file["time"] = good(grid)["time"].values
    file["time"].attrs["units"] = "days since 2000-01-01"
    file.create_dataset("lat", (1_300_000_000,), "f4")
    file.create_dataset("lon", (1_200_000_000,), "f4")
    file.create_dataset("fco2", (1_300_000_000, 1_200_000_000), "f4")
    file["fco2"].attrs["units"] = "mmol m-2 d-1"


def gigantic_units(file: h5py.File, grid: Grid) -> None:
    """Store a list of millions as the units."""
    plain(file, grid)
    file["fco2"].attrs["units"] = np.zeros(2_000_000)


_PAIR = np.dtype([("flux", "f4"), ("flag", "i1")])

_IMPLIED: dict[str, object] = {"rows": "south-first"}

HDF5: dict[str, Case] = {
    "plain": Case(made(plain), TRUTH),
    "plain, square: which axis is which?": Case(made(plain), errors.InvalidEncodingError, SQUARE),
    "plain, without coordinates": Case(
        made(lambda f, g: plain(f, g, axes=False)), errors.VariableNotFoundError),
    "plain, rows as declared": Case(made(lambda f, g: plain(f, g, axes=False)), TRUTH, _IMPLIED),
    "a user block before the beginning": Case(
        made(plain, userblock_size=512), errors.UnreadableFileError),
    "the newest layout": Case(made(plain, libver="latest"), TRUTH),
    "no variables": Case(made(lambda f, g: None), errors.InvalidTimeError),
    "double precision": Case(edited(of_type(lambda x: x, "f8")), TRUTH),
    "bytes swapped": Case(edited(of_type(lambda x: x, ">f4")), TRUTH),
    "text for values": Case(
        edited(of_type(lambda x: x.astype("S8"))), errors.InvalidEncodingError),
    "text of any length for values": Case(
        edited(of_type(lambda x: x.astype(str).astype(object), h5py.string_dtype())),
        errors.InvalidEncodingError),
    "complex values": Case(
        edited(of_type(lambda x: x.astype("c8"))), errors.InvalidEncodingError),
    "pairs for values": Case(
        edited(of_type(lambda x: np.zeros(x.shape, _PAIR))), errors.InvalidEncodingError),
    "yes and no for values": Case(edited(of_type(lambda x: x > -10)), BY_CHECKS),
    "words by number for values": Case(
        edited(of_type(lambda x: x > -10, h5py.enum_dtype({"LAND": 0, "SEA": 1}, "i1"))),
        BY_CHECKS),
    "lists for values": Case(
        edited(lambda f: replaced(f, "fco2", shape=(1, *GRID.shape), dtype=h5py.vlen_dtype("f4"))),
        errors.InvalidEncodingError),
    "references for values": Case(
        edited(lambda f: replaced(f, "fco2", shape=(1, *GRID.shape), dtype=h5py.ref_dtype)),
        errors.InvalidEncodingError),
    "opaque bytes for values": Case(
        edited(lambda f: replaced(f, "fco2", shape=(1, *GRID.shape), dtype="V4")),
        errors.InvalidEncodingError),
    "no space for values": Case(
        edited(lambda f: replaced(f, "fco2", dims=False, data=h5py.Empty("f4"))),
        errors.InvalidEncodingError),
    "values of 5 GB": Case(claims("fco2", CLAIMED), errors.InvalidEncodingError),
    "values of 5 GB, rows declared": Case(
        claims("fco2", CLAIMED), errors.FileTooLargeError, _IMPLIED),
    "a latitude of 5 GB": Case(
        claims("lat", (1_300_000_000,)), errors.InvalidEncodingError),
    "a latitude and values of 5 GB": Case(
        made(lambda f, g: of_five_gigabytes(f, g)), errors.FileTooLargeError),
    "a time of 5 GB": Case(claims("time", (1_300_000_000,)), errors.ManyTimesError),
    "pieces of 3 GB": Case(
        claims("fco2", (1, 16, 14), maxshape=(1, None, None), chunks=(1, 28_000, 28_000)),
        errors.FileTooLargeError),
    "no times, unlimited": Case(
        claims("time", (0,), maxshape=(None,)), errors.ManyTimesError),
    "values written in part": Case(edited(written_in_part), errors.UnreadableFileError),
    "a filter that is not installed": Case(
        edited(filtered_by_nobody), errors.UnreadableFileError),
    "values in a file of this machine": Case(
        edited(stored_elsewhere), errors.UnreadableFileError),
    "values in another product file": Case(edited(virtual), errors.UnreadableFileError),
    "a link into another file": Case(linked_elsewhere, errors.UnreadableFileError),
    "a link into another file, unused": Case(
        edited(lambda f: f.__setitem__("more", h5py.ExternalLink("/etc/passwd", "/"))),
        errors.UnreadableFileError),
    "a link inside the file": Case(
        edited(lambda f: renamed(f, "kept", h5py.SoftLink("/kept"))), TRUTH),
    "a link to nothing": Case(
        edited(lambda f: relinked(f, h5py.SoftLink("/nothing"))), errors.UnreadableFileError),
    "a link to itself": Case(
        edited(lambda f: relinked(f, h5py.SoftLink("/fco2"))), errors.UnreadableFileError),
    "groups in circles": Case(edited(in_circles), TRUTH),
    "groups in circles by name": Case(edited(in_circles_softly), TRUTH),
    "groups 300 deep": Case(edited(deep), TRUTH),
    "hundreds of variables": Case(edited(many(300)), TRUTH),
    "thousands of names of one variable": Case(
        edited(aliased), errors.FileTooLargeError),
    "thousands of variables": Case(edited(many(5_001)), errors.FileTooLargeError),
    "a gigantic history": Case(edited(attribute("history", "x" * 5_000_000)), TRUTH),
    "a gigantic list in units": Case(
        made(lambda f, g: gigantic_units(f, g), libver="latest"), errors.InvalidEncodingError),
    "units in Latin-1": Case(
        edited(attribute("units", fixed_text(b"\xb5mol m-2 d-1"))), errors.UnitsError),
    "units in Latin-1 that say UTF-8": Case(
        edited(attribute("units", b"\xb5mol m-2 d-1", h5py.string_dtype())), errors.UnitsError),
    "units of no length": Case(
        edited(attribute("units", h5py.Empty("S1"))), errors.MissingUnitsError),
    "units that are a number": Case(edited(attribute("units", 7.0)), errors.UnitsError),
    "units that are a reference": Case(
        edited(lambda f: f["fco2"].attrs.create("units", f.ref, dtype=h5py.ref_dtype)),
        errors.InvalidEncodingError),
    "a scale of two numbers in one": Case(
        edited(attribute("scale_factor", np.zeros((), _PAIR))), errors.InvalidEncodingError),
    "a scale that is complex": Case(
        edited(attribute("scale_factor", 1j)), errors.InvalidEncodingError),
}  # fmt: skip
