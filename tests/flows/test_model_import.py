"""Models from elsewhere come in only if they fit, and nothing in them is ever run."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from services.http_files import Trouble, serving
from services.model_samples import Malicious, changed, in_service, normalising
from services.small_loop import World

from flows.operations import model_files as model_files_module
from flows.operations.forecast import forecast
from flows.operations.model_files import ModelFileError, ModelTooLargeError, WrongChecksumError
from flows.operations.model_import import (
    InvalidModelNameError,
    TrainingSpan,
    UnknownTrainingSpanError,
    import_model,
)
from flows.operations.models import (
    UnservableModelError,
    promote,
)
from ingest.errors import SourceUnavailableError
from ingest.sources.errors import SourceFileMissingError, WebPageInsteadOfDataError
from storage.errors import TidenetError
from storage.locations import Location, Patience
from storage.months import month
from storage.registry import ModelVersion, promotions
from storage.weights import METADATA, WEIGHTS, load_model
from tidenet.belonging import ForeignNormalisationError, part_digests
from tidenet.errors import IncompatibleModelError


def refused(world: World, source: Path | str, kind: type[Exception], *words: str) -> None:
    """Check that an import raises this and leaves nothing behind."""
    with pytest.raises(kind) as caught:
        import_model(world.workspace, str(source))
    for word in (*words, "What to do"):
        assert word in str(caught.value)
    assert world.count("model_versions") == 0
    assert not (world.home / "models").exists()


# --- taking in ------------------------------------------------------------------------------------


def test_a_model_of_the_same_sea_comes_in_as_it_was_and_forecasts_once_promoted(
    filled: World, model_folder: Path, trained_elsewhere: ModelVersion
) -> None:
    version = import_model(filled.workspace, str(model_folder), note="from the lab")
    assert version.version == trained_elsewhere.version
    assert version.weights_sha256 == trained_elsewhere.weights_sha256
    for name in ("trained_until", "validated_from", "config", "seed", "snapshot_id"):
        assert getattr(version, name) == getattr(trained_elsewhere, name)
    # How its training went stays in the registry of the place where it was trained.
    metrics = {k: v for k, v in trained_elsewhere.metrics.items() if k != "training"}
    assert version.metrics == metrics
    assert str(model_folder) in version.source
    assert version.note == "from the lab"
    assert in_service(filled) is None
    decision = promote(filled.workspace, version.version, "the lab's best")
    assert (decision.kind, decision.reason) == ("by-hand", "Promoted by hand: the lab's best")
    assert forecast(filled.workspace).model_version == version.version


@pytest.mark.parametrize("form", ["folder", "folder/", "file", "file-url"])
def test_folder_and_weights_file_name_the_same_model(
    filled: World, model_folder: Path, trained_elsewhere: ModelVersion, form: str
) -> None:
    source = {
        "folder": str(model_folder),
        "folder/": f"{model_folder}/",
        "file": str(model_folder / WEIGHTS),
        "file-url": f"file://{model_folder / WEIGHTS}",
    }[form]
    version = import_model(filled.workspace, source, name="lab")
    assert version.version == f"lab-{trained_elsewhere.weights_sha256[:8]}"


@pytest.mark.parametrize("form", ["", WEIGHTS])
def test_a_model_comes_over_http_in_spite_of_a_cut_connection(
    filled: World, model_folder: Path, trained_elsewhere: ModelVersion, form: str
) -> None:
    with serving(model_folder) as server:
        server.troubles.append(Trouble(cut_after=1000))
        workspace = filled.fresh_workspace(attempts=3)
        url = f"{server.url}{form}"
        name = trained_elsewhere.version.rpartition("-")[0]
        version = import_model(workspace, url.replace("://", "://user:secret@"), name=name)
    assert version.version == trained_elsewhere.version
    assert url.rstrip("/") in version.source
    assert "secret" not in version.source


def test_a_model_comes_from_s3(
    filled: World, model_folder: Path, trained_elsewhere: ModelVersion, s3_url: str
) -> None:
    place = Location.parse(f"{s3_url}/lab/{model_folder.name}")
    filesystem = place.filesystem(Patience())
    for name in (WEIGHTS, METADATA):
        filesystem.pipe_file(f"{place.path}/{name}", (model_folder / name).read_bytes())
    assert import_model(filled.workspace, place.url).version == trained_elsewhere.version


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble(status=404), SourceFileMissingError),
        (Trouble(disguised=True), WebPageInsteadOfDataError),
        (Trouble(stall_after=100), SourceUnavailableError),
        (Trouble(endless=True), ModelTooLargeError),
    ],
    ids=["missing", "login page", "silent", "endless"],
)
def test_a_server_that_does_not_deliver_is_named_and_not_waited_for(
    filled: World,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Trouble,
    kind: type[Exception],
) -> None:
    monkeypatch.setattr(model_files_module, "LARGEST_MODEL_BYTES", 3_000_000)
    impatient = World(filled.home, {"timeout_s": 1.0})
    with serving(model_folder) as server:
        server.always = trouble
        refused(impatient, server.url, kind)


@pytest.mark.parametrize("of", ["weights file", "model"])
def test_a_checksum_is_compared(
    filled: World, model_folder: Path, trained_elsewhere: ModelVersion, of: str
) -> None:
    right = {
        "weights file": hashlib.sha256((model_folder / WEIGHTS).read_bytes()).hexdigest(),
        "model": trained_elsewhere.weights_sha256,
    }
    with pytest.raises(WrongChecksumError, match=right[of]):
        import_model(filled.workspace, str(model_folder), sha256="0" * 64)
    assert filled.count("model_versions") == 0
    assert import_model(filled.workspace, str(model_folder), sha256=right[of].upper())


def test_importing_again_changes_nothing(filled: World, model_folder: Path) -> None:
    first = import_model(filled.workspace, str(model_folder))
    assert import_model(filled.workspace, str(model_folder), note="again") == first
    assert filled.count("model_versions") == 1


# --- refusing -------------------------------------------------------------------------------------


def test_every_difference_from_the_record_is_named_at_once(
    filled: World, model_folder: Path
) -> None:
    def spoil(_: dict[str, Any], metadata: dict[str, Any]) -> None:
        metadata["grid"] |= {"step": 0.25, "n_lat": 32}
        metadata["ocean_cells"] = 7
        metadata["config"]["drivers"] = ["sst", "wind"]
        metadata["n_leads"] = 12

    refused(
        filled, changed(model_folder, spoil), IncompatibleModelError,
        "grid.step: 0.25 instead of 0.5", "grid.n_lat: 32 instead of 16", "ocean_cells: 7",
        "channels: flux, sst, wind, of which the record lacks sst, wind",
        "n_leads: 12 instead of 6",
    )  # fmt: skip


def test_a_window_longer_than_the_record_is_refused(filled: World, model_folder: Path) -> None:
    def spoil(_: dict[str, Any], metadata: dict[str, Any]) -> None:
        metadata["n_history"] = 600

    refused(filled, changed(model_folder, spoil), IncompatibleModelError, "n_history: 600")


def test_metadata_that_contradict_the_configuration_are_refused(
    filled: World, model_folder: Path
) -> None:
    def spoil(_: dict[str, Any], metadata: dict[str, Any]) -> None:
        metadata["n_history"] += 1

    refused(filled, changed(model_folder, spoil), IncompatibleModelError, "in the configuration")


def test_a_normalisation_of_another_model_is_refused(filled: World, model_folder: Path) -> None:
    def spoil(tensors: dict[str, Any], _: dict[str, Any]) -> None:
        name = normalising(tensors)
        tensors[name] = tensors[name] + np.float32(0.5)

    refused(filled, changed(model_folder, spoil), ForeignNormalisationError, "normalisation with")


def test_weights_of_another_model_are_refused(filled: World, model_folder: Path) -> None:
    def spoil(tensors: dict[str, Any], _: dict[str, Any]) -> None:
        name = next(key for key in tensors if key.startswith("network"))
        tensors[name] = tensors[name] + 1

    refused(filled, changed(model_folder, spoil), ForeignNormalisationError, "network with SHA")


def test_a_missing_tensor_is_refused(filled: World, model_folder: Path) -> None:
    lost = []

    def spoil(tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
        lost.append(normalising(tensors))
        del tensors[lost[0]]
        metadata["parts"] = part_digests(tensors)

    changed(model_folder, spoil)
    refused(filled, model_folder, IncompatibleModelError, lost[0].rpartition(".")[2])


def test_a_model_that_promises_no_parts_is_refused(filled: World, model_folder: Path) -> None:
    def spoil(_: dict[str, Any], metadata: dict[str, Any]) -> None:
        del metadata["parts"]

    refused(filled, changed(model_folder, spoil), IncompatibleModelError, "parts: no digests")


def test_a_model_that_does_not_say_what_it_learned_from_has_to_be_told(
    filled: World, model_folder: Path
) -> None:
    changed(model_folder, lambda _, metadata: metadata.pop("training"))
    refused(filled, model_folder, UnknownTrainingSpanError, "--trained-until")
    span = TrainingSpan(month("2010-01"), month("2013-12"))
    version = import_model(filled.workspace, str(model_folder), span=span)
    assert (version.trained_from, version.trained_until) == (span.first, span.last)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("name", ["model.pt", WEIGHTS])
def test_pickled_code_is_refused_whatever_the_file_is_called_and_never_runs(
    filled: World, tmp_path: Path, kind: str, name: str
) -> None:
    import torch

    touched, file = tmp_path / "touched", tmp_path / "bad" / name
    file.parent.mkdir()
    content = {"state_dict": {"amplinet.x": torch.zeros(2)}, "more": Malicious(touched)}
    if kind == "torch":
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content, protocol=2))
    refused(filled, file, TidenetError, "could run code")
    assert not touched.exists()


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"<html>not a model</html>", TidenetError), (b"", TidenetError)],
    ids=["page", "empty"],
)
def test_a_file_that_is_no_model_is_named(
    filled: World, tmp_path: Path, content: bytes, kind: type[Exception]
) -> None:
    (tmp_path / WEIGHTS).write_bytes(content)
    refused(filled, tmp_path / WEIGHTS, kind, WEIGHTS)


def test_a_model_that_is_not_there_or_not_whole_is_named(
    filled: World, tmp_path: Path, model_folder: Path
) -> None:
    refused(filled, tmp_path / "nowhere", ModelFileError, "nowhere")
    (model_folder / METADATA).unlink()
    refused(filled, model_folder, ModelFileError, METADATA)
    (model_folder / METADATA).write_text("[1, 2]")
    refused(filled, model_folder, TidenetError, "list")


@pytest.mark.parametrize("name", ["../up", "a b", "-x", "a/b"])
def test_a_name_that_would_leave_its_folder_is_refused(filled: World, name: str) -> None:
    with pytest.raises(InvalidModelNameError):
        import_model(filled.workspace, "/no/matter", name=name)


def test_a_checkpoint_of_the_research_code_comes_in_as_upstream_and_cannot_be_served(
    filled: World, tmp_path: Path
) -> None:
    import torch

    from tidenet.upstream import PublishedTideNet, UpstreamConfig, to_state_dict

    config = UpstreamConfig(1, 32, 6, 6, (16, 16), 3, 4)
    torch.save({"model": to_state_dict(PublishedTideNet(config))}, tmp_path / "best.pth")
    span = TrainingSpan(month("2010-01"), month("2013-12"))
    version = import_model(filled.workspace, str(tmp_path / "best.pth"), span=span)
    assert (version.method, version.version.rpartition("-")[0]) == ("upstream", "best")
    assert version.config["dim"] == 32
    tensors, _ = load_model(version.weights_url, version.weights_sha256)
    assert "network.amplinet.convin.0.block1.proj.weight" in tensors
    with pytest.raises(UnservableModelError):
        promote(filled.workspace, version.version, "why not")
    assert in_service(filled) is None
    assert promotions(filled.workspace.engine)[-1].kind == "refused"


def test_a_checkpoint_of_another_window_and_channel_list_is_refused(
    filled: World, tmp_path: Path
) -> None:
    import torch

    from tidenet.upstream import PublishedTideNet, UpstreamConfig, to_state_dict

    other = PublishedTideNet(UpstreamConfig(2, 32, 6, 12, (16, 16), 3, 4))
    torch.save(to_state_dict(other), tmp_path / "other.pth")
    found = ("channels: 2 instead of 1", "n_leads: 12 instead of 6")
    refused(filled, tmp_path / "other.pth", IncompatibleModelError, *found)


def test_metadata_of_a_version_are_json(trained_elsewhere: ModelVersion) -> None:
    described = json.loads((Path(trained_elsewhere.weights_url) / METADATA).read_text())
    assert described["training"]["trained_until"] == "2013-12"
