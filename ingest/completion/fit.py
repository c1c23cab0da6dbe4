"""From the months of a record to the EOF basis that later months are completed with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ingest.completion.choice import RANKS, Choice, TooFewMonthsError, choose_rank, thinning
from ingest.completion.modes import (
    ArrayReader,
    Modes,
    MonthReader,
    Patterns,
    band_arguments,
    band_covariance,
    band_patterns,
    bands_of,
    free_months,
    iterate,
    read_sample,
    residual_variance,
)
from ingest.completion.tasks import Progress, Run, no_progress, task_runner
from storage.eof_basis import EofBasis
from storage.grid import Grid

__all__ = ["LEAST_MONTHS", "RANKS", "TooFewMonthsError", "fit_basis"]

LEAST_MONTHS = 36
"""A climatology needs some years; with fewer months a basis is not fitted."""


@dataclass(frozen=True)
class _Problem:
    reader: MonthReader
    ocean: np.ndarray
    run: Run


def fit_basis(
    reader: MonthReader,
    ocean: np.ndarray,
    *,
    scheduler: str = "",
    ranks: Sequence[int] = RANKS,
    progress: Progress = no_progress,
) -> EofBasis:
    """Fit an EOF basis on all months that a reader has.

    Parameters
    ----------
    reader
        The months; a copy of it travels to each task.
    ocean
        Boolean (lat, lon), the record's mask.
    scheduler
        Who computes, see `ingest.completion.tasks.task_runner`. The result does not depend on it.
    ranks
        Numbers of modes to choose from; those that the months cannot support are left out.
    progress
        Called after each task.

    Raises
    ------
    TooFewMonthsError
        If there are fewer than `LEAST_MONTHS`, or too little was observed in them.
    ClusterUnavailableError
        If the scheduler does not answer.
    """
    n_months = len(reader.months)
    if n_months < LEAST_MONTHS:
        raise TooFewMonthsError(
            "The record is too short for an EOF basis.",
            found=f"{n_months} months",
            expected=f"at least {LEAST_MONTHS}",
            remedy="Go on without one until the record has grown: gaps are filled all the same.",
        )
    with task_runner(scheduler, progress) as run:
        problem = _Problem(reader, ocean, run)
        choice = choose_rank(*_sample(problem), ranks, run)
        modes = _modes(problem, choice)
        found: list[Patterns] = run("patterns", band_patterns, band_arguments(reader, ocean, modes))
    return EofBasis(
        grid=reader.grid,
        ocean=ocean,
        first_month=reader.months[0],
        last_month=reader.months[-1],
        climatology=np.concatenate([part.climatology for part in found], axis=1),
        patterns=np.concatenate([part.patterns for part in found], axis=1),
        variances=modes.power / free_months(n_months),
        residual_variance=np.concatenate(residual_variance(found, n_months, choice.rank)),
        footprint_m2=choice.footprint_m2,
        local_gain=choice.local_gain,
        local_explained=choice.local_explained,
        calibration=choice.calibration,
        scores=choice.scores,
    )


def _sample(problem: _Problem) -> tuple[ArrayReader, np.ndarray]:
    """Return the record on a thinned grid, and the mask of that."""
    reader, ocean = problem.reader, problem.ocean
    stride = thinning(int(ocean.sum()))
    bands = _read(problem, stride)
    values, observed = (np.concatenate([band[i] for band in bands], axis=1) for i in range(2))
    grid = reader.grid
    thinned = Grid(
        name=f"{grid.name} thinned by {stride}",
        south=grid.south + (stride // 2 + 0.5 - stride / 2) * grid.step,
        west=grid.west + (stride // 2 + 0.5 - stride / 2) * grid.step,
        step=round(grid.step * stride, 6),
        n_lat=values.shape[1],
        n_lon=values.shape[2],
    )
    mask = ocean[stride // 2 :: stride, stride // 2 :: stride]
    return ArrayReader(thinned, reader.months, values, observed), mask


def _read(problem: _Problem, stride: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read the thinned record, a band a task."""
    reader, ocean = problem.reader, problem.ocean
    arguments = [
        (reader, rows, ocean[rows], stride) for rows in bands_of(reader.grid, len(reader.months))
    ]
    return problem.run("reading", read_sample, arguments)


def _modes(problem: _Problem, choice: Choice) -> Modes:
    """Return the modes of the whole record."""
    reader, ocean = problem.reader, problem.ocean
    area = float(reader.grid.cell_area[ocean].sum())

    def covariance_with(guess: Modes | None) -> np.ndarray:
        arguments = band_arguments(reader, ocean, guess)
        parts = problem.run("covariance of months", band_covariance, arguments)
        total: np.ndarray = np.sum(parts, axis=0) / area
        return total

    return iterate(covariance_with, choice.rank, choice.modes)
