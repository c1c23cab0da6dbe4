"""Where product files arrive: a landing zone on a local folder, S3 or an HTTP listing."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from ingest.errors import FileTooLargeError, SourceUnavailableError
from ingest.specification import ProductSpecification
from storage.months import Month

if TYPE_CHECKING:
    import fsspec

Result = TypeVar("Result")

LARGEST_FILE_BYTES = 2_000_000_000
_BLOCK = 1 << 20


@dataclass(frozen=True)
class ProductFile:
    """A file of a product in a landing zone.

    Parameters
    ----------
    url
        Path or URL, without credentials.
    file_name
        Its name without folders.
    month
        The month that the name says.
    size_bytes
        Its length as listed.
    """

    url: str
    file_name: str
    month: Month
    size_bytes: int


@dataclass(frozen=True)
class Listing:
    """What lies in a landing zone.

    Parameters
    ----------
    files
        Files of the product, by month and name.
    unmatched
        Names of the other files, which no ingest of this product looks at.
    """

    files: tuple[ProductFile, ...]
    unmatched: tuple[str, ...]


@dataclass(frozen=True)
class FetchedFile:
    """A product file on the local disk.

    Parameters
    ----------
    file
        What was fetched.
    path
        Where it lies now.
    sha256
        Hexadecimal digest of its bytes.
    size_bytes
        Its length.
    """

    file: ProductFile
    path: Path
    sha256: str
    size_bytes: int


def list_files(
    landing_url: str,
    specification: ProductSpecification,
    *,
    timeout_s: float = 30.0,
    attempts: int = 4,
) -> Listing:
    """List a landing zone (a folder, ``s3://`` or ``http(s)://`` URL), one level deep.

    Raises
    ------
    SourceUnavailableError
        If it does not exist or does not answer.
    """
    filesystem, path = _filesystem(landing_url, timeout_s)

    def listed() -> list[dict[str, Any]]:
        filesystem.invalidate_cache()
        return [item for item in filesystem.ls(path, detail=True) if item["type"] == "file"]

    files: list[ProductFile] = []
    unmatched: list[str] = []
    for item in _patiently(listed, landing_url, attempts):
        address = str(item["name"])
        name = urlsplit(address).path.rsplit("/", 1)[-1]
        month = specification.month_of(name)
        if month is None:
            unmatched.append(name)
            continue
        url = str(filesystem.unstrip_protocol(address)).removeprefix("file://")
        files.append(ProductFile(_without_credentials(url), name, month, int(item["size"] or 0)))
    files.sort(key=lambda file: (file.month, file.file_name))
    return Listing(tuple(files), tuple(sorted(unmatched)))


def fetch(
    file: ProductFile, folder: Path, *, timeout_s: float = 30.0, attempts: int = 4
) -> FetchedFile:
    """Bring a file to the local disk and checksum it; a local file stays where it is.

    A download goes to a temporary name first, so that a file under its own name is whole.

    Raises
    ------
    SourceUnavailableError
        If it cannot be read.
    FileTooLargeError
        If it is larger than a month of any product can be.
    """
    filesystem, path = _filesystem(file.url, timeout_s)
    local = Path(path) if _is_local(file.url) else None
    target = local or folder / file.file_name

    def copy() -> tuple[str, int]:
        if local is not None:
            return _digest(filesystem, path, file, None)
        part = target.with_name(target.name + ".part")
        digest = _digest(filesystem, path, file, part)
        part.replace(target)
        return digest

    sha256, size = _patiently(copy, file.url, attempts)
    return FetchedFile(file, target, sha256, size)


def _digest(
    filesystem: "fsspec.AbstractFileSystem", path: str, file: ProductFile, copy_to: Path | None
) -> tuple[str, int]:
    """Read a file once: return digest and length, and write it to ``copy_to`` if given."""
    digest, size = hashlib.sha256(), 0
    output = copy_to.open("wb") if copy_to else None
    try:
        with filesystem.open(path, "rb") as source:
            while block := source.read(_BLOCK):
                size += len(block)
                if size > LARGEST_FILE_BYTES:
                    raise FileTooLargeError(
                        f"{file.file_name} is too large for a month of a product.",
                        found=f"more than {LARGEST_FILE_BYTES / 1e9:g} GB",
                        expected=f"at most {LARGEST_FILE_BYTES / 1e9:g} GB",
                        remedy="Look at the file; it is not what its name says.",
                    )
                digest.update(block)
                if output:
                    output.write(block)
    finally:
        if output:
            output.close()
    return digest.hexdigest(), size


def _filesystem(url: str, timeout_s: float) -> "tuple[fsspec.AbstractFileSystem, str]":
    import fsspec

    options: dict[str, Any] = {}
    if url.startswith("s3://"):
        options = {
            "config_kwargs": {"connect_timeout": timeout_s, "read_timeout": timeout_s},
            "use_listings_cache": False,
        }
    elif url.startswith(("http://", "https://")):
        import aiohttp

        options = {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=timeout_s * 20)}}
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except (ValueError, ImportError) as error:
        raise _unavailable(url, error) from error
    return filesystem, path


def _is_local(url: str) -> bool:
    return "://" not in url or url.startswith("file://")


def _patiently(action: Callable[[], Result], url: str, attempts: int) -> Result:
    """Try again what may pass, waiting longer each time; a missing file does not come back."""
    import aiohttp
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
    from tenacity import (
        Retrying,
        retry_if_not_exception_type,
        stop_after_attempt,
        wait_random_exponential,
    )

    final = (FileNotFoundError, PermissionError, NotADirectoryError, FileTooLargeError)
    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        retry=retry_if_not_exception_type(final),
        reraise=True,
    )
    try:
        return retrying(action)
    except (OSError, TimeoutError, aiohttp.ClientError, BotoCoreError) as error:
        raise _unavailable(url, error) from error


def _unavailable(url: str, error: Exception) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"{_without_credentials(url)} cannot be reached.",
        found=f"{type(error).__name__}: {_without_credentials(str(error))}",
        expected="a folder, s3://bucket/prefix or http(s):// listing with product files",
        remedy="Correct TIDENET_LANDING, or put files there; for S3 check the AWS_* variables.",
    )


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
