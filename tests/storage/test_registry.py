import dataclasses

import numpy as np
import pytest
from services.archive_samples import NOW, later, model_version, promotion_figure, sha256
from sqlalchemy import Engine

from storage.database import DatabaseRuleError
from storage.months import month
from storage.registry import (
    DuplicateModelError,
    Promotion,
    UnknownModelError,
    champion,
    earlier_champion,
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


def test_an_imported_model_and_one_with_a_twin_come_back_as_registered(archive: Engine) -> None:
    imported = model_version("a", source="https://example.org/a, imported by me")
    twin = {"twin_url": "/models/t", "twin_sha256": sha256("t"), "twin_until": month("2015-12")}
    register_model(archive, imported)
    register_model(archive, model_version("b", **twin))
    assert models(archive) == (imported, model_version("b", **twin))


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


def test_a_decision_keeps_its_kind_and_figures(archive: Engine) -> None:
    register_model(archive, model_version("a"))
    by_lead = promotion_figure(lead_months=3, low=None, high=None, passed=None)
    figures = (promotion_figure(rival="climatology"), promotion_figure(), by_lead)
    refused = dataclasses.replace(decision("a", promoted=False), kind="refused", figures=figures)
    record_promotion(archive, decision("a"))
    record_promotion(archive, refused)
    assert [one.figures for one in promotions(archive)] == [(), figures]
    assert promotions(archive)[-1] == refused


def test_a_decision_whose_figures_break_a_rule_leaves_nothing(archive: Engine) -> None:
    register_model(archive, model_version("a"))
    wrong = dataclasses.replace(decision("a"), figures=(promotion_figure(low=0.5, high=0.25),))
    with pytest.raises(DatabaseRuleError):
        record_promotion(archive, wrong)
    assert promotions(archive) == ()
    assert champion(archive, "tiny") is None


def test_going_back_undoes_one_promotion_after_the_other(archive: Engine) -> None:
    for version in ("a", "b", "c", "d"):
        register_model(archive, model_version(version))
    assert earlier_champion(archive, "tiny") is None
    for version in ("a", "b", "c"):
        record_promotion(archive, decision(version))
    record_promotion(archive, decision("d", promoted=False))
    assert earlier_champion(archive, "tiny") == model_version("b")

    def back_to(version: str) -> None:
        record_promotion(archive, dataclasses.replace(decision(version), kind="rollback"))

    back_to("b")
    assert champion(archive, "tiny") == model_version("b")
    assert earlier_champion(archive, "tiny") == model_version("a")
    record_promotion(archive, decision("d"))
    assert earlier_champion(archive, "tiny") == model_version("b")
    back_to("b")
    back_to("a")
    assert earlier_champion(archive, "tiny") is None


def test_numbers_that_json_does_not_know_become_null(archive: Engine) -> None:
    metrics = {"loss": np.float32(0.5), "lowest": float("nan"), "leads": np.arange(2), "n": (1,)}
    register_model(archive, model_version(metrics=metrics))
    stored = model(archive, "tidenet-1").metrics
    assert stored == {"loss": 0.5, "lowest": None, "leads": [0, 1], "n": [1]}


def test_a_time_without_a_zone_is_refused(archive: Engine) -> None:
    naive = dataclasses.replace(model_version(), created_at=NOW.replace(tzinfo=None))
    with pytest.raises(Exception, match="without a time zone"):
        register_model(archive, naive)
