"""Months whose flux is computed from drivers: complete, traceable, and revised with any of them."""

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from services import driver_products

from flows.operations.ingest import IngestedFile, ingest
from flows.operations.workspace import Workspace
from storage.ledger import inputs_of, latest_months
from storage.months import month, month_range
from storage.settings import Settings

YEAR = month_range(month("2010-01"), month("2010-12"))
NOW = dt.datetime(2011, 2, 1, tzinfo=dt.UTC)
# Means of 25-33 N, 118-128 E by season: surveys of the shelf and their spread (Guo et al. 2015).
SURVEYS = {
    "winter": ((12, 1, 2), -10.0, 2.0),
    "spring": ((3, 4, 5), -11.7, 3.6),
    "summer": ((6, 7, 8), -3.5, 4.6),
    "autumn": ((9, 10, 11), -2.3, 3.1),
}


def delivered(folder: Path, drivers: Path, n_months: int) -> Workspace:
    """Return a workspace where the drivers of the year's first months have arrived."""
    driver_products.write_specifications(
        folder / "products", mask_months=12 if n_months == 12 else 2
    )
    (folder / "landing").mkdir()
    for path in drivers.glob("*_2010??.nc"):
        if int(path.stem[-2:]) <= n_months:
            shutil.copyfile(path, folder / "landing" / path.name)
    settings = Settings(
        home=folder, products_folder=folder / "products", product=driver_products.NAME
    )
    return Workspace(settings, now=lambda: NOW)


@pytest.fixture
def workspace(tmp_path: Path, shared_data: Path) -> Workspace:
    return delivered(tmp_path, shared_data / "drivers_2010", n_months=3)


def outcomes(files: list[IngestedFile]) -> list[str]:
    return [str(file.outcome) for file in files]


def rewrite(path: Path, **changes: float) -> None:
    """Deliver a file again with values of one variable shifted."""
    with xr.open_dataset(path, decode_times=False) as dataset:
        changed = dataset.load()
    for name, by in changes.items():
        changed[name] = changed[name] + np.float32(by)
    changed.to_netcdf(path, engine="h5netcdf")


def test_a_real_year_of_drivers_becomes_a_year_of_flux_like_the_surveys(
    tmp_path: Path, shared_data: Path
) -> None:
    workspace = delivered(tmp_path, shared_data / "drivers_2010", n_months=12)
    assert outcomes(ingest(workspace)) == ["committed"] * 12
    record = workspace.record()
    box = np.outer(
        (record.grid.lat > 25) & (record.grid.lat < 33),
        (record.grid.lon > 118) & (record.grid.lon < 128),
    )
    means, expected = {}, {}
    for when in YEAR:
        held = record.read_month(when)
        cells = box & (held.quality == 1)
        number = int(str(when)[-2:])
        means[number] = np.average(held.fco2[cells], weights=record.grid.cell_area[cells])
        name = f"ECS_FCO2_monthly_1deg_2010{number:02d}.nc"
        with xr.open_dataset(shared_data / "fco2_1deg" / name) as dataset:
            derived = dataset["fco2"].values[0]
        both = cells & np.isfinite(derived)
        expected[number] = np.average(derived[both], weights=record.grid.cell_area[both])
        assert np.nanmedian(held.uncertainty[cells]) < 8
    # The same inputs, put through the formula by somebody else.
    np.testing.assert_allclose(list(means.values()), list(expected.values()), atol=0.6)
    for months, surveyed, spread in SURVEYS.values():
        assert abs(np.mean([means[m] for m in months]) - surveyed) < 2 * spread
    assert np.mean(list(means.values())) == pytest.approx(-4.9, abs=0.5)


def test_a_month_names_the_file_of_every_driver(workspace: Workspace) -> None:
    ingest(workspace, months=YEAR[:1])
    [revision] = latest_months(workspace.engine)
    inputs = inputs_of(workspace.engine, revision.product_file_id)
    assert {item.quantity: item.file_name for item in inputs} == {
        "pco2_sea": "pco2_201001.nc",
        "sst": "sst_201001.nc",
        "wind_speed": "wind_201001.nc",
        "wind_speed_squared": "wind_201001.nc",
        "pressure": "msl_201001.nc",
        "sss": "sss_201001.nc",
        "xco2_air": "xco2_201001.nc",
    }


def test_a_revised_driver_revises_the_month_and_no_other(workspace: Workspace) -> None:
    ingest(workspace)
    assert set(outcomes(ingest(workspace))) == {"unchanged"}
    rewrite(Path(workspace.settings.landing_url) / "wind_201002.nc", wind_m2=5.0)
    changed = [file for file in ingest(workspace) if file.outcome != "unchanged"]
    assert [(str(file.month), str(file.outcome)) for file in changed] == [("2010-02", "revised")]


def test_a_month_waits_for_its_last_driver_and_says_for_which(workspace: Workspace) -> None:
    late = Path(workspace.settings.landing_url) / "wind_201003.nc"
    kept = late.read_bytes()
    late.unlink()
    done = ingest(workspace)
    assert outcomes(done) == ["committed"] * 2 + ["waiting"]
    assert "drivers-wind" in done[-1].message
    late.write_bytes(kept)
    assert outcomes(ingest(workspace))[-1] == "committed"


def test_a_damaged_driver_puts_its_month_into_quarantine_and_names_the_file(
    workspace: Workspace,
) -> None:
    damaged = Path(workspace.settings.landing_url) / "sst_201003.nc"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    done = ingest(workspace)
    assert outcomes(done) == ["committed"] * 2 + ["quarantined"]
    assert "sst_201003.nc" in done[-1].message


def test_a_driver_in_wrong_units_is_refused(workspace: Workspace) -> None:
    rewrite(Path(workspace.settings.landing_url) / "sst_201003.nc", sst_clim=-273.15)
    done = ingest(workspace)
    assert outcomes(done)[-1] == "quarantined"
    assert "sst_201003.nc: Values of sst_clim are impossible" in done[-1].message


def test_global_files_as_published_become_the_regional_flux(
    tmp_path: Path, shared_data: Path
) -> None:
    settings = Settings(
        home=tmp_path, landing=str(shared_data / "formats"), product="flux-from-oceanflux"
    )
    workspace = Workspace(settings, now=lambda: NOW)
    assert outcomes(ingest(workspace)) == ["committed"]
    held = workspace.record().read_month(YEAR[0])
    with xr.open_dataset(shared_data / "fco2_1deg" / "ECS_FCO2_monthly_1deg_201001.nc") as dataset:
        derived = dataset["fco2"].values[0]
    both = (held.quality == 1) & np.isfinite(derived)
    assert both.sum() > 1000
    np.testing.assert_allclose(held.fco2[both], derived[both], atol=0.05, rtol=0.01)
