"""What an export is, what it is called, and how it gets to its place: whole or not at all."""

import enum
import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from storage.errors import TidenetError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Format(enum.StrEnum):
    """A format that other programs read."""

    NETCDF = "netcdf"
    GEOTIFF = "geotiff"
    PARQUET = "parquet"
    CSV = "csv"

    @property
    def is_table(self) -> bool:
        """Whether it holds rows of the archive, and not gridded fields."""
        return self in (Format.PARQUET, Format.CSV)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of files, one a lead."""
        return self is Format.GEOTIFF


class Rows(enum.StrEnum):
    """Rows of the archive that a table holds."""

    CELLS = "cells"
    REGIONS = "regions"


class TargetExistsError(TidenetError):
    """There is something already where an export is to be written."""


class UnwritableTargetError(TidenetError):
    """An export cannot be written where it is to go."""


def default_name(form: Format, rows: Rows, init_month: str, run_id: str) -> str:
    """Return what an export is called, such as ``fco2_2020-08_1b9d6bcd.nc``."""
    about = "_regions" if form.is_table and rows is Rows.REGIONS else ""
    ending = {"netcdf": ".nc", "geotiff": "", "parquet": ".parquet", "csv": ".csv"}[form]
    return f"fco2_{init_month}_{run_id[:8]}{about}{ending}"


def map_name(init_month: str, lead: int, valid_month: str) -> str:
    """Return what the map of one lead is called, such as ``fco2_2020-08_lead01_2020-09.tif``."""
    return f"fco2_{init_month}_lead{lead:02d}_{valid_month}.tif"


@contextmanager
def written_whole(target: Path, *, folder: bool, overwrite: bool) -> Iterator[Path]:
    """Give a path to write to, and move what was written to its place when all of it is there.

    Parameters
    ----------
    target
        Where the file or folder is to be. Its own folder exists.
    folder
        Whether it is a folder (which is there already when it is given).
    overwrite
        Whether it may take the place of an earlier export. Nothing else is ever replaced.

    Raises
    ------
    TargetExistsError
        If there is something that may not be replaced.
    UnwritableTargetError
        If it cannot be written: no folder, no permission, no space. Nothing is left behind then.
    """
    with _named(target), ExitStack() as cleanup:
        place = target.resolve()
        _refuse(place, folder, overwrite)
        work = Path(tempfile.mkdtemp(prefix=".writing-", dir=place.parent))
        cleanup.callback(shutil.rmtree, work, ignore_errors=True)
        new = work / "new"
        if folder:
            new.mkdir()
        yield new
        _refuse(place, folder, overwrite)
        if folder and place.exists():
            _exchange(new, place, work / "old")
        else:
            new.replace(place)


def _refuse(place: Path, folder: bool, overwrite: bool) -> None:
    """Raise unless something may be written here."""
    if not place.parent.is_dir():
        raise UnwritableTargetError(
            "There is no folder to write into.",
            found=f"no folder {place.parent}",
            remedy="Make it first, or name another place with --to.",
        )
    if not place.exists():
        return
    if place.is_dir() != folder:
        raise TargetExistsError(
            "What is there is of another kind, and is not replaced.",
            found=f"a {'folder' if place.is_dir() else 'file'} {place}",
            expected="nothing, or a folder of maps" if folder else "nothing, or a file",
            remedy="Name another place with --to.",
        )
    if not overwrite:
        raise TargetExistsError(
            "There is something here already.",
            found=str(place),
            remedy="Name another place with --to, or replace it with --overwrite.",
        )
    strange = [path.name for path in place.iterdir() if not _is_map(path)] if folder else []
    if strange:
        raise TargetExistsError(
            "The folder holds something other than exported maps, and is not replaced.",
            found=f"{', '.join(sorted(strange)[:5])} in {place}",
            remedy="Name another folder with --to.",
        )


def _is_map(path: Path) -> bool:
    """Return whether a file is an exported map, or what a viewer keeps beside one."""
    return path.match("fco2_*_lead??_*.tif") or path.match("fco2_*_lead??_*.tif.aux.xml")


def _exchange(new: Path, place: Path, aside: Path) -> None:
    """Put a new folder where an old one is; if that fails the old one stays."""
    place.rename(aside)
    try:
        new.rename(place)
    except BaseException:
        aside.rename(place)
        raise


@contextmanager
def _named(target: Path) -> Iterator[None]:
    """Turn what the file system says into an error for a person."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            remedy = "Free some space, or name a place on another disk with --to."
        elif isinstance(error, PermissionError) or error.errno == errno.EROFS:
            remedy = "Name a folder that this user may write to with --to."
        else:
            remedy = "Name another place with --to."
        raise UnwritableTargetError(
            f"The export cannot be written to {target}.",
            found=error.strerror or str(error),
            remedy=f"Nothing was left behind. {remedy}",
        ) from error
