"""The benchmarks are programs of their own: they start with the code as it is, and score well."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from services.small_sea import small_record

import benchmarks
from benchmarks.oracle import N_LEADS, Skill
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
