"""A person's decisions about models are tried first and recorded; the command line shows them."""

from pathlib import Path

import pytest
from services.model_samples import changed, in_service
from services.small_loop import World
from services.tampering import allow_changes
from sqlalchemy import text
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.operations.model_import import import_model
from flows.operations.models import (
    AlreadyChampionError,
    NoEarlierChampionError,
    UnservableModelError,
    list_models,
    promote,
    roll_back,
    show_model,
)
from storage.registry import promotions


@pytest.fixture
def two(trained: World, model_folder: Path) -> tuple[World, str, str]:
    """A world with a champion, an imported version beside it, and their names."""
    first = in_service(trained)
    assert first is not None
    changed(model_folder, lambda _, metadata: metadata["training"].update(seed=9))
    return trained, first, import_model(trained.workspace, str(model_folder)).version


def test_promoting_and_going_back_are_recorded_with_who_when_and_why(
    two: tuple[World, str, str],
) -> None:
    world, first, second = two
    promote(world.workspace, second, "looks better at sea")
    assert in_service(world) == second
    roll_back(world.workspace, "it did not")
    assert in_service(world) == first
    by_hand, back = promotions(world.workspace.engine)[-2:]
    assert (by_hand.kind, by_hand.previous_champion) == ("by-hand", first)
    assert (back.kind, back.previous_champion, back.model_version) == ("rollback", second, first)
    assert "it did not" in back.reason
    assert back.decided_by
    assert back.decided_at == world.now()
    with pytest.raises(NoEarlierChampionError, match=first):
        roll_back(world.workspace, "further")


def test_what_cannot_be_served_is_not_promoted_and_the_refusal_is_recorded(
    two: tuple[World, str, str],
) -> None:
    world, first, second = two
    allow_changes(world.workspace.engine, "model_versions")
    with world.workspace.engine.begin() as connection:
        connection.execute(
            text("UPDATE model_versions SET weights_url = '/gone' WHERE version = :version"),
            {"version": second},
        )
    with pytest.raises(UnservableModelError, match=r"MissingWeightsError.*The champion stays"):
        promote(world.workspace, second, "because")
    assert in_service(world) == first
    assert promotions(world.workspace.engine)[-1].kind == "refused"


def test_the_champion_is_not_promoted_again(trained: World) -> None:
    version = in_service(trained)
    assert version is not None
    with pytest.raises(AlreadyChampionError):
        promote(trained.workspace, version, "again")
    assert trained.count("promotions") == 1


def test_the_list_says_which_model_forecasts_and_what_was_decided(
    two: tuple[World, str, str],
) -> None:
    world, first, second = two
    listed = {one.version.version: one for one in list_models(world.workspace)}
    assert set(listed) == {first, second}
    assert [name for name, one in listed.items() if one.is_champion] == [first]
    assert [len(listed[name].decisions) for name in (first, second)] == [1, 0]
    assert show_model(world.workspace, first).decisions == listed[first].decisions


# --- the command line -----------------------------------------------------------------------------


def tidenet(world: World, *arguments: str) -> Result:
    result = CliRunner().invoke(app, ["--home", str(world.home), "models", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_commands_show_import_promote_and_go_back(
    trained: World, tmp_path: Path, model_folder: Path
) -> None:
    first = in_service(trained)
    assert first is not None
    assert f"* {first}" in " ".join(tidenet(trained, "list").output.split())
    changed(model_folder, lambda _, metadata: metadata["training"].update(seed=9))
    done = tidenet(trained, "import", str(model_folder), "--name", "lab", "--note", "a gift")
    assert done.exit_code == 0, done.output
    version = next(word for word in done.output.split() if word.startswith("lab-")).strip(",.")
    assert tidenet(trained, "promote", version).exit_code == 2
    assert tidenet(trained, "promote", version, "--reason", "better").exit_code == 0
    shown = " ".join(tidenet(trained, "show", version).output.split())
    for words in (f"{version} (champion)", "a gift", "imported by", "Promoted by hand: better"):
        assert words in shown
    assert tidenet(trained, "rollback", "--reason", "worse").exit_code == 0
    assert in_service(trained) == first
    figures = " ".join(tidenet(trained, "show", first).output.split())
    assert "damped-persistence" in figures
    again = tidenet(trained, "rollback", "--reason", "further")
    assert again.exit_code == 1
    assert "NoEarlierChampionError" in again.output
    unknown = tidenet(trained, "show", "no-such-version")
    assert unknown.exit_code == 1
    assert "UnknownModelError" in unknown.output


def test_without_models_the_list_says_how_to_get_one(empty: World) -> None:
    assert "tidenet train" in tidenet(empty, "list").output
