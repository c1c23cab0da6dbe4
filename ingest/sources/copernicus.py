"""Files of the Copernicus Marine Service, listed by its own client, ``copernicusmarine``.

The client only lists. The files lie behind plain HTTPS, and come here as all others do: to a
temporary name, checked, resumed, and once.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ingest.sources.addresses import public_url
from ingest.sources.downloads import Downloads
from ingest.sources.errors import ProviderError
from ingest.sources.listing import FetchedFile, Listing, ProductFile
from ingest.sources.providers import asked, client_of, require_credentials
from ingest.sources.sections import CopernicusMarineSource

if TYPE_CHECKING:
    from ingest.specification import ProductSpecification

NAME = "Copernicus Marine"
USER, PASSWORD = "COPERNICUSMARINE_SERVICE_USERNAME", "COPERNICUSMARINE_SERVICE_PASSWORD"
_BYTES_PER_MB = 1024**2


class ListedFile(Protocol):
    """What is used of ``copernicusmarine.FileGet``."""

    https_url: str
    file_size: float
    etag: str
    filename: str


class CopernicusMarineClient(Protocol):
    """What is used of the package ``copernicusmarine``."""

    def get(self, **arguments: Any) -> Any:
        """List (or download) the original files of a dataset."""


class CopernicusMarine:
    """Original files of a dataset of the Copernicus Marine Service.

    Parameters
    ----------
    source
        Which dataset.
    specification
        The product; it knows its files by name.
    folder
        Where files are kept.
    client
        The package ``copernicusmarine``, or what stands in for it; None imports it when needed.
    environment
        The environment variables, where the credentials are.
    timeout_s, attempts
        Longest wait for an answer (seconds), and tries before giving up on a file. A listing is
        many answers: it may take ten times as long.
    """

    def __init__(
        self,
        source: CopernicusMarineSource,
        specification: "ProductSpecification",
        folder: Path,
        *,
        client: CopernicusMarineClient | None = None,
        environment: Mapping[str, str] = os.environ,
        timeout_s: float = 30.0,
        attempts: int = 4,
    ) -> None:
        self.source = source
        self.specification = specification
        self.downloads = Downloads(folder, timeout_s=timeout_s, attempts=attempts)
        self._client = client
        self._environment = environment

    @property
    def place(self) -> str:
        """Which dataset this is."""
        version = f" {self.source.version}" if self.source.version else ""
        return f"{NAME} dataset {self.source.dataset_id}{version}"

    def list(self) -> Listing:
        """List the dataset.

        Raises
        ------
        MissingCredentialsError, ProviderNotInstalledError
            Before anything is asked.
        ProviderError
            If the listing fails or does not come in time.
        """
        require_credentials(
            NAME,
            [(USER, PASSWORD)],
            self._environment,
            register="https://data.marine.copernicus.eu/register",
        )
        client = self._client or client_of("copernicusmarine", "copernicus")
        password = self._environment[PASSWORD]
        answer = asked(
            NAME,
            client.get,
            password,
            limit_s=10 * self.downloads.timeout_s,
            dataset_id=self.source.dataset_id,
            dataset_version=self.source.version,
            filter=self.source.filter,
            username=self._environment[USER],
            password=password,
            dry_run=True,
            disable_progress_bar=True,
        )
        if answer is None:  # the client gave up, having wanted to ask a person
            raise ProviderError(
                f"{NAME} cannot be asked.",
                found="no answer",
                expected=f"the files of {self.source.dataset_id}",
                remedy="Check the credentials and source.dataset_id of the product.",
            )
        return Listing.of(self._found(answer.files), self.specification.matches)

    def fetch(self, file: ProductFile) -> FetchedFile:
        """Return a listed file on the local disk. Raises as `Downloads.fetch`."""
        return self.downloads.fetch(file)

    def _found(self, files: Iterable[ListedFile]) -> Iterable[ProductFile]:
        for file in files:
            yield ProductFile(
                url=public_url(file.https_url),
                file_name=file.filename,
                month=self.specification.month_of(file.filename),
                size_bytes=round(file.file_size * _BYTES_PER_MB),
                validator=file.etag.strip('"'),
            )
