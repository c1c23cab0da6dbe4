"""Fitting a hand-over: how a new product goes on with the record and puts no step into it."""

import getpass
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.operations.arrivals import Arrival, list_arrivals
from flows.operations.refusals import on_record_grid
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.errors import TidenetError
from storage.flux_month import Quality
from storage.handovers import HandOverFitted, HandOverTerm, record_handover
from storage.ledger import latest_months
from storage.months import Month
from storage.months import month as parse_month

if TYPE_CHECKING:
    from ingest.handover.correction import HandOver


class NothingToHandOverError(TidenetError):
    """The record was not made from another product."""


@dataclass(frozen=True)
class FittedHandOver:
    """A hand-over that was fitted and kept.

    Parameters
    ----------
    id
        Its key in the archive.
    correction
        What was fitted.
    refused
        Files of the overlap that could not be used, with why.
    """

    id: int
    correction: "HandOver"
    refused: tuple[tuple[str, str], ...]


def fit_handover(
    workspace: Workspace, new: str, *, progress: Progress = no_progress
) -> FittedHandOver:
    """Compare a new product with the record on the months that both have, and keep the result.

    It is written to the archive, and into the attributes of the record. Months of the new product
    that are ingested from then on are corrected with it; months in the record stay as they are.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    new
        Name of the new product.
    progress
        Called after each month of the overlap.

    Raises
    ------
    NothingToHandOverError
        If the record holds no month of another product.
    InsufficientOverlapError
        If the products have too few months in common; the message says which are missing.
    """
    from ingest.catalogue import load_product
    from ingest.errors import RefusedFileError
    from ingest.handover.overlap import OverlapStatistics

    product = load_product(new, workspace.settings.products_folder)
    record = workspace.record()
    old, overlap = _overlap(workspace, new, list_arrivals(workspace, product).arrivals)
    statistics = OverlapStatistics(record.grid, old, new)
    refused: list[tuple[str, str]] = []
    for done, (month, arrival) in enumerate(overlap, start=1):
        try:
            delivered = arrival.fetch().read()
        except RefusedFileError as error:
            refused.append((arrival.name, str(error)))
            continue
        held = record.read_month(month)
        observed = np.where(held.quality == Quality.OBSERVED, held.fco2, np.nan)
        offered = on_record_grid(delivered, product, record.grid).fco2
        statistics.add(month, observed, np.where(record.ocean, offered, np.nan))
        progress(done, len(overlap), str(month))
    correction = statistics.fit()
    # The database first: it refuses what cannot be, and the record is written to only then.
    key = record_handover(workspace.engine, _fitted(correction, record.snapshot_id, workspace))
    record.add_handover(correction.to_json())
    return FittedHandOver(key, correction, tuple(refused))


def _overlap(
    workspace: Workspace, new: str, arrivals: tuple[Arrival, ...]
) -> tuple[str, list[tuple[Month, Arrival]]]:
    """Return the product that the record ends with before the new one, and the common months."""
    held = {r.committed.month: r.product for r in latest_months(workspace.engine)}
    others = [product for product in held.values() if product != new]
    if not others:
        raise NothingToHandOverError(
            "There is no other product to hand over from.",
            found=f"{len(held)} months in the record, all from {new}" if held else "no month",
            expected="a record made from another product",
            remedy=f"Nothing: tidenet ingest --product {new} can begin or go on with the record.",
        )
    old = others[-1]
    common = [
        (arrival.month, arrival)
        for arrival in arrivals
        if arrival.month is not None and arrival.refusal is None and held.get(arrival.month) == old
    ]
    return old, common


def _fitted(correction: "HandOver", snapshot_id: str, workspace: Workspace) -> HandOverFitted:
    return HandOverFitted(
        old_product=correction.old_product,
        new_product=correction.new_product,
        grid=correction.grid,
        overlap_first=parse_month(correction.first_month),
        overlap_last=parse_month(correction.last_month),
        n_months=correction.n_months,
        rmse_before=correction.rmse_before,
        rmse_after=correction.rmse_after,
        parameters=json.loads(correction.to_json()),
        snapshot_id=snapshot_id,
        fitted_at=workspace.now(),
        fitted_by=getpass.getuser(),
        terms=tuple(
            HandOverTerm(
                region=term.region,
                calendar_month=term.calendar_month,
                scale=term.scale,
                shift=term.offset,
                n_months=term.n_months,
                n_cells=term.n_cells,
                residual=term.residual,
            )
            for term in correction.terms
        ),
    )
