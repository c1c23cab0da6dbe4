"""Generated files: whatever a provider chooses is read to the truth, whatever breaks is refused.

``TIDENET_EXAMPLES`` asks for more examples than the few of every test run.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from services.bad_files import GRID, NOW, earlier_years, sea
from services.product_files import NAME, specification

from ingest.errors import RefusedFileError
from ingest.quality import check_month
from ingest.reader import read_product_file
from ingest.specification import ProductSpecification
from storage.months import month

EXAMPLES = int(os.environ.get("TIDENET_EXAMPLES", "40"))
TRUTH = sea(GRID)
TRUE_MONTH = month("2018-01")
# Factor from mmol m-2 d-1 to the units.
UNITS = {
    "mmol m-2 d-1": 1.0,
    "mol m-2 yr-1": 0.36525,
    "g C m-2 d-1": 0.012011,
    "molC/m2/yr": 0.36525,
    "umol m^-2 s^-1": 1 / 86.4,
    "mg CO2 m-2 h-1": 44.009 / 24,
}
TIMES = {
    "days since 2000-01-01": 6575.0,
    "days since 2000-01-01 00:00:00": 6590.0,
    "hours since 2018-01-01": 12.0,
    "seconds since 1970-01-01 00:00:00": 1514764800.0,
    "minutes since 2018-01-15": 0.0,
}


@dataclass(frozen=True)
class Recipe:
    """What a provider may choose."""

    units: str
    time: str
    down: bool
    north_first: bool
    turns: int
    lon_first: bool
    depth: bool
    stored: str
    fill: float
    declares_fill: bool
    name: str
    compressed: bool
    netcdf3: bool


RECIPES = st.builds(
    Recipe,
    units=st.sampled_from(sorted(UNITS)),
    time=st.sampled_from(sorted(TIMES)),
    down=st.booleans(),
    north_first=st.booleans(),
    turns=st.sampled_from([-1, 0, 1]),
    lon_first=st.booleans(),
    depth=st.booleans(),
    stored=st.sampled_from(["f4", "f8", "i2", "i4"]),
    fill=st.sampled_from([-9999.0, 1e20, -999.0, float("nan")]),
    declares_fill=st.booleans(),
    name=st.sampled_from(["fco2", "flux"]),
    compressed=st.booleans(),
    netcdf3=st.booleans(),
)


def content(recipe: Recipe) -> xr.Dataset:
    """Return the file's content, undecoded."""
    values = TRUTH.astype(np.float64) * UNITS[recipe.units] * (-1 if recipe.down else 1)
    attributes: dict[str, object] = {"units": recipe.units}
    missing = np.isnan(values)
    if recipe.stored.startswith("i"):
        scale = float(np.nanmax(np.abs(values))) / 30_000
        attributes |= {"scale_factor": scale, "add_offset": 0.0, "_FillValue": np.int32(-32_768)}
        raw = np.where(missing, -32_768, np.round(values / scale))
        attributes["_FillValue"] = np.dtype(recipe.stored).type(-32_768)
    else:
        raw = np.where(missing, recipe.fill, values)
        if recipe.declares_fill:
            attributes["_FillValue"] = np.dtype(recipe.stored).type(recipe.fill)
    raw = raw.astype(recipe.stored)[None]
    field = xr.DataArray(raw, dims=("time", "lat", "lon"), attrs=attributes)
    if recipe.depth:
        field = field.expand_dims("depth", axis=1)
    if recipe.lon_first:
        field = field.transpose(..., "lon", "lat")
    dataset = xr.Dataset(
        {recipe.name: field},
        coords={
            "time": ("time", [TIMES[recipe.time]], {"units": recipe.time}),
            "lat": ("lat", GRID.lat, {"units": "degrees_north"}),
            "lon": ("lon", GRID.lon + 360 * recipe.turns, {"units": "degrees_east"}),
        },
    )
    return dataset.isel(lat=slice(None, None, -1)) if recipe.north_first else dataset


def write(dataset: xr.Dataset, recipe: Recipe, path: Path) -> None:
    if recipe.netcdf3:
        dataset.to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")
        return
    filters = {"zlib": True, "fletcher32": True} if recipe.compressed else {}
    dataset.to_netcdf(path, engine="h5netcdf", encoding={recipe.name: filters})


def expected_by(recipe: Recipe) -> ProductSpecification:
    """Return the specification that says what the file does not."""
    fills = [] if recipe.declares_fill or np.isnan(recipe.fill) else [recipe.fill]
    return specification(positive="down" if recipe.down else "up", fill_values=fills)


def verdict(path: Path, spec: ProductSpecification) -> str:
    """Return ``whole``, ``part`` (nothing wrong, but cells are missing), ``refused`` or ``wrong``.

    Raises whatever is no refusal by name.
    """
    try:
        read = read_product_file(path, spec, file_name=NAME, now=NOW)
    except RefusedFileError as refusal:
        assert refusal.found or refusal.expected, "a refusal says what was found"
        assert refusal.remedy
        return "refused"
    ocean = np.isfinite(TRUTH)
    if check_month(read, spec.limits, ocean, earlier_years(TRUTH)).outcome != "accept":
        return "refused"
    seen = np.isfinite(read.fco2)
    right = read.month == TRUE_MONTH and not (seen & ~ocean).any()
    if not right or not np.allclose(read.fco2[seen], TRUTH[seen], rtol=0, atol=2e-3):
        return "wrong"
    return "whole" if (seen == ocean).all() else "part"


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(recipe=RECIPES)
def test_whatever_a_provider_chooses_is_read_to_the_truth(recipe: Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        write(content(recipe), recipe, path)
        assert verdict(path, expected_by(recipe)) == "whole"


# --- what breaks ----------------------------------------------------------------------------------

Damage = Callable[[xr.Dataset, str], xr.Dataset]
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "K", "1", "mmol", "nan", "m-2 mol d", "days", "positive down", "%s", "0"]),
)
NUMBERS = st.one_of(
    st.floats(width=32), st.integers(-(2**31), 2**31 - 1), st.sampled_from([0, 1, -9999, 1e300])
)
# scale_factor and add_offset apart: between a half and twice the right one nobody can tell.
KEYS = ("_FillValue", "missing_value", "valid_min", "valid_max", "valid_range", "units", "positive")


def with_attribute(key: str, value: object) -> Damage:
    def damage(dataset: xr.Dataset, name: str) -> xr.Dataset:
        dataset[name].attrs[key] = value
        return dataset

    return damage


def with_time(key: str, value: object) -> Damage:
    def damage(dataset: xr.Dataset, name: str) -> xr.Dataset:
        dataset["time"].attrs[key] = value
        return dataset

    return damage


def with_coordinate(axis: str, change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    def damage(dataset: xr.Dataset, name: str) -> xr.Dataset:
        moved = change(dataset[axis].values.astype(np.float64).copy())
        return dataset.assign_coords({axis: (axis, moved, dict(dataset[axis].attrs))})

    return damage


def scaled(factor: float) -> Damage:
    def damage(dataset: xr.Dataset, name: str) -> xr.Dataset:
        given_scale = float(dataset[name].attrs.get("scale_factor", 1.0))
        dataset[name].attrs["scale_factor"] = given_scale * factor
        return dataset

    return damage


def one_off(values: np.ndarray) -> np.ndarray:
    values[len(values) // 2] += 0.2
    return values


FACTORS = st.one_of(
    st.floats(0.001, 0.4), st.floats(2.5, 1000), st.floats(-100, -0.01), st.just(0.0)
)
MOVES = st.sampled_from(
    [
        lambda values: values + 0.5,
        lambda values: values[::-1],
        lambda values: values * np.nan,
        lambda values: values * 0,
        one_off,
        np.deg2rad,
    ]
)
DAMAGES = st.one_of(
    st.builds(with_attribute, st.sampled_from(KEYS), st.one_of(WORDS, NUMBERS)),
    st.builds(with_time, st.sampled_from(["units", "calendar"]), WORDS),
    st.builds(with_coordinate, st.sampled_from(["lat", "lon"]), MOVES),
    st.builds(scaled, FACTORS),
)


@settings(max_examples=2 * EXAMPLES, deadline=None, derandomize=True)
@given(recipe=RECIPES, damage=DAMAGES)
def test_a_file_with_one_thing_wrong_is_refused_by_name_or_still_right(
    recipe: Recipe, damage: Damage
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        dataset = damage(content(recipe), recipe.name)
        try:
            write(dataset, recipe, path)
        except (ValueError, TypeError, OverflowError, UnicodeError, RuntimeError):
            return  # no library writes such a file
        assert verdict(path, expected_by(recipe)) != "wrong"


CHECKSUMMED = Recipe(
    units="mmol m-2 d-1",
    time="days since 2000-01-01",
    down=False,
    north_first=False,
    turns=0,
    lon_first=False,
    depth=False,
    stored="f4",
    fill=-9999.0,
    declares_fill=True,
    name="fco2",
    compressed=True,
    netcdf3=False,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file whose values carry checksums: damage in others can be seen by nobody."""
    path = tmp_path_factory.mktemp("whole") / NAME
    write(content(CHECKSUMMED), CHECKSUMMED, path)
    return path.read_bytes()


@settings(max_examples=3 * EXAMPLES, deadline=None, derandomize=True)
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte_never_makes_a_wrong_month(whole: bytes, where: float, flip: int) -> None:
    damaged = bytearray(whole)
    damaged[int(where * len(whole))] ^= flip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        path.write_bytes(damaged)
        assert verdict(path, expected_by(CHECKSUMMED)) != "wrong"


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(left=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_off_anywhere_never_makes_a_wrong_month(whole: bytes, left: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        path.write_bytes(whole[: int(left * len(whole))])
        assert verdict(path, expected_by(CHECKSUMMED)) != "wrong"
