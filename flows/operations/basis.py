"""The EOF basis that gaps are filled with: fitted on the record, kept beside it, handed out."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.operations.workspace import Progress, Workspace, no_progress
from storage.months import Month

if TYPE_CHECKING:
    from storage.eof_basis import EofBasis, RankScore


@dataclass(frozen=True)
class RefreshedBasis:
    """A basis that was fitted and saved.

    Parameters
    ----------
    id
        Its name beside the record.
    first_month, last_month
        Span of the months that it was fitted on.
    rank
        Number of modes.
    scores
        The cross-validation of the rank.
    calibration
        Factor between the error estimate of the modes and the errors found.
    """

    id: str
    first_month: Month
    last_month: Month
    rank: int
    scores: "tuple[RankScore, ...]"
    calibration: float


def refresh_basis(
    workspace: Workspace, *, until: Month | None = None, progress: Progress = no_progress
) -> RefreshedBasis:
    """Fit an EOF basis on the record up to a month and save it beside the record.

    It is computed on this machine, or where ``TIDENET_DASK_SCHEDULER`` says, with the same result.
    Refreshing on a record that has not changed saves nothing new.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    until
        Last month to fit on; None for the last of the record.
    progress
        Called after each part of the work.

    Raises
    ------
    TooFewMonthsError
        If the record is too short.
    MonthNotInRecordError
        If it does not hold the month.
    ClusterUnavailableError
        If the Dask scheduler does not answer.
    """
    from ingest.completion.fit import fit_basis
    from storage.completion_basis import save_basis
    from storage.record_reader import RecordReader

    record = workspace.record()
    settings = workspace.settings
    months = record.months()
    if until is not None:
        record.revision_of(until)  # raises unless the record holds it
        months = months[months <= until]
    if not len(months):
        raise _empty()
    reader = RecordReader(
        url=record.url,
        snapshot_id=record.snapshot_id,
        patience=workspace.patience,
        grid=record.grid,
        first_month=months[0],
        last_month=months[-1],
    )
    basis = fit_basis(reader, record.ocean, scheduler=settings.dask_scheduler, progress=progress)
    basis_id = save_basis(settings.record_url, basis, workspace.patience)
    return RefreshedBasis(
        id=basis_id,
        first_month=basis.first_month,
        last_month=basis.last_month,
        rank=basis.rank,
        scores=basis.scores,
        calibration=basis.calibration,
    )


def _empty() -> Exception:
    from ingest.completion.fit import TooFewMonthsError

    return TooFewMonthsError(
        "The record is empty.",
        expected="months to fit a basis on",
        remedy="Ingest months first.",
    )


@dataclass
class BasisShelf:
    """Hands out the basis for each month, and keeps the one that was asked for last.

    A month is completed with the newest basis that was fitted on earlier months only: a revised
    file of an old month is completed with what would have been known.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    """

    workspace: Workspace
    _last: "EofBasis | None" = field(default=None, init=False)

    def basis_for(self, month: Month) -> "EofBasis | None":
        """Return the basis for a month; None where the record has none that is early enough."""
        from storage.completion_basis import list_bases, load_basis

        url, patience = self.workspace.settings.record_url, self.workspace.patience
        entries = [e for e in list_bases(url, patience) if e.last_month < month]
        if not entries:
            return None
        if self._last is None or self._last.id != entries[0].id:
            self._last = load_basis(url, patience, entries[0].id)
        return self._last
