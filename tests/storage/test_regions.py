"""Which cells a region has, and how a region compares and travels."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.grid import GRIDS, Grid
from storage.regions import REGIONS, Region, RegionOutsideGridError, check_on_grid, region_masks

# Cell centres at 0, 1, ... 5 degrees, so that they lie on edges of whole degrees.
SIX = Grid("six", south=-0.5, west=-0.5, step=1, n_lat=6, n_lon=6)
SEA = np.ones(SIX.shape, dtype=bool)


def square(west: float, south: float, size: float) -> list[list[float]]:
    """Return a closed ring, counter-clockwise."""
    east, north = west + size, south + size
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def polygon(*rings: list, name: str = "here") -> Region:
    return Region(name, "Here", {"type": "Polygon", "coordinates": list(rings)})


def pictured(mask: np.ndarray) -> list[str]:
    """Return a mask as a map, north up."""
    return ["".join(".#"[int(cell)] for cell in row) for row in mask[::-1]]


# --- which cells ----------------------------------------------------------------------------------


def test_cells_of_a_triangle_are_those_with_their_centre_inside() -> None:
    triangle = polygon([[0.5, 0.5], [5.5, 0.5], [0.5, 5.2], [0.5, 0.5]])
    assert pictured(triangle.contains(SIX)) == [
        "......",
        ".#....",
        ".##...",
        ".###..",
        ".####.",
        "......",
    ]


def test_a_hole_is_not_part_of_a_region_whichever_way_its_ring_runs() -> None:
    expected = [
        "......",
        ".####.",
        ".#..#.",
        ".#..#.",
        ".####.",
        "......",
    ]
    hole = square(1.5, 1.5, 2)
    for ring in (hole, hole[::-1]):
        assert pictured(polygon(square(0.5, 0.5, 4), ring).contains(SIX)) == expected


def test_a_multipolygon_has_the_cells_of_all_its_parts() -> None:
    parts = [[square(-0.5, -0.5, 2)], [square(2.5, 2.5, 3), square(3.5, 3.5, 1)]]
    region = Region("two", "Two", {"type": "MultiPolygon", "coordinates": parts})
    assert pictured(region.contains(SIX)) == [
        "...###",
        "...#.#",
        "...###",
        "......",
        "##....",
        "##....",
    ]


def test_a_centre_on_an_edge_belongs_to_the_region_south_or_east_of_it() -> None:
    assert pictured(polygon(square(1, 1, 3)).contains(SIX)) == [
        "......",
        ".###..",
        ".###..",
        ".###..",
        "......",
        "......",
    ]


def test_a_centre_on_the_edge_of_a_hole_belongs_to_whatever_fills_the_hole() -> None:
    around, within = polygon(square(0, 0, 5), square(1, 1, 3)), polygon(square(1, 1, 3))
    whole = polygon(square(0, 0, 5)).contains(SIX)
    counts = around.contains(SIX).astype(int) + within.contains(SIX)
    np.testing.assert_array_equal(counts, whole.astype(int))


halves = st.integers(1, 9).map(lambda number: number / 2)


@given(halves, halves, st.booleans())
def test_regions_that_fill_an_area_share_no_cell_and_leave_none_out(
    lon: float, lat: float, with_edges: bool
) -> None:
    corners = [(-1.0, -1.0), (6.0, -1.0), (6.0, 6.0), (-1.0, 6.0)]
    if with_edges:
        corners = [(-1, -1), (lon, -1), (6, -1), (6, lat), (6, 6), (lon, 6), (-1, 6), (-1, lat)]
    fan = [
        polygon([(lon, lat), first, second, (lon, lat)])
        for first, second in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    counts = sum(part.contains(SIX).astype(int) for part in fan)
    assert (counts == 1).all()


BUILT_IN = {
    "carbon-ecs": (
        [2850000, 558729, 225000, 70000, 90000, 70179, 58600, 360000],
        "d97f36c0c215b9c0",
    ),
    "carbon-ecs-10": ([28500, 5586, 2250, 700, 900, 700, 586, 3600], "2965a90540957d0f"),
    "east-asia-1deg": ([2025, 55, 20, 8, 8, 10, 5, 40], "ab7704e15a03ce6a"),
    "global-1deg": ([64800, 55, 20, 8, 8, 10, 5, 40], "3b45507a4368cca2"),
}


@pytest.mark.parametrize("name", GRIDS)
def test_the_built_in_regions_keep_the_cells_that_records_and_archives_have(name: str) -> None:
    masks = np.stack([region.contains(GRIDS[name]) for region in REGIONS])
    counts, digest = BUILT_IN[name]
    assert masks.sum(axis=(1, 2)).tolist() == counts
    assert hashlib.sha256(np.packbits(masks).tobytes()).hexdigest().startswith(digest)


# --- as values ------------------------------------------------------------------------------------


def test_a_region_comes_back_from_json_as_the_same_value() -> None:
    for region in REGIONS:
        definition = json.loads(json.dumps(region.definition))
        again = Region(region.name, region.title, definition or None)
        assert again == region
        assert len({again, region}) == 1
    assert polygon(square(0, 0, 1)) != polygon(square(0, 0, 2))


def test_the_definition_is_geojson_and_empty_for_the_whole_sea() -> None:
    whole, shelf = REGIONS[0], next(r for r in REGIONS if r.name == "northern-shelf")
    assert (whole.definition, whole.bounds) == ({}, None)
    assert shelf.definition == {
        "type": "Polygon",
        "coordinates": [[[126, 33], [128, 33], [128, 28.5], [126, 28.5], [126, 33]]],
    }
    assert shelf.bounds == (126, 28.5, 128, 33)


def test_a_region_does_not_change_with_the_lists_that_it_was_made_from() -> None:
    ring = square(0, 0, 2)
    region = polygon(ring)
    ring[0][0] = 99
    region.definition["coordinates"].clear()
    assert region == polygon(square(0, 0, 2))


# --- on a grid ------------------------------------------------------------------------------------


def test_masks_are_of_ocean_cells_in_the_order_asked_for() -> None:
    ocean = SEA.copy()
    ocean[2] = False
    regions = (polygon(square(0.5, 0.5, 2), name="small"), REGIONS[0])
    masks = region_masks(SIX, ocean, regions)
    assert list(masks) == ["small", "all"]
    assert np.argwhere(masks["small"]).tolist() == [[1, 1], [1, 2]]


def test_built_in_regions_off_the_grid_are_no_error() -> None:
    check_on_grid(REGIONS, SIX, SEA)


def test_every_region_without_an_ocean_cell_is_named_with_its_place_and_reason() -> None:
    ocean = SEA.copy()
    ocean[:3, :3] = False
    regions = (
        polygon(square(10, 20, 1), name="far"),
        polygon(square(0.5, 0.5, 1), name="inland"),
        polygon(square(3.25, 3.25, 0.5), name="tiny"),
        polygon(square(3.5, 3.5, 1), name="good"),
    )
    with pytest.raises(RegionOutsideGridError) as caught:
        check_on_grid((*REGIONS, *regions), SIX, ocean)
    assert caught.value.found.split("; ") == [
        "far, longitude 10 to 11, latitude 20 to 21 (outside the grid)",
        "inland, longitude 0.5 to 1.5, latitude 0.5 to 1.5 (only land)",
        "tiny, longitude 3.25 to 3.75, latitude 3.25 to 3.75 (no cell centre inside)",
    ]
    assert "six, longitude -0.5 to 5.5, latitude -0.5 to 5.5" in caught.value.expected
    assert "TIDENET_REGIONS" in caught.value.remedy
