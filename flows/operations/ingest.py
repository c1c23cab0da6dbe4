"""Look for product files; check, complete and commit them, one month a transaction.

The order makes a kill at any point harmless. A month is first committed to the record, then
written to the ledger. If the process dies in between, the next run reads the same file, finds that
the record holds just this content, commits nothing and writes the missing ledger row.
"""

import enum
import getpass
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flows.operations.quarantine import put_into_quarantine
from flows.operations.refusals import (
    as_check,
    before_record,
    duplicate,
    not_begun,
    refusal,
    refuse_other_grid,
    refuse_other_mask,
    refuse_too_early,
    spike_check,
)
from flows.operations.workspace import Progress, Workspace, no_progress
from storage import ledger
from storage.errors import TidenetError
from storage.flux_month import SourceFile
from storage.months import Month
from storage.months import month as parse_month
from storage.record_errors import BeforeRecordError, GapError

if TYPE_CHECKING:
    from ingest.reader import ProductMonth
    from ingest.sources import FetchedFile, ProductFile
    from ingest.specification import ProductSpecification
    from storage.carbon_ecs import CarbonEcs


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
    done: list[IngestedFile] = []
    with tempfile.TemporaryDirectory(prefix="tidenet-ingest-") as folder:
        intake = Intake(workspace, specification, listing.files, Path(folder))
        for file in chosen:
            done.append(intake.take(file, acceptance))
            progress(len(done), len(chosen), f"{file.month} {done[-1].outcome}")
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
            remedy="Give the name as tidenet status shows it; put the file back if it is gone.",
        )
    return named


class Intake:
    """Takes files of one product into the record, one at a time.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    specification
        The product.
    files
        Every file of the product in the landing zone.
    folder
        Where downloads go.
    """

    def __init__(
        self,
        workspace: Workspace,
        specification: "ProductSpecification",
        files: "Sequence[ProductFile]",
        folder: Path,
    ) -> None:
        self.workspace = workspace
        self.specification = specification
        self.files = files
        self.folder = folder
        counts = Counter(file.month for file in files)
        self._ambiguous = {month for month, n in counts.items() if n > 1}

    def take(self, file: "ProductFile", acceptance: Acceptance | None) -> IngestedFile:
        """Commit a file's month, or put the file into quarantine, or let it wait."""
        from ingest.errors import RefusedFileError

        engine = self.workspace.engine
        fetched = self._fetch(file)
        seen = self._seen(fetched)
        current = ledger.latest_revision(engine, file.month)
        if current is not None and current.sha256 == seen.sha256:
            snapshot_id = current.committed.snapshot_id
            return IngestedFile(
                file.file_name, file.month, Outcome.UNCHANGED, snapshot_id=snapshot_id
            )
        known = ledger.status_of(engine, seen.product, seen.sha256, file_name=seen.file_name)
        if acceptance is None and known is not None and self._stays_refused(known):
            message = f"{known.message} What to do: {known.remedy}"
            return IngestedFile(file.file_name, file.month, Outcome.QUARANTINED, message)
        try:
            if file.month in self._ambiguous:
                raise duplicate(file, self.files)
            product_month = self._read(fetched)
            refuse_too_early(file, self.specification)
            return self._check_and_commit(fetched, seen, product_month, acceptance)
        except RefusedFileError as error:
            return self._quarantine(fetched, seen, (as_check(error),), error)
        except BeforeRecordError as error:
            early = before_record(error)
            return self._quarantine(fetched, seen, (as_check(early),), early)
        except GapError as error:
            return self._wait(seen, error)

    @cached_property
    def record(self) -> "CarbonEcs":
        """The record, begun with the product's grid and ocean mask where there is none."""
        from ingest.errors import RefusedFileError
        from ingest.mask import ocean_mask
        from storage.carbon_ecs import CarbonEcs
        from storage.record_template import RecordTemplate

        url, patience = self.workspace.settings.record_url, self.workspace.patience
        if CarbonEcs.exists(url, patience):
            return CarbonEcs.open(url, patience=patience)
        mask = self.specification.mask
        first = [file for file in self.files if file.month >= self._begin]
        first = first[: 1 if mask.variable else mask.first_months]
        if first[0].month > self._begin:
            raise not_begun(self._begin, "no file of that month")
        try:
            ocean = ocean_mask(mask, [self._read(self._fetch(file)) for file in first])
        except RefusedFileError as error:  # of one of the first files, not of the one at hand
            raise not_begun(self._begin, error.message) from error
        template = RecordTemplate(self.specification.target_grid, ocean)
        return CarbonEcs.open_or_create(url, template, patience)

    @cached_property
    def _begin(self) -> Month:
        """First month of a new record: as specified, or that of the first file."""
        start = self.specification.start
        return self.files[0].month if start is None else parse_month(start)

    # --- steps --------------------------------------------------------------------------------

    def _fetch(self, file: "ProductFile") -> "FetchedFile":
        from ingest.sources import fetch

        settings = self.workspace.settings
        return fetch(file, self.folder, timeout_s=settings.timeout_s, attempts=settings.attempts)

    def _read(self, fetched: "FetchedFile") -> "ProductMonth":
        from ingest.reader import read_product_file

        return read_product_file(
            fetched.path,
            self.specification,
            file_name=fetched.file.file_name,
            now=self.workspace.now(),
        )

    def _stays_refused(self, known: ledger.FileStatus) -> bool:
        """Whether bytes that were refused before need not be looked at again.

        A statistical refusal is left to a person. What a reader refused may be right by now: the
        specification was corrected, the second file of the month is gone, the month has come.
        """
        if known.status != "quarantined":
            return False
        checks = ledger.checks_of(self.workspace.engine, known.product_file_id)
        return all(check.passed or check.kind == "statistical" for check in checks)

    def _check_and_commit(
        self,
        fetched: "FetchedFile",
        seen: ledger.FileSeen,
        product_month: "ProductMonth",
        acceptance: Acceptance | None,
    ) -> IngestedFile:
        from ingest.complete import complete_month
        from ingest.quality import check_month

        record = self.record
        refuse_other_grid(record, product_month)
        refuse_other_mask(record, product_month)
        if record.last_month is None and product_month.month > self._begin:
            raise not_begun(self._begin, "the record is empty")
        earlier = record.same_calendar_month(product_month.month)
        report = check_month(product_month, self.specification.limits, record.ocean, earlier)
        if report.outcome == "reject" or (report.outcome == "warn" and acceptance is None):
            return self._quarantine(fetched, seen, report.results, refusal(report))
        completion = complete_month(
            product_month,
            record.ocean,
            earlier,
            observed_uncertainty=self.specification.uncertainty,
            source=SourceFile(seen.product, seen.url, seen.sha256),
        )
        current = ledger.latest_revision(self.workspace.engine, product_month.month)
        known_content = None if current is None else current.committed.content_hash
        commit = record.commit_month(completion.month)
        committed = ledger.MonthCommitted(
            month=product_month.month,
            revision=commit.revision,
            snapshot_id=commit.snapshot_id,
            content_hash=commit.content_hash,
            n_ocean=int(record.ocean.sum()),
            n_observed=completion.n_observed,
            n_completed=completion.n_completed,
            committed_at=self.workspace.now(),
        )
        ledger.record_accepted(
            self.workspace.engine,
            seen,
            (*report.results, spike_check(completion.n_spikes)),
            committed,
            self._signed(acceptance),
        )
        if known_content == commit.content_hash:  # the same month in a file written anew
            outcome = Outcome.UNCHANGED
        else:
            outcome = Outcome.COMMITTED if commit.revision == 1 else Outcome.REVISED
        return IngestedFile(
            seen.file_name, product_month.month, outcome, snapshot_id=commit.snapshot_id
        )

    def _quarantine(
        self,
        fetched: "FetchedFile",
        seen: ledger.FileSeen,
        checks: tuple[ledger.CheckResult, ...],
        error: TidenetError,
    ) -> IngestedFile:
        url = put_into_quarantine(
            self.workspace.settings.quarantine_url,
            fetched.path,
            seen,
            checks,
            str(error),
            self.workspace.patience,
        )
        message = TidenetError(error.message, found=error.found, expected=error.expected)
        ledger.record_refused(
            self.workspace.engine,
            seen,
            "quarantined",
            checks,
            message=str(message),
            remedy=error.remedy,
            quarantine_url=url,
        )
        return IngestedFile(seen.file_name, fetched.file.month, Outcome.QUARANTINED, str(error))

    def _wait(self, seen: ledger.FileSeen, error: TidenetError) -> IngestedFile:
        """Let a good file wait: it is looked at again each time, and quarantined by nothing."""
        message = TidenetError(error.message, found=error.found, expected=error.expected)
        ledger.record_refused(
            self.workspace.engine, seen, "waiting", (), message=str(message), remedy=error.remedy
        )
        assert seen.month is not None
        return IngestedFile(seen.file_name, seen.month, Outcome.WAITING, str(error))

    def _seen(self, fetched: "FetchedFile") -> ledger.FileSeen:
        return ledger.FileSeen(
            product=self.specification.name,
            url=fetched.file.url,
            file_name=fetched.file.file_name,
            size_bytes=fetched.size_bytes,
            sha256=fetched.sha256,
            month=fetched.file.month,
            seen_at=self.workspace.now(),
        )

    def _signed(self, acceptance: Acceptance | None) -> ledger.Acceptance | None:
        if acceptance is None:
            return None
        return ledger.Acceptance(acceptance.reason, getpass.getuser(), self.workspace.now())
