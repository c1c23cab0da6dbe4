"""``python -m tidenet.pretraining``: pre-train a network on simulated worlds and keep it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tidenet.configuration import TideNetConfig
from tidenet.pretraining.backbone import SHIPPED, save_backbone


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _options(arguments)
    import torch

    from tidenet.pretraining.pretrain import PretrainingPlan, PretrainingProgress, pretrain

    torch.set_num_threads(options.threads)
    config = TideNetConfig()
    if options.config is not None:
        config = TideNetConfig.model_validate_json(options.config.read_text())
    plan = PretrainingPlan(
        config,
        options.seed,
        options.rounds,
        options.minutes,
        validation_worlds=options.validation_worlds,
    )

    def show(now: PretrainingProgress) -> None:
        print(
            f"round {now.round} of {now.n_rounds or '?'}: loss {now.loss:.4f}, "
            f"{now.loss / now.linear_loss - 1:+.2%} of the linear forecast's, {now.seconds:.0f} s",
            flush=True,
        )

    made = pretrain(plan, show)
    command = f"python -m tidenet.pretraining --rounds {made.n_rounds} --seed {options.seed}"
    if options.config is not None:
        command += f" --config {options.config.name}"
    if options.validation_worlds != PretrainingPlan.validation_worlds:
        command += f" --validation-worlds {options.validation_worlds}"
    history = {
        "command": f"{command} --threads {options.threads} --name {options.name}",
        "plan": plan.describe(),
        "n_rounds": made.n_rounds,
        "n_windows": made.n_windows,
        "skill_on_other_worlds": made.skill.describe(),
        "torch": torch.__version__,
    }
    file = options.out / f"{options.name}.safetensors"
    save_backbone(file, made.network.state_dict(), config, history)
    for name, skill in made.skill.describe().items():
        print(f"{name:14}", " ".join(f"{value:+.3f}" for value in skill))
    print(f"{file}, {file.stat().st_size / 1e6:.1f} MB")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"{Path(sys.executable).name} -m tidenet.pretraining",
        description=__doc__,
        allow_abbrev=False,
    )
    parser.add_argument("--minutes", type=float, default=20.0, help="wall time to train")
    parser.add_argument("--rounds", type=int, help="rounds to train instead; exact by seed")
    parser.add_argument("--seed", type=int, default=1, help="of the weights and of all worlds")
    parser.add_argument("--config", type=Path, help="JSON of the network's configuration")
    parser.add_argument("--name", default="short", help="name of the backbone")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder to write to")
    parser.add_argument(
        "--validation-worlds", type=int, default=12, help="worlds that its skill is measured on"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
