"""The base of all tables, and the rules that several of them share."""

import datetime as dt

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Date,
    Double,
    MetaData,
    Text,
    column,
    extract,
    func,
)
from sqlalchemy.orm import DeclarativeBase

from storage.column_types import MonthDate, UtcDateTime
from storage.months import Month

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def is_month(name: str) -> CheckConstraint:
    """Check that a date is the first day of a month (and, on SQLite, a date at all)."""
    day = func.coalesce(extract("day", column(name, Date)), 0)
    return CheckConstraint(day == 1, name=f"{name}_is_a_first_day")


def month_number(name: str) -> ColumnElement[int]:
    """Return the months since year 0 of a date column, for comparing months."""
    date = column(name, Date)
    return extract("year", date) * 12 + extract("month", date)


def is_optional_month(name: str) -> CheckConstraint:
    """Check that a date is the first day of a month, or null."""
    date = column(name, Date)
    day = func.coalesce(extract("day", date), 0)
    return CheckConstraint(date.is_(None) | (day == 1), name=f"{name}_is_a_first_day")


def one_of(name: str, *values: str) -> CheckConstraint:
    """Check that a text is one of a few."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{name} IN ({listed})", name=f"{name}_is_known")


def is_sha256(name: str) -> CheckConstraint:
    """Check that a text has the length of a hexadecimal SHA-256."""
    return CheckConstraint(f"length({name}) = 64", name=f"{name}_has_64_digits")


def ordered_quantiles(name: str = "quantiles_are_ordered", prefix: str = "") -> CheckConstraint:
    """Check that the five quantiles are in order."""
    pairs = (("q05", "q25"), ("q25", "q50"), ("q50", "q75"), ("q75", "q95"))
    return CheckConstraint(" AND ".join(f"{prefix}{a} <= {prefix}{b}" for a, b in pairs), name=name)


def possible_values() -> tuple[CheckConstraint, ...]:
    """Check a prediction's columns. PostgreSQL's NaN is above every number, so it fails too."""
    return (
        CheckConstraint("mean > -1e6 AND mean < 1e6", name="mean_is_possible"),
        CheckConstraint("spread >= 0 AND spread < 1e6", name="spread_is_possible"),
        CheckConstraint("p_source >= 0 AND p_source <= 1", name="p_source_is_a_probability"),
        CheckConstraint("climatology > -1e6 AND climatology < 1e6", name="climatology_is_possible"),
        ordered_quantiles(),
    )


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 - the name and form that SQLAlchemy reads
        str: Text(),
        float: Double(),
        dt.datetime: UtcDateTime(),
        Month: MonthDate(),
    }
