"""Regions of the user's own: what a GeoJSON file may say, and what is said of one that may not."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage import region_files
from storage.grid import GRIDS
from storage.region_files import InvalidRegionsError, UnreadableRegionsError, read_regions
from storage.regions import Region, check_on_grid

PAGE = Path(__file__).parents[2] / "docs" / "regions.md"
RING = [[121, 30], [123, 30], [123, 31], [121, 31], [121, 30]]
OTHER = [[124, 30], [125, 30], [125, 31], [124, 31], [124, 30]]


def feature(name: Any = "bay", *, kind: str = "Polygon", rings: Any = None, **more: Any) -> dict:
    properties = {"name": name, **more}
    geometry = {"type": kind, "coordinates": [RING] if rings is None else rings}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def collection(*features: Any, **members: Any) -> dict:
    return {"type": "FeatureCollection", "features": list(features), **members}


def crs(name: str) -> dict:
    return {"type": "name", "properties": {"name": name}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "regions.geojson"


def read(file: Path, content: Any) -> tuple[Region, ...]:
    file.write_text(json.dumps(content))
    return read_regions(file)


# --- what is read ---------------------------------------------------------------------------------


def test_regions_come_in_the_order_of_the_file(file: Path) -> None:
    parts = [[RING, [[121.5, 30.2], [122, 30.2], [122, 30.5], [121.5, 30.2]]], [OTHER]]
    first, second = read(
        file,
        collection(feature("bay-2", title="The bay"), feature(kind="MultiPolygon", rings=parts)),
    )
    assert first == Region("bay-2", "The bay", {"type": "Polygon", "coordinates": [RING]})
    assert second.definition == {"type": "MultiPolygon", "coordinates": parts}
    assert second.bounds == (121, 30, 125, 31)


@pytest.mark.parametrize("title", [{}, {"title": None}, {"title": ""}])
def test_a_region_without_a_title_is_called_by_its_name(file: Path, title: dict) -> None:
    [region] = read(file, feature("outer-bay", **title))
    assert region.title == "Outer bay"


def test_heights_are_dropped(file: Path) -> None:
    high = [[*RING[0], 5.5], *RING[1:4], [*RING[0], 7]]
    assert read(file, feature(rings=[high])) == read(file, feature())


@pytest.mark.parametrize(
    "name",
    [
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "urn:ogc:def:crs:EPSG::4326",
        "EPSG:4326",
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
    ],
)
def test_names_of_wgs_84_are_known(file: Path, name: str) -> None:
    assert read(file, collection(feature(), crs=crs(name)))
    assert read(file, collection(feature(), crs=None))


def test_a_byte_order_mark_is_no_harm(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(feature()).encode())
    assert read_regions(file)


# --- what is not a file of regions ----------------------------------------------------------------


def test_a_file_that_is_not_there_is_named_with_the_setting(file: Path) -> None:
    with pytest.raises(UnreadableRegionsError, match="No such file") as caught:
        read_regions(file)
    assert str(file) in caught.value.found
    assert "TIDENET_REGIONS" in caught.value.remedy


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRegionsError, match="directory"):
        read_regions(tmp_path)


def test_a_file_larger_than_the_limit_is_not_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region_files, "MAX_BYTES", 1_000_000)
    file.write_bytes(b" " * 1_500_000)
    with pytest.raises(UnreadableRegionsError, match="too large") as caught:
        read_regions(file)
    assert (caught.value.found, caught.value.expected) == ("1.5 MB", "at most 1 MB")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"name,lon,lat", b"\xff\xfe\xfa", b"[" * 1_000_000, b"PK\x03\x04"]
)
def test_what_is_not_json_is_said_to_be_none(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(UnreadableRegionsError, match="is not JSON"):
        read_regions(file)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([feature()], "list"),
        ({}, "type None"),
        ({"type": "Polygon", "coordinates": [RING]}, "type 'Polygon'"),
        ({"type": "Topology"}, "type 'Topology'"),
        ({"type": ["Feature"]}, "type ['Feature']"),
        ({"type": "FeatureCollection", "features": {}}, "without a list of features"),
    ],
)
def test_json_that_is_not_geojson_of_features_is_said_to_be_none(
    file: Path, content: Any, found: str
) -> None:
    with pytest.raises(UnreadableRegionsError, match="not GeoJSON of features") as caught:
        read(file, content)
    assert found in caught.value.found
    assert caught.value.expected == "a FeatureCollection or a Feature"


# --- what is not a region -------------------------------------------------------------------------


def ring(*positions: Any) -> dict:
    return feature(rings=[list(positions)])


BAD: dict[str, tuple[Any, str]] = {
    "no feature": (collection(), "the file has no feature"),
    "not a feature": (collection(7), "feature 1 is not a Feature but 7"),
    "bare geometry": (
        collection({"type": "Polygon", "coordinates": [RING]}),
        "feature 1 is not a Feature but",
    ),
    "no properties": (
        {**feature(), "properties": None},
        "feature 1: it has no property name (give one, such as changjiang-plume)",
    ),
    "no name": (feature(None), "feature 1: it has no property name"),
    "name with a capital": (
        feature("Hangzhou Bay"),
        "feature 1 ('Hangzhou Bay'): the name 'Hangzhou Bay' is not of lowercase letters, digits "
        "and hyphens (such as hangzhou-bay)",
    ),
    "name in other letters": (feature("杭州湾"), "(such as changjiang-plume)"),
    "name with a newline": (feature("bay\n"), "(such as bay)"),
    "empty name": (feature(""), "the name '' is not of lowercase letters"),
    "number for a name": (feature(7), "feature 1: the name 7 is not of lowercase letters"),
    "name of a built-in region": (
        feature("yellow-sea"),
        "feature 1 ('yellow-sea'): the name is that of a built-in region (choose another)",
    ),
    "name given twice": (
        collection(feature(), feature("cape"), feature()),
        "feature 3 ('bay'): the name is that of feature 1 (choose another)",
    ),
    "number for a title": (feature(title=7), "feature 1 ('bay'): the title 7 is not a text"),
    "no geometry": (
        {**feature(), "geometry": None},
        "feature 1 ('bay'): the geometry is missing, not a Polygon or MultiPolygon",
    ),
    "a line": (
        feature(kind="LineString", rings=RING),
        "the geometry is a 'LineString', not a Polygon or MultiPolygon",
    ),
    "no coordinates": (
        {**feature(), "geometry": {"type": "Polygon"}},
        "the coordinates of the Polygon are not lists of rings",
    ),
    "no rings": (feature(rings=[]), "the coordinates of the Polygon are not lists of rings"),
    "no parts": (
        feature(kind="MultiPolygon", rings=[]),
        "the coordinates of the MultiPolygon are not lists of rings",
    ),
    "part without rings": (
        feature(kind="MultiPolygon", rings=[[RING], []]),
        "the coordinates of the MultiPolygon are not lists of rings",
    ),
    "too few positions": (
        ring([121, 30], [122, 30], [121, 30]),
        "ring 1 has 3 positions, not 4 or more with the first repeated at the end",
    ),
    "ring of one depth too few": (feature(rings=RING[:1]), "has 2 positions, not 4 or more"),
    "ring that is a text": (feature(rings=["ring"]), "ring 1 has 'ring', not 4 or more"),
    "position without latitude": (
        ring([121, 30], [122], [122, 31], [121, 30]),
        "ring 1 has the position [122], not [longitude, latitude]",
    ),
    "position of texts": (
        ring(["121", "30"], *RING[1:]),
        "has the position ['121', '30'], not [longitude, latitude]",
    ),
    "position of truth": (ring([True, 30], *RING[1:]), "has the position [True, 30], not"),
    "position that is not a number": (
        ring(RING[0], [float("nan"), 30], *RING[2:]),
        "has the position [nan, 30], not in degrees",
    ),
    "infinite position": (
        ring(RING[0], [121, float("inf")], *RING[2:]),
        "has the position [121, inf], not in degrees",
    ),
    "enormous integer": (ring(RING[0], [10**400, 30], *RING[2:]), "not in degrees"),
    "latitude beyond the pole": (
        ring([121, 91], *RING[1:4], [121, 91]),
        "[121, 91], not in degrees (longitude -360 to 360, latitude -90 to 90)",
    ),
    "metres": (
        ring([13469658, 3503549], *RING[1:4], [13469658, 3503549]),
        "[13469658, 3503549], not in degrees (longitude -360 to 360, latitude -90 to 90)",
    ),
    "latitude before longitude": (
        ring(*[position[::-1] for position in RING]),
        "ring 1 has the position [30, 121], not in degrees "
        "(latitude and longitude look swapped: longitude comes first)",
    ),
    "open ring": (
        ring(*RING[:4]),
        "ring 1 is not closed: it begins at [121, 30] and ends at [121, 31] "
        "(repeat the first position at the end)",
    ),
    "open hole": (feature(rings=[RING, OTHER[:4]]), "('bay'): ring 2 is not closed"),
    "open ring of a part": (
        feature(kind="MultiPolygon", rings=[[RING], [OTHER[:4]]]),
        "('bay'): part 2, ring 1 is not closed",
    ),
    "polygon that crosses itself": (
        ring([121, 30], [123, 31], [123, 30], [121, 31], [121, 30]),
        "feature 1 ('bay'): the polygon crosses itself at (122, 30.5)",
    ),
    "polygon that touches itself": (
        ring([121, 30], [123, 30], [123, 31], [122, 30], [121, 31], [121, 30]),
        "the polygon touches itself at (122, 30)",
    ),
    "hole outside": (
        feature(rings=[RING, OTHER]),
        "the polygon is not valid (Hole lies outside shell) at (12",
    ),
    "part that crosses itself": (
        feature(
            kind="MultiPolygon",
            rings=[[RING], [[[124, 30], [126, 31], [126, 30], [124, 31], [124, 30]]]],
        ),
        "part 2, the polygon crosses itself at (125, 30.5)",
    ),
    "parts that share an edge": (
        feature(
            kind="MultiPolygon",
            rings=[[RING], [[[123, 30], [124, 30], [124, 31], [123, 31], [123, 30]]]],
        ),
        "feature 1 ('bay'): its parts overlap or share an edge at (123, 3",
    ),
    "a line for a polygon": (
        ring([121, 30], [122, 31], [123, 32], [121, 30]),
        "feature 1 ('bay'): the polygon has no area",
    ),
    "a point for a polygon": (ring(*[[121, 30]] * 4), "the polygon has no area"),
    "projected coordinates": (
        collection(feature(), crs=crs("urn:ogc:def:crs:EPSG::3857")),
        "crs is 'urn:ogc:def:crs:EPSG::3857', not WGS 84 (export it as EPSG:4326, or leave crs out",
    ),
    "crs as a text": (collection(feature(), crs="EPSG:32651"), "crs is 'EPSG:32651', not WGS 84"),
    "crs by link": (
        collection(feature(), crs={"type": "link", "properties": {"href": "x"}}),
        "not WGS 84",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_a_region_is_named_with_what_was_found(file: Path, case: str) -> None:
    content, found = BAD[case]
    with pytest.raises(InvalidRegionsError) as caught:
        read(file, content)
    assert found in caught.value.found
    assert "; " not in caught.value.found
    assert str(file) in caught.value.message
    assert "degrees" in caught.value.expected
    assert "docs/regions.md" in caught.value.remedy


def test_all_problems_of_a_file_are_listed_at_once(file: Path) -> None:
    content = collection(
        feature(),
        feature("All", rings=[RING[:4]]),
        {**feature("all"), "geometry": None},
        crs=crs("EPSG:3857"),
    )
    with pytest.raises(InvalidRegionsError) as caught:
        read(file, content)
    problems = caught.value.found.split("; ")
    starts = ["crs", "feature 2 ('All'): the name", "feature 2 ('All'): ring 1"]
    starts += ["feature 3 ('all'): the name", "feature 3 ('all'): the geometry"]
    assert len(problems) == len(starts)
    for problem, start in zip(problems, starts, strict=True):
        assert problem.startswith(start)


# --- the page -------------------------------------------------------------------------------------


def test_the_example_of_the_page_is_a_region_of_the_record(file: Path) -> None:
    [example] = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [region] = read(file, json.loads(example))
    grid = GRIDS["carbon-ecs-10"]
    check_on_grid([region], grid, np.ones(grid.shape, dtype=bool))
    assert region.contains(grid).sum() == 20 * 10
    assert (region.name, region.title) == ("hangzhou-bay", "Hangzhou Bay and Zhoushan")
