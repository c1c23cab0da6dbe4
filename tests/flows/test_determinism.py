"""The same files give the same record, wherever and however often they are ingested."""

from pathlib import Path

from services.small_loop import World

from flows.operations.basis import refresh_basis


def test_the_same_files_give_the_same_content_in_another_place_and_in_other_steps(
    tmp_path: Path,
) -> None:
    at_once, in_steps = World.create(tmp_path / "a"), World.create(tmp_path / "b")
    at_once.deliver_span("2010-01", "2010-06")
    at_once.ingest()
    in_steps.deliver_span("2010-01", "2010-03")
    in_steps.ingest()
    in_steps.deliver_span("2010-04", "2010-06")
    in_steps.ingest()
    first, second = at_once.workspace.record(), in_steps.workspace.record()
    assert first.content_hash() == second.content_hash()
    assert first.snapshot_id != second.snapshot_id
    in_steps.deliver_span("2010-07", "2010-07")
    in_steps.ingest()
    assert in_steps.workspace.record().content_hash() != first.content_hash()


def test_a_basis_fitted_on_the_same_record_completes_the_next_month_the_same(
    filled: World, tmp_path: Path
) -> None:
    other = filled.copied_to(tmp_path / "other")
    bases = [refresh_basis(world.workspace).rank for world in (filled, other)]
    for world in (filled, other):
        world.deliver("2015-07")
        assert world.outcomes() == {"2015-07": "committed"}
    assert bases[0] == bases[1]
    assert filled.workspace.record().content_hash() == other.workspace.record().content_hash()
    [(how,)] = filled.rows("SELECT completion FROM month_revisions WHERE month = '2015-07-01'")
    assert how.startswith("eof:")
