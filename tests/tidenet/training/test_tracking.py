import json
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest
from services.tiny_training import fit, tiny

from tidenet.training.tracking import MissingTrackerError, Prefixed, open_tracker


class Notes:
    """A tracker that remembers."""

    def __init__(self):
        self.lines = []

    def log(self, values, step):
        self.lines.append((step, values))


def test_a_tracker_is_told_the_losses_of_every_epoch():
    notes = Notes()
    _, report = fit(tiny(), tracker=Prefixed(notes, "network0/"))
    assert [step for step, _ in notes.lines] == [1, 2]
    for name, told in (("loss", report.losses), ("validation_loss", report.validation_losses)):
        assert tuple(values[f"network0/{name}"] for _, values in notes.lines) == told
    assert all(values["network0/learning_rate"] > 0 for _, values in notes.lines)


def test_no_tracker_is_none(tmp_path):
    with open_tracker("none", tmp_path, "run", {}) as tracker:
        assert tracker is None


@pytest.mark.skipif(find_spec("mlflow") is not None, reason="mlflow is installed")
def test_a_tracker_that_is_not_installed_is_named_with_its_remedy(tmp_path):
    with (
        pytest.raises(MissingTrackerError, match=r"tidenet\[mlflow\]"),
        open_tracker("mlflow", tmp_path, "run", {}),
    ):
        pass


def test_tensorboard_holds_the_curves_of_a_run(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = tiny()
    with open_tracker("tensorboard", tmp_path, "first", config.model_dump()) as tracker:
        _, report = fit(config, tracker=tracker)
    events = EventAccumulator(str(tmp_path / "first")).Reload()
    found = [event.value for event in events.Scalars("validation_loss")]
    assert found == pytest.approx(report.validation_losses)
    assert json.dumps(found)


def test_mlflow_is_told_the_options_and_the_curves_of_a_run(tmp_path, monkeypatch):
    # A module of this name in place of MLflow, which is a large package and no part of the
    # development tools: what is ours is what it is told, through accelerate.
    told = []

    def note(name):
        return lambda *given, **named: told.append((name, *given, named))

    fake = ModuleType("mlflow")
    fake.__spec__ = ModuleSpec("mlflow", None)
    fake.utils = SimpleNamespace(
        validation=SimpleNamespace(MAX_PARAM_VAL_LENGTH=500, MAX_PARAMS_TAGS_PER_BATCH=100)
    )
    fake.search_experiments = lambda **_: []
    fake.create_experiment = lambda name, **_: note("experiment")(name) or "1"
    fake.start_run = lambda **named: (
        note("start")(named["run_name"]) or SimpleNamespace(info=SimpleNamespace(run_id="1"))
    )
    for name in ("log_params", "log_metrics", "end_run"):
        setattr(fake, name, note(name))
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    config = tiny(n_epochs=1)
    with open_tracker("mlflow", tmp_path, "first", config.model_dump()) as tracker:
        _, report = fit(config, tracker=tracker)
        assert told[-1][0] == "log_metrics"
    kinds = [kind for kind, *_ in told]
    assert kinds == ["experiment", "start", "log_params", "log_metrics", "end_run"]
    assert [given[0] for _, *given in told[:2]] == ["tidenet", "first"]
    assert told[2][1]["n_epochs"] == 1
    assert told[2][1]["fusion_channels"] == "(8,)"
    values, named = told[3][1:]
    assert values["validation_loss"] == report.validation_losses[0]
    assert named["step"] == 1
