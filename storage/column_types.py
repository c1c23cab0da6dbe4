"""How months, times and JSON are kept in a table column."""

import datetime as dt
import json
import math
from collections.abc import Mapping

import numpy as np
from sqlalchemy import JSON, Date, DateTime, Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from storage.months import Month, first_day, month


class MonthDate(TypeDecorator[Month]):
    """A month in Python, the date of its first day in the table."""

    impl = Date
    cache_ok = True

    def process_bind_param(self, value: Month | None, dialect: Dialect) -> dt.date | None:  # noqa: ARG002
        """Turn a month into its first day."""
        return None if value is None else first_day(month(value))

    def process_result_value(self, value: dt.date | None, dialect: Dialect) -> Month | None:  # noqa: ARG002
        """Turn a date into its month."""
        return None if value is None else month(value)


class UtcDateTime(TypeDecorator[dt.datetime]):
    """An aware time, stored as UTC; SQLite, which knows no time zones, keeps UTC without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Turn an aware time into UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be archived: give UTC")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(
        self,
        value: dt.datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> dt.datetime | None:
        """Return an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


Json = JSON().with_variant(JSONB(), "postgresql")


def to_json(value: object) -> str:
    """Write JSON; numbers that JSON does not know (NaN, infinity) become null."""
    return json.dumps(_plain(value), allow_nan=False, sort_keys=True)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
