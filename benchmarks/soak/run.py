"""A soak: the same months once with faults and once without, side by side."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

from services.faulty_network import FaultyNetwork, faulty_network
from services.postgres import PostgresServer, create_server, destroy
from services.s3 import shared_server
from services.small_loop import World

from benchmarks.soak.crew import Crew
from benchmarks.soak.faults import Servers
from benchmarks.soak.loop import Looked, Loop, Progress, months_of
from benchmarks.soak.plan import Fault, Kind, plan
from benchmarks.soak.report import Check, check_flatness, check_state
from storage.months import Month


@dataclass(frozen=True)
class Soaked:
    """What came of a soak.

    Parameters
    ----------
    looked
        What each month left behind.
    checks
        What had to be true, and whether it was.
    """

    looked: Sequence[Looked]
    checks: Sequence[Check]


def soak(
    folder: Path, n_months: int, *, seed: int, every: int, s3: bool, progress: Progress
) -> Soaked:
    """Live through months twice, with faults and without, and compare.

    Parameters
    ----------
    folder
        Where everything is kept; new.
    n_months
        How many months.
    seed
        Of what goes wrong.
    every
        Mean number of months from one fault to the next.
    s3
        Keep record, predictions, models and backups of the disturbed loop on S3, which fails too.
    progress
        Called with a line after each month of the disturbed loop.
    """
    months = months_of(n_months)
    faults = plan(months, seed=seed, every=every, with_s3=s3)
    # A revision is no fault of ours: it comes to both.
    revisions = {one: fault for one, fault in faults.items() if fault.kind is Kind.REVISED}
    with ExitStack() as stack:
        stores, network = stack.enter_context(_on_s3(folder)) if s3 else ({}, None)
        disturbed = stack.enter_context(_loop(folder / "disturbed", faults, stores, network))
        calm = stack.enter_context(_loop(folder / "calm", revisions, alone=True))
        with ThreadPoolExecutor(1) as beside:
            undisturbed = beside.submit(_live, calm, months, _silent)
            try:
                looked = _live(disturbed, months, progress)
            except BaseException:
                calm.crew.close()  # there is nothing to be compared with
                raise
            undisturbed.result()
        checks = [*check_state(disturbed, calm, months, looked), *check_flatness(looked)]
    return Soaked(looked, checks)


def _live(loop: Loop, months: Sequence[Month], progress: Progress) -> list[Looked]:
    loop.prepare()
    return loop.live(months, progress)


def _silent(_line: str) -> None:
    """Say nothing."""


@contextmanager
def _loop(
    home: Path,
    faults: Mapping[Month, Fault],
    stores: Mapping[str, str] | None = None,
    network: FaultyNetwork | None = None,
    *,
    alone: bool = False,
) -> Iterator[Loop]:
    """Start the processes of one loop (a single one for all steps), and a database server."""
    server = create_server()
    try:
        settings = {"database": server.new_database(), **(stores or {})}
        World.create(home)
        environment = _environment(settings, server, network)
        crew = Crew(home, environment, home.with_suffix(".log"), alone=alone)
        with closing(crew):
            yield Loop(World(home, settings), crew, Servers(server, network), faults)
    finally:
        destroy(server)


def _environment(
    settings: Mapping[str, str], server: PostgresServer, network: FaultyNetwork | None
) -> dict[str, str]:
    """Return the environment of the processes."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("TIDENET_")}
    through = {} if network is None else {"AWS_ENDPOINT_URL": network.url}
    return {
        **known,
        **{f"TIDENET_{name.upper()}": value for name, value in settings.items()},
        **through,
        "TIDENET_ATTEMPTS": "2",
        "OMP_NUM_THREADS": "1",
        "GX_ANALYTICS_ENABLED": "false",
        # The backup needs the database's own programs.
        "PATH": f"{server.programs}{os.pathsep}{os.environ['PATH']}",
    }


@contextmanager
def _on_s3(folder: Path) -> Iterator[tuple[dict[str, str], FaultyNetwork]]:
    """Start an S3 server and a way to it that fails; this process goes past that."""
    with (
        shared_server(folder) as server,
        patch.dict(os.environ, server.environment),
        faulty_network(server.endpoint) as network,
    ):
        place = f"s3://{server.bucket}/{uuid4().hex}"
        names = ("record", "predictions", "models", "quarantine", "backup")
        yield {name: f"{place}/{name}" for name in names}, network
