"""Hand-overs in the record's own attributes, and the hash of what the record says."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import icechunk
import pytest
from filelock import FileLock
from services.archive_samples import handover_fitted
from services.record_samples import START, TINY, tiny_month, tiny_ocean, tiny_template

from storage.carbon_ecs import (
    CarbonEcs,
    ConcurrentWriteError,
    InvalidHandOverError,
    Patience,
    ReadOnlyRecordError,
    RecordMismatchError,
    RecordTemplate,
)
from storage.flux_month import SourceFile
from storage.handover_text import text_sha256
from storage.icechunk_repository import Repository

FIRST = '{"old_product": "a", "new_product": "b", "terms": [{"scale": 1.10, "shift": -3e-7}]}'
SECOND = '{"old_product": "b", "new_product": "c", "terms": []}'


def filled(url: str, n_months: int) -> CarbonEcs:
    record = CarbonEcs.create(url, tiny_template(title="Test"))
    for index in range(n_months):
        record.commit_month(tiny_month(index))
    return record


def loaded(record: CarbonEcs) -> list[dict]:
    return [json.loads(text) for text in record.handovers()]


def test_a_record_without_handovers_has_no_such_attribute(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 1)
    assert record.handovers() == ()
    assert "handovers" not in record.read().attrs
    assert "handovers" not in dict(record._group.attrs)


def test_handovers_come_back_in_the_order_they_were_added(store_url: str) -> None:
    record = filled(store_url, 1)
    for text in (FIRST, SECOND):
        snapshot_id = record.add_handover(text)
        assert record.snapshot_id == snapshot_id == CarbonEcs.open(store_url).snapshot_id
    assert loaded(record) == loaded(CarbonEcs.open(store_url)) == [
        json.loads(FIRST), json.loads(SECOND),
    ]  # fmt: skip
    read = CarbonEcs.open(store_url).read().attrs
    assert json.loads(read["handovers"]) == [json.loads(FIRST), json.loads(SECOND)]
    assert read["title"] == "Test"


def test_a_handover_is_one_commit_that_says_what_it_is(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 2)
    before = record.history()
    record.add_handover(FIRST)
    newest, *others = record.history()
    assert tuple(others) == before
    assert newest.message == "Hand-over 1: a to b"
    assert newest.metadata["handover_sha256"] == text_sha256(FIRST)
    assert (newest.metadata["old_product"], newest.metadata["new_product"]) == ("a", "b")
    assert newest.metadata["software"].startswith("tidenet ")
    assert record.read_month(START).source == tiny_month(0).source


def test_the_same_handover_again_makes_no_snapshot(store_url: str) -> None:
    record = filled(store_url, 1)
    first = record.add_handover(FIRST)
    turned = json.dumps(dict(reversed(json.loads(FIRST).items())), indent=2)
    assert CarbonEcs.open(store_url).add_handover(turned) == first
    assert CarbonEcs.open(store_url).snapshot_id == first


def test_the_record_and_the_database_name_a_handover_by_the_same_digest(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 1)
    fitted = handover_fitted()
    record.add_handover(json.dumps(fitted.parameters))
    assert text_sha256(record.handovers()[-1]) == fitted.sha256()


@pytest.mark.parametrize("text", ["", "[]", '"a"', '{"shift": NaN}', '{"shift": 1e999}', "{"])
def test_what_is_no_json_object_is_refused(tmp_path, text: str) -> None:
    record = filled(str(tmp_path / "r"), 1)
    with pytest.raises(InvalidHandOverError, match="JSON object"):
        record.add_handover(text)
    assert CarbonEcs.open(record.url).snapshot_id == record.snapshot_id


def test_an_older_snapshot_takes_no_handover_and_shows_those_of_its_time(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 1)
    then = record.add_handover(FIRST)
    record.add_handover(SECOND)
    old = CarbonEcs.open(record.url, then)
    assert loaded(old) == [json.loads(FIRST)]
    with pytest.raises(ReadOnlyRecordError):
        old.add_handover(SECOND)


def test_a_record_opened_before_a_handover_goes_on_and_learns_of_it(store_url: str) -> None:
    filled(store_url, 1)
    stale = CarbonEcs.open(store_url)
    CarbonEcs.open(store_url).add_handover(FIRST)
    assert stale.handovers() == ()
    assert stale.commit_month(tiny_month(1)).changed
    assert loaded(stale) == [json.loads(FIRST)]
    assert stale.commit_month(tiny_month(2)).changed


def test_a_declaration_without_handovers_fits_a_record_with_some(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 1)
    record.add_handover(FIRST)
    opened = CarbonEcs.open_or_create(record.url, tiny_template(title="Test"))
    assert loaded(opened) == [json.loads(FIRST)]


def change_attribute(record: CarbonEcs, value: str) -> None:
    """Change the store behind the record's back."""
    session, group = record._repository.session()
    group.attrs["handovers"] = value
    session.commit("tampered")


@pytest.mark.parametrize(
    ("value", "reason"),
    [("[]", "0 stored, which do not begin with the 1 declared"), ("nonsense", "cannot be read")],
)
def test_a_record_that_lost_a_handover_takes_no_month(tmp_path, value: str, reason: str) -> None:
    record = filled(str(tmp_path / "r"), 1)
    record.add_handover(FIRST)
    change_attribute(record, value)
    for write in (lambda: record.commit_month(tiny_month(1)), lambda: record.add_handover(SECOND)):
        with pytest.raises(RecordMismatchError, match=reason):
            write()


def test_several_writers_of_handovers_lose_none(store_url: str) -> None:
    filled(store_url, 1)
    texts = [json.dumps({"old_product": "a", "new_product": f"b{i % 3}"}) for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda text: CarbonEcs.open(store_url).add_handover(text), texts))
    record = CarbonEcs.open(store_url)
    assert sorted(one["new_product"] for one in loaded(record)) == ["b0", "b1", "b2"]
    assert len([s for s in record.history() if "handover_sha256" in s.metadata]) == 3


def test_a_handover_waits_for_the_writer_of_a_local_record(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 1)
    hurried = CarbonEcs.open(record.url, patience=Patience(timeout_s=0.5, attempts=1))
    with FileLock(tmp_path / "r.lock"), pytest.raises(ConcurrentWriteError, match="is held"):
        hurried.add_handover(FIRST)
    assert CarbonEcs.open(record.url).handovers() == ()


@pytest.mark.parametrize("other", ["month", "same handover"])
def test_a_handover_that_lost_the_race_looks_again(
    s3_url: str, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    filled(s3_url, 1)
    record, another = CarbonEcs.open(s3_url), CarbonEcs.open(s3_url)
    commit = Repository.commit
    overtaken = []

    def overtaken_once(self, session, message, metadata):
        if not overtaken:
            overtaken.append(True)
            if other == "month":
                another.commit_month(tiny_month(1))
            else:
                another.add_handover(FIRST)
        return commit(self, session, message, metadata)

    monkeypatch.setattr(Repository, "commit", overtaken_once)
    record.add_handover(FIRST)
    after = CarbonEcs.open(s3_url)
    assert loaded(after) == loaded(record) == [json.loads(FIRST)]
    assert len(after.months()) == (2 if other == "month" else 1)
    assert len([s for s in after.history() if "handover_sha256" in s.metadata]) == 1


# --- the hash of what the record says ---------------------------------------------------------


def test_records_of_the_same_months_have_the_same_content_hash(store_url: str, tmp_path) -> None:
    one = filled(store_url, 3)
    other = CarbonEcs.create(str(tmp_path / "other"), tiny_template(title="Another title"))
    other.commit_month(tiny_month(0, seed=50))
    other.commit_month(replace(tiny_month(1), source=SourceFile("p", "file:///b.nc", "cd" * 32)))
    other.add_handover(FIRST)
    other.commit_month(tiny_month(2))
    assert one.content_hash() != other.content_hash()
    other.commit_month(tiny_month(0))
    assert one.snapshot_id != other.snapshot_id
    assert one.content_hash() == other.content_hash() == CarbonEcs.open(store_url).content_hash()


def test_an_older_snapshot_has_the_content_hash_of_its_time(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 2)
    then, before = record.snapshot_id, record.content_hash()
    record.commit_month(tiny_month(0, seed=50))
    assert record.content_hash() != before
    assert CarbonEcs.open(record.url, then).content_hash() == before


def test_grid_mask_months_and_content_all_enter_the_content_hash(tmp_path) -> None:
    mask = tiny_ocean()
    mask[3, 5] = False
    templates = {
        "plain": tiny_template(),
        "mask": RecordTemplate(TINY, mask),
        "moved": RecordTemplate(replace(TINY, south=26), tiny_ocean()),
        "finer": RecordTemplate(replace(TINY, step=0.25), tiny_ocean()),
        "named": RecordTemplate(replace(TINY, name="other"), tiny_ocean()),
    }
    records = {
        name: CarbonEcs.create(str(tmp_path / name), template)
        for name, template in templates.items()
    }
    hashes = {record.content_hash() for record in records.values()}
    plain = records["plain"]
    for month in (tiny_month(0), tiny_month(1)):
        plain.commit_month(month)
        hashes.add(plain.content_hash())
    later = CarbonEcs.create(str(tmp_path / "later"), tiny_template())
    later.commit_month(replace(tiny_month(0), month=START + 12))
    hashes.add(later.content_hash())
    assert len(hashes) == 8
    assert {len(text) for text in hashes} == {64}


def test_the_content_hash_outlives_an_expired_history(tmp_path) -> None:
    record = filled(str(tmp_path / "r"), 3)
    record.commit_month(tiny_month(1, seed=50))
    before = record.content_hash()
    storage = icechunk.local_filesystem_storage(str(tmp_path / "r"))
    repository = icechunk.Repository.open(storage)
    repository.expire_snapshots(older_than=record.history()[0].written_at)
    opened = CarbonEcs.open(record.url)
    assert len(opened.history()) < 5
    assert opened.content_hash() == before


def test_the_content_hash_reads_no_field_where_the_history_is_whole(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = filled(str(tmp_path / "r"), 3)

    def refuse(*arguments: object) -> None:
        raise AssertionError("a field was read")

    monkeypatch.setattr(CarbonEcs, "_fields", refuse)
    assert len(record.content_hash()) == 64
