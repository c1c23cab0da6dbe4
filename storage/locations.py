"""A place to keep things: a local folder or an ``s3://`` URL, one way to reach both.

The endpoint and the credentials of S3 come from the usual ``AWS_*`` environment variables. Nothing
that is said about a location shows a credential, and nothing waits on one without a limit.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from storage.errors import TidenetError
from storage.outside import redact

if TYPE_CHECKING:
    import fsspec
    import icechunk

Result = TypeVar("Result")


class InvalidLocationError(TidenetError):
    """A text is neither a folder nor an ``s3://`` URL."""


class StoreUnavailableError(TidenetError):
    """A store cannot be read or written: damaged, full, forbidden or out of reach."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for the outside.

    Parameters
    ----------
    timeout_s
        Longest wait for one answer (seconds).
    attempts
        Tries before giving up.
    """

    timeout_s: float = 30.0
    attempts: int = 4


@dataclass(frozen=True)
class Location:
    """A local folder, or a prefix of an S3 bucket.

    Parameters
    ----------
    scheme
        ``file`` or ``s3``.
    path
        Absolute path of the folder, or ``bucket/prefix``.
    """

    scheme: str
    path: str

    @classmethod
    def parse(cls, url: str | Path) -> "Location":
        """Return the location that a path, ``file://`` or ``s3://`` URL names.

        Raises
        ------
        InvalidLocationError
            For any other URL, for one without a bucket, or with credentials in it.
        """
        text = str(url).strip()
        parts = urlsplit(text)
        if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc:
            return cls("s3", f"{parts.netloc}/{parts.path.strip('/')}".rstrip("/"))
        if text and "://" not in text:
            return cls("file", str(Path(text).expanduser().absolute()))
        if parts.scheme == "file" and parts.path:
            return cls("file", str(Path(unquote(parts.path)).absolute()))
        raise InvalidLocationError(
            "This does not name a place to keep things.",
            found=repr(redact(text)),
            expected="a folder, or s3://bucket/prefix",
            remedy="Correct the URL. Credentials for S3 belong into AWS_* environment variables.",
        )

    @property
    def url(self) -> str:
        """The path of a folder as it is; ``s3://bucket/prefix`` otherwise."""
        return self.path if self.is_local else f"s3://{self.path}"

    @property
    def is_local(self) -> bool:
        """Whether this is a folder of this machine."""
        return self.scheme == "file"

    @property
    def folder(self) -> Path:
        """The folder of a local location."""
        return Path(self.path)

    @property
    def bucket(self) -> str:
        """The bucket of an S3 location."""
        return self.path.partition("/")[0]

    @property
    def prefix(self) -> str:
        """The part of an S3 location after the bucket."""
        return self.path.partition("/")[2]

    def joined(self, name: str) -> "Location":
        """Return a location below this one."""
        return Location(self.scheme, f"{self.path}/{name}")

    def filesystem(self, patience: Patience) -> "fsspec.AbstractFileSystem":
        """Return the fsspec filesystem that reaches this location, with `path` as its address."""
        import fsspec

        return fsspec.filesystem(self.scheme, **self.storage_options(patience))

    def storage_options(self, patience: Patience) -> dict[str, Any]:
        """Return the options that fsspec (and xarray through it) needs for this location."""
        if self.is_local:
            return {}
        return {
            "endpoint_url": s3_endpoint(),
            "client_kwargs": {"region_name": s3_region()},
            "use_listings_cache": False,
            # Named, so that fsspec does not reuse a client that was made with other keys.
            "key": os.environ.get("AWS_ACCESS_KEY_ID"),
            "secret": os.environ.get("AWS_SECRET_ACCESS_KEY"),
            "token": os.environ.get("AWS_SESSION_TOKEN"),
            "config_kwargs": {
                "connect_timeout": patience.timeout_s,
                "read_timeout": patience.timeout_s,
                "retries": {"total_max_attempts": patience.attempts, "mode": "standard"},
                "s3": {"addressing_style": "path" if s3_endpoint() else "auto"},
                # Checksums in trailers are newer than many S3 servers.
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            },
        }

    def repository_storage(self) -> "icechunk.Storage":
        """Return the Icechunk storage of this location."""
        import icechunk

        if self.is_local:
            return icechunk.local_filesystem_storage(self.path)
        endpoint = s3_endpoint()
        return icechunk.s3_storage(
            bucket=self.bucket,
            prefix=self.prefix or None,
            region=s3_region(),
            endpoint_url=endpoint,
            allow_http=(endpoint or "").startswith("http://"),
            force_path_style=endpoint is not None,
            from_env=True,
        )


def s3_endpoint() -> str | None:
    """Return the S3 endpoint of the environment; None for Amazon's own."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def s3_region() -> str:
    """Return the S3 region of the environment."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def unavailable(location: Location, action: str, error: BaseException) -> StoreUnavailableError:
    """Return the named error for a store that refused an action, without its credentials."""
    reason = redact(_reason(error))
    return StoreUnavailableError(
        f"The store at {location.url} could not be {action}.",
        found=reason,
        remedy=_remedy(location, reason),
    )


@contextmanager
def storage_errors(location: Location, action: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a filesystem or client raises into `StoreUnavailableError`."""
    caught: tuple[type[Exception], ...] = (OSError, *kinds)
    if not location.is_local:
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            ClientError,
        )

        caught = (*caught, BotoCoreError, ClientError)
    try:
        yield
    except caught as error:
        raise unavailable(location, action, error) from error


def _reason(error: BaseException) -> str:
    """Return what happened in one line; Icechunk's errors are reports of many lines."""
    lines = [line.strip(" \t|x×>`-├╰─▶") for line in str(error).splitlines()]
    kept: list[str] = []
    for line in lines:
        if line.startswith(("context:", "at ", "with ")) or re.match(r"\d+: ", line):
            continue
        if line and line not in kept:
            kept.append(line)
    return f"{type(error).__name__}: {'; '.join(kept)}" if kept else type(error).__name__


def _remedy(location: Location, reason: str) -> str:
    if "No space left" in reason or "File too large" in reason or "quota" in reason.lower():
        return "Free space and run the same command again; what was committed before is untouched."
    if location.is_local:
        return (
            "Check that the folder is whole and that this user may read and write it; if files are "
            "damaged, restore it from its last copy."
        )
    return (
        "Check AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, that the bucket "
        "exists and that the key may use it, then run the same command again."
    )
