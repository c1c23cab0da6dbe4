"""Judging a soak: what has to be true at its end, tables, and a picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from services.small_loop import World

from benchmarks.soak.loop import FIRST, Looked, Loop
from storage.archive import unscored
from storage.months import Month

PREDICTIONS = """
SELECT r.init_month, m.trained_until, p.region, p.lead_months,
    p.mean, p.spread, p.q05, p.q25, p.q50, p.q75, p.q95, p.climatology
FROM runs AS r JOIN regional_predictions AS p ON p.run_id = r.run_id
    JOIN model_versions AS m ON m.version = r.model_version
WHERE r.entry = (SELECT max(entry) FROM runs AS n WHERE n.init_month = r.init_month)
ORDER BY r.init_month, p.region, p.lead_months
"""
SCORES = """
SELECT r.init_month, m.trained_until, s.region, s.lead_months, s.n_cells, s.se_model, s.crps
FROM runs AS r JOIN scores_current AS s ON s.run_id = r.run_id
    JOIN model_versions AS m ON m.version = r.model_version
WHERE r.entry = (SELECT max(entry) FROM runs AS n WHERE n.init_month = r.init_month)
ORDER BY r.init_month, s.region, s.lead_months
"""
"""What counts of each init month: its newest run, however it came about."""

TOLERANCE = 1e-5
WARM_UP = 24
"""Months after which processes have loaded what they need: from here on memory has to be flat."""

LEAK_MB, LEAK_HANDLES = 60.0, 5.0
"""Growth of one process in ten years that is no leak: allocators and caches take that much."""


@dataclass(frozen=True)
class Check:
    """Something that has to be true, and what was found."""

    what: str
    passed: bool
    found: str


def check_state(
    disturbed: Loop, calm: Loop, months: Sequence[Month], looked: Sequence[Looked]
) -> Iterator[Check]:
    """Yield what has to be true of the state."""
    world = disturbed.world
    record = world.workspace.record()
    there = [str(one) for one in record.months()]
    gaps = len(there) != int((months[-1] - FIRST).astype(int)) + 1
    yield Check("every month is published", not gaps, f"{there[0]} to {there[-1]}, {len(there)}")

    issued = {str(row[0])[:7] for row in world.rows("SELECT DISTINCT init_month FROM runs")}
    missing = [str(one) for one in months if str(one) not in issued]
    yield Check("every init month has a forecast", not missing, f"missing: {missing or 'none'}")

    last = record.last_month
    assert last is not None
    open_ones = unscored(world.workspace.engine, last)
    yield Check("everything verifiable is scored", not open_ones, f"{len(open_ones)} leads open")

    same = record.content_hash() == calm.world.workspace.record().content_hash()
    yield Check("the record is that of an undisturbed run", same, record.content_hash()[:16])
    for name, statement in (("regional predictions", PREDICTIONS), ("scores", SCORES)):
        passed, found = _compared(world, calm.world, statement)
        yield Check(f"{name} are those of an undisturbed run", passed, found)

    runs_made = [loop.world.count("forecast_runs") for loop in (disturbed, calm)]
    yield Check(
        "no forecast is made once more for it",
        runs_made[0] == runs_made[1],
        f"{runs_made[0]} runs, undisturbed {runs_made[1]}",
    )
    harmful = [one for one in disturbed.findings if "orphan" not in one]
    orphans = len(set(disturbed.findings)) - len(set(harmful))
    yield Check(
        "the audit finds nothing but what killed writers left",
        not harmful,
        "; ".join(harmful[:3]) or f"{orphans} looks at such groups",
    )
    yield _record_size(looked, calm)


def _compared(world: World, calm: World, statement: str) -> tuple[bool, str]:
    """Compare rows: keys exactly, values to the rounding of single precision."""
    here, there = world.rows(statement), calm.rows(statement)
    if [row[:4] for row in here] != [row[:4] for row in there] or not here:
        different = set(row[:4] for row in here) ^ set(row[:4] for row in there)
        return False, f"{len(here)} and {len(there)} rows; {len(different)} of other keys"
    values = [np.array([row[4:] for row in rows], dtype=float) for rows in (here, there)]
    largest = float(np.abs(values[0] - values[1]).max())
    return largest <= TOLERANCE, f"{len(here)} rows, largest difference {largest:.1e}"


def _record_size(looked: Sequence[Looked], calm: Loop) -> Check:
    """Hold the record's size against that of the undisturbed run: nothing killed stays behind."""
    here, there = looked[-1].n_bytes["record"], calm.sizes()["record"]
    found = f"{here / 1e6:.2f} MB, undisturbed {there / 1e6:.2f} MB"
    return Check("the record is no larger for it", here < 1.1 * there, found)


def check_flatness(looked: Sequence[Looked]) -> Iterator[Check]:
    """Yield whether memory and file handles of each long-lived process are flat."""
    for step in looked[0].memory_mb:
        for what, unit, limit in (("memory_mb", "MB", LEAK_MB), ("handles", "", LEAK_HANDLES)):
            series = [getattr(one, what)[step] for one in looked][WARM_UP:]
            if len(series) < WARM_UP:
                continue  # nothing can be told of so few months
            grown = 120 * slope(series)
            found = f"{series[0]:.0f} to {series[-1]:.0f} {unit}, {grown:+.1f} in ten years"
            name = what.removesuffix("_mb")
            yield Check(f"{name} of {step} is flat", grown <= limit, found)


def slope(series: Sequence[float]) -> float:
    """Return the slope of a line through a series, per step."""
    return float(np.polyfit(np.arange(len(series)), series, 1)[0])


# --- shown ----------------------------------------------------------------------------------------


def print_checks(checks: Sequence[Check]) -> None:
    """Print what had to be true."""
    print("\n| what has to be true | is it | found |\n|---|---|---|")
    for one in checks:
        print(f"| {one.what} | {'yes' if one.passed else '**no**'} | {one.found} |")


def print_series(looked: Sequence[Looked]) -> None:
    """Print memory, handles, seconds and sizes at the end of each year."""
    steps, places = list(looked[0].memory_mb), list(looked[0].n_bytes)
    head = [f"MB {step}" for step in steps] + [f"handles {step}" for step in steps]
    head += [f"s {step}" for step in ("ingest", "forecast", "verify", "maintain")]
    head += [f"{place} MB" for place in places]
    print(f"\n| month | {' | '.join(head)} |\n|---|{'---|' * len(head)}")
    for one in looked[11::12] or looked[-1:]:
        cells = [f"{one.memory_mb[step]:.0f}" for step in steps]
        cells += [f"{one.handles[step]}" for step in steps]
        cells += [f"{one.seconds[s]:.1f}" for s in ("ingest", "forecast", "verify", "maintain")]
        cells += [f"{one.n_bytes[place] / 1e6:.1f}" for place in places]
        print(f"| {one.month} | {' | '.join(cells)} |")


def print_events(looked: Sequence[Looked]) -> None:
    """Print what went wrong."""
    print("\n| month | what went wrong |\n|---|---|")
    for one in looked:
        if one.events:
            print(f"| {one.month} | {'; '.join(one.events)} |")


def draw(looked: Sequence[Looked], file: Path) -> None:
    """Draw memory, handles and sizes over the months."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    times = [one.month.astype("datetime64[D]") for one in looked]
    figure, (memory, handles, sizes) = plt.subplots(
        3, 1, figsize=(8, 7.5), sharex=True, layout="constrained"
    )
    for axis, title, of in (
        (memory, "Resident memory of each process (MB)", lambda one: one.memory_mb),
        (handles, "File handles of each process", lambda one: one.handles),
        (sizes, "Kept after the upkeep (MB)", lambda one: _megabytes(one.n_bytes)),
    ):
        for name in of(looked[0]):
            axis.plot(times, [of(one)[name] for one in looked], label=name, linewidth=1.2)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    for one in looked:
        if one.events and not one.events[0].startswith("tidenet"):
            memory.axvline(one.month.astype("datetime64[D]"), color="0.8", linewidth=0.7, zorder=0)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _megabytes(n_bytes: Mapping[str, int]) -> dict[str, float]:
    return {name: number / 1e6 for name, number in n_bytes.items()}
