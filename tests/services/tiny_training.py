"""Tiny trainings on noise, in this process or as a program in one of its own."""

import argparse
import itertools
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

from storage.months import month
from tidenet.configuration import TideNetConfig
from tidenet.model.network import NetworkInput
from tidenet.training.loop import fit_network
from tidenet.training.samples import Samples


def tiny(**changes: object) -> TideNetConfig:
    return TideNetConfig.tiny(**({"n_epochs": 2, "batch_size": 6} | changes))


def windows(n: int, config: TideNetConfig, seed: int = 0, size: tuple[int, int] = (16, 16)):
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    mask = torch.ones(n, 1, *size)
    mask[..., :3] = 0
    area = mask * torch.linspace(0.5, 1.5, size[0])[:, None]
    weight = (area / area.sum(dim=(-2, -1), keepdim=True)).expand(n, config.n_leads, *size)
    history = noise(n, config.n_history, 1, *size) * mask[:, None]
    target = 0.7 * history[:, -1:, 0] + 0.5 * noise(n, config.n_leads, *size) * mask
    linear = 0.3 * history[:, -1:, 0].expand_as(target)
    x = NetworkInput(history, linear, noise(n, 1 + config.n_leads, 2), mask)
    return Samples(x, target, weight.contiguous(), [month("2001-01") + i for i in range(n)])


def fit(config: TideNetConfig, **options):
    """Train on 20 windows, seed 3."""
    fitting, validation = windows(20, config), windows(5, config, seed=1)
    return fit_network(config, fitting, validation, 3, None, **options)


def deadly_clock(calls: int) -> Iterator[float]:
    """Go on so fast that every step writes a checkpoint, and kill the process at a call."""
    for call in itertools.count():
        if call == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        yield 1000.0 * call


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", type=json.loads, default={})
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--die-at", type=int)
    told = parser.parse_args()
    options = {"checkpoint": told.checkpoint}
    if told.die_at is not None:
        options["clock"] = deadly_clock(told.die_at).__next__
    network, report = fit(tiny(**told.config), **options)
    name = f"of{report.n_processes}-{os.environ.get('RANK', '0')}"
    save_file(network.state_dict(), told.out / f"{name}.safetensors")
    (told.out / f"{name}.json").write_text(json.dumps(report.describe()))


if __name__ == "__main__":
    main()
