"""Measurements. `python -m benchmarks` runs them all and prints Markdown for docs/benchmarks.md."""
