"""A landing zone: a folder, an object store or an HTTP listing where files of a product arrive."""

from collections.abc import Sequence
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from ingest.errors import SourceUnavailableError
from ingest.sources.addresses import (
    file_name_of,
    is_http,
    is_local,
    login_of,
    public_url,
    reason,
    without_login,
)
from ingest.sources.downloads import Downloads
from ingest.sources.errors import WebPageInsteadOfDataError
from ingest.sources.filesystem_transfers import content_word, foreign_errors, open_filesystem
from ingest.sources.http_transfers import http_transfer
from ingest.sources.listing import FetchedFile, Listing, ProductFile
from ingest.sources.transfers import Transfer, patiently

if TYPE_CHECKING:
    import requests

    from ingest.specification import ProductSpecification

LARGEST_PAGE_BYTES = 50_000_000
_REMEDY = (
    "Correct the landing zone (TIDENET_LANDING, or source.url of the product); for S3 check the "
    "AWS_* variables."
)


class LandingZone:
    """Files of a product in a landing zone, one level deep.

    An HTTP listing is a web page with links, as web servers write for a folder. fsspec reads such
    pages too, but without a limit on their length, and with the password in every name.

    Parameters
    ----------
    url
        A folder, or a URL of any scheme that fsspec knows. An HTTP URL may hold user and password.
    specification
        The product; it knows its files by name.
    folder
        Where remote files are kept.
    timeout_s, attempts
        Longest wait for an answer (seconds), and tries before giving up.

    Raises
    ------
    SourceUnavailableError
        If an HTTP URL cannot be understood.
    """

    def __init__(
        self,
        url: str,
        specification: "ProductSpecification",
        folder: Path,
        *,
        timeout_s: float = 30.0,
        attempts: int = 4,
    ) -> None:
        self.url = url
        self.specification = specification
        self.downloads = Downloads(
            folder,
            timeout_s=timeout_s,
            attempts=attempts,
            open_session=partial(_session, self._login()),
        )
        self._addresses: dict[str, str] = {}

    def _login(self) -> tuple[str, str] | None:
        try:
            return login_of(self.url)
        except ValueError as error:
            raise SourceUnavailableError(
                "The landing zone is not a URL.",
                found=reason(error),
                expected="a folder, s3://bucket/prefix or http(s)://host/folder/",
                remedy=_REMEDY,
            ) from error

    @property
    def place(self) -> str:
        """Where this is, without credentials."""
        return public_url(self.url)

    def list(self) -> Listing:
        """List the landing zone.

        Raises
        ------
        SourceUnavailableError
            If it does not exist or does not answer.
        """
        listed = self._http_files if is_http(self.url) else self._filesystem_files
        found = patiently(listed, self.url, self.downloads.attempts, _REMEDY)
        return Listing.of(found, self.specification.matches)

    def fetch(self, file: ProductFile) -> FetchedFile:
        """Return a listed file on the local disk. Raises as `Downloads.fetch`."""
        return self.downloads.fetch(file, self._addresses.get(file.url))

    # --- steps --------------------------------------------------------------------------------

    def _filesystem_files(self) -> Sequence[ProductFile]:
        filesystem, path = open_filesystem(self.url, self.downloads.timeout_s)
        with foreign_errors(self.url):
            filesystem.invalidate_cache()
            items = [item for item in filesystem.ls(path, detail=True) if item["type"] == "file"]
        files = []
        for item in items:
            url = str(filesystem.unstrip_protocol(str(item["name"])))
            url = url.removeprefix("file://") if is_local(url) else public_url(url)
            name = file_name_of(url)
            month = self.specification.month_of(name)
            files.append(ProductFile(url, name, month, int(item["size"] or 0), content_word(item)))
        return files

    def _http_files(self) -> Sequence[ProductFile]:
        address = _as_folder(without_login(self.url))
        waiting = self.downloads.timeout_s
        with http_transfer(self.downloads.session, address, timeout_s=waiting) as transfer:
            assert transfer is not None
            page = _Page(_read(transfer))
            base = transfer.url
        moved = urlsplit(base).hostname != urlsplit(address).hostname
        if moved or page.asks_for_password:
            raise WebPageInsteadOfDataError(
                f"{self.place} answers with another page.",
                found="a login form" if page.asks_for_password else f"{public_url(base)}",
                expected="a listing of files",
                remedy=_REMEDY,
            )
        addresses = {public_url(link): link for link in _files_of(base, page.links)}
        self._addresses |= addresses
        names = {url: file_name_of(url) for url in addresses}
        month_of = self.specification.month_of
        return [ProductFile(url, name, month_of(name), 0) for url, name in names.items()]


def _session(login: tuple[str, str] | None) -> "requests.Session":
    import requests

    session = requests.Session()
    session.auth = login
    return session


def _as_folder(url: str) -> str:
    """Return a URL with a slash at its end, so that links are relative to it, not to its parent."""
    parts = urlsplit(url)
    if parts.query or parts.path.endswith(("/", ".html", ".htm", ".php")):
        return url
    return parts._replace(path=f"{parts.path}/").geturl()


def _files_of(base: str, links: list[str]) -> list[str]:
    """Return the links of a page that are files in its own folder."""
    here = urlsplit(base)
    folder = here.path.rpartition("/")[0] + "/"
    found = []
    for link in links:
        try:
            parts = urlsplit(urljoin(base, link))
        except ValueError:  # a link that is no URL
            continue
        address = parts._replace(fragment="").geturl()
        same_host = (parts.scheme, parts.netloc) == (here.scheme, here.netloc)
        beside = parts.path.rpartition("/")[0] + "/" == folder and parts.path != here.path
        if same_host and beside and _is_file_name(file_name_of(address)):
            found.append(address)
    return found


def _is_file_name(name: str) -> bool:
    return name.isprintable() and name not in ("", ".", "..")


def _read(transfer: Transfer) -> str:
    content = bytearray()
    for block in transfer.blocks:
        content += block
        if len(content) > LARGEST_PAGE_BYTES:
            raise SourceUnavailableError(
                f"{public_url(transfer.url)} is too long for a listing of files.",
                found=f"more than {LARGEST_PAGE_BYTES / 1e6:g} MB",
                remedy=_REMEDY,
            )
    return content.decode("utf-8", errors="replace")


class _Page(HTMLParser):
    """The links of a web page, and whether it asks for a password."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.asks_for_password = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link or a password field."""
        values = dict(attrs)
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]).strip())
        elif tag == "input" and str(values.get("type")).lower() == "password":
            self.asks_for_password = True
