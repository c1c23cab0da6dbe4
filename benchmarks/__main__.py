"""Run the benchmarks of speed that need nothing from outside, one after the other."""

import runpy

for name in ("commit_month", "complete", "train_and_forecast", "full_resolution", "loop"):
    print(f"\n## {name}\n", flush=True)
    runpy.run_module(f"benchmarks.{name}", run_name="__main__")
