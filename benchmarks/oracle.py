"""How much of the synthetic sea can be foreseen at all, and how much of it the references do.

Usage: ``python -m benchmarks.oracle [--seed 2003] [--methods NAME ...] [--rolling]``. Prints
Markdown: the mean square error skill against the climatology of the training period, by lead, on
the demonstration's sea (0.1 degree, trained until 2014-12), of the oracle
(`ingest.synthetic.oracle`), of the true season and trend without any knowledge of the state, and of
methods fitted on the same months. Once with the true fields as record and as verification, once as
they are observed: completed under clouds, with retrieval noise, verified on the observed cells.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.measure import machine, now
from ingest.completion.complete import complete_month
from ingest.reader import ProductMonth
from ingest.synthetic.oracle import oracle_forecasts
from ingest.synthetic.sea import FIRST_MONTH, SeaState, SyntheticSea
from storage.flux_month import SourceFile
from storage.grid import grid_named
from storage.months import Month, month, month_range
from tidenet.climatology import fit_climatology
from tidenet.configuration import TideNetConfig
from tidenet.forecasting import TideNetForecaster
from tidenet.record import FluxRecord
from tidenet.references import Reference, fit_reference
from tidenet.training import refit, train

N_LEADS = 6
TRAIN_UNTIL = month("2014-12")
LAST = month("2019-12")
INIT_MONTHS = month_range(month("2015-01"), month("2019-06"))


def records(sea: SyntheticSea, last: Month = LAST) -> tuple[FluxRecord, FluxRecord]:
    """Return the truth as a record, and the completed record of what was observed."""
    truth: list[np.ndarray] = []
    completed: list[np.ndarray] = []
    observed: list[np.ndarray] = []
    source = SourceFile("benchmark", "", "")
    for made in sea.months(FIRST_MONTH, last):
        none = np.full(sea.grid.shape, np.nan, dtype=np.float32)
        product = ProductMonth(made.month, sea.grid, made.observed, none, None, "fco2", "")
        earlier = completed[len(completed) % 12 :: 12]
        stack = np.stack(earlier) if earlier else np.empty((0, *sea.grid.shape), np.float32)
        filled = complete_month(
            product, sea.ocean, stack, observed_uncertainty=1.5, source=source
        ).month
        truth.append(made.truth)
        completed.append(filled.fco2)
        observed.append(np.isfinite(made.observed))
    seen = np.stack(observed)
    return (
        FluxRecord(sea.grid, sea.ocean, FIRST_MONTH, np.stack(truth)),
        FluxRecord(sea.grid, sea.ocean, FIRST_MONTH, np.stack(completed), seen),
    )


class Skill:
    """Mean square error skill against the climatology of the training period, by lead."""

    def __init__(self, record: FluxRecord, train_until: Month = TRAIN_UNTIL) -> None:
        self.record = record
        self.climatology = fit_climatology(record.until(train_until))

    def of(self, forecasts: dict[Month, np.ndarray]) -> np.ndarray:
        """Return the skill (lead,) of forecasts (lead, lat, lon) by init month."""
        error, reference = np.zeros(N_LEADS), np.zeros(N_LEADS)
        for init_month, forecast in forecasts.items():
            for lead, field in enumerate(forecast, start=1):
                position = self.record.index(init_month + lead)
                seen = self.record.observed
                cells = self.record.ocean if seen is None else seen[position]
                weight, came = self.record.weight[cells], self.record.fco2[position][cells]
                calendar = self.climatology.mean_of(init_month + lead)[cells]
                error[lead - 1] += weight @ np.square(field[cells] - came)
                reference[lead - 1] += weight @ np.square(calendar - came)
        skill: np.ndarray = 1 - error / reference
        return skill


def reference_forecasts(name: str, record: FluxRecord, rolling: bool) -> dict[Month, np.ndarray]:
    """Return the best estimates of a method, by init month.

    Parameters
    ----------
    name
        A reference, or ``tidenet``.
    record
        Its months until `TRAIN_UNTIL` are fitted on.
    rolling
        Whether it is fitted again before each later January, on all months until then; the
        networks of TIDE-Net are trained once all the same.
    """
    forecaster = _fitted(name, record.until(TRAIN_UNTIL), None)
    made = {}
    for init_month in INIT_MONTHS:
        months = (init_month - TRAIN_UNTIL).astype(int) - 1
        if rolling and months and months % 12 == 0:
            forecaster = _fitted(name, record.until(init_month - 1), forecaster)
        known = record.until(init_month)
        if isinstance(forecaster, TideNetForecaster):
            rng = np.random.default_rng(0)
            made[init_month] = forecaster.forecast(known, init_month, n_members=2, rng=rng).mean
        else:
            history = known.history(init_month, forecaster.n_history)
            made[init_month] = forecaster.best(history, init_month)
    return made


def _fitted(
    name: str, record: FluxRecord, before: Reference | TideNetForecaster | None
) -> Reference | TideNetForecaster:
    if isinstance(before, TideNetForecaster):
        return refit(before, record)
    if name == "tidenet":
        return train(record, TideNetConfig(), seed=0)
    return fit_reference(name, record, N_LEADS)


def seasons(sea: SyntheticSea) -> dict[Month, np.ndarray]:
    """Return the true season and trend as forecasts (lead, lat, lon), by init month."""
    blank = np.zeros(sea.grid.shape)
    return {
        init_month: np.stack(
            [sea.expected_flux(SeaState(init_month + k, blank, 0.0)) for k in range(1, N_LEADS + 1)]
        )
        for init_month in INIT_MONTHS
    }


def row(name: str, skill: np.ndarray) -> str:
    """Return a row of the table."""
    return f"| {name} | " + " | ".join(f"{value:+.3f}" for value in (*skill, skill.mean())) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seed", type=int, default=2003, help="of the sea; the demonstration's")
    methods = ["persistence", "damped-persistence", "linear-blend", "tidenet"]
    parser.add_argument("--methods", nargs="*", default=methods, help="methods to compare")
    parser.add_argument(
        "--rolling", action="store_true", help="fit again each January, as in service"
    )
    options = parser.parse_args(arguments)
    began = now()
    sea = SyntheticSea(grid_named("carbon-ecs-10"), options.seed)
    oracle, stateless = dict(oracle_forecasts(sea, INIT_MONTHS, N_LEADS)), seasons(sea)
    print(f"{machine()}; seed {options.seed}, trained until {TRAIN_UNTIL},")
    print(f"init months {INIT_MONTHS[0]} to {INIT_MONTHS[-1]}; MSSS against climatology.\n")
    columns = [f"lead {lead}" for lead in range(1, N_LEADS + 1)]
    for title, record in zip(("true fields", "as observed"), records(sea), strict=True):
        skill = Skill(record)
        print(f"| {title} | " + " | ".join([*columns, "mean"]) + " |")
        print("|---" * (N_LEADS + 2) + "|")
        print(row("oracle", skill.of(oracle)), flush=True)
        print(row("true season and trend", skill.of(stateless)), flush=True)
        for name in options.methods:
            made = reference_forecasts(name, record, options.rolling)
            print(row(name, skill.of(made)), flush=True)
        print()
    print(f"{now() - began:.0f} s")


if __name__ == "__main__":
    main()
