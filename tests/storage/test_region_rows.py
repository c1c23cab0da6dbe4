"""Which regions archived runs have, and how the archive has them drawn."""

from services.archive_samples import fill
from sqlalchemy import Engine, insert, select

from storage import tables as t
from storage.database import reading, transaction
from storage.region_rows import regions_of_runs
from storage.regions import REGIONS, Region

BAY = Region(
    "bay",
    "The bay",
    {"type": "Polygon", "coordinates": [[[121, 30], [123.1, 30], [123, 31.7], [121, 30]]]},
)


def add_region(archive: Engine, run_id: str, region: Region) -> None:
    """Give a run rows of one more region: those that it has of the whole sea."""
    prediction = t.RegionalPrediction.__table__
    of_all = select(prediction).where(prediction.c.run_id == run_id, prediction.c.region == "all")
    with transaction(archive) as connection:
        rows = [
            dict(row) | {"region": region.name} for row in connection.execute(of_all).mappings()
        ]
        connection.execute(
            insert(t.Region),
            {"name": region.name, "title": region.title, "definition": region.definition},
        )
        connection.execute(insert(prediction), rows)


def test_a_run_has_the_regions_that_it_was_archived_with_as_they_were_drawn(
    archive: Engine,
) -> None:
    run_id, _ = fill(archive)
    built_in = {region.name: region for region in REGIONS}
    assert regions_of_runs(archive, [run_id]) == {run_id: (built_in["all"], built_in["yellow-sea"])}
    add_region(archive, run_id, BAY)
    assert regions_of_runs(archive, {run_id}) == {
        run_id: (built_in["all"], BAY, built_in["yellow-sea"])
    }


def test_a_run_that_is_not_there_has_no_region(archive: Engine) -> None:
    fill(archive)
    assert regions_of_runs(archive, ["elsewhere"]) == {"elsewhere": ()}
    assert regions_of_runs(archive, []) == {}


def test_regions_that_no_run_of_these_has_are_left_out(archive: Engine) -> None:
    run_id, _ = fill(archive)
    with transaction(archive) as connection:
        connection.execute(
            insert(t.Region), {"name": "bay", "title": "", "definition": BAY.definition}
        )
    with reading(archive) as connection:
        assert len(connection.execute(select(t.Region)).all()) == 3
    assert [region.name for region in regions_of_runs(archive, [run_id])[run_id]] == [
        "all",
        "yellow-sea",
    ]
