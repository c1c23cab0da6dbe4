"""``tidenet drivers``: what the record holds beside the flux, for forecasts to read.

Exit codes as of every command; 3 where months of a driver could not be taken.
"""

from typing import Annotated

import typer

from flows.command import EXIT_REFUSED, named_errors, workspace_of

drivers_app = typer.Typer(
    help="What drives the flux, kept in the record for forecasts to read.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@drivers_app.command("list")
@named_errors
def list_drivers(context: typer.Context) -> None:
    """List the record's drivers: their units, months and products."""
    from flows.drivers_screen import print_drivers
    from flows.operations.drivers import list_drivers as operation

    print_drivers(operation(workspace_of(context)))


@drivers_app.command()
@named_errors
def add(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="What forecasts will call it. 'transfer' is computed from wind, temperature, "
            "salinity and ice."
        ),
    ],
    product: Annotated[
        list[str],
        typer.Option(
            help="Product that delivers it; several for 'transfer', or a computed product, whose "
            "drivers are meant."
        ),
    ],
    quantity: Annotated[
        str | None,
        typer.Option(help="What to take [the quantity called NAME, or the only one delivered]."),
    ] = None,
    gaps: Annotated[
        bool,
        typer.Option(
            "--gaps",
            help="Keep months that the product lacks as months without values, and go on.",
        ),
    ] = False,
) -> None:
    """Read a driver from its product's files into the record; again to read what is new."""
    from flows.drivers_screen import print_renewed
    from flows.operations.drivers import add_driver
    from flows.screen import progress_bar

    with progress_bar("Reading the driver") as progress:
        done = add_driver(
            workspace_of(context),
            name,
            product,
            quantity=quantity,
            gaps_allowed=gaps,
            progress=progress,
        )
    print_renewed([done])
    if done.problems:
        raise typer.Exit(EXIT_REFUSED)


@drivers_app.command()
@named_errors
def update(context: typer.Context) -> None:
    """Read new and changed months of every driver from the products that it began with."""
    from flows.drivers_screen import print_renewed
    from flows.operations.drivers import renew_drivers
    from flows.screen import progress_bar

    with progress_bar("Reading the drivers") as progress:
        done = renew_drivers(workspace_of(context), progress=progress)
    print_renewed(done)
    if any(driver.problems for driver in done):
        raise typer.Exit(EXIT_REFUSED)
