"""Gridded predictions are whole, written once, and known by their checksum."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from storage import gridded, publishing
from storage.gridded import (
    CorruptFieldsError,
    FieldsExistError,
    MissingFieldsError,
    read_run,
    verify_run,
    write_run,
)


def run_fields(seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    values = rng.normal(-5, 2, (2, 3, 12, 10)).astype(np.float32)
    values[..., :2] = np.nan
    attributes = {"units": "mmol m-2 d-1", "positive": "up"}
    return xr.Dataset(
        {"fco2": (("lead", "quantile", "lat", "lon"), values, attributes)},
        {"lead": [1, 2], "quantile": [0.05, 0.5, 0.95], "lat": np.arange(12.0)},
        {"init_month": "2018-01"},
    )


def test_fields_come_back_with_their_attributes(store_url: str) -> None:
    stored = write_run(f"{store_url}/run", run_fields())
    back = read_run(stored.uri)
    np.testing.assert_allclose(back["fco2"].values, run_fields()["fco2"].values, rtol=1.3e-4)
    assert back["fco2"].attrs == run_fields()["fco2"].attrs
    assert back.attrs == {"init_month": "2018-01"}
    assert back["fco2"].encoding["chunks"] == (1, 1, 12, 10)
    verify_run(stored.uri, stored.sha256)


def test_the_checksum_depends_on_the_content_only(tmp_path: Path) -> None:
    first, second, other = (
        write_run(tmp_path / name, run_fields(seed)).sha256
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == second != other


def test_a_run_is_never_overwritten(store_url: str) -> None:
    stored = write_run(f"{store_url}/run", run_fields())
    with pytest.raises(FieldsExistError, match="new run id"):
        write_run(f"{store_url}/run", run_fields(1))
    verify_run(stored.uri, stored.sha256)


def test_a_run_that_was_interrupted_does_not_exist_and_can_be_redone(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCutError(Exception):
        pass

    def cut(*arguments: object, **options: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as interrupted, pytest.raises(PowerCutError):
        # The last step: the rename of a folder, the marker object on S3.
        interrupted.setattr(publishing.os, "rename", cut)
        interrupted.setattr(publishing, "_put_marker", cut)
        write_run(f"{store_url}/run", run_fields(1))
    with pytest.raises(MissingFieldsError):
        read_run(f"{store_url}/run")
    stored = write_run(f"{store_url}/run", run_fields())
    verify_run(stored.uri, stored.sha256)


def test_nothing_is_left_beside_a_run(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "run", run_fields())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run"]


@pytest.mark.parametrize("damage", ["changed", "added", "removed", "renamed"])
def test_damage_is_noticed(tmp_path: Path, damage: str) -> None:
    stored = write_run(tmp_path / "run", run_fields())
    chunk = next(
        path for path in sorted((tmp_path / "run" / "fco2" / "c").rglob("*")) if path.is_file()
    )
    if damage == "changed":
        data = bytearray(chunk.read_bytes())
        data[-1] ^= 1
        chunk.write_bytes(data)
    elif damage == "added":
        (tmp_path / "run" / "extra").write_bytes(b"")
    elif damage == "removed":
        chunk.unlink()
    else:
        chunk.rename(chunk.with_name("77"))
    with pytest.raises(CorruptFieldsError, match=r"Found: SHA-256 .* Expected: SHA-256"):
        verify_run(stored.uri, stored.sha256)


def test_metadata_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    stored = write_run(tmp_path / "run", run_fields())
    (tmp_path / "run" / gridded.MARKER).write_text("{ not json")
    with pytest.raises(CorruptFieldsError):
        read_run(stored.uri)


def test_a_run_that_is_not_there_is_named(store_url: str) -> None:
    with pytest.raises(MissingFieldsError):
        read_run(f"{store_url}/nothing")
    with pytest.raises(MissingFieldsError):
        verify_run(f"{store_url}/nothing", "0" * 64)
