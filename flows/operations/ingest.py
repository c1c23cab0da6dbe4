"""Look for product files; check, complete and commit them, one month a transaction.

The order makes a kill at any point harmless. A month is first committed to the record, then written
to the ledger. If the process dies in between, the next run reads the same file, finds that the record
holds just this content, commits nothing and writes the missing ledger row.
"""

import enum
import getpass
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.operations.workspace import Workspace
from ingest.errors import DuplicateMonthError, RefusedFileError
from ingest.specification import ProductSpecification, load_product
from storage.errors import TidenetError
from storage.months import Month

Progress = Callable[[int, int, str], None]


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


def _nothing(done: int, total: int, detail: str) -> None:
    """Show no progress."""
