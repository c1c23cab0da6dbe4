"""Training options: where they come from, what goes before what, and what is said of wrong ones."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from services.small_loop import TINY, World
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.options import (
    InvalidConfigurationError,
    option_name,
    recipe_names,
    training_options,
)
from flows.operations.train import train
from storage.months import month
from tidenet.configuration import TideNetConfig
from tidenet.errors import TrainingDivergedError
from tidenet.pretraining import load_backbone
from tidenet.training import loop
from tidenet.training.checkpoints import FILE

ROOT = Path(__file__).parents[2]
ACCELERATE = ROOT / "deploy" / "accelerate"


def stated(config: TideNetConfig) -> list[str]:
    """Return a configuration as arguments of the command line."""
    values = {name: getattr(config, name) for name in sorted(config.model_fields_set)}
    return [
        f"{option_name(name)}={','.join(map(str, v)) if isinstance(v, tuple) else v}"
        for name, v in values.items()
    ]


def in_registry(world: World) -> dict[str, object]:
    [(config,)] = world.rows("SELECT config FROM model_versions")
    return dict(yaml.safe_load(config))


# --- where options come from ----------------------------------------------------------------------


def test_command_line_before_environment_before_file_before_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("n_epochs: 2\npatience: 2\nbatch_size: 2\n")
    monkeypatch.setenv("TIDENET_TRAIN_N_EPOCHS", "3")
    monkeypatch.setenv("TIDENET_TRAIN_PATIENCE", "3")
    found = training_options(file, {"n_epochs": "4"})
    assert (found.n_epochs, found.patience, found.batch_size) == (4, 3, 2)
    assert found.learning_rate == TideNetConfig().learning_rate


def test_the_homes_env_file_is_read_and_goes_behind_the_environment(
    empty: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = empty.workspace.settings
    with (settings.home / ".env").open("a") as file:
        file.write("TIDENET_TRAIN_N_EPOCHS=3\nTIDENET_TRAIN_PATIENCE=3\n")
    monkeypatch.setenv("TIDENET_TRAIN_PATIENCE", "5")
    found = training_options(settings=settings)
    assert (found.n_epochs, found.patience) == (3, 5)


@pytest.mark.parametrize("written", ["sst, wind", "['sst', 'wind']", "sst,wind,"])
def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("TIDENET_TRAIN_DRIVERS", written.replace("'", ""))
    found = training_options(stated={"refiner_channels": "8,24"})
    assert found.drivers == ("sst", "wind")
    assert found.refiner_channels == (8, 24)


@pytest.mark.parametrize(("name", "months"), [("short", 6), ("medium", 12)])
def test_the_shipped_settings_go_six_and_twelve_months_ahead(name: str, months: int) -> None:
    found = training_options(name)
    assert (found.n_history, found.n_leads) == (months, months)
    assert recipe_names() == ["medium", "short"]


def test_the_short_setting_is_the_default() -> None:
    assert training_options("short") == training_options() == TideNetConfig()


# --- wrong options --------------------------------------------------------------------------------


def test_everything_that_is_wrong_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("n_epoch: 2\nbatch_size: 0\n")
    monkeypatch.setenv("TIDENET_TRAIN_PATIENCE", "long")
    monkeypatch.setenv("TIDENET_TRAIN_EPOCHS", "3")
    with pytest.raises(InvalidConfigurationError) as caught:
        training_options(file, {"learning_rate": "-1"})
    for words in (
        f"{file}, n_epoch 2: there is no such option",
        f"{file}, batch_size 0: ",
        "TIDENET_TRAIN_PATIENCE 'long': ",
        "TIDENET_TRAIN_EPOCHS '3': there is no such option",
        "--learning-rate '-1': ",
    ):
        assert words in caught.value.found
    assert "tidenet train --help" in caught.value.remedy


@pytest.mark.parametrize("content", [None, "[", "- n_epochs", b"\xff\xfe\x00"])
def test_a_file_that_holds_no_options_is_named(tmp_path: Path, content: str | bytes | None) -> None:
    file = tmp_path / "options.yaml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidConfigurationError, match=r"options\.yaml is not.*medium, short"):
        training_options(file)


def test_wrong_options_end_the_command_before_anything_is_made(filled: World) -> None:
    arguments = ["--home", str(filled.home), "train", "--n-leads", "9", "--validation-months=8"]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 1
    assert "validation_months, 8, must be more than n_leads, 9" in " ".join(ended.output.split())
    assert filled.count("model_versions") == 0


# --- the command ----------------------------------------------------------------------------------


def test_help_shows_every_option_with_its_type_meaning_and_default() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"})
    text = " ".join(shown.output.partition("Options:")[2].split())
    for name, field in TideNetConfig.model_fields.items():
        default = field.default
        listed = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        start = text.index(f"{option_name(name)} ")
        about = text[start : text.index("].", start)]
        assert str(field.description)[1:] in about
        assert about.endswith(f"[{listed or 'none'}")
        assert re.match(r"--\S+ (INTEGER|NUMBER|TEXT|\S+\|\S+)", about)


def test_the_command_trains_with_its_options_and_leaves_no_checkpoint(filled: World) -> None:
    arguments = ["--home", str(filled.home), "train", "--until", "2013-12", "--note", "tried"]
    ended = CliRunner().invoke(app, [*arguments, *stated(TINY), "--batch-size", "5"])
    assert ended.exit_code == 0, ended.output
    config = in_registry(filled)
    assert config == TINY.model_copy(update={"batch_size": 5}).model_dump(mode="json")
    [(note, metrics)] = filled.rows("SELECT note, metrics FROM model_versions")
    assert note == "tried"
    [report] = yaml.safe_load(metrics)["training"]
    assert (report["batch_size_used"], report["halvings"], report["seed"]) == (5, 0, 0)
    assert len(report["losses"]) == TINY.n_epochs
    assert not list((filled.home / "training").glob("*"))


def test_the_medium_setting_made_small_forecasts_twelve_months(filled: World) -> None:
    # Its three years to choose on leave too few of the five and a half.
    small = [*stated(TINY), "--n-epochs", "0", "--validation-months", "14"]
    lines = [text for text in small if not text.startswith(("--n-history=", "--n-leads="))]
    home = ["--home", str(filled.home)]
    for arguments in (["train", "--config", "medium", *lines], ["forecast"]):
        ended = CliRunner().invoke(app, [*home, *arguments])
        assert ended.exit_code == 0, ended.output
    assert (in_registry(filled)["n_history"], in_registry(filled)["n_leads"]) == (12, 12)
    [(n_leads,)] = filled.rows("SELECT n_leads FROM forecast_runs")
    assert n_leads == 12


def test_an_interrupted_training_goes_on_and_ends_as_if_it_had_not_been(filled: World) -> None:
    config = TINY.model_copy(update={"n_epochs": 2})
    heard: list[int] = []

    def stop(done: int, total: int, detail: str) -> None:
        heard.append(done)
        raise KeyboardInterrupt

    def go_on(done: int, total: int, detail: str) -> None:
        heard.append(done)

    other = filled.copied_to(filled.home.parent / "other")
    until = month("2013-12")
    with pytest.raises(KeyboardInterrupt):
        train(filled.workspace, until=until, config=config, progress=stop)
    assert len(list((filled.home / "training").glob(f"*/network0/{FILE}"))) == 1
    resumed = train(filled.workspace, until=until, config=config, progress=go_on)
    assert heard == [1, 2]
    assert resumed.version == train(other.workspace, until=until, config=config).version
    with pytest.raises(KeyboardInterrupt):
        train(filled.workspace, until=until, config=config, seed=1, progress=stop)
    train(filled.workspace, until=until, config=config, seed=1, fresh=True, progress=go_on)
    assert heard == [1, 2, 1, 1, 2]


def test_a_training_that_diverged_is_gone_on_from_as_its_error_says(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TINY.model_copy(update={"n_epochs": 3})
    heard: list[int] = []

    def diverge(done: int, total: int, detail: str) -> None:
        heard.append(done)
        monkeypatch.setattr(loop._Run, "validation_loss", lambda _: float("nan"))

    for _ in range(2):  # the same command goes on from the last checkpoint, to the same point
        with pytest.raises(TrainingDivergedError) as stopped:
            train(filled.workspace, until=month("2013-12"), config=config, progress=diverge)
    assert heard == [1]
    monkeypatch.undo()
    [file] = (filled.home / "training").glob(f"*/network0/{FILE}")
    command = re.search(r"tidenet (train .*?), and the other options", stopped.value.remedy)
    assert command is not None
    assert str(file.parent) in command[1]
    best = load_backbone(config, file)
    # No epoch: what is registered are the weights that training started from.
    as_before = [*stated(config), "--until", "2013-12", "--n-epochs", "0"]
    ended = CliRunner().invoke(
        app, ["--home", str(filled.home), *shlex.split(command[1]), *as_before]
    )
    assert ended.exit_code == 0, ended.output
    [(config_text, url)] = filled.rows("SELECT config, weights_url FROM model_versions")
    assert json.loads(config_text)["learning_rate"] == config.learning_rate / 4
    weights = load_file(Path(url) / "weights.safetensors")
    for name, values in best.items():
        assert torch.equal(weights[f"network0.{name}"], values), name


# --- accelerate -----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(ACCELERATE.glob("*.yaml")), ids=lambda file: file.stem)
def test_accelerate_reads_the_shipped_files(file: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(file))
    assert config.use_cpu == (file.stem == "cpu")
    assert config.mixed_precision == "no"
    assert (config.num_machines > 1) == (file.stem == "several_machines")


def test_of_two_processes_one_judges_and_saves(filled: World) -> None:
    # The launcher of accelerate starts several processes with torch.distributed.run too, but on
    # GPUs only.
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = ["-m", "flows.cli", "--home", str(filled.home), "train", "--until", "2013-12"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TIDENET_")}
    ended = subprocess.run(
        [sys.executable, *launcher, *command, *stated(TINY)],
        cwd=ROOT,
        env=environment | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Model version") == 1
    [(metrics,)] = filled.rows("SELECT metrics FROM model_versions")
    [report] = yaml.safe_load(metrics)["training"]
    assert (report["n_processes"], report["batch_size_used"]) == (2, 4)
