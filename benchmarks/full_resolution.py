"""Time and memory of a forecast on the record's own 0.01 degree grid (1900 x 1500 cells).

Trains on a few years of the synthetic sea on that grid (once, into a folder), then measures in a
fresh process: load the model, forecast 6 leads with 20 members, make the archived quantiles.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import machine, own_peak_gb
from storage.grid import grid_named
from storage.months import month

FIRST, LAST = month("2003-01"), month("2008-12")


def main() -> None:
    """Train if need be, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where model and months are kept")
    parser.add_argument("--forecast", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.forecast:
        forecast(arguments.folder)
        return
    print(machine())
    folder = arguments.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model.npz").exists():
        train(folder)
    import subprocess

    command = [sys.executable, "-m", "benchmarks.full_resolution", "--forecast", "--folder"]
    subprocess.run([*command, str(folder)], check=True)


def train(folder: Path) -> None:
    """Train on the synthetic sea and keep the model and the last year."""
    import json

    from ingest.synthetic.sea import SyntheticSea
    from tidenet.configuration import TideNetConfig
    from tidenet.record import FluxRecord
    from tidenet.training import train as train_on

    started = time.perf_counter()
    sea = SyntheticSea(grid_named("carbon-ecs"), seed=7)
    fields = np.stack([made.truth for made in sea.months(FIRST, LAST)])
    record = FluxRecord(sea.grid, sea.ocean, FIRST, fields)
    print(f"made {len(fields)} months: {time.perf_counter() - started:.0f} s")
    started = time.perf_counter()
    config = TideNetConfig(n_epochs=1, validation_months=12)
    forecaster = train_on(record, config, seed=1)
    seconds = time.perf_counter() - started
    print(f"train, 1 epoch: {seconds:.0f} s, peak {own_peak_gb():.1f} GB")
    np.savez(folder / "model.npz", **forecaster.tensors())
    (folder / "model.json").write_text(json.dumps(forecaster.metadata()))
    np.savez(folder / "months.npz", fco2=fields[-12:], ocean=sea.ocean)


def forecast(folder: Path) -> None:
    """Load, forecast and make quantiles; print what each took."""
    import json
    from dataclasses import replace

    from tidenet.aggregates import quantile_fields
    from tidenet.forecasting import TideNetForecaster
    from tidenet.loading import load_forecaster
    from tidenet.record import FluxRecord

    months = np.load(folder / "months.npz")
    grid = grid_named("carbon-ecs")
    record = FluxRecord(grid, months["ocean"], LAST - 11, months["fco2"])
    started = time.perf_counter()
    tensors = dict(np.load(folder / "model.npz"))
    metadata = json.loads((folder / "model.json").read_text())
    model = load_forecaster(tensors, metadata, grid, record.ocean)
    assert isinstance(model, TideNetForecaster)
    # The network runs whatever weight it was given: its time belongs to the measurement.
    model = replace(model, follow=np.ones_like(model.follow))
    print(f"load the model: {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    made = model.forecast(record, LAST, n_members=20, rng=np.random.default_rng(0))
    print(f"forecast, 6 leads, 20 members: {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    fields = quantile_fields(made)
    print(f"quantiles {fields.shape}: {time.perf_counter() - started:.1f} s")
    print(f"peak memory, all of it: {own_peak_gb():.2f} GB")


if __name__ == "__main__":
    main()
