"""What scores go into the forecast archive as, and skill comes out of it as."""

import datetime as dt
from dataclasses import dataclass

from storage.archive_rows import IssuedKind
from storage.months import Month


@dataclass(frozen=True)
class Unscored:
    """A lead of a run whose valid month has been observed and not yet been scored against.

    Parameters
    ----------
    run_id, init_month, lead_months, valid_month
        The forecast.
    model_version, fields_url, fields_sha256
        Its model and gridded fields.
    month_revision_id, revision, observed_snapshot_id
        The latest revision of the valid month, and the snapshot that holds it.
    scoring
        Number of the scoring to come: 1 for the first against this revision.
    """

    run_id: str
    init_month: Month
    lead_months: int
    valid_month: Month
    model_version: str
    fields_url: str
    fields_sha256: str
    month_revision_id: int
    revision: int
    observed_snapshot_id: str
    scoring: int


@dataclass(frozen=True)
class ScoreRow:
    """Sums of one lead of one run over one region against one revision of the observation.

    Sums run over the observed ocean cells of the region. Weights ``w`` are cell areas (km2), ``f``
    is the forecast mean, ``o`` the observation, ``c`` the climatology, all in mmol m-2 d-1.

    Parameters
    ----------
    run_id, lead_months, region, valid_month, month_revision_id
        What was scored against what.
    n_cells, weight_sum
        Number of cells, and sum of w.
    se_model, se_climatology, se_persistence, se_damped_persistence
        Sums of w times the squared error of the forecast and of each reference.
    error, abs_error
        Sums of w (f - o) and w abs(f - o).
    crps, crps_climatology
        Sums of w times the continuous ranked probability score of forecast and climatology.
    fa_oa, fa_sq, oa_sq, fa, oa
        Sums of w times the products of the anomalies f - c and o - c, and of the anomalies.
    inside_50, inside_90
        Sums of w over cells whose observation lies in q25 to q75 and in q05 to q95.
    created_at
        When it was computed (aware, UTC).
    scoring, reason
        1 for the first scoring against this revision; why it was scored again, for people.
    """

    run_id: str
    lead_months: int
    region: str
    valid_month: Month
    month_revision_id: int
    n_cells: int
    weight_sum: float
    se_model: float
    se_climatology: float
    se_persistence: float
    se_damped_persistence: float
    error: float
    abs_error: float
    crps: float
    crps_climatology: float
    fa_oa: float
    fa_sq: float
    oa_sq: float
    fa: float
    oa: float
    inside_50: float
    inside_90: float
    created_at: dt.datetime
    scoring: int = 1
    reason: str = ""


@dataclass(frozen=True)
class SkillRow:
    """Skill of one model at one lead over one region, aggregated exactly from the archived sums.

    Skill scores are 1 for a perfect forecast and 0 for one as good as the reference; None where
    the reference has no error or there is too little to tell.

    Parameters
    ----------
    model_version, method, issued_kind, region, lead_months
        What was scored.
    n_months, n_scores, n_cells
        Valid months, scored fields, and cells in them.
    msss_climatology, msss_persistence, msss_damped_persistence
        Mean squared error skill score against each reference.
    msss_climatology_low, msss_climatology_high
        90 % interval of the first, by resampling blocks of months; None below 8 months.
    rmse, rmse_climatology, rmse_persistence, rmse_damped_persistence
        Root mean squared errors (mmol m-2 d-1).
    bias, mae
        Mean error (positive: forecast too high) and mean absolute error (mmol m-2 d-1).
    acc, acc_centred
        Anomaly correlation, uncentred and centred, -1 to 1.
    crpss
        Skill score of the continuous ranked probability score against climatology.
    coverage_50, coverage_90
        Share of area whose observation lies in the 50 % and the 90 % interval, 0 to 1.
    """

    model_version: str
    method: str
    issued_kind: IssuedKind
    region: str
    lead_months: int
    n_months: int
    n_scores: int
    n_cells: int
    msss_climatology: float | None
    msss_persistence: float | None
    msss_damped_persistence: float | None
    msss_climatology_low: float | None
    msss_climatology_high: float | None
    rmse: float | None
    rmse_climatology: float | None
    rmse_persistence: float | None
    rmse_damped_persistence: float | None
    bias: float | None
    mae: float | None
    acc: float | None
    acc_centred: float | None
    crpss: float | None
    coverage_50: float | None
    coverage_90: float | None
