"""What ``tidenet products`` shows on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Column, Table

from flows.screen import CONSOLE, say

if TYPE_CHECKING:
    from flows.operations.products import Checked
    from ingest.inspection.inspect import Inspection
    from ingest.specification import Product

_STYLES = {"fits": "green", "does not fit": "bold red", "note": "dim"}


def print_products(products: "Sequence[Product]") -> None:
    """Print one line a product, and what the computed ones are computed from."""
    from ingest.specification import DerivedProduct

    table = Table(
        Column("product", no_wrap=True),
        *_columns("delivers", "grid", "file of", "stage", "latency"),
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for product in products:
        table.add_row(*(escape(cell) for cell in _cells(product)))
    CONSOLE.print(table)
    for product in products:
        if isinstance(product, DerivedProduct):
            drivers = ", ".join(sorted(set(product.drivers.values())))
            say(f"{product.name} is computed from {drivers}.")


def _columns(*names: str) -> list[Column]:
    """Return columns that break long words, so that nothing is left out on a narrow terminal."""
    return [Column(name, overflow="fold") for name in names]


def _cells(product: "Product") -> tuple[str, ...]:
    from ingest.specification import DerivedProduct

    grid = product.target_grid
    size = f"{grid.n_lat}x{grid.n_lon}\n{grid.step:.3g}°"
    latency = "" if product.latency_days is None else f"{product.latency_days} d"
    if isinstance(product, DerivedProduct):
        return product.name, "fco2", size, "computed", "", latency
    stage = product.stage if product.preliminary_pattern is None else "both"
    return product.name, "\n".join(product.delivers), size, product.holds, stage, latency


def print_checked(checked: "Checked") -> None:
    """Print what was found in a file, and a suggestion where no product is known for it."""
    for inspection in checked.inspections:
        _print_inspection(inspection)
    if len(checked.inspections) > 1:
        names = ", ".join(str(inspection.product) for inspection in checked.inspections)
        say(f"The name fits several products: {names}. Choose one with --product.")
    if checked.suggestion is not None:
        say(
            "No product is known whose files are called like this. "
            "A specification to begin with; --suggest FILE writes it down:\n"
        )
        say(checked.suggestion)


def _print_inspection(inspection: "Inspection") -> None:
    against = f"as {inspection.product}" if inspection.product else "known to no product"
    table = Table(
        *_columns("", "found", "expected"),
        Column("", no_wrap=True),
        title=f"{escape(inspection.file_name)}, {against}",
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for point in inspection.points:
        style = _STYLES[point.verdict]
        verdict = "" if point.verdict == "note" else f"[{style}]{point.verdict}[/]"
        table.add_row(escape(point.what), escape(point.found), escape(point.expected), verdict)
    CONSOLE.print(table)
    for point in inspection.problems:
        CONSOLE.print(f"[bold red]{escape(point.what)}[/]: {escape(point.remedy)}", highlight=False)
    if inspection.fits:
        say(f"The file fits {inspection.product}.")
