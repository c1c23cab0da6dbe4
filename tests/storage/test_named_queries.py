import datetime as dt

import pytest
from services.archive_samples import fill, row_counts
from sqlalchemy import Engine, event

from storage import archive as answers
from storage.named_queries import (
    InvalidParameterError,
    UnknownQueryError,
    ask,
    bind,
    named_queries,
    named_query,
)


def test_a_query_that_does_not_exist_is_named_with_those_that_do(archive: Engine) -> None:
    with pytest.raises(UnknownQueryError) as caught:
        ask(archive, "forcast")
    assert "'forcast'" in str(caught.value)
    assert "forecast-for-month" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"regoin": "all"}, "no parameter 'regoin'"),
        ({"region": "all"}, "valid_month is missing"),
        ({"valid_month": "July"}, "valid_month is 'July', not a month such as 2018-07"),
        ({"valid_month": "2018-13"}, "valid_month is '2018-13'"),
        ({"valid_month": "2018-07", "x": "1", "y": "2"}, "no parameter 'x'; no parameter 'y'"),
    ],
)
def test_parameters_that_do_not_fit_are_all_listed(given: dict[str, str], complaint: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        bind(named_query("forecast-for-month"), given)
    assert complaint in caught.value.found
    assert "region (a text)" in caught.value.expected
    assert "tidenet query forecast-for-month --sql" in caught.value.remedy


@pytest.mark.parametrize("value", ["1.5", "one", "1; DROP TABLE checks"])
def test_a_whole_number_has_to_be_one(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="not a whole number"):
        bind(named_query("map"), {"lead_months": value})


@pytest.mark.parametrize(
    "poison",
    [
        "all'; DROP TABLE checks; --",
        "' OR '1' = '1",
        "all'; DELETE FROM forecast_runs; SELECT '",
        "%s %(region)s :region $1 \\",
    ],
)
def test_sql_in_a_parameter_is_only_a_name_that_nothing_has(archive: Engine, poison: str) -> None:
    fill(archive)
    before = row_counts(archive)
    assert ask(archive, "forecast", {"region": poison}).rows == ()
    assert row_counts(archive) == before


def test_a_value_never_becomes_part_of_the_statement(archive: Engine) -> None:
    fill(archive)
    statements: list[str] = []

    @event.listens_for(archive, "before_cursor_execute")
    def remember(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    ask(archive, "forecast", {"region": "yellow-sea"})
    assert not [one for one in statements if "yellow-sea" in one]


def test_nothing_can_be_written_by_a_query(archive: Engine) -> None:
    for query in named_queries().values():
        assert query.statement.split()[0].upper() in ("SELECT", "WITH"), query.name


def test_both_databases_give_the_same_kinds_of_values(archive: Engine) -> None:
    run_id, _ = fill(archive)
    [row] = ask(archive, "lineage").rows
    values = dict(zip(ask(archive, "lineage").columns, row, strict=True))
    assert values["run_id"] == run_id
    assert values["init_month"] == dt.date(2018, 1, 1)
    assert values["libraries"] == {"torch": "2.9"}
    [first, _] = ask(archive, "forecast-as-of", {"as_of": "2021-01-01"}).rows
    assert first[2] == dt.datetime(2020, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    [look] = ask(archive, "drift").rows
    assert look[-1] is False


def test_answers_come_as_tables_and_maps(archive: Engine) -> None:
    run_id, _ = fill(archive)
    table = answers.forecast_latest(archive, "yellow-sea")
    assert list(table["lead_months"]) == [1, 2]
    assert str(table["valid_month"].dtype).startswith("datetime64")
    assert table["mean"].tolist() == [-5.0, -5.0]
    moment = dt.datetime(2020, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    assert set(answers.forecast_as_of(archive, moment)["run_id"]) == {run_id}
    assert answers.forecast_as_of(archive, moment - dt.timedelta(seconds=1)).empty
    beside = answers.forecast_vs_observed(archive)
    assert beside[["mean", "observed", "error"]].to_numpy().tolist() == [[-5.0, -4.25, -0.75]]
    assert beside["within_90"].tolist() == [True]
    drawn = answers.forecast_map(archive, lead_months=2)
    assert drawn.sizes == {"lat": 3, "lon": 10}
    assert (drawn.attrs["run_id"], drawn.attrs["valid_month"]) == (run_id, "2018-03")
    series = answers.cell_series(archive, lat=25.3, lon=120.2)
    assert series["observed"].tolist() == [-4.25]
    assert answers.uptake(archive, "all", "year")["year"].tolist() == [2018]


def test_answers_on_what_is_not_there_say_so(archive: Engine) -> None:
    with pytest.raises(answers.UnknownRunError, match="no map"):
        answers.forecast_map(archive)
    fill(archive)
    with pytest.raises(answers.UnknownRegionError, match=r"atlantis.*yellow-sea"):
        answers.forecast_latest(archive, "atlantis")
    with pytest.raises(answers.UnknownRunError, match="lead 9"):
        answers.forecast_map(archive, lead_months=9)
