"""Answers of the archive as pandas tables and xarray datasets.

Fluxes are in mmol m-2 d-1, positive out of the sea. Months are the time of their first day.
"""

import datetime as dt
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine

from storage.dimensions import require_region
from storage.locations import Patience
from storage.named_queries import ask
from storage.run_queries import UnknownRunError, last_run, run

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

DEFAULT_PATIENCE = Patience()


def query(engine: Engine, name: str, **parameters: object) -> "pd.DataFrame":
    """Return the answer to a named query (`storage.named_queries`) as a table.

    Dates and times are datetime64; times are in UTC.

    Raises
    ------
    UnknownQueryError, InvalidParameterError
        If there is no such query, or it cannot be asked so.
    """
    import pandas as pd

    answer = ask(engine, name, parameters)
    table = pd.DataFrame(list(answer.rows), columns=list(answer.columns))
    for column in table.columns:
        present = table[column].dropna()
        if len(present) and isinstance(present.iloc[0], dt.date):
            timed = isinstance(present.iloc[0], dt.datetime)
            table[column] = pd.to_datetime(table[column], utc=timed)
    return table


def forecast_latest(engine: Engine, region: str = "all") -> "pd.DataFrame":
    """Return the newest forecast of a region, one row a lead. Raises UnknownRegionError."""
    require_region(engine, region)
    return query(engine, "forecast", region=region)


def forecast_as_of(engine: Engine, moment: dt.datetime, region: str = "all") -> "pd.DataFrame":
    """Return the forecast of a region that was the newest at a moment (aware, or UTC)."""
    require_region(engine, region)
    return query(engine, "forecast-as-of", as_of=moment.isoformat(), region=region)


def forecast_vs_observed(
    engine: Engine, region: str = "all", lead_months: int = 1
) -> "pd.DataFrame":
    """Return what was forecast of a region at one lead, and what came, by valid month."""
    require_region(engine, region)
    return query(engine, "forecast-vs-observed", region=region, lead_months=lead_months)


def skill_by_lead(engine: Engine, region: str = "all") -> "pd.DataFrame":
    """Return skill scores and errors of each model, kind and lead over a region."""
    require_region(engine, region)
    return query(engine, "skill-by-lead", region=region)


def skill_by_month(engine: Engine, region: str = "all", lead_months: int = 1) -> "pd.DataFrame":
    """Return skill of each model and kind at one lead, by calendar month of the valid month."""
    require_region(engine, region)
    return query(engine, "skill-by-month", region=region, lead_months=lead_months)


def uptake(
    engine: Engine, region: str = "ecs-shelf", period: Literal["month", "year"] = "year"
) -> "pd.DataFrame":
    """Return the carbon that a region takes up, Tg C, positive into the sea, with 90 % interval."""
    require_region(engine, region)
    return query(engine, f"uptake-by-{period}", region=region)


def cell_series(
    engine: Engine, lat: float, lon: float, lead_months: int = 1, model: str | None = None
) -> "pd.DataFrame":
    """Return forecasts at one lead of the archive cell nearest to a point, and what came.

    Parameters
    ----------
    engine
        The archive database.
    lat, lon
        The point (degrees north, degrees east).
    lead_months
        The lead.
    model
        Version of a model; None for the champion.
    """
    return query(engine, "cell-series", lat=lat, lon=lon, lead_months=lead_months, model=model)


def forecast_map(engine: Engine, run_id: str | None = None, lead_months: int = 1) -> "xr.Dataset":
    """Return one lead of a run on the archive grid.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``q05``, ``q95``, ``p_source`` and ``anomaly`` (lat, lon), NaN where there is no
        ocean.

    Raises
    ------
    UnknownRunError
        If there is no such run, or it has no cells archived at this lead.
    """
    chosen = run(engine, run_id) if run_id else last_run(engine)
    table = query(engine, "map", run=None if chosen is None else chosen.id, lead_months=lead_months)
    if chosen is None or table.empty:
        raise UnknownRunError(
            "The archive holds no map of this forecast.",
            found=f"run {run_id or 'none'}, lead {lead_months}",
            remedy="List the runs: tidenet sql 'SELECT run_id, n_leads FROM runs'",
        )
    dataset = table.set_index(["lat", "lon"]).to_xarray()
    for name in dataset.data_vars:
        dataset[name].attrs["units"] = "1" if name == "p_source" else "mmol m-2 d-1"
    return dataset.assign_attrs(
        run_id=chosen.id,
        init_month=str(chosen.init_month),
        valid_month=str(chosen.init_month + lead_months),
    )


def fields_of(engine: Engine, run_id: str, patience: Patience = DEFAULT_PATIENCE) -> "xr.Dataset":
    """Open the gridded fields of a run at full resolution, after a look at their checksum.

    Raises
    ------
    UnknownRunError
        If there is no such run.
    MissingFieldsError, CorruptFieldsError
        If its fields are gone, or are not those that were written.
    """
    from storage.gridded import read_run, verify_run

    found = run(engine, run_id)
    verify_run(found.fields_url, found.fields_sha256, patience)
    return read_run(found.fields_url, patience)
