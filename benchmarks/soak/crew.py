"""The processes of the soak: one for each role, that lives as long as the soak does."""

import datetime as dt
import json
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.soak.role import READY, STEPS

ROOT = Path(__file__).parents[2]
HANGS_S = 900.0
"""After this a step is given up: no measure of speed, only the end of a soak that hangs."""


class StepFailedError(RuntimeError):
    """A step ended as it must not."""


@dataclass(frozen=True)
class Answer:
    """What became of a step.

    Parameters
    ----------
    done
        What it did; empty if it failed.
    error, message
        Name and text of the named error; empty if there was none.
    seconds
        How long it took.
    """

    done: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    message: str = ""
    seconds: float = 0.0


class Hand:
    """A process that does one step after the other."""

    def __init__(self, home: Path, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.soak.role", str(home)],
                env=dict(environment),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
            )
        self._ready = False

    def wait_until_ready(self) -> None:
        """Wait until it has imported what it needs."""
        if not self._ready and self._line() != READY:
            raise StepFailedError(f"A process did not start:\n{self._log.read_text()[-3000:]}")
        self._ready = True

    def begin(self, step: str, now: dt.datetime) -> None:
        """Give an order, and wait for nothing."""
        self.wait_until_ready()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"step": step, "now": now.isoformat()}) + "\n")
        self._process.stdin.flush()

    def end(self) -> Answer | None:
        """Wait for the answer to the order; None if the process died over it."""
        line = self._line()
        return Answer(**json.loads(line)) if line else None

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def dismiss(self) -> None:
        """Tell it that there is nothing more to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def close(self) -> None:
        """Wait for its end; end it by force if that does not come."""
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def measured(self) -> tuple[float, int]:
        """Return its resident memory (MB) and its number of file handles."""
        process = psutil.Process(self._process.pid)
        return process.memory_info().rss / 1e6, process.num_fds()

    def _line(self) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], HANGS_S)[0]:
            raise StepFailedError(f"Nothing came within {HANGS_S:g} s; see {self._log}.")
        return self._process.stdout.readline().strip()


@dataclass
class Crew:
    """One process for each step, and a spare one for what is to be killed or to race.

    Parameters
    ----------
    home, environment
        Of the processes.
    log
        What they write to.
    alone
        Whether one process does all steps, and none is spare.
    """

    home: Path
    environment: Mapping[str, str]
    log: Path
    alone: bool = False
    usual_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = self._hired()
        self.hands = {step: first if self.alone else self._hired() for step in STEPS}
        self.spare = first

    def do(self, step: str, now: dt.datetime, allowed: tuple[str, ...] = ()) -> Answer:
        """Do a step to its end.

        Raises
        ------
        StepFailedError
            If it fails with another error than those that are allowed, or its process dies.
        """
        self.hands[step].begin(step, now)
        answer = self.settled(step, now, self.hands[step].end(), allowed)
        self.usual_s[step] = answer.seconds
        return answer

    def settled(
        self, step: str, now: dt.datetime, answer: Answer | None, allowed: tuple[str, ...]
    ) -> Answer:
        """Return an answer that may be; raises StepFailedError for others."""
        if answer is None:
            found = f"its process died:\n{self.log.read_text()[-3000:]}"
        elif answer.error and answer.error not in allowed:
            found = answer.message
        else:
            return answer
        raise StepFailedError(f"{step} on {now:%Y-%m-%d}: {found}")

    def kill_spare(self) -> None:
        """Kill the spare process; another one comes in its place."""
        self.spare.kill()
        self.spare = self._hired()

    def close(self) -> None:
        """Let every process end."""
        hands = {self.spare, *self.hands.values()}
        for hand in hands:
            hand.dismiss()
        for hand in hands:
            hand.close()

    def _hired(self) -> Hand:
        return Hand(self.home, self.environment, self.log)
