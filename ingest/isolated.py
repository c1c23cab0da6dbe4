"""A process of its own that opens files, so that a damaged one cannot stop or end this one.

HDF5 was seen to run without end after a single flipped byte, in code that no exception leaves. The
process is started once and kept; it may use so much processor time and memory a file, and no more.
What is exchanged are lines of JSON and the bytes of arrays, no pickles.
"""

import atexit
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np

CPU_SECONDS = 60
"""Processor time for one file; the largest that are known take a few seconds."""


class IsolatedError(Exception):
    """The file could not be read there.

    Parameters
    ----------
    kind
        ``damaged``, ``large`` (it claims to hold too much) or ``elsewhere`` (parts of it lie in
        other files).
    found
        What was found, in words.
    """

    def __init__(self, kind: str, found: str) -> None:
        super().__init__(found)
        self.kind = kind
        self.found = found


class Process:
    """A process that reads one file at a time (`ingest.isolated_process` is what runs in it)."""

    def __init__(self) -> None:
        # It has to find the modules that this process found.
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ingest.isolated_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": paths},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._questions = self._process.stdin
        self._answers = cast("io.BufferedReader", self._process.stdout)
        if not self._answers.readline():
            self.end()
            raise RuntimeError("The process that reads files did not start; see its error above.")
        self._in_step = True

    @property
    def number(self) -> int:
        """Its number on this machine."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it runs and waits for a question."""
        return self._in_step and self._process.poll() is None

    def open(self, path: Path, kind: str, cpu_seconds: int) -> dict[str, Any]:
        """Open a file of a kind (``hdf5``, ``netcdf3``); return what it holds.

        Raises
        ------
        IsolatedError
            If it cannot be opened, or the process ended.
        """
        question = {"do": "open", "path": str(path.absolute()), "kind": kind, "cpu": cpu_seconds}
        return self._ask(question)[0]

    def values(self, number: int, index: list[int | list[int | None] | None] | None) -> np.ndarray:
        """Return values of the variable at a position in what the file holds.

        Parameters
        ----------
        number
            The position.
        index
            A position, first and end, or None (all) along each dimension; None for everything.

        Raises
        ------
        IsolatedError
            If they cannot be read, or the process ended.
        """
        answer, content = self._ask({"do": "values", "number": number, "index": index})
        return np.frombuffer(content, np.dtype(answer["dtype"])).reshape(answer["shape"])

    def close_file(self) -> None:
        """Close the file."""
        self._ask({"do": "close"})

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._questions, self._answers):
            with suppress(OSError):
                pipe.close()

    def _ask(self, question: dict[str, Any]) -> tuple[dict[str, Any], bytearray]:
        # Until the whole answer is here, another question would get this one's.
        self._in_step = False
        answer: dict[str, Any] = {}
        content = bytearray()
        try:
            self._questions.write(json.dumps(question).encode() + b"\n")
            self._questions.flush()
            answer = json.loads(self._answers.readline() or b"{}")
            content = bytearray(answer.get("bytes", 0))
            whole = bool(answer) and self._answers.readinto(content) == len(content)
        except BrokenPipeError:
            whole = False
        if not whole:
            raise IsolatedError("damaged", _how_it_ended(self._process.wait()))
        self._in_step = True
        if "error" in answer:
            raise IsolatedError(answer["error"], answer["found"])
        return answer, content


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGXCPU:
        return "reading it does not come to an end"
    return f"the library that reads it ended with status {status}"


_idle: list[Process] = []
_lock = threading.Lock()


@contextmanager
def lent() -> Iterator[Process]:
    """Lend a process for one file; it is kept for the next one while it is well."""
    process = _idle_process() or Process()
    try:
        yield process
    finally:
        if process.usable:
            with suppress(IsolatedError):
                process.close_file()
        if process.usable:
            with _lock:
                _idle.append(process)
        else:
            process.end()


def _idle_process() -> Process | None:
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.usable:
                return process
            process.end()
    return None


def _end_all() -> None:
    while _idle:
        _idle.pop().end()


atexit.register(_end_all)
# A forked copy of this process must not talk with the parent's.
os.register_at_fork(after_in_child=_idle.clear)
