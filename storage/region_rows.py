"""The regions that archived runs have predictions for, as the archive has them drawn."""

from collections.abc import Collection
from itertools import groupby

from sqlalchemy import Engine, select

from storage import tables as t
from storage.database import reading
from storage.regions import Region


def regions_of_runs(engine: Engine, run_ids: Collection[str]) -> dict[str, tuple[Region, ...]]:
    """Return the regions of each run.

    Parameters
    ----------
    engine
        The archive database.
    run_ids
        Ids of runs.

    Returns
    -------
    dict
        Run id to its regions, sorted by name, drawn as they are archived: also those that the
        user's file has lost since.
    """
    prediction, region = t.RegionalPrediction, t.Region
    pairs = (
        select(prediction.run_id, prediction.region)
        .where(prediction.run_id.in_(run_ids))
        .distinct()
        .order_by(prediction.run_id, prediction.region)
    )
    with reading(engine) as connection:
        drawn = {
            name: Region(name, title, definition or None)
            for name, title, definition in connection.execute(
                select(region.name, region.title, region.definition)
            )
        }
        rows = connection.execute(pairs).all()
    found = {
        run_id: tuple(drawn[name] for _, name in group)
        for run_id, group in groupby(rows, key=lambda row: row.run_id)
    }
    return {run_id: found.get(run_id, ()) for run_id in run_ids}
