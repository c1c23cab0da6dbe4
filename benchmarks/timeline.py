"""Where the time goes from a month's file to its forecast in SQL."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder
from services.whole_loop import Services
from sqlalchemy import text

from benchmarks.stack import Stack
from flows.monthly import PUBLISHED
from storage.months import Month, first_day

LATEST = text("SELECT count(*) FROM forecast_latest WHERE init_month = :month AND region = 'all'")
MADE = text(
    "SELECT created_at, duration_s FROM forecast_runs WHERE init_month = :month "
    "ORDER BY created_at LIMIT 1"
)


@dataclass(frozen=True)
class Arrival:
    """How one month went.

    Parameters
    ----------
    total_s
        From the file in the landing zone to its forecast in `forecast_latest`.
    parts_s
        What that time went into, in order; their sum is the whole.
    verified_s
        Until the verification that follows had ended.
    """

    total_s: float
    parts_s: Mapping[str, float]
    verified_s: float


def arrive(stack: Stack, one: Month, file_name: str) -> Arrival:
    """Let a month's file arrive, start the ingest, and ask for its forecast until it is there."""
    services = stack.services
    known = services.known_runs("forecast", "verify")
    stack.deliver(file_name)
    landed = _now()
    ingest_id = services.start("ingest-monthly")
    found = _found(services, one)
    forecast, verify = (services.triggered(name, known) for name in ("forecast", "verify"))
    moments = _moments(services, ingest_id, forecast, one)
    parts, before = {}, landed
    for what, moment in (*moments, ("forecast: write rows, until a query finds them", found)):
        parts[what] = (moment - before).total_seconds()
        before = moment
    assert verify.end_time is not None
    return Arrival(
        (found - landed).total_seconds(), parts, (verify.end_time - landed).total_seconds()
    )


def _found(services: Services, one: Month) -> dt.datetime:
    """Return when a query first finds the month's forecast."""

    def look() -> dt.datetime | None:
        with services.engine.connect() as connection:
            n_rows = connection.execute(LATEST, {"month": first_day(one)}).scalar_one()
        return _now() if n_rows else None

    return services.wait_for(look, f"the forecast from {one}")


def _moments(
    services: Services, ingest_id: UUID, forecast: FlowRun, one: Month
) -> Iterator[tuple[str, dt.datetime]]:
    """Yield what ended when, in order, as the server and the archive have noted it."""
    pending, running = _states(services, ingest_id)
    tasks = _tasks(services, ingest_id)
    yield "ingest: until the worker takes it up", pending
    yield "ingest: process and imports", running
    yield "ingest: until its first task begins", tasks["ingest-files"][0]
    yield "ingest: list, read, check, complete, commit", tasks["ingest-files"][1]
    yield "ingest: drivers, announcing the month", _announced(services, one)
    assert forecast.created is not None
    yield "until the event has scheduled a forecast", forecast.created
    pending, running = _states(services, forecast.id)
    yield "forecast: until the worker takes it up", pending
    yield "forecast: process and imports", running
    yield (
        "forecast: look for a GPU worker, begin its task",
        _tasks(services, forecast.id)["make-forecasts"][0],
    )
    with services.engine.connect() as connection:
        created, duration_s = connection.execute(MADE, {"month": first_day(one)}).one()
    begun = created - dt.timedelta(seconds=duration_s)
    yield "forecast: what is due, opening the record", begun
    yield "forecast: load model, read, compute, write fields", created


def _states(services: Services, run_id: UUID) -> tuple[dt.datetime, dt.datetime]:
    """Return when a flow run was taken up, and when it ran."""
    first: dict[StateType, dt.datetime] = {}
    for state in services.client.read_flow_run_states(run_id):
        known = first.get(state.type)
        first[state.type] = state.timestamp if known is None else min(known, state.timestamp)
    return first[StateType.PENDING], first[StateType.RUNNING]


def _tasks(services: Services, run_id: UUID) -> dict[str, tuple[dt.datetime, dt.datetime]]:
    """Return begin and end of the tasks of a flow run, by name."""
    return {
        task.name.rpartition("-")[0]: (task.start_time, task.end_time)
        for task in services.tasks_of(run_id)
        if task.start_time is not None and task.end_time is not None
    }


def _announced(services: Services, one: Month) -> dt.datetime:
    wanted = EventFilter(event=EventNameFilter(name=[PUBLISHED]), order=EventOrder.DESC)
    for event in services.client.read_events(wanted, limit=50).events:
        if event.payload["month"] == str(one):
            return event.occurred
    raise LookupError(f"{one} was not announced")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
