"""Ten simulated years of the schedule, with a fault every few months: python -m benchmarks.soak.

`plan` says what goes wrong and when, `crew` holds the long-lived processes that do the work (each
runs `role`), `loop` lives through the months, `faults` does the harm, `run` does all that twice,
with faults and without, `report` judges and draws.
"""
