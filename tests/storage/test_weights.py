"""Weights are named after their content, verified when they are loaded, and never pickled."""

from pathlib import Path

import numpy as np
import pytest

from storage.locations import Location, Patience
from storage.publishing import publish
from storage.weights import (
    METADATA,
    WEIGHTS,
    CorruptWeightsError,
    MissingWeightsError,
    StoredModel,
    load_model,
    model_digest,
    save_model,
)

TENSORS = {
    "kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "scale": np.float32(3).reshape(()),
    "steps": np.array([1, 2], dtype=np.int64),
}
DETAILS = {"method": "tidenet", "hidden": 32, "grid": {"name": "tiny"}}


def saved(url: str | Path) -> StoredModel:
    return save_model(url, "tidenet-20171201", TENSORS, DETAILS)


def test_a_model_comes_back_as_it_was_saved(store_url: str) -> None:
    stored = saved(store_url)
    tensors, metadata = load_model(stored.uri, stored.sha256)
    assert metadata == DETAILS
    assert tensors.keys() == TENSORS.keys()
    for name, expected in TENSORS.items():
        assert tensors[name].dtype == expected.dtype
        assert tensors[name].shape == expected.shape
        np.testing.assert_array_equal(tensors[name], expected)


def test_the_version_says_name_and_content(store_url: str) -> None:
    stored = saved(store_url)
    assert stored.version == f"tidenet-20171201-{stored.sha256[:8]}"
    assert stored.uri == f"{store_url}/{stored.version}"


def test_the_same_model_gets_the_same_version_and_another_one_does_not(store_url: str) -> None:
    stored = saved(store_url)
    assert saved(store_url) == stored
    assert save_model(store_url, "tidenet-20171201", TENSORS, {**DETAILS, "seed": 1}) != stored
    louder = {**TENSORS, "scale": np.float32(4).reshape(())}
    assert save_model(store_url, "tidenet-20171201", louder, DETAILS).sha256 != stored.sha256


def test_the_folder_holds_two_files_and_no_pickle(tmp_path: Path) -> None:
    stored = saved(tmp_path / "models")
    names = sorted(path.name for path in Path(stored.uri).iterdir())
    assert names == sorted([METADATA, WEIGHTS])
    assert [path.name for path in (tmp_path / "models").iterdir()] == [stored.version]


@pytest.mark.parametrize("name", [WEIGHTS, METADATA])
def test_a_changed_byte_is_noticed(tmp_path: Path, name: str) -> None:
    stored = saved(tmp_path)
    file = Path(stored.uri) / name
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(CorruptWeightsError, match=stored.sha256):
        load_model(stored.uri, stored.sha256)
    with pytest.raises(CorruptWeightsError):
        saved(tmp_path)


@pytest.mark.parametrize("content", [(b"garbage", b"{}"), (None, b"{ not json")])
def test_files_that_cannot_be_read_are_named_even_if_their_checksum_fits(
    tmp_path: Path, content: tuple[bytes | None, bytes]
) -> None:
    stored = saved(tmp_path)
    weights = content[0] or (Path(stored.uri) / WEIGHTS).read_bytes()
    (Path(stored.uri) / WEIGHTS).write_bytes(weights)
    (Path(stored.uri) / METADATA).write_bytes(content[1])
    with pytest.raises(CorruptWeightsError):
        load_model(stored.uri, model_digest(weights, content[1]))


def test_a_missing_model_is_named(store_url: str) -> None:
    with pytest.raises(MissingWeightsError, match="train again"):
        load_model(f"{store_url}/tidenet-00000000", "0" * 64)


def test_a_model_without_its_last_file_is_missing(store_url: str) -> None:
    place = Location.parse(store_url).joined("half")
    publish(place, Patience(), lambda folder: (folder / "x").write_bytes(b"1") and None, "x")
    with pytest.raises(MissingWeightsError):
        load_model(place.url, "0" * 64)


def test_metadata_that_are_not_json_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_model(tmp_path / "models", "tidenet", TENSORS, {"loss": float("nan")})
    assert not (tmp_path / "models").exists()
