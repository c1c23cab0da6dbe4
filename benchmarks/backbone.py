"""What the pre-trained backbone adds to the linear forecast, before and after fine-tuning.

Usage: ``python -m benchmarks.backbone [--real FOLDER] [--epochs 4] [--file BACKBONE]``. Prints
Markdown: mean square error skill against the climatology of the training period, by lead, on the
network's working grid.

The demonstration's sea (0.1 degree, true fields and as observed) is trained until 2014-12 and
forecast from 2015-01 to 2019-06; one-degree files in FOLDER, by default
``$TIDENET_TEST_DATA/fco2_1deg``, are forecast from every month from 2016-01 on, refitted each
January on all months before it.
Departures of the backbone as it is are followed in full; those of the fine-tuned network as far as
the two years of validation say.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import machine, now
from benchmarks.oracle import INIT_MONTHS, TRAIN_UNTIL, records
from storage.grid import grid_named
from storage.months import Month, month, month_range, months_between
from tidenet.climatology import AnomalySeries
from tidenet.configuration import TideNetConfig
from tidenet.pretraining import Backbone, find_backbone
from tidenet.record import FluxRecord
from tidenet.references import Fitted, fit_shared
from tidenet.references.anomalies import Anomalies
from tidenet.references.blend import FittedBlend, fit_blend
from tidenet.references.damping import fit_damping, fit_seasonal_damping
from tidenet.training.windows import split_windows

DEMO_SEED = 2003


class Trial:
    """One training period, its linear forecast, and the months that it forecasts from."""

    def __init__(
        self, record: FluxRecord, until: Month, inits: Sequence[Month], config: TideNetConfig
    ) -> None:
        self.config, self.n_leads = config, config.n_leads
        self.record, self.until = record, until
        known = record.until(until)
        self.shared: Fitted = fit_shared(known, self.n_leads, config.working_cells)
        self.blend: FittedBlend = fit_blend(self.shared.remaining, self.n_leads)
        scales = self.shared.scales
        self.anomalies = Anomalies.of(AnomalySeries(record, scales.climatology), scales.grid)
        self.remaining = self.shared.cycle.remove(self.anomalies)
        self.positions = np.array([months_between(record.first_month, i) for i in inits])

    def samples(
        self, months: Anomalies, forecasts: np.ndarray, positions: np.ndarray, shared: Fitted
    ) -> Any:
        """Return windows; months after the record's last count as zero and are not scored."""
        from tidenet.training.samples import make_samples

        tail = np.zeros((self.n_leads, months.values.shape[1]), np.float32)
        longer = months.with_values(np.concatenate([months.values, tail]))
        drivers = np.zeros((len(longer), 0, *shared.scales.grid.shape), np.float32)
        part = shared.part(None, self.n_leads, expects=True)
        return make_samples(longer, longer, forecasts, drivers, part, positions, self.config)

    def departures(self, network: Any, forecasts: np.ndarray) -> np.ndarray:
        """Return a network's departures from a linear forecast (init, lead, block)."""
        from tidenet.training.loop import departures

        made = self.samples(self.remaining, forecasts, self.positions, self.shared)
        departed: np.ndarray = departures(network, made)[:, :, self.shared.scales.sea.ocean]
        return departed

    def fine_tuned(self, state: Any, epochs: int, seed: int) -> tuple[Any, np.ndarray]:
        """Return the network fine-tuned on the training period, and how far to follow it."""
        from tidenet.training.fit import _cautious_weight
        from tidenet.training.loop import departures, fit_network

        config = self.config.model_copy(update={"n_epochs": epochs, "learning_rate": 5e-4})
        known = self.record.until(self.until)
        windows = split_windows(
            len(known.fco2), config.n_history, self.n_leads, config.validation_months
        )
        early = known.until(known.first_month + (windows.n_fitting_months - 1))
        shared = fit_shared(early, self.n_leads, config.working_cells)
        blend = fit_blend(shared.remaining, self.n_leads)
        series = AnomalySeries(known, shared.scales.climatology)
        months = shared.cycle.remove(Anomalies.of(series, shared.scales.grid))
        outside = blend.blend.forecast(months, windows.validation)
        fitting = self.samples(months, blend.left_out[windows.fitting], windows.fitting, shared)
        checked = self.samples(months, outside, windows.validation, shared)
        network, _ = fit_network(config, fitting, checked, seed, None, initial=state)
        error = (checked.target - checked.x.linear).numpy()
        follow = _cautious_weight(error, departures(network, checked), checked.weight.numpy())
        return network, follow

    def errors(self, forecasts: np.ndarray, *, with_cycle: bool = True) -> np.ndarray:
        """Return the summed squared error (lead,) of forecast anomalies (init, lead, block)."""
        scales, leads = self.shared.scales, np.arange(1, self.n_leads + 1)
        rows = self.positions[:, None] + leads
        held = rows < len(self.anomalies)
        came = (self.remaining if with_cycle else self.anomalies).values
        std = scales.grid.coarsen(scales.climatology.std)[:, scales.sea.ocean]
        miss = came[np.minimum(rows, len(came) - 1)] - forecasts
        miss = miss * std[(self.anomalies.first_calendar + rows) % 12] * held[..., None]
        total: np.ndarray = np.einsum("nkc,nkc,c->k", miss, miss, scales.sea.weight)
        return total


def try_out(trial: Trial, backbone: Backbone, epochs: int, seed: int) -> dict[str, np.ndarray]:
    """Return the summed squared errors (lead,) of every method."""
    from tidenet.model.network import TideNet

    state = backbone.state(trial.config)
    network = TideNet(trial.config)
    network.load_state_dict(state)
    shared, positions, n_leads = trial.shared, trial.positions, trial.n_leads
    linear = trial.blend.blend.forecast(trial.remaining, positions)
    damped = fit_damping(shared.remaining, n_leads).forecast(trial.remaining, positions)
    seasonal = fit_seasonal_damping(shared.anomalies, n_leads)
    seasonal_forecast = seasonal.forecast(trial.anomalies, positions)
    found = {
        "climatology": trial.errors(np.zeros_like(linear), with_cycle=False),
        "damped-persistence": trial.errors(seasonal_forecast, with_cycle=False),
        "detrended-damped-persistence": trial.errors(damped),
        "... and backbone": trial.errors(damped + trial.departures(network, damped)),
        "linear-blend": trial.errors(linear),
        "... and backbone ": trial.errors(linear + trial.departures(network, linear)),
    }
    if epochs:
        tuned, follow = trial.fine_tuned(state, epochs, seed)
        departed = follow[:, None] * trial.departures(tuned, linear)
        found["... and fine-tuned backbone"] = trial.errors(linear + departed)
    return found


def show(title: str, trials: Sequence[Trial], options: argparse.Namespace) -> None:
    """Print the table of one sea, its training periods added up."""
    totals: dict[str, np.ndarray] = {}
    for number, trial in enumerate(trials):
        found = try_out(trial, options.backbone, options.epochs, options.seed + number)
        totals = {name: totals.get(name, 0.0) + errors for name, errors in found.items()}
    leads = [f"lead {lead}" for lead in range(1, trials[0].n_leads + 1)]
    print(f"\n| {title} | {' | '.join([*leads, 'mean'])} |\n|{'---|' * (len(leads) + 2)}")
    for name, errors in totals.items():
        skill = 1 - errors / totals["climatology"]
        values = " | ".join(f"{value:+.3f}" for value in (*skill, skill.mean()))
        print(f"| {name} | {values} |", flush=True)


def read_real(folder: Path) -> FluxRecord:
    """Return one-degree files ``ECS_FCO2_monthly_1deg_YYYYMM.nc`` as a record."""
    import xarray as xr

    maps = []
    files = sorted(folder.glob("ECS_FCO2_monthly_1deg_*.nc"))
    for file in files:
        with xr.open_dataset(file, decode_times=False) as dataset:
            maps.append(dataset["fco2"].values.squeeze().astype(np.float32))
    fields = np.where(np.stack(maps) < -9000, np.nan, np.stack(maps))
    ocean = np.asarray(np.isfinite(fields).all(axis=0))
    first = files[0].stem[-6:]
    fields = np.where(ocean, fields, np.nan).astype(np.float32)
    grid = grid_named("east-asia-1deg")
    return FluxRecord(grid, ocean, month(f"{first[:4]}-{first[4:]}"), fields)


def real_trials(record: FluxRecord, config: TideNetConfig) -> list[Trial]:
    """Return one trial for each year from 2016 on, fitted on all months before it."""
    trials, first, last = [], month("2016-01"), record.last_month - 1
    while first <= last:
        inits = month_range(first, min(first + 11, last))
        trials.append(Trial(record, first - 1, inits, config))
        first = first + 12
    return trials


def main(arguments: Sequence[str] | None = None) -> None:
    from ingest.synthetic.sea import SyntheticSea

    data = os.environ.get("TIDENET_TEST_DATA")
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--real", type=Path, default=Path(data) / "fco2_1deg" if data else None)
    parser.add_argument("--epochs", type=int, default=4, help="of fine-tuning; 0 for none")
    parser.add_argument("--seed", type=int, default=1, help="of fine-tuning")
    parser.add_argument("--file", type=Path, help="backbone; by default the package's")
    options = parser.parse_args(arguments)
    options.backbone = Backbone(options.file) if options.file else find_backbone(TideNetConfig())
    config, began = options.backbone.config, now()
    print(f"{machine()}; backbone {options.backbone.name}, {options.epochs} epochs of fine-tuning.")
    sea = SyntheticSea(grid_named("carbon-ecs-10"), DEMO_SEED)
    for title, record in zip(("synthetic, true", "synthetic, observed"), records(sea), strict=True):
        show(title, [Trial(record, TRAIN_UNTIL, INIT_MONTHS, config)], options)
    if options.real is not None:
        show("real, 1 degree", real_trials(read_real(options.real), config), options)
    print(f"\n{now() - began:.0f} s")


if __name__ == "__main__":
    main()
