"""What has arrived: months that could enter the record, and how to get at each of them.

A month arrives as a file, as part of a file of several months, or as the files of all drivers that
its flux is computed from. An ingest treats them alike.
"""

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.operations.refusals import duplicate
from flows.operations.workspace import Workspace
from storage.ledger import InputFile, Stage
from storage.months import Month

if TYPE_CHECKING:
    from ingest.errors import RefusedFileError
    from ingest.reader import DeliveredMonth, ProductMonth
    from ingest.sources import FetchedFile, ProductFile, Source
    from ingest.specification import DerivedProduct, Product, ProductSpecification


@dataclass(frozen=True)
class Contents:
    """A month on the local disk, not read yet.

    Parameters
    ----------
    sha256
        Hexadecimal digest of the file's bytes; of drivers, one that changes with each of them.
    size_bytes
        Length of the file or of all files.
    inputs
        The drivers' files; none for a file that holds the flux.
    files
        What to keep if it is refused.
    read
        Reads the month. Raises RefusedFileError.
    """

    sha256: str
    size_bytes: int
    inputs: tuple[InputFile, ...]
    files: tuple[Path, ...]
    read: "Callable[[], ProductMonth]"


@dataclass(frozen=True)
class Arrival:
    """A month that could enter the record.

    Parameters
    ----------
    month
        The month; None for a file that does not say.
    name, url
        What to call it, and where it lies.
    stage
        Whether the provider will publish another one.
    fetch
        Brings it to the local disk. Raises SourceUnavailableError.
    refusal
        Why it cannot be taken, as far as the listing shows.
    """

    month: Month | None
    name: str
    url: str
    stage: Stage
    fetch: Callable[[], Contents]
    refusal: "RefusedFileError | None" = None


@dataclass(frozen=True)
class Listed:
    """What was found at the sources of a product.

    Parameters
    ----------
    arrivals
        In the order of months, one a month: a final one before a preliminary one.
    incomplete
        Months that only some drivers are there of, with what is missing.
    """

    arrivals: tuple[Arrival, ...]
    incomplete: tuple[tuple[Month, str], ...] = ()


def list_arrivals(workspace: Workspace, product: "Product") -> Listed:
    """Look at the sources of a product.

    Raises
    ------
    SourceUnavailableError
        If one cannot be listed.
    UnknownProductError, InvalidSpecificationError
        If a driver's product is not what it should be.
    """
    from ingest.specification import DerivedProduct

    if isinstance(product, DerivedProduct):
        return _Drivers(workspace, product).listed()
    found = FileProduct(workspace, product)
    return Listed(_one_a_month([found.arrival(*held) for held in found.held()]))


def _one_a_month(arrivals: Sequence[Arrival]) -> tuple[Arrival, ...]:
    """Return arrivals by month, without preliminary ones of months that have a final one.

    Several of one stage stay, each refused: which is right is not for a program to say.
    """
    by_month: dict[Month | None, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_month[arrival.month].append(arrival)
    kept = by_month.pop(None, [])
    for month in sorted(by_month, key=str):
        same = by_month[month]
        finals = [arrival for arrival in same if arrival.stage == "final"]
        chosen = finals or same
        if len(chosen) > 1:
            refusal = duplicate(str(month), [arrival.url for arrival in chosen])
            chosen = [_refused(arrival, refusal) for arrival in chosen]
        kept += chosen
    return tuple(kept)


def _refused(arrival: Arrival, refusal: "RefusedFileError") -> Arrival:
    return Arrival(arrival.month, arrival.name, arrival.url, arrival.stage, arrival.fetch, refusal)


class FileProduct:
    """The files of one product, each listed once and fetched at most once.

    Parameters
    ----------
    workspace
        Settings and clock.
    specification
        The product.
    """

    def __init__(self, workspace: Workspace, specification: "ProductSpecification") -> None:
        from ingest.sources import open_source

        settings = workspace.settings
        self.workspace = workspace
        self.specification = specification
        self.source: Source = open_source(
            specification,
            landing_url=settings.landing_url,
            downloads=settings.downloads_folder,
            timeout_s=settings.timeout_s,
            attempts=settings.attempts,
        )
        self.files = self.source.list().files
        self._fetched: dict[str, FetchedFile] = {}

    def held(self) -> "list[tuple[ProductFile, Month | None, RefusedFileError | None]]":
        """Return every file with each month that it holds, or with why it cannot be told."""
        from ingest.errors import RefusedFileError
        from ingest.reader import months_in

        pairs: list[tuple[ProductFile, Month | None, RefusedFileError | None]] = []
        for file in self.files:
            if file.month is not None:
                pairs.append((file, file.month, None))
                continue
            if self.specification.holds == "climatology":
                continue
            try:
                months = months_in(
                    self.fetched(file).path,
                    self.specification,
                    file_name=file.file_name,
                    now=self.workspace.now(),
                )
                pairs += [(file, month, None) for month in months]
            except RefusedFileError as error:
                pairs.append((file, None, error))
        return pairs

    def by_month(self) -> "dict[Month, list[ProductFile]]":
        """Return the files of each month: final ones, or preliminary ones where there is none.

        Raises
        ------
        RefusedFileError
            If the months of a file cannot be told.
        """
        by_month: dict[Month, list[ProductFile]] = defaultdict(list)
        for file, month, refusal in self.held():
            if refusal is not None:
                raise of_file(refusal, file.file_name)
            assert month is not None
            by_month[month].append(file)
        stage_of = self.specification.stage_of
        finals = {
            month: [file for file in files if stage_of(file.file_name) == "final"]
            for month, files in by_month.items()
        }
        return {month: finals[month] or files for month, files in by_month.items()}

    def arrival(
        self, file: "ProductFile", month: Month | None, refusal: "RefusedFileError | None"
    ) -> Arrival:
        """Return a file, or its part of one month, as an arrival."""
        part = "" if file.month is not None or month is None else f"@{month}"
        return Arrival(
            month=month,
            name=file.file_name + part,
            url=file.url + part,
            stage=self.specification.stage_of(file.file_name),
            fetch=lambda: self._contents(file, month),
            refusal=refusal,
        )

    def fetched(self, file: "ProductFile") -> "FetchedFile":
        """Return a file on the local disk."""
        if file.url not in self._fetched:
            self._fetched[file.url] = self.source.fetch(file)
        return self._fetched[file.url]

    def climatology_of(self, month: Month) -> "list[ProductFile]":
        """Return the files of a calendar month that serve any year."""
        return [file for file in self.files if self.specification.may_hold(file.file_name, month)]

    def delivered(self, file: "ProductFile", month: Month) -> "DeliveredMonth":
        """Read everything that a file delivers of a month."""
        from ingest.reader import read_month

        return read_month(
            self.fetched(file).path,
            self.specification,
            file_name=file.file_name,
            now=self.workspace.now(),
            wanted=month,
        )

    def _contents(self, file: "ProductFile", month: Month | None) -> Contents:
        from ingest.reader import read_product_file

        fetched = self.fetched(file)
        return Contents(
            sha256=fetched.sha256,
            size_bytes=fetched.size_bytes,
            inputs=(),
            files=(fetched.path,),
            read=lambda: read_product_file(
                fetched.path,
                self.specification,
                file_name=file.file_name,
                now=self.workspace.now(),
                wanted=month,
            ),
        )


class _Drivers:
    """The drivers of a derived product, month by month.

    Parameters
    ----------
    workspace
        Settings and clock.
    product
        The product.
    """

    def __init__(self, workspace: Workspace, product: "DerivedProduct") -> None:
        from ingest.catalogue import load_files_product

        self.product = product
        folder = workspace.settings.products_folder
        self.sources = {
            name: FileProduct(workspace, load_files_product(name, folder))
            for name in sorted(set(product.drivers.values()))
        }
        self._refuse_undelivered()

    def listed(self) -> Listed:
        """Return the months that every driver is there of, and those that lack one."""
        dated = {
            name: source.by_month()
            for name, source in self.sources.items()
            if source.specification.holds != "climatology"
        }
        months = sorted(set().union(*dated.values()), key=str)
        complete = [m for m in months if all(m in held for held in dated.values())]
        arrivals = [self._arrival(m, {n: held[m] for n, held in dated.items()}) for m in complete]
        # Drivers begin at different times: only what is missing later is worth a word.
        lacking = [m for m in months if complete and m > complete[0] and m not in complete]
        incomplete = tuple(
            (m, ", ".join(name for name, held in dated.items() if m not in held)) for m in lacking
        )
        return Listed(tuple(arrivals), incomplete)

    def _arrival(self, month: Month, files: "dict[str, list[ProductFile]]") -> Arrival:
        for name, source in self.sources.items():
            if source.specification.holds == "climatology":
                files[name] = source.climatology_of(month)
        several = [file.url for found in files.values() if len(found) > 1 for file in found]
        stages = {
            self.sources[name].specification.stage_of(file.file_name)
            for name, found in files.items()
            for file in found
        }
        return Arrival(
            month=month,
            name=f"{self.product.name}@{month}",
            url="; ".join(source.source.place for source in self.sources.values()),
            stage="preliminary" if "preliminary" in stages else "final",
            fetch=lambda: self._contents(month, {n: found[0] for n, found in files.items()}),
            refusal=duplicate(str(month), several) if several else None,
        )

    def _contents(self, month: Month, files: "dict[str, ProductFile]") -> Contents:
        from ingest.errors import RefusedFileError
        from ingest.flux.derived import derive_month

        read_before: dict[str, DeliveredMonth] = {}

        def delivered(name: str) -> "DeliveredMonth":
            if name not in read_before:
                try:
                    read_before[name] = self.sources[name].delivered(files[name], month)
                except RefusedFileError as error:
                    raise of_file(error, files[name].file_name) from error
            return read_before[name]

        def read() -> "ProductMonth":
            drivers = self.product.drivers.items()
            return derive_month(self.product, month, {q: delivered(name) for q, name in drivers})

        inputs, digest = [], hashlib.sha256(self.product.flux.model_dump_json().encode())
        for quantity, name in sorted(self.product.drivers.items()):
            source, file = self.sources[name], files[name]
            fetched = source.fetched(file)
            size, part = fetched.size_bytes, fetched.sha256
            inputs.append(InputFile(quantity, name, file.url, file.file_name, size, part))
            if source.specification.holds in ("year", "series"):
                # Such a file grows with each month; what counts is whether this month changed. A
                # damaged one is refused when the month is read.
                with contextlib.suppress(RefusedFileError):
                    values = delivered(name).fields[quantity].values
                    part = hashlib.sha256(values.tobytes()).hexdigest()
            digest.update(f"{quantity} {name} {part}\n".encode())
        total = sum(item.size_bytes for item in inputs)
        return Contents(digest.hexdigest(), total, tuple(inputs), (), read)

    def _refuse_undelivered(self) -> None:
        from ingest.errors import InvalidSpecificationError

        for quantity, name in self.product.drivers.items():
            delivers = self.sources[name].specification.delivers
            if quantity not in delivers:
                raise InvalidSpecificationError(
                    f"The product {name} does not deliver {quantity}.",
                    found=", ".join(delivers),
                    expected=quantity,
                    remedy=f"Correct the drivers of {self.product.name}.",
                )


def of_file(error: "RefusedFileError", file_name: str) -> "RefusedFileError":
    """Return a driver's refusal with the name of its file, which the month does not say."""
    return type(error)(
        f"{file_name}: {error.message}",
        found=error.found,
        expected=error.expected,
        remedy=error.remedy,
    )
