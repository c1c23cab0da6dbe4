"""Drivers of the record: begin one from the files of a product, renew them all, list them.

Months are read, brought to the record's grid and committed a year at a time; what is committed
stays if a later month fails. Doing it again reads everything anew and commits what is new or has
changed, so that a kill at any point is harmless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.operations.workspace import Progress, Workspace, no_progress
from storage.errors import TidenetError
from storage.months import Month, month_range

if TYPE_CHECKING:
    from flows.operations.driver_products import DriverProducts
    from storage.carbon_ecs import CarbonEcs
    from storage.driver_declaration import DriverDeclaration
    from storage.record_drivers import DriverMonth

MONTHS_PER_COMMIT = 12


class NoMonthsError(TidenetError):
    """There is no month that a driver could begin with."""


@dataclass
class RenewedDriver:
    """What became of a driver's months.

    Parameters
    ----------
    name
        The driver.
    added, revised
        Months that are new, and months that have other values now.
    unchanged
        Number of months that were as they are.
    empty
        Months that are kept without a value, because the product lacks them.
    problems
        Months that could not be taken, each with why; None where that is all of them. Without
        ``gaps_allowed`` the driver ends before the first one that it does not hold.
    """

    name: str
    added: list[Month] = field(default_factory=list)
    revised: list[Month] = field(default_factory=list)
    unchanged: int = 0
    empty: list[Month] = field(default_factory=list)
    problems: list[tuple[Month | None, str]] = field(default_factory=list)


@dataclass(frozen=True)
class KnownDriver:
    """A driver of the record and its months."""

    declaration: "DriverDeclaration"
    first_month: Month
    last_month: Month


def add_driver(
    workspace: Workspace,
    name: str,
    products: Sequence[str],
    *,
    quantity: str | None = None,
    gaps_allowed: bool = False,
    progress: Progress = no_progress,
) -> RenewedDriver:
    """Read a driver from the files of its products into the record.

    Months before the record's first one are left out: no forecast could read them.

    Parameters
    ----------
    workspace
        Settings, record and clock.
    name
        What forecasts will know it by. ``transfer`` is computed from wind, temperature, salinity
        and ice.
    products
        The product that delivers it; several for ``transfer``, or one that is computed from
        drivers, whose drivers are meant then.
    quantity
        What to take; None for the quantity of this name, or the only one delivered.
    gaps_allowed
        Keep months that the product lacks between others as months without values.
    progress
        Called after each month.

    Raises
    ------
    DriverNotDeliveredError
        If the products do not deliver it.
    NoMonthsError
        If the record is empty, or no month of the products lies in or after its first one.
    RecordMismatchError
        If the record has another driver of this name.
    RefusedFileError
        If a file is so damaged that its months cannot be told.
    SourceUnavailableError, RecordNotFoundError, StoreUnavailableError
        If something cannot be reached.
    """
    from flows.operations.driver_products import DriverProducts, delivery_of, quantity_of

    record = workspace.record()
    delivery = delivery_of(workspace, products)
    wanted = quantity_of(name, delivery, quantity)
    source = DriverProducts(workspace, delivery, wanted)
    declaration = source.declaration(name, gaps_allowed=gaps_allowed)
    return _renew(record, declaration, source, progress)


def renew_drivers(workspace: Workspace, *, progress: Progress = no_progress) -> list[RenewedDriver]:
    """Take new and changed months of every driver of the record, each from its own products.

    Returns
    -------
    list of RenewedDriver
        One a driver; nothing where there is no record yet, or no driver in it.

    Raises
    ------
    SourceUnavailableError, StoreUnavailableError
        If something cannot be reached.
    """
    from storage.carbon_ecs import CarbonEcs

    if not CarbonEcs.exists(workspace.settings.record_url, workspace.patience):
        return []
    drivers = workspace.record().drivers
    declared = [drivers.declaration(name) for name in drivers.names()]
    return [_renewed(workspace, one, progress) for one in declared]


def list_drivers(workspace: Workspace) -> list[KnownDriver]:
    """Return the drivers of the record, by name.

    Raises
    ------
    RecordNotFoundError, StoreUnavailableError
        If the record cannot be read.
    """
    drivers = workspace.record().drivers
    known = []
    for name in drivers.names():
        months = drivers.months(name)
        known.append(KnownDriver(drivers.declaration(name), months[0], months[-1]))
    return known


def needed_drivers(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the drivers that a model of these training options reads.

    Parameters
    ----------
    config
        Training options as they are recorded with a model version (``drivers``, ``target``).
    """
    from tidenet.disequilibrium import TRANSFER

    named = tuple(config.get("drivers") or ())
    divides = config.get("target") == "disequilibrium" and TRANSFER not in named
    return (*named, TRANSFER) if divides else named


def _renewed(
    workspace: Workspace, declared: "DriverDeclaration", progress: Progress
) -> RenewedDriver:
    """Renew one driver; a file that does not say its months must not stop the others."""
    from ingest.errors import RefusedFileError

    try:
        return add_driver(
            workspace,
            declared.name,
            declared.products,
            quantity=declared.quantity,
            gaps_allowed=declared.gaps_allowed,
            progress=progress,
        )
    except RefusedFileError as error:
        return RenewedDriver(declared.name, problems=[(None, str(error))])


def _renew(
    record: "CarbonEcs",
    declaration: "DriverDeclaration",
    source: "DriverProducts",
    progress: Progress,
) -> RenewedDriver:
    held = _held(record, declaration.name)
    delivered = source.months()
    months = _months(record, declaration, delivered)
    done = RenewedDriver(declaration.name)
    waiting: list[DriverMonth] = []
    for count, month in enumerate(months, start=1):
        made = _read(record, source, month, done) if month in delivered else None
        if made is None and month in held:
            continue  # its file is gone or damaged by now; what was read from it stays
        if made is None and not declaration.gaps_allowed:
            if month not in delivered:
                done.problems.append((month, "No file of this month has arrived."))
            break
        if made is None:
            done.empty.append(month)
            made = source.empty(month, record.grid)
        waiting.append(made)
        if len(waiting) == MONTHS_PER_COMMIT:
            _commit(record, declaration, waiting, done)
            waiting = []
        progress(count, len(months), f"{declaration.name} {month}")
    if waiting:
        _commit(record, declaration, waiting, done)
    return done


def _held(record: "CarbonEcs", name: str) -> list[Month]:
    """Return the months of a driver that the record holds; none of one that it does not have."""
    drivers = record.drivers
    return list(drivers.months(name)) if name in drivers.names() else []


def _months(
    record: "CarbonEcs", declaration: "DriverDeclaration", delivered: Sequence[Month]
) -> list[Month]:
    """Return the months from the driver's first to the last that was delivered.

    Raises
    ------
    NoMonthsError
        If there is none, and the record has none either.
    """
    begin, held = record.first_month, _held(record, declaration.name)
    known = [month for month in delivered if begin is not None and month >= begin]
    if not known and held:
        return []
    if not known:
        names = ", ".join(declaration.products)
        raise NoMonthsError(
            f"There is no month for the driver {declaration.name} to begin with.",
            found=f"{len(delivered)} months of {names}"
            + (f", {delivered[0]} to {delivered[-1]}" if delivered else ""),
            expected="months from the record's first one on, "
            + (str(begin) if begin is not None else "but the record is empty"),
            remedy="Ingest the flux first, and let files of the product arrive.",
        )
    return month_range(held[0] if held else known[0], known[-1])


def _read(
    record: "CarbonEcs", source: "DriverProducts", month: Month, done: RenewedDriver
) -> "DriverMonth | None":
    """Return a month, or None where its file is refused, which is noted."""
    from ingest.errors import RefusedFileError

    try:
        return source.read(month, record.grid, record.ocean)
    except RefusedFileError as error:
        done.problems.append((month, str(error)))
        return None


def _commit(
    record: "CarbonEcs",
    declaration: "DriverDeclaration",
    months: "Sequence[DriverMonth]",
    done: RenewedDriver,
) -> None:
    commit = record.commit_drivers(declaration, months)
    for month, revision in commit.revisions.items():
        (done.added if revision == 1 else done.revised).append(month)
    done.unchanged += len(months) - len(commit.revisions)
