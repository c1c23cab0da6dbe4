"""Generated files: every way of writing a good one is read to the truth, faults never to another.

TIDENET_TEST_EXAMPLES sets how many are made; then they are drawn anew each time.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st
from services.bad_files import NOW, earlier_years, sea
from services.product_files import specification

from ingest.errors import RefusedFileError
from ingest.quality import check_month
from ingest.reader import ProductMonth, read_product_file
from ingest.specification import ProductSpecification
from ingest.units import CARBON_G_PER_MOL
from storage.grid import Grid
from storage.months import Month, first_day, month

EXAMPLES = settings(
    max_examples=int(os.environ.get("TIDENET_TEST_EXAMPLES", "60")),
    derandomize="TIDENET_TEST_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# What one mmol m-2 d-1 is in each.
UNITS = {
    "mmol m-2 d-1": 1.0,
    "mmol/m^2/day": 1.0,
    "mol m-2 yr-1": 365.25e-3,
    "umol m-2 s-1": 1e3 / 86_400,
    "g C m-2 d-1": CARBON_G_PER_MOL * 1e-3,
    "mgC m**-2 day**-1": CARBON_G_PER_MOL,
}
TIME_UNITS = {
    "days since 1970-01-01": 86_400.0,
    "days since 2200-01-01": 86_400.0,
    "hours since 1900-01-01 00:00:00": 3_600.0,
    "minutes since 2000-1-1": 60.0,
    "seconds since 1970-01-01T00:00:00Z": 1.0,
}
# How missing cells of each type are written: the value, and the attribute that declares it.
FILLS: dict[str, list[tuple[float, str | None]]] = {
    "f": [
        *((math.nan, None), (math.nan, "_FillValue"), (-9999.0, None), (-9999.0, "_FillValue")),
        *((-777.0, "missing_value"), (1e20, "_FillValue"), (9.969209968386869e36, None)),
    ],
    "i": [(-32768, "_FillValue"), (-32767, None), (32767, "missing_value")],
}


@dataclass(frozen=True)
class Made:
    """A product file as it is going to be written.

    Parameters
    ----------
    content
        Undecoded, as xarray writes it.
    options
        What the specification says of it.
    when
        Its month.
    atol
        How far from the truth its type keeps a value, mmol m-2 d-1.
    to_netcdf
        How it is stored.
    flux, lat, lon, time
        What the variables are called.
    """

    content: xr.Dataset
    options: dict[str, Any]
    when: Month
    atol: float
    to_netcdf: dict[str, Any]
    flux: str
    lat: str
    lon: str
    time: str

    @property
    def name(self) -> str:
        """Its file name."""
        return f"FLUX_{str(self.when).replace('-', '')}.nc"

    @property
    def specification(self) -> ProductSpecification:
        """The product."""
        return specification(**self.options)

    def with_attribute(self, of: str, key: str, value: object) -> "Made":
        """Return it with an attribute changed; None takes it away."""
        content = self.content.copy()
        attrs = {k: v for k, v in content[of].attrs.items() if k != key}
        content[of].attrs = attrs if value is None else attrs | {key: value}
        return replace(self, content=content)

    def with_coordinate(self, of: str, values: np.ndarray) -> "Made":
        """Return it with the numbers of a coordinate changed."""
        attrs = self.content[of].attrs
        return replace(self, content=self.content.assign_coords({of: (of, values, attrs)}))


@st.composite
def grids(draw: st.DrawFn) -> dict[str, object]:
    """Draw a grid with the coast in it, as a product specification has it."""
    step = draw(st.sampled_from([0.25, 0.5, 1.0]))
    return {
        "name": "drawn",
        "south": draw(st.integers(25, 27)),
        "west": draw(st.integers(119, 121)),
        "step": step,
        "n_lat": math.ceil(draw(st.integers(5, 7)) / step),
        "n_lon": math.ceil(draw(st.integers(6, 8)) / step),
    }


@st.composite
def times(draw: st.DrawFn, when: Month, *, netcdf3: bool) -> tuple[np.ndarray, dict[str, str]]:
    """Draw how a month is written as a number."""
    units, seconds = draw(st.sampled_from(list(TIME_UNITS.items())))
    origin = np.datetime64(units.split(" since ")[1].replace("-1-1", "-01-01").rstrip("Z"), "s")
    start = np.datetime64(first_day(when), "s")
    middle = draw(st.booleans())
    moment = start + (np.timedelta64(15 * 24 + 12, "h") if middle else np.timedelta64(0, "h"))
    value = (moment - origin).astype(float) / seconds
    # Single precision is good for the middle of a month only.
    types = ["f8", *(["f4"] if middle else []), *([] if netcdf3 else ["i8"])]
    calendars = [None, "standard", "gregorian", "proleptic_gregorian", "Standard"]
    calendar = draw(st.sampled_from(calendars))
    attrs = {"units": units} | ({"calendar": calendar} if calendar else {})
    return np.array([value], dtype=draw(st.sampled_from(types))), attrs


@st.composite
def files(draw: st.DrawFn) -> Made:
    """Draw a good file: every way of writing that the specification and conventions allow."""
    options: dict[str, Any] = {"grid": draw(grids())}
    grid = Grid(**options["grid"])
    when = month("1990-01") + draw(st.integers(0, 431))
    netcdf3 = draw(st.booleans())

    units, factor = draw(st.sampled_from(list(UNITS.items())))
    attrs: dict[str, object] = {"units": units}
    options["positive"] = draw(st.sampled_from(["up", "down", "stated"]))
    downward = options["positive"] == "down"
    if options["positive"] == "stated":
        downward = draw(st.booleans())
        word = "downward" if downward else "upward"
        attrs["standard_name"] = f"surface_{word}_mole_flux_of_carbon_dioxide"
    values = sea(grid).astype("f8") * factor * (-1 if downward else 1)

    dtype = draw(st.sampled_from(["f4", "f8", "i2"]))
    atol = 1e-4
    fill, declares = draw(st.sampled_from(FILLS[dtype[0]]))
    if dtype == "i2":
        scale = 0.002 * factor
        offset = draw(st.sampled_from([0.0, -20.0 * factor])) * (-1 if downward else 1)
        attrs |= {"scale_factor": scale, "add_offset": offset}
        values = np.round((values - offset) / scale)
        atol = 1.1e-3
    stored = np.where(np.isnan(values), fill, values).astype(dtype)
    if declares is not None:
        attrs[declares] = stored.dtype.type(fill)

    flux, lat, lon = draw(
        st.tuples(
            st.sampled_from(["fco2", "flux"]),
            st.sampled_from(["lat", "latitude", "y"]),
            st.sampled_from(["lon", "longitude", "x"]),
        )
    )
    number, time_attrs = draw(times(when, netcdf3=netcdf3))
    extra = draw(st.lists(st.sampled_from(["depth", "level"]), unique=True))
    dims = ["time", *extra, lat, lon]
    content = xr.Dataset(
        {flux: (dims, stored.reshape([1] * (1 + len(extra)) + [*grid.shape]), attrs)},
        coords={
            "time": ("time", number, time_attrs),
            lat: (lat, grid.lat.astype(draw(st.sampled_from(["f4", "f8"])))),
            lon: (lon, grid.lon - draw(st.sampled_from([0.0, 360.0, -360.0]))),
        },
    )
    if draw(st.booleans()):
        content = content.isel({lat: slice(None, None, -1)})
    if draw(st.booleans()):
        content = content.roll({lon: draw(st.integers(1, 5))}, roll_coords=True)
    content = content.transpose(*draw(st.permutations(dims)))
    storage: dict[str, Any] = {"engine": "scipy" if netcdf3 else "h5netcdf"}
    if not netcdf3 and draw(st.booleans()):
        chunks = tuple(min(n, 5) for n in content[flux].shape)
        packed = {"zlib": True, "shuffle": True, "fletcher32": True, "chunksizes": chunks}
        storage["encoding"] = {flux: packed}
    return Made(content, options, when, atol, storage, flux, lat, lon, "time")


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
# What is wrong by little can be the truth of another month: nobody could tell it apart.
GROSS = st.sampled_from([0.0, -1.0, 1e3, 1e-30, 1e30, -1e9, math.nan, math.inf, -math.inf])
JUNK = st.one_of(TEXTS, GROSS, st.lists(GROSS, min_size=2, max_size=3).map(np.array))
FLUX_KEYS = ("units", "scale_factor", "add_offset", "standard_name", "positive", "_Unsigned")
MISSING_KEYS = ("_FillValue", "missing_value", "valid_min", "valid_max", "valid_range")

Corruption = Callable[[Made, st.DrawFn], Made]


def _junk_in_the_flux(made: Made, draw: st.DrawFn) -> Made:
    key = draw(st.sampled_from(FLUX_KEYS))
    return made.with_attribute(made.flux, key, draw(JUNK))


def _junk_in_the_missing(made: Made, draw: st.DrawFn) -> Made:
    return made.with_attribute(made.flux, draw(st.sampled_from(MISSING_KEYS)), draw(JUNK))


def _no_attribute(made: Made, draw: st.DrawFn) -> Made:
    variable = draw(st.sampled_from([made.flux, made.time]))
    keys = sorted(made.content[variable].attrs)
    return made.with_attribute(variable, draw(st.sampled_from(keys)), None)


def _other_scale(made: Made, draw: st.DrawFn) -> Made:
    right = made.content[made.flux].attrs.get("scale_factor", 1.0)
    wrong = right * draw(st.sampled_from([0.001, 0.1, 10.0, 1000.0, -1.0, -10.0]))
    return made.with_attribute(made.flux, "scale_factor", wrong)


def _other_units(made: Made, draw: st.DrawFn) -> Made:
    right = UNITS[made.content[made.flux].attrs["units"]]
    wrong = [text for text, factor in UNITS.items() if not 0.5 < factor / right < 2]
    return made.with_attribute(made.flux, "units", draw(st.sampled_from(wrong)))


def _junk_in_the_time(made: Made, draw: st.DrawFn) -> Made:
    return made.with_attribute(made.time, draw(st.sampled_from(["units", "calendar"])), draw(JUNK))


def _another_time(made: Made, draw: st.DrawFn) -> Made:
    value = draw(st.one_of(GROSS, st.floats(-1e6, 1e6)))
    return made.with_coordinate(made.time, np.array([value]))


def _coordinate_moved(made: Made, draw: st.DrawFn) -> Made:
    name = draw(st.sampled_from([made.lat, made.lon]))
    values = made.content[name].values.astype("f8")
    changed = draw(
        st.sampled_from(
            [
                values + 0.3 * draw(st.integers(1, 9)),
                values * 1.01,
                values[::-1],
                np.where(np.arange(values.size) == 1, draw(GROSS), values),
                np.where(np.arange(values.size) == 1, values[0], values),
            ]
        )
    )
    return made.with_coordinate(name, changed)


def _values_moved(made: Made, draw: st.DrawFn) -> Made:
    content = made.content.copy(deep=True)
    moved = content[made.flux]
    dim = draw(st.sampled_from([made.lat, made.lon]))
    turned = moved.isel({dim: slice(None, None, -1)})
    rolled = moved.roll({dim: draw(st.sampled_from([-2, -1, 1, 2]))})
    content[made.flux] = (moved.dims, draw(st.sampled_from([turned, rolled])).values, moved.attrs)
    return replace(made, content=content)


CORRUPTIONS: dict[str, Corruption] = {
    "junk in the flux": _junk_in_the_flux,
    "junk about missing values": _junk_in_the_missing,
    "no attribute": _no_attribute,
    "another scale": _other_scale,
    "other units": _other_units,
    "junk in the time": _junk_in_the_time,
    "another time": _another_time,
    "a coordinate moved": _coordinate_moved,
    "values moved": _values_moved,
}


@st.composite
def corrupted_files(draw: st.DrawFn) -> tuple[str, Made]:
    """Draw a file of which one thing is wrong."""
    what = draw(st.sampled_from(sorted(CORRUPTIONS)))
    return what, CORRUPTIONS[what](draw(files()), draw)


def write(made: Made, folder: Path) -> Path:
    path = folder / made.name
    made.content.to_netcdf(path, **made.to_netcdf)
    return path


def read(made: Made, path: Path) -> ProductMonth:
    return read_product_file(path, made.specification, file_name=made.name, now=NOW)


def wrong_cells(found: ProductMonth, made: Made) -> np.ndarray:
    """Return where a month has a value that is not the truth's, boolean (lat, lon)."""
    truth = sea(found.grid)
    close = np.isclose(found.fco2, truth, rtol=1e-5, atol=made.atol)
    return np.isfinite(found.fco2) & ~close


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@EXAMPLES
@given(made=files())
def test_every_way_of_writing_a_good_file_is_read_to_the_truth(made: Made, folder: Path) -> None:
    found = read(made, write(made, folder))
    assert found.month == made.when
    assert not wrong_cells(found, made).any()
    np.testing.assert_array_equal(np.isfinite(found.fco2), np.isfinite(sea(found.grid)))


@EXAMPLES
@given(drawn=corrupted_files())
def test_a_file_with_a_fault_is_the_truth_or_is_refused(
    drawn: tuple[str, Made], folder: Path
) -> None:
    what, made = drawn
    try:
        path = write(made, folder)
    except (ValueError, TypeError):
        # What no library writes is no file.
        reject()
    try:
        found = read(made, path)
    except RefusedFileError as refusal:
        event(f"{what}: {type(refusal).__name__}")
        return
    truth = sea(found.grid)
    right = found.month == made.when and not wrong_cells(found, made).any()
    # What the file calls missing is missing, even where it is not; nothing wrong comes of that.
    if what != "junk about missing values":
        right = right and bool((np.isfinite(found.fco2) == np.isfinite(truth)).all())
    event(f"{what}: {'truth' if right else 'for the checks'}")
    if right:
        return
    limits = made.specification.limits
    report = check_month(found, limits, np.isfinite(truth), earlier_years(truth))
    assert report.outcome != "accept", f"{what}: an accepted month is wrong"
