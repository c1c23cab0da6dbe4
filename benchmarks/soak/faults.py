"""Doing harm: to a process, to the database, to S3, or by doing everything twice."""

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path

from services.faulty_network import FaultyNetwork
from services.postgres import PostgresServer

from benchmarks.soak.crew import Answer, Crew
from benchmarks.soak.plan import Fault, Kind

OUTAGE_S = 2.0

COMES_BACK = ("DatabaseUnavailableError", "StoreUnavailableError", "ConcurrentWriteError")
"""Errors that a step may end with under a fault: those that a flow tries again after."""


@dataclass(frozen=True)
class Servers:
    """What can fail.

    Parameters
    ----------
    postgres
        The archive's server.
    network
        The way to S3; None where stores are folders.
    """

    postgres: PostgresServer
    network: FaultyNetwork | None = None


def second_version(file: Path) -> Path:
    """Return the name under which a month's file comes a second time."""
    return file.with_stem(f"{file.stem}_v2")


def strike(fault: Fault, step: str, crew: Crew, now: dt.datetime, servers: Servers) -> str:
    """Let a fault strike while a step is done; return what came of it, for people."""
    wait_s = fault.moment * crew.usual_s[step]
    if fault.kind is Kind.TWICE:
        return _twice(step, crew, now)
    if fault.kind in (Kind.NO_DATABASE, Kind.NO_S3):
        return _outage(fault.kind, step, crew, now, servers, wait_s)
    return _killed(step, crew, now, wait_s)


def _killed(step: str, crew: Crew, now: dt.datetime, wait_s: float) -> str:
    """Kill the process of a step at some moment of it."""
    hand = crew.spare
    hand.begin(step, now)
    time.sleep(wait_s)
    crew.kill_spare()
    return f"killed after {wait_s:.2f} s" + (", it was done" if hand.end() else "")


def _twice(step: str, crew: Crew, now: dt.datetime) -> str:
    """Let two processes do the same step at the same time."""
    hands = (crew.hands[step], crew.spare)
    for hand in hands:
        hand.begin(step, now)
    answers = [crew.settled(step, now, hand.end(), COMES_BACK) for hand in hands]
    return f"{step} {' and '.join(map(_ended, answers))}"


def _outage(
    kind: Kind, step: str, crew: Crew, now: dt.datetime, servers: Servers, wait_s: float
) -> str:
    """Let the database or S3 be away for a while in the middle of a step."""
    hand = crew.hands[step]
    hand.begin(step, now)
    time.sleep(wait_s)
    if kind is Kind.NO_DATABASE:
        servers.postgres.stop()
        time.sleep(OUTAGE_S)
        servers.postgres.start()
    elif servers.network is not None:
        servers.network.unavailable = True
        time.sleep(OUTAGE_S)
        servers.network.unavailable = False
    answer = crew.settled(step, now, hand.end(), COMES_BACK)
    return f"{step} struck after {wait_s:.2f} s: {_ended(answer)}"


def _ended(answer: Answer) -> str:
    return answer.error or "done"
