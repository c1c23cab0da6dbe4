"""Files of any filesystem that fsspec reaches, S3 above all, received block by block."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from ingest.errors import SourceUnavailableError
from ingest.sources.addresses import public_url, reason
from ingest.sources.errors import SourceFileMissingError, SourceForbiddenError
from ingest.sources.transfers import BLOCK_BYTES, Part, Transfer, TransferError, Validator

if TYPE_CHECKING:
    import fsspec


def open_filesystem(url: str, timeout_s: float) -> "tuple[fsspec.AbstractFileSystem, str]":
    """Return the fsspec filesystem that reaches a URL, and the path in it.

    Raises
    ------
    SourceUnavailableError
        If fsspec knows no such filesystem, or its package is not installed.
    """
    import fsspec

    options: dict[str, Any] = {}
    if url.startswith("s3://"):
        options = {
            "config_kwargs": {"connect_timeout": timeout_s, "read_timeout": timeout_s},
            "use_listings_cache": False,
        }
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except (ValueError, ImportError) as error:
        raise SourceUnavailableError(
            f"{public_url(url)} cannot be reached.",
            found=reason(error),
            expected="a folder, s3://bucket/prefix or http(s):// listing with product files",
            remedy="Correct the landing zone (TIDENET_LANDING, or source.url of the product).",
        ) from error
    return filesystem, path


@contextmanager
def filesystem_transfer(
    url: str, *, timeout_s: float, part: Part | None = None, known: Validator | None = None
) -> Iterator[Transfer | None]:
    """Open a file of a filesystem as `http_transfer` asks a server. Raises as it does."""
    filesystem, path = open_filesystem(url, timeout_s)
    with foreign_errors(url):
        handle = filesystem.open(path, "rb", block_size=8 * BLOCK_BYTES)
    with closing(handle):
        with foreign_errors(url):
            details = getattr(handle, "details", None) or filesystem.info(path)
        validator = Validator(content_word(details), resumable=True)
        if known and known.etag == validator.etag:
            yield None
            return
        resumes = part is not None and validator and part.validator.etag == validator.etag
        offset = part.size_bytes if part is not None and resumes else 0
        size = details.get("size")
        yield Transfer(
            validator=validator,
            offset=offset,
            total_bytes=None if size is None else int(size),
            media_type="",
            url=url,
            blocks=_file_blocks(handle, offset, url),
        )


def _file_blocks(handle: Any, offset: int, url: str) -> Iterator[bytes]:
    with foreign_errors(url):
        handle.seek(offset)
    while True:
        with foreign_errors(url):
            block = handle.read(BLOCK_BYTES)
        if not block:
            return
        yield block


@contextmanager
def foreign_errors(url: str) -> Iterator[None]:
    """Name what a filesystem raises; clients of object stores each have errors of their own.

    Raises
    ------
    SourceForbiddenError, SourceFileMissingError
        For what no repetition mends.
    TransferError
        For everything else.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise SourceFileMissingError(
            f"{public_url(url)} does not exist.",
            found=reason(error),
            remedy="Correct the landing zone (TIDENET_LANDING, or source.url of the product), or "
            "put files there.",
        ) from error
    except PermissionError as error:
        raise SourceForbiddenError(
            f"{public_url(url)} may not be read.",
            found=reason(error),
            remedy="See that this user may read it; for S3 check the AWS_* variables.",
        ) from error
    except Exception as error:
        raise TransferError(reason(error)) from error


def content_word(details: dict[str, Any]) -> str:
    """Return what a filesystem says about a file's content: ETag, or time of change and length."""
    for key in ("ETag", "etag", "md5Hash", "md5"):
        if details.get(key):
            return str(details[key]).strip('"')
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        if details.get(key):
            return f"{details[key]} {details.get('size')}"
    return ""
