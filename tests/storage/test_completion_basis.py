"""EOF bases beside the record: kept whole, found again, and never in the way of a month."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from services.record_samples import START, TINY, tiny_month, tiny_ocean, tiny_template

from storage.carbon_ecs import CarbonEcs, RecordMismatchError, RecordNotFoundError
from storage.completion_basis import (
    BRANCH,
    DamagedBasisError,
    at_stored_precision,
    list_bases,
    load_basis,
    save_basis,
)
from storage.eof_basis import EofBasis, RankScore
from storage.flux_month import Quality
from storage.icechunk_repository import Repository
from storage.locations import Location, Patience
from storage.record_reader import RecordReader

PATIENCE = Patience(timeout_s=20, attempts=2)


def made_basis(until: int = 2, seed: int = 0, rank: int = 3) -> EofBasis:
    rng = np.random.default_rng(seed)
    n_cells = int(tiny_ocean().sum())
    return EofBasis(
        grid=TINY,
        ocean=tiny_ocean(),
        first_month=START,
        last_month=START + until,
        climatology=rng.normal(-5, 2, (12, n_cells)).astype(np.float32),
        patterns=rng.normal(0, 1, (rank, n_cells)).astype(np.float32),
        variances=np.sort(rng.uniform(0.1, 4, rank))[::-1],
        residual_variance=rng.uniform(0.1, 1, n_cells).astype(np.float32),
        footprint_m2=1.5e8,
        local_gain=(1.2, 0.9, 0.0),
        local_explained=(0.8, 0.4, 0.0),
        calibration=1.07,
        scores=(RankScore(1, 0.9, 4.5), RankScore(3, 0.4, 0.0)),
    )


@pytest.fixture
def record(store_url: str) -> Iterator[CarbonEcs]:
    made = CarbonEcs.create(store_url, tiny_template(), PATIENCE)
    for index in range(3):
        made.commit_month(tiny_month(index))
    yield made


def same(one: EofBasis, other: EofBasis) -> bool:
    for name in (f.name for f in fields(EofBasis) if f.name != "id"):
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, np.ndarray):
            if a.dtype != b.dtype or not np.array_equal(a, b):
                return False
        elif a != b:
            return False
    return True


def test_a_saved_basis_is_found_again_as_it_was(record: CarbonEcs) -> None:
    basis = made_basis()
    basis_id = save_basis(record.url, basis, PATIENCE)
    found = load_basis(record.url, PATIENCE)
    assert found is not None
    assert found.id == basis_id
    assert same(found, at_stored_precision(basis))
    np.testing.assert_allclose(found.patterns, basis.patterns, rtol=2**-12)
    np.testing.assert_allclose(found.residual_variance, basis.residual_variance, rtol=2**-7)


def test_the_record_does_not_move(record: CarbonEcs) -> None:
    before = record.snapshot_id
    save_basis(record.url, made_basis(), PATIENCE)
    now = CarbonEcs.open(record.url, patience=PATIENCE)
    assert now.snapshot_id == before
    assert [entry.id for entry in now.history()] == [entry.id for entry in record.history()]
    assert "pattern" not in dict(now._group.arrays())
    record.commit_month(tiny_month(3))
    assert load_basis(record.url, PATIENCE) is not None


def test_a_basis_begins_without_the_record(record: CarbonEcs) -> None:
    basis_id = save_basis(record.url, made_basis(), PATIENCE)
    repository = Repository.open(Location.parse(record.url), PATIENCE)
    assert len(list(repository.history(basis_id))) == 2
    stored = dict(repository.group(basis_id).arrays())
    assert "fco2" not in stored
    assert stored["pattern"].shape == (3, *TINY.shape)
    assert stored["climatology"].attrs["units"] == "mmol m-2 d-1"
    assert np.isnan(np.asarray(stored["pattern"][0])[~tiny_ocean()]).all()


def test_without_a_basis_there_is_none(record: CarbonEcs) -> None:
    assert load_basis(record.url, PATIENCE) is None
    assert list_bases(record.url, PATIENCE) == []


def test_older_ones_stay_readable(record: CarbonEcs) -> None:
    first, second = made_basis(seed=1, rank=4), made_basis(seed=2, rank=2)
    ids = [save_basis(record.url, basis, PATIENCE) for basis in (first, second)]
    assert ids[0] != ids[1]
    old, new = (load_basis(record.url, PATIENCE, basis_id) for basis_id in (ids[0], None))
    assert old is not None and new is not None
    assert same(old, at_stored_precision(first))
    assert same(new, at_stored_precision(second))
    assert [(entry.id, entry.rank) for entry in list_bases(record.url, PATIENCE)] == [
        (ids[1], 2),
        (ids[0], 4),
    ]


def test_a_month_gets_the_newest_basis_that_did_not_know_it(record: CarbonEcs) -> None:
    early = save_basis(record.url, made_basis(until=1, seed=1), PATIENCE)
    late = save_basis(record.url, made_basis(until=2, seed=2), PATIENCE)

    def chosen(index: int) -> str | None:
        basis = load_basis(record.url, PATIENCE, before=START + index)
        return None if basis is None else basis.id

    assert [chosen(index) for index in (0, 1, 2, 3)] == [None, None, early, late]


def test_the_same_content_is_not_saved_twice(record: CarbonEcs) -> None:
    first = save_basis(record.url, made_basis(), PATIENCE)
    again = save_basis(record.url, made_basis(), PATIENCE)
    rounded_once = save_basis(record.url, at_stored_precision(made_basis()), PATIENCE)
    assert first == again == rounded_once
    assert len(list_bases(record.url, PATIENCE)) == 1


def test_a_basis_of_another_grid_or_mask_is_refused(record: CarbonEcs) -> None:
    mask = tiny_ocean()
    mask[5, 5] = False
    cases = {"mask: 1 cells": {"ocean": mask}, "grid": {"grid": replace(TINY, step=0.25)}}
    for words, change in cases.items():
        with pytest.raises(RecordMismatchError, match=words):
            save_basis(record.url, replace(made_basis(), **change), PATIENCE)  # type: ignore[arg-type]
    assert load_basis(record.url, PATIENCE) is None


def test_an_unknown_id_and_a_missing_record_are_named(record: CarbonEcs, tmp_path: Path) -> None:
    save_basis(record.url, made_basis(), PATIENCE)
    with pytest.raises(RecordNotFoundError, match="no such basis"):
        load_basis(record.url, PATIENCE, "AAAAAAAAAAAAAAAAAAAA")
    with pytest.raises(RecordNotFoundError):
        load_basis(record.url, PATIENCE, record.snapshot_id)
    with pytest.raises(RecordNotFoundError):
        load_basis(tmp_path / "nothing", PATIENCE)


def test_a_changed_basis_is_not_used(record: CarbonEcs) -> None:
    save_basis(record.url, made_basis(), PATIENCE)
    repository = Repository.open(Location.parse(record.url), PATIENCE)
    (saved, *_) = repository.history(repository.tip(BRANCH))
    session, group = repository.session(BRANCH)
    group["variance"][0] = 99.0  # type: ignore[index]
    repository.commit(session, "changed", saved.metadata)
    with pytest.raises(DamagedBasisError):
        load_basis(record.url, PATIENCE)


def test_a_reader_reads_rows_of_the_record(record: CarbonEcs) -> None:
    reader = RecordReader(
        record.url, record.snapshot_id, PATIENCE, record.grid, START + 1, START + 2
    )
    values, observed = reader.read(slice(4, 9))
    whole = record.read(START + 1, START + 2)
    np.testing.assert_array_equal(values, whole["fco2"].values[:, 4:9])
    np.testing.assert_array_equal(observed, whole["quality"].values[:, 4:9] == Quality.OBSERVED)
    np.testing.assert_array_equal(reader.months, [START + 1, START + 2])
