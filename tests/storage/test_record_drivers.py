"""Drivers beside the flux: whole, consecutive, revised, and part of the data version."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from services.record_samples import START, TINY, tiny_month, tiny_ocean, tiny_template

from storage.carbon_ecs import (
    BeforeRecordError,
    CarbonEcs,
    GapError,
    ReadOnlyRecordError,
    RecordMismatchError,
)
from storage.record_drivers import (
    DriverDeclaration,
    DriverMonth,
    InvalidDriverError,
    MissingDriverError,
)

SST = DriverDeclaration(
    "sst", "field", "degC", "temperature of the water", "sst", ("some-sst",), "sea_surface_temp"
)
NINO = DriverDeclaration("nino34", "index", "1", "Niño 3.4", "climate_index", ("some-index",))


def sst_month(index: int, seed: int | None = None) -> DriverMonth:
    rng = np.random.default_rng(abs(index) if seed is None else seed)
    values = np.where(tiny_ocean(), rng.normal(20, 3, TINY.shape), np.nan).astype(np.float32)
    values[5, 5] = np.nan  # a cloud
    return DriverMonth(START + index, values, "cd" * 32)


def index_month(index: int) -> DriverMonth:
    return DriverMonth(START + index, np.asarray(0.1 * index - 1.234567, dtype=np.float32))


def filled(url: str, n_months: int = 3) -> CarbonEcs:
    record = CarbonEcs.create(url, tiny_template())
    record.commit_month(tiny_month(0))
    record.commit_drivers(SST, [sst_month(i) for i in range(n_months)])
    return record


@pytest.fixture
def record(tmp_path: Path) -> CarbonEcs:
    return filled(str(tmp_path / "record"))


def test_months_of_a_driver_enter_in_one_snapshot_and_are_read_back(store_url: str) -> None:
    made = filled(store_url)
    made.commit_drivers(NINO, [index_month(i) for i in range(-2, 5)])
    record = CarbonEcs.open(store_url)
    assert len(record.history()) == 5  # Icechunk's first, the record's, a month, the two drivers
    assert record.drivers.names() == ("nino34", "sst")
    assert record.drivers.declaration("sst") == SST
    assert record.drivers.declaration("nino34") == NINO
    assert list(record.drivers.months("sst")) == [START, START + 1, START + 2]
    assert record.drivers.months("nino34")[0] == START - 2
    read = record.drivers.read("sst", START + 1, START + 2)
    expected = np.stack([sst_month(i).values for i in (1, 2)])
    np.testing.assert_allclose(read, expected, rtol=2**-12)
    assert np.isnan(read[:, 5, 5]).all()
    numbers = record.drivers.read("nino34", START, START)
    np.testing.assert_array_equal(numbers, [index_month(0).values])


def test_a_driver_opens_as_a_cf_dataset(record: CarbonEcs) -> None:
    store = record._repository.engine.readonly_session(snapshot_id=record.snapshot_id).store
    with xr.open_zarr(store, group="drivers/sst", consolidated=False) as dataset:
        assert dataset["sst"].dims == ("time", "lat", "lon")
        assert dataset["sst"].attrs["units"] == "degC"
        assert dataset.attrs["source"] == "some-sst"
        np.testing.assert_array_equal(dataset["lat"], TINY.lat)
        assert str(dataset["time"].values[1])[:7] == "2018-02"


def test_the_same_months_again_change_nothing(store_url: str) -> None:
    record = filled(store_url)
    before = record.history()
    commit = record.commit_drivers(SST, [sst_month(i) for i in range(3)])
    assert commit.revisions == {}
    assert commit.snapshot_id == before[0].id
    assert CarbonEcs.open(store_url).history() == before


def test_other_values_make_a_revision_and_older_snapshots_keep_the_first(record: CarbonEcs) -> None:
    then = record.snapshot_id
    commit = record.commit_drivers(SST, [sst_month(i, seed=7) for i in (1,)] + [sst_month(2)])
    assert commit.revisions == {START + 1: 2}
    assert record.drivers.revisions("sst") == {START: 1, START + 1: 2, START + 2: 1}
    old = CarbonEcs.open(record.url, then).drivers.read("sst", START + 1, START + 1)[0]
    np.testing.assert_allclose(old, sst_month(1).values, rtol=2**-12)


def test_a_driver_goes_on_where_it_ended_and_leaves_no_gap(store_url: str) -> None:
    record = filled(store_url)
    before = record.snapshot_id
    with pytest.raises(GapError, match=r"gap in the driver sst.*2018-04"):
        record.commit_drivers(SST, [sst_month(4)])
    with pytest.raises(GapError):  # the first of the two alone would fit: all or nothing
        record.commit_drivers(SST, [sst_month(3), sst_month(5)])
    with pytest.raises(BeforeRecordError, match="before the driver sst"):
        record.commit_drivers(SST, [sst_month(-1)])
    assert CarbonEcs.open(store_url).snapshot_id == before
    assert record.commit_drivers(SST, [sst_month(3)]).revisions == {START + 3: 1}


def test_the_flux_keeps_its_months_its_source_and_its_content(record: CarbonEcs) -> None:
    bare = CarbonEcs.create(Path(record.url).with_name("bare"), tiny_template())
    bare.commit_month(tiny_month(0))
    assert record.content_hash() == bare.content_hash()
    assert list(record.months()) == [START]
    assert record.read_month(START).source == tiny_month(0).source
    assert not record.commit_month(tiny_month(0)).changed
    assert record.commit_month(tiny_month(1)).revision == 1
    assert len(record.drivers.months("sst")) == 3


def test_a_driver_of_other_units_products_or_kind_is_refused_and_every_difference_named(
    record: CarbonEcs,
) -> None:
    other = replace(SST, units="kelvin", products=("another-sst",))
    with pytest.raises(RecordMismatchError) as caught:
        record.commit_drivers(other, [sst_month(3)])
    for word in ("degC", "kelvin", "some-sst", "another-sst"):
        assert word in str(caught.value)
    with pytest.raises(RecordMismatchError, match="kind"):
        record.commit_drivers(replace(SST, kind="index"), [index_month(3)])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: v[:-1], "shape"),
        (lambda v: v.astype(np.float64), "float64"),
        (lambda v: np.where(np.isnan(v), np.float32(1), v), "land cells"),
        (lambda v: np.where(v > 20, np.float32(np.inf), v), "infinite"),
        (lambda v: np.full_like(v, np.nan), "no value at all"),
    ],
)
def test_a_month_that_does_not_fit_is_refused(record: CarbonEcs, change, expected: str) -> None:
    before = record.snapshot_id
    month = sst_month(3)
    with pytest.raises(RecordMismatchError, match=expected):
        record.commit_drivers(SST, [replace(month, values=change(month.values))])
    assert CarbonEcs.open(record.url).snapshot_id == before


def test_a_month_without_any_value_is_kept_where_the_driver_says_so(record: CarbonEcs) -> None:
    seen = replace(SST, name="chl", gaps_allowed=True)
    empty = replace(sst_month(1), values=np.full(TINY.shape, np.nan, dtype=np.float32))
    record.commit_drivers(seen, [sst_month(0), empty, sst_month(2)])
    assert record.drivers.declaration("chl") == seen
    assert np.isnan(record.drivers.read("chl", START + 1, START + 1)).all()
    assert record.commit_drivers(seen, [sst_month(1)]).revisions == {START + 1: 2}


def test_months_that_a_driver_lacks_are_named_with_what_to_do(record: CarbonEcs) -> None:
    with pytest.raises(MissingDriverError, match=r"2018-04, 2018-05.*drivers update"):
        record.drivers.read("sst", START + 1, START + 4)
    with pytest.raises(MissingDriverError, match="drivers add chlorophyll"):
        record.drivers.read("chlorophyll", START, START)


def test_a_record_without_drivers_says_so(tmp_path: Path) -> None:
    record = CarbonEcs.create(tmp_path / "r", tiny_template())
    assert record.drivers.names() == ()
    with pytest.raises(MissingDriverError, match="no driver"):
        record.drivers.months("sst")


def test_the_content_hash_names_what_was_read_and_nothing_else(record: CarbonEcs) -> None:
    drivers = record.drivers
    known = drivers.content_hash(["sst"], START, START + 1)
    record.commit_drivers(SST, [sst_month(2, seed=9), sst_month(3)])
    assert record.drivers.content_hash(["sst"], START, START + 1) == known
    assert drivers.content_hash(["sst"], START, START + 2) != record.drivers.content_hash(
        ["sst"], START, START + 2
    )
    record.commit_drivers(replace(SST, name="sst-2"), [sst_month(i) for i in range(3)])
    assert record.drivers.content_hash(["sst-2"], START, START + 1) != known


def test_an_old_snapshot_takes_no_driver(record: CarbonEcs) -> None:
    with pytest.raises(ReadOnlyRecordError):
        CarbonEcs.open(record.url, record.snapshot_id).commit_drivers(SST, [sst_month(3)])


def test_two_writers_of_flux_and_driver_both_get_through(record: CarbonEcs) -> None:
    other = CarbonEcs.open(record.url)
    other.commit_month(tiny_month(1))
    record.commit_drivers(SST, [sst_month(3)])
    now = CarbonEcs.open(record.url)
    assert now.last_month == START + 1
    assert now.drivers.months("sst")[-1] == START + 3


@pytest.mark.parametrize("name", ["SST", "time", "a/b", "", "1st"])
def test_a_name_that_cannot_be_a_group_is_refused(name: str) -> None:
    with pytest.raises(InvalidDriverError):
        replace(SST, name=name)
