"""The network's recipe with each ingredient taken out, or another put in: skill by lead.

Usage: ``python -m benchmarks.network_ablation [--seed 2003] [--only NAME ...]``. Prints Markdown:
mean square error skill against the climatology of the training period, on the demonstration's sea
as it is observed (0.1 degree, trained until 2014-12, init months 2015-01 to 2019-06). Two rows of
the whole recipe with other seeds show how much of a difference is chance.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.measure import machine, now
from benchmarks.oracle import INIT_MONTHS, N_LEADS, TRAIN_UNTIL, Skill, records, row
from ingest.synthetic.sea import SyntheticSea
from storage.grid import grid_named
from tidenet.configuration import TideNetConfig
from tidenet.record import FluxRecord
from tidenet.training import train
from tidenet.training.samples import Samples


@contextmanager
def _season_not_told() -> Iterator[None]:
    def nothing(_: Any, n_leads: int) -> np.ndarray:
        return np.zeros((1 + n_leads, 2), dtype=np.float32)

    with (
        patch("tidenet.training.samples.season", nothing),
        patch("tidenet.forecasting.season", nothing),
    ):
        yield


def _windows_as_they_are() -> AbstractContextManager[Any]:
    return patch.object(Samples, "blended", lambda samples, index, _: samples.batch(index))


@dataclass(frozen=True)
class Variant:
    """A recipe: changed options, the seed, a changed surrounding, how far to follow."""

    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    surrounding: Callable[[], AbstractContextManager[Any]] = nullcontext
    follow: float | None = None


VARIANTS = {
    "whole recipe": Variant(),
    "whole recipe, seed 1": Variant(seed=1),
    "whole recipe, seed 2": Variant(seed=2),
    "linear forecast alone": Variant({"n_epochs": 0, "backbone": "none"}, follow=0.0),
    "backbone as it is, not fine-tuned, followed in full": Variant({"n_epochs": 0}, follow=1.0),
    "from random weights": Variant({"backbone": "none"}),
    "from random weights, diffusion refiner": Variant({"backbone": "none", "refiner": "diffusion"}),
    "from random weights, no refiner": Variant({"backbone": "none", "refiner": "none"}),
    "from random weights, 240 months of surrogates besides": Variant(
        {"backbone": "none", "surrogate_months": 240}
    ),
    "240 months of surrogates besides": Variant({"surrogate_months": 240}),
    "two networks of other seeds": Variant({"n_networks": 2}),
    "weights not averaged": Variant({"ema_decay": 0.0}),
    "no loss of amplitude and phase": Variant({"amplitude_loss": 0.0, "phase_loss": 0.0}),
    "windows not blended": Variant(surrounding=_windows_as_they_are),
    "calendar month and lead not told": Variant(surrounding=_season_not_told),
    "never stopped early": Variant({"patience": 12}),
    "followed in full": Variant(follow=1.0),
}


def skill_of(variant: Variant, record: FluxRecord, skill: Skill) -> np.ndarray:
    """Return the skill by lead (lead,)."""
    config = TideNetConfig(**variant.options)
    with variant.surrounding():
        trained = train(record.until(TRAIN_UNTIL), config, seed=variant.seed)
        if variant.follow is not None:
            follow = np.full(N_LEADS, variant.follow, dtype=np.float32)
            trained = replace(trained, follow=follow)
        rng = np.random.default_rng(0)
        made = {
            init_month: trained.forecast(record, init_month, n_members=2, rng=rng).mean
            for init_month in INIT_MONTHS
        }
    return skill.of(made)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seed", type=int, default=2003, help="of the sea; the demonstration's")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args(arguments)
    began = now()
    _, record = records(SyntheticSea(grid_named("carbon-ecs-10"), options.seed))
    skill = Skill(record)
    print(f"{machine()}; sea of seed {options.seed}, trained until {TRAIN_UNTIL}\n")
    print("| network | " + " | ".join(f"lead {k}" for k in range(1, N_LEADS + 1)) + " | mean |")
    print("|---" * (N_LEADS + 2) + "|")
    for name in options.only:
        print(row(name, skill_of(VARIANTS[name], record, skill)), flush=True)
    print(f"\n{now() - began:.0f} s")


if __name__ == "__main__":
    main()
