"""What ``tidenet drivers`` shows on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Column, Table

from flows.screen import CONSOLE, say

if TYPE_CHECKING:
    from flows.operations.drivers import KnownDriver, RenewedDriver


def print_drivers(drivers: "Sequence[KnownDriver]") -> None:
    """Print one line a driver."""
    if not drivers:
        say("The record has no driver. Add one: tidenet drivers add NAME --product PRODUCT")
        return
    columns = ("driver", "units", "kind", "months", "products")
    table = Table(
        *(Column(name, overflow="fold") for name in columns),
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for driver in drivers:
        said = driver.declaration
        span = f"{driver.first_month} to {driver.last_month}"
        cells = (said.name, said.units, said.kind, span, "\n".join(said.products))
        table.add_row(*(escape(cell) for cell in cells))
    CONSOLE.print(table)


def print_renewed(drivers: "Sequence[RenewedDriver]") -> None:
    """Print what became of the months of some drivers, and what could not be taken."""
    if not drivers:
        say("The record has no driver.")
    for driver in drivers:
        parts = [f"{len(driver.added)} months added"]
        if driver.added:
            parts[0] += f" ({driver.added[0]} to {driver.added[-1]})"
        if driver.revised:
            parts.append(f"{len(driver.revised)} revised")
        if driver.empty:
            parts.append(f"{len(driver.empty)} of them without values")
        parts.append(f"{driver.unchanged} as they were")
        say(f"{driver.name}: {', '.join(parts)}.")
        for month, why in driver.problems:
            say(f"{driver.name}{f' {month}' if month is not None else ''}: {why}")
