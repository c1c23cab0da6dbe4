"""Whatever dies, is full or does not answer: the record and the archive agree afterwards."""

import os
import signal
from pathlib import Path

import pytest
from services.small_loop import World, dataset, flux, run_python

from storage.database import DatabaseUnavailableError
from storage.errors import TidenetError
from storage.locations import StoreUnavailableError
from storage.months import month

NEW = "2015-07"


@pytest.fixture
def begun(empty: World) -> World:
    """A record of one month."""
    empty.deliver("2010-01")
    empty.ingest()
    return empty


INGEST_AND_DIE = """
import os, signal, sys
from pathlib import Path
import icechunk
from services.small_loop import World
from storage import ledger

def die(*arguments, **options):
    print("about to", sys.argv[2], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "commit":
    icechunk.Session.commit = die
else:
    ledger.record_accepted = die
World(Path(sys.argv[1])).ingest()
"""


@pytest.mark.parametrize(("before", "in_record"), [("commit", 1), ("ledger", 2)])
def test_after_a_kill_the_next_run_completes_what_was_begun(
    begun: World, before: str, in_record: int
) -> None:
    begun.deliver("2010-02")
    begun.deliver("2010-03")
    snapshots = begun.snapshots()
    died = run_python(INGEST_AND_DIE, begun.home, before)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert f"about to {before}" in died.stdout
    assert len(begun.workspace.record().months()) == in_record
    assert begun.count("month_revisions") == 1

    assert begun.outcomes() == {"2010-02": "committed", "2010-03": "committed"}
    assert begun.snapshots() == snapshots + 2
    assert begun.count("month_revisions") == 3
    assert begun.count("product_files") == 3
    known = {snapshot.id for snapshot in begun.workspace.record().history()}
    named = begun.rows("SELECT snapshot_id FROM month_revisions")
    assert {snapshot for (snapshot,) in named} <= known
    before_again = begun.state()
    assert begun.outcomes() == {}
    assert begun.state() == before_again


QUARANTINE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from services.small_loop import World
from storage import ledger

ledger.record_refused = lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL)
World(Path(sys.argv[1])).ingest()
"""


def test_after_a_kill_in_the_middle_of_a_quarantine_it_is_completed(begun: World) -> None:
    begun.deliver("2010-02", b"<html></html>")
    assert run_python(QUARANTINE_AND_DIE, begun.home).returncode == -signal.SIGKILL
    assert begun.count("quarantine_open") == 0
    assert begun.outcomes() == {"2010-02": "quarantined"}
    assert begun.count("quarantine_open") == 1
    assert len(list((begun.home / "quarantine" / "small").iterdir())) == 1


INGEST = """
import sys
from pathlib import Path
from services.small_loop import World

world = World(Path(sys.argv[1]))
world.workspace.engine.connect().close()
print("ready", flush=True)
sys.stdin.readline()
print(world.outcomes())
"""


def test_two_ingests_at_once_take_every_month_once(begun: World) -> None:
    begun.deliver_span("2010-02", "2010-05")
    snapshots = begun.snapshots()
    both = [run_python(INGEST, begun.home, wait=False) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert begun.outcomes() == {}
    assert begun.snapshots() == snapshots + 4
    assert begun.rows(
        "SELECT count(*), count(DISTINCT month), max(revision) FROM month_revisions"
    ) == [(5, 5, 1)]
    assert begun.count("product_files") == 5


def test_a_lost_archive_is_written_again_from_record_and_files(begun: World) -> None:
    begun.deliver("2010-01", dataset(month("2010-01"), flux(month("2010-01")) + 0.1))
    assert begun.outcomes() == {"2010-01": "revised"}
    history = begun.workspace.record().history()
    begun.workspace.engine.dispose()
    for file in begun.home.glob("archive.db*"):
        file.unlink()
    anew = World(begun.home)
    anew.ingest()
    assert anew.workspace.record().history() == history
    assert anew.rows("SELECT revision FROM month_revisions") == [(2,)]


# --- what does not answer -------------------------------------------------------------------------


def garbage_database(world: World) -> str:
    (world.home / "other.db").write_bytes(b"this is no database " * 400)
    return f"sqlite:///{world.home}/other.db"


def folder_as_database(world: World) -> str:
    (world.home / "folder.db").mkdir()
    return f"sqlite:///{world.home}/folder.db"


@pytest.mark.parametrize(
    "url",
    [
        garbage_database,
        folder_as_database,
        lambda world: "postgresql://tidenet:secret-word@127.0.0.1:1/archive",
    ],
    ids=["garbage", "a folder", "nobody listens"],
)
def test_a_database_that_does_not_answer_is_named_and_nothing_is_committed(
    filled: World, url
) -> None:
    filled.deliver(NEW)
    before = filled.state()
    lost = World(filled.home, {"database": url(filled)})
    with pytest.raises(DatabaseUnavailableError, match="What to do") as error:
        lost.ingest()
    assert "secret-word" not in str(error.value)
    assert filled.state() == before
    assert filled.outcomes() == {NEW: "committed"}


def test_a_database_that_stops_between_record_and_ledger_is_caught_up(
    throwaway_postgres, empty: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage.carbon_ecs import CarbonEcs

    url = throwaway_postgres.new_database()
    world = World(empty.home, {"database": url})
    world.deliver("2010-01")
    world.deliver("2010-02")
    assert world.outcomes("2010-01") == {"2010-01": "committed"}
    commit = CarbonEcs.commit_month

    def stop_after(record, completed):
        done = commit(record, completed)
        throwaway_postgres.stop()
        return done

    with monkeypatch.context() as patch:
        patch.setattr(CarbonEcs, "commit_month", stop_after)
        with pytest.raises(DatabaseUnavailableError) as error:
            world.ingest()
    assert throwaway_postgres.password not in str(error.value)
    assert world.workspace.record().last_month == month("2010-02")

    throwaway_postgres.start()
    assert world.outcomes() == {"2010-02": "committed"}
    assert world.rows("SELECT count(*), max(revision) FROM month_revisions") == [(2, 1)]
    assert len(world.workspace.record().months()) == 2


def test_a_record_of_garbage_is_named_and_the_archive_stays(filled: World) -> None:
    filled.deliver(NEW)
    rows = filled.count("product_files"), filled.count("checks")
    for part in ("refs", "snapshots"):
        for file in (filled.home / "carbon-ecs" / part).rglob("*"):
            if file.is_file():
                file.write_bytes(b"garbage" * 30)
    if (filled.home / "carbon-ecs" / "repo").is_file():
        (filled.home / "carbon-ecs" / "repo").write_bytes(b"garbage" * 30)
    with pytest.raises(TidenetError, match="What to do"):
        filled.ingest()
    assert (filled.count("product_files"), filled.count("checks")) == rows


def fill_up(folder: Path) -> Path:
    state = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * (state.f_bavail * state.f_frsize))
    return ballast


def test_a_full_record_is_named_and_taken_up_when_there_is_room(
    empty: World, small_disk: Path
) -> None:
    world = World(empty.home, {"record": str(small_disk / "record")})
    world.deliver("2010-01")
    world.ingest()
    world.deliver("2010-02")
    before = world.state()
    ballast = fill_up(small_disk)
    with pytest.raises(StoreUnavailableError, match="No space left"):
        world.ingest()
    assert world.state() == before
    ballast.unlink()
    assert world.outcomes() == {"2010-02": "committed"}


def test_a_full_quarantine_is_named_and_leaves_no_trace(empty: World, small_disk: Path) -> None:
    world = World(empty.home, {"quarantine": str(small_disk / "quarantine")})
    world.deliver("2010-01", b"<html></html>" + b" " * 5000)
    ballast = fill_up(small_disk)
    with pytest.raises(StoreUnavailableError, match="No space left"):
        world.ingest()
    assert world.count("product_files") == 0
    ballast.unlink()
    assert world.outcomes() == {"2010-01": "quarantined"}
    assert world.count("quarantine_open") == 1
