"""Drivers of the record: read from products, renewed month by month, and part of what a run is."""

import datetime as dt
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from services import driver_products
from services.model_samples import changed
from services.small_loop import FIRST, LAST, TINY, World, all_passed, ocean
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.driver_products import DriverNotDeliveredError
from flows.operations.drivers import (
    NoMonthsError,
    add_driver,
    list_drivers,
    needed_drivers,
    renew_drivers,
)
from flows.operations.forecast import MadeForecast, current_champion, make_run
from flows.operations.ingest import ingest
from flows.operations.known import known
from flows.operations.models import load_model
from flows.operations.train import train
from flows.operations.workspace import Workspace, flux_record
from storage.carbon_ecs import MissingDriverError, RecordMismatchError
from storage.grid import Grid
from storage.months import Month, month, month_range
from storage.settings import Settings
from tidenet.belonging import part_digests

COARSE = Grid("coarse-sst", south=24, west=119, step=1.0, n_lat=10, n_lon=9)
SST = """\
title: Temperature for tests
file_pattern: SST_{year}{month}.nc
grid: {name: coarse-sst, south: 24, west: 119, step: 1.0, n_lat: 10, n_lon: 9}
quantities:
  sst: {names: [sst], uncertainty: 0.3}
"""
INDEX = """\
title: A climate index for tests
file_pattern: index.txt
holds: series
grid: global-1deg
time: variable
table:
  quantity: climate_index
  units: "1"
  year: 0
  month: 1
  delimiter: null
  header: false
  bands: [{column: 2}]
"""


def deliver_sst(world: World, of: Month, shift: float = 0.0, kelvin: bool = True) -> Path:
    lat, lon = np.meshgrid(COARSE.lat, COARSE.lon, indexing="ij")
    number = int(of.astype(int))
    values = 20 + 5 * np.cos(number / 2) + 0.1 * lat + 0.05 * lon + shift
    values[0, 0] = np.nan
    days = int((of.astype("datetime64[D]") - np.datetime64("2000-01-01")).astype(int))
    dataset = xr.Dataset(
        {
            "sst": (
                ("time", "lat", "lon"),
                (values + 273.15 * kelvin)[None],
                {"units": "kelvin" if kelvin else "degC"},
            )
        },
        coords={
            "time": ("time", [days], {"units": "days since 2000-01-01"}),
            "lat": ("lat", COARSE.lat, {"units": "degrees_north"}),
            "lon": ("lon", COARSE.lon, {"units": "degrees_east"}),
        },
    )
    path = world.home / "landing" / f"SST_{str(of).replace('-', '')}.nc"
    dataset.to_netcdf(path, engine="h5netcdf")
    return path


def deliver_index(world: World, last: Month, **changes: float) -> None:
    rows = []
    for of in month_range(month("2000-01"), last):
        year, number = str(of).split("-")
        value = changes.get(f"m{year}{number}", np.sin(int(of.astype(int)) / 5))
        rows.append(f" {year} {int(number):3d} {value:8.3f}")
    (world.home / "landing" / "index.txt").write_text("\n".join(rows) + "\n")


def with_products(world: World) -> World:
    (world.home / "products" / "test-sst.yaml").write_text(SST)
    (world.home / "products" / "test-index.yaml").write_text(INDEX)
    return world


@pytest.fixture(autouse=True)
def _months_are_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    # Asking Great Expectations takes a quarter of a second a month.
    monkeypatch.setattr("ingest.quality._validate", all_passed)


@pytest.fixture
def started(empty: World) -> World:
    """Four months of flux and temperature; the index goes back further."""
    world = with_products(empty)
    world.deliver_span(FIRST, FIRST + 3)
    world.ingest()
    for of in month_range(FIRST, FIRST + 3):
        deliver_sst(world, of)
    deliver_index(world, FIRST + 5)
    return world


def test_a_field_and_an_index_enter_the_record_in_its_units_and_on_its_grid(
    started: World,
) -> None:
    workspace = started.workspace
    done = add_driver(workspace, "sst", ["test-sst"])
    assert done.added == month_range(FIRST, FIRST + 3)
    assert add_driver(workspace, "enso", ["test-index"]).added == month_range(FIRST, FIRST + 5)
    record = workspace.record()
    sst = record.drivers.read("sst", FIRST, FIRST)[0]
    assert np.isnan(sst[~ocean()]).all()
    assert np.nanmean(sst) == pytest.approx(20 + 5 * np.cos(int(FIRST.astype(int)) / 2) + 9, abs=1)
    said = {known.declaration.name: known for known in list_drivers(workspace)}
    assert said["sst"].declaration.units == "degC"
    assert said["enso"].declaration.kind == "index"
    assert said["enso"].last_month == FIRST + 5
    read = flux_record(record, FIRST + 1, FIRST + 3, drivers=["sst", "enso"])
    assert read.drivers["sst"].shape == read.fco2.shape
    np.testing.assert_allclose(
        read.drivers["enso"], np.sin((FIRST.astype(int) + np.arange(1, 4)) / 5), atol=1e-3
    )


def test_again_nothing_changes_and_a_revised_and_a_new_file_are_taken(started: World) -> None:
    workspace = started.workspace
    add_driver(workspace, "sst", ["test-sst"])
    add_driver(workspace, "enso", ["test-index"])
    before = workspace.record().snapshot_id
    done = renew_drivers(workspace)
    assert [(d.added, d.revised, d.problems) for d in done] == [([], [], [])] * 2
    assert workspace.record().snapshot_id == before
    deliver_sst(started, FIRST + 1, shift=1.0)
    deliver_sst(started, FIRST + 4)
    by_name = {d.name: d for d in renew_drivers(workspace)}
    assert by_name["sst"].revised == [FIRST + 1]
    assert by_name["sst"].added == [FIRST + 4]
    assert by_name["enso"].unchanged == 6


def test_the_file_in_other_units_is_the_same_month(started: World) -> None:
    workspace = started.workspace
    add_driver(workspace, "sst", ["test-sst"])
    deliver_sst(started, FIRST, kelvin=False)
    assert renew_drivers(workspace)[0].revised == []


def test_a_missing_month_ends_a_driver_until_it_arrives(started: World) -> None:
    late = started.home / "landing" / f"SST_{str(FIRST + 1).replace('-', '')}.nc"
    kept = late.read_bytes()
    late.unlink()
    done = add_driver(started.workspace, "sst", ["test-sst"])
    assert done.added == [FIRST]
    assert [of for of, _ in done.problems] == [FIRST + 1]
    late.write_bytes(kept)
    assert len(renew_drivers(started.workspace)[0].added) == 3


def test_a_month_that_never_comes_is_kept_empty_where_asked(started: World) -> None:
    gone = started.home / "landing" / f"SST_{str(FIRST + 1).replace('-', '')}.nc"
    kept = gone.read_bytes()
    gone.unlink()
    done = add_driver(started.workspace, "sst", ["test-sst"], gaps_allowed=True)
    assert len(done.added) == 4
    assert done.empty == [FIRST + 1]
    values = started.workspace.record().drivers.read("sst", FIRST, FIRST + 3)
    assert [bool(np.isfinite(v).any()) for v in values] == [True, False, True, True]
    gone.write_bytes(kept)
    assert renew_drivers(started.workspace)[0].revised == [FIRST + 1]


def test_what_was_read_stays_when_its_file_is_gone_or_damaged(started: World) -> None:
    workspace = started.workspace
    add_driver(workspace, "sst", ["test-sst"], gaps_allowed=True)
    before = workspace.record().drivers.read("sst", FIRST, FIRST + 3)
    landing = started.home / "landing"
    (landing / f"SST_{str(FIRST).replace('-', '')}.nc").unlink()
    damaged = landing / f"SST_{str(FIRST + 2).replace('-', '')}.nc"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    [done] = renew_drivers(workspace)
    assert (done.added, done.revised, done.empty) == ([], [], [])
    [(of, why)] = done.problems
    assert of == FIRST + 2
    assert damaged.name in why
    np.testing.assert_array_equal(workspace.record().drivers.read("sst", FIRST, FIRST + 3), before)


def test_a_driver_keeps_its_product(started: World) -> None:
    (started.home / "products" / "other-sst.yaml").write_text(SST.replace("Temp", "Other temp"))
    add_driver(started.workspace, "sst", ["test-sst"])
    with pytest.raises(RecordMismatchError, match="other-sst"):
        add_driver(started.workspace, "sst", ["other-sst"])
    assert add_driver(started.workspace, "sst-2", ["other-sst"]).added


def test_what_a_product_does_not_deliver_is_refused_with_what_it_does(started: World) -> None:
    with pytest.raises(DriverNotDeliveredError, match=r"Found: sst.*chlorophyll"):
        add_driver(started.workspace, "chl", ["test-sst"], quantity="chlorophyll")
    with pytest.raises(DriverNotDeliveredError, match="wind_speed_squared or wind_speed"):
        add_driver(started.workspace, "transfer", ["test-sst"])


def test_a_driver_needs_flux_to_begin_with(empty: World) -> None:
    world = with_products(empty)
    assert renew_drivers(world.workspace) == []
    world.deliver(FIRST)
    world.ingest()
    with pytest.raises(NoMonthsError, match="test-sst"):
        add_driver(world.workspace, "sst", ["test-sst"])


def test_the_command_line_adds_lists_and_says_what_is_missing(
    started: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Settings are read from the environment there.
    monkeypatch.setenv("TIDENET_PRODUCTS_FOLDER", str(started.home / "products"))

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["--home", str(started.home), "drivers", *words])
        return result.exit_code, result.output

    assert "no driver" in run("list")[1]
    code, text = run("add", "sst", "--product", "test-sst")
    assert code == 0
    assert "4 months added (2010-01 to 2010-04)" in text
    assert "degC" in run("list")[1]
    deliver_sst(started, FIRST + 5)
    code, text = run("update")
    assert code == 3
    assert "2010-05" in text
    code, text = run("add", "chl", "--product", "test-sst", "--quantity", "chlorophyll")
    assert code == 1


def test_drivers_that_a_model_reads() -> None:
    assert needed_drivers({}) == ()
    assert needed_drivers({"drivers": ["sst"], "target": "flux"}) == ("sst",)
    assert needed_drivers({"drivers": ["sst"], "target": "disequilibrium"}) == ("sst", "transfer")
    assert needed_drivers({"drivers": ("transfer",), "target": "disequilibrium"}) == ("transfer",)


def test_a_run_is_the_same_only_while_the_months_of_its_drivers_are(trained: World) -> None:
    world = with_products(trained)
    workspace = world.workspace
    store = workspace.record()
    champion = current_champion(known(workspace))
    reading = replace(champion, config={**champion.config, "drivers": ["enso"]})
    forecaster = load_model(workspace, champion, store.grid, store.ocean)

    def forecast(init: Month) -> MadeForecast:
        return make_run(
            known(workspace),
            reading,
            init,
            kind="backfill",
            seed=0,
            forecaster=forecaster,
        )

    with pytest.raises(MissingDriverError, match="drivers add enso"):
        forecast(LAST - 1)
    deliver_index(world, LAST - 2)
    add_driver(workspace, "enso", ["test-index"])
    with pytest.raises(MissingDriverError, match=str(LAST - 1)):
        forecast(LAST - 1)
    deliver_index(world, LAST)
    renew_drivers(workspace)
    assert forecast(LAST - 1).created
    assert not forecast(LAST - 1).created
    deliver_index(world, LAST, m201001=9.0, m201506=9.0)  # neither is read
    assert renew_drivers(workspace)[0].revised == [FIRST, LAST]
    assert not forecast(LAST - 1).created
    deliver_index(world, LAST, m201505=9.0)
    renew_drivers(workspace)
    assert forecast(LAST - 1).created


def test_a_year_of_real_drivers_gives_a_transfer_like_the_bulk_formulas(
    tmp_path: Path, shared_data: Path
) -> None:
    driver_products.write_specifications(tmp_path / "products", mask_months=2)
    (tmp_path / "landing").mkdir()
    for number in (1, 2, 3):
        for path in (shared_data / "drivers_2010").glob(f"*_2010{number:02d}.nc"):
            shutil.copyfile(path, tmp_path / "landing" / path.name)
    settings = Settings(
        home=tmp_path, products_folder=tmp_path / "products", product=driver_products.NAME
    )
    workspace = Workspace(settings, now=lambda: dt.datetime(2011, 2, 1, tzinfo=dt.UTC))
    ingest(workspace)
    products = ["drivers-wind", "drivers-sst", "drivers-sss"]
    assert len(add_driver(workspace, "transfer", [driver_products.NAME]).added) == 3
    assert len(add_driver(workspace, "transfer-2", products, quantity="transfer").added) == 3
    add_driver(workspace, "sst", [driver_products.NAME])
    record = flux_record(workspace.record(), None, None, drivers=["transfer", "transfer-2", "sst"])
    transfer = record.drivers["transfer"]
    np.testing.assert_array_equal(transfer, record.drivers["transfer-2"])
    assert 0.02 < np.nanmedian(transfer) < 0.4
    pressure = (record.fco2 / transfer)[np.isfinite(transfer) & record.ocean]
    assert np.percentile(np.abs(pressure), 99) < 250  # uatm, as surveys find
    assert np.isfinite(transfer[:, record.ocean]).mean() > 0.9


def test_an_evaluation_reads_the_drivers_of_a_saved_model(trained: World, tmp_path: Path) -> None:
    world = with_products(trained)
    deliver_index(world, LAST)
    add_driver(world.workspace, "enso", ["test-index"])
    reading = TINY.model_copy(update={"drivers": ("enso",), "n_epochs": 0})
    version = train(world.workspace, until=month("2013-12"), config=reading).version

    def follow(tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
        tensors["follow"] = np.ones_like(tensors["follow"])  # else the drivers are not looked at
        metadata["parts"] = part_digests(tensors)

    saved = shutil.copytree(world.home / "models" / version, tmp_path / "followed")
    numbers = tmp_path / "numbers.json"
    result = CliRunner().invoke(
        app,
        [
            *("--home", str(world.home), "evaluate", "--methods", "trend", "--members", "4"),
            *("--train-until", "2013-12", "--weights", str(changed(saved, follow))),
            *("--json", str(numbers)),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "followed" in json.loads(numbers.read_text())["methods"]


def test_a_driver_that_came_after_the_cut_off_is_invisible_in_a_replay(trained: World) -> None:
    world = with_products(trained)
    workspace = world.workspace
    deliver_index(world, LAST)
    cut_off = dt.datetime.now(dt.UTC)
    add_driver(workspace, "enso", ["test-index"])
    champion = current_champion(known(workspace))
    reading = replace(champion, config={**champion.config, "drivers": ["enso"]})
    store = known(workspace).store
    forecaster = load_model(workspace, champion, store.grid, store.ocean)

    def made(as_of: dt.datetime | None) -> MadeForecast:
        then = known(workspace, as_of)
        return make_run(then, reading, LAST, kind="backfill", seed=0, forecaster=forecaster)

    with pytest.raises(MissingDriverError, match="enso"):
        made(cut_off)
    assert made(None).created
