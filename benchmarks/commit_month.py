"""Committing one month: time, memory and disk, beside a bare ``to_zarr`` of the same arrays.

Usage: ``python benchmarks/commit_month.py [--quick] [--months 24]``. Prints a Markdown table.

Every case runs in a process of its own, so that its peak memory is its own. The fields are smooth
mesoscale structure plus white noise from cell to cell; noise is what does not compress, so the size
on disk is given for several levels of it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from storage.flux_month import FluxMonth, Quality, SourceFile
from storage.grid import Grid, grid_named

RECORD_MONTHS = 204
START = np.datetime64("2003-01", "M")
NOISE_LEVELS = (0.02, 0.1, 0.3)
REPEATS = 5


def smooth(rng: np.random.Generator, grid: Grid, cells: int) -> np.ndarray:
    """Return a random field (lat, lon) that varies over so many cells, about -1 to 1."""
    from scipy.ndimage import gaussian_filter, zoom

    shape = [n // cells + 8 for n in grid.shape]
    coarse = gaussian_filter(rng.standard_normal(shape), 1.0)
    fine = zoom(coarse / coarse.std(), cells, order=1)
    return fine[: grid.n_lat, : grid.n_lon].astype(np.float32)


def ocean_of(grid: Grid) -> np.ndarray:
    """Return a mask with two thirds ocean and a ragged coast."""
    field = smooth(np.random.default_rng(1), grid, max(2, grid.n_lat // 20))
    return field < np.quantile(field, 0.65)


def month_of(grid: Grid, ocean: np.ndarray, index: int, noise: float) -> FluxMonth:
    """Return month number ``index``: season, mesoscale, noise (mmol m-2 d-1) and clouds."""
    rng = np.random.default_rng(1000 + index)
    scale = max(2, grid.n_lat // 60)
    flux = -6 + 4 * np.cos(2 * np.pi * index / 12) + 2 * smooth(rng, grid, scale)
    flux = flux + noise * rng.standard_normal(grid.shape, dtype=np.float32)
    clear = smooth(rng, grid, scale) < 1.0
    uncertainty = np.where(clear, 0.5 + 0.1 * np.abs(flux), 1.5 + 0.3 * smooth(rng, grid, scale))
    quality = np.where(clear, Quality.OBSERVED, Quality.COMPLETED)
    return FluxMonth(
        month=START + index,
        grid=grid,
        fco2=np.where(ocean, flux, np.nan).astype(np.float32),
        quality=np.where(ocean, quality, Quality.LAND).astype(np.uint8),
        uncertainty=np.where(ocean, np.abs(uncertainty), np.nan).astype(np.float32),
        source=SourceFile("benchmark", "", ""),
    )


def clocked(function: Callable[[], Any]) -> float:
    """Return how many seconds a call takes."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def case_commit(grid: Grid, folder: Path, n_months: int, noise: float) -> dict[str, float]:
    """Commit months; return seconds of one, and bytes on disk of all."""
    from storage.carbon_ecs import CarbonEcs, RecordTemplate

    ocean = ocean_of(grid)
    record = CarbonEcs.create(folder / "record", RecordTemplate(grid, ocean))
    empty = disk_bytes(folder)
    seconds = []
    for index in range(n_months):
        month = month_of(grid, ocean, index, noise)
        seconds.append(clocked(lambda month=month: record.commit_month(month)))  # type: ignore[misc]
    used = disk_bytes(folder)
    extrapolated = empty + (used - empty) * RECORD_MONTHS / n_months
    return {"seconds": median(seconds), "slowest": max(seconds), "bytes": extrapolated}


def case_to_zarr(grid: Grid, folder: Path, n_months: int, noise: float) -> dict[str, float]:
    """Write the same arrays with xarray alone, rounding and codec included."""
    import xarray as xr
    from zarr.codecs import BloscCodec

    from storage.month_checks import at_stored_precision

    ocean = ocean_of(grid)
    codec = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")
    encoding = {"chunks": (1, *grid.shape), "compressors": [codec]}
    seconds = []
    for index in range(n_months):
        month = month_of(grid, ocean, index, noise)

        def write(month: FluxMonth = month, index: int = index) -> None:
            stored = at_stored_precision(month)
            arrays = {
                name: (("time", "lat", "lon"), getattr(stored, name)[None])
                for name in ("fco2", "quality", "uncertainty")
            }
            dataset = xr.Dataset(arrays, {"lat": grid.lat, "lon": grid.lon})
            dataset.to_zarr(
                folder / f"{index}.zarr",
                zarr_format=3,
                consolidated=False,
                encoding=dict.fromkeys(arrays, encoding),
            )

        seconds.append(clocked(write))
    return {"seconds": median(seconds), "slowest": max(seconds)}


def case_plot(grid: Grid, folder: Path, n_months: int, noise: float) -> dict[str, float]:
    """Open a record of a few months and draw the last one into a PNG; imports apart."""
    begun = time.perf_counter()
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from storage.carbon_ecs import CarbonEcs, RecordTemplate

    imports = time.perf_counter() - begun
    ocean = ocean_of(grid)
    record = CarbonEcs.create(folder / "record", RecordTemplate(grid, ocean))
    for index in range(n_months):
        record.commit_month(month_of(grid, ocean, index, noise))

    def draw() -> None:
        opened = CarbonEcs.open(folder / "record")
        field = opened.read(opened.last_month, opened.last_month, ("fco2",))["fco2"].values[0]
        figure, axes = plt.subplots()
        axes.pcolormesh(opened.grid.lon[::2], opened.grid.lat[::2], field[::2, ::2])
        figure.savefig(folder / "month.png")
        plt.close(figure)

    first = clocked(draw)
    return {
        "seconds": median(clocked(draw) for _ in range(REPEATS)),
        "slowest": first,
        "imports": imports,
    }


CASES = {"commit": case_commit, "to_zarr": case_to_zarr, "plot": case_plot}


def disk_bytes(folder: Path) -> int:
    """Return the bytes that files occupy on disk, in whole blocks."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def measure(case: str, grid: str, n_months: int, noise: float) -> dict[str, float]:
    """Run a case in its own process; return what it measured, and its peak memory (bytes)."""
    arguments = ["--case", case, "--grid", grid, "--months", str(n_months), "--noise", str(noise)]
    ended = subprocess.run(
        [sys.executable, __file__, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=3600,
    )
    result: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return result


def run_case(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        case = CASES[options.case]
        result = case(grid_named(options.grid), Path(folder), options.months, options.noise)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**result, "peak": peak}))


def report(grid: str, n_months: int) -> None:
    rows = []
    for noise in NOISE_LEVELS:
        months = n_months if noise == NOISE_LEVELS[1] else min(n_months, 12)
        found = measure("commit", grid, months, noise)
        size = f"{found['bytes'] / 1e6:.0f} MB ({months} months, extrapolated)"
        rows.append((f"commit, noise {noise:g}", found, size))
    rows.append(("bare to_zarr, noise 0.1", measure("to_zarr", grid, 12, 0.1), ""))
    plotted = measure("plot", grid, 3, 0.1)
    rows.append(("open and plot one month", plotted, f"imports {plotted['imports']:.2f} s apart"))
    print(f"Grid {grid}, {grid_named(grid).n_lat} x {grid_named(grid).n_lon} cells\n")
    print(f"| case | median s | slowest s | peak MB | disk of {RECORD_MONTHS} months |")
    print("|---|---|---|---|---|")
    for name, found, note in rows:
        times = f"{found['seconds']:.2f} | {found['slowest']:.2f}"
        print(f"| {name} | {times} | {found['peak'] / 1e6:.0f} | {note} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the 0.1 degree grid and few months")
    parser.add_argument("--months", type=int, default=24, help="months to commit [24]")
    parser.add_argument("--grid", default="carbon-ecs")
    parser.add_argument("--case", choices=sorted(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--noise", type=float, default=0.1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        run_case(options)
    elif options.quick:
        report("carbon-ecs-10", 6)
    else:
        report(options.grid, options.months)


if __name__ == "__main__":
    main()
