"""Regions of the user's own: named polygons in a GeoJSON file (RFC 7946).

Every problem of a file is collected before it is refused, so that one message lists them all.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from storage.errors import TidenetError
from storage.regions import REGIONS, Region

MAX_BYTES = 20_000_000
"""Largest file that is read."""

_NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")
_GEOMETRIES = ("Polygon", "MultiPolygon")
_WGS84 = {"CRS84", "4326"}
_FAULTS = {"Self-intersection": "crosses itself", "Ring Self-intersection": "touches itself"}
_EXPECTED = "Polygons or MultiPolygons in degrees (WGS 84), each with a name of its own"


class UnreadableRegionsError(TidenetError):
    """A file of regions is not there, cannot be read, is too large or is no GeoJSON."""


class InvalidRegionsError(TidenetError):
    """A file of regions holds something that cannot be a region."""


def read_regions(path: Path) -> tuple[Region, ...]:
    """Read the regions of a GeoJSON file.

    Parameters
    ----------
    path
        A FeatureCollection or a Feature. Each feature is a Polygon or MultiPolygon in degrees
        (lon, lat) on WGS 84 with the property ``name`` (lowercase letters, digits, hyphens) and,
        if wanted, ``title``. Heights are dropped.

    Returns
    -------
    tuple of Region
        In the order of the file.

    Raises
    ------
    UnreadableRegionsError
        If it is not there, cannot be read, is larger than `MAX_BYTES` or is no GeoJSON.
    InvalidRegionsError
        If something in it cannot be a region; all problems are listed.
    """
    content = _content(path)
    features = _features(path, content)
    problems = [*_crs_problems(content.get("crs")), *_feature_problems(features)]
    if problems:
        raise InvalidRegionsError(
            f"The regions in {path} cannot be used.",
            found="; ".join(problems),
            expected=_EXPECTED,
            remedy="Correct the file; docs/regions.md has an example.",
        )
    return tuple(_region(feature) for feature in features)


# --- the file -------------------------------------------------------------------------------------


def _content(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UnreadableRegionsError(
                f"The file of regions {path} is too large.",
                found=f"{size / 1e6:.1f} MB",
                expected=f"at most {MAX_BYTES / 1e6:g} MB",
                remedy="Simplify its polygons: corners closer than a grid cell change nothing.",
            )
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UnreadableRegionsError(
            "The file of regions cannot be read.",
            found=f"{path}: {error.strerror or error}",
            expected="a GeoJSON file",
            remedy="Correct TIDENET_REGIONS, or make the file readable.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise UnreadableRegionsError(
            f"The file of regions {path} is not JSON.",
            found=str(error),
            expected="GeoJSON text in UTF-8",
            remedy="Export the polygons as GeoJSON again.",
        ) from error


def _features(path: Path, content: Any) -> list[Any]:
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "Feature":
        return [content]
    if kind == "FeatureCollection" and isinstance(content.get("features"), list):
        return list(content["features"])
    found = f"type {shortened(kind)}" if isinstance(content, dict) else type(content).__name__
    if kind == "FeatureCollection":
        found += " without a list of features"
    raise UnreadableRegionsError(
        f"The file of regions {path} is not GeoJSON of features.",
        found=found,
        expected="a FeatureCollection or a Feature",
        remedy="Export the polygons as a GeoJSON FeatureCollection, so that each has properties.",
    )


def _crs_problems(crs: Any) -> Iterator[str]:
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else crs
    if re.split("[:/]", str(name))[-1].upper() not in _WGS84:
        yield (
            f"crs is {shortened(name)}, not WGS 84 (export it as EPSG:4326, or leave crs out if "
            "the positions are longitude and latitude already)"
        )


# --- features -------------------------------------------------------------------------------------


def _feature_problems(features: list[Any]) -> Iterator[str]:
    if not features:
        yield "the file has no feature"
    owners = {region.name: "a built-in region" for region in REGIONS}
    for number, feature in enumerate(features, 1):
        label = f"feature {number}"
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            yield f"{label} is not a Feature but {shortened(feature)}"
            continue
        properties = _properties(feature)
        name = properties.get("name")
        if isinstance(name, str):
            label += f" ({shortened(name)})"
        own = [*_name_problems(name, owners), *_title_problems(properties.get("title"))]
        for problem in (*own, *_geometry_problems(feature.get("geometry"))):
            yield f"{label}: {problem}"
        if isinstance(name, str):
            owners.setdefault(name, f"feature {number}")


def _properties(feature: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _name_problems(name: Any, owners: Mapping[str, str]) -> Iterator[str]:
    if name is None:
        yield "it has no property name (give one, such as changjiang-plume)"
    elif not isinstance(name, str) or not _NAME.fullmatch(name):
        proposal = "-".join(re.findall("[a-z0-9]+", str(name).lower())) or "changjiang-plume"
        yield (
            f"the name {shortened(name)} is not of lowercase letters, digits and hyphens "
            f"(such as {proposal:.40})"
        )
    elif name in owners:
        yield f"the name is that of {owners[name]} (choose another)"


def _title_problems(title: Any) -> Iterator[str]:
    if title is not None and not isinstance(title, str):
        yield f"the title {shortened(title)} is not a text"


# --- geometries -----------------------------------------------------------------------------------


def _geometry_problems(geometry: Any) -> Iterator[str]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in _GEOMETRIES:
        found = "missing" if kind is None else f"a {shortened(kind)}"
        yield f"the geometry is {found}, not a Polygon or MultiPolygon"
        return
    parts = _parts(geometry)
    if not _is_filled(parts) or not all(_is_filled(part) for part in parts):
        yield f"the coordinates of the {kind} are not lists of rings"
        return
    problems = [
        f"{_part_label(number, parts)}ring {place} {problem}"
        for number, part in enumerate(parts, 1)
        for place, ring in enumerate(part, 1)
        for problem in _ring_problems(ring)
    ]
    yield from problems or _shape_problems(geometry)


def _parts(geometry: Mapping[str, Any]) -> Any:
    """Return the polygons of a geometry, each a list of rings."""
    coordinates = geometry.get("coordinates")
    return [coordinates] if geometry["type"] == "Polygon" else coordinates


def _part_label(number: int, parts: list[Any]) -> str:
    return f"part {number}, " if len(parts) > 1 else ""


def _ring_problems(ring: Any) -> Iterator[str]:
    if not isinstance(ring, list) or len(ring) < 4:
        found = f"{len(ring)} positions" if isinstance(ring, list) else shortened(ring)
        yield f"has {found}, not 4 or more with the first repeated at the end"
        return
    malformed = [position for position in ring if not _is_position(position)]
    if malformed:
        yield f"has the position {shortened(malformed[0])}, not [longitude, latitude]"
        return
    off = [position for position in ring if not _is_degrees(*position[:2])]
    if off:
        yield f"has the position {shortened(off[0])}, not in degrees{_hint(ring)}"
    if ring[0][:2] != ring[-1][:2]:
        yield (
            f"is not closed: it begins at {shortened(ring[0])} and ends at {shortened(ring[-1])} "
            "(repeat the first position at the end)"
        )


def _is_filled(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0


def _is_position(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 2
        and all(isinstance(part, int | float) and not isinstance(part, bool) for part in value)
    )


def _is_degrees(lon: float, lat: float) -> bool:
    return abs(lon) <= 360 and abs(lat) <= 90


def _hint(ring: list[Any]) -> str:
    if all(_is_degrees(*position[1::-1]) for position in ring):
        return " (latitude and longitude look swapped: longitude comes first)"
    return " (longitude -360 to 360, latitude -90 to 90)"


def _shape_problems(geometry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the shape of a geometry whose rings are in order."""
    import shapely

    parts = _flat(geometry)
    polygons = [shapely.Polygon(part[0], part[1:]) for part in parts]
    problems = [
        f"{_part_label(number, parts)}the polygon {fault}"
        for number, polygon in enumerate(polygons, 1)
        for fault in _polygon_faults(polygon)
    ]
    together = shapely.MultiPolygon(polygons)
    if not problems and not together.is_valid:
        _, place = _why_invalid(together)
        problems = [f"its parts overlap or share an edge{place} (make one part of them)"]
    yield from problems


def _polygon_faults(polygon: Any) -> Iterator[str]:
    if polygon.convex_hull.area == 0:
        yield "has no area"
    elif not polygon.is_valid:
        fault, place = _why_invalid(polygon)
        yield f"{_FAULTS.get(fault, f'is not valid ({fault})')}{place}"


def _why_invalid(shape: Any) -> tuple[str, str]:
    """Return what the geometry library finds wrong, and where, for people."""
    import shapely

    reason = shapely.is_valid_reason(shape)
    fault, _, place = reason.partition("[")
    lon_lat = ", ".join(f"{float(number):g}" for number in place.rstrip("]").split())
    return fault, f" at ({lon_lat})" if lon_lat else ""


def _flat(geometry: Mapping[str, Any]) -> list[list[list[list[float]]]]:
    """Return the polygons of a geometry with positions (lon, lat), without heights."""
    return [[[position[:2] for position in ring] for ring in part] for part in _parts(geometry)]


def _region(feature: Mapping[str, Any]) -> Region:
    properties = _properties(feature)
    name, kind = properties["name"], feature["geometry"]["type"]
    parts = _flat(feature["geometry"])
    geometry = {"type": kind, "coordinates": parts[0] if kind == "Polygon" else parts}
    return Region(name, properties.get("title") or _title(name), geometry)


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()
