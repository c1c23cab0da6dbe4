"""What commands make of a field from elsewhere: enough of it, and a record for the science."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from services import field_files as files
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.field import InvalidCoarseningError, TooFewCellsError, read_field
from tidenet.errors import NotEnoughMonthsError


def evaluate(home: Path, source: str, *options: str) -> Result:
    chosen = ["--methods", "linear-blend", "--members", "2", "--leads", "2"]
    return CliRunner().invoke(
        app, ["--home", str(home), "evaluate", "--field", source, *chosen, *options]
    )


def numbers_of(result: Result) -> dict[str, Sequence[float]]:
    """Return the skill of each method; every number is there."""
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    return {name: skill["msss"] for name, skill in found["methods"].items()}


def test_a_field_is_a_record_of_its_own_units(tmp_path: Path) -> None:
    read = read_field(Path(files.netcdf(files.dataset(), tmp_path)), train_until=files.UNTIL)
    assert (read.variable, read.units, read.train_until) == ("sst", "degC", files.UNTIL)
    assert np.array_equal(read.record.ocean, files.ocean())
    assert read.record.first_month == files.FIRST
    assert read.record.fco2.dtype == np.float32
    assert read.record.observed is not None


def test_too_few_months_are_refused(tmp_path: Path) -> None:
    path = files.netcdf(files.dataset(files.sea(35)), tmp_path)
    with pytest.raises(NotEnoughMonthsError, match="35"):
        read_field(path)


def test_too_few_cells_are_refused(tmp_path: Path) -> None:
    path = files.netcdf(files.dataset().isel(lat=slice(2, 4), lon=slice(1, 3)), tmp_path)
    with pytest.raises(TooFewCellsError, match="3 of 4 cells"):
        read_field(path)


@pytest.mark.parametrize("coarsen", [0, -2])
def test_blocks_of_no_cells_are_refused(tmp_path: Path, coarsen: int) -> None:
    with pytest.raises(InvalidCoarseningError, match="keep every cell"):
        read_field("field.nc", coarsen=coarsen)


def test_the_science_takes_the_grid_as_its_own(tmp_path: Path) -> None:
    from tidenet.identity import Domain
    from tidenet.references import fit_reference

    lat = np.rad2deg(np.arcsin(np.linspace(0.2, 0.8, len(files.LAT))))
    path = files.netcdf(files.dataset(lat=lat), tmp_path)
    record = read_field(path).record
    domain = Domain(record.grid, record.ocean)
    domain.require(json.loads(json.dumps(domain.describe())))
    forecaster = fit_reference("damped-persistence", record, 3)
    rng = np.random.default_rng(0)
    forecast = forecaster.forecast(record, record.last_month, n_members=3, rng=rng)
    assert forecast.grid == record.grid
    assert np.isfinite(forecast.mean[:, record.ocean]).all()


def test_a_field_without_times_is_evaluated_from_the_month_that_is_given(tmp_path: Path) -> None:
    path = files.netcdf(files.dataset().drop_vars("time"), tmp_path)
    result = evaluate(tmp_path, path)
    assert result.exit_code == 1
    assert "--first-month" in result.stderr
    numbers = tmp_path / "new" / "numbers.json"
    result = evaluate(tmp_path, path, "--first-month", "2001-01", "--json", str(numbers))
    assert result.exit_code == 0, result.output
    assert json.loads(numbers.read_text())["first_init"] == "2004-10"


@pytest.mark.parametrize("kind", ["missing-months", "tiny", "uniform"])
def test_odd_fields_have_sensible_skill(tmp_path: Path, kind: str) -> None:
    walk = np.cumsum(np.random.default_rng(0).standard_normal(96))[:, None, None]
    values = {
        "missing-months": files.sea(96),
        "tiny": files.sea(96) * 1e-9,
        "uniform": walk * np.ones((96, 8, 10)),  # every method errs alike, all over the sea
    }[kind]
    found = files.dataset(values)
    if kind == "missing-months":
        found = found.drop_isel(time=[40, 90])
    path = files.netcdf(found, tmp_path)
    result = evaluate(tmp_path, path, "--train-until", "2006-12", "--json", "-")
    skill = numbers_of(result)
    assert skill["damped-persistence"][0] > 0.2
    assert np.subtract(skill["linear-blend"], skill["damped-persistence"]).min() > -0.2


def test_what_was_assumed_is_said(tmp_path: Path) -> None:
    values = np.where(files.ocean(), files.sea(), -999.0)
    found = files.dataset(values).drop_isel(time=20)
    result = evaluate(tmp_path, files.netcdf(found, tmp_path), "--train-until", "2004-06")
    assert result.exit_code == 0, result.output
    assert "note: -999 taken as missing" in result.output
    assert "2002-09" in result.output


@pytest.mark.parametrize("train_until", ["1999-12", "2005-12", "2031-01"])
def test_training_ends_inside_the_field(tmp_path: Path, train_until: str) -> None:
    path = files.netcdf(files.dataset(), tmp_path)
    result = evaluate(tmp_path, path, "--train-until", train_until)
    assert result.exit_code == 1
    assert "2001-01 to 2005-12" in result.stderr


@pytest.mark.parametrize("source", ["none.nc", "ftp://host/sea.nc", "~/none.zarr", ""])
def test_a_place_without_a_field_is_refused(tmp_path: Path, source: str) -> None:
    result = evaluate(tmp_path, source or str(tmp_path))
    assert result.exit_code == 1
    assert "what to do" in result.stderr.lower()
