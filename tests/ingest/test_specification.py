"""Product specifications."""

from importlib.resources import files
from pathlib import Path

import pytest
from services.product_files import SPECIFICATION, specification

from ingest.catalogue import list_products, load_files_product, load_product, parse_product
from ingest.errors import InvalidSpecificationError, UnknownProductError
from ingest.specification import DerivedProduct
from storage.months import month


def test_every_shipped_specification_is_valid() -> None:
    names = {product.name for product in list_products()}
    assert {"synthetic-ecs", "ecs-fco2-1deg", "zenodo-ecs-1km"} <= names
    for product in list_products():
        assert product.title
        assert product.licence or product.name in ("ecs-fco2-1deg", "tidenet-hdf5")
        assert product.citation


def test_a_file_name_and_its_month_belong_together() -> None:
    product = load_product("zenodo-ecs-1km")
    assert product.file_name(month("2016-11")) == "ECS_FCO2_monthly_1km_201611.nc"
    assert product.month_of("ECS_FCO2_monthly_1km_201611.nc") == month("2016-11")
    for other in ("ECS_FCO2_monthly_1km_201613.nc", "ECS_FCO2_monthly_1deg_201611.nc", "x.nc"):
        assert product.month_of(other) is None


def test_a_users_own_product_needs_one_yaml_file_and_comes_before_a_shipped_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "small.yaml").write_text(SPECIFICATION)
    (tmp_path / "synthetic-ecs.yaml").write_text(SPECIFICATION)
    assert load_product("small", tmp_path).target_grid.shape == (16, 14)
    assert load_product("synthetic-ecs", tmp_path).title == "A small product"


def test_an_unknown_product_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UnknownProductError, match="zenodo-ecs-1km"):
        load_product("zenodo", tmp_path)
    with pytest.raises(InvalidSpecificationError, match="does not exist"):
        load_product("zenodo-ecs-1km", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("{year}", "2018"), "must contain {year}"),
        (("positive: up", "positive: sideways"), "positive"),
        ((" positive: up,", ""), "positive"),
        (("uncertainty: 1.5", "uncertainty: -1"), "uncertainty"),
        (("title:", "titel:"), "titel"),
        (("{name: small, south: 25.0, west: 120.0, step: 0.5, n_lat: 16, n_lon: 14}", "mars"),
         "carbon-ecs"),
        (("title: A small product", "title: [unclosed"), "not valid"),
    ],
)  # fmt: skip
def test_an_impossible_specification_is_refused_with_the_key(
    change: tuple[str, str], said: str
) -> None:
    with pytest.raises(InvalidSpecificationError, match=said):
        parse_product("small", SPECIFICATION.replace(*change))


NAMES = [
    # pattern, holds, file name, the month it says, a month it may hold, one it cannot hold
    ("S{year}{doy}*.nc", "month", "S20080322008060.nc", "2008-02", "2008-02", "2008-03"),
    ("S{year}{doy}*.nc", "month", "S20080332008060.nc", None, "2008-02", "2009-02"),
    ("A.{year}{month}01_{year}{month}*.nc", "month", "A.20080201_20080229.nc", "2008-02",
     "2008-02", "2008-01"),
    ("x_{year}.nc", "year", "x_2008.nc", None, "2008-12", "2009-01"),
    ("clim_{month}.nc", "climatology", "clim_03.nc", None, "1999-03", "1999-04"),
    ("sst.mon.mean.nc", "series", "sst.mon.mean.nc", None, "1999-04", None),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "holds", "name", "says", "may", "cannot"), NAMES)
def test_a_file_name_says_its_month_or_what_it_may_hold(
    pattern: str, holds: str, name: str, says: str | None, may: str, cannot: str | None
) -> None:
    product = specification(file_pattern=pattern, holds=holds, time="name")
    assert product.matches(name)
    assert product.month_of(name) == (month(says) if says else None)
    assert product.may_hold(name, month(may))
    assert cannot is None or not product.may_hold(name, month(cannot))


def test_a_name_of_two_different_months_is_of_no_file_of_the_product() -> None:
    product = specification(file_pattern="A.{year}{month}01_{year}{month}*.nc", time="name")
    assert not product.matches("A.20080201_20080331.nc")
    assert not product.matches("A.20080201_20090229.nc")


def test_preliminary_files_are_told_by_their_names() -> None:
    product = specification(preliminary_pattern="FLUX_{year}{month}_nrt.nc")
    stages = {name: product.stage_of(name) for name in ("FLUX_201801.nc", "FLUX_201801_nrt.nc")}
    assert stages == {"FLUX_201801.nc": "final", "FLUX_201801_nrt.nc": "preliminary"}
    assert product.month_of("FLUX_201801_nrt.nc") == month("2018-01")
    only = specification(stage="preliminary")
    assert only.stage_of("FLUX_201801.nc") == "preliminary"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"file_pattern": "x_{year}{day}.nc"}, "day.*is no placeholder"),
        ({"holds": "year"}, "must contain .year. .holds: year"),
        ({"holds": "series"}, "must contain no placeholder"),
        ({"time": "fixed"}, "fixed_month goes with"),
        ({"time": "fixed", "fixed_month": "2018-13"}, "2018-13"),
        ({"fixed_month": "2018-01"}, "fixed_month goes with"),
        ({"start": "2018"}, "is no month"),
        ({"quantities": {}}, "give quantities, or a table"),
        ({"quantities": {"sea": {"names": ["x"]}}}, "sea: not among"),
        ({"quantities": {"sst": {"names": ["x"], "positive": "up"}}}, "positive belongs to fco2"),
        ({"quantities": {"sst": {"names": []}}}, "quantities.sst.names"),
        ({"uncertainty": None}, "quantities.fco2.uncertainty is needed"),
        ({"flags": {"variable": "q"}}, "give keep, or without_bits"),
        ({"flags": {"variable": "q", "keep": [0], "without_bits": 2}}, "give keep, or"),
        ({"source": {"kind": "pigeon"}}, "source"),
        ({"source": {"kind": "earthdata"}}, "short_name"),
        ({"grid": {"name": "g", "south": 0, "west": 0, "step": 0, "n_lat": 9, "n_lon": 9}}, "step"),
        ({"limits": {"valid_fraction": 2}}, "limits.valid_fraction"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_what_cannot_be_meant_is_refused_with_its_key(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidSpecificationError, match=said) as refusal:
        specification(**changes)
    assert refusal.value.remedy


def test_all_problems_of_a_specification_are_told_at_once() -> None:
    with pytest.raises(InvalidSpecificationError) as refusal:
        specification(latency_days=-1, start="soon", limits={"valid_fraction": 2})
    for key in ("latency_days", "start", "limits.valid_fraction"):
        assert key in refusal.value.found


def test_a_computed_flux_names_its_drivers_and_has_no_files() -> None:
    shipped = files("ingest").joinpath("products", "flux-from-oceanflux.yaml")
    text = shipped.read_text(encoding="utf-8")
    assert isinstance(parse_product("made", text), DerivedProduct)
    with pytest.raises(InvalidSpecificationError, match="no driver of a flux"):
        parse_product("made", text.replace("sst:", "fco2:", 1))
    with pytest.raises(InvalidSpecificationError, match="has no files of its own"):
        load_files_product("flux-from-oceanflux")


def test_every_driver_of_a_shipped_flux_delivers_what_is_asked_of_it() -> None:
    computed = [p for p in list_products() if isinstance(p, DerivedProduct)]
    assert computed
    for product in computed:
        for quantity, driver in product.drivers.items():
            assert quantity in load_files_product(driver).delivers
