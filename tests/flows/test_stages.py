"""Preliminary, final and revised months, and files that hold several."""

import datetime as dt
from dataclasses import replace
from itertools import count

import h5py
import numpy as np
import pytest
from services.small_loop import GRID, NOW, PRODUCT, YEARLY, World, dataset, flux, ocean
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.forecast import forecast
from flows.operations.status import status
from storage.months import month, month_range

NEW = "2015-07"


@pytest.fixture
def two_stages(filled: World) -> World:
    """The filled world, whose product has preliminary files now."""
    with_stages = PRODUCT + 'preliminary_pattern: "SMALL_{year}{month}_prelim.nc"\n'
    (filled.home / "products" / "small.yaml").write_text(with_stages)
    return filled


@pytest.fixture
def ticking(trained: World) -> World:
    """The trained world, with a clock that goes on."""
    minutes = count()
    return replace(trained, now=lambda: NOW + dt.timedelta(minutes=next(minutes)))


def deliver_preliminary(world: World, of: str, by: float = 0.3) -> None:
    path = world.path(of).with_name(world.path(of).stem + "_prelim.nc")
    dataset(month(of), flux(month(of)) + np.float32(by)).to_netcdf(path, engine="h5netcdf")


def stages(world: World) -> list[tuple[int, str]]:
    return world.rows(
        "SELECT r.revision, f.stage FROM month_revisions r JOIN product_files f "
        f"ON f.id = r.product_file_id WHERE r.month = '{NEW}-01' ORDER BY 1"
    )


def test_a_final_file_replaces_a_preliminary_one_and_status_tells_which_is_held(
    two_stages: World,
) -> None:
    deliver_preliminary(two_stages, NEW)
    assert two_stages.outcomes() == {NEW: "committed"}
    assert status(two_stages.workspace).preliminary == (month(NEW),)
    shown = CliRunner().invoke(app, ["--home", str(two_stages.home), "status"]).output
    assert f"preliminary {NEW}" in " ".join(shown.split())
    two_stages.deliver(NEW)
    assert two_stages.outcomes() == {NEW: "revised"}
    assert stages(two_stages) == [(1, "preliminary"), (2, "final")]
    assert status(two_stages.workspace).preliminary == ()
    assert two_stages.outcomes() == {}


def test_a_preliminary_file_never_replaces_a_final_one(two_stages: World) -> None:
    two_stages.deliver(NEW)
    two_stages.ingest()
    two_stages.path(NEW).unlink()
    deliver_preliminary(two_stages, NEW)
    assert two_stages.outcomes() == {NEW: "kept"}
    assert stages(two_stages) == [(1, "final")]


def test_a_final_file_that_is_refused_leaves_the_preliminary_month(two_stages: World) -> None:
    deliver_preliminary(two_stages, NEW)
    two_stages.ingest()
    two_stages.deliver(NEW, b"<html>soon</html>")
    assert two_stages.outcomes() == {NEW: "quarantined"}
    assert stages(two_stages) == [(1, "preliminary")]


def test_status_lists_the_forecasts_that_used_an_older_revision(ticking: World) -> None:
    ticking.deliver(NEW)
    ticking.ingest()
    first = forecast(ticking.workspace)
    assert status(ticking.workspace).outdated == ()
    ticking.deliver(NEW, dataset(month(NEW), flux(month(NEW)) + np.float32(0.2)))
    ticking.ingest()
    [outdated] = status(ticking.workspace).outdated
    assert (outdated.run_id, outdated.revised_month) == (first.run_id, month(NEW))
    shown = CliRunner().invoke(app, ["--home", str(ticking.home), "status"]).output
    assert f"live from {NEW} ({NEW} changed since)" in " ".join(shown.split())
    again = forecast(ticking.workspace)
    assert again.created
    assert status(ticking.workspace).outdated == ()


def test_a_revised_month_inside_the_history_makes_a_new_forecast(ticking: World) -> None:
    first = forecast(ticking.workspace)
    assert not forecast(ticking.workspace).created
    ticking.deliver("2015-05", dataset(month("2015-05"), flux(month("2015-05")) + np.float32(0.2)))
    assert ticking.outcomes() == {"2015-05": "revised"}
    [outdated] = status(ticking.workspace).outdated
    assert (outdated.run_id, outdated.revised_month) == (first.run_id, month("2015-05"))
    assert forecast(ticking.workspace).created
    assert status(ticking.workspace).outdated == ()


def test_a_revised_month_that_no_forecast_read_makes_none_outdated(ticking: World) -> None:
    forecast(ticking.workspace)
    ticking.deliver("2011-05", dataset(month("2011-05"), flux(month("2011-05")) + np.float32(0.2)))
    assert ticking.outcomes() == {"2011-05": "revised"}
    assert status(ticking.workspace).outdated == ()
    assert not forecast(ticking.workspace).created


def test_the_months_of_a_yearly_file_are_taken_one_by_one(empty: World) -> None:
    (empty.home / "products" / "small.yaml").write_text(YEARLY)
    path = empty.home / "landing" / "fco2_2010.h5"

    def write(last: str) -> None:
        with h5py.File(path, "w") as file:
            file["land_mask"] = ~ocean()[::-1]
            for of in month_range(month("2010-01"), month(last)):
                values = flux(of)[::-1]
                file[f"fco2_processed/{str(of).replace('-', '')}"] = values

    write("2010-02")
    assert empty.outcomes() == {"2010-01": "committed", "2010-02": "committed"}
    assert empty.outcomes() == {}
    write("2010-03")
    assert empty.outcomes() == {"2010-03": "committed"}
    held = empty.workspace.record().read_month(month("2010-02"))
    np.testing.assert_allclose(held.fco2[ocean()], flux(month("2010-02"))[ocean()], rtol=1e-3)
    assert held.grid == GRID
    path.write_bytes(path.read_bytes()[:2000])
    [refused] = empty.ingest()
    assert str(refused.outcome) == "quarantined"
