"""Running an archived forecast again, from what it recorded."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from services.small_loop import World, dataset
from services.tampering import allow_changes
from sqlalchemy import text
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.backfill import backfill
from flows.operations.forecast import forecast
from flows.operations.ingest import ingest
from flows.operations.reproduce import reproduce
from storage.archive import UnknownRunError
from storage.gridded import CorruptFieldsError
from storage.months import month
from storage.weights import MissingWeightsError


def tamper(world: World, table: str, statement: str) -> None:
    allow_changes(world.workspace.engine, table)
    with world.workspace.engine.begin() as connection:
        connection.execute(text(statement))


def test_a_run_comes_out_the_same_bit_by_bit(trained: World) -> None:
    run = forecast(trained.workspace, seed=3)
    result = reproduce(trained.workspace, run.run_id)
    assert result.identical
    assert result.within_tolerance
    assert (result.differences, result.environment, result.fields) == ((), (), "same")


def test_it_does_after_the_record_has_gone_on_and_was_revised(trained: World) -> None:
    run = forecast(trained.workspace, init=month("2015-03"))
    hindcast = backfill(trained.workspace, month("2014-06"), month("2014-06"))[0]
    trained.deliver("2015-07")
    other = dataset(month("2015-02"))
    other["fco2"] = other["fco2"] + 0.25
    trained.deliver("2015-02", other)
    outcomes = {str(one.month): one.outcome for one in ingest(trained.workspace)}
    assert (outcomes["2015-07"], outcomes["2015-02"]) == ("committed", "revised")
    for one in (run, hindcast):
        assert reproduce(trained.workspace, one.run_id).identical


def test_another_result_is_told_by_where_and_how_much(trained: World) -> None:
    run = forecast(trained.workspace)
    tamper(
        trained,
        "regional_predictions",
        "UPDATE regional_predictions SET mean = mean - 0.5"
        " WHERE region = 'ecs-shelf' AND lead_months = 2",
    )
    tamper(trained, "cell_predictions", "UPDATE cell_predictions SET spread = spread + 0.00001")
    result = reproduce(trained.workspace, run.run_id)
    assert not result.identical
    assert not result.within_tolerance
    regional, cells = result.differences
    assert regional.what == "regional rows, mean"
    assert (regional.n_different, regional.where) == (1, "lead 2, ecs-shelf")
    assert regional.largest == pytest.approx(0.5)
    assert not regional.within
    assert cells.what == "cell rows, spread"
    assert cells.within, "a hundred-thousandth is no other result"


def test_another_seed_gives_another_ensemble_and_not_another_mean(trained: World) -> None:
    run = forecast(trained.workspace, seed=1)
    tamper(trained, "forecast_runs", "UPDATE forecast_runs SET seed = 2")
    result = reproduce(trained.workspace, run.run_id)
    differing = {one.what for one in result.differences}
    assert {"fields, fco2", "fields, fco2_spread", "regional rows, q05"} <= differing
    assert result.fields == "different"


def test_what_has_changed_in_the_environment_is_listed(trained: World) -> None:
    run = forecast(trained.workspace)
    tamper(
        trained,
        "forecast_runs",
        "UPDATE forecast_runs SET code_version = '0.0.1',"
        " libraries = json_set(libraries, '$.numpy', '1.0', '$.gone', '2')",
    )
    result = reproduce(trained.workspace, run.run_id)
    changed = {name: (then, now) for name, then, now in result.environment}
    assert changed["tidenet"][0] == "0.0.1"
    assert changed["numpy"][0] == "1.0"
    assert changed["gone"] == ("2", "not installed")


def test_lost_and_damaged_files_are_told_apart(trained: World) -> None:
    run = forecast(trained.workspace)
    [(url,)] = trained.rows("SELECT fields_url FROM forecast_runs")
    kept = Path(f"{url}-kept")
    shutil.copytree(url, kept)
    chunk = max((path for path in Path(url).rglob("c/*") if path.is_file()), key=str)
    chunk.write_bytes(b"rot")
    with pytest.raises(CorruptFieldsError):
        reproduce(trained.workspace, run.run_id)
    shutil.rmtree(url)
    result = reproduce(trained.workspace, run.run_id)
    assert (result.fields, result.differences) == ("missing", ())
    with pytest.raises(UnknownRunError):
        reproduce(trained.workspace, "nothing")
    tamper(trained, "model_versions", "UPDATE model_versions SET weights_url = weights_url || 'x'")
    with pytest.raises(MissingWeightsError):
        reproduce(trained.workspace, run.run_id)
    assert xr.open_zarr(kept, consolidated=False).sizes["lead"] == 6


def test_the_command_says_so_and_its_exit_code_too(trained: World) -> None:
    run = forecast(trained.workspace)
    home = ["--home", str(trained.home)]
    same = CliRunner().invoke(app, [*home, "reproduce", run.run_id])
    assert same.exit_code == 0, same.output
    assert same.output.startswith("Identical: run")
    tamper(trained, "regional_predictions", "UPDATE regional_predictions SET mean = mean - 0.5")
    other = CliRunner().invoke(app, [*home, "reproduce", run.run_id])
    assert other.exit_code == 3
    assert "DIFFERENT" in other.output
    assert "regional" in other.output
    as_json = CliRunner().invoke(app, [*home, "reproduce", run.run_id, "--json"])
    assert '"identical": false' in as_json.output
    assert '"what": "regional rows, mean"' in as_json.output
    assert CliRunner().invoke(app, [*home, "reproduce", "nothing"]).exit_code == 1


def test_other_kernels_of_the_processor_give_the_same_to_a_ten_thousandth(trained: World) -> None:
    """As another processor or build would: without vector instructions, with two threads."""
    run = forecast(trained.workspace)
    plain = {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512_SKX",
        "OMP_NUM_THREADS": "2",
        "TIDENET_PRODUCTS_FOLDER": str(trained.home / "products"),
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "flows.cli", "--home", str(trained.home)),
            *("reproduce", run.run_id, "--json"),
        ],
        env=os.environ | plain,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["within_tolerance"]
    largest = [d["largest"] for d in result["differences"] if "rows" in d["what"]]
    assert max(largest, default=0.0) <= 1e-4
