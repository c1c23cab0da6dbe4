"""Measurements; each prints Markdown for `docs/benchmarks.md` or `docs/skill.md`.

Speed and memory: ``python -m benchmarks`` runs `commit_month`, `complete`, `train_and_forecast`,
`full_resolution` and `loop`; ``make bench-gpu`` runs `train_and_forecast` and `upstream_speed`.
The system in service, each for itself: `operations`, `backfill_speed`, `soak`.
Skill, each for itself: `oracle`, `ablation`, `network_ablation`, `backbone`.
"""

import sys
from pathlib import Path

# The servers that some of them need are started by the tests' services.
sys.path.append(str(Path(__file__).parents[1] / "tests"))
