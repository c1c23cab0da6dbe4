"""Ten simulated years of the schedule with faults; ends with status 1 if a check fails."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import machine
from benchmarks.soak.report import draw, print_checks, print_events, print_series
from benchmarks.soak.run import soak

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "soak.png"


def main() -> int:
    """Soak, print tables and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--months", type=int, default=120, help="months to live through")
    parser.add_argument("--seed", type=int, default=1, help="of what goes wrong")
    parser.add_argument("--every", type=int, default=3, help="mean months between faults")
    parser.add_argument("--s3", action="store_true", help="keep stores on S3, which fails too")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where to draw")
    told = parser.parse_args()
    print(machine(), flush=True)
    started = time.monotonic()

    def progress(line: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {line}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="tidenet-soak-") as folder:
        soaked = soak(
            Path(folder),
            told.months,
            seed=told.seed,
            every=told.every,
            s3=told.s3,
            progress=progress,
        )
    print_events(soaked.looked)
    print_series(soaked.looked)
    print_checks(soaked.checks)
    draw(soaked.looked, told.picture)
    print(f"\n{told.months} months in {(time.monotonic() - started) / 60:.1f} minutes")
    return 0 if all(check.passed for check in soaked.checks) else 1


if __name__ == "__main__":
    sys.exit(main())
