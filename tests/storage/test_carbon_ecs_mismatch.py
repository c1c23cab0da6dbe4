"""What does not fit the record is refused with every difference, and the store is untouched."""

from dataclasses import replace

import numpy as np
import pytest
import zarr
from services.record_samples import START, TINY, tiny_month, tiny_ocean, tiny_template

from storage.carbon_ecs import CarbonEcs, RecordMismatchError, RecordTemplate
from storage.flux_month import FluxMonth, Quality
from storage.month_checks import rounded


@pytest.fixture
def record(tmp_path) -> CarbonEcs:
    record = CarbonEcs.create(str(tmp_path / "record"), tiny_template())
    record.commit_month(tiny_month(0))
    return record


def refusal(record: CarbonEcs, month: FluxMonth) -> str:
    """Return why a month is refused, after making sure that nothing was written."""
    before = CarbonEcs.open(record.url).history()
    with pytest.raises(RecordMismatchError) as error:
        record.commit_month(month)
    assert CarbonEcs.open(record.url).history() == before
    return str(error.value)


def changed(month: FluxMonth, **changes) -> FluxMonth:
    return replace(
        month, **{name: change(getattr(month, name)) for name, change in changes.items()}
    )


def all_fields(change) -> dict:
    return dict.fromkeys(("fco2", "quality", "uncertainty"), change)


def test_flipped_latitude(record: CarbonEcs) -> None:
    month = changed(tiny_month(1), **all_fields(lambda field: field[::-1].copy()))
    assert "rows look flipped" in refusal(record, month)


def test_mirrored_longitude(record: CarbonEcs) -> None:
    month = changed(tiny_month(1), **all_fields(lambda field: field[:, ::-1].copy()))
    assert "columns look mirrored" in refusal(record, month)


def test_shifted_longitudes(record: CarbonEcs) -> None:
    month = changed(tiny_month(1), **all_fields(lambda field: np.roll(field, 3, axis=1)))
    assert "moved by -3 cells" in refusal(record, month)


def test_another_grid_lists_every_difference(record: CarbonEcs) -> None:
    message = refusal(record, replace(tiny_month(1), grid=replace(TINY, west=121.0, step=0.25)))
    assert "grid, west: 121.0, the record has 120" in message
    assert "grid, step: 0.25, the record has 0.5" in message


def test_wrong_types_and_shapes_are_listed_together(record: CarbonEcs) -> None:
    month = changed(
        tiny_month(1),
        fco2=lambda field: field.astype(np.float64),
        quality=lambda field: field.astype(np.int16),
        uncertainty=lambda field: field[:-1],
    )
    message = refusal(record, month)
    assert "fco2, type: float64, the record has float32" in message
    assert "quality, type: int16, the record has uint8" in message
    assert "uncertainty, shape: (11, 10), the record has (12, 10)" in message


@pytest.mark.parametrize(
    ("field", "cell", "value", "reason"),
    [
        ("fco2", (3, 0), 1.0, "fco2 has values on land cells: 1 cells"),
        ("fco2", (3, 5), np.nan, "fco2 has no value on ocean cells: 1 cells"),
        ("fco2", (3, 5), np.inf, "fco2 is infinite: 1 cells"),
        ("quality", (3, 0), Quality.OBSERVED, "observed or completed on land cells: 1 cells"),
        ("quality", (3, 5), Quality.LAND, "land or outside the product on ocean cells: 1 cells"),
        ("quality", (3, 5), Quality.OUTSIDE_PRODUCT, "outside the product on ocean cells"),
        ("quality", (3, 5), 9, "quality has values without a meaning: 1 cells"),
        ("uncertainty", (3, 0), 0.5, "uncertainty has values on land cells: 1 cells"),
        ("uncertainty", (3, 5), -0.5, "uncertainty is negative or infinite: 1 cells"),
    ],
)
def test_fields_that_contradict_the_mask(
    record: CarbonEcs, field: str, cell: tuple[int, int], value: float, reason: str
) -> None:
    month = tiny_month(1)
    getattr(month, field)[cell] = value
    assert reason in refusal(record, month)


def test_unknown_uncertainty_and_cells_outside_the_product_are_welcome(record: CarbonEcs) -> None:
    month = tiny_month(1)
    month.uncertainty[:] = np.nan
    month.quality[~tiny_ocean()] = Quality.OUTSIDE_PRODUCT
    assert record.commit_month(month).changed


def tamper(record: CarbonEcs, change) -> None:
    """Change the store behind the record's back, and commit that."""
    session, group = record._repository.session()
    change(group)
    session.commit("tampered")


def reverse_latitude(group: zarr.Group) -> None:
    group["lat"][:] = group["lat"][:][::-1]


def shift_longitude(group: zarr.Group) -> None:
    group["lon"][:] = group["lon"][:] + 0.5


def change_mask(group: zarr.Group) -> None:
    group["ocean"][3, 5] = 0


def change_units(group: zarr.Group) -> None:
    group["fco2"].attrs["units"] = "mol m-2 yr-1"


def change_sign(group: zarr.Group) -> None:
    group["fco2"].attrs["positive"] = "down"


def drop_attribute(group: zarr.Group) -> None:
    del group["quality"].attrs["flag_meanings"]


def change_type(group: zarr.Group) -> None:
    attributes = dict(group["fco2"].attrs)
    values = group["fco2"][...].astype(np.float64)
    group.create_array(
        "fco2",
        data=values,
        chunks=(1, 6, 10),
        dimension_names=("time", "lat", "lon"),
        attributes=attributes,
        overwrite=True,
    )


def add_variable(group: zarr.Group) -> None:
    group.create_array("salinity", shape=(1,), dtype="float32")


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (reverse_latitude, ["lat: stored in the opposite order"]),
        (shift_longitude, ["lon: 10 of 10 values differ"]),
        (change_mask, ["ocean: 1 of 120 values differ, the first at [3, 5]"]),
        (change_units, ["fco2, attribute units: stored as 'mol m-2 yr-1'"]),
        (change_sign, ["fco2, attribute positive: stored as 'down', declared as 'up'"]),
        (drop_attribute, ["quality, attribute flag_meanings: missing"]),
        (change_type, ["fco2, data_type", "fco2, chunk_grid", "fco2, codecs"]),
        (add_variable, ["salinity: in the store, but not declared"]),
    ],
)
def test_a_store_that_was_changed_takes_no_month(record: CarbonEcs, change, reasons) -> None:
    tamper(record, change)
    message = refusal(record, tiny_month(1))
    for reason in reasons:
        assert reason in message


def test_every_difference_from_a_declaration_is_listed_at_once(record: CarbonEcs) -> None:
    for change in (change_units, change_sign, reverse_latitude):
        tamper(record, change)
    other = RecordTemplate(TINY, tiny_ocean(), {"title": "Another"})
    with pytest.raises(RecordMismatchError) as error:
        CarbonEcs.open_or_create(record.url, other)
    for part in ("units", "positive", "lat: ", "attribute title: missing"):
        assert part in str(error.value)


def test_another_mask_or_grid_is_not_taken_for_the_same_record(record: CarbonEcs) -> None:
    mask = tiny_ocean()
    mask[3, 5] = False
    with pytest.raises(RecordMismatchError, match="ocean: 1 of 120"):
        CarbonEcs.open_or_create(record.url, RecordTemplate(TINY, mask))
    moved = replace(TINY, south=26.0)
    with pytest.raises(RecordMismatchError, match="grid_south"):
        CarbonEcs.open_or_create(record.url, RecordTemplate(moved, tiny_ocean()))


def test_a_mask_that_does_not_fit_the_grid_makes_no_template() -> None:
    with pytest.raises(RecordMismatchError, match="mask does not fit"):
        RecordTemplate(TINY, tiny_ocean()[:-1])
    with pytest.raises(RecordMismatchError, match="no ocean cell"):
        RecordTemplate(TINY, np.zeros(TINY.shape, dtype=bool))


def test_another_icechunk_store_is_not_a_record(tmp_path) -> None:
    import icechunk

    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "x")))
    session = repository.writable_session("main")
    zarr.create_group(session.store)
    session.commit("something else")
    with pytest.raises(RecordMismatchError, match="not a Carbon-ECS record"):
        CarbonEcs.open(str(tmp_path / "x"))


def test_rounding_keeps_nan_and_is_done_once() -> None:
    odd_nan = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001], dtype=np.uint32).view(np.float32)
    values = np.concatenate([odd_nan, np.array([0.0, -5.4321, 1e-30, np.inf], dtype=np.float32)])
    once = rounded(values, 12)
    assert np.isnan(once[:3]).all()
    assert len(set(once[:3].view(np.uint32).tolist())) == 1
    np.testing.assert_allclose(once[3:], values[3:], rtol=1.3e-4)
    assert rounded(once, 12).tobytes() == once.tobytes()


def test_a_month_committed_from_the_store_changes_nothing(record: CarbonEcs) -> None:
    assert not record.commit_month(record.read_month(START)).changed
