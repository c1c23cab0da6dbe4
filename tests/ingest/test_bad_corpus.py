"""Every file of the corpus ends as the truth or as a refusal by name; nothing ends otherwise."""

import os
from pathlib import Path

import pytest
from services.bad_containers import BYTES, HDF5, NETCDF3
from services.bad_files import AXES, DECODED, TIMES, UNITS, Case, attributes, outcome_of, stored
from services.product_files import NAME

CASES: dict[str, Case] = {
    **{f"values: {name}": case for name, case in DECODED.items()},
    **{f"axes: {name}": case for name, case in AXES.items()},
    **{f"time: {name}": case for name, case in TIMES.items()},
    **{
        f"units: {units[:40]!r}, {len(units)}": Case(stored(attributes(units=units)), refusal)
        for units, refusal in UNITS.items()
    },
    **{f"bytes: {name}": case for name, case in BYTES.items()},
    **{f"netcdf3: {name}": case for name, case in NETCDF3.items()},
    **{f"hdf5: {name}": case for name, case in HDF5.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_ends_as_the_truth_or_as_the_refusal_that_fits_it(name: str, tmp_path: Path) -> None:
    if name == "bytes: no permission" and os.geteuid() == 0:
        pytest.skip("the administrator may read every file")
    case = CASES[name]
    path = tmp_path / NAME
    case.write(path, case.specification.target_grid)
    assert outcome_of(path, case.specification) == case.outcome
