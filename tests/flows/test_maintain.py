"""The weekly upkeep: what is referred to stays readable, what is not goes, nobody is disturbed."""

import datetime as dt
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from services.small_loop import World, all_passed, dataset, flux, run_python

from flows.operations.forecast import forecast
from flows.operations.maintain import MARGIN, collect, copy_database, expire, maintain
from flows.operations.reproduce import reproduce
from flows.operations.workspace import Workspace
from storage.backup import list_backups
from storage.months import month
from storage.record_errors import RecordNotFoundError
from storage.referred_snapshots import referred_snapshots, snapshot_columns
from storage.tables import Table


def in_days(world: World, days: float) -> Workspace:
    """Return the world's workspace as it is some days after now."""
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    return Workspace(world.fresh_workspace().settings, now=lambda: moment)


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def revised(trained: World) -> Iterator[World]:
    """A world with a forecast, a month that was revised since, and a commit nobody refers to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.quality._validate", all_passed)
        forecast(trained.workspace)
        trained.deliver(
            "2015-06", dataset(month("2015-06"), flux(month("2015-06")) + np.float32(1))
        )
        assert trained.outcomes() == {"2015-06": "revised"}
        trained.workspace.record().add_handover('{"somebody": "tried something"}')
        yield trained


def test_every_column_that_names_a_snapshot_protects_it() -> None:
    named = {f"{column.table.name}.{column.name}" for column in snapshot_columns()}
    assert named == {
        "forecast_runs.snapshot_id",
        "handovers.snapshot_id",
        "model_versions.snapshot_id",
        "month_revisions.snapshot_id",
    }
    other = [
        f"{table.name}.{column.name}"
        for table in Table.metadata.sorted_tables
        for column in table.columns
        if "snapshot" in column.name and not column.name.endswith("snapshot_id")
    ]
    assert other == []


def test_old_snapshots_go_and_those_that_something_refers_to_stay(revised: World) -> None:
    referred = referred_snapshots(revised.workspace.engine)
    before = {snapshot.id for snapshot in revised.workspace.record().history()}
    assert before - referred
    content = revised.workspace.record().content_hash()
    later = in_days(revised, 200)
    done = expire(later)
    assert done.lost == ()
    assert done.n_kept == len(referred)
    assert done.n_expired > 0
    collected = collect(later)
    assert collected.n_snapshots > 0
    for snapshot_id in referred:
        assert len(later.record(snapshot_id).months())
    assert later.record().content_hash() == content
    gone = before - referred - {later.record().snapshot_id}
    with pytest.raises(RecordNotFoundError):
        later.record(sorted(gone)[0]).months()


def test_young_snapshots_stay_whoever_refers_to_them(revised: World) -> None:
    before = [snapshot.id for snapshot in revised.workspace.record().history()]
    assert expire(in_days(revised, 0)).n_expired == 0
    collect(in_days(revised, 0))
    assert [snapshot.id for snapshot in revised.workspace.record().history()] == before


def test_a_run_can_be_reproduced_and_the_record_goes_on_after_the_upkeep(revised: World) -> None:
    later = in_days(revised, 200)
    expire(later)
    collect(later)
    assert reproduce(revised.workspace, "latest").identical
    revised.deliver("2015-07")
    assert revised.outcomes() == {"2015-07": "committed"}
    assert forecast(revised.workspace).created
    assert expire(later).lost == ()


LEAVE_CHUNKS = """
import os, signal, sys
from pathlib import Path
import numpy as np
from services.small_loop import World
from storage.icechunk_repository import Repository
from storage.locations import Location, Patience

url = World(Path(sys.argv[1])).workspace.settings.record_url
repository = Repository.open(Location.parse(url), Patience())
session, group = repository.session()
# The small sea's own maps are kept inside the commit; those of a real one are objects like these.
group.create_array("large", data=np.random.default_rng(0).normal(size=(200, 200)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_collected(revised: World) -> None:
    record = revised.home / "carbon-ecs"
    before = size(record)
    assert run_python(LEAVE_CHUNKS, revised.home).returncode == -signal.SIGKILL
    left = size(record)
    assert left > before
    assert collect(in_days(revised, 0)).n_bytes == 0  # it might be somebody who is writing
    assert size(record) == left
    collected = collect(in_days(revised, MARGIN.days + 1))
    assert collected.n_chunks > 0
    assert size(record) < left
    revised.deliver("2015-07")
    assert revised.outcomes() == {"2015-07": "committed"}


COMMIT_MONTHS = """
import sys
from pathlib import Path
from ingest import quality
from services.small_loop import World, all_passed

quality._validate = all_passed
world = World(Path(sys.argv[1]))
for name in sys.argv[2:]:
    world.deliver(name)
    assert world.outcomes(name)[name] == "committed", name
    print(name, flush=True)
"""


def test_months_may_be_committed_meanwhile(revised: World) -> None:
    names = ["2015-07", "2015-08", "2015-09", "2015-10", "2015-11", "2015-12"]
    writer = run_python(COMMIT_MONTHS, revised.home, *names, wait=False)
    # A margin of a day is what makes this safe: the clock of the upkeep is not ahead.
    ahead = Workspace(revised.fresh_workspace().settings)
    settings = ahead.settings.model_copy(update={"keep_snapshots_days": 1})
    while writer.poll() is None:
        expire(Workspace(settings))
        collect(Workspace(settings))
    output, errors = writer.communicate()
    assert writer.returncode == 0, errors
    assert output.split() == names
    record = revised.fresh_workspace().record()
    assert str(record.last_month) == "2015-12"
    for name in names:
        assert np.isfinite(record.read_month(month(name)).fco2[record.ocean]).all()


DIE_COLLECTING = """
import datetime as dt, os, signal, sys, threading
from pathlib import Path
from flows.operations.maintain import collect, expire
from flows.operations.workspace import Workspace
from services.small_loop import World

moment = dt.datetime.now(dt.UTC) + dt.timedelta(days=200)
workspace = Workspace(World(Path(sys.argv[1])).workspace.settings, now=lambda: moment)
threading.Timer(float(sys.argv[2]), lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
while True:
    expire(workspace)
    collect(workspace)
"""


@pytest.mark.parametrize("after_s", [0.02, 0.1, 0.3])
def test_an_upkeep_that_is_killed_leaves_the_record_whole(revised: World, after_s: float) -> None:
    content = revised.workspace.record().content_hash()
    assert run_python(DIE_COLLECTING, revised.home, after_s).returncode == -signal.SIGKILL
    assert revised.fresh_workspace().record().content_hash() == content
    later = in_days(revised, 200)
    assert expire(later).lost == ()
    collect(later)
    assert revised.fresh_workspace().record().content_hash() == content


def test_on_s3_it_is_the_same(revised: World, s3_url: str) -> None:
    import s3fs

    filesystem = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    filesystem.put(str(revised.home / "carbon-ecs"), f"{s3_url}/record", recursive=True)
    there = World(revised.home, {"record": f"{s3_url}/record"})
    content = there.workspace.record().content_hash()
    later = in_days(there, 200)
    done = expire(later)
    assert done.lost == ()
    assert done.n_expired > 0
    assert collect(later).n_snapshots > 0
    assert there.fresh_workspace().record().content_hash() == content


def test_every_step_of_the_upkeep_is_done_and_told(revised: World) -> None:
    done = maintain(revised.workspace)
    assert done.audited.n_runs == 1
    assert done.audited.findings == ()
    assert done.notes == ()
    [backup] = list_backups(revised.workspace.settings.backup_url, revised.workspace.patience)
    assert backup == done.backup
    assert backup.rows["forecast_runs"] == 1


def test_only_so_many_backups_are_kept(revised: World) -> None:
    for day in range(4):
        workspace = in_days(revised, day)
        settings = workspace.settings.model_copy(update={"keep_backups": 2})
        newest = copy_database(replace(workspace, settings=settings))
    kept = list_backups(workspace.settings.backup_url, workspace.patience)
    assert len(kept) == 2
    assert kept[-1] == newest
    folder = Path(workspace.settings.backup_url)
    assert len(list(folder.iterdir())) == 4
