"""The rules of the record, on a local folder and on S3."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from services.record_samples import START, TINY, tiny_month, tiny_ocean, tiny_template

from storage.carbon_ecs import (
    BeforeRecordError,
    CarbonEcs,
    GapError,
    MonthNotInRecordError,
    ReadOnlyRecordError,
    RecordExistsError,
    RecordNotFoundError,
    at_stored_precision,
)
from storage.flux_month import SourceFile


def filled(url: str, n_months: int) -> CarbonEcs:
    record = CarbonEcs.create(url, tiny_template(title="Test"))
    for index in range(n_months):
        record.commit_month(tiny_month(index))
    return record


def test_a_new_record_is_empty_and_knows_its_grid_and_mask(store_url: str) -> None:
    assert not CarbonEcs.exists(store_url)
    CarbonEcs.create(store_url, tiny_template())
    record = CarbonEcs.open(store_url)
    assert CarbonEcs.exists(store_url)
    assert record.grid == TINY
    np.testing.assert_array_equal(record.ocean, tiny_ocean())
    assert record.months().dtype == "datetime64[M]"
    assert len(record.months()) == 0
    assert record.last_month is None
    assert record.read().sizes["time"] == 0


def test_a_month_comes_back_as_it_was_committed_at_stored_precision(store_url: str) -> None:
    filled(store_url, 2)
    back = CarbonEcs.open(store_url).read_month(START + 1)
    expected = at_stored_precision(tiny_month(1))
    assert back.content_hash() == expected.content_hash()
    assert back.month == expected.month
    assert back.source == expected.source
    np.testing.assert_allclose(back.fco2, tiny_month(1).fco2, rtol=5e-4)
    np.testing.assert_allclose(back.uncertainty, tiny_month(1).uncertainty, rtol=1.6e-2)


def test_committing_the_same_month_again_makes_no_snapshot(store_url: str) -> None:
    record = filled(store_url, 2)
    before = record.history()
    for index in (1, 0):
        commit = CarbonEcs.open(store_url).commit_month(tiny_month(index))
        assert (commit.changed, commit.revision) == (False, 1)
        assert commit.snapshot_id == before[0].id
    assert CarbonEcs.open(store_url).history() == before


def test_the_same_content_from_another_file_makes_no_snapshot(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 1)
    other = replace(tiny_month(0), source=SourceFile("test-product", "file:///b.nc", "cd" * 32))
    assert not record.commit_month(other).changed


def test_other_content_makes_the_next_revision_and_leaves_the_axis(store_url: str) -> None:
    record = filled(store_url, 3)
    first = record.snapshot_id
    second = record.commit_month(tiny_month(1, seed=100))
    third = record.commit_month(tiny_month(1, seed=200))
    back = record.commit_month(tiny_month(1))
    assert [second.revision, third.revision, back.revision] == [2, 3, 4]
    assert len({first, second.snapshot_id, third.snapshot_id, back.snapshot_id}) == 4
    reopened = CarbonEcs.open(store_url)
    assert list(reopened.months()) == [START, START + 1, START + 2]
    assert reopened.month_revisions() == {START: 1, START + 1: 4, START + 2: 1}
    assert reopened.revision_of(START + 1) == 4


def test_an_older_snapshot_still_reads_what_was_known_then(store_url: str) -> None:
    record = filled(store_url, 2)
    then = record.snapshot_id
    record.commit_month(tiny_month(1, seed=100))
    record.commit_month(tiny_month(2))
    old = CarbonEcs.open(store_url, snapshot_id=then)
    assert old.last_month == START + 1
    assert old.revision_of(START + 1) == 1
    expected = at_stored_precision(tiny_month(1)).fco2
    np.testing.assert_array_equal(old.read_month(START + 1).fco2, expected)
    assert old.read_month(START + 1).source == tiny_month(1).source


def test_an_older_snapshot_cannot_be_written_to(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 1)
    with pytest.raises(ReadOnlyRecordError):
        CarbonEcs.open(record.url, record.snapshot_id).commit_month(tiny_month(1))


def test_a_gap_is_refused_and_every_missing_month_named(store_url: str) -> None:
    record = filled(store_url, 1)
    before = record.snapshot_id
    with pytest.raises(GapError, match="2018-02, 2018-03"):
        record.commit_month(tiny_month(3))
    assert CarbonEcs.open(store_url).snapshot_id == before


def test_a_month_before_the_record_is_refused(store_url: str) -> None:
    record = filled(store_url, 1)
    before = record.snapshot_id
    with pytest.raises(BeforeRecordError, match="begins with 2018-01"):
        record.commit_month(tiny_month(-1))
    assert CarbonEcs.open(store_url).snapshot_id == before


def test_a_record_opened_long_ago_neither_shrinks_nor_repeats_the_axis(store_url: str) -> None:
    filled(store_url, 1)
    stale = CarbonEcs.open(store_url)
    fresh = CarbonEcs.open(store_url)
    for index in (1, 2, 3):
        fresh.commit_month(tiny_month(index))
    assert not stale.commit_month(tiny_month(1)).changed
    assert stale.commit_month(tiny_month(1, seed=100)).revision == 2
    months = list(CarbonEcs.open(store_url).months())
    assert months == [START, START + 1, START + 2, START + 3]


def test_a_commit_says_what_was_committed(tmp_path) -> None:
    source = SourceFile("p", "https://user:secret@host/a.nc?token=hidden&x=1", "ab" * 32)
    record = filled(str(tmp_path / "r"), 1)
    commit = record.commit_month(replace(tiny_month(1), source=source))
    newest = record.history()[0]
    assert newest.id == commit.snapshot_id == record.snapshot_id
    assert newest.metadata["month"] == "2018-02"
    assert newest.metadata["revision"] == 1
    assert newest.metadata["product"] == "p"
    assert newest.metadata["source_sha256"] == "ab" * 32
    assert newest.metadata["source_url"] == "https://***@host/a.nc?token=***&x=1"
    assert newest.metadata["content_hash"] == commit.content_hash
    assert newest.metadata["software"].startswith("tidenet ")
    assert newest.written_at.tzinfo is not None
    assert "2018-02" in newest.message


def test_months_are_read_between_two_ends(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 14)
    part = record.read(START + 1, START + 13, ("fco2", "quality", "uncertainty"))
    assert part["fco2"].shape == (13, *TINY.shape)
    assert part["time"].dtype == "datetime64[ns]"
    assert part["time"].values[0] == np.datetime64("2018-02-01")
    for index in (1, 12, 13):
        expected = at_stored_precision(tiny_month(index))
        for name in ("fco2", "quality", "uncertainty"):
            np.testing.assert_array_equal(part[name].values[index - 1], getattr(expected, name))
    with pytest.raises(MonthNotInRecordError, match="2018-01 to 2019-02"):
        record.read(last=START + 14)


def test_the_same_calendar_month_is_read_from_earlier_years_only(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 26)
    fields = record.same_calendar_month(START + 25)
    assert fields.dtype == np.float32
    expected = [at_stored_precision(tiny_month(index)).fco2 for index in (1, 13)]
    np.testing.assert_array_equal(fields, np.stack(expected))
    assert len(record.same_calendar_month(START + 1)) == 0
    assert len(record.same_calendar_month(START + 26)) == 2


def test_any_zarr_reader_sees_cf_metadata(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 2)
    dataset = xr.open_zarr(record._group.store, consolidated=False)
    assert list(dataset["time"].values) == [
        np.datetime64("2018-01-01", "ns"),
        np.datetime64("2018-02-01", "ns"),
    ]
    assert dataset["time_bnds"].values[1, 1] == np.datetime64("2018-03-01")
    fco2 = dataset["fco2"]
    assert fco2.attrs["units"] == "mmol m-2 d-1"
    assert fco2.attrs["standard_name"] == "surface_upward_mole_flux_of_carbon_dioxide"
    meanings = "land observed completed outside_product"
    assert dataset["quality"].attrs["flag_meanings"] == meanings
    assert dataset["quality"].attrs["flag_values"] == [0, 1, 2, 3]
    np.testing.assert_allclose(dataset["cell_area"].values, TINY.cell_area)
    everywhere = dataset["region_mask"].sel(region="all").values
    np.testing.assert_array_equal(everywhere.astype(bool), tiny_ocean())
    np.testing.assert_array_equal(dataset["lat_bnds"].values, TINY.lat_bounds)
    assert dataset.attrs["Conventions"] == "CF-1.11"
    assert dataset.attrs["title"] == "Test"
    assert record._group["fco2"].chunks == (1, *TINY.shape)


def test_a_record_is_created_once(store_url: str) -> None:
    filled(store_url, 1)
    with pytest.raises(RecordExistsError):
        CarbonEcs.create(store_url, tiny_template())
    same = CarbonEcs.open_or_create(store_url, tiny_template(title="Test"))
    assert same.last_month == START


def test_opening_what_is_not_there_is_named_and_leaves_no_trace(store_url: str, tmp_path) -> None:
    with pytest.raises(RecordNotFoundError):
        CarbonEcs.open(store_url)
    assert not CarbonEcs.exists(store_url)
    assert not (tmp_path / "store").exists()


def test_an_unknown_snapshot_is_named(store_url: str) -> None:
    filled(store_url, 1)
    with pytest.raises(RecordNotFoundError, match="history"):
        CarbonEcs.open(store_url, snapshot_id="1CECHNKREP0F1RSTCMT9")
