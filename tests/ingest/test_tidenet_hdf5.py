"""Yearly HDF5 files: the research code reads what is written, and what it wrote comes in."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from services.product_files import smooth_field

from ingest.catalogue import parse_product
from ingest.reader import months_in, read_product_file
from ingest.specification import ProductSpecification
from ingest.tidenet_hdf5 import ExportError, write_tidenet_hdf5
from storage.grid import Grid
from storage.months import Month, month, month_range

NOW = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
# Square, so that a turned map would pass unnoticed but for its values; a mask without symmetry.
GRID = Grid("square", south=25.0, west=120.0, step=0.5, n_lat=16, n_lon=16)
OCEAN = np.isfinite(smooth_field(GRID)) & ((GRID.lat[:, None] < 31) | (GRID.lon < 126))
YEARS = month_range(month("2009-11"), month("2010-12"))
SPECIFICATION = """\
title: Yearly files on a small grid
file_pattern: "*{year}*.h5"
holds: year
grid: {name: square, south: 25.0, west: 120.0, step: 0.5, n_lat: 16, n_lon: 16}
rows: north-first
time: name
quantities:
  fco2:
    names: ["fco2_processed/{year}{month}"]
    units_if_missing: mmol m-2 d-1
    positive: up
    uncertainty: 2.5
mask: {variable: land_mask, marks: land}
"""


def product() -> ProductSpecification:
    parsed = parse_product("small-hdf5", SPECIFICATION)
    assert isinstance(parsed, ProductSpecification)
    return parsed


def flux(value: Month) -> np.ndarray:
    """Return a field (lat, lon) with values on land too, as a complete map may have them."""
    number = float((value - month("2009-01")).astype(int))
    field = np.nan_to_num(smooth_field(GRID, -10 + number / 10), nan=99)
    return np.where(OCEAN, field, 99).astype(np.float32)


def months() -> Iterator[tuple[Month, np.ndarray]]:
    return ((value, flux(value)) for value in YEARS)


def written(folder: Path) -> tuple[Path, ...]:
    return write_tidenet_hdf5(folder, months(), grid=GRID, ocean=OCEAN)


def test_there_is_one_file_a_year_and_nothing_else(tmp_path: Path) -> None:
    paths = written(tmp_path / "made")
    assert [path.name for path in paths] == ["fco2_2009.h5", "fco2_2010.h5"]
    assert sorted((tmp_path / "made").iterdir()) == sorted(paths)


def test_the_research_code_finds_its_months_crops_and_masks(tmp_path: Path) -> None:
    """Step by step what its dataset class does: search, sorted keys, crop from the top, mask."""
    written(tmp_path)
    found = []
    for path in sorted(tmp_path.glob("*.h5")):
        with h5py.File(path, "r") as file:
            if "fco2_processed" in file:
                found += [(path, key) for key in sorted(file["fco2_processed"].keys())]
    found.sort(key=lambda item: item[1])
    assert [key for _, key in found] == [str(value).replace("-", "") for value in YEARS]

    top, left, height, width = 2, 4, 8, 9
    path, key = found[3]
    with h5py.File(path, "r") as file:
        crop = file[f"fco2_processed/{key}"][top : top + height, left : left + width]
        whole = file[f"fco2_processed/{key}"][:]
        land_mask = file["land_mask"][:]
    assert (crop.dtype, crop.shape, land_mask.dtype) == (np.float32, (height, width), bool)
    from_the_north = np.where(OCEAN, flux(month("2010-02")), np.nan)[::-1]
    np.testing.assert_array_equal(crop, from_the_north[2:10, 4:13])
    assert np.isnan(whole[land_mask]).all()
    assert np.isfinite(whole[~land_mask]).all()
    np.testing.assert_array_equal(land_mask, ~OCEAN[::-1])
    np.testing.assert_array_equal(whole, from_the_north)


def test_what_was_written_is_read_back_cell_by_cell(tmp_path: Path) -> None:
    for path in written(tmp_path):
        for value in months_in(path, product(), file_name=path.name, now=NOW):
            got = read_product_file(path, product(), file_name=path.name, now=NOW, wanted=value)
            np.testing.assert_array_equal(got.fco2[OCEAN], flux(value)[OCEAN])
            assert np.isnan(got.fco2[~OCEAN]).all()
            assert got.ocean is not None
            np.testing.assert_array_equal(got.ocean, OCEAN)


def test_a_file_of_the_research_code_itself_comes_in(tmp_path: Path) -> None:
    """It states neither units nor direction, and lies on no coordinates."""
    path = tmp_path / "East_China_Sea_2012.h5"
    with h5py.File(path, "w") as file:
        for key in ("201203", "201201"):
            file[f"fco2_processed/{key}"] = np.where(OCEAN, flux(month("2010-01")), np.nan)[::-1]
        file["land_mask"] = ~OCEAN[::-1]
    held = months_in(path, product(), file_name=path.name, now=NOW)
    assert [str(value) for value in held] == ["2012-01", "2012-03"]
    got = read_product_file(path, product(), file_name=path.name, now=NOW, wanted=held[1])
    np.testing.assert_array_equal(got.fco2[OCEAN], flux(month("2010-01"))[OCEAN])


def test_the_same_months_give_the_same_bytes_and_say_where_they_lie(tmp_path: Path) -> None:
    first, again = written(tmp_path / "a"), written(tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    with h5py.File(first[0], "r") as file:
        assert (file.attrs["rows"], file.attrs["north"], file.attrs["west"]) == (
            "north-first",
            33.0,
            120.0,
        )
        assert file["fco2_processed/200911"].attrs["units"] == "mmol m-2 d-1"


def test_an_interrupted_year_leaves_the_older_file_and_nothing_half_done(tmp_path: Path) -> None:
    before = [path.read_bytes() for path in written(tmp_path)]

    def interrupted() -> Iterator[tuple[Month, np.ndarray]]:
        yield month("2009-12"), flux(month("2009-12"))
        yield month("2010-01"), flux(month("2010-01"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tidenet_hdf5(tmp_path, interrupted(), grid=GRID, ocean=OCEAN)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["fco2_2009.h5", "fco2_2010.h5"]
    assert (tmp_path / "fco2_2010.h5").read_bytes() == before[1]
    with h5py.File(tmp_path / "fco2_2009.h5", "r") as file:
        assert list(file["fco2_processed"]) == ["200912"]


def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("no folder")
    with pytest.raises(ExportError, match="taken"):
        written(tmp_path / "taken")


def test_months_out_of_order_or_of_another_grid_are_refused(tmp_path: Path) -> None:
    later = [(value, flux(value)) for value in (month("2010-02"), month("2010-01"))]
    with pytest.raises(ValueError, match="2010-01 comes after 2010-02"):
        write_tidenet_hdf5(tmp_path, later, grid=GRID, ocean=OCEAN)
    small = [(month("2010-01"), np.zeros((4, 4)))]
    with pytest.raises(ValueError, match="shape"):
        write_tidenet_hdf5(tmp_path, small, grid=GRID, ocean=OCEAN)
    assert not list(tmp_path.iterdir())
