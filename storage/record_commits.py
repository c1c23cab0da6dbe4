"""Commits to the record: each looks at the newest snapshot first, and again after a lost race."""

import importlib.metadata
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import icechunk
import zarr

from storage.array_layout import months_of
from storage.flux_month import FluxMonth
from storage.handover_text import canonical_text, text_sha256
from storage.icechunk_repository import Conflict, Repository
from storage.month_checks import month_differences
from storage.outside import redact
from storage.record_errors import ConcurrentWriteError, RecordExistsError, RecordMismatchError
from storage.record_handovers import add_handover, handovers_of
from storage.record_months import holds, place_for, values_of, write_month
from storage.record_template import RecordTemplate

Done = TypeVar("Done")

# Each lost race means that another writer got on, so many tries are no sign of trouble.
COMMIT_TRIES = 20


@dataclass(frozen=True)
class Commit:
    """What became of a month.

    Parameters
    ----------
    snapshot_id
        The data version that holds it.
    changed
        Whether a new snapshot was made.
    content_hash
        Hexadecimal SHA-256 of the arrays as stored.
    revision
        1 for the first content of the month, one more for each other content since.
    """

    snapshot_id: str
    changed: bool
    content_hash: str
    revision: int


def commit_template(repository: Repository, template: RecordTemplate) -> None:
    """Commit an empty record.

    Raises
    ------
    RecordExistsError
        If another process was quicker.
    """
    session, group = repository.session()
    repository.write(lambda: template.write(group))
    try:
        repository.commit(session, "Create the record", {"grid": template.grid.name})
    except Conflict:
        raise RecordExistsError(
            "Another process created a record at the same time.",
            found=repository.location.url,
            remedy="Open it.",
        ) from None


def commit_month(repository: Repository, template: RecordTemplate, month: FluxMonth) -> Commit:
    """Commit a month at stored precision in one transaction.

    Raises as `storage.carbon_ecs.CarbonEcs.commit_month`.
    """

    def once() -> Commit:
        session, group = repository.session()
        compare(repository, template, group)
        months = repository.read(lambda: months_of(values_of(group, "time")))
        position = place_for(month.month, months)
        content_hash = month.content_hash()
        revision = 1
        if position < len(months):
            revision = repository.read(lambda: int(values_of(group, "revision")[position]))
            if repository.read(lambda: holds(group, position, month)):
                return Commit(session.snapshot_id, False, content_hash, revision)
            revision += 1
        repository.write(lambda: write_month(group, position, month, revision))
        return _commit_session(repository, session, month, revision, content_hash)

    return with_retries(repository, once, f"{month.month} was")


def commit_handover(repository: Repository, template: RecordTemplate, text: str) -> str:
    """Commit one more hand-over of the record's attributes and return the snapshot that holds it.

    Raises as `storage.carbon_ecs.CarbonEcs.add_handover`.
    """
    wanted = canonical_text(text)

    def once() -> str:
        session, group = repository.session()
        compare(repository, template, group)
        known = handovers_of(dict(group.attrs))
        if wanted in known:
            return session.snapshot_id
        repository.write(lambda: add_handover(group, wanted))
        parameters = json.loads(wanted)
        products = {
            name: parameters[name] for name in ("old_product", "new_product") if name in parameters
        }
        metadata = {"handover_sha256": text_sha256(wanted), **products, "software": software()}
        between = " to ".join(str(name) for name in products.values())
        message = f"Hand-over {len(known) + 1}: {between or 'products not named'}"
        return repository.commit(session, message, metadata)

    return with_retries(repository, once, "The hand-over was")


def compare(repository: Repository, template: RecordTemplate, group: zarr.Group) -> None:
    """Raise RecordMismatchError, with every difference, unless a stored record is as declared."""
    differences = repository.read(lambda: template.differences(group))
    if differences:
        raise RecordMismatchError.listing(
            f"The record at {repository.location.url} differs from its declaration.",
            differences,
            "Use the product, grid and software version that the record was made with, or "
            "make a new record at another URL and ingest into it; nothing was written.",
        )


def compare_month(repository: Repository, template: RecordTemplate, month: FluxMonth) -> None:
    """Raise RecordMismatchError, with every difference, unless a month fits the record."""
    differences = month_differences(template, month)
    if differences:
        raise RecordMismatchError.listing(
            f"{month.month} does not fit the record at {repository.location.url}.",
            differences,
            "Check the product's grid, orientation and mask, and its specification; the "
            "record was not touched.",
        )


def with_retries(repository: Repository, once: Callable[[], Done], what: str) -> Done:
    """Commit with the right to write, and again after each lost race.

    Raises
    ------
    ConcurrentWriteError
        If other writers did not let this one through in time; ``what`` begins its message.
    """
    with repository.writing():
        for attempt in range(COMMIT_TRIES):
            try:
                return once()
            except Conflict:
                # Unequal waits, so that two writers do not meet again and again.
                time.sleep(random.uniform(0, min(1.0, 0.05 * 2**attempt)))  # noqa: S311
    raise ConcurrentWriteError(
        f"{what} not committed: other writers were quicker each time.",
        found=f"{COMMIT_TRIES} lost tries at {repository.location.url}",
        remedy="Run fewer writers at once, then run the same command again.",
    )


def _commit_session(
    repository: Repository,
    session: icechunk.Session,
    month: FluxMonth,
    revision: int,
    content_hash: str,
) -> Commit:
    metadata: dict[str, Any] = {
        "month": str(month.month),
        "revision": revision,
        "product": month.source.product,
        "source_sha256": month.source.sha256,
        "source_url": redact(month.source.url),
        "content_hash": content_hash,
        "software": software(),
    }
    message = f"{month.month}, revision {revision}, from {month.source.product}"
    snapshot_id = repository.commit(session, message, metadata)
    return Commit(snapshot_id, True, content_hash, revision)


def software() -> str:
    """Return the name and version of this software, as commits record it."""
    return f"tidenet {importlib.metadata.version('tidenet')}"
