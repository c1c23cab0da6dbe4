import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from services.archive_samples import (
    NOW,
    accept,
    check,
    committed,
    file_seen,
    input_file,
    later,
    row_counts,
    sha256,
)
from sqlalchemy import Engine

from storage.database import DatabaseRuleError
from storage.ledger import (
    Acceptance,
    LedgerConflictError,
    checks_of,
    content_of,
    inputs_of,
    latest_months,
    latest_revision,
    open_quarantine,
    open_waiting,
    preliminary_months,
    record_accepted,
    record_refused,
    status_of,
)
from storage.months import month


def quarantine(engine: Engine, name: str = "2018-01", content: str = "damaged") -> int:
    return record_refused(
        engine,
        file_seen(name, content),
        "quarantined",
        [check("readable", passed=False, kind="structural", severity="error")],
        message="The file cannot be read.",
        remedy="Fetch it again.",
        quarantine_url=f"/quarantine/{name}.nc",
    )


def test_an_accepted_file_ties_file_checks_and_snapshot_together(archive: Engine) -> None:
    file, commit = file_seen(), committed()
    checks = (check("readable", kind="structural", severity="error"), check("range"))
    key = record_accepted(archive, file, checks, commit)
    latest = latest_revision(archive, month("2018-01"))
    assert latest is not None
    assert (latest.id, latest.committed, latest.sha256) == (key, commit, file.sha256)
    status = status_of(archive, file.product, file.sha256)
    assert status is not None
    assert (status.status, status.file) == ("accepted", file)
    assert checks_of(archive, status.product_file_id) == checks


def test_the_same_file_and_revision_again_add_nothing(archive: Engine) -> None:
    key = record_accepted(archive, file_seen(), [check()], committed())
    before = row_counts(archive)
    again = file_seen(seen_at=later(5))
    assert record_accepted(archive, again, [check()], committed(committed_at=later(5))) == key
    assert row_counts(archive) == before


def test_a_file_written_anew_with_the_same_content_adds_the_file_only(archive: Engine) -> None:
    key = record_accepted(archive, file_seen(), [check()], committed())
    anew = file_seen(content="the same, packed differently")
    assert record_accepted(archive, anew, [check()], committed()) == key
    assert row_counts(archive)["month_revisions"] == 1
    status = status_of(archive, anew.product, anew.sha256)
    assert status is not None
    assert status.status == "accepted"


def test_a_revised_month_is_a_new_row_and_the_latest(archive: Engine) -> None:
    accept(archive, "2018-01")
    accept(archive, "2018-02")
    key = accept(archive, "2018-01", revision=2)
    months = latest_months(archive)
    assert [(str(m.committed.month), m.committed.revision) for m in months] == [
        ("2018-01", 2),
        ("2018-02", 1),
    ]
    assert months[0].id == key
    assert latest_months(archive, until=month("2018-01")) == months[:1]
    assert row_counts(archive)["month_revisions"] == 3


def test_bytes_that_come_back_after_a_revision_are_a_further_revision(archive: Engine) -> None:
    accept(archive, "2018-01", revision=1)
    accept(archive, "2018-01", revision=2)
    first = file_seen(content="bytes 1", seen_at=later(9))
    record_accepted(archive, first, [], committed(revision=3))
    latest = latest_revision(archive, month("2018-01"))
    assert latest is not None
    assert (latest.committed.revision, latest.sha256) == (3, first.sha256)


def test_other_content_under_a_known_revision_is_refused(archive: Engine) -> None:
    accept(archive, "2018-01")
    before = row_counts(archive)
    other = committed(content_hash="other")
    with pytest.raises(LedgerConflictError, match="do not belong together"):
        record_accepted(archive, file_seen(content="other"), [], other)
    assert row_counts(archive) == before


def test_a_file_of_another_month_is_refused(archive: Engine) -> None:
    before = row_counts(archive)
    with pytest.raises(DatabaseRuleError):
        record_accepted(archive, file_seen("2018-02"), [], committed("2018-01"))
    assert row_counts(archive) == before


def test_an_overridden_warning_is_recorded_with_its_reason(archive: Engine) -> None:
    quarantine(archive, content="odd")
    accepted = Acceptance("a real typhoon", "the operator", NOW)
    record_accepted(archive, file_seen(content="odd"), [check(passed=False)], committed(), accepted)
    assert row_counts(archive)["acceptances"] == 1
    assert open_quarantine(archive) == ()
    with archive.connect() as connection:
        [row] = connection.exec_driver_sql("SELECT reason, accepted_by FROM acceptances")
    assert tuple(row) == ("a real typhoon", "the operator")


def test_a_quarantined_file_is_open_until_its_month_is_accepted(archive: Engine) -> None:
    key = quarantine(archive, "2018-01")
    quarantine(archive, "2018-02")
    first, second = open_quarantine(archive)
    assert first.product_file_id == key
    assert (first.message, first.remedy) == ("The file cannot be read.", "Fetch it again.")
    assert first.quarantine_url == "/quarantine/2018-01.nc"
    accept(archive, "2018-01")
    assert open_quarantine(archive) == (second,)


def test_an_acceptance_before_the_quarantine_does_not_close_it(archive: Engine) -> None:
    accept(archive, "2018-01")
    quarantine(archive, "2018-01", content="a damaged revision")
    assert len(open_quarantine(archive)) == 1


def test_a_file_replaced_under_its_name_is_open_once(archive: Engine) -> None:
    quarantine(archive, content="damaged")
    key = quarantine(archive, content="damaged otherwise")
    assert [status.product_file_id for status in open_quarantine(archive)] == [key]


def test_a_file_without_a_month_is_open_until_its_url_holds_a_good_one(archive: Engine) -> None:
    unknown = dataclasses.replace(file_seen(content="html"), month=None)
    record_refused(archive, unknown, "quarantined", [], message="Not NetCDF.", remedy="Fetch it.")
    assert len(open_quarantine(archive)) == 1
    accept(archive, "2018-01")
    assert open_quarantine(archive) == ()


def test_a_waiting_file_is_open_until_it_is_accepted(archive: Engine) -> None:
    late = file_seen("2018-03", content="bytes 1")
    record_refused(archive, late, "waiting", [], message="2018-02 is missing.", remedy="Wait.")
    [status] = open_waiting(archive)
    assert (status.file, status.status) == (late, "waiting")
    assert open_quarantine(archive) == ()
    accept(archive, "2018-03")
    assert open_waiting(archive) == ()


def test_the_same_refusal_again_adds_nothing_and_another_one_does(archive: Engine) -> None:
    key = quarantine(archive)
    before = row_counts(archive)
    assert quarantine(archive) == key
    assert row_counts(archive) == before
    other = record_refused(
        archive, file_seen(content="damaged"), "quarantined", [], message="Too few cells.",
        remedy="Accept it.",
    )  # fmt: skip
    assert other != key
    status = status_of(archive, "test-product", file_seen(content="damaged").sha256)
    assert status is not None
    assert status.message == "Too few cells."


def test_the_same_bytes_under_another_name_are_another_file(archive: Engine) -> None:
    accept(archive, "2018-01")
    good = file_seen("2018-01", content="bytes 1")
    copy = dataclasses.replace(good, file_name="2018-02.nc", url="/landing/2018-02.nc")
    assert status_of(archive, good.product, good.sha256, file_name="2018-02.nc") is None
    record_refused(archive, copy, "quarantined", [], message="Name and time disagree.", remedy="-")
    found = {
        name: status_of(archive, good.product, good.sha256, file_name=name)
        for name in ("2018-01.nc", "2018-02.nc")
    }
    assert [status.status for status in found.values() if status] == ["accepted", "quarantined"]


def test_bytes_that_were_never_seen_have_no_status(archive: Engine) -> None:
    assert status_of(archive, "test-product", "0" * 64) is None
    assert latest_revision(archive, month("2018-01")) is None
    assert latest_months(archive) == ()


def test_credentials_do_not_reach_the_ledger(archive: Engine) -> None:
    file = file_seen(url="s3://key:hush@bucket/2018-01.nc")
    record_refused(
        archive, file, "quarantined", [], message="m", remedy="r",
        quarantine_url="s3://key:hush@bucket/quarantine/2018-01.nc",
    )  # fmt: skip
    [status] = open_quarantine(archive)
    assert status.file.url == "s3://bucket/2018-01.nc"
    assert status.quarantine_url == "s3://bucket/quarantine/2018-01.nc"


def test_two_writers_of_one_month_make_one_revision(archive: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = set(pool.map(lambda _: accept(archive, "2018-01"), range(4)))
    assert len(keys) == 1
    counts = row_counts(archive)
    assert (counts["product_files"], counts["checks"], counts["month_revisions"]) == (1, 2, 1)


INPUTS = (input_file("pco2"), input_file("sst", size_bytes=7, sha256="f" * 64), input_file("wind"))


def test_the_inputs_of_a_computed_month_are_kept_with_it(archive: Engine) -> None:
    file = file_seen(inputs=INPUTS)
    record_accepted(archive, file, [check()], committed())
    latest = latest_revision(archive, month("2018-01"))
    assert latest is not None
    assert inputs_of(archive, latest.product_file_id) == INPUTS
    status = status_of(archive, file.product, file.sha256)
    assert status is not None
    assert status.file == file
    assert inputs_of(archive, latest.product_file_id + 1) == ()


def test_the_inputs_of_a_refused_month_are_kept_with_it(archive: Engine) -> None:
    for name, status in (("2018-01", "quarantined"), ("2018-02", "waiting")):
        file = file_seen(name, inputs=INPUTS[::-1], stage="preliminary")
        record_refused(archive, file, status, [], message="Too few cells.", remedy="-")
    for [status] in (open_quarantine(archive), open_waiting(archive)):
        assert status.file.inputs == INPUTS
        assert status.file.stage == "preliminary"


def test_credentials_in_the_urls_of_inputs_do_not_reach_the_ledger(archive: Engine) -> None:
    secret = input_file("wind", url="https://me:hush@host/wind.nc?token=hush&x=1")
    record_accepted(archive, file_seen(inputs=(secret,)), [], committed())
    [status] = [status_of(archive, "test-product", file_seen().sha256)]
    assert status is not None
    assert status.file.inputs[0].url == "https://host/wind.nc?x=1"


def test_a_changed_input_is_another_look(archive: Engine) -> None:
    for content in ("first", "first", "other"):
        inputs = (*INPUTS[:2], input_file("wind", sha256=sha256(content)))
        file = file_seen(inputs=inputs)
        record_refused(archive, file, "quarantined", [], message="m", remedy="r")
    assert row_counts(archive)["product_files"] == 2
    assert row_counts(archive)["month_inputs"] == 6


def test_a_quantity_comes_from_one_file_and_nothing_half_done_stays(archive: Engine) -> None:
    twice = file_seen(inputs=(input_file("wind"), input_file("wind", product="another")))
    with pytest.raises(DatabaseRuleError):
        record_accepted(archive, twice, [check()], committed())
    assert set(row_counts(archive).values()) == {0}


def preliminary(engine: Engine) -> list[str]:
    return [str(one.committed.month) for one in preliminary_months(engine)]


def test_a_month_is_preliminary_until_a_final_file_replaces_it(archive: Engine) -> None:
    accept(archive, "2018-01")
    accept(archive, "2018-02", stage="preliminary")
    accept(archive, "2018-03", stage="preliminary")
    assert preliminary(archive) == ["2018-02", "2018-03"]
    assert [one.stage for one in latest_months(archive)] == ["final", "preliminary", "preliminary"]
    accept(archive, "2018-02", revision=2)
    assert preliminary(archive) == ["2018-03"]
    accept(archive, "2018-03", revision=2, stage="preliminary")
    assert preliminary(archive) == ["2018-03"]


def test_a_final_file_with_the_content_of_the_preliminary_one_settles_the_month(
    archive: Engine,
) -> None:
    key = accept(archive, "2018-01", stage="preliminary")
    final = file_seen("2018-01", content="the final file", seen_at=later(9))
    assert record_accepted(archive, final, [check()], committed()) == key
    assert preliminary(archive) == []
    assert row_counts(archive)["month_revisions"] == 1


def test_the_very_bytes_of_a_preliminary_file_can_be_declared_final(archive: Engine) -> None:
    accept(archive, "2018-01", stage="preliminary")
    assert preliminary(archive) == ["2018-01"]
    accept(archive, "2018-01")
    assert preliminary(archive) == []


def test_a_preliminary_file_after_a_final_one_makes_the_month_preliminary(archive: Engine) -> None:
    accept(archive, "2018-01")
    accept(archive, "2018-01", revision=2, stage="preliminary")
    assert preliminary(archive) == ["2018-01"]


def test_a_final_file_that_was_refused_or_is_of_another_month_settles_nothing(
    archive: Engine,
) -> None:
    accept(archive, "2018-01", stage="preliminary")
    quarantine(archive, "2018-01")
    accept(archive, "2018-02")
    assert preliminary(archive) == ["2018-01"]


def test_how_gaps_were_filled_is_kept_with_the_revision(archive: Engine) -> None:
    commit = committed(completion="eof:BASIS1:12", n_spikes=3)
    record_accepted(archive, file_seen(), [], commit)
    latest = latest_revision(archive, month("2018-01"))
    assert latest is not None
    assert latest.committed == commit


def test_the_content_of_months_changes_only_with_the_content_of_one_of_them(
    archive: Engine,
) -> None:
    for name in ("2018-01", "2018-02", "2018-03", "2018-04"):
        accept(archive, name)

    def content() -> str:
        return content_of(latest_months(archive, month("2018-03"), since=month("2018-02")))

    first = content()
    for outside in ("2018-01", "2018-04"):
        accept(archive, outside, revision=2)
    assert content() == first
    accept(archive, "2018-03", revision=2)
    assert content() != first
    accept(archive, "2018-03", revision=3, content_hash=committed("2018-03").content_hash)
    assert content() == first
