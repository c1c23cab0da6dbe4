"""Look for product files; check, complete and commit them, one month a transaction.

The order makes a kill at any point harmless. A month is first committed to the record, then written
to the ledger. If the process dies in between, the next run reads the same file, finds that the record
holds just this content, commits nothing and writes the missing ledger row.
"""

import enum
import getpass
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flows.operations.quarantine import put_into_quarantine
from flows.operations.workspace import Progress, Workspace, no_progress
from storage import ledger
from storage.errors import TidenetError
from storage.flux_month import Quality, SourceFile
from storage.months import Month

if TYPE_CHECKING:
    from ingest.quality import CheckReport
    from ingest.reader import ProductMonth
    from ingest.sources import FetchedFile, ProductFile
    from ingest.specification import ProductSpecification
    from storage.carbon_ecs import CarbonEcs, Commit


class Outcome(enum.StrEnum):
    """What became of a file."""

    COMMITTED = "committed"
    REVISED = "revised"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Acceptance:
    """A person's decision to take a file in spite of its warnings.

    Parameters
    ----------
    file_name
        Name of the file.
    reason
        Why; recorded in the ledger.
    """

    file_name: str
    reason: str


@dataclass(frozen=True)
class IngestedFile:
    """What became of one file.

    Parameters
    ----------
    file_name, month
        The file, and the month that its name says.
    outcome
        See `Outcome`.
    message
        For refused files, what was found, what was expected and what to do.
    snapshot_id
        The record's snapshot that holds the month; None if it was refused.
    """

    file_name: str
    month: Month
    outcome: Outcome
    message: str = ""
    snapshot_id: str | None = None


class NothingToAcceptError(TidenetError):
    """The file to be accepted is not in the landing zone."""


def ingest(
    workspace: Workspace,
    product: str | None = None,
    *,
    months: Sequence[Month] | None = None,
    acceptance: Acceptance | None = None,
    progress: Progress = no_progress,
) -> list[IngestedFile]:
    """Ingest what is new in the landing zone, in the order of months.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    product
        Name of the product specification; None for the one in the settings.
    months
        Only files of these months; None for all.
    acceptance
        Take this one file in spite of its warnings, and look at no other.
    progress
        Called after each file.

    Returns
    -------
    list of IngestedFile
        One for each file that was looked at. A refused file does not stop the others.

    Raises
    ------
    SourceUnavailableError
        If the landing zone cannot be listed.
    RecordMismatchError, StoreUnavailableError, DatabaseUnavailableError
        If the record or the archive cannot be worked with; files before that are committed.
    """
    from ingest.sources import list_files
    from ingest.specification import load_product

    settings = workspace.settings
    specification = load_product(product or settings.product, settings.products_folder)
    listing = list_files(
        settings.landing_url,
        specification,
        timeout_s=settings.timeout_s,
        attempts=settings.attempts,
    )
    chosen = _choose(listing.files, months, acceptance, settings.landing_url)
    ambiguous = {m for m, n in Counter(file.month for file in listing.files).items() if n > 1}
    intake = Intake(workspace, specification, listing.files)
    done: list[IngestedFile] = []
    with tempfile.TemporaryDirectory(prefix="tidenet-ingest-") as folder:
        for file in chosen:
            ingested = intake.take(
                file, Path(folder), acceptance, ambiguous=file.month in ambiguous
            )
            done.append(ingested)
            progress(len(done), len(chosen), f"{file.month} {ingested.outcome}")
    return done


def _choose(
    files: "Sequence[ProductFile]",
    months: Sequence[Month] | None,
    acceptance: Acceptance | None,
    landing: str,
) -> "list[ProductFile]":
    chosen = [file for file in files if months is None or file.month in months]
    if acceptance is None:
        return chosen
    named = [file for file in chosen if file.file_name == acceptance.file_name]
    if not named:
        raise NothingToAcceptError(
            "The file to be accepted is not in the landing zone.",
            found=f"{len(chosen)} other files in {landing}",
            expected=acceptance.file_name,
            remedy="Give the name as tidenet status shows it, and put the file back if it was removed.",
        )
    return named


class Intake:
    """Takes files of one product into the record, one at a time."""

    def __init__(
        self,
        workspace: Workspace,
        specification: "ProductSpecification",
        files: "Sequence[ProductFile]",
    ) -> None:
        self.workspace = workspace
        self.specification = specification
        self.files = files
        self._record: CarbonEcs | None = None

    def take(
        self,
        file: "ProductFile",
        folder: Path,
        acceptance: Acceptance | None,
        *,
        ambiguous: bool,
    ) -> IngestedFile:
        """Fetch one file and commit it, or put it into quarantine, or let it wait."""
        from ingest.sources import fetch

        from ingest.errors import RefusedFileError

        settings, engine = self.workspace.settings, self.workspace.engine
        fetched = fetch(file, folder, timeout_s=settings.timeout_s, attempts=settings.attempts)
        seen = self._seen(fetched)
        known = ledger.status_of(engine, seen.product, seen.sha256, file_name=seen.file_name)
        current = ledger.latest_revision(engine, file.month)
        if current is not None and current.sha256 == seen.sha256:
            snapshot = current.committed.snapshot_id
            return IngestedFile(file.file_name, file.month, Outcome.UNCHANGED, snapshot_id=snapshot)
        if known is not None and known.status == "quarantined" and acceptance is None:
            message = f"{known.message} {known.remedy}".strip()
            return IngestedFile(file.file_name, file.month, Outcome.QUARANTINED, message)
        try:
            if ambiguous:
                raise self._ambiguous(file)
            product_month = self._read(fetched)
            report = self._check(product_month)
            if not _may_pass(report, acceptance):
                return self._quarantine(fetched, seen, report.results, _failures(report))
            return self._commit(fetched, seen, product_month, report, acceptance)
        except RefusedFileError as error:
            return self._quarantine(fetched, seen, [_as_check(error)], str(error), error.remedy)
