import dataclasses

import numpy as np
import pytest
from services.archive_samples import NOW, later, model_version, sha256
from sqlalchemy import Engine

from storage.registry import (
    DuplicateModelError,
    Promotion,
    UnknownModelError,
    champion,
    model,
    models,
    promotions,
    record_promotion,
    register_model,
)


def decision(version: str, promoted: bool = True, previous: str | None = None) -> Promotion:
    return Promotion(version, promoted, "because", "tidenet train", NOW, {"msss": 0.1}, previous)


def test_a_model_comes_back_as_it_was_registered(archive: Engine) -> None:
    plain = model_version(validated_from=None, validated_until=None, note="a note")
    register_model(archive, plain)
    assert model(archive, plain.version) == plain
    assert models(archive) == (plain,)
    assert models(archive, grid="another") == ()


def test_registering_again_changes_nothing(archive: Engine) -> None:
    register_model(archive, model_version())
    register_model(archive, model_version(created_at=later(1)))
    assert models(archive) == (model_version(),)


def test_a_version_with_other_weights_is_refused(archive: Engine) -> None:
    register_model(archive, model_version())
    with pytest.raises(DuplicateModelError, match="another version"):
        register_model(archive, model_version(weights_sha256=sha256("other")))


def test_an_unknown_model_is_named_beside_the_known_ones(archive: Engine) -> None:
    with pytest.raises(UnknownModelError, match="none is registered yet"):
        model(archive, "tidenet-9")
    register_model(archive, model_version())
    with pytest.raises(UnknownModelError, match=r"'tidenet-9'.*tidenet-1"):
        model(archive, "tidenet-9")
    with pytest.raises(UnknownModelError):
        record_promotion(archive, decision("tidenet-9"))


def test_the_champion_is_the_one_promoted_last_on_its_grid(archive: Engine) -> None:
    assert champion(archive, "tiny") is None
    for version, grid in (("a", "tiny"), ("b", "tiny"), ("c", "tiny"), ("d", "another")):
        register_model(archive, model_version(version, grid=grid))
    record_promotion(archive, decision("a"))
    record_promotion(archive, decision("b", previous="a"))
    record_promotion(archive, decision("c", promoted=False, previous="b"))
    record_promotion(archive, decision("d"))
    assert champion(archive, "tiny") == model_version("b")
    # Going back to an older model is a promotion too.
    record_promotion(archive, decision("a", previous="b"))
    assert champion(archive, "tiny") == model_version("a")


def test_decisions_are_kept_in_order(archive: Engine) -> None:
    register_model(archive, model_version("a"))
    register_model(archive, model_version("b"))
    made = (decision("a"), decision("b", promoted=False, previous="a"))
    for one in made:
        record_promotion(archive, one)
    assert promotions(archive) == promotions(archive, grid="tiny") == made
    assert promotions(archive, grid="another") == ()


def test_numbers_that_json_does_not_know_become_null(archive: Engine) -> None:
    metrics = {"loss": np.float32(0.5), "lowest": float("nan"), "leads": np.arange(2), "n": (1,)}
    register_model(archive, model_version(metrics=metrics))
    stored = model(archive, "tidenet-1").metrics
    assert stored == {"loss": 0.5, "lowest": None, "leads": [0, 1], "n": [1]}


def test_a_time_without_a_zone_is_refused(archive: Engine) -> None:
    naive = dataclasses.replace(model_version(), created_at=NOW.replace(tzinfo=None))
    with pytest.raises(Exception, match="without a time zone"):
        register_model(archive, naive)
