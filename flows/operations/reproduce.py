"""Run an archived forecast again from what it recorded, and say whether the same comes out."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.operations.drivers import needed_drivers
from flows.operations.fields import gridded_fields
from flows.operations.forecast import predict, read_inputs
from flows.operations.models import load_model
from flows.operations.named_run import find_run
from flows.operations.rows import QUANTILE_COLUMNS, cell_rows, regional_rows
from flows.operations.workspace import Workspace
from storage.archive import ForecastRun, archive_grid_of, archived_cells, archived_regions
from storage.gridded import MissingFieldsError, as_stored, read_run, verify_run
from storage.region_rows import regions_of_runs
from storage.registry import model

if TYPE_CHECKING:
    import xarray as xr

    from tidenet.forecaster import Forecast

TOLERANCE = 1e-4
"""Largest difference between two builds of the libraries that is no other result, mmol m-2 d-1."""


@dataclass(frozen=True)
class Difference:
    """Where a repeated run differs from the archived one.

    Parameters
    ----------
    what
        Variable of the gridded fields, or column of the archive's rows.
    n_different, n_values
        Values that differ, and all of them.
    largest
        Largest difference (of the quantity's unit).
    where
        Where that is, for people.
    within
        Whether the result counts as the same: no difference is above `TOLERANCE`, for gridded
        fields plus one step of the precision that they are stored with.
    """

    what: str
    n_different: int
    n_values: int
    largest: float
    where: str
    within: bool


@dataclass(frozen=True)
class Reproduction:
    """What came of running a forecast again.

    Parameters
    ----------
    run
        The archived run.
    differences
        What differs; none if all numbers are the same, bit by bit.
    fields
        ``same``, ``different``, ``missing`` (nothing at their URL).
    environment
        Name, what it was then, and what it is now, of all that changed in the environment.
    """

    run: ForecastRun
    differences: tuple[Difference, ...]
    fields: str
    environment: tuple[tuple[str, str, str], ...]

    @property
    def identical(self) -> bool:
        """Whether every number is the same, bit by bit."""
        return not self.differences and self.fields == "same"

    @property
    def within_tolerance(self) -> bool:
        """Whether no number differs by more than two builds of the libraries may."""
        return all(difference.within for difference in self.differences)


def reproduce(workspace: Workspace, run_id: str) -> Reproduction:
    """Run an archived forecast again and compare fields, regional rows and cell rows.

    Nothing is written.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    run_id
        Id of the run, its beginning (4 characters or more), or ``latest``.

    Raises
    ------
    UnknownRunError, AmbiguousRunError
        If this is not the id of one run.
    RecordNotFoundError
        If the snapshot that it read has expired.
    MissingWeightsError, CorruptWeightsError
        If its model's files are gone or changed.
    CorruptFieldsError
        If its gridded fields are not those that were written.
    """
    run = find_run(workspace.engine, run_id)
    predicted, references, dataset, ocean = repeat(workspace, run)
    differences = _in_rows(workspace, run, predicted, references, ocean)
    try:
        verify_run(run.fields_url, run.fields_sha256, workspace.patience)
        stored = read_run(run.fields_url, workspace.patience)
    except MissingFieldsError:
        fields = "missing"
    else:
        different = _in_fields(as_stored(dataset), stored)
        fields = "different" if different else "same"
        differences += different
    return Reproduction(run, tuple(differences), fields, _environment(workspace, run))


@contextmanager
def _threads_of(run: ForecastRun) -> Iterator[None]:
    """Compute with as many threads as a run on a CPU did: sums depend on how they are shared."""
    import torch
    from threadpoolctl import threadpool_limits

    recorded = re.match(r"CPU, (\d+) threads", run.hardware)
    before = torch.get_num_threads()
    n_threads = int(recorded[1]) if recorded else before
    torch.set_num_threads(n_threads)
    try:
        with threadpool_limits(n_threads):
            yield
    finally:
        torch.set_num_threads(before)


def repeat(
    workspace: Workspace, run: ForecastRun
) -> "tuple[Forecast, dict[str, Forecast], xr.Dataset, np.ndarray]":
    """Compute a run again from its snapshot, weights and seed.

    Returns
    -------
    tuple
        The forecast, the reference forecasts, its gridded fields and the ocean mask.
    """
    version = model(workspace.engine, run.model_version)
    store = workspace.record(run.snapshot_id)
    device = "cpu" if run.hardware.startswith("CPU") else ""
    forecaster = load_model(workspace, version, store.grid, store.ocean, device=device)
    drivers = needed_drivers(version.config)
    record = read_inputs(store, forecaster.n_history, run.init_month, drivers)
    with _threads_of(run):
        predicted, references = predict(
            forecaster, record, run.init_month, seed=run.seed, n_members=run.n_members
        )
    dataset = gridded_fields(predicted, references, forecaster.climatology.std)
    return predicted, references, dataset, store.ocean


def _in_rows(
    workspace: Workspace,
    run: ForecastRun,
    predicted: "Forecast",
    references: "Mapping[str, Forecast]",
    ocean: np.ndarray,
) -> list[Difference]:
    regions = regions_of_runs(workspace.engine, {run.id})[run.id]
    regional, _ = regional_rows(predicted, references, ocean, regions)
    names = np.array([region.name for region in regional.regions])
    archived = archived_regions(workspace.engine, run.id, tuple(names.tolist()))
    found = _compare(_columns(regional), archived, "regional rows", names)
    step = _archive_step(workspace, run, predicted)
    cells = cell_rows(predicted, references, ocean, step)
    kept = archived_cells(workspace.engine, run.id, cells.index)
    if kept:
        columns = {name: v.astype(np.float32) for name, v in _columns(cells).items()}
        found += _compare(columns, kept, "cell rows", cells.index)
    return found


def _archive_step(workspace: Workspace, run: ForecastRun, predicted: "Forecast") -> float:
    """Return the step (degrees) of the archive grid that a run's cells were archived on."""
    name = archive_grid_of(workspace.engine, run.id)
    if name is None:
        return workspace.settings.archive_step
    _, _, factor = name.partition("/")
    return predicted.grid.step * int(factor or 1)


def _columns(rows: Any) -> dict[str, np.ndarray]:
    """Return rows' columns as the archive names them, each (lead, place)."""
    named = {name: rows.quantiles[:, k] for k, name in enumerate(QUANTILE_COLUMNS)}
    further = ("mean", "spread", "p_source", "climatology", "damped_persistence")
    return named | {name: getattr(rows, name) for name in further}


def _compare(
    computed: Mapping[str, np.ndarray],
    archived: Mapping[str, np.ndarray],
    what: str,
    places: np.ndarray,
) -> list[Difference]:
    found = []
    for name, values in archived.items():
        gap = np.abs(computed[name].astype(np.float64) - values)
        gap[np.isnan(values)] = 0.0  # a column that the archive did not record then
        if not gap.any():
            continue
        lead, place = np.unravel_index(np.argmax(gap), gap.shape)
        found.append(
            Difference(
                what=f"{what}, {name}",
                n_different=int(np.count_nonzero(gap)),
                n_values=gap.size,
                largest=float(gap.max()),
                where=f"lead {lead + 1}, {places[place]}",
                within=bool(gap.max() <= TOLERANCE),
            )
        )
    return found


def _in_fields(computed: "xr.Dataset", stored: "xr.Dataset") -> list[Difference]:
    found = []
    for name, field in stored.data_vars.items():
        then, now = field.values, computed[name].values
        if np.array_equal(then, now, equal_nan=True):
            continue
        gap = np.abs(now.astype(np.float64) - then)
        gap = np.where(np.isnan(now) & np.isnan(then), 0.0, np.nan_to_num(gap, nan=np.inf))
        at = np.unravel_index(np.argmax(gap), gap.shape)
        # Values are stored with 12 bits of mantissa: where rounding tips, they are a step apart.
        allowed = TOLERANCE + np.abs(np.nan_to_num(then)) * 2.0**-12
        found.append(
            Difference(
                what=f"fields, {name}",
                n_different=int(np.count_nonzero(gap)),
                n_values=gap.size,
                largest=float(gap.max()),
                where=_place(field, at),
                within=bool((gap <= allowed).all()),
            )
        )
    return found


def _place(field: "xr.DataArray", at: tuple[Any, ...]) -> str:
    coordinates = zip(field.dims, at, strict=True)
    return ", ".join(f"{dim} {field[dim].values[index]:g}" for dim, index in coordinates)


def _environment(workspace: Workspace, run: ForecastRun) -> tuple[tuple[str, str, str], ...]:
    """Return what has changed since, the number of threads included: that is made the same."""
    then = {"tidenet": run.code_version, "hardware": run.hardware} | dict(run.libraries)
    now = {"tidenet": workspace.code_version, "hardware": workspace.hardware}
    now |= workspace.libraries
    names = sorted(then.keys() | now.keys())
    return tuple(
        (name, then.get(name, "not recorded"), now.get(name, "not installed"))
        for name in names
        if then.get(name) != now.get(name)
    )
