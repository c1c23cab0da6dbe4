"""One month of the full 0.01 degree grid, from product file to snapshot, beside bare ``to_zarr``.

Usage: ``python -m benchmarks.commit_month [--quick] [--months 12]``. Prints a Markdown table.

The files are those of the synthetic sea on the record's own grid, with clouds and retrieval noise
from cell to cell; noise is what does not compress. Every case runs in a process of its own, so that
its peak memory is its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.measure import machine, now, own_peak_gb
from storage.grid import grid_named
from storage.months import month, month_range

RECORD_MONTHS = 204
START = month("2003-01")
PRODUCT_YAML = """\
title: Synthetic sea on the grid {grid}
file_pattern: SYNTHETIC_ECS_FCO2_monthly_{{year}}{{month}}.nc
grid: {grid}
quantities:
  fco2: {{names: [fco2], positive: up, uncertainty: 1.5}}
mask:
  variable: ocean
"""


def write_files(folder: Path, grid_name: str, n_months: int) -> None:
    """Write the product files and their specification."""
    from ingest.synthetic.files import write_months

    (folder / "products").mkdir(parents=True)
    (folder / "products" / "bench.yaml").write_text(PRODUCT_YAML.format(grid=grid_name))
    months = month_range(START, START + (n_months - 1))
    write_months(
        folder / "landing", grid_named(grid_name), months, seed=1, progress=lambda *_: None
    )


def case_ingest(folder: Path) -> dict[str, Any]:
    """Ingest every file: read, check, complete, commit, ledger. The first pays for the imports."""
    from flows.operations.ingest import ingest
    from flows.operations.workspace import Workspace
    from storage.settings import Settings

    settings = Settings(
        home=folder, product="bench", products_folder=folder / "products", _env_file=None
    )
    stamps = [now()]
    ingest(Workspace(settings), progress=lambda *_: stamps.append(now()))
    seconds = np.diff(stamps).tolist()
    used = sum(f.stat().st_size for f in (folder / "carbon-ecs").rglob("*") if f.is_file())
    return {
        "first": seconds[0],
        "median": median(seconds[1:]),
        "record_mb": used / 1e6 * RECORD_MONTHS / len(seconds),
    }


def case_to_zarr(folder: Path) -> dict[str, Any]:
    """Write the arrays of the record's months with xarray alone, rounded and compressed alike."""
    import xarray as xr
    from zarr.codecs import BloscCodec

    from storage.carbon_ecs import CarbonEcs

    record = CarbonEcs.open(folder / "carbon-ecs")
    codec = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")
    seconds = []
    for wanted in record.months():
        stored = record.read_month(wanted)
        begun = now()
        arrays = {
            name: (("time", "lat", "lon"), getattr(stored, name)[None])
            for name in ("fco2", "quality", "uncertainty")
        }
        xr.Dataset(arrays, {"lat": record.grid.lat, "lon": record.grid.lon}).to_zarr(
            folder / "bare" / f"{wanted}.zarr",
            zarr_format=3,
            consolidated=False,
            encoding={
                name: {"chunks": (1, *record.grid.shape), "compressors": [codec]} for name in arrays
            },
        )
        seconds.append(now() - begun)
    return {"median": median(seconds)}


def case_plot(folder: Path) -> dict[str, Any]:
    """Open the record and draw its last month into a PNG, imports apart."""
    import matplotlib.pyplot as plt

    from storage.carbon_ecs import CarbonEcs

    begun = now()
    record = CarbonEcs.open(folder / "carbon-ecs")
    assert record.last_month is not None
    figure, axis = plt.subplots()
    axis.imshow(record.read_month(record.last_month).fco2, origin="lower", cmap="RdBu_r")
    figure.savefig(folder / "map.png")
    return {"median": now() - begun}


CASES = {"ingest": case_ingest, "to_zarr": case_to_zarr, "plot": case_plot}


def run_case(name: str, folder: Path) -> dict[str, Any]:
    """Run a case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.commit_month", "--case", name, str(folder)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="on the 0.1 degree grid")
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--case", nargs=2, metavar=("CASE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        name, folder = options.case
        print(json.dumps(CASES[name](Path(folder)) | {"peak_gb": own_peak_gb()}))
        return
    grid = grid_named("carbon-ecs-10" if options.quick else "carbon-ecs")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write_files(folder, grid.name, options.months)
        full, bare, plot = (run_case(name, folder) for name in CASES)
    print(f"{machine()}; {grid.n_lat} x {grid.n_lon} cells, {options.months} months\n")
    print("| what | seconds | peak GB | at most |\n|---|---|---|---|")
    gb = full["peak_gb"]
    print(
        f"| file to snapshot and ledger, median | {full['median']:.2f} | {gb:.2f} | 8 s, 1.5 GB |"
    )
    print(f"| the first one, imports and record included | {full['first']:.2f} | {gb:.2f} | |")
    print(f"| bare `to_zarr` of the same arrays | {bare['median']:.2f} | {bare['peak_gb']:.2f} | |")
    print(f"| open and plot one month | {plot['median']:.2f} | {plot['peak_gb']:.2f} | 1 s |")
    print(
        f"\nDisk of {RECORD_MONTHS} months, extrapolated: {full['record_mb']:.0f} MB (at most 600)."
    )


if __name__ == "__main__":
    main()
