"""Tables of the archive database. Rows are only ever added; a rerun or a revision is a new row.

Every flux is in mmol m-2 d-1, positive out of the sea, unless a column says otherwise. A month is
the date of its first day. Times are UTC. Here are runs and predictions; `storage.ingest_tables`,
`storage.model_tables` and `storage.verification_tables` hold the others. The migrations build what
is declared there, and a test compares the two.
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
    text,
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
from storage.model_tables import (
    DriftCheck,
    InputDriftCheck,
    ModelVersion,
    Promotion,
    PromotionFigure,
)
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
from storage.verification_tables import CellObservation, RegionalObservation, SkillScore

__all__ = [
    "Acceptance",
    "Cell",
    "CellObservation",
    "CellPrediction",
    "Check",
    "DriftCheck",
    "ForecastLead",
    "ForecastRun",
    "HandOver",
    "HandOverTerm",
    "InputDriftCheck",
    "ModelVersion",
    "MonthInput",
    "MonthRevision",
    "ProductFile",
    "Promotion",
    "PromotionFigure",
    "Region",
    "RegionalObservation",
    "RegionalPrediction",
    "RunInput",
    "SkillScore",
    "Table",
    "YearlyPrediction",
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
    reason: Mapped[str] = mapped_column(
        server_default=text("''"), comment="Why it was made, for people; empty if not recorded"
    )
    known_at: Mapped[dt.datetime | None] = mapped_column(
        comment="Moment after which nothing that became known was read (UTC); null: when it was"
        " computed"
    )
    placement: Mapped[str] = mapped_column(
        server_default=text("''"),
        comment="What hardware was asked for and why it ran where it did; empty: nothing was asked",
    )


class RunInput(Table):
    """One month of the record that a run read."""

    __tablename__ = "run_inputs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["month_revision_id", "month"], ["month_revisions.id", "month_revisions.month"]
        ),
        Index("ix_run_inputs_month_revision_id", "month_revision_id"),
        {"comment": "One row per month of the record that a run read, with the revision it read"},
    )

    run_id: Mapped[str] = mapped_column(
        ForeignKey("forecast_runs.id"), primary_key=True, comment="The run"
    )
    month: Mapped[Month] = mapped_column(primary_key=True, comment="The month read (first day)")
    month_revision_id: Mapped[int] = mapped_column(comment="The revision of it that was read")


class ForecastLead(Table):
    """One lead month of a run."""

    __tablename__ = "forecast_leads"
    __table_args__ = (
        UniqueConstraint("run_id", "lead_months"),
        UniqueConstraint("run_id", "lead_months", "valid_month"),
        # What cell_predictions refers to: a unique index, for SQLite adds no constraint to a table.
        Index("uq_forecast_leads_id_init_month", "id", "init_month", unique=True),
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

    id: Mapped[int] = mapped_column(
        primary_key=True, comment="Key; runs that were written later have higher ones"
    )
    run_id: Mapped[str] = mapped_column(comment="The run")
    init_month: Mapped[Month] = mapped_column(comment="Last observed month used (first day)")
    lead_months: Mapped[int] = mapped_column(comment="Months after the init month (1 to 12)")
    valid_month: Mapped[Month] = mapped_column(comment="Month that the forecast is for (first day)")


class Region(Table):
    """A region that fluxes are averaged and integrated over."""

    __tablename__ = "regions"
    __table_args__ = (
        CheckConstraint(
            "west < east AND south < north AND south >= -90 AND north <= 90",
            name="bounds_are_possible",
        ),
        {"comment": "One row per region that predictions, observations and scores refer to"},
    )

    name: Mapped[str] = mapped_column(primary_key=True, comment="Key, such as changjiang-plume")
    title: Mapped[str] = mapped_column(comment="Name for people")
    definition: Mapped[dict[str, Any]] = mapped_column(
        Json,
        comment="GeoJSON geometry (degrees east, degrees north); empty for all ocean cells",
    )
    west: Mapped[float | None] = mapped_column(
        comment="Western bound (degrees east); null for all ocean cells"
    )
    south: Mapped[float | None] = mapped_column(comment="Southern bound (degrees north)")
    east: Mapped[float | None] = mapped_column(comment="Eastern bound (degrees east)")
    north: Mapped[float | None] = mapped_column(comment="Northern bound (degrees north)")


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


class YearlyPrediction(Table):
    """What a run says of the part of a calendar year that it reaches, summed member by member."""

    __tablename__ = "yearly_predictions"
    __table_args__ = (
        is_month("first_valid_month"),
        is_month("last_valid_month"),
        CheckConstraint("n_months BETWEEN 1 AND 12", name="n_months_is_1_to_12"),
        CheckConstraint("first_valid_month <= last_valid_month", name="months_run_forward"),
        CheckConstraint("flux_tgc_spread >= 0", name="spread_is_not_negative"),
        ordered_quantiles("integrals_are_ordered", "flux_tgc_"),
        {
            "comment": "One row per run, region and calendar year: the run's months of that year"
            " together, with the quantiles of their sum"
        },
    )

    run_id: Mapped[str] = mapped_column(
        ForeignKey("forecast_runs.id"), primary_key=True, comment="The run"
    )
    region: Mapped[str] = mapped_column(
        ForeignKey("regions.name"), primary_key=True, comment="The region"
    )
    year: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Calendar year of the valid months"
    )
    first_valid_month: Mapped[Month] = mapped_column(comment="First of them (first day)")
    last_valid_month: Mapped[Month] = mapped_column(comment="Last of them (first day)")
    n_months: Mapped[int] = mapped_column(comment="Their number (1 to 12)")
    flux_tgc_mean: Mapped[float] = mapped_column(
        comment="Flux of the region in these months (Tg C, positive out of the sea)"
    )
    flux_tgc_spread: Mapped[float] = mapped_column(
        comment="Its standard deviation over members (Tg C)"
    )
    flux_tgc_q05: Mapped[float] = mapped_column(comment="Its 5 % quantile (Tg C)")
    flux_tgc_q25: Mapped[float] = mapped_column(comment="Its 25 % quantile (Tg C)")
    flux_tgc_q50: Mapped[float] = mapped_column(comment="Its median (Tg C)")
    flux_tgc_q75: Mapped[float] = mapped_column(comment="Its 75 % quantile (Tg C)")
    flux_tgc_q95: Mapped[float] = mapped_column(comment="Its 95 % quantile (Tg C)")


class Cell(Table):
    """One ocean cell of an archive grid."""

    __tablename__ = "cells"
    __table_args__ = (
        UniqueConstraint("grid", "cell_index"),
        CheckConstraint("lat BETWEEN -90 AND 90", name="lat_is_possible"),
        CheckConstraint("area_m2 > 0", name="area_is_positive"),
        CheckConstraint("cell_index >= 0", name="index_starts_at_0"),
        Index("ix_cells_lat_lon", "lat", "lon"),
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
        ForeignKeyConstraint(
            ["lead_id", "init_month"], ["forecast_leads.id", "forecast_leads.init_month"]
        ),
        *possible_values(),
        {
            "comment": "One row per run lead and cell; fluxes positive out of the sea. On"
            " PostgreSQL one partition per year of the init month",
            # One B-tree instead of two: half the size, and rows of a lead lie together.
            "sqlite_with_rowid": False,
            "postgresql_partition_by": "RANGE (init_month)",
        },
    )

    lead_id: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Run and lead (forecast_leads)"
    )
    cell_id: Mapped[int] = mapped_column(
        ForeignKey("cells.id"), primary_key=True, autoincrement=False, comment="The cell"
    )
    init_month: Mapped[Month] = mapped_column(
        primary_key=True, comment="Last observed month used (first day)"
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
    damped_persistence: Mapped[float | None] = mapped_column(
        REAL, comment="The damped anomaly persistence (mmol m-2 d-1); null if not recorded"
    )
