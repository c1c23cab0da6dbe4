"""Time and memory of training TIDE-Net and of a forecast, on whatever device is there.

Trains the default configuration on 204 synthetic months of the 0.1 degree grid and issues one
forecast of 20 members, in a fresh process. Prints one line per number.
"""

import resource
import time

import numpy as np


def main() -> None:
    started = time.monotonic()
    from ingest.synthetic.sea import SyntheticSea
    from storage.grid import grid_named
    from storage.months import month
    from tidenet.configuration import TideNetConfig
    from tidenet.record import FluxRecord
    from tidenet.training import TrainingProgress, train

    first, last = month("2003-01"), month("2019-12")
    sea = SyntheticSea(grid_named("carbon-ecs-10"), seed=7)
    fields = np.stack([made.truth for made in sea.months(first, last)])
    record = FluxRecord(sea.grid, sea.ocean, first, fields)
    print(f"made {len(fields)} months: {time.monotonic() - started:.1f} s")

    def show(now: TrainingProgress) -> None:
        print(f"  epoch {now.epoch}: validation {now.validation_loss:.4f}, {now.seconds:.1f} s")

    began, used = time.monotonic(), time.process_time()
    forecaster = train(record, TideNetConfig(), seed=1, progress=show)
    wall, cpu = time.monotonic() - began, time.process_time() - used
    print(f"train, imports included: {wall:.1f} s, {cpu:.1f} s of CPU time")
    began = time.monotonic()
    rng = np.random.default_rng(0)
    forecaster.forecast(record, last, n_members=20, rng=rng)
    print(f"forecast, 6 leads, 20 members: {time.monotonic() - began:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory: {peak:.2f} GB")


if __name__ == "__main__":
    main()
