"""The EOF bases that gaps are filled with, kept beside the record.

They lie in the record's repository on a branch of their own: the record's data versions do not move
when a basis is refreshed, and its readers never see one. Each refresh is one commit, whose snapshot
id is the name of the basis; older ones stay readable under theirs.

Values are rounded before they are written, as the record's are: 12 mantissa bits for climatology
and patterns, 7 for the variance of what they leave.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from storage.eof_basis import EofBasis, RankScore
from storage.errors import TidenetError
from storage.grid import Grid
from storage.icechunk_repository import Conflict, Repository, Snapshot
from storage.locations import Location, Patience
from storage.month_checks import rounded
from storage.months import Month, month
from storage.record_errors import ConcurrentWriteError, RecordMismatchError, RecordNotFoundError
from storage.record_months import array_of, values_of
from storage.record_template import FLUX_UNITS, RecordTemplate

BRANCH = "completion-basis"
BASIS_FORMAT = "carbon-ecs-completion-basis/1"

_PATTERN_BITS = 12
_VARIANCE_BITS = 7
_COMPRESSOR = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")
_TRIES = 5


class DamagedBasisError(TidenetError):
    """A stored basis is not what was saved."""


@dataclass(frozen=True)
class BasisEntry:
    """One stored basis, without its arrays.

    Parameters
    ----------
    id
        Its name.
    first_month, last_month
        Span of the months that it was fitted on.
    rank
        Number of modes.
    content_hash
        See `storage.eof_basis.EofBasis.content_hash`.
    """

    id: str
    first_month: Month
    last_month: Month
    rank: int
    content_hash: str


def save_basis(record_url: str | Path, basis: EofBasis, patience: Patience) -> str:
    """Keep a basis beside the record and return its id.

    A basis with the content of the newest one is not written again.

    Raises
    ------
    RecordMismatchError
        If its grid or mask is not the record's.
    RecordNotFoundError
        If there is no record.
    ConcurrentWriteError
        If other writers did not let this one through.
    StoreUnavailableError
        If the store cannot be written. It is then as before.
    """
    repository = Repository.open(Location.parse(record_url), patience)
    _require_fit(repository, basis)
    kept = at_stored_precision(basis)
    with repository.writing():
        for _ in range(_TRIES):
            try:
                return _commit(repository, kept)
            except Conflict:
                continue
    raise ConcurrentWriteError(
        "The basis was not saved: other writers were quicker each time.",
        found=f"{_TRIES} lost tries at {repository.location.url}",
        remedy="Refresh it again when the others have ended.",
    )


def list_bases(record_url: str | Path, patience: Patience) -> list[BasisEntry]:
    """Return the stored bases, newest first.

    Raises
    ------
    RecordNotFoundError
        If there is no record.
    StoreUnavailableError
        If it cannot be read.
    """
    return list(_entries(Repository.open(Location.parse(record_url), patience)))


def load_basis(
    record_url: str | Path,
    patience: Patience,
    basis_id: str | None = None,
    *,
    before: Month | None = None,
) -> EofBasis | None:
    """Return a stored basis; None if there is none to choose from.

    Parameters
    ----------
    record_url
        The record.
    patience
        How long to wait for it.
    basis_id
        This one; None for the newest.
    before
        Only one that was fitted on months before this month: what would have been known.

    Raises
    ------
    RecordNotFoundError
        If there is no record, or no basis of this id.
    DamagedBasisError
        If it is not what was saved.
    StoreUnavailableError
        If it cannot be read.
    """
    repository = Repository.open(Location.parse(record_url), patience)
    for entry in _entries(repository):
        if basis_id not in (None, entry.id) or (before is not None and entry.last_month >= before):
            continue
        basis = _read(repository, entry.id)
        if basis.content_hash() != entry.content_hash:
            raise DamagedBasisError(
                "A stored basis is not what was saved.",
                found=f"basis {entry.id} in {repository.location.url} with another content",
                expected=f"SHA-256 {entry.content_hash}",
                remedy="Refresh the basis; if it happens again, check the disk.",
            )
        return basis
    if basis_id is None:
        return None
    raise RecordNotFoundError(
        "The record has no such basis.",
        found=f"basis {basis_id} in {repository.location.url}",
        remedy="Take an id from the list of bases.",
    )


def at_stored_precision(basis: EofBasis) -> EofBasis:
    """Return a basis as the store will give it back, but for its id."""
    return replace(
        basis,
        climatology=rounded(basis.climatology, _PATTERN_BITS),
        patterns=rounded(basis.patterns, _PATTERN_BITS),
        residual_variance=rounded(basis.residual_variance, _VARIANCE_BITS),
        variances=rounded(basis.variances.astype(np.float32), _PATTERN_BITS).astype(np.float64),
    )


# --- writing --------------------------------------------------------------------------------------


def _require_fit(repository: Repository, basis: EofBasis) -> None:
    group = repository.group(repository.tip())
    template = repository.read(lambda: RecordTemplate.stored_in(group))
    differences = []
    if basis.grid != template.grid:
        differences.append(f"grid: {basis.grid}, the record has {template.grid}")
    elif not np.array_equal(basis.ocean, template.ocean):
        n_cells = int((basis.ocean != template.ocean).sum())
        differences.append(f"ocean mask: {n_cells} cells differ from the record's")
    if differences:
        raise RecordMismatchError.listing(
            f"The basis does not fit the record at {repository.location.url}.",
            differences,
            "Fit it on this record; nothing was written.",
        )


def _commit(repository: Repository, basis: EofBasis) -> str:
    if not repository.has_branch(BRANCH):
        repository.create_branch(BRANCH)
    content_hash = basis.content_hash()
    newest = next(_entries(repository), None)
    if newest is not None and newest.content_hash == content_hash:
        return newest.id
    session, _ = repository.session(BRANCH)
    group = repository.write(lambda: _emptied(session.store))
    for name, (dims, values, attributes) in _contents(basis).items():
        _write(repository, group, name, dims, values, attributes)
    repository.write(lambda: group.attrs.update(_attributes(basis)))
    metadata = {
        "format": BASIS_FORMAT,
        "first_month": str(basis.first_month),
        "last_month": str(basis.last_month),
        "rank": basis.rank,
        "content_hash": content_hash,
    }
    message = f"Basis of {basis.rank} modes, {basis.first_month} to {basis.last_month}"
    return repository.commit(session, message, metadata)


def _emptied(store: Any) -> zarr.Group:
    return zarr.create_group(store, overwrite=True)


def _write(
    repository: Repository,
    group: zarr.Group,
    name: str,
    dims: tuple[str, ...],
    values: np.ndarray,
    attributes: Mapping[str, Any],
) -> None:
    """Write an array; maps one at a time, so that no call takes long."""
    maps = values.ndim == 3
    array = repository.write(
        lambda: group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=(1, *values.shape[1:]) if maps else values.shape,
            compressors=[_COMPRESSOR],
            dimension_names=dims,
            attributes=dict(attributes),
        )
    )
    for index in range(len(values)) if maps else [...]:

        def put(index: Any = index) -> None:
            array[index] = values[index]

        repository.write(put)


def _contents(
    basis: EofBasis,
) -> dict[str, tuple[tuple[str, ...], np.ndarray, Mapping[str, Any]]]:
    """Return every array with its dimensions and attributes."""
    grid, flux = basis.grid, {"units": FLUX_UNITS}
    squared = {"units": f"({FLUX_UNITS})2"}
    latitude = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
    longitude = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
    mean = {**flux, "long_name": "mean of the calendar month, January to December"}
    pattern = {"units": "1", "long_name": "pattern of the mode, area-weighted mean square 1"}
    variance = {**squared, "long_name": "variance of the mode's amplitude"}
    residual = {**squared, "long_name": "variance of what the modes do not explain"}
    tried = {"units": "1", "long_name": "number of modes that was tried"}
    error = {**flux, "long_name": "error at withheld values with that number of modes"}
    behind = {"units": "1", "long_name": "standard errors that it lies behind the best"}
    columns = [np.array([getattr(row, f) for row in basis.scores]) for f in ("rank", "rmse")]
    return {
        "lat": (("lat",), grid.lat, latitude),
        "lon": (("lon",), grid.lon, longitude),
        "ocean": (("lat", "lon"), basis.ocean.astype(np.int8), {"long_name": "ocean cells"}),
        "climatology": (("month", "lat", "lon"), _maps(basis.climatology, basis.ocean), mean),
        "pattern": (("mode", "lat", "lon"), _maps(basis.patterns, basis.ocean), pattern),
        "variance": (("mode",), basis.variances, variance),
        "residual_variance": (
            ("lat", "lon"),
            _maps(basis.residual_variance[None], basis.ocean)[0],
            residual,
        ),
        "tried_rank": (("tried",), columns[0].astype(np.int32), tried),
        "tried_rmse": (("tried",), columns[1], error),
        "tried_behind": (("tried",), np.array([row.behind for row in basis.scores]), behind),
    }


def _attributes(basis: EofBasis) -> dict[str, Any]:
    grid = basis.grid
    return {
        "Conventions": "CF-1.11",
        "title": "Climatology and EOFs that gaps of later months are filled with",
        "basis_format": BASIS_FORMAT,
        "grid_name": grid.name,
        "grid_south": grid.south,
        "grid_west": grid.west,
        "grid_step": grid.step,
        "grid_n_lat": grid.n_lat,
        "grid_n_lon": grid.n_lon,
        "first_month": str(basis.first_month),
        "last_month": str(basis.last_month),
        "footprint_m2": basis.footprint_m2,
        "local_gain": list(basis.local_gain),
        "local_explained": list(basis.local_explained),
        "calibration": basis.calibration,
    }


def _maps(cells: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    """Return (n, lat, lon) from (n, cell), NaN on land."""
    maps = np.full((len(cells), *ocean.shape), np.nan, dtype=cells.dtype)
    maps[:, ocean] = cells
    return maps


# --- reading --------------------------------------------------------------------------------------


def _entries(repository: Repository) -> Iterator[BasisEntry]:
    """Return what is on the branch, newest first."""
    if not repository.has_branch(BRANCH):
        return
    for snapshot in repository.history(repository.tip(BRANCH)):
        if snapshot.metadata.get("format") == BASIS_FORMAT:
            yield _entry(snapshot)


def _entry(snapshot: Snapshot) -> BasisEntry:
    known = snapshot.metadata
    return BasisEntry(
        id=snapshot.id,
        first_month=month(known["first_month"]),
        last_month=month(known["last_month"]),
        rank=int(known["rank"]),
        content_hash=known["content_hash"],
    )


def _read(repository: Repository, basis_id: str) -> EofBasis:
    group = repository.group(basis_id)
    known: dict[str, Any] = dict(repository.read(lambda: group.attrs))
    grid = Grid(
        name=known["grid_name"],
        south=known["grid_south"],
        west=known["grid_west"],
        step=known["grid_step"],
        n_lat=known["grid_n_lat"],
        n_lon=known["grid_n_lon"],
    )
    ocean = repository.read(lambda: values_of(group, "ocean")).astype(bool)
    rank, rmse, behind = (
        repository.read(lambda name=name: values_of(group, name))  # type: ignore[misc]
        for name in ("tried_rank", "tried_rmse", "tried_behind")
    )
    return EofBasis(
        grid=grid,
        ocean=ocean,
        first_month=month(known["first_month"]),
        last_month=month(known["last_month"]),
        climatology=_cells(repository, array_of(group, "climatology"), ocean),
        patterns=_cells(repository, array_of(group, "pattern"), ocean),
        variances=repository.read(lambda: values_of(group, "variance")),
        residual_variance=repository.read(lambda: values_of(group, "residual_variance"))[ocean],
        footprint_m2=known["footprint_m2"],
        local_gain=tuple(known["local_gain"]),
        local_explained=tuple(known["local_explained"]),
        calibration=known["calibration"],
        scores=tuple(
            RankScore(int(a), float(b), float(c))
            for a, b, c in zip(rank, rmse, behind, strict=True)
        ),
        id=basis_id,
    )


def _cells(repository: Repository, array: zarr.Array, ocean: np.ndarray) -> np.ndarray:
    """Return the ocean cells (n, cell) of maps, one map in memory at a time."""
    cells = np.empty((array.shape[0], int(ocean.sum())), dtype=array.dtype)
    for index in range(array.shape[0]):
        cells[index] = repository.read(lambda index=index: np.asarray(array[index]))[ocean]  # type: ignore[misc]
    return cells
