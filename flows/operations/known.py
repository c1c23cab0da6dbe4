"""What is known at a moment: one way for the present and for any moment of the past.

A live forecast asks for what is known now, a replay for what was known then. Both go through here,
so that a replay can read nothing that a live forecast of that day could not have read: neither
months and revisions that were committed later, nor drivers, nor models that were promoted later.
"""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.operations.workspace import Workspace
from storage.errors import TidenetError
from storage.ledger import MonthRevision, newest_commit, revisions_of
from storage.months import Month, month_range
from storage.registry import ModelVersion, champion

if TYPE_CHECKING:
    from storage.carbon_ecs import CarbonEcs


class NothingKnownError(TidenetError):
    """At that moment the record had no month yet."""


class LedgerBehindRecordError(TidenetError):
    """The record holds a month that the ledger does not know."""


@dataclass(frozen=True)
class Known:
    """The record and the models as they were known at a moment.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    store
        The record at the newest snapshot of that moment.
    as_of
        The moment (aware, UTC); None for the present.
    """

    workspace: Workspace
    store: "CarbonEcs"
    as_of: dt.datetime | None

    @property
    def moment(self) -> dt.datetime:
        """The moment, in the present the clock's."""
        return self.as_of or self.workspace.now()

    @property
    def last_month(self) -> Month:
        """The newest month that was published.

        Raises
        ------
        NothingKnownError
            If there was none.
        """
        last = self.store.last_month
        if last is None:
            raise NothingKnownError(
                "The record is empty.",
                expected="months of sea-air CO2 flux",
                remedy="Ingest product files first: tidenet ingest.",
            )
        return last

    def champion(self) -> ModelVersion | None:
        """Return the model in service; None if none had been promoted."""
        return champion(self.workspace.engine, self.store.grid.name, as_of=self.as_of)

    def revisions(self, first: Month, last: Month) -> tuple[MonthRevision, ...]:
        """Return the revision of each month that the snapshot holds, as the ledger has it.

        Months before the record's first are left out.

        Raises
        ------
        LedgerBehindRecordError
            If the snapshot does not hold the last month, or the ledger lacks a revision.
        """
        held = self.store.month_revisions()
        if last not in held:
            raise self._not_held(last)
        wanted = {m: held[m] for m in month_range(first, last) if m in held}
        found = revisions_of(self.workspace.engine, wanted)
        for month in wanted:
            if month not in found:
                raise LedgerBehindRecordError(
                    f"The record holds {month}, but the ledger does not know where it comes from.",
                    found=f"revision {held[month]} of {month} in the record only",
                    remedy="Run tidenet ingest: it writes what is missing in the ledger.",
                )
        return tuple(found[month] for month in wanted)

    def _not_held(self, month: Month) -> LedgerBehindRecordError:
        first, last = self.store.first_month, self.store.last_month
        when = f" at {self.as_of:%Y-%m-%d %H:%M} UTC" if self.as_of else ""
        return LedgerBehindRecordError(
            f"The record does not hold {month}{when}.",
            found="no months" if first is None else f"{first} to {last}",
            expected=str(month),
            remedy="Ingest the month first, or choose one inside the record.",
        )


def known(workspace: Workspace, as_of: dt.datetime | None = None) -> Known:
    """Return what is known now, or what was known at a moment.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    as_of
        The moment (aware, UTC); None for the present.

    Raises
    ------
    NothingKnownError
        If no month had been published by then.
    RecordNotFoundError
        If there is no record, or its snapshot of that moment has expired.
    """
    store = workspace.record()
    if as_of is None:
        return Known(workspace, store, None)
    return Known(workspace, workspace.record(_snapshot_at(workspace, store, as_of)), as_of)


def _snapshot_at(workspace: Workspace, store: "CarbonEcs", as_of: dt.datetime) -> str:
    """Return the newest snapshot that was committed by a moment.

    Of the record's own history and of the ledger: the history knows commits of drivers, too; the
    ledger knows snapshots that the history has lost since older ones were expired.
    """
    candidates = [(s.written_at, s.id) for s in store.history() if s.written_at <= as_of]
    committed = newest_commit(workspace.engine, as_of)
    if committed is None:
        raise NothingKnownError(
            f"No month had been published by {as_of:%Y-%m-%d %H:%M} UTC.",
            found=f"a record whose first commit is of {store.history()[-1].written_at:%Y-%m-%d}",
            expected="a moment after the first month was committed",
            remedy="For init months before that, make hindcasts: tidenet backfill.",
        )
    return max([*candidates, (committed.committed_at, committed.snapshot_id)])[1]
