"""Look for what has arrived; check, complete and commit it, one month a transaction.

The order makes a kill at any point harmless. A month is first committed to the record, then
written to the ledger. If the process dies in between, the next run reads the same file, finds that
the record holds just this content, commits nothing and writes the missing ledger row.
"""

from collections.abc import Sequence

from flows.operations.arrivals import Arrival, list_arrivals
from flows.operations.intake import Acceptance, IngestedFile, Intake, Outcome
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.errors import TidenetError
from storage.months import Month

__all__ = ["Acceptance", "IngestedFile", "NothingToAcceptError", "Outcome", "ingest"]


class NothingToAcceptError(TidenetError):
    """The file to be accepted is not in the landing zone."""


def ingest(
    workspace: Workspace,
    product: str | None = None,
    *,
    months: Sequence[Month] | None = None,
    acceptance: Acceptance | None = None,
    again: str = "",
    progress: Progress = no_progress,
) -> list[IngestedFile]:
    """Ingest what is new at a product's sources, in the order of months.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    product
        Name of the product specification; None for the one in the settings.
    months
        Only these months; None for all.
    acceptance
        Take this one file in spite of its warnings, and look at no other.
    again
        Why months are read, checked and completed again though their files have not changed:
        after a correction of the specification, or with a new completion basis. What comes out
        otherwise is a revision. Empty to leave them as they are.
    progress
        Called after each month.

    Returns
    -------
    list of IngestedFile
        One for each month that was looked at. A refused file does not stop the others.

    Raises
    ------
    SourceUnavailableError
        If a source cannot be listed.
    HandOverNeededError
        If the record was made from another product, and no hand-over from it was fitted.
    RecordMismatchError, StoreUnavailableError, DatabaseUnavailableError
        If the record or the archive cannot be worked with; months before that are committed.
    """
    from ingest.catalogue import load_product

    settings = workspace.settings
    wanted = load_product(product or settings.product, settings.products_folder)
    listed = list_arrivals(workspace, wanted)
    chosen = _choose(listed.arrivals, months, acceptance)
    intake = Intake(workspace, wanted, listed.arrivals, again)
    done: list[IngestedFile] = []
    for arrival in chosen:
        done.append(intake.take(arrival, acceptance))
        progress(len(done), len(chosen), f"{arrival.month} {done[-1].outcome}")
    if acceptance is None:
        done += [
            IngestedFile(f"{wanted.name}@{month}", month, Outcome.WAITING, f"Missing: {lacking}.")
            for month, lacking in listed.incomplete
            if months is None or month in months
        ]
    return done


def _choose(
    arrivals: Sequence[Arrival], months: Sequence[Month] | None, acceptance: Acceptance | None
) -> list[Arrival]:
    chosen = [arrival for arrival in arrivals if months is None or arrival.month in months]
    if acceptance is None:
        return chosen
    named = [arrival for arrival in chosen if arrival.name == acceptance.file_name]
    if not named:
        raise NothingToAcceptError(
            "The file to be accepted is not in the landing zone.",
            found=f"{len(chosen)} others",
            expected=acceptance.file_name,
            remedy="Give the name as tidenet status shows it; put the file back if it is gone.",
        )
    return named
