"""Looking at a file: every point is found, whatever else is wrong, and nothing raises."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from services.product_files import NAME, good_dataset, smooth_field, specification, write

from ingest.catalogue import list_products, load_files_product
from ingest.errors import RefusedFileError
from ingest.inspection.inspect import Inspection, inspect
from ingest.inspection.points import Point, Verdict
from ingest.reader import read_product_file
from ingest.specification import ProductSpecification
from storage.months import month

NOW = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
SPEC = specification()
GRID = SPEC.target_grid
OCEAN_CELLS = int(np.isfinite(smooth_field(GRID)).sum())

Change = Callable[[xr.Dataset], xr.Dataset]


def look(
    path: Path, spec: ProductSpecification | None = SPEC, name: str | None = None
) -> Inspection:
    return inspect(path, spec, file_name=name or path.name, now=NOW)


def point(inspection: Inspection, what: str) -> Point:
    return next(p for p in inspection.points if p.what == what)


def with_attrs(**attributes: object) -> Change:
    def change(dataset: xr.Dataset) -> xr.Dataset:
        dataset["fco2"].attrs.update(attributes)
        return dataset

    return change


# --- a good file ----------------------------------------------------------------------------------


def test_a_good_file_fits_and_says_what_was_found(tmp_path: Path) -> None:
    seen = look(write(tmp_path / NAME, GRID, lambda d: d.rename(fco2="flux")))
    assert seen.fits
    assert (seen.product, seen.month) == ("small", month("2018-01"))
    assert "name says 2018-01, the time variable 2018-01" in point(seen, "month").found
    variable = point(seen, "fco2: variable")
    assert variable.expected == "one of fco2, flux"
    assert variable.found.startswith("flux (time 1, lat 16, lon 14)")
    assert "rows from the south" in point(seen, "coordinates").found
    assert "-9999" in point(seen, "fco2: missing values").found
    values = point(seen, "fco2: values")
    assert f"{GRID.n_lat * GRID.n_lon - OCEAN_CELLS} of 224 missing" in values.found
    low, high = (float(word) for word in values.found.split(" mmol")[0].split(" to "))
    truth = smooth_field(GRID)
    assert (low, high) == pytest.approx((np.nanmin(truth), np.nanmax(truth)), abs=1e-3)


def test_conversion_and_direction_are_told(tmp_path: Path) -> None:
    spec = specification(positive="down")
    seen = look(write(tmp_path / NAME, GRID, with_attrs(units="mol m-2 yr-1")), spec)
    assert "times 2.73785 gives mmol m-2 d-1" in point(seen, "fco2: units").found
    assert "times -1" in point(seen, "fco2: direction").found


def test_rows_from_the_north_are_told(tmp_path: Path) -> None:
    seen = look(write(tmp_path / NAME, GRID, lambda d: d.isel(lat=slice(None, None, -1))))
    assert seen.fits
    assert "rows from the north: turned" in point(seen, "coordinates").found


def test_flags_and_mask_and_stage_are_told(tmp_path: Path) -> None:
    def flagged(dataset: xr.Dataset) -> xr.Dataset:
        quality = np.zeros((16, 14), "u1")
        quality[:, :10] = 3
        return dataset.assign(
            quality=(("lat", "lon"), quality),
            sea=(("lat", "lon"), np.isfinite(smooth_field(GRID)).astype("i1")),
        )

    spec = specification(
        flags={"variable": "quality", "keep": [0]},
        mask={"variable": "sea"},
        preliminary_pattern="FLUX_{year}{month}_nrt.nc",
    )
    path = write(tmp_path / "FLUX_201801_nrt.nc", GRID, flagged)
    seen = look(path, spec)
    assert seen.fits
    assert point(seen, "fco2: flags").found == "64 of 224 cells kept"
    assert "160 of 224 missing" in point(seen, "fco2: values").found
    assert point(seen, "ocean mask").found == f"{OCEAN_CELLS} of 224 cells are ocean"
    assert "(preliminary)" in point(seen, "name").found


# --- several problems at once ---------------------------------------------------------------------


def test_it_goes_on_after_the_first_problem(tmp_path: Path) -> None:
    def wrong(dataset: xr.Dataset) -> xr.Dataset:
        dataset["fco2"].attrs.update(units="K", long_name="flux, positive into the sea")
        return dataset.assign_coords(lon=dataset["lon"] + 0.25)

    seen = look(write(tmp_path / "renamed.nc", GRID, wrong))
    assert not seen.fits
    assert [p.what for p in seen.problems] == [
        *("name", "coordinates", "fco2: units", "fco2: direction"),
    ]
    assert all(p.remedy for p in seen.problems)
    raw = point(seen, "fco2: values")
    assert raw.verdict is Verdict.NOTE
    assert "in the file's own units" in raw.found


def test_values_outside_the_products_limits_do_not_fit(tmp_path: Path) -> None:
    spec = specification(limits={"minimum": -11, "maximum": 20})
    seen = look(write(tmp_path / NAME, GRID), spec)
    assert [p.what for p in seen.problems] == ["fco2: values"]
    assert point(seen, "fco2: values").expected == "-11 to 20 mmol m-2 d-1"


def test_a_fill_value_that_nobody_declared_is_suspected(tmp_path: Path) -> None:
    def undeclared(dataset: xr.Dataset) -> xr.Dataset:
        raw = dataset["fco2"].values
        dataset["fco2"].values[:] = np.where(raw == -9999, 0, raw)
        return dataset

    seen = look(write(tmp_path / NAME, GRID, undeclared))
    assert "of the values are 0: is that a fill value?" in point(seen, "fco2: values").found


def test_one_missing_quantity_hides_nothing_of_the_other(tmp_path: Path) -> None:
    content = SPEC.model_dump(exclude={"name"}, exclude_defaults=True)
    content["quantities"]["sst"] = {"names": ("sst",)}
    both = ProductSpecification.model_validate({"name": "both", **content})
    seen = look(write(tmp_path / NAME, GRID), both)
    assert [p.what for p in seen.problems] == ["sst: variable"]
    assert "fco2" in seen.problems[0].found  # what there is instead
    assert point(seen, "fco2: values").verdict is Verdict.FITS


def test_a_quality_variable_that_is_not_there_hides_no_values(tmp_path: Path) -> None:
    spec = specification(flags={"variable": "quality", "keep": [0]})
    seen = look(write(tmp_path / NAME, GRID), spec)
    assert [p.what for p in seen.problems] == ["fco2: flags"]
    assert point(seen, "fco2: values").verdict is Verdict.FITS


CHANGES: dict[str, Change] = {
    "no latitude": lambda d: d.drop_vars("lat"),
    "no time": lambda d: d.isel(time=0, drop=True),
    "another grid": lambda d: d.isel(lat=slice(2, None)),
    "text for values": lambda d: d.assign(fco2=(("lat", "lon"), np.full(GRID.shape, "x"))),
    "a scale of zero": with_attrs(scale_factor=0.0),
    "a depth axis": lambda d: d.assign(fco2=d["fco2"].expand_dims(depth=3, axis=1)),
    "all missing": lambda d: d.assign(fco2=d["fco2"] * np.nan),
    "another month": lambda d: good_dataset(GRID, "2018-02"),
    "a month to come": lambda d: good_dataset(GRID, "2099-02"),
    "other direction": with_attrs(long_name="positive into the sea"),
    "no units": lambda d: (d["fco2"].attrs.pop("units"), d)[1],
    "impossible values": with_attrs(units="kmol m-2 d-1"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_the_reader_refuses_does_not_fit(case: str, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, GRID, CHANGES[case])
    with pytest.raises(RefusedFileError):
        read_product_file(path, SPEC, file_name=NAME, now=NOW)
    seen = look(path)
    assert not seen.fits
    assert len(seen.points) > 2


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>", b"\x89HDF\r\n\x1a\n" + bytes(99)])
def test_bytes_that_are_no_file_of_ours_are_one_point(content: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content)
    for spec in (SPEC, None):
        seen = look(tmp_path / NAME, spec)
        assert not seen.fits
        assert [p.what for p in seen.problems] == ["file"]


def test_nothing_of_a_damaged_file_raises(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.nc", GRID).read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 12):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        (tmp_path / NAME).write_bytes(damaged)
        assert look(tmp_path / NAME).points


# --- files of several months ----------------------------------------------------------------------


def test_of_a_years_file_the_last_month_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "fco2_2012.h5"
    with h5py.File(path, "w") as file:
        for number in (1, 2, 5):
            file[f"fco2_processed/2012{number:02d}"] = np.full((20, 20), -5.0) + np.eye(20)
        file["land_mask"] = np.zeros((20, 20), bool)
    seen = look(path, load_files_product("tidenet-hdf5"))
    assert seen.month == month("2012-05")
    assert "3 months, 2012-01 to 2012-05; 2012-05 looked at" in point(seen, "month").found
    assert point(seen, "fco2: variable").found.startswith("fco2_processed/201205 ")
    # The small map is not on the record's grid: that is all that is wrong.
    assert {p.what for p in seen.problems} == {"fco2: values", "ocean mask"}
    assert "20 x 20 cells" in point(seen, "ocean mask").found


# --- real files -----------------------------------------------------------------------------------


def test_every_real_file_fits_its_product(shared_data: Path) -> None:
    now = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    products = [p for p in list_products() if isinstance(p, ProductSpecification)]
    paths = [*(shared_data / "formats").iterdir(), *(shared_data / "tables").glob("noaa*.csv")]
    paths += [*(shared_data / "tables").glob("ersst*"), *(shared_data / "fco2_1deg").glob("*01.nc")]
    for path in paths:
        product = next(p for p in products if p.matches(path.name))
        seen = inspect(path, product, file_name=path.name, now=now)
        assert seen.fits, (path.name, seen.problems)


def test_a_table_without_its_column_does_not_fit(tmp_path: Path) -> None:
    name = "noaa_mbl_xco2_monthly_25N_40N.csv"
    (tmp_path / name).write_text("year,month,xco2_25N,xco2_30N\n2010,1,390,391\n")
    seen = look(tmp_path / name, load_files_product("noaa-mbl-co2"))
    assert [p.what for p in seen.problems] == ["xco2_air: values"]
    assert "xco2_35N" in seen.problems[0].found


def test_without_a_product_the_contents_are_listed(tmp_path: Path) -> None:
    seen = look(write(tmp_path / NAME, GRID), None)
    assert not seen.fits
    assert not seen.problems
    assert "mmol m-2 d-1" in point(seen, "fco2").found
    assert {"lat", "lon", "time"} <= {p.what for p in seen.points}
