"""Somebody who reads all the time: the record and the archive, in a process apart.

It notes whatever is torn: a month with holes, an axis with a gap, a run that lacks rows or fields.
That a server does not answer is no tear.

    python -m services.watching_reader FILE   (settings from the environment)
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sqlalchemy import text

from flows.operations.workspace import Workspace, read_settings
from storage.database import DatabaseUnavailableError, reading
from storage.gridded import read_run
from storage.locations import StoreUnavailableError

RUNS = """
SELECT r.id, r.fields_url, r.n_leads, count(p.region) AS n_rows,
    count(DISTINCT p.region) AS n_regions
FROM forecast_runs AS r LEFT JOIN regional_predictions AS p ON p.run_id = r.id
GROUP BY r.id, r.fields_url, r.n_leads
"""


def watch(file: Path) -> None:
    """Look until somebody ends this, and keep what was found in a file."""
    workspace = Workspace(read_settings())
    looks, unanswered, torn = 0, 0, []
    whole: set[str] = set()
    while True:
        try:
            torn += [*_in_record(workspace), *_in_archive(workspace, whole)]
            looks += 1
        except (DatabaseUnavailableError, StoreUnavailableError):
            unanswered += 1
        found = {"looks": looks, "unanswered": unanswered, "torn": torn[:20]}
        part = file.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.replace(file)
        time.sleep(0.2)


def _in_record(workspace: Workspace) -> Iterator[str]:
    record = workspace.record()
    months = record.months()
    if len(months) and not np.array_equal(months, np.arange(months[0], months[-1] + 1)):
        yield f"snapshot {record.snapshot_id}: months {months}"
    last = record.read_month(months[-1])
    if not np.isfinite(last.fco2[record.ocean]).all():
        yield f"snapshot {record.snapshot_id}: {months[-1]} has holes"
    if not np.isin(last.quality[record.ocean], (1, 2)).all():
        yield f"snapshot {record.snapshot_id}: {months[-1]} has cells of no quality"


def _in_archive(workspace: Workspace, whole: set[str]) -> Iterator[str]:
    """Look at runs that were not seen before; `whole` remembers those that are whole."""
    with reading(workspace.engine) as connection:
        rows = connection.execute(text(RUNS)).all()
    for run_id, url, n_leads, n_rows, n_regions in rows:
        if run_id in whole:
            continue
        if n_regions == 0 or n_rows != n_leads * n_regions:
            yield f"run {run_id}: {n_rows} rows of {n_leads} leads and {n_regions} regions"
        elif read_run(url, workspace.patience).sizes["lead"] != n_leads:
            yield f"run {run_id}: its fields have other leads"
        else:
            whole.add(run_id)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
