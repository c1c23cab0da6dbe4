"""``tidenet query``: named questions as a table, CSV or JSON."""

import csv
import io
import json

import pytest
from click.testing import Result
from services.small_loop import World
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.forecast import forecast
from flows.operations.verify import verify
from storage.months import month


@pytest.fixture
def asked(trained: World) -> World:
    forecast(trained.workspace, init=month("2015-03"))
    forecast(trained.workspace)
    verify(trained.workspace)
    return trained


def query(world: World, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--home", str(world.home), "query", *arguments])


def test_without_a_name_the_queries_are_listed(empty: World) -> None:
    listed = query(empty)
    assert listed.exit_code == 0
    for name in ("forecast-as-of", "skill-in-season", "lineage"):
        assert name in listed.output


def test_a_query_shows_its_question_parameters_and_sql(empty: World) -> None:
    shown = query(empty, "forecast-for-month", "--sql")
    assert shown.exit_code == 0
    assert "--valid-month: the month that is forecast (required)" in shown.output
    assert "WHERE f.region = :region AND f.valid_month = :valid_month" in shown.output


def test_an_answer_is_a_table_for_people(asked: World) -> None:
    answer = query(asked, "forecast", "--region", "all")
    assert answer.exit_code == 0, answer.output
    assert "lead_months" in answer.output
    assert "2015-07-01" in answer.output


@pytest.mark.parametrize("style", ["--lead-months=2", "--lead_months=2"])
def test_csv_and_json_hold_every_digit(asked: World, style: str) -> None:
    as_json = query(asked, "forecast-vs-observed", "--region", "all", style, "--format", "json")
    rows = json.loads(as_json.output)
    assert [row["valid_month"] for row in rows] == ["2015-05-01"]
    as_csv = query(asked, "forecast-vs-observed", "--region", "all", style, "--format", "csv")
    [record] = csv.DictReader(io.StringIO(as_csv.output))
    assert float(record["mean"]) == rows[0]["mean"]
    assert record["valid_month"] == "2015-05-01"


def test_json_holds_lineage_as_it_is(asked: World) -> None:
    [row] = json.loads(query(asked, "lineage", "--format", "json").output)
    assert row["libraries"]["numpy"]
    assert row["created_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("forcast",), "UnknownQueryError"),
        (("forecast", "--colour", "red"), "no parameter 'colour'"),
        (("forecast-for-month",), "valid_month is missing"),
        (("map", "--lead-months", "soon"), "not a whole number"),
    ],
)
def test_what_cannot_be_asked_is_named(
    empty: World, arguments: tuple[str, ...], complaint: str
) -> None:
    answer = query(empty, *arguments)
    assert answer.exit_code == 1
    assert complaint in answer.output + answer.stderr


@pytest.mark.parametrize("arguments", [("forecast", "--region"), ("forecast", "all", "sea")])
def test_wrong_usage_is_told(empty: World, arguments: tuple[str, ...]) -> None:
    assert query(empty, *arguments).exit_code == 2


def test_no_rows_are_said_to_be_none(empty: World) -> None:
    assert "No rows." in query(empty, "forecast").output
    assert query(empty, "forecast", "--format", "json").output == "[]\n"
