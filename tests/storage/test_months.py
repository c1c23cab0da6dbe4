"""Months as values."""

import datetime as dt

import numpy as np
import pytest

from storage.months import (
    InvalidMonthError,
    calendar_month,
    calendar_months,
    days_in,
    first_day,
    month,
    month_range,
    months_between,
)


def test_a_month_is_read_from_text_date_and_datetime64() -> None:
    expected = np.datetime64("2018-02", "M")
    assert month("2018-02") == expected
    assert month("2018-02-17") == expected
    assert month(dt.date(2018, 2, 17)) == expected
    assert month(np.datetime64("2018-02-17T12", "ns")) == expected


@pytest.mark.parametrize("text", ["2018-13", "2018-00", "18-02", "Feb 2018", "", "201802"])
def test_what_is_not_a_month_is_refused(text: str) -> None:
    with pytest.raises(InvalidMonthError, match="YYYY-MM"):
        month(text)


def test_months_count_across_years() -> None:
    assert month("2018-11") + 3 == month("2019-02")
    assert months_between(month("2018-11"), month("2019-02")) == 3
    assert [str(m) for m in month_range(month("2018-12"), month("2019-01"))] == [
        "2018-12",
        "2019-01",
    ]
    assert month_range(month("2019-01"), month("2018-12")) == []


def test_calendar_months_start_at_one_also_before_1970() -> None:
    assert calendar_month(month("2003-01")) == 1
    assert calendar_month(month("1969-12")) == 12
    assert calendar_months([month("2018-06"), month("2019-07")]).tolist() == [6, 7]


def test_a_leap_february_has_29_days() -> None:
    assert days_in(month("2020-02")) == 29
    assert days_in(month("2019-02")) == 28
    assert first_day(month("2020-02")) == dt.date(2020, 2, 1)
