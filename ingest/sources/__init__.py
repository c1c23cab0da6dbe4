"""Where product files come from: a landing zone, Copernicus Marine or NASA, all used alike."""

from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Protocol

from ingest.sources.copernicus import CopernicusMarine
from ingest.sources.earthdata import Earthdata
from ingest.sources.landing import LandingZone
from ingest.sources.listing import FetchedFile, Listing, ProductFile
from ingest.sources.sections import CopernicusMarineSource, EarthdataSource

if TYPE_CHECKING:
    from ingest.specification import ProductSpecification

__all__ = [
    "FetchedFile",
    "Listing",
    "ProductFile",
    "Source",
    "list_files",
    "open_source",
]


class Source(Protocol):
    """Where the files of one product come from."""

    @property
    def place(self) -> str:
        """What to call it, without credentials."""

    def list(self) -> Listing:
        """Return what is there. Raises `SourceUnavailableError`, named more closely."""

    def fetch(self, file: ProductFile) -> FetchedFile:
        """Return a listed file on the local disk. Raises as `Downloads.fetch`."""


def open_source(
    specification: "ProductSpecification",
    *,
    landing_url: str,
    downloads: Path,
    timeout_s: float = 30.0,
    attempts: int = 4,
) -> Source:
    """Return the source that a product names. Asks nobody yet.

    Parameters
    ----------
    specification
        The product.
    landing_url
        The landing zone of those products that name no other.
    downloads
        Folder where remote files are kept from run to run.
    timeout_s, attempts
        Longest wait for an answer (seconds), and tries before giving up.
    """
    source = specification.source
    if isinstance(source, CopernicusMarineSource):
        return CopernicusMarine(
            source, specification, downloads, timeout_s=timeout_s, attempts=attempts
        )
    if isinstance(source, EarthdataSource):
        return Earthdata(source, specification, downloads, timeout_s=timeout_s, attempts=attempts)
    url = source.url or landing_url
    return LandingZone(url, specification, downloads, timeout_s=timeout_s, attempts=attempts)


def list_files(
    landing_url: str,
    specification: "ProductSpecification",
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
    folder = Path(gettempdir())  # a listing keeps nothing there
    zone = LandingZone(landing_url, specification, folder, timeout_s=timeout_s, attempts=attempts)
    return zone.list()
