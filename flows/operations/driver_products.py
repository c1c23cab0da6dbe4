"""The products that a driver comes from: what each delivers, and its months."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from flows.operations.arrivals import FileProduct, of_file
from flows.operations.refusals import duplicate
from flows.operations.workspace import Workspace
from ingest.catalogue import load_files_product, load_product
from ingest.driver_months import driver_field, index_value, is_index, transfer_field
from ingest.errors import RefusedFileError
from ingest.flux.drivers import missing_transfer_drivers
from ingest.flux.options import FluxOptions
from ingest.flux.transfer import TRANSFER, TRANSFER_DRIVERS
from ingest.quantities import FLUX, QUANTITIES
from ingest.specification import DerivedProduct
from storage.driver_declaration import DriverDeclaration
from storage.errors import TidenetError
from storage.grid import Grid
from storage.months import Month
from storage.record_drivers import DriverMonth

if TYPE_CHECKING:
    from ingest.reader import DeliveredMonth
    from ingest.sources import ProductFile


class DriverNotDeliveredError(TidenetError):
    """The products that a driver is to come from do not deliver it."""


@dataclass(frozen=True)
class Delivery:
    """What some products deliver together.

    Parameters
    ----------
    products
        Their names, as they were given.
    by_quantity
        Which product with files of its own delivers each quantity; the first named counts.
    options
        How a flux is computed from them: those of a derived product among them, or the defaults.
    """

    products: tuple[str, ...]
    by_quantity: Mapping[str, str]
    options: FluxOptions


def delivery_of(workspace: Workspace, products: Sequence[str]) -> Delivery:
    """Return what some products deliver; a product that is computed delivers its drivers.

    Raises
    ------
    UnknownProductError, InvalidSpecificationError
        If a product is not what it should be.
    """
    folder = workspace.settings.products_folder
    by_quantity: dict[str, str] = {}
    options = None
    for name in products:
        product = load_product(name, folder)
        if isinstance(product, DerivedProduct):
            found, options = dict(product.drivers), options or product.flux
        else:
            found = dict.fromkeys(product.delivers, name)
        by_quantity = found | by_quantity
    by_quantity.pop(FLUX, None)
    return Delivery(tuple(products), by_quantity, options or FluxOptions())


def quantity_of(name: str, delivery: Delivery, quantity: str | None) -> str:
    """Return which quantity a driver is: the one asked for, the one of its name, or the only one.

    Raises
    ------
    DriverNotDeliveredError
        If that is none, or not clear.
    """
    known = delivery.by_quantity
    if quantity is None and name == TRANSFER.name:
        quantity = TRANSFER.name
    if quantity is None:
        quantity = name if name in known or len(known) != 1 else next(iter(known))
    if quantity == TRANSFER.name:
        missing = missing_transfer_drivers(known, delivery.options)
        if not missing:
            return quantity
        expected = ", ".join(missing)
        remedy = "Name products that deliver them as well: --product may be given several times."
    elif quantity in known:
        return quantity
    else:
        expected = quantity
        remedy = f"Name one of these with --quantity, or a product that delivers {quantity}."
    raise DriverNotDeliveredError(
        f"The driver {name} is not in what {', '.join(delivery.products)} deliver.",
        found=", ".join(sorted(known)) or "no driver",
        expected=expected,
        remedy=remedy,
    )


class DriverProducts:
    """The months of one driver, as its products deliver them.

    Parameters
    ----------
    workspace
        Settings and clock.
    delivery
        The products.
    quantity
        What is taken from them (see `quantity_of`).

    Raises
    ------
    SourceUnavailableError
        If a source cannot be listed.
    """

    def __init__(self, workspace: Workspace, delivery: Delivery, quantity: str) -> None:
        self.delivery = delivery
        self.quantity = quantity
        wanted = TRANSFER_DRIVERS if quantity == TRANSFER.name else (quantity,)
        self._needs = {q: delivery.by_quantity[q] for q in wanted if q in delivery.by_quantity}
        folder = workspace.settings.products_folder
        self._sources = {
            name: FileProduct(workspace, load_files_product(name, folder))
            for name in sorted(set(self._needs.values()))
        }

    def declaration(self, name: str, *, gaps_allowed: bool) -> DriverDeclaration:
        """Return the driver's declaration under a name."""
        known = TRANSFER if self.quantity == TRANSFER.name else QUANTITIES[self.quantity]
        return DriverDeclaration(
            name=name,
            kind="index" if self._is_index else "field",
            units=known.units,
            long_name=known.title,
            quantity=self.quantity,
            products=self.delivery.products,
            standard_name=known.standard_names[0] if known.standard_names else "",
            gaps_allowed=gaps_allowed,
        )

    def months(self) -> list[Month]:
        """Return the months that all products are there of, ascending.

        Raises
        ------
        RefusedFileError
            If the months of a file cannot be told.
        """
        held = [set(files) for files in self._files.values()]
        return sorted(set.intersection(*held), key=str) if held else []

    def read(self, month: Month, grid: Grid, ocean: np.ndarray) -> DriverMonth:
        """Return a month on the record's grid.

        Raises
        ------
        RefusedFileError
            If a file cannot be read, several claim to be of the month, or no ocean cell of the
            record has a value.
        """
        read: dict[str, DeliveredMonth] = {}
        digests = []
        for name, source in self._sources.items():
            files = (
                self._files[name][month] if name in self._files else source.climatology_of(month)
            )
            if len(files) != 1:
                raise duplicate(str(month), [file.url for file in files])
            try:
                read[name] = source.delivered(files[0], month)
            except RefusedFileError as error:
                raise of_file(error, files[0].file_name) from error
            digests.append(source.fetched(files[0]).sha256)
        return DriverMonth(month, self._values(read, grid, ocean), " ".join(digests))

    def empty(self, month: Month, grid: Grid) -> DriverMonth:
        """Return a month without any value."""
        shape = () if self._is_index else grid.shape
        return DriverMonth(month, np.full(shape, np.nan, dtype=np.float32))

    def _values(
        self, read: "Mapping[str, DeliveredMonth]", grid: Grid, ocean: np.ndarray
    ) -> np.ndarray:
        if self.quantity == TRANSFER.name:
            delivered = {quantity: read[name] for quantity, name in self._needs.items()}
            return transfer_field(delivered, grid, ocean, self.delivery.options)
        month = read[self._needs[self.quantity]]
        if self._is_index:
            return index_value(month, self.quantity)
        return driver_field(month, self.quantity, grid, ocean)

    @property
    def _is_index(self) -> bool:
        specifications = (source.specification for source in self._sources.values())
        return self.quantity != TRANSFER.name and all(map(is_index, specifications))

    @cached_property
    def _files(self) -> "dict[str, dict[Month, list[ProductFile]]]":
        """Files by month, of products that have months of their own: a climatology serves all."""
        return {
            name: source.by_month()
            for name, source in self._sources.items()
            if source.specification.holds != "climatology"
        }
