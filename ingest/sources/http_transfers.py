"""Files and pages over HTTP, received block by block.

Nothing waits without a limit: connecting and every read have one, and a server that only drips is
given up as one that is silent.
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ingest.errors import SourceUnavailableError
from ingest.sources.addresses import public_url, reason
from ingest.sources.errors import SourceFileMissingError, SourceForbiddenError
from ingest.sources.transfers import (
    BLOCK_BYTES,
    Part,
    StalePartError,
    Transfer,
    TransferError,
    Validator,
)

if TYPE_CHECKING:
    import requests

SLOWEST_BYTES_PER_S = 100
_WORTH_ANOTHER_TRY = (408, 425, 429)


@contextmanager
def http_transfer(
    session: "requests.Session",
    url: str,
    *,
    timeout_s: float,
    part: Part | None = None,
    known: Validator | None = None,
) -> Iterator[Transfer | None]:
    """Ask for a file, from where ``part`` ends; yield None if it is still the ``known`` one.

    Raises
    ------
    TransferError
        For what may be better next time.
    SourceForbiddenError, SourceFileMissingError, SourceUnavailableError
        For what will not.
    """
    with closing(_get(session, url, _conditions(part, known), timeout_s)) as response:
        if response.status_code == 304 and known:
            yield None
            return
        _refuse_status(response, url)
        offset, total = _extent(response, part)
        yield Transfer(
            validator=_validator(response),
            offset=offset,
            total_bytes=total,
            media_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            url=response.url,
            blocks=_http_blocks(response, timeout_s),
        )


def _conditions(part: Part | None, known: Validator | None) -> dict[str, str]:
    # Compressed on the way, a file's length and ranges would be those of other bytes.
    headers = {"Accept-Encoding": "identity"}
    if part is not None:
        headers["Range"] = f"bytes={part.size_bytes}-"
        headers["If-Range"] = part.validator.condition
    elif known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    elif known is not None and known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    return headers


def _get(
    session: "requests.Session", url: str, headers: dict[str, str], timeout_s: float
) -> "requests.Response":
    import requests

    try:
        return session.get(url, headers=headers, stream=True, timeout=(timeout_s, timeout_s))
    except (requests.ConnectionError, requests.Timeout) as error:
        raise TransferError(reason(error)) from error
    except requests.RequestException as error:
        raise SourceUnavailableError(
            f"{public_url(url)} cannot be asked for.",
            found=reason(error),
            remedy="Correct the URL; look at where the server redirects to.",
        ) from error


def _refuse_status(response: "requests.Response", url: str) -> None:
    status, said = response.status_code, f"HTTP {response.status_code} {response.reason or ''}"
    if status in (200, 206):
        return
    if status == 416:
        raise StalePartError(f"{said.strip()}: the server's file ends before what was received")
    if status >= 500 or status in _WORTH_ANOTHER_TRY:
        asked = response.headers.get("Retry-After", "")
        raise TransferError(said.strip(), pause_s=float(asked) if asked.isdigit() else 0.0)
    kind, remedy = SourceUnavailableError, "Look at the URL with a browser."
    if status in (401, 403):
        kind = SourceForbiddenError
        remedy = "Give the right credentials, and see that this account may read the data."
    elif status in (404, 410):
        kind = SourceFileMissingError
        remedy = "List the source again; correct its URL if it has moved."
    raise kind(
        f"{public_url(url)} is not handed out.", found=said.strip(), expected="200", remedy=remedy
    )


def _extent(response: "requests.Response", part: Part | None) -> tuple[int, int | None]:
    """Return where the answer begins and how long the whole content is."""
    if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise SourceUnavailableError(
            f"{public_url(response.url)} is sent compressed though it was asked for as it is.",
            found=f"Content-Encoding: {response.headers['Content-Encoding']}",
            expected="the bytes of the file",
            remedy="Ask the provider to serve data files without compression on the way.",
        )
    length = response.headers.get("Content-Length", "")
    if response.status_code == 200:
        return 0, int(length) if length.isdigit() else None
    unit, _, text = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = text.partition("/")
    first = span.partition("-")[0]
    asked = part.size_bytes if part is not None else 0
    same = part is not None and _validator(response).condition in ("", part.validator.condition)
    if unit != "bytes" or first != str(asked) or not same:
        raise StalePartError("the server does not continue where the transfer was cut")
    return asked, int(total) if total.isdigit() else None


def _validator(response: "requests.Response") -> Validator:
    etag = response.headers.get("ETag", "")
    changed = response.headers.get("Last-Modified", "")
    if etag:
        return Validator(etag, changed, resumable=not etag.startswith("W/"))
    return Validator("", changed, resumable=_is_settled(changed, response.headers.get("Date", "")))


def _is_settled(changed: str, now: str) -> bool:
    """Whether a date, told in seconds, cannot hide a second change (RFC 9110, 8.8.2.2)."""
    try:
        age = parsedate_to_datetime(now) - parsedate_to_datetime(changed)
    except (ValueError, TypeError):
        return False
    return age.total_seconds() >= 60


def _http_blocks(response: "requests.Response", timeout_s: float) -> Iterator[bytes]:
    """Yield bytes as they come; `read1` returns with what is there, so that a drip is noticed."""
    from urllib3.exceptions import HTTPError

    since, received = time.monotonic(), 0
    while True:
        try:
            block = response.raw.read1(BLOCK_BYTES, decode_content=False)
        except (HTTPError, OSError) as error:
            raise TransferError(reason(error)) from error
        if not block:
            return
        yield block
        received += len(block)
        elapsed = time.monotonic() - since
        if elapsed >= timeout_s:
            if received < SLOWEST_BYTES_PER_S * elapsed:
                raise TransferError(f"only {received} bytes came in {elapsed:.0f} seconds")
            since, received = time.monotonic(), 0
