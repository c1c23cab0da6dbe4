import numpy as np
import pytest

from storage.months import month
from tidenet.errors import NotEnoughMonthsError
from tidenet.references import KEPT, fit_method, fit_shared
from tidenet.verification import add_up, hindcast, scores, summarise

INITS = [month("2012-12"), month("2013-05"), month("2013-10")]


def rows(trained, record, init_months=INITS, seed=0):
    methods = {"tidenet": trained, **trained.references}
    skill, _ = hindcast(
        methods,
        record,
        init_months,
        climatology=trained.climatology,
        references=trained.references,
        n_members=3,
        seed=seed,
        probability=False,
    )
    return skill


def test_leads_that_are_not_observed_yet_are_left_out(trained, record):
    found = rows(trained, record)
    counted = {m: sum(r.init_month == m and r.method == "tidenet" for r in found) for m in INITS}
    assert list(counted.values()) == [6, 6, 2]


def test_of_a_method_with_more_leads_the_first_ones_are_scored(trained, record):
    shared = fit_shared(record.until(month("2012-12")), 2)
    fewer = {name: fit_method(name, shared, 2) for name in KEPT}
    skill, probability = hindcast(
        {"tidenet": trained},
        record,
        INITS[:1],
        climatology=fewer["climatology"].climatology,
        references=fewer,
        n_members=3,
    )
    assert [row.lead_months for row in skill] == [1, 2]
    assert [row.lead_months for row in probability] == [1, 2]


def test_references_have_no_skill_against_themselves(trained, record):
    table = summarise(rows(trained, record))
    assert table["climatology", 1, "all"]["msss"] == pytest.approx(0)
    assert table["persistence", 1, "all"]["msss_persistence"] == pytest.approx(0)
    assert table["damped-persistence", 1, "all"]["msss_damped_persistence"] == pytest.approx(0)
    assert table["damped-persistence", 1, "all"]["msss"] > 0.2


def test_a_summary_is_that_of_the_added_sums(trained, record):
    found = rows(trained, record)
    mine = [r.sums for r in found if (r.method, r.lead_months) == ("tidenet", 2)]
    assert summarise(found)["tidenet", 2, "all"] == scores(add_up(mine))


def test_the_order_of_init_months_does_not_matter(trained, record):
    one = {(r.method, r.init_month, r.lead_months): r.sums for r in rows(trained, record)}
    turned = rows(trained, record, INITS[::-1])
    assert one == {(r.method, r.init_month, r.lead_months): r.sums for r in turned}


def test_only_observed_cells_are_scored(trained, record):
    observed = np.repeat(record.ocean[None], len(record.fco2), axis=0)
    observed[:, 8:] = False
    record = type(record)(record.grid, record.ocean, record.first_month, record.fco2, observed)
    found = rows(trained, record, INITS[:1])
    assert {r.sums.n_cells for r in found} == {int(observed[0].sum())}


def test_an_init_month_outside_the_record_is_refused(trained, record):
    with pytest.raises(NotEnoughMonthsError):
        rows(trained, record, [month("2020-01")])
