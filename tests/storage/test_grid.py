"""Grids and regions."""

import numpy as np
import pytest

from storage.grid import EARTH_RADIUS_M, GRIDS, Grid, UnknownGridError, grid_named
from storage.regions import REGIONS, region_masks


def test_cell_centres_ascend_and_lie_between_their_bounds() -> None:
    for grid in GRIDS.values():
        assert (np.diff(grid.lat) > 0).all()
        assert (np.diff(grid.lon) > 0).all()
        np.testing.assert_allclose(grid.lat, grid.lat_bounds.mean(axis=1), atol=1e-6)
        np.testing.assert_allclose(grid.lon, grid.lon_bounds.mean(axis=1), atol=1e-6)
        assert grid.cell_area.shape == grid.shape


def test_cell_areas_of_the_whole_globe_add_up_to_its_surface() -> None:
    globe = Grid("globe", south=-90, west=-180, step=10, n_lat=18, n_lon=36)
    assert globe.cell_area.sum() == pytest.approx(4 * np.pi * EARTH_RADIUS_M**2, rel=1e-12)


def test_a_coarser_grid_covers_the_same_area() -> None:
    fine = GRIDS["carbon-ecs"]
    coarse = fine.coarsened(10)
    assert coarse.shape == GRIDS["carbon-ecs-10"].shape
    assert coarse.cell_area.sum() == pytest.approx(fine.cell_area.sum(), rel=1e-9)


def test_a_coarser_grid_keeps_rows_that_do_not_fill_a_block() -> None:
    assert Grid("odd", south=0, west=0, step=1, n_lat=5, n_lon=7).coarsened(2).shape == (3, 4)


def test_an_unknown_grid_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(UnknownGridError, match="carbon-ecs-10"):
        grid_named("carbon-ecs-11")


def test_the_shelf_regions_are_distinct_seas_of_plausible_size() -> None:
    grid = GRIDS["carbon-ecs-10"]
    masks = region_masks(grid, np.ones(grid.shape, dtype=bool))
    assert set(masks) == {region.name for region in REGIONS}
    shelf_km2 = grid.cell_area[masks["ecs-shelf"]].sum() / 1e6
    assert 3e5 < shelf_km2 < 8e5
    domains = [m for name, m in masks.items() if name.endswith(("-plume", "-coast", "-shelf"))]
    domains = [m for m in domains if m is not masks["ecs-shelf"]]
    assert len(domains) == 5
    assert max(sum(m.astype(int) for m in domains).ravel()) == 1


def test_a_region_without_ocean_cells_is_left_out() -> None:
    grid = Grid("south", south=5, west=105, step=1, n_lat=5, n_lon=5)
    assert list(region_masks(grid, np.ones(grid.shape, dtype=bool))) == ["all"]
