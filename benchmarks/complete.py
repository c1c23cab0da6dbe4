"""Completion of gaps: how good on real months, how fast on the full 0.01 degree grid.

Usage: ``python -m benchmarks.complete [--real FOLDER] [--months 204] [--quick]``. Prints Markdown.

The real months are one-degree files (``ECS_FCO2_monthly_1deg_YYYYMM.nc``) in FOLDER, or in
``$TIDENET_TEST_DATA/fco2_1deg``; without them that part is left out. The basis is fitted on 2010 to
2015 and tried on every later month under several clouds. With ``--months N`` a synthetic record of
N months on the record's own grid is written, a basis fitted to it, and one further month with 30 %
gaps ingested, each in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commit_month import PRODUCT_YAML
from benchmarks.measure import machine, now, own_peak_gb
from storage.eof_basis import EofBasis
from storage.flux_month import FluxMonth, Quality, SourceFile
from storage.grid import Grid, grid_named
from storage.months import Month, calendar_months, month

FIT_UNTIL = month("2015-12")
PARTS = (0.1, 0.3, 0.6)
CLOUDS = 3
CLOUD_CELLS = (1.5, 4.0)
START = month("2003-01")
NO_FILE = SourceFile("benchmark", "", "")


# --- how good, on real months ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RealMonths:
    """Complete real months: ``fco2`` float32 (time, lat, lon), ``ocean`` boolean (lat, lon)."""

    grid: Grid
    months: np.ndarray
    fco2: np.ndarray
    ocean: np.ndarray

    @classmethod
    def read(cls, folder: Path, last: Month | None = None) -> "RealMonths":
        """Read the files of a folder up to a month."""
        import xarray as xr

        fields, months = [], []
        for file in sorted(folder.glob("ECS_FCO2_monthly_1deg_*.nc")):
            of = month(f"{file.stem[-6:-2]}-{file.stem[-2:]}")
            if last is None or of <= last:
                with xr.open_dataset(file, engine="h5netcdf") as dataset:
                    fields.append(dataset["fco2"].values[0])
                months.append(of)
        fco2 = np.stack(fields).astype(np.float32)
        ocean = np.asarray(np.isfinite(fco2).all(axis=0))
        fco2 = np.where(ocean, fco2, np.float32(np.nan))
        return cls(grid_named("east-asia-1deg"), np.array(months), fco2, ocean)

    def fit(self, until: Month = FIT_UNTIL) -> EofBasis:
        """Fit a basis on the months up to one."""
        from ingest.completion.fit import fit_basis
        from ingest.completion.modes import ArrayReader

        n = int((self.months <= until).sum())
        observed = np.broadcast_to(self.ocean, (n, *self.ocean.shape))
        return fit_basis(
            ArrayReader(self.grid, self.months[:n], self.fco2[:n], observed), self.ocean
        )


@dataclass
class Tally:
    """Area-weighted squared errors of one way to fill gaps, and over its own estimate."""

    squares: float = 0.0
    area: float = 0.0
    ratios: list[float] = field(default_factory=list)

    def add(self, error: np.ndarray, area: np.ndarray) -> None:
        """Add the errors of one month's gap."""
        self.squares += float((area * error.astype(np.float64) ** 2).sum())
        self.area += float(area.sum())

    @property
    def rmse(self) -> float:
        """Root mean square error, mmol m-2 d-1."""
        return float(np.sqrt(self.squares / self.area))


def compare(
    real: RealMonths, basis: EofBasis, at: int, part: float, cloud: int, tallies: dict[str, Tally]
) -> None:
    """Fill one month's gap in every way, and add up the errors.

    Interpolation in time is given both neighbouring months, whole. All ways see the same values.
    """
    from ingest.completion.cloud_shapes import cloud_shape
    from ingest.completion.complete import complete_month
    from ingest.reader import ProductMonth

    rng = np.random.default_rng([at, cloud])
    gap = cloud_shape(real.ocean, part, rng.uniform(*CLOUD_CELLS), rng)
    truth, area = real.fco2[at], real.grid.cell_area[gap]
    seen = np.where(gap, np.nan, truth).astype(np.float32)
    none = np.full(real.grid.shape, np.nan, dtype=np.float32)
    fitted = real.months <= basis.last_month
    same = calendar_months(real.months) == calendar_months(real.months[at : at + 1])
    earlier = real.fco2[fitted & same]
    calendar = earlier.mean(axis=0)
    made = ProductMonth(real.months[at], real.grid, seen, none, None, "fco2", "")

    def completed(with_basis: EofBasis | None) -> FluxMonth:
        return complete_month(
            made, real.ocean, earlier, observed_uncertainty=0.0, source=NO_FILE, basis=with_basis
        ).month

    ours = completed(basis)
    ways: dict[str, Callable[[], np.ndarray]] = {
        "climatology": lambda: calendar,
        "linear in time (month before and after)": lambda: (
            (real.fco2[at - 1] + real.fco2[at + 1]) / 2
        ),
        "linear in space": lambda: linear_in_space(seen, real.ocean),
        "climatology + anomaly linear in space": lambda: (
            calendar + linear_in_space(seen - calendar, real.ocean)
        ),
        "completion without a basis": lambda: completed(None).fco2,
        "completion with EOFs": lambda: ours.fco2,
    }
    for name, way in ways.items():
        if name.startswith("linear in time") and at + 1 == len(real.months):
            continue
        tallies.setdefault(name, Tally()).add((way() - truth)[gap], area)
    ratio = (ours.fco2 - truth)[gap] / ours.uncertainty[gap]
    tallies["completion with EOFs"].ratios.append(float(np.mean(ratio**2)))


def linear_in_space(seen: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    """Fill by linear interpolation between the seen cells, the nearest one outside of them."""
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

    known = np.isfinite(seen)
    points, wanted = np.argwhere(known), np.argwhere(ocean & ~known)
    values = LinearNDInterpolator(points, seen[known])(wanted)
    outside = np.isnan(values)
    values[outside] = NearestNDInterpolator(points, seen[known])(wanted[outside])
    filled = seen.copy()
    filled[ocean & ~known] = values
    return filled


def real_table(folder: Path) -> None:
    """Print the comparison on all months after the fitted ones."""
    real = RealMonths.read(folder)
    begun = now()
    basis = real.fit()
    seconds = now() - begun
    tested = np.flatnonzero(real.months > FIT_UNTIL)
    columns: list[dict[str, Tally]] = []
    for part in PARTS:
        tallies: dict[str, Tally] = {}
        for at in tested:
            for cloud in range(CLOUDS):
                compare(real, basis, int(at), part, cloud, tallies)
        columns.append(tallies)
    print(
        f"Fitted on {basis.first_month} to {basis.last_month} in {seconds:.1f} s: "
        f"{basis.rank} modes. Tried on {len(tested)} later months under {CLOUDS} clouds each: "
        f"{len(tested) * CLOUDS} fields a column.\n"
    )
    print("| RMSE inside the gaps, mmol m⁻² d⁻¹ | 10 % | 30 % | 60 % |\n|---|---|---|---|")
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(f"{c[name].rmse:.3f}" for c in columns) + " |")
    spread = [np.sqrt(np.mean(c["completion with EOFs"].ratios)) for c in columns]
    print("| its error over its own estimate | " + " | ".join(f"{v:.2f}" for v in spread) + " |")
    print("\n| modes | RMSE at withheld values | standard errors behind the best |\n|---|---|---|")
    for row in basis.scores:
        chosen = " (chosen)" if row.rank == basis.rank else ""
        print(f"| {row.rank}{chosen} | {row.rmse:.3f} | {row.behind:.1f} |")


# --- how fast, on the full grid -------------------------------------------------------------------


def synthetic_months(grid: Grid, n_months: int) -> Iterator[tuple[Month, np.ndarray, np.ndarray]]:
    """Yield month, flux with noise (lat, lon) on all cells, and the cells under clouds.

    The synthetic sea, made on a grid ten times coarser and refined.
    """
    from scipy.ndimage import distance_transform_edt, map_coordinates

    from ingest.synthetic.sea import SyntheticSea

    coarse = Grid(
        "coarse", grid.south, grid.west, grid.step * 10, grid.n_lat // 10, grid.n_lon // 10
    )
    sea = SyntheticSea(coarse, seed=1)
    nearest = distance_transform_edt(~sea.ocean, return_distances=False, return_indices=True)
    places = np.meshgrid(
        *((np.arange(n) + 0.5) / 10 - 0.5 for n in grid.shape), indexing="ij", sparse=False
    )
    rng = np.random.default_rng(1)
    for made in sea.months(START, START + (n_months - 1)):
        smooth = map_coordinates(made.truth[tuple(nearest)], places, order=1, mode="nearest")
        noise = 0.25 * rng.standard_normal(grid.shape, dtype=np.float32)
        clouds = np.isnan(made.observed) & sea.ocean
        yield (
            made.month,
            (smooth + noise).astype(np.float32),
            np.kron(clouds, np.ones((10, 10))) > 0,
        )


def write_record(folder: Path, grid: Grid, n_months: int) -> None:
    """Write a record, and the product file of the month after it with 30 % gaps."""
    from ingest.completion.cloud_shapes import cloud_shape
    from ingest.synthetic.files import as_dataset, file_name
    from ingest.synthetic.sea import SyntheticMonth, SyntheticSea
    from storage.carbon_ecs import CarbonEcs
    from storage.record_template import RecordTemplate

    sea = SyntheticSea(grid, seed=1)
    ocean = sea.ocean
    record = CarbonEcs.create(folder / "carbon-ecs", RecordTemplate(grid, ocean))
    arriving = START + n_months
    for of, flux, clouds in synthetic_months(grid, n_months + 1):
        values = np.where(ocean, flux, np.float32(np.nan))
        if of == arriving:
            gap = cloud_shape(ocean, 0.3, 1.0 / grid.step, np.random.default_rng(2))
            made = SyntheticMonth(of, values, np.where(gap, np.float32(np.nan), values))
            (folder / "landing").mkdir()
            as_dataset(made, sea).to_netcdf(folder / "landing" / file_name(of), engine="h5netcdf")
            continue
        quality = np.where(ocean, np.where(clouds, Quality.COMPLETED, Quality.OBSERVED), 0)
        error = np.where(ocean, np.float32(1.5), np.float32(np.nan))
        record.commit_month(FluxMonth(of, grid, values, quality.astype(np.uint8), error, NO_FILE))
    (folder / "products").mkdir()
    (folder / "products" / "bench.yaml").write_text(PRODUCT_YAML.format(grid=grid.name))


def _workspace(folder: Path) -> Any:
    from flows.operations.workspace import Workspace
    from storage.settings import Settings

    return Workspace(
        Settings(home=folder, product="bench", products_folder=folder / "products", _env_file=None)
    )


def case_refresh(folder: Path) -> dict[str, Any]:
    """Refresh the basis on the whole record."""
    from flows.operations.basis import refresh_basis

    begun = now()

    def show(done: int, total: int, detail: str) -> None:
        print(f"{now() - begun:7.1f} s  {detail} {done}/{total}", file=sys.stderr, flush=True)

    made = refresh_basis(_workspace(folder), progress=show)
    return {"seconds": now() - begun, "rank": made.rank}


def case_refresh_many(folder: Path) -> dict[str, Any]:
    """Fit and save a basis of as many modes as are ever chosen."""
    from ingest.completion.fit import RANKS, fit_basis
    from storage.completion_basis import save_basis
    from storage.record_reader import RecordReader

    workspace = _workspace(folder)
    record = workspace.record()
    months = record.months()
    begun = now()
    reader = RecordReader(
        record.url, record.snapshot_id, workspace.patience, record.grid, months[0], months[-1]
    )
    basis = fit_basis(reader, record.ocean, ranks=RANKS[-1:])
    save_basis(record.url, basis, workspace.patience)
    return {"seconds": now() - begun, "rank": basis.rank}


def case_load(folder: Path) -> dict[str, Any]:
    """Read the basis that an arriving month is completed with."""
    from flows.operations.basis import BasisShelf

    workspace = _workspace(folder)
    begun = now()
    basis = BasisShelf(workspace).basis_for(workspace.record().last_month + 1)
    assert basis is not None
    return {"seconds": now() - begun, "rank": basis.rank}


def case_complete(folder: Path) -> dict[str, Any]:
    """Complete and commit the arriving month with the basis, its values already read."""
    import xarray as xr

    from flows.operations.basis import BasisShelf
    from ingest.completion.complete import complete_month
    from ingest.reader import ProductMonth

    workspace = _workspace(folder)
    record = workspace.record()
    wanted = record.last_month + 1
    basis = BasisShelf(workspace).basis_for(wanted)
    (file,) = (folder / "landing").glob("*.nc")
    with xr.open_dataset(file, engine="h5netcdf") as dataset:
        seen = dataset["fco2"].values[0].astype(np.float32)
    none = np.full(record.grid.shape, np.nan, dtype=np.float32)
    made = ProductMonth(wanted, record.grid, seen, none, None, "fco2", "")
    earlier = record.same_calendar_month(wanted)
    begun = now()
    done = complete_month(
        made, record.ocean, earlier, observed_uncertainty=1.5, source=NO_FILE, basis=basis
    )
    return {"seconds": now() - begun, "method": done.method, "filled": done.n_completed}


def case_ingest(folder: Path) -> dict[str, Any]:
    """Ingest the arriving file: read, check, complete, commit, ledger; imports included."""
    begun = now()
    from flows.operations.ingest import ingest

    (done,) = ingest(_workspace(folder))
    return {"seconds": now() - begun, "outcome": str(done.outcome), "message": done.message}


CASES = {
    "refresh": case_refresh,
    "refresh_many": case_refresh_many,
    "load": case_load,
    "complete": case_complete,
    "ingest": case_ingest,
}


def run_case(name: str, folder: Path) -> dict[str, Any]:
    """Run a case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.complete", "--case", name, str(folder)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return answer


def full_grid(n_months: int, grid: Grid) -> None:
    """Print what a refresh and an arriving month take."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write_record(folder, grid, n_months)
        found = {name: run_case(name, folder) for name in CASES}
    few, many = (found[name]["rank"] for name in ("refresh", "refresh_many"))
    print(f"\n{machine()}; {grid.n_lat} x {grid.n_lon} cells, {n_months} months\n")
    print("| what | seconds | peak GB | at most |\n|---|---|---|---|")
    titles = {
        "refresh": (f"refresh the basis ({few} modes chosen)", "1200 s, 8 GB"),
        "refresh_many": (f"the same with {many} modes", "1200 s, 8 GB"),
        "ingest": (f"one arriving month, 30 % gaps, {many} modes: file to snapshot", "30 s, 4 GB"),
        "load": ("of which: read the basis", ""),
        "complete": ("of which: complete the month", ""),
    }
    for name, (title, limit) in titles.items():
        print(
            f"| {title} | {found[name]['seconds']:.1f} | {found[name]['peak_gb']:.2f} | {limit} |"
        )
    print(f"\nThe month was {found['ingest']['outcome']}. {found['ingest']['message']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    data = os.environ.get("TIDENET_TEST_DATA")
    beside = Path(data) / "fco2_1deg" if data else None
    parser.add_argument("--real", type=Path, default=beside, help="folder of real months")
    parser.add_argument("--months", type=int, default=0, help="months of the synthetic record")
    parser.add_argument("--quick", action="store_true", help="on the 0.1 degree grid")
    parser.add_argument("--case", nargs=2, metavar=("CASE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        name, folder = options.case
        print(json.dumps(CASES[name](Path(folder)) | {"peak_gb": own_peak_gb()}))
        return
    if options.real is None or not options.real.is_dir():
        print(f"No real months in {options.real}: give --real FOLDER or TIDENET_TEST_DATA.")
    else:
        real_table(options.real)
    if options.months:
        full_grid(options.months, grid_named("carbon-ecs-10" if options.quick else "carbon-ecs"))


if __name__ == "__main__":
    main()
