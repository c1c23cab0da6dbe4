"""Refreshing the EOF basis: on this machine or a cluster, and which one a month gets."""

import pickle

import numpy as np
import pytest
from services.small_loop import FIRST, LAST, World

from flows.operations.basis import BasisShelf, refresh_basis
from ingest.completion.fit import TooFewMonthsError
from storage.completion_basis import list_bases, load_basis
from storage.eof_basis import EofBasis
from storage.months import month
from storage.record_errors import MonthNotInRecordError


def stored(world: World) -> EofBasis:
    settings = world.workspace.settings
    basis = load_basis(settings.record_url, world.workspace.patience)
    assert basis is not None
    return basis


def test_a_refresh_saves_a_basis_of_the_whole_record_and_leaves_the_record(filled: World) -> None:
    before = filled.state()
    steps: list[str] = []
    made = refresh_basis(filled.workspace, progress=lambda *step: steps.append(step[2]))
    basis = stored(filled)
    assert (made.id, made.rank) == (basis.id, basis.rank)
    assert (basis.first_month, basis.last_month) == (FIRST, LAST)
    assert made.scores == basis.scores
    assert {score.rank for score in made.scores} >= {1, 2, 3}
    assert filled.state() == before
    assert "patterns" in steps
    assert refresh_basis(filled.workspace).id == made.id


def test_a_month_gets_a_basis_of_earlier_months_only(filled: World) -> None:
    shelf = BasisShelf(filled.workspace)
    assert shelf.basis_for(LAST + 1) is None
    early = refresh_basis(filled.workspace, until=month("2013-12"))
    late = refresh_basis(filled.workspace)
    found = {of: shelf.basis_for(month(of)) for of in ("2013-12", "2014-01", "2015-06", "2015-07")}
    assert found["2013-12"] is None
    ids = {of: basis.id for of, basis in found.items() if basis is not None}
    assert ids == {"2014-01": early.id, "2015-06": early.id, "2015-07": late.id}
    assert shelf.basis_for(month("2015-08")) is found["2015-07"]


def test_a_short_record_and_an_unknown_month_are_named(filled: World) -> None:
    with pytest.raises(TooFewMonthsError, match="24 months"):
        refresh_basis(filled.workspace, until=month("2011-12"))
    with pytest.raises(MonthNotInRecordError):
        refresh_basis(filled.workspace, until=LAST + 1)
    url = filled.workspace.settings.record_url
    assert list_bases(url, filled.workspace.patience) == []


def test_a_cluster_computes_the_same_by_setting_alone(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    refresh_basis(filled.workspace)
    here = stored(filled)
    monkeypatch.delattr("ingest.completion.tasks._local_runner")
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        away = filled.fresh_workspace(dask_scheduler=cluster.scheduler_address)
        refresh_basis(away)
    there = stored(filled)
    for name in ("climatology", "patterns", "variances", "residual_variance"):
        a, b = getattr(here, name), getattr(there, name)
        assert np.abs(a - b).max() <= 1e-6 * np.abs(a).max(), name
    assert there.scores == here.scores


def test_what_travels_to_a_worker_is_small(filled: World) -> None:
    from storage.record_reader import RecordReader

    record = filled.workspace.record()
    reader = RecordReader(
        record.url, record.snapshot_id, filled.workspace.patience, record.grid, FIRST, LAST
    )
    assert len(pickle.dumps(reader)) < 2000
