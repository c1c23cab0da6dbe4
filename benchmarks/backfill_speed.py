"""A backfill: by two processes of this machine, and on a Dask cluster of one and two workers.

Usage: ``python -m benchmarks.backfill_speed [--home FOLDER] [--months 120] [--quick]``. The record
(204 synthetic months at 0.1 degree) and its champion are made first, in a folder that may be kept
for the next time. Every case writes into an archive of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.prefect import free_port, process

from benchmarks.filled_home import FULL, QUICK, Size, fill, forget_settings, say
from benchmarks.measure import machine, now
from storage.archive import runs
from storage.database import connect
from storage.months import Month

ROOT = Path(__file__).parents[1]
HANGS_S = 3600.0
"""After this a case is given up."""


@dataclass(frozen=True)
class Case:
    """One way to make hindcasts.

    Parameters
    ----------
    title
        For people.
    dask_workers
        Workers of a Dask cluster; 0 for processes of this machine.
    killed
        Whether one worker is killed when a third of the hindcasts are there.
    """

    title: str
    dask_workers: int = 0
    killed: bool = False


KILLED = Case("Dask, 2 workers, one of them killed after a third", 2, killed=True)
CASES = (
    Case("2 processes (`tidenet backfill --workers 2`)"),
    Case("Dask, 1 worker of 1 thread", 1),
    Case("Dask, 2 workers of 1 thread", 2),
    KILLED,
)


@dataclass(frozen=True)
class Done:
    """What a case took.

    Parameters
    ----------
    case
        The case.
    wall_s
        The whole command: start of Prefect, hindcasts and scoring included.
    a_minute
        Hindcasts made in a minute, from the first one in the archive to the last.
    n_made, n_wanted
        Init months with a hindcast at the end, and those that were asked for.
    """

    case: Case
    wall_s: float
    a_minute: float
    n_made: int
    n_wanted: int


def run(case: Case, home: Path, folder: Path, first: Month, last: Month) -> Done:
    """Make the hindcasts of a span of init months, in a new home folder.

    Parameters
    ----------
    case
        How.
    home
        The home folder with record, champion and archive; left as it is.
    folder
        The new home folder.
    first, last
        First and last init month.
    """
    environment = _archive_of_its_own(home, folder)
    n_wanted = int((last - first).astype(int)) + 1
    with ExitStack() as stack:
        workers: Sequence[subprocess.Popen[bytes]] = ()
        if case.dask_workers:
            address, workers = stack.enter_context(
                dask_cluster(case.dask_workers, environment, folder)
            )
            environment["TIDENET_DASK_SCHEDULER"] = address
        started = now()
        command = ["--home", str(folder), "backfill", "--from", str(first), "--to", str(last)]
        backfill = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *command, "--workers", "2"],
            env=environment,
            cwd=ROOT,
            stdout=(folder / "backfill.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        if case.killed:
            _wait_for(folder, n_wanted // 3, backfill)
            workers[0].kill()
        code = backfill.wait(HANGS_S)
        wall_s = now() - started
    if code:
        raise RuntimeError(f"{case.title}:\n{(folder / 'backfill.log').read_text()[-3000:]}")
    moments = _moments(folder)
    made_s = (moments[-1] - moments[0]) if len(moments) > 1 else 0.0
    return Done(case, wall_s, 60 * (len(moments) - 1) / made_s, len(moments), n_wanted)


def _archive_of_its_own(home: Path, folder: Path) -> dict[str, str]:
    """Make a home folder with a copy of the archive that reads the record of another."""
    folder.mkdir(parents=True)
    shutil.copy(home / ".env", folder / ".env")
    shutil.copy(home / "archive.db", folder / "archive.db")
    return {
        **os.environ,
        "TIDENET_HOME": str(folder),
        "TIDENET_RECORD": str(home / "carbon-ecs"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "PREFECT_HOME": str(folder / "prefect"),
    }


@contextmanager
def dask_cluster(
    n_workers: int, environment: Mapping[str, str], folder: Path
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a Dask scheduler and workers of one thread as processes; yield address and workers."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    worker = [*dask, "worker", address]
    # Without a nanny, which would start a killed worker again.
    worker += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    with ExitStack() as stack:
        stack.enter_context(process(scheduler, environment, folder / "scheduler.log", ROOT))
        workers = [
            stack.enter_context(process(worker, environment, folder / f"worker-{k}.log", ROOT))
            for k in range(n_workers)
        ]
        _wait_until_there(address, n_workers)
        yield address, workers


def _wait_until_there(address: str, n_workers: int) -> None:
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(n_workers, timeout=120)


def _moments(folder: Path) -> list[float]:
    """Return when the hindcasts of a home folder were made, ascending (seconds)."""
    engine = connect(f"sqlite:///{folder}/archive.db")
    found = sorted(run.created_at.timestamp() for run in runs(engine))
    engine.dispose()
    return found


def _wait_for(folder: Path, n: int, backfill: subprocess.Popen[bytes]) -> None:
    """Wait until so many hindcasts are there."""
    while len(_moments(folder)) < n and backfill.poll() is None:
        time.sleep(0.2)


def measure(
    home: Path, size: Size, n_months: int, folder: Path, cases: Sequence[Case] = CASES
) -> list[Done]:
    """Fill a home folder, if it is not, and run every case in a folder of its own."""
    fill(home, size)
    last = size.last - 1
    done = []
    for number, case in enumerate(cases):
        done.append(run(case, home, folder / f"case-{number}", last - (n_months - 1), last))
        say(f"{case.title}: {done[-1].wall_s:.0f} s")
    return done


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="folder to keep for the next time")
    parser.add_argument("--months", type=int, default=120)
    parser.add_argument("--quick", action="store_true", help="a coarse sea and few months")
    told = parser.parse_args()
    forget_settings()
    size, n_months = (QUICK, 6) if told.quick else (FULL, told.months)
    with tempfile.TemporaryDirectory(prefix="tidenet-backfill-") as folder:
        home = (told.home or Path(folder) / "home").absolute()
        done = measure(home, size, n_months, Path(folder))
    print(f"{machine()}\n\n| backfill of {n_months} init months, {size.grid.name} ", end="")
    print("| minutes in all | hindcasts a minute | hindcasts at the end |\n|---|---|---|---|")
    for one in done:
        print(
            f"| {one.case.title} | {one.wall_s / 60:.1f} | {one.a_minute:.1f} "
            f"| {one.n_made} of {one.n_wanted} |"
        )
    print(f"\nTwo Dask workers beside one: {done[2].a_minute / done[1].a_minute:.2f} times")


if __name__ == "__main__":
    main()
