"""Why a product file is refused or has to wait, as named errors and as check results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from storage import ledger
from storage.errors import TidenetError
from storage.months import Month
from storage.months import month as parse_month
from storage.record_errors import BeforeRecordError, GapError

if TYPE_CHECKING:
    from ingest.completion.complete import Completion
    from ingest.errors import RefusedFileError
    from ingest.quality import CheckReport
    from ingest.reader import ProductMonth
    from ingest.specification import Product
    from storage.carbon_ecs import CarbonEcs
    from storage.grid import Grid


class ImplausibleMonthError(TidenetError):
    """A month failed statistical checks."""


class HandOverNeededError(TidenetError):
    """A product is to follow another one, and nobody has compared the two."""


def duplicate(month: str, urls: "Sequence[str]") -> "RefusedFileError":
    """Return the refusal of a month that several files claim to be."""
    from ingest.errors import DuplicateMonthError

    return DuplicateMonthError(
        f"Several files claim to be {month}.",
        found=", ".join(urls),
        expected="one file a month",
        remedy="Leave the right one in the landing zone and take the others away.",
    )


def refuse_too_early(month: Month, start: str | None) -> None:
    """Refuse a month before the one that the product's record begins with."""
    from ingest.errors import TooEarlyError

    if start is not None and month < parse_month(start):
        raise TooEarlyError(
            f"{month} lies before the product's first month.",
            found=str(month),
            expected=f"{start} or later",
            remedy="Correct 'start' in the specification if the record is to begin earlier.",
        )


def on_record_grid(
    product_month: "ProductMonth", product: "Product", grid: "Grid"
) -> "ProductMonth":
    """Return a month on the record's grid, regridded where its product says that it may be.

    Raises
    ------
    RecordMismatchError
        If the product is on another grid, and not meant for a record on this one.
    """
    from ingest.regridding.regrid import regrid_month
    from storage.carbon_ecs import RecordMismatchError

    if product_month.grid == grid:
        return product_month
    if product.grid_of_record == grid:
        return regrid_month(product_month, grid)
    raise RecordMismatchError(
        "The product is on another grid than the record.",
        found=f"{product_month.grid}",
        expected=f"{grid}",
        remedy="Name the record's grid as record_grid in the product specification to have it "
        "regridded, or ingest it into a record of its own: set TIDENET_HOME or TIDENET_RECORD.",
    )


def refuse_other_mask(
    record: "CarbonEcs", product_month: "ProductMonth", product: "Product"
) -> None:
    """Refuse a file whose own ocean mask is not the one that the record began with.

    The mask of a product that was regridded, or followed another one, may differ at the coast.
    """
    from ingest.errors import MaskMismatchError

    if product_month.ocean is None or product.target_grid != record.grid:
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


def handover_needed(old: str, new: str) -> HandOverNeededError:
    """Return why a product cannot follow another one yet."""
    return HandOverNeededError(
        f"The record was made from {old}; {new} would put a step into it.",
        found=f"no hand-over from {old} to {new}",
        expected="one fitted on the months that both products have",
        remedy=f"Run: tidenet handover --to {new}",
    )


def spike_check(completion: "Completion") -> ledger.CheckResult:
    """Return how many spikes were removed, as a check that nothing fails."""
    return ledger.CheckResult(
        name="spikes",
        kind="statistical",
        severity="warning",
        passed=True,
        found=f"{completion.n_spikes} isolated cells removed and completed "
        f"({completion.spike_rate:.2%} of those delivered)",
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
