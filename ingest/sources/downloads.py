"""Remote files on the local disk: each is brought here once, whole and checked, or not at all."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.errors import FileTooLargeError, SourceUnavailableError
from ingest.sources.addresses import is_http, is_local, public_url
from ingest.sources.errors import (
    ChecksumMismatchError,
    DownloadFolderError,
    WebPageInsteadOfDataError,
)
from ingest.sources.filesystem_transfers import filesystem_transfer, foreign_errors
from ingest.sources.http_transfers import http_transfer
from ingest.sources.listing import FetchedFile, ProductFile
from ingest.sources.shelf import Note, Shelf, digest
from ingest.sources.transfers import (
    Part,
    StalePartError,
    Transfer,
    TransferError,
    Validator,
    patiently,
)

if TYPE_CHECKING:
    import requests

LARGEST_FILE_BYTES = 2_000_000_000
LONGEST_WAIT_S = 3600.0
_REMEDY = (
    "Run the same command again: what has arrived is kept and the transfer goes on from there. "
    "If it stays so, ask the provider, or correct the source of the product; for S3 check the "
    "AWS_* variables."
)
_WEB_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_WEB_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head")


class Downloads:
    """A folder of remote files, kept from run to run.

    A file whose URL and validator are those of an earlier download is taken from the folder without
    a word to the server; where the listing gives no validator, the server is asked whether it
    has changed. An interrupted download goes on where it was cut, if the server can and its content
    is the same. Processes that want the same file at once wait for the first of them.

    Parameters
    ----------
    folder
        Where files are kept; made when it is needed.
    timeout_s
        Longest wait for a connection, and for more of an answer (seconds).
    attempts
        Tries before giving up.
    limit_bytes
        Largest file that is accepted.
    open_session
        Makes the HTTP session, logged in where that is needed; called once, before the first
        request.
    """

    def __init__(
        self,
        folder: Path,
        *,
        timeout_s: float = 30.0,
        attempts: int = 4,
        limit_bytes: int = LARGEST_FILE_BYTES,
        open_session: "Callable[[], requests.Session] | None" = None,
    ) -> None:
        self.folder = folder
        self.timeout_s = timeout_s
        self.attempts = attempts
        self.limit_bytes = limit_bytes
        self._open_session = open_session

    @cached_property
    def session(self) -> "requests.Session":
        """The one HTTP session of this object; not to be shared between threads."""
        import requests

        return requests.Session() if self._open_session is None else self._open_session()

    def fetch(self, file: ProductFile, address: str | None = None) -> FetchedFile:
        """Return a file on the local disk; a local file stays where it is.

        Parameters
        ----------
        file
            The file, as listed.
        address
            Where to ask for it, if its URL is shown without a signature that is needed.

        Raises
        ------
        SourceUnavailableError
            If it cannot be had. Subclasses name a refusal, a missing file, a web page in place of
            data, and a wrong checksum.
        FileTooLargeError
            If it is larger than a month of any product can be.
        DownloadFolderError
            If the disk is full or the folder cannot be written.
        """
        if is_local(file.url):
            return self._local(file)
        shelf = Shelf(self.folder, public_url(file.url), file.file_name)
        with self._writing(shelf), self._alone(shelf, file):
            note = shelf.whole()
            if note is None or not file.validator or note.listed != file.validator:
                note = self._refreshed(file, address or file.url, shelf, note)
        return FetchedFile(file, shelf.path, note.sha256, note.size_bytes)

    # --- steps --------------------------------------------------------------------------------

    def _local(self, file: ProductFile) -> FetchedFile:
        path = Path(file.url.removeprefix("file://"))

        def summed() -> FetchedFile:
            with foreign_errors(file.url):
                size = path.stat().st_size
            self._refuse_size(file, size)
            with foreign_errors(file.url):
                return FetchedFile(file, path, digest(path).hexdigest(), size)

        return patiently(summed, file.url, self.attempts, "See that this user may read the file.")

    def _refreshed(self, file: ProductFile, address: str, shelf: Shelf, known: Note | None) -> Note:
        """Return the note of the file as the server has it now, fetching what is new."""

        def attempt() -> Note:
            try:
                return self._received(file, address, shelf, known, shelf.part())
            except StalePartError:
                shelf.discard_part()
                return self._received(file, address, shelf, known, None)

        return patiently(attempt, file.url, self.attempts, _REMEDY)

    def _received(
        self, file: ProductFile, address: str, shelf: Shelf, known: Note | None, part: Part | None
    ) -> Note:
        """Ask for a file, from where an interrupted transfer ended, and put it onto its shelf."""
        with self._transfer(address, part, known.validator if known else None) as transfer:
            if transfer is None:
                assert known is not None
                note = replace(known, listed=file.validator)
                shelf.write(note)
                return note
            _refuse_page(file, transfer)
            self._refuse_length(file, transfer, shelf)
            sha256, size = self._write(file, transfer, shelf)
            note = Note(shelf.url, file.validator, transfer.validator, size, sha256)
        shelf.finish(note)
        return note

    def _transfer(
        self, address: str, part: Part | None, known: Validator | None
    ) -> AbstractContextManager[Transfer | None]:
        if is_http(address):
            return http_transfer(
                self.session, address, timeout_s=self.timeout_s, part=part, known=known
            )
        return filesystem_transfer(address, timeout_s=self.timeout_s, part=part, known=known)

    def _write(self, file: ProductFile, transfer: Transfer, shelf: Shelf) -> tuple[str, int]:
        """Receive a transfer into the part; return digest and length of the whole."""
        algorithm, _, stated = file.checksum.partition(":")
        others = [hashlib.new(algorithm, usedforsecurity=False)] if stated else []
        if transfer.offset:
            sha256 = digest(shelf.part_path, others)
        else:
            shelf.begin(transfer.validator)
            sha256 = hashlib.sha256()
        size = transfer.offset
        with shelf.part_path.open("ab") as output:
            for block in transfer.blocks:
                size += len(block)
                self._refuse_size(file, size, shelf)
                output.write(block)
                for one in (sha256, *others):
                    one.update(block)
        total = transfer.total_bytes
        if total is not None and size < total:  # the part stays, to go on from
            raise TransferError(f"the connection ended after {size} of {total} bytes")
        with _thrown_away(shelf):
            _refuse_other_length(file, transfer, size)
            _refuse_page(file, transfer, shelf.part_path)
            for other in others:
                _refuse_other_checksum(file, algorithm, other.hexdigest(), stated)
        return sha256.hexdigest(), size

    def _refuse_length(self, file: ProductFile, transfer: Transfer, shelf: Shelf) -> None:
        if transfer.total_bytes is None:
            return
        self._refuse_size(file, transfer.total_bytes)
        needed = transfer.total_bytes - transfer.offset
        free = shutil.disk_usage(shelf.home).free
        if needed > free:
            raise self._folder_error(f"{free / 1e6:.1f} MB free", f"{needed / 1e6:.1f} MB")

    def _refuse_size(self, file: ProductFile, size: int, shelf: Shelf | None = None) -> None:
        if size > self.limit_bytes:
            if shelf is not None:
                shelf.discard_part()
            raise FileTooLargeError(
                f"{file.file_name} is too large for a month of a product.",
                found=f"more than {self.limit_bytes / 1e9:g} GB",
                expected=f"at most {self.limit_bytes / 1e9:g} GB",
                remedy="Look at the file; it is not what its name says.",
            )

    # --- the folder ---------------------------------------------------------------------------

    @contextmanager
    def _alone(self, shelf: Shelf, file: ProductFile) -> Iterator[None]:
        from filelock import FileLock, Timeout

        shelf.home.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(shelf.lock_path, timeout=LONGEST_WAIT_S):
                yield
        except Timeout as error:
            raise SourceUnavailableError(
                f"{public_url(file.url)} is being fetched by another process.",
                found=f"its lock was held for {LONGEST_WAIT_S / 60:g} minutes",
                remedy="See what that process is doing, and run the same command again.",
            ) from error

    @contextmanager
    def _writing(self, shelf: Shelf) -> Iterator[None]:
        """Name what the disk refuses, and leave nothing on it that helps to fill it.

        What the network and filesystems raise has a name of its own before it gets here.
        """
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                shelf.discard_part()
            raise self._folder_error(error.strerror or str(error), "") from error

    def _folder_error(self, found: str, expected: str) -> DownloadFolderError:
        return DownloadFolderError(
            f"Downloads cannot be kept in {self.folder}.",
            found=found,
            expected=expected,
            remedy="Free space, or see that this user may write there; then run it again.",
        )


@contextmanager
def _thrown_away(shelf: Shelf) -> Iterator[None]:
    """Throw a part away that turns out to be something else: nothing can be added to it."""
    try:
        yield
    except (TransferError, SourceUnavailableError):
        shelf.discard_part()
        raise


def _refuse_other_length(file: ProductFile, transfer: Transfer, size: int) -> None:
    if transfer.total_bytes is not None and size > transfer.total_bytes:
        raise TransferError(f"{size} bytes came where {transfer.total_bytes} were announced")
    if file.size_bytes and size != file.size_bytes:
        raise TransferError(f"{size} bytes came where the listing says {file.size_bytes}")


def _refuse_page(file: ProductFile, transfer: Transfer, path: Path | None = None) -> None:
    """Refuse a web page in place of data, by what the server calls it or by how it begins."""
    if file.file_name.lower().endswith((".html", ".htm")):
        return
    found = transfer.media_type in _WEB_PAGE_TYPES
    if path is not None:
        with path.open("rb") as received:
            found = received.read(512).lstrip().lower().startswith(_WEB_PAGE_STARTS)
    if found:
        raise WebPageInsteadOfDataError(
            f"{file.file_name} was asked for, and a web page came.",
            found=f"{transfer.media_type or 'a page'} from {public_url(transfer.url)}",
            expected="a data file",
            remedy="Log in: this is what providers send to those who have not, or who have not "
            "agreed to the terms of the data set. Check the credentials in the environment.",
        )


def _refuse_other_checksum(file: ProductFile, algorithm: str, found: str, stated: str) -> None:
    if found != stated.lower():
        raise ChecksumMismatchError(
            f"{file.file_name} did not arrive as the provider has it.",
            found=f"{algorithm} {found}",
            expected=f"{algorithm} {stated}",
            remedy="Run the same command again; if it stays so, tell the provider.",
        )
