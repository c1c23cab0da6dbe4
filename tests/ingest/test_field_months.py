import numpy as np
import pytest
from services import field_files as files
from services.field_files import read, same_as_plain

from ingest.field.errors import DuplicateMonthsError, FieldTimeError, MissingMonthsError
from storage.months import month

MONTHS = files.FIRST + np.arange(60)
NUMBER = MONTHS.astype(int)
YEAR, MONTH = 1970 + NUMBER // 12, NUMBER % 12 + 1
YYYYMM = YEAR * 100 + MONTH
DAYS = MONTHS.astype("datetime64[D]").astype(int)
LENGTH = (MONTHS + 1).astype("datetime64[D]").astype(int) - DAYS
NO_LEAP = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])[MONTH - 1] + 365 * YEAR
SECONDS_OF_1900 = (DAYS + 25567) * 86400.0
TIMES = {
    "start": (DAYS, "days since 1970-01-01", ""),
    "middle": (DAYS + LENGTH / 2, "days since 1970-01-01 00:00:00", "standard"),
    "end": (DAYS + LENGTH - 1, "days since 1970-1-1", ""),
    "last-second": ((DAYS + LENGTH) * 86400 - 1, "seconds since 1970-01-01", ""),
    "hours": (DAYS * 24 + 12, "hours since 1970-01-01T00:00:00Z", "gregorian"),
    "single-precision": (SECONDS_OF_1900.astype("f4"), "seconds since 1900-01-01", ""),
    "whole-days": (DAYS.astype("i4"), "days since 1970-01-01", "proleptic_gregorian"),
    "since-1800": (DAYS + 62091, "days since 1800-01-01", "standard"),
    "since-1-1-1": (DAYS + 719164, "days since 1-1-1 00:00:00", ""),
    "noleap": (NO_LEAP - 365 * 2000 + 15, "days since 2000-01-01", "noleap"),
    "365": (NO_LEAP - 365 * 1850, "days since 1850-01-01", "365_day"),
    "360": ((YEAR - 1950) * 360 + (MONTH - 1) * 30 + 15, "days since 1950-01-01", "360_day"),
    "months": (np.arange(60), "months since 2001-01-01", ""),
    "mid-months": (NUMBER + 120.5, "months since 1960-01-01", "360"),
    "yyyymm": (YYYYMM, "", ""),
    "yyyymm-float": (YYYYMM.astype("f4"), "YYYYMM", ""),
    "yyyymmdd": (YYYYMM * 100 + 15, "day as %Y%m%d.%f", ""),
    "decimal": (YEAR + (MONTH - 0.5) / 12, "years", ""),
    "decimal-start": (YEAR + (MONTH - 1) / 12, "", ""),
    "text": ([str(m) for m in MONTHS], "", ""),
    "text-short": ([f"{y}/{m}" for y, m in zip(YEAR, MONTH, strict=True)], "", ""),
    "text-days": ([f"{m}-15T12:00" for m in MONTHS], "", ""),
    "text-digits": ([f"{number}15" for number in YYYYMM], "", ""),
}


@pytest.mark.parametrize("written", TIMES)
def test_months_are_known_however_they_are_written(tmp_path, written):
    time, units, calendar = TIMES[written]
    found = files.dataset(time=time, units=units, **({"calendar": calendar} if calendar else {}))
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_characters_of_an_old_file_are_put_together(tmp_path):
    found = files.dataset(time=[str(m) for m in MONTHS], units="")
    same_as_plain(read(files.netcdf(found, tmp_path, kind="NETCDF3_CLASSIC")))


@pytest.mark.parametrize("origin", ["", "days since 2000-01-01"], ids=["alike", "own-units"])
def test_the_middle_of_time_bounds_counts(tmp_path, origin):
    starts = files.days(61, day=1)
    found = files.dataset(time=starts[1:])
    found["time"].attrs["bounds"] = "time_bnds"
    bounds = np.stack([starts[:-1], starts[1:]], axis=1) - (18262 if origin else 0)
    found["time_bnds"] = ("time", "nv"), bounds, {"units": origin} if origin else {}
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_time_bounds_of_another_time_do_not_count(tmp_path):
    found = files.dataset()
    found["time"].attrs["bounds"] = "time_bnds"
    found["time_bnds"] = ("time", "nv"), np.zeros((60, 2))
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_months_out_of_order_are_put_in_order(tmp_path):
    order = np.random.default_rng(0).permutation(60)
    found = files.dataset(files.sea()[order], time=files.days()[order])
    same_as_plain(read(files.netcdf(found, tmp_path)))


def test_a_month_twice_is_refused_by_name(tmp_path):
    time = files.days()
    time[7] = time[6]
    with pytest.raises(DuplicateMonthsError, match="2001-07"):
        read(files.netcdf(files.dataset(time=time), tmp_path))


def test_missing_and_empty_months_are_filled_and_no_truth(tmp_path):
    values = files.sea()
    values[30] = np.nan
    keep = [t for t in range(60) if t not in (20, 21)]
    found = files.dataset(values[keep], time=files.days()[keep])
    found = read(files.netcdf(found, tmp_path))
    assert len(found.values) == 60
    assert not found.observed[[20, 21, 30]].any()
    assert np.isfinite(found.values[:, found.ocean]).all()
    assert any("2002-09, 2002-10, 2003-07" in note for note in found.notes)


def test_many_missing_months_are_refused_by_name(tmp_path):
    keep = [t for t in range(60) if t % 8 != 7]
    found = files.dataset(files.sea()[keep], time=files.days()[keep])
    with pytest.raises(MissingMonthsError, match="2001-08, 2002-04"):
        read(files.netcdf(found, tmp_path))
    values = files.sea()
    values[7::8] = np.nan
    with pytest.raises(MissingMonthsError, match="2001-08, 2002-04"):
        read(files.netcdf(files.dataset(values), tmp_path))


def test_empty_months_at_the_end_are_left_out(tmp_path):
    values = files.sea()
    values[-12:] = np.nan
    found = read(files.netcdf(files.dataset(values), tmp_path))
    assert len(found.values) == 48
    assert any("12 empty months" in note for note in found.notes)


@pytest.mark.parametrize(
    ("units", "error", "words"),
    [
        ("days since 2001-01-01", DuplicateMonthsError, "2001-01"),
        ("years since 1960-01-01", MissingMonthsError, "1960-02"),
    ],
    ids=["daily", "yearly"],
)
def test_steps_that_are_no_months_are_refused(tmp_path, units, error, words):
    found = files.dataset(time=np.arange(60), units=units)
    with pytest.raises(error, match=words):
        read(files.netcdf(found, tmp_path))


SAYS_NOTHING = {
    "no-units": (np.arange(60), ""),
    "metres": (np.arange(60), "m"),
    "fortnights": (np.arange(60), "fortnights since 2001-01-01"),
    "no-date": (np.arange(60), "days since long ago"),
    "too-far": (1e12 + np.arange(60), "days since 1950-01-01"),
    "a-gap": (np.where(np.arange(60) == 3, np.nan, files.days()), "days since 1950-01-01"),
    "text": ([f"step {n}" for n in range(60)], ""),
}


@pytest.mark.parametrize("written", SAYS_NOTHING)
def test_times_that_say_nothing_are_refused_unless_the_first_month_is_given(tmp_path, written):
    time, units = SAYS_NOTHING[written]
    path = files.netcdf(files.dataset(time=time, units=units), tmp_path)
    with pytest.raises(FieldTimeError, match="--first-month"):
        read(path)
    same_as_plain(read(path, first_month=files.FIRST))


def test_a_file_without_times_says_how_to_give_them(tmp_path):
    path = files.netcdf(files.dataset().drop_vars("time"), tmp_path)
    with pytest.raises(FieldTimeError, match="--first-month"):
        read(path)
    same_as_plain(read(path, first_month=files.FIRST))


def test_training_must_end_inside_the_field(tmp_path):
    path = files.netcdf(files.dataset(), tmp_path)
    for wrong in ("2000-12", "2005-12", "2030-01"):
        with pytest.raises(FieldTimeError, match="2001-01 to 2005-12"):
            read(path, train_until=month(wrong))
    assert read(path, train_until=None).train_until == month("2004-09")
