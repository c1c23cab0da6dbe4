"""Tables of models: what was trained, which of it was put into service and why, and its drift."""

import datetime as dt
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.column_types import Json
from storage.months import Month
from storage.table_rules import Table, is_month, is_optional_month, is_sha256, one_of


class ModelVersion(Table):
    """A trained model."""

    __tablename__ = "model_versions"
    __table_args__ = (
        is_sha256("weights_sha256"),
        *(is_month(name) for name in ("trained_from", "trained_until")),
        *(is_optional_month(name) for name in ("validated_from", "validated_until")),
        is_optional_month("twin_until"),
        CheckConstraint("trained_from <= trained_until", name="training_runs_forward"),
        CheckConstraint("validated_from <= validated_until", name="validation_runs_forward"),
        is_sha256("twin_sha256"),
        {"comment": "One row per trained model version"},
    )

    version: Mapped[str] = mapped_column(primary_key=True, comment="Its name")
    method: Mapped[str] = mapped_column(
        comment="tidenet, climatology, persistence, damped-persistence, ..."
    )
    grid: Mapped[str] = mapped_column(comment="Name of the grid that it was trained on")
    weights_url: Mapped[str] = mapped_column(comment="Where its weights lie")
    weights_sha256: Mapped[str] = mapped_column(comment="SHA-256 of its weights, hexadecimal")
    snapshot_id: Mapped[str] = mapped_column(comment="Snapshot of the record it was trained on")
    trained_from: Mapped[Month] = mapped_column(comment="First month of the training data")
    trained_until: Mapped[Month] = mapped_column(
        comment="Last month of the training data: nothing later entered the model"
    )
    validated_from: Mapped[Month | None] = mapped_column(
        comment="First month of the validation block inside the training data; null if none"
    )
    validated_until: Mapped[Month | None] = mapped_column(
        comment="Last month of the validation block; null if none"
    )
    config: Mapped[dict[str, Any]] = mapped_column(Json, comment="Configuration")
    metrics: Mapped[dict[str, Any]] = mapped_column(Json, comment="Figures of the training")
    code_version: Mapped[str] = mapped_column(comment="Version of this package")
    libraries: Mapped[dict[str, Any]] = mapped_column(Json, comment="Versions of the libraries")
    seed: Mapped[int] = mapped_column(BigInteger, comment="Seed of the training")
    hardware: Mapped[str] = mapped_column(comment="What it was trained on")
    created_at: Mapped[dt.datetime] = mapped_column(comment="When it was trained (UTC)")
    note: Mapped[str] = mapped_column(comment="What a person wrote about it")
    source: Mapped[str] = mapped_column(
        server_default=text("''"),
        comment="Where it was imported from, by whom and when; empty if it was trained here",
    )
    twin_url: Mapped[str | None] = mapped_column(
        comment="Where its twin lies: the same network, all else fitted before the validation "
        "block; judged in its place on months that it has learned from; null if it has none"
    )
    twin_sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of the twin, hexadecimal")
    twin_until: Mapped[Month | None] = mapped_column(
        comment="Last month that the twin was fitted on (first day)"
    )
    placement: Mapped[str] = mapped_column(
        server_default=text("''"),
        comment="What hardware was asked for and why it ran where it did; empty: nothing was asked",
    )


class Promotion(Table):
    """A decision about a candidate model."""

    __tablename__ = "promotions"
    __table_args__ = (
        CheckConstraint("length(reason) > 0", name="reason_is_given"),
        one_of("kind", "gate", "first", "by-hand", "rollback", "refused"),
        Index("ix_promotions_model_version", "model_version"),
        {"comment": "One row per decision whether a model becomes the champion"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key; later decisions are higher")
    model_version: Mapped[str] = mapped_column(
        ForeignKey("model_versions.version"), comment="The candidate"
    )
    promoted: Mapped[bool] = mapped_column(comment="Whether it became the champion")
    reason: Mapped[str] = mapped_column(comment="Why, one sentence")
    numbers: Mapped[dict[str, Any]] = mapped_column(Json, comment="Figures it was decided by")
    previous_champion: Mapped[str | None] = mapped_column(
        ForeignKey("model_versions.version"), comment="Champion at the time; null if there was none"
    )
    decided_by: Mapped[str] = mapped_column(comment="Who or what decided")
    decided_at: Mapped[dt.datetime] = mapped_column(comment="When (UTC)")
    kind: Mapped[str] = mapped_column(
        server_default="gate",
        comment="gate (by the figures), first (no champion yet), by-hand, rollback, or refused "
        "(could not be served)",
    )


class PromotionFigure(Table):
    """A figure that a decision rests on: a candidate beside one rival."""

    __tablename__ = "promotion_figures"
    __table_args__ = (
        one_of("rival", "champion", "climatology", "damped-persistence"),
        CheckConstraint("lead_months BETWEEN 0 AND 12", name="lead_is_0_to_12"),
        CheckConstraint("n_months >= 1", name="has_months"),
        is_month("first_init_month"),
        is_month("last_init_month"),
        CheckConstraint("low <= high", name="interval_is_ordered"),
        CheckConstraint("rmse >= 0 AND rmse < 1e6", name="rmse_is_possible"),
        CheckConstraint("rmse_rival >= 0 AND rmse_rival < 1e6", name="rmse_rival_is_possible"),
        CheckConstraint("difference > -1e6 AND difference < 1e6", name="difference_is_possible"),
        {"comment": "One row per decision, rival and lead: the candidate beside the rival"},
    )

    promotion_id: Mapped[int] = mapped_column(
        ForeignKey("promotions.id"),
        primary_key=True,
        autoincrement=False,
        comment="The decision",
    )
    rival: Mapped[str] = mapped_column(
        primary_key=True, comment="champion, climatology or damped-persistence"
    )
    lead_months: Mapped[int] = mapped_column(
        primary_key=True,
        autoincrement=False,
        comment="Months after the init month (1 to 12); 0: all leads together",
    )
    n_months: Mapped[int] = mapped_column(
        comment="Init months that both forecast, and neither has learned from (number)"
    )
    first_init_month: Mapped[Month] = mapped_column(comment="The first of them (first day)")
    last_init_month: Mapped[Month] = mapped_column(comment="The last of them (first day)")
    rmse: Mapped[float] = mapped_column(
        comment="Root mean squared error of the candidate (mmol m-2 d-1)"
    )
    rmse_rival: Mapped[float] = mapped_column(comment="That of the rival (mmol m-2 d-1)")
    difference: Mapped[float] = mapped_column(
        comment="MSSS against climatology, candidate minus rival; above 0: better"
    )
    low: Mapped[float | None] = mapped_column(
        comment="5 % end of its 90 % interval (paired block bootstrap); null: too few months"
    )
    high: Mapped[float | None] = mapped_column(comment="95 % end; null: too few months")
    passed: Mapped[bool | None] = mapped_column(
        comment="Whether the gate's condition on it is met; null where the gate has none"
    )


class DriftCheck(Table):
    """A look at the skill of a model in service beside that of its hindcast."""

    __tablename__ = "drift_checks"
    __table_args__ = (
        is_month("first_valid_month"),
        is_month("last_valid_month"),
        CheckConstraint("n_months >= 1", name="has_months"),
        CheckConstraint("n_hindcast_months >= 1", name="has_hindcast_months"),
        CheckConstraint("level > -1e6 AND level < 1e6", name="level_is_possible"),
        CheckConstraint("level_limit > 0 AND level_limit < 1e6", name="limit_is_possible"),
        Index("ix_drift_checks_model_version", "model_version"),
        {"comment": "One row per look at a model's skill in service beside that of its hindcast"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key; later looks are higher")
    model_version: Mapped[str] = mapped_column(
        ForeignKey("model_versions.version"), comment="The model"
    )
    first_valid_month: Mapped[Month] = mapped_column(comment="First month scored (first day)")
    last_valid_month: Mapped[Month] = mapped_column(comment="Last month scored (first day)")
    n_months: Mapped[int] = mapped_column(comment="Valid months scored in service (number)")
    n_hindcast_months: Mapped[int] = mapped_column(comment="Those of the hindcast (number)")
    msss: Mapped[float | None] = mapped_column(
        comment="MSSS against climatology in service, all leads, last 12 months; null if undefined"
    )
    msss_hindcast: Mapped[float | None] = mapped_column(
        comment="That of the hindcast at its promotion; null if undefined"
    )
    level: Mapped[float] = mapped_column(
        comment="Moving average of ln(MSE / MSE of climatology) minus its hindcast mean; "
        "above 0: worse than the hindcast"
    )
    level_limit: Mapped[float] = mapped_column(
        comment="What the level stays below in 95 % of years in which nothing has changed"
    )
    drifting: Mapped[bool] = mapped_column(comment="Whether the level is above its limit")
    retraining_due: Mapped[bool] = mapped_column(comment="Whether it should be trained anew")
    reason: Mapped[str] = mapped_column(comment="What was found, one sentence")
    checked_at: Mapped[dt.datetime] = mapped_column(comment="When (UTC)")


class InputDriftCheck(Table):
    """A look at what a model is given in service beside what it was trained on."""

    __tablename__ = "input_drift_checks"
    __table_args__ = (
        one_of("statistic", "mean", "contrast", "observed-share"),
        is_month("first_month"),
        is_month("last_month"),
        CheckConstraint("n_months >= 1", name="has_months"),
        CheckConstraint("n_training_months >= 1", name="has_training_months"),
        CheckConstraint("level > -1e6 AND level < 1e6", name="level_is_possible"),
        CheckConstraint("level_limit > 0 AND level_limit < 1e6", name="limit_is_possible"),
        Index("ix_input_drift_checks_model_version_statistic", "model_version", "statistic"),
        {"comment": "One row per look at a statistic of a model's input beside its training"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key; later looks are higher")
    model_version: Mapped[str] = mapped_column(
        ForeignKey("model_versions.version"), comment="The model"
    )
    statistic: Mapped[str] = mapped_column(
        comment="mean (flux of the whole sea), contrast (between its regions) or observed-share"
    )
    first_month: Mapped[Month] = mapped_column(comment="First month after its training (first day)")
    last_month: Mapped[Month] = mapped_column(comment="Last month looked at (first day)")
    n_months: Mapped[int] = mapped_column(comment="Months looked at (number)")
    n_training_months: Mapped[int] = mapped_column(comment="Months of its training (number)")
    level: Mapped[float] = mapped_column(
        comment="Moving average of the statistic's departure from its training mean of the calendar"
        " month, in training standard deviations"
    )
    level_limit: Mapped[float] = mapped_column(
        comment="What the size of the level stays below in 99 % of years like those of the training"
    )
    drifting: Mapped[bool] = mapped_column(comment="Whether the size of the level is above it")
    reason: Mapped[str] = mapped_column(comment="What was found, one sentence")
    checked_at: Mapped[dt.datetime] = mapped_column(comment="When (UTC)")
