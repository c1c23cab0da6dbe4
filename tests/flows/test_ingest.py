"""Ingest: what is new is taken once and in order, and nothing else changes."""

import numpy as np
import pytest
from services.small_loop import PRODUCT, World, dataset, flux

from ingest.errors import SourceUnavailableError
from storage.months import month
from storage.record_errors import RecordMismatchError

NEW = "2015-07"


def revised(of: str, by: float = 0.1):
    return dataset(month(of), flux(month(of)) + np.float32(by))


def stored(world: World, of: str) -> np.ndarray:
    return world.workspace.record().read_month(month(of)).fco2


def test_a_new_month_is_committed_with_its_checks_and_its_file(filled: World) -> None:
    snapshots = filled.snapshots()
    filled.deliver(NEW)
    assert filled.outcomes() == {NEW: "committed"}
    assert filled.snapshots() == snapshots + 1
    [(name, revision, checks, failed)] = filled.rows(
        "SELECT f.file_name, r.revision, count(*), sum(NOT c.passed) FROM month_revisions r "
        "JOIN product_files f ON f.id = r.product_file_id JOIN checks c USING (product_file_id) "
        "WHERE r.month = '2015-07-01' GROUP BY 1, 2"
    )
    assert (name, revision, failed) == ("SMALL_201507.nc", 1, 0)
    assert checks >= 10
    values = dataset(month(NEW))["fco2"].values[0]
    seen = np.isfinite(values)
    np.testing.assert_allclose(stored(filled, NEW)[seen], values[seen], atol=0.01)


def test_ingesting_again_adds_no_snapshot_and_no_rows(filled: World) -> None:
    before = filled.state()
    files = filled.ingest()
    assert {str(file.outcome) for file in files} == {"unchanged"}
    assert len(files) == 66
    assert filled.state() == before


def test_a_file_written_anew_with_the_same_values_is_no_revision(filled: World) -> None:
    values = dataset(month("2015-06"))
    values.attrs["history"] = "copied by the provider"
    snapshots = filled.snapshots()
    filled.deliver("2015-06", values)
    assert filled.outcomes() == {}
    before = filled.state()
    assert filled.outcomes() == {}
    assert filled.state() == before
    assert filled.snapshots() == snapshots


def test_a_revised_file_makes_one_new_revision_and_keeps_the_old_one(filled: World) -> None:
    old_snapshot = filled.workspace.record().snapshot_id
    old = stored(filled, "2015-03")
    filled.deliver("2015-03", revised("2015-03"))
    assert filled.outcomes() == {"2015-03": "revised"}
    assert filled.outcomes() == {}
    assert filled.rows(
        "SELECT revision FROM month_revisions WHERE month = '2015-03-01' ORDER BY revision"
    ) == [(1,), (2,)]
    assert np.nanmean(stored(filled, "2015-03") - old) == pytest.approx(0.1, abs=0.05)
    kept = filled.workspace.record(old_snapshot).read_month(month("2015-03"))
    np.testing.assert_array_equal(kept.fco2, old)


def test_a_provider_that_takes_a_revision_back_makes_a_third_one(filled: World) -> None:
    first = filled.path("2015-03").read_bytes()
    filled.deliver("2015-03", revised("2015-03"))
    filled.ingest("2015-03")
    filled.deliver("2015-03", first)
    assert filled.outcomes("2015-03") == {"2015-03": "revised"}
    assert filled.outcomes("2015-03") == {}
    rows = filled.rows(
        "SELECT revision, content_hash FROM month_revisions "
        "WHERE month = '2015-03-01' ORDER BY revision"
    )
    assert [revision for revision, _ in rows] == [1, 2, 3]
    assert rows[0][1] == rows[2][1] != rows[1][1]


def test_months_after_a_gap_wait_and_follow_in_order_when_it_is_filled(filled: World) -> None:
    before = filled.snapshots()
    filled.deliver("2015-08")
    filled.deliver("2015-09")
    assert filled.outcomes() == {"2015-08": "waiting", "2015-09": "waiting"}
    assert filled.snapshots() == before
    assert filled.count("waiting_open") == 2
    looks = filled.count("product_files")
    assert filled.outcomes() == {"2015-08": "waiting", "2015-09": "waiting"}
    assert filled.count("product_files") == looks

    filled.deliver(NEW)
    done = filled.ingest()[-3:]
    assert [(str(file.month), str(file.outcome)) for file in done] == [
        (NEW, "committed"),
        ("2015-08", "committed"),
        ("2015-09", "committed"),
    ]
    assert filled.count("waiting_open") == 0
    assert filled.snapshots() == before + 3


def test_a_record_begins_with_its_first_month_or_waits_for_it(empty: World) -> None:
    empty.deliver("2010-02")
    assert empty.outcomes() == {"2010-02": "waiting"}
    empty.deliver("2010-01", b"<html>not yet</html>")
    assert empty.outcomes() == {"2010-01": "quarantined", "2010-02": "waiting"}
    empty.deliver("2010-01", dataset(month("2010-01"), -flux(month("2010-01"))))
    assert empty.outcomes() == {"2010-01": "quarantined", "2010-02": "waiting"}
    empty.deliver("2010-01")
    assert empty.outcomes() == {"2010-01": "committed", "2010-02": "committed"}


@pytest.mark.parametrize("start", ['start: "2010-01"', ""])
def test_a_month_before_the_record_is_refused_and_stops_no_other(empty: World, start: str) -> None:
    specification = empty.home / "products" / "small.yaml"
    specification.write_text(PRODUCT.replace('start: "2010-01"', start))
    empty.deliver("2010-01")
    empty.ingest()
    empty.deliver("2009-12")
    empty.deliver("2010-02")
    assert empty.outcomes() == {"2009-12": "quarantined", "2010-02": "committed"}
    assert empty.rows("SELECT name FROM checks WHERE NOT passed") == [("not-too-early",)]


def test_only_the_months_asked_for_are_looked_at(filled: World) -> None:
    filled.deliver(NEW)
    filled.deliver("2015-03", revised("2015-03"))
    assert filled.outcomes("2015-03") == {"2015-03": "revised"}
    assert filled.outcomes("2015-03", NEW) == {NEW: "committed"}


def test_other_files_in_the_landing_zone_are_left_alone(filled: World) -> None:
    before = filled.state()
    landing = filled.home / "landing"
    (landing / "README.txt").write_text("hello")
    (landing / "SMALL_201507.nc.part").write_bytes(b"half")
    (landing / "OTHER_201507.nc").write_bytes(b"another product")
    (landing / "2015").mkdir()
    assert filled.outcomes() == {}
    assert filled.state() == before


def test_a_missing_landing_zone_is_named(filled: World) -> None:
    before = filled.state()
    workspace = filled.fresh_workspace(landing=str(filled.home / "nowhere"))
    lost = World(filled.home, {"landing": workspace.settings.landing})
    with pytest.raises(SourceUnavailableError, match=r"nowhere.*What to do"):
        lost.ingest()
    assert filled.state() == before


def test_a_product_on_another_grid_does_not_enter_the_record(filled: World) -> None:
    before = filled.state()
    specification = filled.home / "products" / "small.yaml"
    specification.write_text(
        PRODUCT.replace("west: 120", "west: 121").replace("small-sea", "moved")
    )
    content = dataset(month(NEW))
    filled.deliver(NEW, content.assign_coords(lon=content["lon"] + 1))
    with pytest.raises(RecordMismatchError, match="another grid"):
        filled.ingest(NEW)
    assert filled.state() == before
