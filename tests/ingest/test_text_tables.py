"""Text tables: columns, months, latitudes, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from ingest import errors
from ingest.specification import TableLayout
from ingest.text_tables import months_in_table, read_table
from storage.grid import Grid
from storage.months import month

GRID = Grid("band", south=20.0, west=120.0, step=5.0, n_lat=5, n_lon=4)


def layout(**changes: object) -> TableLayout:
    keys: dict[str, object] = {
        "quantity": "xco2_air",
        "units": "ppm",
        "date": 0,
        "bands": [{"column": 1}],
    }
    return TableLayout.model_validate(keys | changes)


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "co2.csv"
    path.write_text(text)
    return path


def value(path: Path, when: str, **changes: object) -> float:
    values, _ = read_table(path, layout(**changes), GRID, month(when))
    assert values.shape == GRID.shape
    found = np.unique(values)
    assert found.size == 1
    return float(found[0])


def test_a_header_with_fewer_names_than_columns_is_read_by_position(tmp_path: Path) -> None:
    text = "# about\nDate,Average\n2010-01,388.6,0.1\n2010-02,389.1,0.2\n"
    path = table(tmp_path, text)
    assert value(path, "2010-02") == pytest.approx(389.1)
    _, error = read_table(path, layout(uncertainty_column=2), GRID, month("2010-02"))
    assert np.unique(error) == pytest.approx([0.2])
    with pytest.raises(errors.VariableNotFoundError, match="header that does not fit"):
        value(path, "2010-02", bands=[{"column": "Average"}])


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("day,co2\n2010-01-05,388\n2010-01-25,390\n2010-02-05,399\n", {}),
        ("a b c\n2010 1 389\n2010 2 399\n",
         {"date": None, "year": "a", "month": "b", "delimiter": None, "bands": [{"column": "c"}]}),
        ("2010.0417;389\n2010.125;399\n",
         {"date": None, "decimal_year": 0, "delimiter": ";", "header": False}),
        ("2010.0,389\n2010.08333,399\n", {"date": None, "decimal_year": 0, "header": False}),
        ("d,co2\n2010-01,0.000389\n2010-02,0.000399\n", {"units": "1"}),
    ],
    ids=["weeks averaged", "white space", "middles of months", "beginnings", "another unit"],
)  # fmt: skip
def test_months_are_found_however_they_are_written(
    tmp_path: Path, text: str, changes: dict[str, object]
) -> None:
    path = table(tmp_path, text)
    held = months_in_table(path, layout(**changes))
    assert [str(m) for m in held] == ["2010-01", "2010-02"]
    assert value(path, "2010-01", **changes) == pytest.approx(389)


def test_every_month_of_a_decimal_year_is_its_own(tmp_path: Path) -> None:
    for offset in (0.0, 0.5):
        rows = (f"{2010 + (i + offset) / 12:.4f},{380 + i}" for i in range(12))
        path = table(tmp_path, "\n".join(rows) + "\n")
        declared = layout(date=None, decimal_year=0, header=False)
        held = months_in_table(path, declared)
        assert [str(m) for m in held] == [f"2010-{i:02d}" for i in range(1, 13)]


def test_bands_are_interpolated_between_and_kept_beyond(tmp_path: Path) -> None:
    path = table(tmp_path, "d,n40,n30\n2010-01,392,388\n")
    bands = [{"column": "n40", "latitude": 40}, {"column": "n30", "latitude": 30}]
    values, error = read_table(path, layout(bands=bands, uncertainty=0.5), GRID, month("2010-01"))
    assert GRID.lat.tolist() == [22.5, 27.5, 32.5, 37.5, 42.5]
    assert values[:, 0].tolist() == pytest.approx([388, 388, 389, 391, 392])
    assert np.unique(error).tolist() == [0.5]


REFUSED = {
    "no such month": ("d,c\n2010-01,390\n", {}, errors.MissingMonthError, "2010-01 to 2010-01"),
    "no such column": ("d,c\n2010-02,390\n", {"bands": [{"column": 7}]},
                       errors.VariableNotFoundError, "column 7"),
    "a fill value": ("d,c\n2010-02,-999.99\n", {}, errors.InvalidEncodingError, "-999.99 ppm"),
    "no number": ("d,c\n2010-02,many\n", {}, errors.InvalidEncodingError, "'many'"),
    "not a number": ("d,c\n2010-02,NaN\n", {}, errors.InvalidEncodingError, "NaN"),
    "no month": ("d,c\nJanuary,390\n", {}, errors.InvalidTimeError, "January"),
    "a thirteenth month": ("d,c\n2010-13,390\n", {}, errors.InvalidTimeError, "2010-13"),
    "a web page": ("<!DOCTYPE html>\n<p>log in</p>\n", {}, errors.UnreadableFileError, "DOCTYPE"),
    "nothing": ("", {}, errors.UnreadableFileError, "no line"),
    "only comments": ("# a\n# b\n", {}, errors.UnreadableFileError, "no line"),
    "another unit": ("d,c\n2010-02,390\n", {"units": "m s-1"}, errors.UnitsError, "m s-1"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_table_is_refused_by_name(case: str, tmp_path: Path) -> None:
    text, changes, kind, found = REFUSED[case]
    with pytest.raises(kind, match=found) as refusal:
        read_table(table(tmp_path, text), layout(**changes), GRID, month("2010-02"))
    assert refusal.value.remedy


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "co2.csv"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(errors.UnreadableFileError, match="as a table"):
        months_in_table(path, layout())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"date": None}, "give date, or decimal_year"),
        ({"year": 1, "month": 2}, "give date, or decimal_year"),
        ({"bands": []}, "at least 1"),
        ({"bands": [{"column": 1}, {"column": 2}]}, "latitude"),
    ],
)
def test_a_layout_that_says_too_little_or_too_much_is_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        layout(**changes)
