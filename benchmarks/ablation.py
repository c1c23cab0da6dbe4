"""The linear recipe with each ingredient taken out: mean squared error skill by lead.

Rolling origin: each year everything is fitted on all months before it and forecasts from every
month of it. Real data: ``python -m benchmarks.ablation --real FOLDER`` with monthly 1 degree files.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from storage.grid import grid_named
from storage.months import Month, month
from tidenet.record import FluxRecord
from tidenet.references.anomalies import Anomalies
from tidenet.references.blend import PRIOR, Blend, fit_blend
from tidenet.references.cycle import ExpectedCycle
from tidenet.references.damping import fit_seasonal_damping
from tidenet.references.dressed import Fitted, fit_shared

N_LEADS = 6
Variant = tuple[ExpectedCycle, Blend | None]


def main() -> None:
    """Print one table per record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, help="folder with real monthly files, 1 degree")
    arguments = parser.parse_args()
    print("synthetic sea at 0.1 degree, origins 2014-12 and later")
    table(synthetic(), month("2014-12"))
    if arguments.real:
        print("real 1 degree flux, origins 2015-12 and later")
        table(real(arguments.real), month("2015-12"))


def table(record: FluxRecord, first_origin: Month) -> None:
    """Print the skill of every variant."""
    errors: dict[str, np.ndarray] = {}
    origin = first_origin
    while origin < record.last_month:
        shared = fit_shared(record.until(origin), N_LEADS)
        until = min(origin + 12, record.last_month - 1)
        inits = np.arange(len(shared.anomalies), int((until - record.first_month).astype(int)) + 1)
        observed = _anomalies(record, shared)
        for name, forecast in _forecasts(shared, observed, inits):
            squares = _squares(forecast, observed, inits, shared)
            errors[name] = errors.get(name, np.zeros(N_LEADS)) + squares
        origin = origin + 12
    climatology = errors.pop("climatology")
    for name, squares in errors.items():
        skill = 1 - squares / climatology
        print(f"  {name:34s}", " ".join(f"{s:+.3f}" for s in skill), f"| {skill.mean():+.3f}")


def _anomalies(record: FluxRecord, shared: Fitted) -> Anomalies:
    from tidenet.climatology import AnomalySeries

    return Anomalies.of(AnomalySeries(record, shared.scales.climatology), shared.scales.grid)


def _forecasts(
    shared: Fitted, observed: Anomalies, inits: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield forecasts from the climatology (init, lead, block) by name."""
    leads = np.arange(1, N_LEADS + 1)
    yield "climatology", np.zeros((len(inits), N_LEADS, observed.values.shape[1]))
    damped = fit_seasonal_damping(shared.anomalies, N_LEADS)
    yield "damped persistence", damped.forecast(observed, inits)
    fitted = {}

    def blend_of(cycle: ExpectedCycle) -> Blend:
        key = (float(cycle.slope.sum()), float(np.abs(cycle.season).sum()))
        if key not in fitted:
            fitted[key] = fit_blend(cycle.remove(shared.anomalies), N_LEADS).blend
        return fitted[key]

    for name, variant in VARIANTS.items():
        cycle, blend = variant(shared, blend_of)
        forecast = cycle.expected(inits[:, None] + leads)
        if blend is not None:
            forecast = forecast + blend.forecast(cycle.remove(observed), inits)
        yield name, forecast


def _squares(
    forecast: np.ndarray, observed: Anomalies, inits: np.ndarray, shared: Fitted
) -> np.ndarray:
    """Return the summed squared errors of the flux by lead, weighted by area."""
    std = shared.scales.grid.coarsen(shared.scales.climatology.std)[:, shared.scales.sea.ocean]
    squares = np.zeros(N_LEADS)
    for lead in range(1, N_LEADS + 1):
        known = inits + lead < len(observed)
        valid = inits[known] + lead
        error = (observed.values[valid] - forecast[known, lead - 1]) * std[observed.calendar[valid]]
        squares[lead - 1] = observed.sea.mean(np.square(error)).sum()
    return squares


def _without(blend: Blend, *methods: str) -> Blend:
    weights = blend.weights.copy()
    weights[:, [list(PRIOR).index(method) for method in methods]] = 0
    total = weights.sum(axis=1, keepdims=True)
    only_damped = np.zeros_like(weights)
    only_damped[:, 0] = 1
    return replace(
        blend, weights=np.where(total > 0, weights / np.maximum(total, 1e-9), only_damped)
    )


def _least_squares_trend(shared: Fitted) -> ExpectedCycle:
    values = shared.anomalies.values
    time = np.arange(len(values)) - (len(values) - 1) / 2
    return replace(shared.cycle, slope=(time @ values / np.square(time).sum()).astype(np.float32))


_BlendOf = Callable[[ExpectedCycle], Blend]
VARIANTS: dict[str, Callable[[Fitted, _BlendOf], Variant]] = {
    "whole recipe": lambda s, b: (s.cycle, b(s.cycle)),
    "expected season and trend alone": lambda s, _: (s.cycle, None),
    "no trend": lambda s, b: (c := replace(s.cycle, slope=0 * s.cycle.slope), b(c)),
    "trend by least squares, not shrunk": lambda s, b: (c := _least_squares_trend(s), b(c)),
    "season not denoised": lambda s, b: (c := replace(s.cycle, season=0 * s.cycle.season), b(c)),
    "no propagator (nothing moves)": lambda s, b: (
        s.cycle,
        _without(b(s.cycle), "propagated", "mode"),
    ),
    "propagator alone": lambda s, b: (s.cycle, _without(b(s.cycle), "damped", "seasonal", "mode")),
    "no correction of the largest mode": lambda s, b: (s.cycle, _without(b(s.cycle), "mode")),
    "weights fixed, not fitted": lambda s, b: (
        s.cycle,
        replace(b(s.cycle), weights=np.tile(np.array(list(PRIOR.values())), (N_LEADS, 1))),
    ),
    "no shrinkage by lead and season": lambda s, b: (
        s.cycle,
        replace(b(s.cycle), trust=np.ones((N_LEADS, 12), dtype=np.float32)),
    ),
}


def synthetic() -> FluxRecord:
    """Return 204 months of the synthetic sea."""
    from ingest.synthetic.sea import SyntheticSea

    first, last = month("2003-01"), month("2019-12")
    sea = SyntheticSea(grid_named("carbon-ecs-10"), seed=7)
    fields = np.stack([made.truth for made in sea.months(first, last)])
    return FluxRecord(sea.grid, sea.ocean, first, fields)


def real(folder: Path) -> FluxRecord:
    """Return the record of the monthly 1 degree files of a folder."""
    import xarray as xr

    files = sorted(folder.glob("*.nc"))
    fields = np.stack([xr.open_dataset(f, decode_times=False)["fco2"].values[0] for f in files])
    fields = np.where(fields < -9000, np.nan, fields).astype(np.float32)
    first = month(f"{files[0].stem[-6:-2]}-{files[0].stem[-2:]}")
    return FluxRecord(grid_named("east-asia-1deg"), np.isfinite(fields).all(axis=0), first, fields)


if __name__ == "__main__":
    main()
