"""Tables of what was observed, and of how good the forecasts of it were.

They belong to the tables of `storage.tables`, where the rules that hold for all are told.
"""

import datetime as dt

from sqlalchemy import (
    REAL,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.months import Month
from storage.table_rules import Table


class RegionalObservation(Table):
    """What the record holds of one region in one revision of a month."""

    __tablename__ = "regional_observations"
    __table_args__ = (
        CheckConstraint("area_m2 > 0", name="area_is_positive"),
        CheckConstraint("mean > -1e6 AND mean < 1e6", name="mean_is_possible"),
        CheckConstraint("uncertainty >= 0 AND uncertainty < 1e6", name="uncertainty_is_possible"),
        CheckConstraint("observed_share >= 0 AND observed_share <= 1", name="share_is_possible"),
        {"comment": "One row per revision of a month and region: its flux in the record"},
    )

    month_revision_id: Mapped[int] = mapped_column(
        ForeignKey("month_revisions.id"),
        primary_key=True,
        autoincrement=False,
        comment="Revision of the month",
    )
    region: Mapped[str] = mapped_column(
        ForeignKey("regions.name"), primary_key=True, comment="The region"
    )
    area_m2: Mapped[float] = mapped_column(comment="Ocean area of the region (m2)")
    mean: Mapped[float] = mapped_column(
        comment="Area mean of the flux, observed and completed cells (mmol m-2 d-1, positive out"
        " of the sea)"
    )
    uncertainty: Mapped[float] = mapped_column(
        comment="Standard uncertainty of the mean if the errors of all cells go together: an upper"
        " bound (mmol m-2 d-1)"
    )
    observed_share: Mapped[float] = mapped_column(
        comment="Share of the area that was observed, not completed (0 to 1)"
    )
    flux_tgc: Mapped[float] = mapped_column(
        comment="Flux of the whole region (Tg C per month, positive out of the sea)"
    )
    flux_tgc_uncertainty: Mapped[float] = mapped_column(
        comment="Its standard uncertainty, an upper bound likewise (Tg C per month)"
    )
    created_at: Mapped[dt.datetime] = mapped_column(comment="When it was computed (UTC)")


class CellObservation(Table):
    """What the record holds of one archive cell in one revision of a month."""

    __tablename__ = "cell_observations"
    __table_args__ = (
        CheckConstraint("mean > -1e6 AND mean < 1e6", name="mean_is_possible"),
        CheckConstraint("observed_share >= 0 AND observed_share <= 1", name="share_is_possible"),
        {
            "comment": "One row per revision of a month and archive cell: its flux in the record",
            "sqlite_with_rowid": False,
        },
    )

    month_revision_id: Mapped[int] = mapped_column(
        ForeignKey("month_revisions.id"),
        primary_key=True,
        autoincrement=False,
        comment="Revision of the month",
    )
    cell_id: Mapped[int] = mapped_column(
        ForeignKey("cells.id"), primary_key=True, autoincrement=False, comment="The cell"
    )
    mean: Mapped[float] = mapped_column(
        REAL,
        comment="Flux, observed and completed cells of the record (mmol m-2 d-1, positive out of"
        " the sea)",
    )
    observed_share: Mapped[float] = mapped_column(
        REAL, comment="Share of its ocean area that was observed, not completed (0 to 1)"
    )


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
        Index("ix_skill_scores_region_lead_months", "region", "lead_months"),
        CheckConstraint("scoring >= 1", name="scoring_starts_at_1"),
        # Scorings made anew are few: whether there is one is to be known at once.
        Index(
            "ix_skill_scores_scored_again",
            "run_id",
            "lead_months",
            "region",
            "month_revision_id",
            postgresql_where=text("scoring > 1"),
            sqlite_where=text("scoring > 1"),
        ),
        {
            "comment": "One row per run, lead, region, observed revision and scoring: sums over the"
            " observed ocean cells, w = cell area (km2), f = forecast, o = observation,"
            " c = climatology"
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
    scoring: Mapped[int] = mapped_column(
        primary_key=True,
        autoincrement=False,
        server_default="1",
        comment="1 for the first scoring against this revision, 2 for the next, ...",
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
    reason: Mapped[str] = mapped_column(
        server_default=text("''"),
        comment="Why it was scored again, for people; empty for a first scoring",
    )
