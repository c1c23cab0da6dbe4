"""What makes a forecast run one of a kind, and the key that it is found by."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.operations.drivers import needed_drivers
from flows.operations.known import Known
from storage.archive import IssuedKind
from storage.ledger import MonthRevision, content_of
from storage.months import Month
from storage.registry import ModelVersion

if TYPE_CHECKING:
    from storage.carbon_ecs import CarbonEcs


@dataclass(frozen=True)
class Issue:
    """What makes a run: a second run with the same values would give the same numbers.

    Parameters
    ----------
    init_month
        Last observed month used.
    model
        The model.
    first_read
        First month that the model asks for; the record may begin later.
    inputs
        The months that are read, each with the revision that is read.
    data_hash
        Hexadecimal digest of everything that is read.
    seed, n_members
        Of the ensemble.
    kind
        ``live``, ``backfill`` or ``hindcast``.
    """

    init_month: Month
    model: ModelVersion
    first_read: Month
    inputs: tuple[MonthRevision, ...]
    data_hash: str
    seed: int
    n_members: int
    kind: IssuedKind

    def key(self) -> str:
        """Return the idempotency key: the same model, data, seed, size and kind.

        The data are named by the content of every month that is read, not by the snapshot: one
        that adds a later month, or revises a month before them, does not change what is read.
        """
        parts = (
            str(self.init_month),
            self.model.version,
            self.data_hash,
            str(self.seed),
            str(self.n_members),
            self.kind,
        )
        return hashlib.sha256("|".join(parts).encode()).hexdigest()


def issue_of(
    then: Known, model: ModelVersion, init_month: Month, *, kind: IssuedKind, seed: int
) -> Issue:
    """Return what makes a run from what is known; nothing is computed yet.

    Raises
    ------
    LedgerBehindRecordError
        If the init month is not in the record, or a month that is read not in the ledger.
    MissingDriverError
        If a driver that the model reads does not reach the init month.
    """
    from tidenet.configuration import TideNetConfig

    first_read = init_month - (TideNetConfig.model_validate(model.config).n_history - 1)
    inputs = then.revisions(first_read, init_month)
    return Issue(
        init_month=init_month,
        model=model,
        first_read=first_read,
        inputs=inputs,
        data_hash=_content(then.store, model, inputs),
        seed=seed,
        n_members=then.workspace.settings.n_members,
        kind=kind,
    )


def _content(store: "CarbonEcs", model: ModelVersion, inputs: Sequence[MonthRevision]) -> str:
    """Return the hexadecimal SHA-256 of everything that a model reads of some months.

    A model that reads no driver has that of the flux alone.
    """
    flux = content_of(inputs)
    drivers = needed_drivers(model.config)
    if not drivers:
        return flux
    first, last = inputs[0].committed.month, inputs[-1].committed.month
    driven = store.drivers.content_hash(drivers, first, last)
    return hashlib.sha256(f"{flux}|{driven}".encode()).hexdigest()
