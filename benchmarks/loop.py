"""The demonstration from an empty folder, again, and the commands an operator types most."""

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import machine, measure

TIDENET = str(Path(sys.executable).parent / "tidenet")


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tidenet-bench-"))
    home = str(folder / "demo")
    steps = (
        ("`tidenet demo`, first run", (TIDENET, "demo", "--folder", home), "360 s, 4 GB"),
        ("`tidenet demo`, second run", (TIDENET, "demo", "--folder", home), "quick"),
        ("`tidenet --help`", (TIDENET, "--help"), "0.7 s"),
        ("`tidenet status`", (TIDENET, "--home", home, "status"), "1.5 s"),
        ("`tidenet skill`", (TIDENET, "--home", home, "skill"), ""),
    )
    print(f"{machine()}\n\n| command | seconds | peak GB | at most |\n|---|---|---|---|")
    for title, command, target in steps:
        runs = 1 if "demo" in command else 5
        taken = sorted((measure(command) for _ in range(runs)), key=lambda m: m.seconds)
        median = taken[len(taken) // 2]
        print(f"| {title} | {median.seconds:.2f} | {median.peak_gb:.2f} | {target} |")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
