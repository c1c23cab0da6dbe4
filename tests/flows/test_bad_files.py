"""A file that cannot be trusted goes to quarantine with its reasons, and nothing else changes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from services.small_loop import PRODUCT, World, dataset, flux

from flows.operations.ingest import NothingToAcceptError
from flows.operations.status import status
from storage.months import month

NEW = "2015-07"
Content = xr.Dataset | bytes


def with_values(change: Callable[[np.ndarray], np.ndarray], of: str = NEW) -> xr.Dataset:
    return dataset(month(of), change(flux(month(of))).astype(np.float32))


def truncated() -> bytes:
    whole = dataset(month(NEW)).to_netcdf(engine="h5netcdf")
    return bytes(whole)[: len(whole) // 2]


def renamed() -> xr.Dataset:
    return dataset(month(NEW)).rename(fco2="pco2")


def without_units() -> xr.Dataset:
    content = dataset(month(NEW))
    del content["fco2"].attrs["units"]
    return content


def on_another_grid() -> xr.Dataset:
    return dataset(month(NEW)).isel(lat=slice(0, 15))


def half_a_cell_east() -> xr.Dataset:
    content = dataset(month(NEW))
    return content.assign_coords(lon=content["lon"] + 0.25)


def another_months_time() -> xr.Dataset:
    return dataset(month("2015-08"), flux(month(NEW)))


def another_mask() -> xr.Dataset:
    content = dataset(month(NEW))
    content["ocean"][5, 5] = 0
    return content


def shifted(values: np.ndarray) -> np.ndarray:
    return np.roll(values, 3, axis=1)


def on_land(values: np.ndarray) -> np.ndarray:
    values[2, 0] = -5.0
    return values


def cloudy(values: np.ndarray) -> np.ndarray:
    values[:, 4:] = np.nan
    return values


def one_impossible_cell(values: np.ndarray) -> np.ndarray:
    values[5, 6] = 5000.0
    return values


BAD: dict[str, tuple[Callable[[], Content], str]] = {
    "truncated": (truncated, "readable"),
    "a web page": (lambda: b"<!DOCTYPE html><html><body>Please log in</body></html>", "readable"),
    "no bytes": (lambda: b"", "readable"),
    "wrong variable name": (renamed, "variable"),
    "a row is missing": (on_another_grid, "grid"),
    "coordinates half a cell off": (half_a_cell_east, "grid"),
    "no value": (lambda: with_values(lambda v: np.full_like(v, np.nan)), "not-empty"),
    "all zero": (lambda: with_values(np.zeros_like), "not-zero"),
    "name and time disagree": (another_months_time, "time-and-name"),
    "units missing": (without_units, "units-present"),
    "another mask": (another_mask, "mask"),
    "values on land": (lambda: with_values(on_land), "mask"),
    "shifted by three columns": (lambda: with_values(shifted), "mask"),
    "upside down": (lambda: with_values(np.flipud), "mask"),
    "sign flipped": (lambda: with_values(np.negative), "sign"),
    "mol m-2 yr-1 called mmol m-2 d-1": (lambda: with_values(lambda v: v / 2.7379), "units"),
    "g C m-2 yr-1 called mmol m-2 d-1": (lambda: with_values(lambda v: v * 4.38), "units"),
    "almost nothing observed": (lambda: with_values(cloudy), "valid-fraction"),
    "an impossible cell": (lambda: with_values(one_impossible_cell), "range-high"),
}


@pytest.mark.parametrize(("make", "check"), BAD.values(), ids=BAD)
def test_a_bad_file_is_quarantined_with_its_reason_and_the_record_stays(
    filled: World, make: Callable[[], Content], check: str
) -> None:
    snapshots = filled.workspace.record().history()
    landed = filled.deliver(NEW, make())
    original = landed.read_bytes()

    [refused] = filled.ingest(NEW)
    assert refused.outcome == "quarantined"
    for words in ("Found: ", "Expected: ", "What to do: "):
        assert words in refused.message
    assert filled.workspace.record().history() == snapshots
    assert landed.read_bytes() == original
    assert filled.count("month_revisions") == 66

    [shown] = status(filled.workspace).quarantined
    assert shown.file.file_name == "SMALL_201507.nc"
    folder = Path(shown.quarantine_url)
    assert (folder / "SMALL_201507.nc").read_bytes() == original
    report = json.loads((folder / "report.json").read_text())
    failed = {result["name"]: result for result in report["checks"] if not result["passed"]}
    assert check in failed
    assert failed[check]["severity"] == "error"
    assert failed[check]["found"] and failed[check]["expected"] and failed[check]["message"]
    recorded = {name for (name,) in filled.rows("SELECT name FROM checks WHERE NOT passed")}
    assert recorded == set(failed)


def test_the_same_bad_file_again_adds_nothing_and_a_corrected_one_is_taken(filled: World) -> None:
    filled.deliver(NEW, truncated())
    filled.ingest(NEW)
    before = filled.state()
    again = filled.ingest(NEW)
    assert again[0].outcome == "quarantined"
    assert "What to do" in again[0].message
    assert filled.state() == before
    assert len(list((filled.home / "quarantine" / "small").iterdir())) == 1

    filled.deliver(NEW)
    assert filled.outcomes(NEW) == {NEW: "committed"}
    assert status(filled.workspace).quarantined == ()
    assert filled.count("product_files") == 68  # the refused look stays in the ledger


def test_a_bad_revision_leaves_the_month_as_it_was(filled: World) -> None:
    before = filled.workspace.record().read_month(month("2015-06")).content_hash()
    filled.deliver("2015-06", with_values(np.negative, "2015-06"))
    assert filled.outcomes("2015-06") == {"2015-06": "quarantined"}
    assert filled.workspace.record().read_month(month("2015-06")).content_hash() == before
    assert len(status(filled.workspace).quarantined) == 1


def test_a_bad_file_does_not_stop_the_good_ones(filled: World) -> None:
    filled.deliver("2015-06", b"<html></html>")
    filled.deliver(NEW)
    assert filled.outcomes("2015-06", NEW) == {"2015-06": "quarantined", NEW: "committed"}


def test_a_month_far_in_the_future_is_refused(filled: World) -> None:
    filled.deliver("2051-07")
    [refused] = filled.ingest("2051-07")
    assert refused.outcome == "quarantined"
    assert "has not begun" in refused.message
    assert filled.rows("SELECT name FROM checks WHERE NOT passed") == [("not-in-future",)]


def test_without_earlier_years_published_surveys_tell_the_sign(empty: World) -> None:
    empty.deliver("2010-01", with_values(np.negative, "2010-01"))
    assert empty.outcomes() == {"2010-01": "quarantined"}
    failed = {name for (name,) in empty.rows("SELECT name FROM checks WHERE NOT passed")}
    assert "shelf-survey" in failed


def test_without_earlier_years_published_surveys_tell_the_units(empty: World) -> None:
    empty.deliver("2010-01", with_values(lambda v: v / 2.7379, "2010-01"))
    assert empty.outcomes() == {"2010-01": "quarantined"}
    assert empty.rows("SELECT name FROM checks WHERE NOT passed") == [("shelf-survey",)]


# --- two files of one month -----------------------------------------------------------------------


def test_two_versions_of_a_month_are_both_refused_until_one_is_gone(filled: World) -> None:
    specification = filled.home / "products" / "small.yaml"
    specification.write_text(PRODUCT.replace("{month}.nc", "{month}*.nc"))
    snapshots = filled.snapshots()
    first = filled.deliver(NEW).rename(filled.home / "landing" / "SMALL_201507_v1.nc")
    second = filled.deliver(NEW, with_values(lambda v: v + 0.1)).rename(
        filled.home / "landing" / "SMALL_201507_v2.nc"
    )
    files = filled.ingest(NEW)
    assert [str(file.outcome) for file in files] == ["quarantined", "quarantined"]
    assert first.name in files[0].message and second.name in files[0].message
    assert filled.rows("SELECT DISTINCT name FROM checks WHERE NOT passed") == [
        ("one-file-a-month",)
    ]
    assert filled.snapshots() == snapshots

    first.unlink()
    assert filled.outcomes(NEW) == {NEW: "committed"}
    assert status(filled.workspace).quarantined == ()


def test_a_corrected_specification_lets_a_refused_file_in(filled: World) -> None:
    filled.deliver(NEW, renamed())
    assert filled.outcomes(NEW) == {NEW: "quarantined"}
    specification = filled.home / "products" / "small.yaml"
    specification.write_text(PRODUCT.replace("[fco2]", "[fco2, pco2]"))
    assert filled.outcomes(NEW) == {NEW: "committed"}


# --- accepting ------------------------------------------------------------------------------------


def strange_but_possible() -> xr.Dataset:
    """A month far from the same one of earlier years, inside what surveys allow."""
    return with_values(lambda v: v + 7.0)


def noisy() -> xr.Dataset:
    rng = np.random.default_rng(1)
    return with_values(lambda v: v + rng.normal(0, 4.0, v.shape))


@pytest.mark.parametrize(
    ("make", "warning"), [(strange_but_possible, "calendar-month"), (noisy, "jumpiness")]
)
def test_a_warning_is_quarantined_until_a_person_accepts_the_file(
    filled: World, make: Callable[[], xr.Dataset], warning: str
) -> None:
    filled.deliver(NEW, make())
    [refused] = filled.ingest(NEW)
    assert refused.outcome == "quarantined"
    assert "--accept" in refused.message
    assert filled.rows("SELECT name, severity FROM checks WHERE NOT passed") == [
        (warning, "warning")
    ]
    assert filled.outcomes(NEW) == {NEW: "quarantined"}

    accepted = filled.outcomes(accept="SMALL_201507.nc", reason="a warm year, seen on the cruise")
    assert accepted == {NEW: "committed"}
    [(reason, who, name)] = filled.rows(
        "SELECT a.reason, a.accepted_by, f.file_name FROM acceptances a "
        "JOIN product_files f ON f.id = a.product_file_id"
    )
    assert (reason, name) == ("a warm year, seen on the cruise", "SMALL_201507.nc")
    assert who
    assert status(filled.workspace).quarantined == ()
    assert filled.outcomes(NEW) == {}


@pytest.mark.parametrize(
    "make",
    [truncated, without_units, lambda: with_values(np.negative)],
    ids=["truncated", "units missing", "sign flipped"],
)
def test_an_error_cannot_be_accepted(filled: World, make: Callable[[], Content]) -> None:
    filled.deliver(NEW, make())
    filled.ingest(NEW)
    before = filled.state()
    refused = filled.outcomes(accept="SMALL_201507.nc", reason="I want it in")
    assert refused == {NEW: "quarantined"}
    assert filled.count("acceptances") == 0
    assert filled.state() == before


def test_accepting_looks_at_no_other_file(filled: World) -> None:
    filled.deliver(NEW, strange_but_possible())
    filled.ingest(NEW)
    filled.deliver("2015-06", with_values(lambda v: v + 0.2, "2015-06"))
    assert filled.outcomes(accept="SMALL_201507.nc", reason="seen") == {NEW: "committed"}
    assert filled.outcomes("2015-06") == {"2015-06": "revised"}


def test_accepting_a_file_that_is_not_there_is_named(filled: World) -> None:
    with pytest.raises(NothingToAcceptError, match=r"SMALL_203001\.nc"):
        filled.ingest(accept="SMALL_203001.nc", reason="seen")
