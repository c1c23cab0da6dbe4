"""What a source holds: the files of a product, and those that were brought here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from storage.months import Month

_FIRST = np.datetime64("0001-01", "M")


@dataclass(frozen=True)
class ProductFile:
    """A file of a product at its source.

    Parameters
    ----------
    url
        Path or URL, without credentials.
    file_name
        Its name without folders.
    month
        The month that the name says; None for a file of several months.
    size_bytes
        Its length as listed; 0 if the listing does not say.
    validator
        What the listing says about its content (ETag, or time of change and length): the same
        text means the same content. Empty if the listing says nothing.
    checksum
        Its digest as the provider states it, as ``md5:...`` or ``sha256:...``; empty if it does
        not.
    """

    url: str
    file_name: str
    month: Month | None
    size_bytes: int
    validator: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class Listing:
    """What lies at a source.

    Parameters
    ----------
    files
        Files of the product, by month and name.
    unmatched
        Names of the other files, which no ingest of this product looks at.
    """

    files: tuple[ProductFile, ...]
    unmatched: tuple[str, ...]

    @classmethod
    def of(cls, found: Iterable[ProductFile], matches: Callable[[str], bool]) -> "Listing":
        """Return the listing of what was found; files without a month come first.

        Parameters
        ----------
        found
            Every file, of the product or not.
        matches
            Says of a file name whether it is one of the product.
        """
        files: list[ProductFile] = []
        unmatched: list[str] = []
        for file in found:
            if matches(file.file_name):
                files.append(file)
            else:
                unmatched.append(file.file_name)
        files.sort(key=_place)
        return cls(tuple(files), tuple(sorted(unmatched)))


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


def _place(file: ProductFile) -> tuple[Month, str, str]:
    return (_FIRST if file.month is None else file.month), file.file_name, file.url
