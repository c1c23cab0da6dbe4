"""Product specifications."""

from pathlib import Path

import pytest
from services.product_files import SPECIFICATION

from ingest.catalogue import list_products, load_product, parse_product
from ingest.errors import InvalidSpecificationError, UnknownProductError
from storage.months import month


def test_every_shipped_specification_is_valid() -> None:
    names = {product.name for product in list_products()}
    assert {"synthetic-ecs", "ecs-fco2-1deg", "zenodo-ecs-1km"} <= names


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
