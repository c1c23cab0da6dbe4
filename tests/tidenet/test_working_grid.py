import numpy as np

from tidenet.working_grid import WorkingGrid


def test_block_means_are_weighted_by_ocean_area():
    weight = np.array([[1.0, 3.0], [0.0, 0.0]])
    fields = np.array([[2.0, 6.0], [1e6, np.nan]])
    grid = WorkingGrid(weight, 2)
    assert grid.shape == (8, 8)
    assert grid.coarsen(fields)[0, 0] == 5.0  # (1*2 + 3*6) / 4
    assert grid.coarsen(fields).sum() == 5.0  # padding is 0
    assert grid.mask.sum() == 1


def test_a_constant_comes_back_as_that_constant():
    rng = np.random.default_rng(0)
    weight = (rng.random((30, 25)) > 0.4).astype(float)
    grid = WorkingGrid.fitting(weight, 8)
    assert grid.factor == 4
    again = grid.refine(grid.coarsen(np.where(weight > 0, 7.0, np.nan)))
    np.testing.assert_allclose(again[weight > 0], 7.0, rtol=1e-6)


def test_factor_one_changes_nothing():
    weight = np.ones((8, 16))
    fields = np.random.default_rng(0).standard_normal((3, 8, 16)).astype(np.float32)
    grid = WorkingGrid.fitting(weight, 64)
    np.testing.assert_allclose(grid.refine(grid.coarsen(fields)), fields, rtol=1e-5)


def test_land_blocks_have_no_part_in_their_neighbours():
    weight = np.ones((16, 16))
    weight[:, 8:] = 0
    grid = WorkingGrid(weight, 2)
    coarse = grid.coarsen(np.ones((16, 16)))
    poisoned = np.where(grid.mask > 0, coarse, 1e6).astype(np.float32)
    np.testing.assert_array_equal(grid.refine(poisoned), grid.refine(coarse))


def test_interpolated_noise_has_the_variance_that_is_said():
    weight = np.ones((16, 24))
    grid = WorkingGrid(weight, 2)
    rng = np.random.default_rng(0)
    fields = grid.refine(rng.standard_normal((4000, *grid.shape), dtype=np.float32))
    np.testing.assert_allclose(fields.var(axis=0), grid.interpolated_variance(), rtol=0.12)
