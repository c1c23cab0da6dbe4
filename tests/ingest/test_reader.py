"""Reading product files: what is right comes in right, what is wrong is refused by name."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from services.product_files import NAME, good_dataset, smooth_field, specification, write

from ingest import errors
from ingest.catalogue import load_product
from ingest.reader import ProductMonth, read_product_file
from ingest.specification import ProductSpecification
from storage.months import month
from storage.regions import region_masks

NOW = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
SPEC = specification()
GRID = SPEC.target_grid
TRUTH = smooth_field(GRID)

Change = Callable[[xr.Dataset], xr.Dataset]


def read(path: Path, spec: ProductSpecification = SPEC, name: str = NAME) -> ProductMonth:
    return read_product_file(path, spec, file_name=name, now=NOW)


def with_attrs(dataset: xr.Dataset, **attributes: object) -> xr.Dataset:
    dataset["fco2"].attrs.update(attributes)
    return dataset


def scaled(dataset: xr.Dataset, factor: float, units: str) -> xr.Dataset:
    raw = dataset["fco2"].values
    dataset["fco2"].values[:] = np.where(raw == -9999, raw, raw * factor)
    return with_attrs(dataset, units=units)


def packed(dataset: xr.Dataset) -> xr.Dataset:
    raw = dataset["fco2"].values
    integers = np.where(raw == -9999, -32768, np.round((raw + 10) / 0.001)).astype(np.int16)
    attributes = {
        "units": "mmol m-2 d-1",
        "_FillValue": np.int16(-32768),
        "scale_factor": 0.001,
        "add_offset": -10.0,
    }
    dataset["fco2"] = (("time", "lat", "lon"), integers, attributes)
    return dataset


def roll_lon(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.assign_coords(lon=("lon", dataset["lon"].values - 360.0))


READS_RIGHT: dict[str, tuple[Change, dict[str, object]]] = {
    "as declared": (lambda d: d, {}),
    "second candidate name": (lambda d: d.rename(fco2="flux"), {}),
    "rows from the north": (lambda d: d.isel(lat=slice(None, None, -1)), {}),
    "axes in another order": (lambda d: d.transpose("time", "lon", "lat"), {}),
    "longitudes a turn off": (roll_lon, {}),
    "single precision coordinates": (
        lambda d: d.assign_coords(lat=d["lat"].astype("f4"), lon=d["lon"].astype("f4")),
        {},
    ),
    "packed integers": (packed, {}),
    "mol per year": (lambda d: scaled(d, 365.25 / 1000, "mol m-2 yr-1"), {}),
    "grams of carbon": (lambda d: scaled(d, 12.011 / 1000, "g C m-2 d-1"), {}),
    "positive down": (lambda d: scaled(d, -1, "mmol m-2 d-1"), {"positive": "down"}),
    "units that only the specification knows": (
        lambda d: without_units(d),
        {"units_if_missing": "mmol m-2 d-1"},
    ),
    "no time axis": (lambda d: d.isel(time=0, drop=True), {"time": "name"}),
    "NaN as missing": (lambda d: d.where(d != -9999), {}),
    "fill without an attribute": (lambda d: (d["fco2"].attrs.pop("_FillValue"), d)[1], {}),
}


@pytest.mark.parametrize("case", READS_RIGHT)
def test_a_file_is_read_to_the_truth(case: str, tmp_path: Path) -> None:
    change, options = READS_RIGHT[case]
    product_month = read(write(tmp_path / NAME, GRID, change), specification(**options))
    assert product_month.month == month("2018-01")
    assert product_month.fco2.dtype == np.float32
    np.testing.assert_allclose(product_month.fco2, TRUTH, atol=6e-4)


def two_times(dataset: xr.Dataset) -> xr.Dataset:
    later = dataset.assign_coords(time=dataset["time"] + 31)
    both = xr.concat([dataset, later], "time", data_vars="minimal", join="exact")
    both["time"].attrs = dataset["time"].attrs
    return both


def all_values(value: float) -> Change:
    def change(dataset: xr.Dataset) -> xr.Dataset:
        dataset["fco2"].values[:] = value
        return dataset

    return change


def without_units(dataset: xr.Dataset) -> xr.Dataset:
    del dataset["fco2"].attrs["units"]
    return dataset


def at_time(when: str) -> Change:
    return lambda dataset: good_dataset(GRID, when)


def unreadable_time(dataset: xr.Dataset) -> xr.Dataset:
    dataset["time"].attrs["units"] = "fortnights since the flood"
    return dataset


REFUSED: dict[str, tuple[Change, type[errors.RefusedFileError], str]] = {
    "wrong variable name": (
        lambda d: d.rename(fco2="chlor_a"), errors.VariableNotFoundError, "chlor_a"),
    "no latitude": (lambda d: d.drop_vars("lat"), errors.VariableNotFoundError, "lat"),
    "another grid": (lambda d: d.isel(lat=slice(2, None)), errors.GridMismatchError, "16 x 14"),
    "coordinates half a cell off": (
        lambda d: d.assign_coords(lon=d["lon"] + 0.25), errors.GridMismatchError, "120.2500"),
    "all missing": (all_values(-9999.0), errors.EmptyMonthError, "no value"),
    "all NaN": (all_values(np.nan), errors.EmptyMonthError, "no value"),
    "all zero": (all_values(0.0), errors.ZeroMonthError, "zeros"),
    "two months": (two_times, errors.ManyTimesError, "2 times"),
    "no time variable": (
        lambda d: d.isel(time=0, drop=True), errors.InvalidTimeError, "no time variable"),
    "time in no units": (unreadable_time, errors.InvalidTimeError, "fortnights"),
    "name and time disagree": (at_time("2018-02"), errors.TimeMismatchError, "2018-02"),
    "units missing": (without_units, errors.MissingUnitsError, "units"),
    "units of something else": (
        lambda d: with_attrs(d, units="K"), errors.UnitsError, "'K'"),
    "grams of nobody knows what": (
        lambda d: with_attrs(d, units="g m-2 d-1"), errors.UnitsError, "C or CO2"),
    "says the other direction": (
        lambda d: with_attrs(d, long_name="flux, positive into the sea"),
        errors.SignError, "positive into"),
    "a scale of zero": (
        lambda d: with_attrs(d, scale_factor=0.0), errors.InvalidEncodingError, "scale_factor"),
    "a scale that is text": (
        lambda d: with_attrs(d, scale_factor="many"), errors.InvalidEncodingError, "many"),
    "text for values": (
        lambda d: d.assign(
            fco2=(("lat", "lon"), np.full(GRID.shape, "x"), {"units": "mmol m-2 d-1"})),
        errors.InvalidEncodingError, "numbers"),
    "a depth axis": (
        lambda d: d.assign(fco2=d["fco2"].expand_dims(depth=3, axis=1)),
        errors.InvalidEncodingError, "depth"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_file_is_refused_by_name_with_what_was_found(case: str, tmp_path: Path) -> None:
    change, kind, found = REFUSED[case]
    with pytest.raises(kind, match=found) as refusal:
        read(write(tmp_path / NAME, GRID, change))
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("content", "looks_like"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html><body>Please log in</body></html>", "a web page"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (b"CDF\x01" + bytes(20), "a NetCDF-3 file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "damaged or cut off"),
        (b"some words", "bytes that begin with"),
    ],
)
def test_bytes_that_are_no_netcdf_are_refused_with_what_they_look_like(
    content: bytes, looks_like: str, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(errors.UnreadableFileError, match=looks_like):
        read(tmp_path / NAME)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(part: float, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.nc", GRID).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(errors.UnreadableFileError, match="cut off"):
        read(tmp_path / NAME)


def test_a_month_that_has_not_begun_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "FLUX_209901.nc", GRID, at_time("2099-01"))
    with pytest.raises(errors.FutureMonthError, match="2099-01"):
        read(path, name="FLUX_209901.nc")


# What h5netcdf leaves behind when it fails half-way through opening a damaged file.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_flipped_bytes_never_give_a_wrong_month_silently(tmp_path: Path) -> None:
    """A flip is refused by name, or hits a byte that nothing reads, or shows in the values.

    What shows in the values cannot be known here; the checks of plausibility are for that.
    """
    whole = write(tmp_path / "whole.nc", GRID).read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        (tmp_path / NAME).write_bytes(damaged)
        try:
            product_month = read(tmp_path / NAME)
        except errors.RefusedFileError:
            continue
        assert product_month.month == month("2018-01")
        assert product_month.fco2.shape == GRID.shape


def test_the_real_files_give_the_seasons_that_are_known_of_them(shared_data: Path) -> None:
    spec = load_product("ecs-fco2-1deg")
    grid = spec.target_grid
    box = (
        (grid.lat[:, None] > 25) & (grid.lat[:, None] < 33)
        & (grid.lon[None] > 118) & (grid.lon[None] < 128)
    )  # fmt: skip
    means = []
    for number in range(1, 13):
        name = f"ECS_FCO2_monthly_1deg_2010{number:02d}.nc"
        month_2010 = read(shared_data / "fco2_1deg" / name, spec, name)
        cells = box & np.isfinite(month_2010.fco2)
        means.append(np.average(month_2010.fco2[cells], weights=grid.cell_area[cells]))
    assert np.mean([means[11], means[0], means[1]]) == pytest.approx(-10, abs=1.5)
    assert np.mean(means[5:8]) == pytest.approx(0, abs=1.5)
    assert np.mean(means) == pytest.approx(-4.9, abs=0.3)
    assert set(region_masks(grid, np.isfinite(month_2010.fco2))) >= {"all", "ecs-shelf"}
