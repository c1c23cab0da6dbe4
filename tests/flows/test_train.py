"""Training learns from what the cut-off allows, and a challenger has to earn its place."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from services.small_loop import TINY, World, all_passed, dataset, flux
from torch.nn.modules.module import register_module_forward_pre_hook

from flows.operations.options import InvalidConfigurationError
from flows.operations.train import train
from flows.operations.workspace import Workspace
from storage.errors import TidenetError
from storage.months import month
from storage.record_errors import RecordNotFoundError
from storage.registry import champion
from tidenet.errors import NotEnoughMonthsError
from tidenet.model.network import TideNet


def in_service(world: World) -> str:
    model = champion(world.workspace.engine, "small-sea")
    assert model is not None
    return model.version


def test_the_first_model_of_a_grid_is_the_champion(trained: World) -> None:
    [(version, promoted, reason)] = trained.rows(
        "SELECT model_version, promoted, reason FROM promotions"
    )
    assert promoted
    assert "first model" in reason
    assert in_service(trained) == version


def test_later_months_do_not_change_what_is_learned(
    trained: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An absurd month after the cut-off: the same seed must give the same weights, byte for byte.
    monkeypatch.setattr("ingest.quality._validate", all_passed)
    trained.deliver("2014-01", dataset(month("2014-01"), np.float32(-4) * flux(month("2014-01"))))
    assert trained.outcomes("2014-01") == {"2014-01": "revised"}
    again = train(trained.workspace, until=month("2013-12"), config=TINY)
    assert again.version == in_service(trained)
    assert trained.count("model_versions") == 1
    assert trained.count("promotions") == 1


def test_a_record_too_short_for_the_windows_is_named(filled: World) -> None:
    with pytest.raises(NotEnoughMonthsError, match=r"Found: 24 months.*What to do"):
        train(filled.workspace, until=month("2011-12"), config=TINY)
    assert filled.count("model_versions") == 0
    assert not (filled.home / "models").exists()


def test_training_without_a_record_is_named(empty: World) -> None:
    with pytest.raises(RecordNotFoundError, match="What to do"):
        train(empty.workspace, config=TINY)


@pytest.mark.parametrize("text", ["n_epoch: 3", "n_epochs: many", "[", "n_leads: 0"])
def test_options_that_do_not_exist_or_make_no_sense_are_named(
    filled: World, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "options.yaml"
    file.write_text(text)
    with pytest.raises(InvalidConfigurationError, match=r"Found: .*Expected: .*What to do"):
        train(filled.workspace, config_file=file)
    assert filled.count("model_versions") == 0


def test_a_challenger_is_not_compared_on_too_few_common_months(trained: World) -> None:
    before = in_service(trained)
    config = TINY.model_copy(update={"n_epochs": 0})
    challenger = train(trained.workspace, until=month("2014-06"), config=config)
    assert not challenger.promoted
    assert in_service(trained) == before
    [(promoted, previous)] = trained.rows(
        f"SELECT promoted, previous_champion FROM promotions "
        f"WHERE model_version = '{challenger.version}'"
    )
    assert (bool(promoted), previous) == (False, before)


def test_a_person_may_promote_by_hand(trained: World) -> None:
    config = TINY.model_copy(update={"n_epochs": 0})
    challenger = train(trained.workspace, until=month("2014-06"), config=config, promote=True)
    assert challenger.promoted
    assert "by hand" in challenger.reason
    assert in_service(trained) == challenger.version


def test_weights_that_cannot_be_written_leave_no_version(filled: World) -> None:
    (filled.home / "models").write_text("a file where the folder should be")
    with pytest.raises(TidenetError, match="What to do"):
        train(filled.workspace, until=month("2013-12"), config=TINY)
    assert filled.count("model_versions") == 0


@pytest.mark.parametrize(("stated", "reach"), [("", 4), ("n_leads: 2", 2)])
def test_a_new_model_reaches_as_far_as_the_settings_say_unless_its_options_say_otherwise(
    filled: World, tmp_path: Path, stated: str, reach: int
) -> None:
    options = set(TINY.model_fields_set) - {"n_leads"}
    lines = [f"{name}: {TINY.model_dump(mode='json')[name]}" for name in sorted(options)]
    file = tmp_path / "options.yaml"
    file.write_text("\n".join([*lines, stated]))
    settings = filled.workspace.settings.model_copy(update={"n_leads": 4})
    train(Workspace(settings, filled.workspace.now), config_file=file)
    [(config,)] = filled.rows("SELECT config FROM model_versions")
    assert json.loads(config)["n_leads"] == reach


def test_how_often_the_memory_ran_out_stands_with_the_version(filled: World) -> None:
    def forward(module: object, given: tuple[Any, ...]) -> None:
        if isinstance(module, TideNet) and len(given[0].linear) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    hook = register_module_forward_pre_hook(forward)
    try:
        config = TINY.model_copy(update={"batch_size": 8})
        train(filled.workspace, until=month("2013-12"), config=config)
    finally:
        hook.remove()
    [(metrics,)] = filled.rows("SELECT metrics FROM model_versions")
    [report] = json.loads(metrics)["training"]
    assert (report["batch_size_used"], report["halvings"]) == (2, 2)
