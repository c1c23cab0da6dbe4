"""What every benchmark needs: wall time and peak memory of a process, and the machine's name."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """Wall time (seconds), and peak resident memory (GB) of the largest process of a command."""

    seconds: float
    peak_gb: float


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command and return what it took.

    The command runs under a small parent of its own, because the operating system only tells the
    peak memory of *all* finished children together.
    """
    script = (
        "import resource, subprocess, sys, time\n"
        "started = time.perf_counter()\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "seconds = time.perf_counter() - started\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6\n"
        "print(f'{seconds} {peak}')\n"
        "sys.exit(code)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *command],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, peak = result.stdout.split()[-2:]
    return Measured(float(seconds), float(peak))


def machine() -> str:
    """Return the machine in words: cores, processor, memory, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{os.cpu_count()} cores {platform.machine()}, {memory:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def own_peak_gb() -> float:
    """Return the peak resident memory of this process so far (GB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def now() -> float:
    """Return a clock that only runs forward (seconds)."""
    return time.perf_counter()
