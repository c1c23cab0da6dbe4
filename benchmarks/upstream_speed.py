"""Speed and memory beside the upstream TIDE-Net code: same machine, shapes and weights, one run.

The upstream code is fetched from its public repository into a cache folder, with the one library
that it needs beyond ours; ``--upstream FOLDER`` takes a copy that is there already. Forecasts of
upstream and ours alternate, so that a busy machine is busy for both. Training runs in a process of
its own for each, so that the peak memory is its own.

On a CPU the default is small; ``--full`` runs what is reported, ``--help`` shows the rest. Memory
allocation matters on Linux: run it as it is, and with ``MALLOC_MMAP_THRESHOLD_=4294967296
MALLOC_TRIM_THRESHOLD_=4294967296``, which keeps freed memory for the next operation.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu_limits import ByteCounter, card_limits
from benchmarks.measure import machine, now, own_peak_gb
from tidenet import upstream
from tidenet.configuration import TideNetConfig
from tidenet.model.network import NetworkInput, TideNet

REPOSITORY = "https://github.com/Son4ta/TIDE-Net"
MONTHS = 6


def main() -> None:
    options = _options()
    folder = _obtain(options)
    if options.train_child:
        _train_child(folder, options)
        return
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, {_device()}")
    _sizes_table(folder, options)
    if _device().type == "cuda":
        print("card, measured: {:.0f} TFLOP/s bf16, {:.0f} GB/s".format(*card_limits()))
    for size in options.sizes:
        _inference(folder, size, options)
    for size in options.train_sizes:
        _training(size, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", type=Path, help="folder of a copy of the upstream code")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "tidenet-benchmarks",
        help="where upstream's code and einops are kept",
    )
    parser.add_argument("--full", action="store_true", help="full size on a CPU too")
    parser.add_argument("--sizes", type=int, nargs="*", help="frame sizes of forecasts")
    parser.add_argument("--train-sizes", type=int, nargs="*", help="frame sizes of training steps")
    parser.add_argument("--width", type=int, default=64, help="hidden width")
    parser.add_argument("--batch", type=int, default=4, help="windows of a training step")
    parser.add_argument("--repeats", type=int, default=5, help="forecasts of each kind")
    parser.add_argument("--steps", type=int, default=3, help="training steps, the first not timed")
    parser.add_argument("--train-child", choices=["upstream", "ours"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    full = options.full or _device().type == "cuda"
    if options.sizes is None:
        options.sizes = [128, 256] if full else [64]
    if options.train_sizes is None:
        options.train_sizes = [128] if full else []
    return options


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _obtain(options: argparse.Namespace) -> Path:
    """Return the folder of the upstream code; fetch it and einops if they are not there."""
    folder = options.upstream or options.cache / "TIDE-Net"
    if not (folder / "models" / "tidenet.py").is_file():
        if options.upstream:
            sys.exit(f"No models/tidenet.py in {folder}: give a copy of {REPOSITORY}.")
        options.cache.mkdir(parents=True, exist_ok=True)
        _run(
            ["git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(folder)],
            f"{REPOSITORY} cannot be fetched. Where there is no network, copy the repository here "
            "and give its folder with --upstream.",
        )
    libraries = options.cache / "libraries"
    sys.path.append(str(libraries))
    if importlib.util.find_spec("einops") is None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        _run(
            [*pip, "--no-deps", "--target", str(libraries), "einops"],
            "einops, which the upstream code needs, cannot be installed. Install it into "
            f"{libraries} by hand.",
        )
        importlib.invalidate_caches()
    return folder


def _run(command: list[str], trouble: str) -> None:
    try:
        subprocess.run(command, check=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"{trouble}\n({error})")


def _upstream_model(folder: Path, settings: dict[str, Any]) -> Any:
    """Return upstream's network with weights of a fixed seed."""
    # Upstream imports torchvision for plots only.
    plots = types.ModuleType("torchvision.utils")
    package = types.ModuleType("torchvision")
    package.utils = plots  # type: ignore[attr-defined]
    import diffusers.models.unets.unet_2d  # noqa: F401  looks for torchvision on import

    stubs = {"torchvision": package, "torchvision.utils": plots}
    missing = {name: stub for name, stub in stubs.items() if name not in sys.modules}
    sys.modules.update(missing)
    try:
        spec = importlib.util.spec_from_file_location(
            "upstream_tidenet", folder / "models" / "tidenet.py"
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for name in missing:
            del sys.modules[name]
    torch.manual_seed(0)
    return module.get_model(**settings)


def _settings(size: int, width: int) -> dict[str, Any]:
    return {
        "img_channels": 1,
        "dim": width,
        "T_in": MONTHS,
        "T_out": MONTHS,
        "input_shape": (size, size),
        "n_layers": 3,
        "spec_num": 20,
    }


def _sizes_table(folder: Path, options: argparse.Namespace) -> None:
    """Print parameters and FLOPs of a forecast of upstream's and of the operational network."""
    size = options.sizes[0] if options.sizes else 64
    theirs = _upstream_model(folder, _settings(size, options.width)).eval()
    ours = TideNet(TideNetConfig()).eval()
    frames = torch.rand(1, MONTHS, 1, size, size)
    x = NetworkInput(
        frames,
        torch.zeros(1, MONTHS, size, size),
        torch.zeros(1, 1 + MONTHS, 2),
        torch.ones(1, 1, size, size),
    )
    flops = [_flops(lambda: theirs(frames, None)), _flops(lambda: ours(x, x.linear))]
    print(f"\nforecast at {size} x {size}       parameters        GFLOP")
    for name, network, count in zip(
        ("upstream", "operational"), (theirs, ours), flops, strict=True
    ):
        n = sum(p.numel() for p in network.parameters())
        print(f"{name:24s} {n / 1e6:11.2f} M {count / 1e9:12.1f}")
    print(f"operational: 1/{flops[0] / flops[1]:.0f} of upstream's FLOPs")


def _flops(forecast: Callable[[], Any]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forecast()
    return int(counter.get_total_flops())


def _inference(folder: Path, size: int, options: argparse.Namespace) -> None:
    settings = _settings(size, options.width)
    theirs = _upstream_model(folder, settings).eval()
    same = upstream.from_state_dict(theirs.state_dict(), settings)
    variants: dict[str, nn.Module] = {
        "ours float32": upstream.optimised(same, "float32"),
        "ours bfloat16": upstream.optimised(same, "bfloat16"),
    }
    theirs = theirs.to(_device())
    x = torch.rand(1, MONTHS, 1, size, size, device=_device())
    forecasts: dict[str, Callable[[], Tensor]] = {"upstream float32": lambda: theirs(x, None)[0]}
    for name, network in variants.items():
        moved = network.to(_device())
        forecasts[name] = lambda moved=moved: moved(x)  # type: ignore[misc]
    flops = _flops(lambda: theirs(x, None))
    times: dict[str, list[float]] = {name: [] for name in forecasts}
    cpu_times: dict[str, list[float]] = {name: [] for name in forecasts}
    with torch.inference_mode():
        made = {name: forecast() for name, forecast in forecasts.items()}  # warms up
        for _ in range(options.repeats):
            for name, forecast in forecasts.items():
                seconds, cpu_seconds = _seconds(forecast)
                times[name].append(seconds)
                cpu_times[name].append(cpu_seconds)
    print(f"\nforecast, {size} x {size}, {MONTHS} in {MONTHS} out, width {options.width}")
    print("                       median s    best s  times faster   CPU s   TFLOP/s   rel. L2")
    reference, base = made["upstream float32"], times["upstream float32"]
    for name, taken in times.items():
        faster = median(base) / median(taken)
        apart = float((made[name].float() - reference).norm() / reference.norm())
        print(
            f"{name:20s} {median(taken):10.3f} {min(taken):9.3f} {faster:13.2f}"
            f" {min(cpu_times[name]):7.2f} {flops / median(taken) / 1e12:9.2f} {apart:9.1e}"
        )
        if _device().type == "cuda":
            with torch.inference_mode(), ByteCounter() as counter:
                forecasts[name]()
            print(f"{'':20s} {counter.bytes / median(taken) / 1e9:10.0f} GB/s moved by operators")


def _seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Return wall and CPU seconds; the second tells more on a busy machine."""
    _synchronise()
    began, used = now(), time.process_time()
    work()
    _synchronise()
    return now() - began, time.process_time() - used


def _synchronise() -> None:
    if _device().type == "cuda":
        torch.cuda.synchronize()


def _training(size: int, options: argparse.Namespace) -> None:
    print(f"\ntraining step, {size} x {size}, batch {options.batch}, width {options.width}")
    found = {}
    for who in ("upstream", "ours"):
        command = [sys.executable, "-m", "benchmarks.upstream_speed", "--train-child", who]
        command += ["--train-sizes", str(size), "--width", str(options.width)]
        command += ["--batch", str(options.batch), "--steps", str(options.steps)]
        command += ["--cache", str(options.cache)]
        if options.upstream:
            command += ["--upstream", str(options.upstream)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[who] = json.loads(done.stdout.splitlines()[-1])
        print("{:12s} {seconds:8.2f} s {cpu:8.2f} CPU s {gb:8.2f} GB".format(who, **found[who]))
    faster = found["upstream"]["seconds"] / found["ours"]["seconds"]
    print(
        f"{faster:.2f} times faster, {found['ours']['gb'] / found['upstream']['gb']:.0%} of memory"
    )


def _train_child(folder: Path, options: argparse.Namespace) -> None:
    """Train a few steps and print seconds of the best step and peak memory as JSON."""
    size = options.train_sizes[0]
    settings = _settings(size, options.width)
    theirs = _upstream_model(folder, settings)
    frames = (options.batch, MONTHS, 1, size, size)
    x, y = torch.rand(frames, device=_device()), torch.rand(frames, device=_device())
    if options.train_child == "upstream":
        network = theirs.to(_device()).train()

        def loss() -> Tensor:
            total: Tensor = network.predict(x, y, compute_loss=True)[1]["total_loss"]
            return total

    else:
        network = upstream.from_state_dict(theirs.state_dict(), settings)
        del theirs
        network = network.to(_device()).train()
        upstream.lean_training(network)

        def loss() -> Tensor:
            with torch.autocast(_device().type, torch.bfloat16):
                components = network.components(x)
            terms = upstream.losses(components, y, n_modes=settings["spec_num"])
            return terms["total_loss"]

    optimiser = torch.optim.AdamW(network.parameters(), 1e-4)

    def step() -> None:
        loss().backward()
        optimiser.step()
        optimiser.zero_grad()

    times = [_seconds(step) for _ in range(options.steps)]
    cuda = _device().type == "cuda"
    gb = torch.cuda.max_memory_allocated() / 1e9 if cuda else own_peak_gb()
    seconds, cpu = (min(column) for column in zip(*(times[1:] or times), strict=True))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "gb": gb}))


if __name__ == "__main__":
    main()
