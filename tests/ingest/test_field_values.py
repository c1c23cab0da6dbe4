import numpy as np
import pytest
from services import field_files as files
from services.field_files import read, same_as_plain

from ingest.field.errors import FieldTooLargeError, NoAnomaliesError, NoOceanError
from storage.months import month


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f4", "<f8", ">f8"])
def test_numbers_of_any_precision_are_read(tmp_path, dtype):
    found = files.dataset(files.sea().astype(dtype))
    found.to_zarr(tmp_path / "sea.zarr", zarr_format=2)
    same_as_plain(read(tmp_path / "sea.zarr"), atol=0.02 if dtype == "f2" else 1e-5)


def test_packed_numbers_are_unpacked_and_their_fills_understood(tmp_path):
    packed = np.where(files.ocean(), np.round(files.sea() / 0.01), -32768).astype("i2")
    packing = {"scale_factor": 0.01, "add_offset": 0.0}
    undeclared = files.dataset(packed, attributes=packing)
    found = read(files.netcdf(undeclared, tmp_path))
    same_as_plain(found, atol=0.0051)
    declared = files.dataset(packed, attributes=packing | {"missing_value": np.int16(-32768)})
    same_as_plain(read(files.netcdf(declared, tmp_path)), atol=0.0051)


FILLS = [-9999.0, -1000.0, 1e20, -1e34, -999.9, -32767.0, 0.0, 9.96921e36, np.inf]


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
def test_land_filled_with_a_value_is_no_ocean(tmp_path, fill, declared):
    values = np.where(files.ocean(), files.sea(), fill).astype("f4")
    attributes = {"missing_value": np.float32(fill)} if declared else {}
    same_as_plain(read(files.netcdf(files.dataset(values, attributes=attributes), tmp_path)))


def test_a_zero_far_from_all_values_is_a_gap_and_one_beside_them_a_value(tmp_path):
    values = files.sea()
    values[5, 5, 5] = 0.0
    kelvin = np.where(values == 0, 0.0, values + 273.15)
    found = read(files.netcdf(files.dataset(kelvin), tmp_path))
    assert not found.observed[5, 5, 5] and found.observed.sum() == 60 * files.ocean().sum() - 1
    assert any(note.startswith("0 taken as missing") for note in found.notes)
    ice = 98 + 0.1 * values  # closed, but for two months
    ice[5, 5, 5], ice[6, 5, 5] = 0.0, 50.0
    found = read(files.netcdf(files.dataset(ice), tmp_path))
    assert found.observed[5, 5, 5]


def test_gaps_with_an_undeclared_fill_are_no_truth(tmp_path):
    values = files.sea()
    values[5, 5, 5] = values[50, 6, 5] = -999.0
    found = read(files.netcdf(files.dataset(values), tmp_path))
    assert any("-999 taken as missing" in note for note in found.notes)
    assert not found.observed[5, 5, 5]
    assert not found.observed[50, 6, 5]
    assert np.isfinite(found.values[:, found.ocean]).all()
    assert np.nanmin(found.values) > -50


def test_values_large_beside_their_change_are_said_to_be_coarse(tmp_path):
    found = read(files.netcdf(files.dataset(files.sea() + 1e7), tmp_path))
    assert any("steps of 1" in note for note in found.notes)
    found = read(files.netcdf(files.dataset(files.sea() + 273.15), tmp_path))
    assert found.notes == ()


def test_a_value_like_a_fill_inside_the_range_is_a_value(tmp_path):
    values = files.sea() * 100
    values[5, 5, 5] = -999.0
    found = read(files.netcdf(files.dataset(values), tmp_path))
    assert found.values[5, 5, 5] == -999.0


def test_cells_that_are_mostly_missing_or_never_change_are_left_out(tmp_path):
    values = files.sea()
    values[:, 5, 5] = 7.0
    values[::2, 6, 6] = np.nan
    values[1:20, 6, 6] = np.nan
    found = read(files.netcdf(files.dataset(values), tmp_path))
    expected = files.ocean()
    expected[5, 5] = expected[6, 6] = False
    assert np.array_equal(found.ocean, expected)
    assert any("1 cells that never change" in note for note in found.notes)


def test_gaps_are_filled_with_the_season_and_what_lies_around_them(tmp_path):
    rng = np.random.default_rng(1)
    values = files.sea() + 3 * rng.standard_normal((60, 1, 1))
    holes = (rng.random(values.shape) < 0.15) & files.ocean()
    found = read(files.netcdf(files.dataset(np.where(holes, np.nan, values)), tmp_path))
    assert np.array_equal(found.observed, files.ocean() & ~holes)
    usual = np.array([values[m::12].mean(axis=0) for m in range(12)])[np.arange(60) % 12]
    filled, seasonal = (np.square(x[holes] - values[holes]).mean() for x in (found.values, usual))
    assert filled < 0.5 * seasonal


def test_nothing_after_the_training_period_changes_anything_before(tmp_path):
    values, rng = files.sea(), np.random.default_rng(1)
    values[(rng.random(values.shape) < 0.1)] = np.nan
    plain = read(files.netcdf(files.dataset(values), tmp_path))
    n = 50  # three months after the training period, as a forecast from there sees the field
    values[n:] = rng.normal(1e3, 1e3, values[n:].shape)
    other = read(files.netcdf(files.dataset(values), tmp_path))
    assert np.array_equal(plain.ocean, other.ocean)
    assert np.array_equal(plain.values[:n], other.values[:n], equal_nan=True)


def test_a_field_without_change_is_refused(tmp_path):
    with pytest.raises(NoOceanError, match="change"):
        read(files.netcdf(files.dataset(np.ones((60, 8, 10))), tmp_path))
    with pytest.raises(NoOceanError):
        read(files.netcdf(files.dataset(np.full((60, 8, 10), np.nan)), tmp_path))


def test_tiny_numbers_are_counted_in_a_power_of_ten(tmp_path):
    found = read(files.netcdf(files.dataset(files.sea() * 1e-12), tmp_path))
    assert found.units == "1e-12 degC"
    assert np.nanmax(np.abs(found.values)) < 100


def test_months_after_the_training_period_do_not_choose_the_power_of_ten(tmp_path):
    values = files.sea() * 1e-12
    values[50:] *= 1e12
    found = read(files.netcdf(files.dataset(values), tmp_path))
    assert found.units == "1e-12 degC"


def test_a_climatology_written_many_times_is_refused(tmp_path):
    values = np.tile(files.sea(12), (5, 1, 1))
    with pytest.raises(NoAnomaliesError, match="one year"):
        read(files.netcdf(files.dataset(values), tmp_path))


# --- coarser --------------------------------------------------------------------------------------


def test_coarsening_keeps_the_area_mean(tmp_path):
    rng = np.random.default_rng(3)
    path = files.netcdf(files.dataset(rng.normal(10, 2, (60, 8, 10))), tmp_path)
    full, coarse = (read(path, coarsen=n) for n in (1, 3))
    assert (coarse.grid.shape, coarse.coarsened) == ((3, 4), 3)
    fine, blocks = (np.average(x.values[3], weights=x.grid.cell_area) for x in (full, coarse))
    assert blocks == pytest.approx(fine, abs=1e-4)


def test_a_block_is_ocean_where_half_of_it_is_and_has_the_mean_of_its_ocean(tmp_path):
    full, coarse = (read(files.netcdf(files.dataset(), tmp_path), coarsen=n) for n in (1, 2))
    expected = np.ones((4, 5), dtype=bool)
    expected[0, 0] = False
    assert np.array_equal(coarse.ocean, expected)
    half = full.values[0, 6:8, 4:6]  # land in its northern row
    assert coarse.values[0, 3, 2] == pytest.approx(half[0].mean(), rel=1e-5)


def test_a_large_field_is_made_coarser_and_it_is_said(tmp_path):
    large = np.repeat(np.repeat(files.sea(30), 30, axis=1), 30, axis=2).astype("f4")
    lat, lon = np.linspace(10, 34, 240), np.linspace(100, 130, 300)
    path = files.netcdf(files.dataset(large, lat=lat, lon=lon), tmp_path)
    found = read(path, train_until=month("2002-12"))
    assert found.coarsened == 2
    assert any("--coarsen" in note for note in found.notes)


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.field.reading.MOST_VALUES", 1000)
    with pytest.raises(FieldTooLargeError, match="--coarsen"):
        read(files.netcdf(files.dataset(), tmp_path), coarsen=1)


def test_a_variable_too_large_to_hold_is_read_month_by_month(tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.field.reading.HELD_VALUES", 100)
    same_as_plain(read(files.netcdf(files.dataset().transpose("lat", "time", "lon"), tmp_path)))
