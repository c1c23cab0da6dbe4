"""The benchmarks are programs of their own: they start with the code as it is, and score well."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
from services.small_sea import small_record

import benchmarks
from benchmarks import backfill_speed
from benchmarks.backfill_speed import KILLED
from benchmarks.filled_home import QUICK
from benchmarks.oracle import N_LEADS, Skill
from benchmarks.soak.loop import Looked, months_of
from benchmarks.soak.plan import LASTING, Kind, plan
from benchmarks.soak.report import check_flatness, draw
from benchmarks.soak.run import soak
from storage.months import month

FOLDER = Path(benchmarks.__file__).parent
NAMES = sorted(file.stem for file in FOLDER.glob("*.py") if not file.stem.startswith("_"))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_finds_all_that_it_imports(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")


def test_what_came_has_skill_one_and_the_climatology_none() -> None:
    record = small_record()
    skill = Skill(record, month("2012-12"))
    init_month = month("2013-01")
    valid = [init_month + lead for lead in range(1, N_LEADS + 1)]
    came = np.stack([record.fco2[record.index(m)] for m in valid])
    usual = np.stack([skill.climatology.mean_of(m) for m in valid])
    np.testing.assert_allclose(skill.of({init_month: came}), 1.0, atol=1e-6)
    np.testing.assert_allclose(skill.of({init_month: usual}), 0.0, atol=1e-6)


# --- the system in service ------------------------------------------------------------------------


def test_a_plan_of_faults_comes_to_everything_and_is_put_right_in_time() -> None:
    months = months_of(120)
    faults = plan(months, seed=1, every=3)
    assert {fault.kind for fault in faults.values()} == set(Kind) - {Kind.NO_S3}
    for fault in faults.values():
        if fault.kind in LASTING:
            right = fault.month + fault.n_months
            assert right <= months[-1]
            assert right.astype("datetime64[Y]") == fault.month.astype("datetime64[Y]")
    assert faults == plan(months, seed=1, every=3)
    assert faults != plan(months, seed=2, every=3)


def test_a_soak_tells_a_leak_from_what_is_flat() -> None:
    def looked(grows: float) -> list[Looked]:
        return [
            Looked(one, {"ingest": 500 + grows * k}, {"ingest": 20}, {}, {}, ())
            for k, one in enumerate(months_of(120))
        ]

    assert [check.passed for check in check_flatness(looked(0.0))] == [True, True]
    assert [check.passed for check in check_flatness(looked(2.0))] == [False, True]


# What takes long is in a group that begins early: nothing else would be left beside it at the end.
@pytest.mark.xdist_group("backfill")
def test_four_months_with_faults_end_as_without(tmp_path: Path) -> None:
    soaked = soak(tmp_path, 4, seed=21, every=1, s3=False, progress=print)
    assert [f"{check.what}: {check.found}" for check in soaked.checks if not check.passed] == []
    told = [event for one in soaked.looked for event in one.events]
    assert any("killed after" in event for event in told), told
    draw(soaked.looked, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 10_000


@pytest.mark.xdist_group("backfill")
def test_a_dask_worker_that_is_killed_loses_no_hindcast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("TIDENET_", "PREFECT_API"))]:
        monkeypatch.delenv(name)
    [done] = backfill_speed.measure(tmp_path / "home", QUICK, 6, tmp_path, (KILLED,))
    assert (done.n_made, done.n_wanted) == (6, 6)
    # The workers made them, with the settings of their own environment.
    survivor = (tmp_path / "case-0" / "worker-1.log").read_text()
    assert "make-hindcast" in survivor
