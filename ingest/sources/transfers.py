"""One answer of a server, received block by block, and the patience to ask again.

A transfer may begin in the middle, where an earlier one was cut, if the server says that its
content is still the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ingest.errors import SourceUnavailableError
from ingest.sources.addresses import public_url
from ingest.sources.errors import ChecksumMismatchError

Result = TypeVar("Result")

BLOCK_BYTES = 1 << 20
_LONGEST_PAUSE_S = 60.0


class TransferError(OSError):
    """An answer that may be better next time."""

    def __init__(self, message: str, *, pause_s: float = 0.0) -> None:
        super().__init__(message)
        self.pause_s = pause_s


class StalePartError(TransferError):
    """What was received before does not belong to what the server holds now."""


@dataclass(frozen=True)
class Validator:
    """What a server says about the content behind a URL, to recognise it by.

    Parameters
    ----------
    etag
        Its entity tag as sent, or what a filesystem says about a file.
    last_modified
        Its HTTP date of change.
    resumable
        Whether the same words mean the same bytes, so that an interrupted transfer may go on.
    """

    etag: str = ""
    last_modified: str = ""
    resumable: bool = False

    def __bool__(self) -> bool:
        """Whether the server says anything."""
        return bool(self.etag or self.last_modified)

    @property
    def condition(self) -> str:
        """The words for ``If-Range``."""
        return self.etag or self.last_modified


@dataclass(frozen=True)
class Part:
    """The beginning of a file, from an interrupted transfer: its length and what it is of."""

    size_bytes: int
    validator: Validator


@dataclass(frozen=True)
class Transfer:
    """An answer that is about to be received.

    Parameters
    ----------
    validator
        What the server says about the whole content.
    offset
        Position of the first byte that comes.
    total_bytes
        Length of the whole content; None if the server does not say.
    media_type
        Of the content, in small letters; empty if the server does not say.
    url
        Where it comes from, redirections followed. May hold a signature: never shown as it is.
    blocks
        The bytes.
    """

    validator: Validator
    offset: int
    total_bytes: int | None
    media_type: str
    url: str
    blocks: Iterator[bytes]


def patiently(action: Callable[[], Result], url: str, attempts: int, remedy: str) -> Result:
    """Try again what may pass, waiting longer each time or as long as the server asks.

    Raises
    ------
    SourceUnavailableError
        If the last attempt failed as well. What no repetition mends is raised at once, as it is.
    """
    from tenacity import (
        RetryCallState,
        Retrying,
        retry_if_exception_type,
        stop_after_attempt,
        wait_random_exponential,
    )

    exponential = wait_random_exponential(multiplier=0.5, max=20)

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.pause_s if isinstance(error, TransferError) else 0.0
        return max(exponential(state), min(asked, _LONGEST_PAUSE_S))

    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=pause,
        retry=retry_if_exception_type((TransferError, ChecksumMismatchError)),
        reraise=True,
    )
    try:
        return retrying(action)
    except TransferError as error:
        raise SourceUnavailableError(
            f"{public_url(url)} cannot be reached.", found=error, remedy=remedy
        ) from error
