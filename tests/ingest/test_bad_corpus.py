"""Every file of the corpus ends as the truth or as a refusal by name; nothing ends otherwise."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from services.bad_containers import (
    BYTES,
    NETCDF3,
    checksummed,
    damaged,
    damaged_at_random,
    endless,
)
from services.bad_files import (
    AXES,
    BY_CHECKS,
    DECODED,
    GRID,
    NOW,
    SPEC,
    TIMES,
    TRUTH,
    UNITS,
    Case,
    Change,
    attributes,
    outcome_of,
    stored,
    two_times,
)
from services.bad_hdf5 import HDF5
from services.product_files import NAME, specification

from ingest.catalogue import load_files_product
from ingest.container import opened
from ingest.errors import (
    ImpossibleValuesError,
    InvalidEncodingError,
    RefusedFileError,
    UnitsError,
    UnreadableFileError,
)
from ingest.isolated import IsolatedError, lent
from ingest.reader import months_in, read_product_file
from storage.months import month

CASES: dict[str, Case] = {
    **{f"values: {name}": case for name, case in DECODED.items()},
    **{f"axes: {name}": case for name, case in AXES.items()},
    **{f"time: {name}": case for name, case in TIMES.items()},
    **{
        f"units: {units[:40]!r}, {len(units)}": Case(stored(attributes(units=units)), refusal)
        for units, refusal in UNITS.items()
    },
    **{f"bytes: {name}": case for name, case in BYTES.items()},
    **{f"netcdf3: {name}": case for name, case in NETCDF3.items()},
    **{f"hdf5: {name}": case for name, case in HDF5.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_ends_as_the_truth_or_as_the_refusal_that_fits_it(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = tmp_path / NAME
    case.write(path, case.specification.target_grid)
    with as_ordinary_user() if name == "bytes: no permission" else nullcontext():
        assert outcome_of(path, case.specification) == case.outcome


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Give up the rights of the administrator, who may read every file."""
    before = os.geteuid()
    os.seteuid(before or 65_534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_every_kind_of_end_is_in_the_corpus() -> None:
    outcomes = {case.outcome for case in CASES.values()}
    assert {TRUTH, BY_CHECKS} < outcomes
    assert len(outcomes) > 10
    assert len(CASES) > 150


def test_damage_at_random_never_gives_a_wrong_month(tmp_path: Path) -> None:
    """Flipped bytes and lost ends of a file with checksums.

    Checksums cover the values; what describes them has none in files of today, and is read.
    """
    whole = checksummed(tmp_path / "whole.nc", GRID).read_bytes()
    path = tmp_path / NAME
    ends = {}
    # The last ones were seen to lose pieces of the values from the index that finds them.
    for seed in (*range(240), 662, 742, 804, 950, 970, 1032, 1230, 1490):
        path.write_bytes(damaged_at_random(whole, seed))
        ends[seed] = outcome_of(path, SPEC)
    good = {TRUTH, BY_CHECKS}
    refusals = {e for e in ends.values() if isinstance(e, type) and issubclass(e, RefusedFileError)}
    assert {seed: end for seed, end in ends.items() if end not in good | refusals} == {}
    assert UnreadableFileError in refusals
    assert TRUTH in ends.values()


def test_a_file_that_the_library_reads_for_ever_is_given_up(tmp_path: Path) -> None:
    damaged(endless)(tmp_path / NAME, GRID)
    with (
        pytest.raises(UnreadableFileError, match="does not come to an end"),
        opened(tmp_path / NAME, cpu_seconds=1),
    ):
        pass
    assert outcome_of(checksummed(tmp_path / NAME, GRID), SPEC) == TRUTH


def test_a_reading_process_that_was_ended_in_the_meantime_is_replaced(tmp_path: Path) -> None:
    path = checksummed(tmp_path / NAME, GRID)
    with lent() as process:
        pass
    process.end()
    assert outcome_of(path, SPEC) == TRUTH


def test_a_reading_process_that_ends_while_it_reads_refuses_the_file(tmp_path: Path) -> None:
    path = checksummed(tmp_path / NAME, GRID)
    with lent() as process:
        process.open(path, "hdf5", cpu_seconds=10)
        os.kill(process.number, signal.SIGKILL)
        with pytest.raises(IsolatedError, match="ended with status -9") as refusal:
            process.values(0, None)
    assert refusal.value.kind == "damaged"
    assert not process.usable
    assert outcome_of(path, SPEC) == TRUTH


def test_two_files_are_open_at_once(tmp_path: Path) -> None:
    first, second = tmp_path / "first.nc", tmp_path / "second.nc"
    checksummed(first, GRID)
    stored(lambda dataset: dataset.isel(lat=slice(4)))(second, GRID)
    with opened(first) as one, opened(second) as other:
        assert one.variables["lat"].values().size == GRID.n_lat
        assert other.variables["lat"].values().size == 4
        assert np.isfinite(one.variables["fco2"].values()).all()


@pytest.mark.parametrize("case", ["a folder", "a link to nowhere", "a pipe", "gzip"])
def test_what_is_no_text_file_is_refused_as_a_table(case: str, tmp_path: Path) -> None:
    table = load_files_product("noaa-global-co2")
    path = tmp_path / table.file_pattern
    BYTES[case].write(path, GRID)
    with pytest.raises(UnreadableFileError):
        months_in(path, table, file_name=path.name, now=NOW)


def with_error(error: float, units: str) -> Change:
    """Put a standard deviation beside the flux."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        raw = np.full(dataset["fco2"].shape, error, np.float32)
        dataset["error"] = (dataset["fco2"].dims, raw, {"units": units})
        return dataset

    return change


def test_an_uncertainty_in_units_of_its_own_is_converted_from_those(tmp_path: Path) -> None:
    stored(with_error(0.36525, "mol m-2 yr-1"))(tmp_path / NAME, GRID)
    spec = specification(uncertainty_names=["error"])
    read = read_product_file(tmp_path / NAME, spec, file_name=NAME, now=NOW)
    np.testing.assert_allclose(read.uncertainty, 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("error", "units", "refusal"),
    [(-1.0, "mmol m-2 d-1", ImpossibleValuesError), (0.2, "%", UnitsError)],
)
def test_an_uncertainty_that_is_none_is_refused(
    error: float, units: str, refusal: type[RefusedFileError], tmp_path: Path
) -> None:
    stored(with_error(error, units))(tmp_path / NAME, GRID)
    spec = specification(uncertainty_names=["error"])
    with pytest.raises(refusal):
        read_product_file(tmp_path / NAME, spec, file_name=NAME, now=NOW)


def test_one_map_does_not_serve_every_month_of_a_series(tmp_path: Path) -> None:
    def timeless(dataset: xr.Dataset) -> xr.Dataset:
        both = two_times(dataset)
        return both.assign(fco2=both["fco2"].isel(time=0, drop=True))

    spec = specification(holds="series", file_pattern="FLUX.nc")
    stored(two_times)(tmp_path / "FLUX.nc", GRID)
    options: dict[str, Any] = {"file_name": "FLUX.nc", "now": NOW, "wanted": month("2018-02")}
    assert read_product_file(tmp_path / "FLUX.nc", spec, **options).month == month("2018-02")
    stored(timeless)(tmp_path / "FLUX.nc", GRID)
    with pytest.raises(InvalidEncodingError, match="time"):
        read_product_file(tmp_path / "FLUX.nc", spec, **options)


def test_a_climatology_has_twelve_steps_or_one(tmp_path: Path) -> None:
    spec = specification(holds="climatology", file_pattern="FLUX.nc", time="name")
    stored(two_times)(tmp_path / "FLUX.nc", GRID)
    with pytest.raises(InvalidEncodingError, match="not one map"):
        read_product_file(
            tmp_path / "FLUX.nc", spec, file_name="FLUX.nc", now=NOW, wanted=month("2018-02")
        )
