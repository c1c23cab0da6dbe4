"""What goes into the forecast archive and comes out of it, as frozen values."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from storage.check_result import CheckResult
from storage.grid import Grid
from storage.months import Month
from storage.regions import Region

IssuedKind = Literal["live", "backfill", "hindcast"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Probability levels of the columns q05, q25, q50, q75 and q95."""


def new_run_id() -> str:
    """Return a new, globally unique run id."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class ForecastRun:
    """One forecast run: one init month, one model version, one data snapshot, one seed.

    Parameters
    ----------
    id
        Unique id (`new_run_id`).
    init_month
        Last observed month used.
    n_leads, n_members
        Months that it reaches, and ensemble members.
    model_version
        Key of the model registry.
    snapshot_id
        Snapshot of the Carbon-ECS repository that was read.
    month_revision_id
        Ledger key of the init month's revision that was read.
    seed
        Seed of the members.
    issued_kind
        ``live``, ``backfill`` or ``hindcast``.
    created_at
        When it was computed (aware, UTC).
    fields_url, fields_sha256
        Its gridded fields, and their hexadecimal digest.
    code_version
        Version of this package.
    idempotency_key
        A run with a key that is already archived is not written again.
    duration_s
        Time that the computation took (seconds).
    libraries
        Library versions.
    hardware
        What it was computed on.
    degraded, degraded_reason
        Whether and why it was made with less than it should have had.
    first_month
        First month that was read; None where unknown: then every month counts as read.
    reason
        Why it was made, for people.
    known_at
        Moment after which nothing that became known was read (aware, UTC); None for
        ``created_at``.
    placement
        What hardware was asked for, and why it ran where it did; empty if nothing was asked.
    """

    id: str
    init_month: Month
    n_leads: int
    n_members: int
    model_version: str
    snapshot_id: str
    month_revision_id: int
    seed: int
    issued_kind: IssuedKind
    created_at: dt.datetime
    fields_url: str
    fields_sha256: str
    code_version: str
    idempotency_key: str
    duration_s: float = 0.0
    libraries: Mapping[str, str] = field(default_factory=dict)
    hardware: str = ""
    degraded: bool = False
    degraded_reason: str = ""
    first_month: Month | None = None
    reason: str = ""
    known_at: dt.datetime | None = None
    placement: str = ""


@dataclass(frozen=True)
class RegionalRows:
    """A run's predictions by region. All fluxes in mmol m-2 d-1, positive out of the sea.

    The archive adds the anomaly (mean minus climatology) and the area integrals in Tg C per month.

    Parameters
    ----------
    regions
        The regions (`storage.regions`).
    area_m2
        Ocean area of each region (n_regions,), m2.
    mean, spread
        Area mean and its standard deviation over members (n_leads, n_regions).
    quantiles
        Quantiles of the area mean (n_leads, 5, n_regions) at `QUANTILES`.
    p_source
        Probability that the region is a source, 0 to 1 (n_leads, n_regions).
    climatology, damped_persistence
        The reference forecasts' area means (n_leads, n_regions).
    """

    regions: tuple[Region, ...]
    area_m2: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    quantiles: np.ndarray
    p_source: np.ndarray
    climatology: np.ndarray
    damped_persistence: np.ndarray


@dataclass(frozen=True)
class YearlyRows:
    """What a run says of each calendar year that it reaches: Tg C, positive out of the sea.

    Sums are made member by member, so that their spread and quantiles are those of the sum.

    Parameters
    ----------
    regions
        The regions, all of which the regional rows hold.
    years, n_months
        Calendar years of the valid months, ascending, and how many of the run's months each holds.
    mean, spread
        Sum of the run's months in each year, and its standard deviation (n_years, n_regions).
    quantiles
        (n_years, 5, n_regions) at `QUANTILES`.
    """

    regions: tuple[Region, ...]
    years: tuple[int, ...]
    n_months: tuple[int, ...]
    mean: np.ndarray
    spread: np.ndarray
    quantiles: np.ndarray


@dataclass(frozen=True)
class CellRows:
    """A run's predictions by cell of the archive grid: mmol m-2 d-1, positive out of the sea.

    Parameters
    ----------
    grid
        The archive grid.
    index
        Row-major positions of the cells on the grid (n_cells,), integers.
    area_m2
        Ocean area in each cell (n_cells,), m2.
    mean, spread
        Mean and standard deviation over members (n_leads, n_cells).
    quantiles
        (n_leads, 5, n_cells) at `QUANTILES`.
    p_source
        Probability that the cell is a source, 0 to 1 (n_leads, n_cells).
    climatology, damped_persistence
        The reference forecasts' values (n_leads, n_cells).
    """

    grid: Grid
    index: np.ndarray
    area_m2: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    quantiles: np.ndarray
    p_source: np.ndarray
    climatology: np.ndarray
    damped_persistence: np.ndarray


@dataclass(frozen=True)
class WrittenRun:
    """Outcome of writing a run.

    Parameters
    ----------
    run_id
        Id of the archived run: the given one, or that of the earlier run with the same key.
    created
        Whether this call wrote it.
    """

    run_id: str
    created: bool


@dataclass(frozen=True)
class Trace:
    """Where one archived value comes from, back to the bytes of a file.

    Parameters
    ----------
    run_id, region, lead_months, init_month, valid_month, issued_kind, created_at
        Which prediction it is.
    mean
        The predicted area mean (mmol m-2 d-1, positive out of the sea).
    model_version, weights_sha256, model_snapshot_id
        The model, and the data snapshot that it was trained on.
    snapshot_id
        The data snapshot that the run read.
    revision, content_hash
        Revision of the init month, and the digest of its arrays.
    product, file_url, file_sha256
        The file that it was made from.
    acceptance_reason
        Why a person accepted the file in spite of a warning; empty otherwise.
    stage
        ``final`` or ``preliminary``, as the file was delivered.
    n_inputs
        Number of files that the init month was computed from; 0 if it was delivered as one.
    completion
        How its gaps were filled; empty if not recorded.
    handover_id
        Key of the hand-over that it was corrected with; None if it was not.
    checks
        Every check of that file.
    """

    run_id: str
    region: str
    lead_months: int
    init_month: Month
    valid_month: Month
    issued_kind: IssuedKind
    created_at: dt.datetime
    mean: float
    model_version: str
    weights_sha256: str
    model_snapshot_id: str
    snapshot_id: str
    revision: int
    content_hash: str
    product: str
    file_url: str
    file_sha256: str
    acceptance_reason: str
    stage: str
    n_inputs: int
    completion: str
    handover_id: int | None
    checks: tuple[CheckResult, ...]


@dataclass(frozen=True)
class OutdatedRun:
    """A run that counts, although a month that it read has other content by now.

    Parameters
    ----------
    run_id, init_month, model_version, issued_kind, created_at
        The run.
    revised_month
        The latest such month, of those that it read.
    revision, revised_at
        Its latest revision, and when that was committed (aware, UTC).
    n_revised_months
        Number of such months.
    """

    run_id: str
    init_month: Month
    model_version: str
    issued_kind: IssuedKind
    created_at: dt.datetime
    revised_month: Month
    revision: int
    revised_at: dt.datetime
    n_revised_months: int
