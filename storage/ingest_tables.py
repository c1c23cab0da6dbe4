"""Tables of what came in: files, their checks, the months and hand-overs made from them.

They belong to the tables of `storage.tables`, where the rules that hold for all are told.
"""

import datetime as dt
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.column_types import Json
from storage.months import Month
from storage.table_rules import Table, is_month, is_optional_month, is_sha256, one_of


class ProductFile(Table):
    """One look at a product file: what it was, and what became of it."""

    __tablename__ = "product_files"
    __table_args__ = (
        UniqueConstraint("product", "file_name", "sha256", "look", name="uq_product_files_look"),
        UniqueConstraint("id", "month"),
        one_of("status", "accepted", "waiting", "quarantined"),
        one_of("stage", "final", "preliminary"),
        is_optional_month("month"),
        is_sha256("sha256"),
        CheckConstraint("status <> 'accepted' OR month IS NOT NULL", name="accepted_has_a_month"),
        CheckConstraint("size_bytes >= 0", name="size_is_not_negative"),
        CheckConstraint("look >= 1", name="look_starts_at_1"),
        Index("ix_product_files_product_sha256", "product", "sha256"),
        Index("ix_product_files_product_month", "product", "month"),
        {"comment": "One row per look at a new or changed product file, and what became of it"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key; later looks have higher keys")
    product: Mapped[str] = mapped_column(comment="Name of the product specification")
    url: Mapped[str] = mapped_column(comment="Where the file was found, without credentials")
    file_name: Mapped[str] = mapped_column(comment="Its name without folders")
    size_bytes: Mapped[int] = mapped_column(BigInteger, comment="Its length (bytes)")
    sha256: Mapped[str] = mapped_column(comment="SHA-256 of its bytes, hexadecimal")
    look: Mapped[int] = mapped_column(
        comment="1 for the first outcome of these bytes, 2 for the next other outcome, ..."
    )
    month: Mapped[Month | None] = mapped_column(
        comment="Month that it holds (first day); null where that could not be told"
    )
    status: Mapped[str] = mapped_column(comment="accepted, waiting or quarantined")
    seen_at: Mapped[dt.datetime] = mapped_column(comment="When it was looked at (UTC)")
    quarantine_url: Mapped[str] = mapped_column(
        comment="Where the refused file was put; empty if it was not"
    )
    message: Mapped[str] = mapped_column(comment="Why it was not accepted; empty if it was")
    remedy: Mapped[str] = mapped_column(comment="What to do about it; empty if accepted")
    stage: Mapped[str] = mapped_column(
        server_default="final",
        comment="final, or preliminary where the provider will publish another one",
    )


class MonthInput(Table):
    """One of the files that a month was computed from, where it was not delivered as one file."""

    __tablename__ = "month_inputs"
    __table_args__ = (
        is_sha256("sha256"),
        CheckConstraint("length(quantity) > 0", name="quantity_is_named"),
        CheckConstraint("size_bytes >= 0", name="size_is_not_negative"),
        {"comment": "One row per quantity of a month that was computed from several files"},
    )

    product_file_id: Mapped[int] = mapped_column(
        ForeignKey("product_files.id"), primary_key=True, comment="The look that used it"
    )
    quantity: Mapped[str] = mapped_column(
        primary_key=True, comment="What was taken from it: pco2, wind, sst, ..."
    )
    product: Mapped[str] = mapped_column(comment="Name of its product specification")
    url: Mapped[str] = mapped_column(comment="Where it was found, without credentials")
    file_name: Mapped[str] = mapped_column(comment="Its name without folders")
    size_bytes: Mapped[int] = mapped_column(BigInteger, comment="Its length (bytes)")
    sha256: Mapped[str] = mapped_column(comment="SHA-256 of its bytes, hexadecimal")


class Check(Table):
    """What one check of one look at a file said."""

    __tablename__ = "checks"
    __table_args__ = (
        UniqueConstraint("product_file_id", "name"),
        one_of("kind", "structural", "statistical"),
        one_of("severity", "error", "warning"),
        {"comment": "One row per check of one look at a product file"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key, in the order of the checks")
    product_file_id: Mapped[int] = mapped_column(
        ForeignKey("product_files.id"), comment="The look at the file"
    )
    name: Mapped[str] = mapped_column(comment="Name of the check")
    kind: Mapped[str] = mapped_column(
        comment="structural (is it what it claims to be) or statistical (is it plausible)"
    )
    severity: Mapped[str] = mapped_column(comment="What a failure means: error or warning")
    passed: Mapped[bool] = mapped_column(comment="Whether the file passed")
    found: Mapped[str] = mapped_column(comment="What was there, for people")
    expected: Mapped[str] = mapped_column(comment="What should have been there, for people")
    message: Mapped[str] = mapped_column(comment="One sentence; empty if passed")
    checked_at: Mapped[dt.datetime] = mapped_column(comment="When it was checked (UTC)")


class Acceptance(Table):
    """A person's decision to accept a file in spite of a warning."""

    __tablename__ = "acceptances"
    __table_args__ = (
        UniqueConstraint("product_file_id"),
        CheckConstraint("length(reason) > 0", name="reason_is_given"),
        {"comment": "One row per file that a person accepted in spite of a warning"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key")
    product_file_id: Mapped[int] = mapped_column(
        ForeignKey("product_files.id"), comment="The accepted look at the file"
    )
    reason: Mapped[str] = mapped_column(comment="Why, in the person's words")
    accepted_by: Mapped[str] = mapped_column(comment="Who")
    accepted_at: Mapped[dt.datetime] = mapped_column(comment="When (UTC)")


class MonthRevision(Table):
    """One commit of one month to the Carbon-ECS record."""

    __tablename__ = "month_revisions"
    __table_args__ = (
        UniqueConstraint("month", "revision"),
        UniqueConstraint("id", "month"),
        # The file's own month must be the committed one.
        ForeignKeyConstraint(
            ["product_file_id", "month"], ["product_files.id", "product_files.month"]
        ),
        is_month("month"),
        CheckConstraint("revision >= 1", name="revision_starts_at_1"),
        CheckConstraint(
            "n_observed >= 0 AND n_completed >= 0 AND n_observed + n_completed <= n_ocean",
            name="cells_add_up",
        ),
        CheckConstraint("n_spikes >= 0", name="n_spikes_is_not_negative"),
        Index("ix_month_revisions_product_file_id", "product_file_id"),
        {"comment": "One row per commit of a month to the Carbon-ECS record"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key")
    month: Mapped[Month] = mapped_column(comment="The month (first day)")
    revision: Mapped[int] = mapped_column(
        comment="1 for the month's first commit, 2 for its first revision, ..."
    )
    product_file_id: Mapped[int] = mapped_column(comment="The look at the file it was made from")
    snapshot_id: Mapped[str] = mapped_column(
        comment="Snapshot of the Carbon-ECS repository that the commit made"
    )
    content_hash: Mapped[str] = mapped_column(comment="SHA-256 of the committed arrays")
    n_ocean: Mapped[int] = mapped_column(comment="Ocean cells of the grid (number)")
    n_observed: Mapped[int] = mapped_column(comment="Ocean cells that were observed (number)")
    n_completed: Mapped[int] = mapped_column(comment="Ocean cells that were filled (number)")
    committed_at: Mapped[dt.datetime] = mapped_column(comment="When (UTC)")
    completion: Mapped[str] = mapped_column(
        server_default=text("''"),
        comment="How gaps were filled: gaussian, eof:<basis id>:<rank>; empty if not recorded",
    )
    n_spikes: Mapped[int] = mapped_column(
        server_default="0", comment="Observed cells that were discarded as spikes (number)"
    )
    handover_id: Mapped[int | None] = mapped_column(
        ForeignKey("handovers.id"),
        comment="Hand-over that it was corrected with; null if it was not",
    )
    reason: Mapped[str] = mapped_column(
        server_default=text("''"), comment="Why it was committed, for people; empty if not recorded"
    )


class HandOver(Table):
    """What the months of a new product are corrected with, fitted where it overlaps the old one."""

    __tablename__ = "handovers"
    __table_args__ = (
        UniqueConstraint("old_product", "new_product", "grid", "fit", name="uq_handovers_fit"),
        is_month("overlap_first"),
        is_month("overlap_last"),
        is_sha256("sha256"),
        CheckConstraint("fit >= 1", name="fit_starts_at_1"),
        CheckConstraint("old_product <> new_product", name="products_differ"),
        CheckConstraint("overlap_first <= overlap_last", name="overlap_runs_forward"),
        CheckConstraint("n_months >= 1", name="has_months"),
        CheckConstraint(
            "rmse_before >= 0 AND rmse_before < 1e6 AND rmse_after >= 0 AND rmse_after < 1e6",
            name="errors_are_possible",
        ),
        {"comment": "One row per fit of a new product to an old one on their overlap"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Key; later fits have higher keys")
    old_product: Mapped[str] = mapped_column(comment="Product that the record was made from so far")
    new_product: Mapped[str] = mapped_column(comment="Product that is corrected to fit it")
    grid: Mapped[str] = mapped_column(comment="Name of the grid that they were compared on")
    fit: Mapped[int] = mapped_column(
        comment="1 for the first fit of these products, 2 for the next other one, ..."
    )
    overlap_first: Mapped[Month] = mapped_column(comment="First month of the overlap (first day)")
    overlap_last: Mapped[Month] = mapped_column(comment="Last month of the overlap (first day)")
    n_months: Mapped[int] = mapped_column(comment="Months of the overlap that were used (number)")
    rmse_before: Mapped[float] = mapped_column(
        comment="Root mean squared difference of the products (mmol m-2 d-1)"
    )
    rmse_after: Mapped[float] = mapped_column(
        comment="The same of the corrected new product (mmol m-2 d-1)"
    )
    parameters: Mapped[dict[str, Any]] = mapped_column(Json, comment="The whole fitted hand-over")
    sha256: Mapped[str] = mapped_column(
        comment="SHA-256 of the parameters as JSON with sorted keys, hexadecimal"
    )
    snapshot_id: Mapped[str] = mapped_column(comment="Snapshot of the record it was fitted on")
    fitted_at: Mapped[dt.datetime] = mapped_column(comment="When it was fitted (UTC)")
    fitted_by: Mapped[str] = mapped_column(comment="Who or what fitted it")


class HandOverTerm(Table):
    """One term of a hand-over: corrected = scale x new + shift."""

    __tablename__ = "handover_terms"
    __table_args__ = (
        CheckConstraint("calendar_month BETWEEN 1 AND 12", name="calendar_month_is_1_to_12"),
        CheckConstraint("scale > 0 AND scale < 1e6", name="scale_is_possible"),
        CheckConstraint("shift > -1e6 AND shift < 1e6", name="shift_is_possible"),
        CheckConstraint("residual >= 0 AND residual < 1e6", name="residual_is_possible"),
        CheckConstraint("n_months >= 0 AND n_cells >= 0", name="counts_are_not_negative"),
        {"comment": "One row per region and calendar month of a hand-over: scale x new + shift"},
    )

    handover_id: Mapped[int] = mapped_column(
        ForeignKey("handovers.id"), primary_key=True, comment="The hand-over"
    )
    region: Mapped[str] = mapped_column(
        primary_key=True, comment="Part of the sea; parts do not overlap"
    )
    calendar_month: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Calendar month (1 to 12)"
    )
    scale: Mapped[float] = mapped_column(comment="Factor on the new product (1)")
    shift: Mapped[float] = mapped_column(
        comment="Added to the scaled new product (mmol m-2 d-1, positive out of the sea)"
    )
    n_months: Mapped[int] = mapped_column(comment="Months that it was fitted on (number)")
    n_cells: Mapped[int] = mapped_column(comment="Cells that both products observed (number)")
    residual: Mapped[float] = mapped_column(
        comment="Standard deviation of what it does not explain (mmol m-2 d-1)"
    )
