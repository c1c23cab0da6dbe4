"""Why a product file is refused or has to wait, as named errors and as check results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from storage import ledger
from storage.errors import TidenetError
from storage.months import Month
from storage.months import month as parse_month
from storage.record_errors import BeforeRecordError, GapError

if TYPE_CHECKING:
    from ingest.errors import RefusedFileError
    from ingest.quality import CheckReport
    from ingest.reader import ProductMonth
    from ingest.sources import ProductFile
    from ingest.specification import ProductSpecification
    from storage.carbon_ecs import CarbonEcs


class ImplausibleMonthError(TidenetError):
    """A month failed statistical checks."""


def duplicate(file: "ProductFile", files: "Sequence[ProductFile]") -> "RefusedFileError":
    """Return the refusal of a month that several files claim to be."""
    from ingest.errors import DuplicateMonthError

    names = [other.url for other in files if other.month == file.month]
    return DuplicateMonthError(
        f"Several files claim to be {file.month}.",
        found=", ".join(names),
        expected="one file a month",
        remedy="Leave the right one in the landing zone and take the others away.",
    )


def refuse_too_early(file: "ProductFile", specification: "ProductSpecification") -> None:
    """Refuse a month before the one that the product's record begins with."""
    from ingest.errors import TooEarlyError

    start = specification.start
    if start is not None and file.month < parse_month(start):
        raise TooEarlyError(
            f"{file.month} lies before the product's first month.",
            found=str(file.month),
            expected=f"{start} or later",
            remedy="Correct 'start' in the specification if the record is to begin earlier.",
        )


def refuse_other_grid(record: "CarbonEcs", product_month: "ProductMonth") -> None:
    """Refuse a product on another grid than the record's before anything is compared by cells."""
    from storage.carbon_ecs import RecordMismatchError

    if product_month.grid != record.grid:
        raise RecordMismatchError(
            "The product is on another grid than the record.",
            found=f"{product_month.grid}",
            expected=f"{record.grid}",
            remedy="Ingest it into a record of its own: set TIDENET_HOME or TIDENET_RECORD.",
        )


def refuse_other_mask(record: "CarbonEcs", product_month: "ProductMonth") -> None:
    """Refuse a file whose own ocean mask is not the one that the record began with."""
    from ingest.errors import MaskMismatchError

    if product_month.ocean is None:
        return
    differing = int((product_month.ocean != record.ocean).sum())
    if differing:
        raise MaskMismatchError(
            "The file's ocean mask is not the record's.",
            found=f"{differing} cells differ",
            expected=f"the mask that the record began with, {int(record.ocean.sum())} ocean cells",
            remedy="Ask the provider; a product with a new mask needs a record of its own.",
        )


def not_begun(begin: Month, why: str) -> GapError:
    """Return why a month waits: an earlier one has to begin the record."""
    return GapError(
        f"The record begins with {begin}, which is not there yet.",
        found=why,
        expected=f"a good file of {begin}",
        remedy="Nothing, if that file will come; or correct 'start' in the specification.",
    )


def before_record(error: BeforeRecordError) -> "RefusedFileError":
    """Return a month before the record's first as a refusal of its file."""
    from ingest.errors import TooEarlyError

    return TooEarlyError(
        error.message, found=error.found, expected=error.expected, remedy=error.remedy
    )


def as_check(error: "RefusedFileError") -> ledger.CheckResult:
    """Return a refusal as the structural check that failed."""
    return ledger.CheckResult(
        name=error.check,
        kind="structural",
        severity="error",
        passed=False,
        found=error.found,
        expected=error.expected,
        message=error.message,
    )


def spike_check(n_spikes: int) -> ledger.CheckResult:
    """Return how many spikes were removed, as a check that nothing fails."""
    return ledger.CheckResult(
        name="spikes",
        kind="statistical",
        severity="warning",
        passed=True,
        found=f"{n_spikes} isolated cells removed and completed",
    )


def refusal(report: "CheckReport") -> TidenetError:
    """Return what is wrong with a month that failed checks, as a named error."""
    failures = report.failures
    if report.outcome == "reject":
        remedy = "Look at the file; ask the provider for a corrected one."
    else:
        remedy = 'If it is right all the same: tidenet ingest --accept FILE --reason "...".'
    return ImplausibleMonthError(
        " ".join(dict.fromkeys(failure.message for failure in failures)),
        found="; ".join(f"{failure.name} {failure.found}" for failure in failures),
        expected="; ".join(f"{failure.name} {failure.expected}" for failure in failures),
        remedy=remedy,
    )
