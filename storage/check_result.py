"""What one check of a product file said, as it travels from ingest to the ledger."""

from dataclasses import dataclass
from typing import Literal

CheckKind = Literal["structural", "statistical"]
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class CheckResult:
    """What one check of one file said.

    Parameters
    ----------
    name
        Name of the check.
    kind
        ``structural`` (is it what it claims to be) or ``statistical`` (is it plausible).
    severity
        What a failure means: ``error`` or ``warning``.
    passed
        Whether the file passed.
    found, expected
        What was there and what should have been there, for people.
    message
        One sentence; empty if passed.
    """

    name: str
    kind: CheckKind
    severity: Severity
    passed: bool
    found: str = ""
    expected: str = ""
    message: str = ""
