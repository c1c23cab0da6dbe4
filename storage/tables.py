"""Tables of the archive database. Rows are only ever added; a rerun or a revision is a new row.

Every flux is in mmol m-2 d-1, positive out of the sea, unless a column says otherwise. A month is
the date of its first day. Times are UTC. The migrations build what is declared here and in
`storage.ingest_tables` and `storage.model_tables`, and a test compares the two.
"""

import datetime as dt
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    column,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.column_types import Json
from storage.ingest_tables import (
    Acceptance,
    Check,
    HandOver,
    HandOverTerm,
    MonthInput,
    MonthRevision,
    ProductFile,
)
from storage.model_tables import DriftCheck, ModelVersion, Promotion, PromotionFigure
from storage.months import Month
from storage.table_rules import (
    Table,
    is_month,
    is_optional_month,
    is_sha256,
    month_number,
    one_of,
    ordered_quantiles,
    possible_values,
)

__all__ = [
    "Acceptance",
    "Cell",
    "CellPrediction",
    "Check",
    "DriftCheck",
    "ForecastLead",
    "ForecastRun",
    "HandOver",
    "HandOverTerm",
    "ModelVersion",
    "MonthInput",
    "MonthRevision",
    "ProductFile",
    "Promotion",
    "PromotionFigure",
    "Region",
    "RegionalPrediction",
    "SkillScore",
    "Table",
]


class ForecastRun(Table):
    """One forecast run: init month x model version x data snapshot x seed."""

    __tablename__ = "forecast_runs"
    __table_args__ = (
        UniqueConstraint("idempotency_key"),
        UniqueConstraint("id", "init_month"),
        # The revision that was read must be one of the init month.
        ForeignKeyConstraint(
            ["month_revision_id", "init_month"], ["month_revisions.id", "month_revisions.month"]
        ),
        is_month("init_month"),
        is_optional_month("first_month"),
        one_of("issued_kind", "live", "backfill", "hindcast"),
        is_sha256("fields_sha256"),
        CheckConstraint("n_leads BETWEEN 1 AND 12", name="n_leads_is_1_to_12"),
        CheckConstraint("n_members >= 1", name="has_members"),
        CheckConstraint("duration_s >= 0", name="duration_is_not_negative"),
        CheckConstraint("NOT degraded OR length(degraded_reason) > 0", name="degraded_says_why"),
        Index("ix_forecast_runs_init_month", "init_month"),
        Index("ix_forecast_runs_model_version", "model_version"),
        {"comment": "One row per forecast run; a rerun is a new row"},
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment="Unique id (UUID)")
    init_month: Mapped[Month] = mapped_column(comment="Last observed month used (first day)")
    n_leads: Mapped[int] = mapped_column(comment="Months that it reaches (1 to 12)")
    n_members: Mapped[int] = mapped_column(comment="Ensemble members (number)")
    model_version: Mapped[str] = mapped_column(
        ForeignKey("model_versions.version"), comment="The model"
    )
    snapshot_id: Mapped[str] = mapped_column(comment="Snapshot of the record that was read")
    month_revision_id: Mapped[int] = mapped_column(
        comment="Revision of the init month that was read"
    )
    seed: Mapped[int] = mapped_column(BigInteger, comment="Seed of the members")
    issued_kind: Mapped[str] = mapped_column(
        comment="live (on time), backfill (late, from what was known then) or hindcast"
    )
    created_at: Mapped[dt.datetime] = mapped_column(comment="When it was computed (UTC)")
    fields_url: Mapped[str] = mapped_column(comment="Its gridded fields (Zarr)")
    fields_sha256: Mapped[str] = mapped_column(comment="SHA-256 of the gridded fields")
    code_version: Mapped[str] = mapped_column(comment="Version of this package")
    libraries: Mapped[dict[str, Any]] = mapped_column(Json, comment="Versions of the libraries")
    hardware: Mapped[str] = mapped_column(comment="What it was computed on")
    degraded: Mapped[bool] = mapped_column(comment="Made with less than it should have had")
    degraded_reason: Mapped[str] = mapped_column(comment="Why it is degraded; empty if not")
    duration_s: Mapped[float] = mapped_column(comment="Time that the computation took (seconds)")
    idempotency_key: Mapped[str] = mapped_column(
        comment="What makes the run one of a kind; a second run with it is not written"
    )
    first_month: Mapped[Month | None] = mapped_column(
        comment="First month that was read; null where unknown: then every month counts as read"
    )


class ForecastLead(Table):
    """One lead month of a run."""

    __tablename__ = "forecast_leads"
    __table_args__ = (
        UniqueConstraint("run_id", "lead_months"),
        UniqueConstraint("run_id", "lead_months", "valid_month"),
        ForeignKeyConstraint(
            ["run_id", "init_month"], ["forecast_runs.id", "forecast_runs.init_month"]
        ),
        is_month("init_month"),
        is_month("valid_month"),
        CheckConstraint("lead_months BETWEEN 1 AND 12", name="lead_is_1_to_12"),
        CheckConstraint(
            month_number("valid_month") == month_number("init_month") + column("lead_months"),
            name="valid_is_init_plus_lead",
        ),
        Index("ix_forecast_leads_valid_month", "valid_month"),
        {"comment": "One row per lead month of a run; ties lead, init month and valid month"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key")
    run_id: Mapped[str] = mapped_column(comment="The run")
    init_month: Mapped[Month] = mapped_column(comment="Last observed month used (first day)")
    lead_months: Mapped[int] = mapped_column(comment="Months after the init month (1 to 12)")
    valid_month: Mapped[Month] = mapped_column(comment="Month that the forecast is for (first day)")


class Region(Table):
    """A region that fluxes are averaged and integrated over."""

    __tablename__ = "regions"
    __table_args__ = ({"comment": "One row per region that predictions and scores refer to"},)

    name: Mapped[str] = mapped_column(primary_key=True, comment="Key, such as changjiang-plume")
    title: Mapped[str] = mapped_column(comment="Name for people")
    definition: Mapped[dict[str, Any]] = mapped_column(
        Json, comment="Corners of the polygon (degrees east, degrees north); none for the whole sea"
    )


class RegionalPrediction(Table):
    """The prediction of one run for one region and lead."""

    __tablename__ = "regional_predictions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "lead_months", "valid_month"],
            ["forecast_leads.run_id", "forecast_leads.lead_months", "forecast_leads.valid_month"],
        ),
        *possible_values(),
        ordered_quantiles("integrals_are_ordered", "flux_tgc_"),
        CheckConstraint("area_m2 > 0", name="area_is_positive"),
        Index("ix_regional_predictions_region_valid_month", "region", "valid_month"),
        {"comment": "One row per run, lead and region; fluxes positive out of the sea"},
    )

    run_id: Mapped[str] = mapped_column(primary_key=True, comment="The run")
    region: Mapped[str] = mapped_column(
        ForeignKey("regions.name"), primary_key=True, comment="The region"
    )
    lead_months: Mapped[int] = mapped_column(
        primary_key=True, comment="Months after the init month (1 to 12)"
    )
    valid_month: Mapped[Month] = mapped_column(comment="Month that the forecast is for (first day)")
    area_m2: Mapped[float] = mapped_column(comment="Ocean area of the region (m2)")
    mean: Mapped[float] = mapped_column(
        comment="Area mean of the flux (mmol m-2 d-1, positive out of the sea)"
    )
    spread: Mapped[float] = mapped_column(
        comment="Standard deviation of the area mean over members (mmol m-2 d-1)"
    )
    q05: Mapped[float] = mapped_column(comment="5 % quantile of the area mean (mmol m-2 d-1)")
    q25: Mapped[float] = mapped_column(comment="25 % quantile of the area mean (mmol m-2 d-1)")
    q50: Mapped[float] = mapped_column(comment="Median of the area mean (mmol m-2 d-1)")
    q75: Mapped[float] = mapped_column(comment="75 % quantile of the area mean (mmol m-2 d-1)")
    q95: Mapped[float] = mapped_column(comment="95 % quantile of the area mean (mmol m-2 d-1)")
    p_source: Mapped[float] = mapped_column(
        comment="Probability that the region as a whole is a source (0 to 1)"
    )
    climatology: Mapped[float] = mapped_column(comment="The climatology's area mean (mmol m-2 d-1)")
    damped_persistence: Mapped[float] = mapped_column(
        comment="The damped anomaly persistence's area mean (mmol m-2 d-1)"
    )
    anomaly: Mapped[float] = mapped_column(comment="mean minus climatology (mmol m-2 d-1)")
    flux_tgc_mean: Mapped[float] = mapped_column(
        comment="Flux of the whole region (Tg C per month, positive out of the sea: uptake is < 0)"
    )
    flux_tgc_q05: Mapped[float] = mapped_column(comment="Its 5 % quantile (Tg C per month)")
    flux_tgc_q25: Mapped[float] = mapped_column(comment="Its 25 % quantile (Tg C per month)")
    flux_tgc_q50: Mapped[float] = mapped_column(comment="Its median (Tg C per month)")
    flux_tgc_q75: Mapped[float] = mapped_column(comment="Its 75 % quantile (Tg C per month)")
    flux_tgc_q95: Mapped[float] = mapped_column(comment="Its 95 % quantile (Tg C per month)")


class Cell(Table):
    """One ocean cell of an archive grid."""

    __tablename__ = "cells"
    __table_args__ = (
        UniqueConstraint("grid", "cell_index"),
        CheckConstraint("lat BETWEEN -90 AND 90", name="lat_is_possible"),
        CheckConstraint("area_m2 > 0", name="area_is_positive"),
        CheckConstraint("cell_index >= 0", name="index_starts_at_0"),
        {"comment": "One row per ocean cell of an archive grid"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key")
    grid: Mapped[str] = mapped_column(comment="Name of the archive grid")
    cell_index: Mapped[int] = mapped_column(comment="Row-major position, rows south to north")
    lat: Mapped[float] = mapped_column(comment="Latitude of its centre (degrees north)")
    lon: Mapped[float] = mapped_column(comment="Longitude of its centre (degrees east)")
    area_m2: Mapped[float] = mapped_column(comment="Ocean area in the cell (m2)")


class CellPrediction(Table):
    """The prediction of one run for one cell and lead."""

    __tablename__ = "cell_predictions"
    __table_args__ = (
        *possible_values(),
        {
            "comment": "One row per run lead and cell; fluxes positive out of the sea",
            # One B-tree instead of two: half the size, and rows of a lead lie together.
            "sqlite_with_rowid": False,
        },
    )

    lead_id: Mapped[int] = mapped_column(
        ForeignKey("forecast_leads.id"),
        primary_key=True,
        autoincrement=False,
        comment="Run and lead (forecast_leads)",
    )
    cell_id: Mapped[int] = mapped_column(
        ForeignKey("cells.id"), primary_key=True, autoincrement=False, comment="The cell"
    )
    mean: Mapped[float] = mapped_column(
        REAL, comment="Flux (mmol m-2 d-1, positive out of the sea)"
    )
    spread: Mapped[float] = mapped_column(
        REAL, comment="Standard deviation over members (mmol m-2 d-1)"
    )
    q05: Mapped[float] = mapped_column(REAL, comment="5 % quantile (mmol m-2 d-1)")
    q25: Mapped[float] = mapped_column(REAL, comment="25 % quantile (mmol m-2 d-1)")
    q50: Mapped[float] = mapped_column(REAL, comment="Median (mmol m-2 d-1)")
    q75: Mapped[float] = mapped_column(REAL, comment="75 % quantile (mmol m-2 d-1)")
    q95: Mapped[float] = mapped_column(REAL, comment="95 % quantile (mmol m-2 d-1)")
    p_source: Mapped[float] = mapped_column(
        REAL, comment="Probability that the cell is a source (0 to 1)"
    )
    climatology: Mapped[float] = mapped_column(REAL, comment="The climatology (mmol m-2 d-1)")


class SkillScore(Table):
    """Sums that scores are made of: one lead of one run, one region, one observed revision."""

    __tablename__ = "skill_scores"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "region", "lead_months"],
            [
                "regional_predictions.run_id",
                "regional_predictions.region",
                "regional_predictions.lead_months",
            ],
        ),
        ForeignKeyConstraint(
            ["run_id", "lead_months", "valid_month"],
            ["forecast_leads.run_id", "forecast_leads.lead_months", "forecast_leads.valid_month"],
        ),
        # The revision scored against must be one of the valid month.
        ForeignKeyConstraint(
            ["month_revision_id", "valid_month"], ["month_revisions.id", "month_revisions.month"]
        ),
        CheckConstraint("n_cells >= 0 AND weight_sum >= 0", name="counts_are_not_negative"),
        CheckConstraint(
            "se_model >= 0 AND se_climatology >= 0 AND se_persistence >= 0"
            " AND se_damped_persistence >= 0",
            name="squares_are_not_negative",
        ),
        CheckConstraint(
            "inside_50 >= 0 AND inside_50 <= inside_90 AND inside_90 <= weight_sum * 1.000001",
            name="intervals_are_nested",
        ),
        Index("ix_skill_scores_month_revision_id", "month_revision_id"),
        {
            "comment": "One row per run, lead, region and observed revision: sums over the observed"
            " ocean cells, w = cell area (km2), f = forecast, o = observation, c = climatology"
        },
    )

    run_id: Mapped[str] = mapped_column(primary_key=True, comment="The run")
    lead_months: Mapped[int] = mapped_column(
        primary_key=True, comment="Months after the init month (1 to 12)"
    )
    region: Mapped[str] = mapped_column(primary_key=True, comment="The region")
    month_revision_id: Mapped[int] = mapped_column(
        primary_key=True, comment="Revision of the valid month that was scored against"
    )
    valid_month: Mapped[Month] = mapped_column(comment="Month that the forecast is for (first day)")
    n_cells: Mapped[int] = mapped_column(comment="Observed ocean cells (number)")
    weight_sum: Mapped[float] = mapped_column(comment="Sum of w (km2)")
    se_model: Mapped[float] = mapped_column(comment="Sum of w (f - o)^2 (km2 (mmol m-2 d-1)^2)")
    se_climatology: Mapped[float] = mapped_column(comment="Sum of w (c - o)^2, climatology")
    se_persistence: Mapped[float] = mapped_column(comment="The same of anomaly persistence")
    se_damped_persistence: Mapped[float] = mapped_column(
        comment="The same of damped anomaly persistence"
    )
    error: Mapped[float] = mapped_column(comment="Sum of w (f - o), positive: forecast too high")
    abs_error: Mapped[float] = mapped_column(comment="Sum of w abs(f - o)")
    crps: Mapped[float] = mapped_column(comment="Sum of w CRPS of the forecast")
    crps_climatology: Mapped[float] = mapped_column(comment="Sum of w CRPS of the climatology")
    fa_oa: Mapped[float] = mapped_column(comment="Sum of w (f - c) (o - c)")
    fa_sq: Mapped[float] = mapped_column(comment="Sum of w (f - c)^2")
    oa_sq: Mapped[float] = mapped_column(comment="Sum of w (o - c)^2")
    fa: Mapped[float] = mapped_column(comment="Sum of w (f - c)")
    oa: Mapped[float] = mapped_column(comment="Sum of w (o - c)")
    inside_50: Mapped[float] = mapped_column(comment="Sum of w where q25 <= o <= q75 (km2)")
    inside_90: Mapped[float] = mapped_column(comment="Sum of w where q05 <= o <= q95 (km2)")
    created_at: Mapped[dt.datetime] = mapped_column(comment="When it was computed (UTC)")
