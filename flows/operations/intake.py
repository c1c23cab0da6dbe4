"""Taking one month after another into the record."""

import enum
import getpass
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from flows.operations.arrivals import Arrival, Contents
from flows.operations.basis import BasisShelf
from flows.operations.quarantine import put_into_quarantine
from flows.operations.refusals import (
    as_check,
    before_record,
    handover_needed,
    not_begun,
    on_record_grid,
    refusal,
    refuse_other_mask,
    refuse_too_early,
    spike_check,
)
from flows.operations.workspace import Workspace
from storage import ledger
from storage.errors import TidenetError
from storage.flux_month import SourceFile
from storage.handovers import HandOver, current_handover
from storage.months import Month
from storage.months import month as parse_month
from storage.record_errors import BeforeRecordError, GapError

if TYPE_CHECKING:
    from ingest.reader import ProductMonth
    from ingest.specification import Product
    from storage.carbon_ecs import CarbonEcs


class Outcome(enum.StrEnum):
    """What became of a month."""

    COMMITTED = "committed"
    REVISED = "revised"
    UNCHANGED = "unchanged"
    KEPT = "kept"
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
    """What became of one month.

    Parameters
    ----------
    file_name, month
        The file, and the month that it is of; None where it could not be told.
    outcome
        See `Outcome`.
    message
        For refused files, what was found, what was expected and what to do; for kept months, why.
    snapshot_id
        The record's snapshot that holds the month; None if it was refused.
    """

    file_name: str
    month: Month | None
    outcome: Outcome
    message: str = ""
    snapshot_id: str | None = None


class Intake:
    """Takes months of one product into the record, one at a time.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    product
        The product.
    arrivals
        Everything that has arrived of it.
    again
        Why months are taken again whose files the record was made from already; empty to leave
        them as they are.
    """

    def __init__(
        self,
        workspace: Workspace,
        product: "Product",
        arrivals: Sequence[Arrival],
        again: str = "",
    ) -> None:
        self.workspace = workspace
        self.product = product
        self.again = again
        self._bases = BasisShelf(workspace)
        self._dated = [(a.month, a) for a in arrivals if a.month is not None]

    def take(self, arrival: Arrival, acceptance: Acceptance | None) -> IngestedFile:
        """Commit a month, put it into quarantine, let it wait, or leave the record's as it is."""
        from ingest.errors import RefusedFileError

        contents = arrival.fetch()
        seen = self._seen(arrival, contents)
        done = self._known(seen, acceptance)
        if done is not None:
            return done
        try:
            if arrival.refusal is not None:
                raise arrival.refusal
            product_month = contents.read()
            refuse_too_early(product_month.month, self.product.start)
            return self._check_and_commit(seen, contents, product_month, acceptance)
        except RefusedFileError as error:
            return self._quarantine(seen, contents, (as_check(error),), error)
        except BeforeRecordError as error:
            early = before_record(error)
            return self._quarantine(seen, contents, (as_check(early),), early)
        except GapError as error:
            return self._wait(seen, error)

    @cached_property
    def record(self) -> "CarbonEcs":
        """The record, begun with the product's grid and ocean mask where there is none."""
        from ingest.errors import RefusedFileError
        from ingest.mask import ocean_mask
        from ingest.regridding.regrid import regrid_ocean
        from storage.carbon_ecs import CarbonEcs
        from storage.record_template import RecordTemplate

        url, patience = self.workspace.settings.record_url, self.workspace.patience
        if CarbonEcs.exists(url, patience):
            return CarbonEcs.open(url, patience=patience)
        mask, grid = self.product.mask, self.product.grid_of_record
        first = [dated for dated in self._dated if dated[0] >= self._begin]
        first = first[: 1 if mask.variable else mask.first_months]
        if not first or first[0][0] > self._begin:
            raise not_begun(self._begin, "no file of that month")
        try:
            ocean = ocean_mask(mask, [arrival.fetch().read() for _, arrival in first])
        except RefusedFileError as error:  # of one of the first files, not of the one at hand
            raise not_begun(self._begin, error.message) from error
        if grid != self.product.target_grid:
            ocean = regrid_ocean(ocean, self.product.target_grid, grid)
        return CarbonEcs.open_or_create(url, RecordTemplate(grid, ocean), patience)

    @cached_property
    def _begin(self) -> Month:
        """First month of a new record: as specified, or that of the first file."""
        start = self.product.start
        return self._dated[0][0] if start is None else parse_month(start)

    # --- steps --------------------------------------------------------------------------------

    def _known(self, seen: ledger.FileSeen, acceptance: Acceptance | None) -> IngestedFile | None:
        """Return what became of a month that need not be looked at again; None for others."""
        engine = self.workspace.engine
        current = None if seen.month is None else ledger.latest_revision(engine, seen.month)
        if current is not None and current.product != seen.product:
            why = f"The record holds this month from {current.product}."
            return IngestedFile(seen.file_name, seen.month, Outcome.KEPT, why)
        if current is not None and current.sha256 == seen.sha256 and not self.again:
            snapshot_id = current.committed.snapshot_id
            return IngestedFile(
                seen.file_name, seen.month, Outcome.UNCHANGED, snapshot_id=snapshot_id
            )
        if current is not None and (current.stage, seen.stage) == ("final", "preliminary"):
            why = "The record holds the final version of this month."
            return IngestedFile(seen.file_name, seen.month, Outcome.KEPT, why)
        known = ledger.status_of(engine, seen.product, seen.sha256, file_name=seen.file_name)
        if acceptance is None and known is not None and self._stays_refused(known):
            message = f"{known.message} What to do: {known.remedy}"
            return IngestedFile(seen.file_name, seen.month, Outcome.QUARANTINED, message)
        return None

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
        seen: ledger.FileSeen,
        contents: Contents,
        delivered: "ProductMonth",
        acceptance: Acceptance | None,
    ) -> IngestedFile:
        from ingest.completion.complete import complete_month
        from ingest.quality import check_month

        record = self.record
        product_month = on_record_grid(delivered, self.product, record.grid)
        month = product_month.month
        refuse_other_mask(record, product_month, self.product)
        if record.last_month is None and month > self._begin:
            raise not_begun(self._begin, "the record is empty")
        handover = self._handover(month)
        if handover is not None:
            product_month = _corrected(product_month, handover)
        earlier = record.same_calendar_month(month)
        report = check_month(product_month, self.product.limits, record.ocean, earlier)
        if report.outcome == "reject" or (report.outcome == "warn" and acceptance is None):
            return self._quarantine(seen, contents, report.results, refusal(report))
        completion = complete_month(
            product_month,
            record.ocean,
            earlier,
            observed_uncertainty=self.product.uncertainty,
            source=SourceFile(seen.product, seen.url, seen.sha256),
            basis=self._bases.basis_for(month),
        )
        current = ledger.latest_revision(self.workspace.engine, month)
        known_content = None if current is None else current.committed.content_hash
        commit = record.commit_month(completion.month)
        committed = ledger.MonthCommitted(
            month=month,
            revision=commit.revision,
            snapshot_id=commit.snapshot_id,
            content_hash=commit.content_hash,
            n_ocean=int(record.ocean.sum()),
            n_observed=completion.n_observed,
            n_completed=completion.n_completed,
            committed_at=self.workspace.now(),
            handover_id=None if handover is None else handover.id,
            completion=completion.method,
            n_spikes=completion.n_spikes,
            reason=_why_committed(current, commit.revision, seen, acceptance, self.again),
        )
        checks = (*report.results, spike_check(completion))
        signed = self._signed(acceptance)
        ledger.record_accepted(self.workspace.engine, seen, checks, committed, signed)
        if known_content == commit.content_hash:  # the same month in a file written anew
            outcome = Outcome.UNCHANGED
        else:
            outcome = Outcome.COMMITTED if commit.revision == 1 else Outcome.REVISED
        return IngestedFile(seen.file_name, month, outcome, snapshot_id=commit.snapshot_id)

    def _handover(self, month: Month) -> HandOver | None:
        """Return what a month is corrected with; None where its product began the record.

        Raises
        ------
        HandOverNeededError
            If earlier months came from another product, and nobody has compared the two.
        """
        engine, new = self.workspace.engine, self.product.name
        earlier = ledger.latest_months(engine, until=month - 1)
        others = [revision.product for revision in earlier if revision.product != new]
        if not others:
            return None
        handover = current_handover(engine, others[-1], new, self.record.grid.name)
        if handover is None:
            raise handover_needed(others[-1], new)
        return handover

    def _quarantine(
        self,
        seen: ledger.FileSeen,
        contents: Contents,
        checks: tuple[ledger.CheckResult, ...],
        error: TidenetError,
    ) -> IngestedFile:
        url = put_into_quarantine(
            self.workspace.settings.quarantine_url,
            contents.files,
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
        return IngestedFile(seen.file_name, seen.month, Outcome.QUARANTINED, str(error))

    def _wait(self, seen: ledger.FileSeen, error: TidenetError) -> IngestedFile:
        """Let a good file wait: it is looked at again each time, and quarantined by nothing."""
        message = TidenetError(error.message, found=error.found, expected=error.expected)
        ledger.record_refused(
            self.workspace.engine, seen, "waiting", (), message=str(message), remedy=error.remedy
        )
        return IngestedFile(seen.file_name, seen.month, Outcome.WAITING, str(error))

    def _seen(self, arrival: Arrival, contents: Contents) -> ledger.FileSeen:
        return ledger.FileSeen(
            product=self.product.name,
            url=arrival.url,
            file_name=arrival.name,
            size_bytes=contents.size_bytes,
            sha256=contents.sha256,
            month=arrival.month,
            seen_at=self.workspace.now(),
            stage=arrival.stage,
            inputs=contents.inputs,
        )

    def _signed(self, acceptance: Acceptance | None) -> ledger.Acceptance | None:
        if acceptance is None:
            return None
        return ledger.Acceptance(acceptance.reason, getpass.getuser(), self.workspace.now())


def _why_committed(
    current: ledger.MonthRevision | None,
    revision: int,
    seen: ledger.FileSeen,
    acceptance: Acceptance | None,
    again: str,
) -> str:
    """Return why a month is committed, for people."""
    if current is None or revision == 1:
        why = "the month's first file"
    elif current.sha256 == seen.sha256:
        why = again or "the same file, completed or corrected otherwise"
    else:
        why = f"another {seen.stage} file of the month"
    return f"{why}; accepted by hand: {acceptance.reason}" if acceptance else why


def _corrected(product_month: "ProductMonth", handover: HandOver) -> "ProductMonth":
    """Return a month as the record's earlier product would have had it."""
    from ingest.handover.correction import HandOver as Correction

    text = json.dumps(dict(handover.fitted.parameters))
    return Correction.from_json(text).apply(product_month)
