"""The forecasts that are due: from the newest month, and from what came late or was revised.

Months do not always arrive one by one. When two come together, or one late, each of them gets the
forecast that it would have had; when a month is revised, the forecasts that had read it are made
again from the new content. The earlier runs stay in the archive.
"""

from flows.operations.forecast import MadeForecast, forecast
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.archive import outdated_runs, runs, unscored
from storage.months import Month, month_range
from storage.registry import champion


def due_init_months(workspace: Workspace) -> tuple[Month, ...]:
    """Return the init months that a forecast is due from, ascending, the record's last one always.

    A forecast that exists already is among them where it need not be made again: making it finds
    that out.
    """
    store = workspace.record()
    last = store.last_month
    if last is None:
        return ()
    issued = [run for run in runs(workspace.engine) if run.issued_kind != "hindcast"]
    live = [run.init_month for run in issued if run.issued_kind == "live"]
    due: set[Month] = {last}
    if live:
        due |= set(month_range(min(live), last)) - {run.init_month for run in issued}
    due |= {
        run.init_month
        for run in outdated_runs(workspace.engine)
        if run.issued_kind != "hindcast" and run.init_month <= last
    }
    return tuple(sorted(due))


def unheard_month(workspace: Workspace) -> tuple[Month, str] | None:
    """Return the record's last month and snapshot, if what follows a month has not followed it.

    Somebody may have ingested it by hand, or have died before saying so: then no forecast was made
    from it, or earlier forecasts of it were not scored. None if all was done, or while there is no
    champion to forecast with.
    """
    store = workspace.record()
    last = store.last_month
    if last is None or champion(workspace.engine, store.grid.name) is None:
        return None
    made = {run.init_month for run in runs(workspace.engine) if run.issued_kind != "hindcast"}
    if last in made and not unscored(workspace.engine, last):
        return None
    return last, store.snapshot_id


def forecast_due(
    workspace: Workspace,
    *,
    seed: int = 0,
    placement: str = "",
    progress: Progress = no_progress,
) -> tuple[MadeForecast, ...]:
    """Make every forecast that is due, oldest init month first, and return them in that order.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    seed
        Seed of the ensembles.
    placement
        What hardware was asked for and why they run here, for the archive.
    progress
        Called after each.

    Raises
    ------
    NothingKnownError, NoChampionError, StaleInputError
        As `flows.operations.forecast.forecast`. What was made before stays.
    """
    wanted = due_init_months(workspace) or (None,)  # an empty record says so itself
    made: list[MadeForecast] = []
    for init_month in wanted:
        made.append(forecast(workspace, init=init_month, seed=seed, placement=placement))
        progress(len(made), len(wanted), str(init_month))
    return tuple(made)
