"""A corpus of product files: what providers, networks and disks make of a good one.

Each case writes one file and says what must come of it on the whole way into the record, reader and
checks: the truth, a refusal by name, or a refusal by the checks of plausibility.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from services.product_files import NAME, good_dataset, smooth_field, specification

from ingest import errors
from ingest.quality import check_month
from ingest.reader import ProductMonth, read_product_file
from ingest.specification import Limits, ProductSpecification
from storage.grid import Grid
from storage.months import month

NOW = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
SPEC = specification()
GRID = SPEC.target_grid
# For what a rectangular grid shows by its shape alone.
SQUARE: dict[str, object] = {
    "grid": {"name": "square", "south": 25.0, "west": 120.0, "step": 0.5, "n_lat": 16, "n_lon": 16}
}
FINE: dict[str, object] = {
    "grid": {"name": "fine", "south": 28.0, "west": 122.1, "step": 0.01, "n_lat": 40, "n_lon": 60}
}

TRUTH: Literal["truth"] = "truth"
BY_CHECKS: Literal["refused by the checks"] = "refused by the checks"
WRONG: Literal["a wrong month"] = "a wrong month"
Outcome = Literal["truth", "refused by the checks", "a wrong month"] | type[errors.RefusedFileError]
Change = Callable[[xr.Dataset], xr.Dataset]


@dataclass(frozen=True)
class Case:
    """One file of the corpus.

    Parameters
    ----------
    write
        Writes it, given a path and the grid.
    outcome
        What must come of it.
    options
        Changes of the small product's specification.
    """

    write: Callable[[Path, Grid], object]
    outcome: Outcome
    options: dict[str, object] = field(default_factory=dict)

    @property
    def specification(self) -> ProductSpecification:
        """The specification that it is read with."""
        return specification(**self.options)


def outcome_of(path: Path, spec: ProductSpecification, *, atol: float = 6e-4) -> Outcome:
    """Return what comes of a file: read, checked against five earlier years, and compared.

    Parameters
    ----------
    path, spec
        The file, and what it is read with.
    atol
        How far from the truth the file's type may keep a value, mmol m-2 d-1.
    """
    try:
        product_month = read_product_file(path, spec, file_name=NAME, now=NOW)
    except errors.RefusedFileError as refusal:
        assert refusal.remedy
        return type(refusal)
    truth = sea(spec.target_grid)
    same = np.allclose(product_month.fco2, truth, rtol=0, atol=atol, equal_nan=True)
    if same and product_month.month == month("2018-01"):
        return TRUTH if _truth_passes_checks(spec.target_grid, spec.limits) else BY_CHECKS
    return WRONG if _passes_checks(product_month, spec.limits) else BY_CHECKS


def _passes_checks(product_month: ProductMonth, limits: Limits) -> bool:
    truth = sea(product_month.grid)
    report = check_month(product_month, limits, np.isfinite(truth), earlier_years(truth))
    return report.outcome == "accept"


@cache
def _truth_passes_checks(grid: Grid, limits: Limits) -> bool:
    # The same values pass the same checks, whatever file they come from.
    unknown = np.full(grid.shape, np.nan, np.float32)
    truth = ProductMonth(month("2018-01"), grid, sea(grid), unknown, None, "fco2", "mmol m-2 d-1")
    return _passes_checks(truth, limits)


def sea(grid: Grid) -> np.ndarray:
    """Return the truth, (lat, lon): a sea that is another one when it is turned or mirrored."""
    lon, lat = np.meshgrid(grid.lon, grid.lat)
    field = smooth_field(grid) + 0.8 * (29.0 - lat)
    return np.where(lon < 120.5 + 0.4 * (lat - 24.0), np.nan, field).astype(np.float32)


def good(grid: Grid) -> xr.Dataset:
    """Return the content of a good file, undecoded."""
    dataset = good_dataset(grid)
    truth = sea(grid)
    dataset["fco2"].values[0] = np.where(np.isnan(truth), -9999, truth)
    return dataset


def earlier_years(truth: np.ndarray) -> np.ndarray:
    """Return the calendar month of five earlier years, (5, lat, lon), as seas differ by year."""
    rng = np.random.default_rng(0)
    years = rng.normal(0, 0.4, (5, 1, 1)) + rng.normal(0, 0.3, (5, *truth.shape))
    return (truth + years).astype(np.float32)


def stored(change: Change, **options: Any) -> Callable[[Path, Grid], object]:
    """Write the good content, changed."""

    def write(path: Path, grid: Grid) -> None:
        change(good(grid)).to_netcdf(path, **{"engine": "h5netcdf"} | options)

    return write


def attributes(**changed: object) -> Change:
    """Change attributes of the flux; None takes one away."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        kept = {k: v for k, v in (dataset["fco2"].attrs | changed).items() if v is not None}
        dataset["fco2"].attrs = kept
        return dataset

    return change


def values(of: Callable[[np.ndarray], np.ndarray], **changed: object) -> Change:
    """Change the values of the sea, (lat, lon) with NaN on land, and attributes of the flux."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        raw = dataset["fco2"].values[0]
        new = of(np.where(raw == -9999, np.nan, raw))
        dims, attrs = ("time", "lat", "lon"), dataset["fco2"].attrs
        dataset["fco2"] = (dims, np.where(np.isnan(new), -9999, new)[None].astype("f4"), attrs)
        return attributes(**changed)(dataset)

    return change


def integers(dtype: str, scale: float, offset: float, fill: int, **changed: object) -> Change:
    """Pack the values into integers."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        raw = dataset["fco2"].values
        whole = np.where(raw == -9999, fill, np.round((raw - offset) / scale)).astype(dtype)
        attrs = {"units": "mmol m-2 d-1", "_FillValue": whole.dtype.type(fill)}
        packing = {"scale_factor": scale, "add_offset": offset}
        dataset["fco2"] = (("time", "lat", "lon"), whole, attrs | packing)
        return attributes(**changed)(dataset)

    return change


PACKED = ("i2", 0.001, -10.0, -32768)


def coordinate(name: str, of: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Change the numbers of a coordinate."""
    return lambda d: d.assign_coords({name: (name, of(d[name].values), d[name].attrs)})


def time(value: Any, units: object = "days since 2000-01-01", **attrs: object) -> Change:
    """Change the time; None takes its units away."""
    kept = attrs if units is None else {"units": units} | attrs
    return lambda d: d.assign_coords(time=("time", np.atleast_1d(value), kept))


def two_times(dataset: xr.Dataset) -> xr.Dataset:
    """Put the next month behind the first."""
    later = dataset.assign_coords(time=("time", dataset["time"].values + 31))
    both = xr.concat([dataset, later], "time", data_vars="minimal", join="exact")
    both["time"].attrs = dataset["time"].attrs
    return both


def named_the_other_way(dataset: xr.Dataset) -> xr.Dataset:
    """Call the latitude longitude, and the longitude latitude."""
    return dataset.rename(lat="swap").rename(lon="lat").rename(swap="lon")


def shuffled(dataset: xr.Dataset) -> xr.Dataset:
    """Put rows and columns into no order, each with its coordinate."""
    rng = np.random.default_rng(0)
    return dataset.isel(lat=rng.permutation(dataset.lat.size), lon=rng.permutation(14))


def halves_swapped(sea: np.ndarray) -> np.ndarray:
    """Swap the southern half of the open sea with the northern one."""
    half = sea.shape[0] // 2
    return np.concatenate([sea[half:], sea[:half]])


def as_signed(dataset: xr.Dataset) -> xr.Dataset:
    """Keep unsigned integers as NetCDF-3 has to: signed, with a word."""
    flux = dataset["fco2"]
    attrs = flux.attrs | {"_Unsigned": "true", "_FillValue": np.int16(-1)}
    dataset["fco2"] = (flux.dims, flux.values.view("i2"), attrs)
    return dataset


_SECONDS = np.int64(1_514_764_800)
_MIDDLE = 6575 + 15.5

DECODED: dict[str, Case] = {
    "as declared": Case(stored(lambda d: d), TRUTH),
    "descending rows": Case(stored(lambda d: d.isel(lat=slice(None, None, -1))), TRUTH),
    "columns before rows": Case(stored(lambda d: d.transpose("time", "lon", "lat")), TRUTH),
    "time as the last axis": Case(stored(lambda d: d.transpose("lat", "lon", "time")), TRUTH),
    "longitudes a turn off": Case(stored(coordinate("lon", lambda x: x - 360)), TRUTH),
    "rows and columns in no order": Case(stored(shuffled), TRUTH),
    "single precision of 0.01 degree": Case(
        stored(lambda d: d.assign_coords(lat=d.lat.astype("f4"), lon=d.lon.astype("f4"))),
        TRUTH, FINE),
    "packed integers": Case(stored(integers(*PACKED)), TRUTH),
    "packed integers, bytes swapped": Case(stored(integers(">i2", *PACKED[1:])), TRUTH),
    "packed integers without a declared fill": Case(
        stored(integers("i2", 0.001, -10.0, -32767, _FillValue=None)), TRUTH),
    "unsigned integers": Case(stored(integers("u2", 0.001, -20.0, 65535)), TRUTH),
    "unsigned integers called signed": Case(
        stored(integers("u2", 0.001, -20.0, 65535, _Unsigned="false", add_offset=-10.0)),
        BY_CHECKS),
    "signed integers called unsigned": Case(
        stored(lambda d: as_signed(integers("u2", 0.0003, -20.0, 65535)(d))), TRUTH),
    "a valid range in packed numbers": Case(
        stored(integers(*PACKED, valid_range=np.array([-9000, 9000], "i2"))), TRUTH),
    "a valid range in unpacked numbers": Case(
        stored(integers(*PACKED, valid_range=np.array([-50.0, 50.0]))), TRUTH),
    "NaN as fill": Case(
        stored(lambda d: attributes(_FillValue=np.float32(np.nan))(d.where(d != -9999))), TRUTH),
    "fill as NaN": Case(stored(lambda d: d.where(d != -9999)), TRUTH),
    "a list of missing values": Case(
        stored(values(lambda x: np.where(np.isnan(x), -777, x),
            missing_value=np.array([-555, -777, np.nan], "f4"))), TRUTH),
    "fill in double precision": Case(
        stored(values(lambda x: np.where(np.isnan(x), np.float32(0.1), x),
            _FillValue=None, missing_value=0.1)), TRUTH),
    "a fill that is written as text": Case(
        stored(values(lambda x: np.where(np.isnan(x), -777, x), missing_value="-777")), TRUTH),
    "a fill that is a word": Case(
        stored(attributes(missing_value="land")), errors.InvalidEncodingError),
    "what the library writes where nobody wrote": Case(
        stored(values(lambda x: np.where(np.isnan(x), 9.96921e36, x), _FillValue=None)), TRUTH),
    "infinity as fill": Case(
        stored(values(lambda x: np.where(np.isnan(x), np.inf, x), _FillValue=None)), TRUTH),
    "an undeclared fill": Case(
        stored(values(lambda x: np.where(np.isnan(x), -999, x))), BY_CHECKS),
    "a fill that all values have": Case(
        stored(values(lambda x: x * 0 - 10, _FillValue=np.float32(-10))), errors.EmptyMonthError),
    "a valid range that excludes all": Case(
        stored(attributes(valid_range=np.array([0.0, 1.0]))), errors.EmptyMonthError),
    "all zero": Case(stored(values(lambda x: x * 0)), errors.ZeroMonthError),
    "a scale that is text": Case(
        stored(attributes(scale_factor="0.1 of it")), errors.InvalidEncodingError),
    "a scale of zero": Case(stored(attributes(scale_factor=0.0)), errors.InvalidEncodingError),
    "a scale of NaN": Case(stored(attributes(scale_factor=np.nan)), errors.InvalidEncodingError),
    "two scales": Case(
        stored(attributes(scale_factor=np.array([1.0, 2.0]))), errors.InvalidEncodingError),
    "no offset at all": Case(
        stored(attributes(add_offset=np.array([]))), errors.InvalidEncodingError),
    "a wrong scale": Case(stored(integers(*PACKED, scale_factor=0.01)), BY_CHECKS),
    "a wrong offset": Case(stored(integers(*PACKED, add_offset=10.0)), BY_CHECKS),
    "a wrong offset by little": Case(stored(integers(*PACKED, add_offset=-15.0)), BY_CHECKS),
    "another unit than it says": Case(stored(values(lambda x: x * 0.36525)), BY_CHECKS),
    "the sign flipped": Case(stored(values(lambda x: -x)), BY_CHECKS),
    "columns shifted by a cell": Case(stored(values(lambda x: np.roll(x, 1, 1))), BY_CHECKS),
    "halves swapped": Case(stored(values(halves_swapped)), BY_CHECKS),
    "columns mirrored": Case(stored(values(lambda x: x[:, ::-1])), BY_CHECKS),
    "rows mirrored": Case(stored(values(lambda x: x[::-1])), BY_CHECKS),
    "transposed on a square grid": Case(stored(values(lambda x: x.T)), BY_CHECKS, SQUARE),
    "one cell far too low": Case(
        stored(values(lambda x: np.where(x == np.nanmin(x), -5000, x))), BY_CHECKS),
    "noise": Case(
        stored(values(lambda x: x + np.random.default_rng(0).normal(0, 3, x.shape))), BY_CHECKS),
    "nine tenths missing": Case(
        stored(values(lambda x: np.where(np.arange(x.size).reshape(x.shape) % 10, np.nan, x))),
        BY_CHECKS),
}  # fmt: skip


AXES: dict[str, Case] = {
    "latitude named longitude": Case(stored(named_the_other_way), errors.GridMismatchError),
    "latitude named longitude, square": Case(
        stored(named_the_other_way), errors.GridMismatchError, SQUARE),
    "a coordinate with NaN": Case(
        stored(coordinate("lat", lambda x: np.where(x > 30, np.nan, x))), errors.GridMismatchError),
    "a coordinate twice": Case(
        stored(coordinate("lat", lambda x: np.repeat(x[::2], 2))), errors.GridMismatchError),
    "a coordinate stretched": Case(
        stored(coordinate("lon", lambda x: x[0] + (x - x[0]) * 1.01)), errors.GridMismatchError),
    "not uniform": Case(
        stored(coordinate("lat", lambda x: x + 0.1 * np.sin(x))), errors.GridMismatchError),
    "half a cell off": Case(
        stored(coordinate("lon", lambda x: x + 0.25)), errors.GridMismatchError),
    "radians": Case(stored(coordinate("lat", np.deg2rad)), errors.GridMismatchError),
    "coordinates beyond every number": Case(
        stored(coordinate("lon", lambda x: x * 1e300)), errors.GridMismatchError),
    "coordinates that are text": Case(
        stored(coordinate("lat", lambda x: x.astype(str))), errors.InvalidEncodingError),
    "coordinates of two dimensions": Case(
        stored(lambda d: d.drop_vars(("lat", "lon")).assign(
            lat=(("lat", "lon"), np.ones(GRID.shape)), lon=(("lat", "lon"), np.ones(GRID.shape)))),
        errors.InvalidEncodingError),
    "no coordinates": Case(
        stored(lambda d: d.drop_vars(("lat", "lon"))), errors.VariableNotFoundError),
    "a row too few": Case(stored(lambda d: d.isel(lat=slice(1, None))), errors.GridMismatchError),
    "a depth axis": Case(
        stored(lambda d: d.assign(fco2=d["fco2"].expand_dims(depth=3, axis=1))),
        errors.InvalidEncodingError),
    "a depth axis of one": Case(
        stored(lambda d: d.assign(fco2=d["fco2"].expand_dims(depth=1, axis=1))), TRUTH),
    "one row of values": Case(
        stored(lambda d: d.assign(fco2=d["fco2"].isel(lat=0, drop=True))),
        errors.InvalidEncodingError),
}  # fmt: skip

TIMES: dict[str, Case] = {
    "the middle of the month": Case(stored(time(_MIDDLE)), TRUTH),
    "seconds": Case(stored(time(_SECONDS, "seconds since 1970-01-01")), TRUTH),
    "single precision": Case(stored(time(np.float32(_MIDDLE * 24), "hours since 2000-1-1")), TRUTH),
    "before its origin": Case(stored(time(-4383.0, "days since 2030-01-01")), TRUTH),
    "a scaled time": Case(stored(time(np.int32(657_500), scale_factor=0.01)), TRUTH),
    "a calendar without leap days": Case(
        stored(time(6575.0, calendar="noleap")), errors.InvalidTimeError),
    "a calendar of 360 days": Case(
        stored(time(6480.0, calendar="360_day")), errors.InvalidTimeError),
    "the Julian calendar": Case(
        stored(time(6575.0, calendar="julian")), errors.InvalidTimeError),
    "a calendar that is a number": Case(
        stored(time(6575.0, calendar=7)), errors.InvalidTimeError),
    "months since": Case(stored(time(216, "months since 2000-01-01")), errors.InvalidTimeError),
    "no units of time": Case(stored(time(6575.0, None)), errors.InvalidTimeError),
    "units of time that are a number": Case(stored(time(6575.0, 1.0)), errors.InvalidTimeError),
    "fortnights since the flood": Case(
        stored(time(1.0, "fortnights since the flood")), errors.InvalidTimeError),
    "a date that does not exist": Case(
        stored(time(1.0, "days since 2018-02-31")), errors.InvalidTimeError),
    "days since the year 0": Case(
        stored(time(737_060.0, "days since 0000-01-01")), errors.InvalidTimeError),
    "a billion days": Case(stored(time(1e9)), errors.InvalidTimeError),
    "more days than any number": Case(stored(time(1e300)), errors.InvalidTimeError),
    "a time of NaN": Case(stored(time(np.nan)), errors.InvalidTimeError),
    "a missing time": Case(
        stored(time(6575.0, _FillValue=6575.0)), errors.InvalidTimeError, {"time": "variable"}),
    "a time that is text": Case(stored(time("2018-01")), errors.InvalidTimeError),
    "the month before": Case(stored(time(6574.0)), errors.TimeMismatchError),
    "a future month": Case(
        stored(time(40_000.0)), errors.FutureMonthError, {"time": "variable"}),
    "two times": Case(stored(two_times), errors.ManyTimesError),
    "two times, the name decides": Case(
        stored(two_times), errors.InvalidEncodingError, {"time": "name"}),
    "no times": Case(
        stored(lambda d: d.isel(time=slice(0, 0))), errors.ManyTimesError),
    "no times, the name decides": Case(
        stored(lambda d: d.isel(time=slice(0, 0))), errors.InvalidEncodingError,
        {"time": "name"}),
}  # fmt: skip

UNITS = {
    "furlongs per fortnight": errors.UnitsError,
    "mmol m-2 month-1": errors.UnitsError,
    "g m-2 d-1": errors.UnitsError,
    "mmol m2 d": errors.UnitsError,
    "mmol m-2 d-1 mmol m-2 d-1 mmol m-2 d-1": errors.UnitsError,
    "__import__('os').system('true')": errors.UnitsError,
    "9**9**9**9 mmol m-2 d-1": errors.UnitsError,
    "mmol m-99999999999999999999 d-1": errors.UnitsError,
    "K": errors.UnitsError,
    "%": errors.UnitsError,
    "毫摩尔": errors.UnitsError,
    "": errors.MissingUnitsError,
    "   ": errors.MissingUnitsError,
    " " * 5_000 + "/": errors.UnitsError,
    "x" * 9_000: errors.UnitsError,
    "x" * 200_000: errors.InvalidEncodingError,
}
"""Unit strings that nobody should write, and how each is refused."""
