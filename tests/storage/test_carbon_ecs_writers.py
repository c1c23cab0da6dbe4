"""Several writers at once: nothing is lost, nothing is written twice."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import icechunk
import pytest
from services.record_samples import START, tiny_month, tiny_template

from storage.carbon_ecs import CarbonEcs
from storage.icechunk_repository import Repository

TESTS = Path(__file__).parents[1]

WRITER = """
import os, sys, time
from pathlib import Path
from services.record_samples import tiny_month
from storage.carbon_ecs import CarbonEcs

url, go, seed, *indices = sys.argv[1:]
record = CarbonEcs.open(url)
Path(go + "." + str(os.getpid())).touch()
while not Path(go).exists():
    time.sleep(0.005)
for index in indices:
    commit = record.commit_month(tiny_month(int(index), seed=int(seed)))
    print(index, commit.changed, commit.revision, flush=True)
"""


def write_at_once(url: str, folder: Path, jobs: dict[int, list[int]], seeds: dict[int, int]):
    """Start one process for each job, let them go together, return what each reported."""
    go = folder / "go"
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    processes = []
    for job, indices in jobs.items():
        mark = folder / str(job)
        mark.mkdir()
        arguments = [url, str(go), str(seeds[job]), *map(str, indices)]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", WRITER, *arguments],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    while len(list(folder.glob("go.*"))) < len(jobs):
        assert all(process.poll() is None for process in processes)
    go.touch()
    reports = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        reports.append([line.split() for line in out.splitlines()])
    return reports


def test_two_writers_of_one_month_make_one_snapshot(store_url: str, tmp_path: Path) -> None:
    record = CarbonEcs.create(store_url, tiny_template())
    record.commit_month(tiny_month(0))
    n_before = len(record.history())
    jobs, seeds = {0: [1], 1: [1]}, {0: 700, 1: 700}
    reports = write_at_once(store_url, tmp_path, jobs, seeds)
    assert sorted(report[0][1] for report in reports) == ["False", "True"]
    after = CarbonEcs.open(store_url)
    assert len(after.history()) == n_before + 1
    assert list(after.months()) == [START, START + 1]
    assert after.revision_of(START + 1) == 1


def test_writers_of_different_content_both_get_through(store_url: str, tmp_path: Path) -> None:
    record = CarbonEcs.create(store_url, tiny_template())
    for index in range(4):
        record.commit_month(tiny_month(index))
    n_before = len(record.history())
    jobs, seeds = {0: [0, 1, 2, 3], 1: [0, 1, 2, 3]}, {0: 800, 1: 900}
    reports = write_at_once(store_url, tmp_path, jobs, seeds)
    revisions = Counter((index, revision) for report in reports for index, _, revision in report)
    assert revisions == Counter({(str(i), r): 1 for i in range(4) for r in ("2", "3")})
    after = CarbonEcs.open(store_url)
    assert len(after.history()) == n_before + 8
    assert set(after.month_revisions().values()) == {3}


@pytest.mark.parametrize("other_index", [0, 1])
def test_a_commit_that_lost_the_race_looks_again(s3_url: str, monkeypatch, other_index) -> None:
    CarbonEcs.create(s3_url, tiny_template()).commit_month(tiny_month(0))
    record, other = CarbonEcs.open(s3_url), CarbonEcs.open(s3_url)
    commit = Repository.commit
    overtaken = []

    def overtaken_once(self, session, message, metadata):
        if not overtaken:
            overtaken.append(True)
            other.commit_month(tiny_month(other_index, seed=1))
        return commit(self, session, message, metadata)

    monkeypatch.setattr(Repository, "commit", overtaken_once)
    done = record.commit_month(tiny_month(1, seed=1))
    assert done.changed == (other_index == 0)
    assert done.revision == 1
    assert list(CarbonEcs.open(s3_url).months()) == [START, START + 1]
    assert CarbonEcs.open(s3_url).revision_of(START) == (2 if other_index == 0 else 1)


def test_a_commit_whose_answer_was_lost_is_found_and_not_made_twice(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = CarbonEcs.create(store_url, tiny_template())
    commit = icechunk.Session.commit
    answers = iter([icechunk.IcechunkError("the connection was reset")])

    def lose_the_first_answer(session: icechunk.Session, *arguments: object) -> str:
        snapshot_id = commit(session, *arguments)
        for lost in answers:
            raise lost
        return snapshot_id

    n_before = len(record.history())
    monkeypatch.setattr(icechunk.Session, "commit", lose_the_first_answer)
    made = record.commit_month(tiny_month(0))
    assert made.revision == 1
    assert made.snapshot_id == CarbonEcs.open(store_url).snapshot_id
    assert len(CarbonEcs.open(store_url).history()) == n_before + 1
