"""Files of NASA's Earthdata, found and logged in for by ``earthaccess``.

The client finds granules and makes an HTTP session that is logged in. The files come here through
that session as all others do: to a temporary name, checked, resumed, and once.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ingest.sources.addresses import file_name_of, public_url
from ingest.sources.downloads import Downloads
from ingest.sources.errors import ProviderError
from ingest.sources.listing import FetchedFile, Listing, ProductFile
from ingest.sources.providers import asked, client_of, require_credentials
from ingest.sources.sections import EarthdataSource

if TYPE_CHECKING:
    import requests

    from ingest.specification import ProductSpecification

NAME = "NASA Earthdata"
TOKEN, USER, PASSWORD = "EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"
_ALGORITHMS = {"md5": "md5", "sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}


class EarthdataClient(Protocol):
    """What is used of the package ``earthaccess``."""

    def login(self, strategy: str) -> Any:
        """Log in; the answer has ``authenticated`` and ``get_session()``."""

    def search_data(self, count: int = -1, **kwargs: Any) -> Any:
        """Find granules: mappings of NASA's unified metadata model, with ``data_links()``."""


class Earthdata:
    """Granules of a collection in NASA's Earthdata catalogue.

    Parameters
    ----------
    source
        Which collection.
    specification
        The product; it knows its files by name.
    folder
        Where files are kept.
    client
        The package ``earthaccess``, or what stands in for it; None imports it when needed.
    environment
        The environment variables, where the credentials are. ``earthaccess`` reads those of the
        process itself.
    timeout_s, attempts
        Longest wait for an answer (seconds), and tries before giving up on a file. A search is
        many answers: it may take ten times as long.
    """

    def __init__(
        self,
        source: EarthdataSource,
        specification: "ProductSpecification",
        folder: Path,
        *,
        client: EarthdataClient | None = None,
        environment: Mapping[str, str] = os.environ,
        timeout_s: float = 30.0,
        attempts: int = 4,
    ) -> None:
        self.source = source
        self.specification = specification
        self.downloads = Downloads(
            folder, timeout_s=timeout_s, attempts=attempts, open_session=self._logged_in
        )
        self._given = client
        self._environment = environment

    @property
    def place(self) -> str:
        """Which collection this is."""
        version = f" {self.source.version}" if self.source.version else ""
        return f"{NAME} collection {self.source.short_name}{version}"

    def list(self) -> Listing:
        """List the collection's granules.

        Raises
        ------
        MissingCredentialsError, ProviderNotInstalledError
            Before anything is asked.
        ProviderError
            If the search fails or does not come in time.
        """
        client = self._client()
        wanted = {
            "short_name": self.source.short_name,
            "version": self.source.version,
            "granule_name": self.source.granule_name,
        }
        granules = self._asked(
            client.search_data, **{name: value for name, value in wanted.items() if value}
        )
        found = {file.url: file for granule in granules for file in self._files_of(granule)}
        return Listing.of(found.values(), self.specification.matches)

    def fetch(self, file: ProductFile) -> FetchedFile:
        """Return a listed file on the local disk. Raises as `list` and `Downloads.fetch`."""
        return self.downloads.fetch(file)

    # --- steps --------------------------------------------------------------------------------

    def _client(self) -> EarthdataClient:
        require_credentials(
            NAME,
            [(TOKEN,), (USER, PASSWORD)],
            self._environment,
            register="https://urs.earthdata.nasa.gov/users/new",
        )
        return self._given or client_of("earthaccess", "earthdata")

    def _logged_in(self) -> "requests.Session":
        client = self._client()
        # No other strategy: "all" ends by asking a person.
        login = self._asked(client.login, strategy="environment")
        if not login.authenticated:
            raise ProviderError(
                f"{NAME} does not let this account in.",
                found="not authenticated",
                remedy=f"Check {TOKEN}, or {USER} and {PASSWORD}.",
            )
        return login.get_session()

    def _asked(self, function: Any, **arguments: object) -> Any:
        secrets = [self._environment.get(name, "") for name in (TOKEN, PASSWORD)]
        limit = 10 * self.downloads.timeout_s
        return asked(NAME, function, *secrets, limit_s=limit, **arguments)

    def _files_of(self, granule: Any) -> Iterable[ProductFile]:
        stated = {part.get("Name"): part for part in _archive(granule)}
        meta = granule.get("meta", {})
        for link in granule.data_links(access="external"):
            name = file_name_of(link)
            part = stated.get(name, {})
            checksum = _checksum(part)
            revision = f"{meta.get('concept-id', '')} {meta.get('revision-id', '')}".strip()
            yield ProductFile(
                url=public_url(link),
                file_name=name,
                month=self.specification.month_of(name),
                size_bytes=int(part.get("SizeInBytes") or 0),
                validator=checksum or revision,
                checksum=checksum,
            )


def _archive(granule: Any) -> list[dict[str, Any]]:
    """Return what the metadata says about a granule's files."""
    return granule["umm"].get("DataGranule", {}).get("ArchiveAndDistributionInformation", [])


def _checksum(part: Mapping[str, Any]) -> str:
    stated = part.get("Checksum") or {}
    algorithm = _ALGORITHMS.get(str(stated.get("Algorithm", "")).lower())
    return f"{algorithm}:{stated['Value'].lower()}" if algorithm and stated.get("Value") else ""
