"""The ledger: every product file that was looked at, what its checks said, and what became of it.

Rows are only added. A file that is seen again with the same bytes and outcome adds nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from sqlalchemy import Connection, CursorResult, Engine, Row, TableClause, insert, select

from storage import tables as t
from storage.check_result import CheckResult
from storage.database import DatabaseRuleError, reading, transaction, without_credentials
from storage.errors import TidenetError
from storage.ledger_rows import (
    Acceptance,
    FileSeen,
    FileStatus,
    InputFile,
    MonthCommitted,
    MonthRevision,
    Stage,
    Status,
)
from storage.month_revisions import (
    content_of,
    latest_months,
    latest_revision,
    newest_commit,
    preliminary_months,
    revisions_of,
)
from storage.views import quarantine_open, waiting_open

__all__ = [
    "Acceptance",
    "CheckResult",
    "FileSeen",
    "FileStatus",
    "InputFile",
    "LedgerConflictError",
    "MonthCommitted",
    "MonthRevision",
    "Stage",
    "Status",
    "checks_of",
    "content_of",
    "inputs_of",
    "latest_months",
    "latest_revision",
    "newest_commit",
    "open_quarantine",
    "open_waiting",
    "preliminary_months",
    "record_accepted",
    "record_refused",
    "revisions_of",
    "status_of",
]


# What a look holds of the file itself; its inputs are rows of their own.
_FILE_COLUMNS = tuple(field.name for field in fields(FileSeen) if field.name != "inputs")


class LedgerConflictError(TidenetError):
    """A month's revision is already in the ledger with other content."""


def record_accepted(
    engine: Engine,
    file: FileSeen,
    checks: Sequence[CheckResult],
    committed: MonthCommitted,
    acceptance: Acceptance | None = None,
) -> int:
    """Record a file that became a month, and return the key of its month revision.

    The same file and revision again add nothing. Other bytes with the same content as a recorded
    revision (a file that was only written anew) add the file, not a revision.

    Parameters
    ----------
    engine
        The archive database.
    file
        The file; its month is the committed one.
    checks
        What every check said.
    committed
        The commit to the record.
    acceptance
        The person's decision, if a warning was overridden.

    Raises
    ------
    LedgerConflictError
        If this revision of the month is already in the ledger with other content.
    """

    def write(connection: Connection) -> int:
        known = connection.execute(
            select(t.MonthRevision.id, t.MonthRevision.content_hash).where(
                t.MonthRevision.month == committed.month,
                t.MonthRevision.revision == committed.revision,
            )
        ).one_or_none()
        if known is not None and known.content_hash != committed.content_hash:
            raise LedgerConflictError(
                f"Revision {committed.revision} of {committed.month} is already in the ledger.",
                found=f"content {known.content_hash}",
                expected=f"content {committed.content_hash}",
                remedy="Record and database do not belong together: check both URLs.",
            )
        file_id, is_new = _add_look(connection, _Outcome(file, "accepted"), checks)
        if acceptance is not None and is_new:
            values = {"product_file_id": file_id, **asdict(acceptance)}
            connection.execute(insert(t.Acceptance).values(**values))
        if known is not None:
            return int(known.id)
        values = {"product_file_id": file_id, **asdict(committed)}
        return _new_key(connection.execute(insert(t.MonthRevision).values(**values)))

    return _written(engine, write)


def record_refused(
    engine: Engine,
    file: FileSeen,
    status: Literal["waiting", "quarantined"],
    checks: Sequence[CheckResult],
    *,
    message: str,
    remedy: str,
    quarantine_url: str = "",
) -> int:
    """Record a file that was put into quarantine or has to wait, and return the row's key.

    The same bytes with the same outcome and message add nothing.

    Parameters
    ----------
    engine
        The archive database.
    file
        The file.
    status
        ``waiting`` (for an earlier month) or ``quarantined``.
    checks
        What every check said, as far as they were made.
    message, remedy
        Why it was not accepted, and what to do.
    quarantine_url
        Where it was put.
    """
    outcome = _Outcome(file, status, without_credentials(quarantine_url), message, remedy)
    return _written(engine, lambda connection: _add_look(connection, outcome, checks)[0])


def status_of(
    engine: Engine, product: str, sha256: str, *, file_name: str | None = None
) -> FileStatus | None:
    """Return what became of these bytes at their latest look, or None if never seen.

    Parameters
    ----------
    engine
        The archive database.
    product, sha256
        The product and the digest of the bytes.
    file_name
        Count only looks under this name: the same bytes may be right under one name and wrong
        under another.
    """
    query = select(t.ProductFile).where(
        t.ProductFile.product == product, t.ProductFile.sha256 == sha256
    )
    if file_name is not None:
        query = query.where(t.ProductFile.file_name == file_name)
    with reading(engine) as connection:
        row = connection.execute(query.order_by(t.ProductFile.id.desc()).limit(1)).one_or_none()
        if row is None:
            return None
        return _file_status(row, row.id, row.status, _inputs(connection, [row.id]))


def checks_of(engine: Engine, product_file_id: int) -> tuple[CheckResult, ...]:
    """Return the results of every check of a ledger row, in the order they were made."""
    query = (
        select(*(getattr(t.Check, field.name) for field in fields(CheckResult)))
        .where(t.Check.product_file_id == product_file_id)
        .order_by(t.Check.id)
    )
    with reading(engine) as connection:
        return tuple(CheckResult(**row) for row in connection.execute(query).mappings())


def inputs_of(engine: Engine, product_file_id: int) -> tuple[InputFile, ...]:
    """Return the files that a ledger row's month was computed from, by quantity.

    There are none where the month was delivered as one file.
    """
    with reading(engine) as connection:
        return _inputs(connection, [product_file_id])[product_file_id]


def open_quarantine(engine: Engine) -> tuple[FileStatus, ...]:
    """Return the quarantined files that no accepted file has replaced, oldest first."""
    return _open_files(engine, quarantine_open, "quarantined")


def open_waiting(engine: Engine) -> tuple[FileStatus, ...]:
    """Return the files that still wait for an earlier month, oldest first."""
    return _open_files(engine, waiting_open, "waiting")


@dataclass(frozen=True)
class _Outcome:
    file: FileSeen
    status: Status
    quarantine_url: str = ""
    message: str = ""
    remedy: str = ""


def _add_look(
    connection: Connection, outcome: _Outcome, checks: Sequence[CheckResult]
) -> tuple[int, bool]:
    """Add a look at a file, its inputs and checks, unless the latest look had the same outcome.

    Returns the key of the look and whether it is new.
    """
    file = outcome.file
    latest = connection.execute(
        select(t.ProductFile)
        .where(
            t.ProductFile.product == file.product,
            t.ProductFile.file_name == file.file_name,
            t.ProductFile.sha256 == file.sha256,
        )
        .order_by(t.ProductFile.look.desc())
        .limit(1)
    ).one_or_none()
    if latest is not None and _is_same(connection, latest, outcome):
        return int(latest.id), False
    values = {name: getattr(file, name) for name in _FILE_COLUMNS} | {
        "url": without_credentials(file.url),
        "look": 1 if latest is None else latest.look + 1,
        "status": outcome.status,
        "quarantine_url": outcome.quarantine_url,
        "message": outcome.message,
        "remedy": outcome.remedy,
    }
    key = _new_key(connection.execute(insert(t.ProductFile).values(**values)))
    inputs = [{"product_file_id": key, **asdict(one)} for one in _clean(file.inputs)]
    if inputs:
        connection.execute(insert(t.MonthInput), inputs)
    rows = [
        {"product_file_id": key, "checked_at": file.seen_at, **asdict(check)} for check in checks
    ]
    if rows:
        connection.execute(insert(t.Check), rows)
    return key, True


def _is_same(connection: Connection, latest: Row[Any], outcome: _Outcome) -> bool:
    """Return whether the latest look at these bytes had this outcome, from the same inputs."""
    found = (latest.status, latest.message, latest.stage)
    if found != (outcome.status, outcome.message, outcome.file.stage):
        return False
    known = {one.quantity: one.sha256 for one in _inputs(connection, [latest.id])[latest.id]}
    return known == {one.quantity: one.sha256 for one in outcome.file.inputs}


def _clean(inputs: Sequence[InputFile]) -> list[InputFile]:
    return [replace(one, url=without_credentials(one.url)) for one in inputs]


def _inputs(connection: Connection, keys: Sequence[int]) -> Mapping[int, tuple[InputFile, ...]]:
    """Return the inputs of some ledger rows by key; nothing for a row without any."""
    table = t.MonthInput
    query = select(table).where(table.product_file_id.in_(keys))
    found: dict[int, tuple[InputFile, ...]] = defaultdict(tuple)
    # Sorted here: databases differ in how they order text.
    for row in sorted(connection.execute(query), key=lambda row: row.quantity):
        one = InputFile(**{field.name: getattr(row, field.name) for field in fields(InputFile)})
        found[row.product_file_id] += (one,)
    return found


def _written(engine: Engine, write: Callable[[Connection], int]) -> int:
    """Write in one transaction; once more if another writer added the same row meanwhile."""
    try:
        with transaction(engine) as connection:
            return write(connection)
    except DatabaseRuleError as error:
        if "uq_" not in str(error):
            raise
    with transaction(engine) as connection:
        return write(connection)


def _new_key(result: CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def _open_files(engine: Engine, view: TableClause, status: Status) -> tuple[FileStatus, ...]:
    query = select(view).order_by(view.c.product_file_id)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
        inputs = _inputs(connection, [row.product_file_id for row in rows])
    return tuple(_file_status(row, row.product_file_id, status, inputs) for row in rows)


def _file_status(
    row: Row[Any], key: int, status: Status, inputs: Mapping[int, tuple[InputFile, ...]]
) -> FileStatus:
    values = {name: getattr(row, name) for name in _FILE_COLUMNS}
    return FileStatus(
        product_file_id=key,
        file=FileSeen(**values, inputs=inputs[key]),
        status=status,
        quarantine_url=row.quarantine_url,
        message=row.message,
        remedy=row.remedy,
    )
