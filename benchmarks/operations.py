"""The system as it runs in service: idle memory, a month's way into SQL, what Prefect adds.

Usage: ``python -m benchmarks.operations [--quick]``. PostgreSQL, an S3 server, a Prefect server and
one worker are processes of this machine; the deployments are those of ``tidenet deploy``. The
record has 204 synthetic months at 0.1 degree; ``--quick`` is a coarse sea.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from services.s3 import S3Server, shared_server

from benchmarks.filled_home import FULL, QUICK, Size, forget_settings, say
from benchmarks.measure import machine, now
from benchmarks.stack import Stack, memory_mb, running_stack
from benchmarks.timeline import Arrival, arrive
from ingest.synthetic.files import file_name
from storage.months import Month

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Parameters
    ----------
    arrivals
        Each month that arrived.
    overhead_s
        Seconds of one forecast, by the way that it is asked for.
    idle_mb
        Memory of each process when nothing happens (MB, PSS), by what it belongs to.
    """

    arrivals: Sequence[Arrival]
    overhead_s: Mapping[str, float]
    idle_mb: Mapping[str, Mapping[str, float]]


def measure(
    folder: Path,
    size: Size,
    s3: S3Server,
    *,
    n_arrivals: int,
    idle_s: float,
    n_warm_up: int = 1,
) -> Measured:
    """Start everything, and measure.

    Parameters
    ----------
    folder
        New folder for what lies on this machine.
    size
        Of the sea and its record.
    s3
        The S3 server that keeps everything.
    n_arrivals
        Months that arrive, and repetitions of a forecast.
    idle_s
        How long nothing has to have happened before memory is looked at.
    n_warm_up
        Months that arrive before those and do not count.
    """
    n_more = n_warm_up + n_arrivals
    with running_stack(folder, size, n_more, s3) as stack:
        services = stack.services
        deployed = services.tidenet("deploy")
        if deployed.returncode:
            raise RuntimeError(deployed.stdout)
        with services.worker() as worker:
            arrivals = []
            for k in range(1, n_more + 1):
                arrivals.append(_arrival(stack, size.last + k))
                services.quiet()
            overhead = _overhead(stack, size.last + n_more, n_arrivals)
            services.quiet()
            say(f"idle for {idle_s:g} s")
            time.sleep(idle_s)
            idle = {
                "Prefect server": memory_mb(stack.server.pid),
                "worker": memory_mb(worker.pid),
                "PostgreSQL": memory_mb(_postmaster(stack)),
            }
    return Measured(arrivals[n_warm_up:], overhead, idle)


def _arrival(stack: Stack, one: Month) -> Arrival:
    arrival = arrive(stack, one, file_name(one))
    say(f"{one}: {arrival.total_s:.1f} s")
    return arrival


FUNCTION = (
    "from flows.operations.forecast import forecast; from flows.steady import workspace; "
    "from storage.months import month; forecast(workspace(), init=month('{month}'), seed={seed})"
)
FLOW = "from flows.monthly import forecast_months; forecast_months(init='{month}', seed={seed})"


def _overhead(stack: Stack, init_month: Month, repetitions: int) -> dict[str, float]:
    """Return the seconds of a forecast: function, flow, new process, deployment.

    Each has a seed of its own: the same forecast would be found in the archive.
    """
    program = ("-m", "benchmarks.flow_overhead", str(init_month), str(repetitions))
    warm = json.loads(_python(stack, *program)[1].splitlines()[-1])
    function, flow, deployment = [], [], []
    for k in range(repetitions):
        code = FUNCTION.format(month=init_month, seed=3000 + k)
        function.append(_python(stack, "-c", code)[0])
        code = FLOW.format(month=init_month, seed=4000 + k)
        flow.append(_python(stack, "-c", code)[0])
        run = stack.services.run("forecast", init=str(init_month), seed=5000 + k)
        assert run.end_time is not None and run.created is not None
        deployment.append((run.end_time - run.created).total_seconds())
    return {
        "function `forecast`, in a process that has made one before": warm["function"],
        "flow `forecast_months`, in the same process": warm["flow"],
        "function, in a new process, imports included": median(function),
        "flow, in a new process, imports included": median(flow),
        "deployment `forecast/forecast`, scheduled to ended": median(deployment),
    }


def _python(stack: Stack, *arguments: str) -> tuple[float, str]:
    """Run Python with the settings of the services; return seconds and what it printed."""
    started = now()
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**stack.services.prefect.environment, **stack.services.environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return now() - started, done.stdout


def _postmaster(stack: Stack) -> int:
    return int((stack.services.postgres.data / "postmaster.pid").read_text().split("\n")[0])


# --- shown ----------------------------------------------------------------------------------------


def print_arrivals(arrivals: Sequence[Arrival]) -> None:
    """Print where the time goes, for each month."""
    months = " | ".join(f"{k + 1}" for k in range(len(arrivals)))
    print(f"\n| month | {months} | median |\n|---|{'---|' * (len(arrivals) + 1)}")
    rows = [(what, [one.parts_s[what] for one in arrivals]) for what in arrivals[0].parts_s]
    rows.append(("**file landed to forecast in SQL**", [one.total_s for one in arrivals]))
    rows.append(("(until earlier forecasts are scored)", [one.verified_s for one in arrivals]))
    for what, seconds in rows:
        cells = " | ".join(f"{one:.1f}" for one in (*seconds, median(seconds)))
        print(f"| {what} | {cells} |")


def print_overhead(overhead_s: Mapping[str, float]) -> None:
    """Print what one forecast takes."""
    print("\n| one forecast | seconds, median |\n|---|---|")
    for what, seconds in overhead_s.items():
        print(f"| {what} | {seconds:.1f} |")


def print_idle(idle_mb: Mapping[str, Mapping[str, float]]) -> None:
    """Print the memory of each process."""
    print("\n| idle | processes | MB (PSS) |\n|---|---|---|")
    for what, processes in idle_mb.items():
        largest = ", ".join(f"{one:.0f}" for one in sorted(processes.values(), reverse=True)[:4])
        print(f"| {what} | {len(processes)} ({largest} ...) | {sum(processes.values()):.0f} |")
    total = sum(sum(processes.values()) for processes in idle_mb.values())
    print(f"| **together** | | {total:.0f} |")


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a coarse sea, one month")
    quick = parser.parse_args().quick
    forget_settings()
    size, n_arrivals, idle_s = (QUICK, 1, 5.0) if quick else (FULL, 3, 120.0)
    print(machine(), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="tidenet-operations-") as folder,
        shared_server(Path(folder)) as s3,
    ):
        measured = measure(Path(folder), size, s3, n_arrivals=n_arrivals, idle_s=idle_s)
    print_arrivals(measured.arrivals)
    print_overhead(measured.overhead_s)
    print_idle(measured.idle_mb)


if __name__ == "__main__":
    main()
