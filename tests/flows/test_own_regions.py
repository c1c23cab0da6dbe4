"""Regions of the user's own, from the file to the scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from services.small_loop import GRID, World, ocean

from flows.operations.forecast import forecast
from flows.operations.verify import verify
from flows.operations.workspace import Workspace
from storage.months import month
from storage.region_files import InvalidRegionsError
from storage.regions import REGIONS, RegionOutsideGridError

# Columns 6 to 9 and rows 4 to 5 of the small sea; one island cell lies inside.
BAY = [[123, 27], [125, 27], [125, 28], [123, 28], [123, 27]]
FAR = [[lon + 40, lat] for lon, lat in BAY]


def region_file(folder: Path, **rings: list) -> Path:
    """Write a file with a region for each ring."""
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for name, ring in rings.items()
    ]
    path = folder / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def with_regions(world: World, folder: Path, **rings: list) -> Workspace:
    return world.fresh_workspace(regions=region_file(folder, **rings))


def scored_regions(world: World, run_id: str) -> set[str]:
    rows = world.rows(f"SELECT DISTINCT region FROM skill_scores WHERE run_id = '{run_id}'")
    return {region for (region,) in rows}


def test_a_workspace_has_the_built_in_regions_and_those_of_the_file(
    empty: World, tmp_path: Path
) -> None:
    assert empty.workspace.regions == REGIONS
    workspace = with_regions(empty, tmp_path, bay=BAY)
    assert workspace.regions[: len(REGIONS)] == REGIONS
    assert [region.name for region in workspace.regions[len(REGIONS) :]] == ["bay"]
    with pytest.raises(InvalidRegionsError, match="built-in"):
        _ = with_regions(empty, tmp_path, all=BAY).regions


def test_a_forecast_is_averaged_over_the_ocean_cells_of_a_region(
    trained: World, tmp_path: Path
) -> None:
    from storage.gridded import read_run

    run = forecast(with_regions(trained, tmp_path, bay=BAY), init=month("2015-05"))
    [(url,)] = trained.rows(f"SELECT fields_url FROM forecast_runs WHERE id = '{run.run_id}'")
    field = read_run(url)["fco2_mean"].sel(lead=1).values
    wet = np.zeros(GRID.shape, dtype=bool)
    wet[4:6, 6:10] = True
    wet &= ocean()
    assert wet.sum() == 7
    [(mean, area)] = trained.rows(
        "SELECT mean, area_m2 FROM regional_predictions WHERE region = 'bay' AND lead_months = 1"
    )
    assert area == pytest.approx(GRID.cell_area[wet].sum())
    assert mean == pytest.approx(np.average(field[wet], weights=GRID.cell_area[wet]), rel=1e-3)


def test_a_region_off_the_grid_is_refused_and_nothing_is_archived(
    trained: World, tmp_path: Path
) -> None:
    with pytest.raises(RegionOutsideGridError, match="far, longitude 163 to 165"):
        forecast(with_regions(trained, tmp_path, bay=BAY, far=FAR))
    assert trained.count("forecast_runs") == 0
    assert trained.count("regions") == 0


def test_each_run_is_scored_over_the_regions_that_it_was_archived_with(
    trained: World, tmp_path: Path
) -> None:
    before = forecast(trained.workspace, init=month("2015-03"))
    workspace = with_regions(trained, tmp_path, bay=BAY)
    after = forecast(workspace, init=month("2015-04"))
    assert verify(workspace).n_runs == 2
    assert scored_regions(trained, after.run_id) - scored_regions(trained, before.run_id) == {"bay"}
    assert scored_regions(trained, before.run_id) >= {"all", "ecs-shelf"}


def test_a_region_that_left_the_file_is_still_scored(trained: World, tmp_path: Path) -> None:
    run = forecast(with_regions(trained, tmp_path, bay=BAY), init=month("2015-05"))
    verify(trained.workspace)
    assert "bay" in scored_regions(trained, run.run_id)
    [(cells,)] = trained.rows("SELECT n_cells FROM skill_scores WHERE region = 'bay'")
    assert 0 < cells <= 7
