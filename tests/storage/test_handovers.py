import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from services.archive_samples import accept, handover_fitted, later, row_counts
from sqlalchemy import Engine, select

from storage.database import DatabaseRuleError, reading
from storage.handovers import InvalidHandOverError, current_handover, record_handover
from storage.ledger import latest_revision
from storage.months import month
from storage.views import handover_current


def test_a_handover_comes_back_with_its_terms_and_whole_value(archive: Engine) -> None:
    parameters = {"b": [1.25, -3e-7, 1, "x", None, True], "a": {"z": 0.1, "y": "ß"}}
    fitted = handover_fitted(parameters=parameters)
    key = record_handover(archive, fitted)
    found = current_handover(archive, "old", "new", "tiny")
    assert found is not None
    assert (found.id, found.fit, found.sha256) == (key, 1, fitted.sha256())
    assert found.fitted == fitted
    assert json.dumps(found.fitted.parameters, sort_keys=True) == json.dumps(
        parameters, sort_keys=True
    )


def test_the_same_parameters_again_add_nothing(archive: Engine) -> None:
    key = record_handover(archive, handover_fitted())
    before = row_counts(archive)
    turned = dict(reversed(handover_fitted().parameters.items()))
    again = handover_fitted(parameters=turned, fitted_at=later(5), snapshot_id="SNAP-later")
    assert record_handover(archive, again) == key
    assert row_counts(archive) == before


def test_the_newest_fit_of_the_products_counts(archive: Engine) -> None:
    first = record_handover(archive, handover_fitted(0.5))
    second = record_handover(archive, handover_fitted(0.6))
    record_handover(archive, handover_fitted(0.9, new_product="another"))
    record_handover(archive, handover_fitted(0.9, grid="another"))
    found = current_handover(archive, "old", "new", "tiny")
    assert found is not None
    assert (found.id, found.fit, found.fitted.terms[0].shift) == (second, 2, 0.6)
    # Fitted back, as when a revised file was withdrawn: the newest fit counts, not the newest text.
    third = record_handover(archive, handover_fitted(0.5))
    found = current_handover(archive, "old", "new", "tiny")
    assert found is not None
    assert (found.id, found.fit) == (third, 3)
    assert len({first, second, third}) == 3
    with reading(archive) as connection:
        assert len(connection.execute(select(handover_current)).all()) == 3


def test_there_is_no_handover_between_other_products(archive: Engine) -> None:
    record_handover(archive, handover_fitted())
    assert current_handover(archive, "new", "old", "tiny") is None
    assert current_handover(archive, "old", "new", "other") is None


def test_two_processes_that_record_one_fit_make_one_row(archive: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = set(pool.map(lambda _: record_handover(archive, handover_fitted()), range(4)))
    assert len(keys) == 1
    assert row_counts(archive)["handovers"] == 1
    assert row_counts(archive)["handover_terms"] == 4


def test_a_handover_that_cannot_be_whole_leaves_nothing(archive: Engine) -> None:
    fitted = handover_fitted()
    twice = dataclasses.replace(fitted, terms=(*fitted.terms, fitted.terms[0]))
    with pytest.raises(DatabaseRuleError):
        record_handover(archive, twice)
    assert row_counts(archive)["handovers"] == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_parameters_that_are_no_json_are_refused(archive: Engine, value: object) -> None:
    with pytest.raises(InvalidHandOverError, match="JSON"):
        record_handover(archive, handover_fitted(parameters={"shift": value}))
    assert row_counts(archive)["handovers"] == 0


def test_a_month_says_which_handover_it_was_corrected_with(archive: Engine) -> None:
    key = record_handover(archive, handover_fitted())
    accept(archive, "2018-01", handover_id=key)
    accept(archive, "2018-02")
    for name, expected in (("2018-01", key), ("2018-02", None)):
        latest = latest_revision(archive, month(name))
        assert latest is not None
        assert latest.committed.handover_id == expected
    with pytest.raises(DatabaseRuleError):
        accept(archive, "2018-03", handover_id=key + 1)
