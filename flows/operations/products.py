"""Looking at product files before they are ingested, and handing the record on as files."""

from calendar import month_name
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flows.operations.workspace import Progress, Workspace, no_progress
from ingest.catalogue import list_products as catalogue
from ingest.catalogue import load_files_product
from ingest.inspection.inspect import Inspection, inspect
from ingest.specification import Product, ProductSpecification
from storage.errors import TidenetError
from storage.months import Month, calendar_month, month, month_range

if TYPE_CHECKING:
    from storage.carbon_ecs import CarbonEcs


class ProductNotChosenError(TidenetError):
    """The name of a file fits no product, or several."""


class UnknownQuantityError(TidenetError):
    """A quantity was asked for that the product does not deliver."""


class FileExistsAlreadyError(TidenetError):
    """A file would be overwritten that a person may have written."""


class EmptyRecordError(TidenetError):
    """The record holds no month yet."""


@dataclass(frozen=True)
class Checked:
    """What is known about a file.

    Parameters
    ----------
    inspections
        What was found, compared with each product that the file may be of; with none if there is
        none.
    suggestion
        YAML text of a specification; None where a product is known.
    """

    inspections: tuple[Inspection, ...]
    suggestion: str | None = None

    @property
    def fits(self) -> bool:
        """Whether the file fits a product."""
        return any(inspection.fits for inspection in self.inspections)


def list_products(workspace: Workspace) -> list[Product]:
    """Return every product, the user's own before shipped ones of the same name."""
    return catalogue(workspace.settings.products_folder)


def products_of(workspace: Workspace, file_name: str) -> list[ProductSpecification]:
    """Return the products whose files are called like this."""
    return [
        product
        for product in list_products(workspace)
        if isinstance(product, ProductSpecification) and product.matches(file_name)
    ]


def check_file(
    workspace: Workspace, file: Path, *, product: str | None = None, wanted: Month | None = None
) -> Checked:
    """Return what a file holds beside what its product expects.

    Parameters
    ----------
    file
        A file on the local disk.
    product
        Name of the product; None for each that the file's name fits.
    wanted
        The month to look at in a file that holds several; None for its last.
    """
    folder = workspace.settings.products_folder
    if product is not None:
        candidates = [load_files_product(product, folder)]
    else:
        candidates = products_of(workspace, file.name)
    now = workspace.now()
    if candidates:
        inspections = (
            inspect(file, candidate, file_name=file.name, now=now, wanted=wanted)
            for candidate in candidates
        )
        return Checked(tuple(inspections))
    contents = inspect(file, None, file_name=file.name, now=now)
    return Checked((contents,), _suggestion(workspace, file))


def _suggestion(workspace: Workspace, file: Path) -> str | None:
    from ingest.errors import UnreadableFileError
    from ingest.inspection.suggest import suggest

    try:
        return suggest(file, file.name, now=workspace.now())
    except UnreadableFileError:
        return None


def write_suggestion(workspace: Workspace, file: Path, target: Path) -> Path:
    """Write a suggested specification for a file, and return where.

    Raises
    ------
    FileExistsAlreadyError
        If something is there already.
    UnreadableFileError
        If the file cannot be read.
    """
    from ingest.inspection.suggest import suggest

    text = suggest(file, file.name, now=workspace.now())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise FileExistsAlreadyError(
            "The suggestion is not written over a file that exists.",
            found=str(target),
            remedy="Name another file, or remove this one.",
        ) from error
    return target


def preview(
    workspace: Workspace,
    file: Path,
    *,
    product: str | None = None,
    wanted: Month | None = None,
    quantity: str | None = None,
    target: Path | None = None,
) -> Path:
    """Write a PNG with a map of one quantity of a file's month, and return its path.

    Parameters
    ----------
    file
        A file on the local disk.
    product
        Name of the product; None for the one that the file's name fits.
    wanted
        The month of a file that holds several; None for its last.
    quantity
        What to draw; None for the flux, or the first that is delivered.
    target
        Where to write; None for a name made from the product and the month, in this folder.

    Raises
    ------
    ProductNotChosenError
        If no product is named, and the file's name fits none or several.
    UnknownQuantityError
        If the product does not deliver the quantity.
    RefusedFileError
        If the file cannot be read (see `ingest.reader`).
    """
    from flows.operations.product_map import product_map
    from ingest.quantities import FLUX
    from ingest.reader import months_in, read_month

    specification = _chosen(workspace, file, product)
    delivers = specification.delivers
    drawn = quantity or (FLUX if FLUX in delivers else delivers[0])
    if drawn not in delivers:
        raise UnknownQuantityError(
            f"The product {specification.name} does not deliver this.",
            found=repr(drawn),
            expected=", ".join(delivers),
            remedy="Choose one of these with --quantity.",
        )
    now = workspace.now()
    if wanted is None and specification.holds != "month":
        held = months_in(file, specification, file_name=file.name, now=now)
        wanted = held[-1] if held else _possible_month(specification, file.name, month(now.date()))
    if specification.quantities:
        only = {drawn: specification.quantities[drawn]}
        specification = specification.model_copy(update={"quantities": only})
    delivered = read_month(file, specification, file_name=file.name, now=now, wanted=wanted)
    when = str(delivered.month)
    if specification.holds == "climatology":
        when = month_name[calendar_month(delivered.month)]
    figure = product_map(delivered, drawn, title=specification.title, when=when, source=file.name)
    path = target or Path(f"{specification.name}_{drawn}_{when}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    return path


def _possible_month(specification: ProductSpecification, file_name: str, this: Month) -> Month:
    """Return the last month up to this one that a file of calendar months may stand for."""
    back = (this - months for months in range(12))
    return next((m for m in back if specification.may_hold(file_name, m)), this)


def _chosen(workspace: Workspace, file: Path, product: str | None) -> ProductSpecification:
    if product is not None:
        return load_files_product(product, workspace.settings.products_folder)
    candidates = products_of(workspace, file.name)
    if len(candidates) == 1:
        return candidates[0]
    raise ProductNotChosenError(
        "The file's name does not say which product it is of.",
        found=f"{file.name}: {', '.join(c.name for c in candidates) or 'no product fits'}",
        expected="a name that fits one product",
        remedy="Choose one with --product, or see what is in it: tidenet products check.",
    )


def export_to_hdf5(
    workspace: Workspace,
    folder: Path,
    *,
    first: Month | None = None,
    last: Month | None = None,
    progress: Progress = no_progress,
) -> tuple[Path, ...]:
    """Write months of the record as yearly HDF5 files of the TIDE-Net research code.

    Parameters
    ----------
    folder
        Where to; made if it is not there. A year's file that exists is replaced whole.
    first, last
        First and last month, both included; None for the ends of the record.

    Raises
    ------
    EmptyRecordError
        If there is no month to write.
    MonthNotInRecordError, StoreUnavailableError
        If a month cannot be read.
    ExportError
        If the folder cannot be written.
    """
    from ingest.tidenet_hdf5 import write_tidenet_hdf5

    record = workspace.record()
    begin, end = first or record.first_month, last or record.last_month
    months = month_range(begin, end) if begin is not None and end is not None else []
    if not months:
        raise EmptyRecordError(
            "There is no month to write.",
            found=f"{begin} to {end}" if begin is not None else "an empty record",
            remedy="Ingest product files first, or ask for months in their order.",
        )
    fields = _fields(record, months, progress)
    return write_tidenet_hdf5(folder, fields, grid=record.grid, ocean=record.ocean)


def _fields(
    record: "CarbonEcs", months: list[Month], progress: Progress
) -> Iterator[tuple[Month, np.ndarray]]:
    for done, wanted in enumerate(months):
        progress(done, len(months), str(wanted))
        yield wanted, record.read_month(wanted).fco2
    progress(len(months), len(months), "")
