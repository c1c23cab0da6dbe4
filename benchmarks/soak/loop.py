"""Living through the months: files arrive, the schedule fires, the house is kept."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import fsspec
import yaml
from services.small_loop import PRODUCT, TINY, World, dataset, flux

from benchmarks.soak.crew import Crew
from benchmarks.soak.faults import Servers, second_version, strike
from benchmarks.soak.plan import LASTING, Fault, Kind, strikes
from storage.months import Month, calendar_month, first_day, month, month_range

FIRST = month("2010-01")
BEGIN = month("2014-01")
"""The first month that is lived through; those before it are there from the beginning."""

DAILY = ("ingest", "forecast", "verify")
ARRIVAL, LATER, UPKEEP, AGAIN, TRAINING = 14, 18, 21, 22, 25
"""Days after a month's end: its file comes, the schedule fires once more, ..."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Looked:
    """What a month left behind.

    Parameters
    ----------
    month
        The month.
    memory_mb, handles
        Resident memory and file handles of each long-lived process.
    seconds
        How long each step took.
    n_bytes
        What record, predictions, models, backups and database take after the upkeep.
    events
        What went wrong, for people.
    """

    month: Month
    memory_mb: Mapping[str, float]
    handles: Mapping[str, int]
    seconds: Mapping[str, float]
    n_bytes: Mapping[str, int]
    events: Sequence[str]


@dataclass
class Loop:
    """The loop of one home folder.

    Parameters
    ----------
    world
        The home folder, its landing zone and its archive.
    crew
        Who does the steps.
    servers
        What can fail.
    faults
        What goes wrong in which month.
    """

    world: World
    crew: Crew
    servers: Servers
    faults: Mapping[Month, Fault]
    findings: list[str] = field(default_factory=list)
    _real: list[tuple[dt.datetime, dt.datetime]] = field(default_factory=list)

    def prepare(self) -> None:
        """Take the months before the first one, train, and make the first forecast."""
        settings = self.world.workspace.settings
        specification = settings.home / "products" / "small.yaml"
        # Files of several versions, so that one can come twice.
        specification.write_text(PRODUCT.replace("{month}.nc", "{month}*.nc"))
        options = TINY.model_dump(mode="json")
        (settings.home / "tiny.yaml").write_text(yaml.safe_dump(options))
        self.world.deliver_span(FIRST, BEGIN - 1)
        now = _day(BEGIN - 1, LATER)
        for step in ("ingest", "retrain", "forecast", "verify"):
            self.crew.do(step, now)

    def live(self, months: Sequence[Month], progress: Progress) -> list[Looked]:
        """Live through months, and return what each left behind."""
        looked = []
        for one in months:
            events = self._live(one)
            looked.append(self._look(one, events))
            progress(_shown(looked[-1]))
        return looked

    # --- one month ----------------------------------------------------------------------------

    def _live(self, one: Month) -> list[str]:
        fault = self.faults.get(one)
        events = [f"{fault.kind}"] if fault is not None else []
        self._arrive(one, fault)
        events += self._fire(_day(one, ARRIVAL), fault)
        # The schedule fires every day. What a fault interrupted is done then.
        events += self._fire(_day(one, LATER), None)
        events += self._keep_house(one, fault)
        if calendar_month(one) == 12:
            trained = self.crew.do("retrain", _day(one, TRAINING)).done
            events.append(f"{trained['version']}{' promoted' if trained['promoted'] else ''}")
        return events

    def _arrive(self, one: Month, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        if kind is not Kind.LATE:
            file = self.world.deliver(one)
            if kind is Kind.DAMAGED:
                whole = file.read_bytes()
                file.write_bytes(whole[: len(whole) // 2])
            if kind is Kind.DOUBLED:
                second_version(file).write_bytes(file.read_bytes())
        if fault is not None and kind is Kind.REVISED:
            earlier = one - fault.n_months
            self.world.deliver(earlier, dataset(earlier, flux(earlier) + 0.3))
        for other in self.faults.values():
            if other.kind in LASTING and other.month + other.n_months == one:
                second_version(self.world.deliver(other.month)).unlink(missing_ok=True)

    def _fire(self, now: dt.datetime, fault: Fault | None) -> list[str]:
        self._real.append((now, dt.datetime.now(dt.UTC)))
        events = []
        for step in DAILY:
            if fault is not None and strikes(fault, step):
                events.append(strike(fault, step, self.crew, now, self.servers))
            else:
                self.crew.do(step, now)
        return events

    def _keep_house(self, one: Month, fault: Fault | None) -> list[str]:
        events = []
        if fault is not None and strikes(fault, "maintain"):
            now = self._upkeep_clock(_day(one, UPKEEP))
            events.append(strike(fault, "maintain", self.crew, now, self.servers))
        done = self.crew.do("maintain", self._upkeep_clock(_day(one, AGAIN))).done
        self.findings += [f"{one}: {found}" for found in (*done["findings"], *done["lost"])]
        return events

    def _upkeep_clock(self, now: dt.datetime) -> dt.datetime:
        """Return the moment that makes snapshots as old as they are in simulated time.

        Icechunk notes when a snapshot was really made, and the soak lives through a month in
        seconds.
        """
        keep = dt.timedelta(days=self.world.workspace.settings.keep_snapshots_days)
        before = [real for simulated, real in self._real if simulated <= now - keep]
        began = self._real[0][1] - dt.timedelta(hours=1)
        return (before[-1] if before else began) + keep

    # --- looking ------------------------------------------------------------------------------

    def _look(self, one: Month, events: Sequence[str]) -> Looked:
        measured = {step: hand.measured() for step, hand in self.crew.hands.items()}
        return Looked(
            one,
            {step: memory for step, (memory, _) in measured.items()},
            {step: handles for step, (_, handles) in measured.items()},
            dict(self.crew.usual_s),
            self.sizes(),
            events,
        )

    def sizes(self) -> dict[str, int]:
        """Return how much lies in each place (bytes)."""
        settings = self.world.workspace.settings
        urls = {
            "record": settings.record_url,
            "predictions": settings.predictions_url,
            "models": settings.models_url,
            "backups": settings.backup_url,
        }
        found = {name: _size(url) for name, url in urls.items()}
        [(found["database"],)] = self.world.rows("SELECT pg_database_size(current_database())")
        return found


def months_of(n: int) -> list[Month]:
    """Return the months that are lived through."""
    return month_range(BEGIN, BEGIN + (n - 1))


def _day(one: Month, days: int) -> dt.datetime:
    """Return noon of a day after the end of a month."""
    began = dt.datetime.combine(first_day(one + 1), dt.time(12), dt.UTC)
    return began + dt.timedelta(days=days)


def _size(url: str) -> int:
    filesystem, path = fsspec.core.url_to_fs(url)
    filesystem.invalidate_cache()
    return int(filesystem.du(path)) if filesystem.exists(path) else 0


def _shown(looked: Looked) -> str:
    total = sum(looked.memory_mb.values())
    megabytes = sum(looked.n_bytes.values()) / 1e6
    told = "; ".join(looked.events)
    handles = sum(looked.handles.values())
    return f"{looked.month}: {total:.0f} MB, {handles} handles, {megabytes:.0f} MB kept. {told}"
