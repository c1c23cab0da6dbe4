"""``tidenet products``: the specifications that there are, and what is in a file.

Exit codes as of every command; 3 where a file does not fit the product that it is compared with, or
no product is known for it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import EXIT_REFUSED, named_errors, workspace_of

if TYPE_CHECKING:
    from storage.months import Month

products_app = typer.Typer(
    help="Product specifications, and what a product file holds.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_File = Annotated[Path, typer.Argument(help="A product file.", exists=True, dir_okay=False)]
_Product = Annotated[
    str | None, typer.Option(help="Product specification [the one that the file name fits].")
]
_Month = Annotated[
    str | None,
    typer.Option(metavar="YYYY-MM", help="Month of a file that holds several [its last]."),
]


@products_app.command("list")
@named_errors
def list_products(context: typer.Context) -> None:
    """List the products: what they deliver, on which grid, and when to expect it."""
    from flows.operations.products import list_products as operation
    from flows.products_screen import print_products

    print_products(operation(workspace_of(context)))


@products_app.command()
@named_errors
def check(
    context: typer.Context,
    file: _File,
    product: _Product = None,
    month: _Month = None,
    suggest: Annotated[
        Path | None,
        typer.Option(help="Write a suggested specification to this file.", dir_okay=False),
    ] = None,
) -> None:
    """Show what a file holds beside what its product says; suggest a specification if unknown."""
    from flows.operations.products import check_file, write_suggestion
    from flows.products_screen import print_checked
    from flows.screen import say

    workspace = workspace_of(context)
    checked = check_file(workspace, file, product=product, wanted=_month(month))
    print_checked(checked)
    if suggest is not None:
        say(f"Suggested specification written: {write_suggestion(workspace, file, suggest)}")
    if not checked.fits:
        raise typer.Exit(EXIT_REFUSED)


@products_app.command()
@named_errors
def preview(
    context: typer.Context,
    file: _File,
    product: _Product = None,
    month: _Month = None,
    quantity: Annotated[
        str | None, typer.Option(help="What to draw [the flux, or the first delivered].")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="PNG file to write [beside you].", dir_okay=False)
    ] = None,
) -> None:
    """Draw a map of a file's month, as the record would see it."""
    from flows.operations.products import preview as operation
    from flows.screen import say

    drawn = operation(
        workspace_of(context),
        file,
        product=product,
        wanted=_month(month),
        quantity=quantity,
        target=to,
    )
    say(str(drawn))


@products_app.command("to-hdf5")
@named_errors
def to_hdf5(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to write.", file_okay=False)],
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="YYYY-MM", help="First month [first of the record]."),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="YYYY-MM", help="Last month [last of the record]."),
    ] = None,
) -> None:
    """Write the record as the yearly HDF5 files that the TIDE-Net research code reads."""
    from flows.operations.products import export_to_hdf5
    from flows.screen import progress_bar, say

    with progress_bar("Writing") as progress:
        written = export_to_hdf5(
            workspace_of(context),
            folder,
            first=_month(first),
            last=_month(last),
            progress=progress,
        )
    for path in written:
        say(str(path))


def _month(text: str | None) -> "Month | None":
    from storage.months import month

    return None if text is None else month(text)
