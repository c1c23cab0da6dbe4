"""The forecast archive: runs go in with all their rows, and come out as answers.

A run and its rows become visible in one transaction. Runs are never changed: a rerun is a new run,
and views choose which one counts. Everything that other rooms need of the archive is named here.
"""

from storage.answers import (
    cell_series,
    fields_of,
    forecast_as_of,
    forecast_latest,
    forecast_map,
    forecast_vs_observed,
    query,
    skill_by_lead,
    skill_by_month,
    uptake,
)
from storage.archive_rows import (
    QUANTILES,
    CellRows,
    ForecastRun,
    IssuedKind,
    OutdatedRun,
    RegionalRows,
    Trace,
    WrittenRun,
    YearlyRows,
    new_run_id,
)
from storage.dimensions import DimensionChangedError, UnknownRegionError
from storage.prediction_rows import InvalidRowsError
from storage.run_queries import (
    UnknownRunError,
    archive_grid_of,
    archived_cells,
    archived_regions,
    current_run,
    find_run,
    last_run,
    latest_observed,
    outdated_runs,
    run,
    runs,
    trace,
)
from storage.run_writing import ClockJumpedError, DuplicateRunError, write_run
from storage.score_rows import ScoreRow, SkillRow, Unscored
from storage.skill_queries import skill_table, unscored, write_scores

__all__ = [
    "QUANTILES",
    "CellRows",
    "ClockJumpedError",
    "DimensionChangedError",
    "DuplicateRunError",
    "ForecastRun",
    "InvalidRowsError",
    "IssuedKind",
    "OutdatedRun",
    "RegionalRows",
    "ScoreRow",
    "SkillRow",
    "Trace",
    "UnknownRegionError",
    "UnknownRunError",
    "Unscored",
    "WrittenRun",
    "YearlyRows",
    "archive_grid_of",
    "archived_cells",
    "archived_regions",
    "cell_series",
    "current_run",
    "fields_of",
    "find_run",
    "forecast_as_of",
    "forecast_latest",
    "forecast_map",
    "forecast_vs_observed",
    "last_run",
    "latest_observed",
    "new_run_id",
    "outdated_runs",
    "query",
    "run",
    "runs",
    "skill_by_lead",
    "skill_by_month",
    "skill_table",
    "trace",
    "unscored",
    "uptake",
    "write_run",
    "write_scores",
]
