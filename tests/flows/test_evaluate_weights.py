"""``tidenet evaluate --weights``: a saved model of any kind beside the references, or refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import Result
from safetensors.torch import save_file
from services.model_samples import Malicious, changed
from services.small_loop import World
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.evaluate import Plan, evaluate
from flows.operations.model_import import TrainingSpan, import_model
from flows.operations.saved_model import NoWeightsError, read_saved, saved_forecaster
from flows.operations.workspace import flux_record
from storage.months import month
from storage.registry import ModelVersion
from storage.weights import METADATA, WEIGHTS
from tidenet.configuration import TideNetConfig
from tidenet.errors import IncompatibleModelError
from tidenet.upstream import PublishedTideNet, UpstreamConfig, to_state_dict

CUT_OFF = "2013-12"
"""What the model of the fixtures has learned from."""


def run(world: World, weights: Path | str, *arguments: str) -> Result:
    """Evaluate a saved model beside quick references."""
    command = ["--home", str(world.home), "evaluate", "--methods", "trend", "--members", "4"]
    given = ("--train-until", CUT_OFF, *arguments)
    return CliRunner().invoke(app, [*command, "--weights", str(weights), "--json", "-", *given])


def found(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 1, result.output
    assert not isinstance(result.exception, IndexError)
    for word in (*words, "what to do"):
        assert word in " ".join(result.stderr.split())


def checkpoint(file: Path, *, buffers: bool = True, **settings: int) -> Path:
    """Write a checkpoint as the research code does."""
    torch.manual_seed(0)
    sizes = {"T_in": 3, "T_out": 6, "img_channels": 1} | settings
    state = to_state_dict(
        PublishedTideNet(UpstreamConfig(dim=32, input_shape=(16, 16), spec_num=4, **sizes))
    )
    if not buffers:
        state = {name: value for name, value in state.items() if "." in name}
        del state["phasenet.uv"], state["alphamixer.spec_mask"]
    torch.save({"model": state}, file)
    return file


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "best.pt")


# --- what can be evaluated ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["version", "folder", "file"])
def test_a_model_of_ours_is_evaluated_wherever_it_is(
    trained: World, trained_elsewhere: ModelVersion, model_folder: Path, form: str
) -> None:
    name = trained_elsewhere.version
    source = {"version": name, "folder": model_folder, "file": model_folder / WEIGHTS}[form]
    methods = found(run(trained, source))["methods"]
    assert set(methods) == {name, "trend", "damped-persistence"}
    assert methods[name]["msss"][0] > 0.1


def test_a_checkpoint_of_the_research_code_is_evaluated(filled: World, upstream: Path) -> None:
    numbers = found(run(filled, upstream, "--until", "2014-06"))
    assert set(numbers["methods"]) == {"best.pt", "trend", "damped-persistence"}
    assert None not in numbers["methods"]["best.pt"]["msss"]
    assert numbers["notes"] == []


def test_weights_without_buffers_are_used_with_upstreams_defaults_and_a_note(
    filled: World, tmp_path: Path
) -> None:
    bare = checkpoint(tmp_path / "bare.pt", buffers=False)
    [note] = found(run(filled, bare, "--until", "2014-03"))["notes"]
    assert "spec_num 20 and maps of 128 x 128 are assumed" in note
    span = TrainingSpan(month("2010-01"), month(CUT_OFF))
    version = import_model(filled.workspace, str(bare), note="from the lab", span=span)
    assert version.note == f"from the lab; {note}"
    assert version.config["spec_num"] == 20


@pytest.mark.parametrize("name", ["trend", "tidenet", "damped-persistence"])
def test_a_file_called_like_a_method_does_not_take_its_place(
    filled: World, model_folder: Path, name: str
) -> None:
    saved = read_saved(filled.workspace, str(model_folder))
    plan = Plan(month(CUT_OFF), methods=("trend",), n_members=2)
    config = TideNetConfig.tiny(n_leads=2)
    record = flux_record(filled.workspace.record(), None, None)

    def skill(called: str) -> dict[str, float]:
        methods = evaluate(record, plan, config, weights=replace(saved, name=called)).methods
        return {method: float(one.mean_msss.estimate) for method, one in methods.items()}

    clashing, plain = skill(name), skill("mine")
    assert clashing.pop(f"{name} (weights)") == plain.pop("mine")
    assert clashing == plain


def test_of_a_model_with_more_leads_the_first_ones_are_compared(
    trained: World, trained_elsewhere: ModelVersion
) -> None:
    name = trained_elsewhere.version
    six, two = (found(run(trained, name, "--leads", n)) for n in ("6", "2"))
    assert two["leads"] == [1, 2]
    # Lead 2 of the last init month is beyond the record either way.
    assert two["methods"][name]["msss"] == pytest.approx(six["methods"][name]["msss"][:2])


# --- what is refused ------------------------------------------------------------------------------


def test_a_model_with_fewer_leads_is_refused_with_both_numbers(
    trained: World, trained_elsewhere: ModelVersion, upstream: Path
) -> None:
    ours = run(trained, trained_elsewhere.version, "--leads", "8")
    refused(ours, "6 leads", "at least 8 leads", "--leads 6")
    refused(run(trained, upstream, "--leads", "8"), "6 leads", "at least 8 leads")


def test_a_model_of_another_grid_or_channel_list_is_refused(
    filled: World, model_folder: Path, tmp_path: Path
) -> None:
    def spoil(_: dict[str, object], metadata: dict[str, object]) -> None:
        metadata["grid"] |= {"step": 0.25}  # type: ignore[operator]

    refused(run(filled, changed(model_folder, spoil)), "grid.step: 0.25 instead of 0.5")
    refused(run(filled, checkpoint(tmp_path / "two.pt", img_channels=2)), "2 channels")


def test_a_window_longer_than_the_training_period_is_refused(
    filled: World, model_folder: Path
) -> None:
    saved = replace(read_saved(filled.workspace, str(model_folder)), trained_until=None)
    record = flux_record(filled.workspace.record(), None, month("2010-01"))
    with pytest.raises(IncompatibleModelError, match=r"from 3 months.*at most 2 months"):
        saved_forecaster(saved, record, 6)


@pytest.mark.parametrize("form", ["version", "folder"])
def test_a_model_is_not_judged_on_months_that_it_has_learned_from(
    trained: World, trained_elsewhere: ModelVersion, model_folder: Path, form: str
) -> None:
    source = trained_elsewhere.version if form == "version" else model_folder
    result = run(trained, source, "--train-until", "2013-11")
    refused(result, "trained until 2013-12", "2013-11 or earlier", "--train-until 2013-12")


def test_of_an_imported_checkpoint_the_registry_knows_what_it_has_learned_from(
    filled: World, upstream: Path
) -> None:
    span = TrainingSpan(month("2010-01"), month("2014-03"))
    version = import_model(filled.workspace, str(upstream), span=span).version
    refused(run(filled, version), "trained until 2014-03")
    later = found(run(filled, version, "--train-until", "2014-03"))
    assert version in later["methods"]


def test_our_weights_without_their_metadata_are_named(filled: World, model_folder: Path) -> None:
    (model_folder / METADATA).unlink()
    refused(run(filled, model_folder / WEIGHTS), f"no {METADATA} beside them")


@pytest.mark.parametrize("name", ["model.pt", WEIGHTS])
def test_pickled_code_is_refused_and_never_runs(filled: World, tmp_path: Path, name: str) -> None:
    touched = tmp_path / "touched"
    torch.save({"amplinet.x": torch.zeros(2), "more": Malicious(touched)}, tmp_path / name)
    refused(run(filled, tmp_path / name), "could run code")
    assert not touched.exists()


def test_a_version_file_or_url_that_is_not_there_is_named(filled: World, tmp_path: Path) -> None:
    with pytest.raises(NoWeightsError, match="nowhere-1"):
        read_saved(filled.workspace, "nowhere-1")
    (tmp_path / "empty").mkdir()
    refused(run(filled, tmp_path / "empty"), WEIGHTS)
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    refused(run(filled, tmp_path / "other.safetensors"), "not those of the research code")
