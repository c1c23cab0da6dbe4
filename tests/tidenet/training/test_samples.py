import numpy as np
import pytest
from services.small_sea import small_record

from tidenet.configuration import TideNetConfig
from tidenet.references import fit_shared
from tidenet.training.samples import make_samples


def test_a_cell_weighs_its_area_times_the_standard_deviation_of_the_valid_month():
    record, config = small_record(60), TideNetConfig.tiny(n_history=3, n_leads=2)
    shared = fit_shared(record, config.n_leads, config.working_cells)
    part = shared.part(None, config.n_leads, expects=True)
    positions = np.array([10, 11, 12])
    zero = np.zeros((3, 2, int(record.ocean.sum())), dtype=np.float32)
    drivers = np.zeros((60, 0, *shared.scales.grid.shape), dtype=np.float32)
    samples = make_samples(
        shared.remaining, shared.remaining, zero, drivers, part, positions, config
    )
    rows, columns = record.grid.shape
    found = samples.weight.numpy()
    assert found.sum(axis=(-2, -1)) == pytest.approx(np.ones((3, 2)))
    for window, init in enumerate(samples.init_months):
        for lead in (1, 2):
            weight = record.weight * shared.scales.climatology.std_of(init + lead)
            expected = np.where(record.ocean, weight, 0) / weight[record.ocean].sum()
            np.testing.assert_allclose(
                found[window, lead - 1, :rows, :columns], expected, rtol=1e-5, atol=0
            )
