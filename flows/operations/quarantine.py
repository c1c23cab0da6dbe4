"""Refused files: a copy of the bytes beside a report that says why, kept until somebody looks."""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from storage.ledger import CheckResult, FileSeen
from storage.locations import Location, Patience
from storage.publishing import AlreadyPublishedError, publish

REPORT = "report.json"


def put_into_quarantine(
    quarantine_url: str,
    files: Sequence[Path],
    seen: FileSeen,
    checks: Sequence[CheckResult],
    message: str,
    patience: Patience,
) -> str:
    """Copy refused files beside a report into quarantine, and return the URL of both.

    Those that a month was computed from are only named in the report. The provider's files stay
    where they are. The same bytes refused again change nothing.

    Raises
    ------
    StoreUnavailableError
        If the quarantine cannot be written to.
    """
    place = Location.parse(quarantine_url).joined(seen.product)
    location = place.joined(f"{seen.sha256[:12]}-{seen.file_name}")
    report = {
        "file": seen.url,
        "sha256": seen.sha256,
        "month": str(seen.month) if seen.month is not None else None,
        "seen_at": seen.seen_at.isoformat(),
        "message": message,
        "checks": [dataclasses.asdict(check) for check in checks],
        "inputs": [dataclasses.asdict(item) for item in seen.inputs],
    }

    def fill(folder: Path) -> None:
        for file in files:
            shutil.copyfile(file, folder / seen.file_name)
        (folder / REPORT).write_text(json.dumps(report, indent=1) + "\n")

    with contextlib.suppress(AlreadyPublishedError):  # the same bytes were refused before
        publish(location, patience, fill, REPORT)
    return location.url
