"""The command line: exit codes, errors for people, and no heavy import where none is needed."""

import re
from pathlib import Path

import pytest
from services.small_loop import World, dataset, flux, run_python
from typer.testing import CliRunner, Result

from flows.cli import app
from storage.months import month

NEW = "2015-07"
COMMANDS = (
    *("ingest", "train", "forecast", "verify", "backfill", "status"),
    *("skill", "picture", "sql", "migrate", "demo", "products", "handover", "refresh-basis"),
    *("query", "export", "reproduce", "audit", "models", "drivers", "evaluate", "metrics"),
    *("deploy", "maintain", "backup", "restore"),
)


def tidenet(world: World, *arguments: str) -> Result:
    result = CliRunner().invoke(app, ["--home", str(world.home), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def one_line(text: str) -> str:
    return " ".join(text.split())


def assert_named(result: Result, name: str, *words: str) -> None:
    """Check that an error ended the command with its name and with what to do."""
    assert result.exit_code == 1, result.output
    said = one_line(result.output)
    for word in (name, "what to do", *words):
        assert word in said


# --- help and usage -------------------------------------------------------------------------------


def test_help_lists_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", shown.output)


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("ingest", "--no-such-option"),
        ("ingest", "--accept", "SMALL_201507.nc"),
        ("ingest", "--reason", "because"),
        ("ingest", "--accept", "SMALL_201507.nc", "--reason", "  "),
        ("backfill", "--from", "2014-01"),
        ("train", "--seed", "many"),
        ("train", "--config", "/no/such/file.yaml"),
        ("picture", "--lead", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(empty: World, arguments: tuple[str, ...]) -> None:
    assert tidenet(empty, *arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest", "--month", "July 2015"),
        ("forecast", "--init", "2015-13"),
        ("train", "--until", "201507"),
        ("backfill", "--from", "2015-1", "--to", "2015-02"),
        ("picture", "--valid", "yesterday"),
    ],
    ids=" ".join,
)
def test_a_text_that_is_no_month_is_named(filled: World, arguments: tuple[str, ...]) -> None:
    assert_named(tidenet(filled, *arguments), "InvalidMonthError", "YYYY-MM")


# --- ingest ---------------------------------------------------------------------------------------


def test_ingest_says_what_it_did_and_ends_with_0(filled: World) -> None:
    filled.deliver(NEW)
    done = tidenet(filled, "ingest")
    assert done.exit_code == 0
    assert "2015-07 committed from SMALL_201507.nc" in one_line(done.output)
    again = tidenet(filled, "ingest")
    assert again.exit_code == 0
    assert "67 files unchanged" in again.output


def test_a_refused_file_ends_with_3_says_why_and_is_shown_by_status(filled: World) -> None:
    filled.deliver(NEW, b"<html>Please log in</html>")
    refused = tidenet(filled, "ingest")
    assert refused.exit_code == 3
    said = one_line(refused.output)
    for words in ("quarantined", "SMALL_201507.nc", "a web page", "Expected: ", "What to do: "):
        assert words in said
    shown = tidenet(filled, "status")
    assert shown.exit_code == 0
    assert "SMALL_201507.nc" in one_line(shown.output)


def test_a_waiting_file_ends_with_3_and_names_the_missing_month(filled: World) -> None:
    filled.deliver("2015-08")
    waits = tidenet(filled, "ingest")
    assert waits.exit_code == 3
    assert "waiting" in waits.output
    assert NEW in waits.output
    assert "SMALL_201508.nc" in one_line(tidenet(filled, "status").output)


def test_a_warning_is_accepted_with_a_reason(filled: World) -> None:
    strange = dataset(month(NEW), (flux(month(NEW)) + 7).astype("float32"))
    filled.deliver(NEW, strange)
    assert tidenet(filled, "ingest").exit_code == 3
    accepted = tidenet(filled, "ingest", "--accept", "SMALL_201507.nc", "--reason", "seen at sea")
    assert accepted.exit_code == 0, accepted.output
    assert filled.rows("SELECT reason FROM acceptances") == [("seen at sea",)]


def test_errors_say_what_was_found_expected_and_what_to_do(filled: World) -> None:
    wrong = tidenet(filled, "ingest", "--product", "no-such-product")
    assert_named(wrong, "UnknownProductError", "found", "expected", "synthetic-ecs")
    assert_named(tidenet(filled, "forecast"), "NoChampionError", "tidenet train")
    gone = tidenet(filled, "ingest", "--accept", "SMALL_203001.nc", "--reason", "seen")
    assert_named(gone, "NothingToAcceptError", "SMALL_203001.nc")


def test_a_database_that_is_down_is_named_without_its_password(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDENET_DATABASE", "postgresql://me:secret-word@127.0.0.1:1/archive")
    for command in ("status", "ingest", "verify"):
        down = tidenet(filled, command)
        assert_named(down, "DatabaseUnavailableError")
        assert "secret-word" not in down.output


def test_a_setting_that_makes_no_sense_is_named(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDENET_N_MEMBERS", "many")
    for command in ("status", "migrate"):
        assert_named(tidenet(filled, command), "InvalidSettingsError", "TIDENET_N_MEMBERS")


# --- status and questions -------------------------------------------------------------------------


def test_status_of_an_empty_home_says_what_to_do_next(empty: World) -> None:
    shown = tidenet(empty, "status")
    assert shown.exit_code == 0
    said = one_line(shown.output)
    assert "record empty" in said
    for command in ("tidenet ingest", "tidenet train", "tidenet forecast"):
        assert command in said


def test_every_command_works_or_is_named_in_an_empty_home(empty: World) -> None:
    for arguments in (
        ("ingest",),
        ("train",),
        ("forecast",),
        ("verify",),
        ("backfill", "--from", "2014-01", "--to", "2014-02"),
        ("skill",),
        ("picture",),
    ):
        result = tidenet(empty, *arguments)
        if result.exit_code != 0:
            assert_named(result, "Error")


def test_sql_answers_questions_and_changes_nothing(filled: World) -> None:
    asked = tidenet(filled, "sql", "SELECT count(*) AS n FROM latest_months")
    assert asked.exit_code == 0
    assert "66" in asked.output
    for statement in (
        "DELETE FROM checks",
        "UPDATE checks SET passed = 0",
        "DROP TABLE checks",
        "SELECT 1; DELETE FROM checks",
    ):
        assert tidenet(filled, "sql", statement).exit_code == 1
    assert_named(tidenet(filled, "sql", "SELEKT 1"), "Error")
    assert filled.count("checks") > 0


def test_the_loop_through_the_command_line(trained: World) -> None:
    made = tidenet(trained, "forecast")
    assert made.exit_code == 0, made.output
    assert "2015-06 with tidenet-201312" in one_line(made.output)
    assert "existed already" in one_line(tidenet(trained, "forecast").output)
    hindcasts = tidenet(trained, "backfill", "--from", "2015-04", "--to", "2015-05")
    assert "2 hindcasts made, 0 existed already" in one_line(hindcasts.output)
    assert trained.count("skill_scores") > 0  # a backfill scores what it made
    assert "Nothing new" in tidenet(trained, "verify").output
    assert "region all" in one_line(tidenet(trained, "skill").output)
    status = one_line(tidenet(trained, "status").output)
    for words in ("2010-01 to 2015-06, 66 months", "tidenet-201312", "MSSS", "nothing"):
        assert words in status


def test_a_replay_reads_nothing_that_came_later(trained: World) -> None:
    assert tidenet(trained, "forecast").exit_code == 0
    early = tidenet(trained, "forecast", "--as-of", "2001-01-01")
    assert_named(early, "NothingKnownError", "tidenet backfill")
    late = tidenet(trained, "forecast", "--as-of", "2099-01-01")
    assert late.exit_code == 0, late.output
    [(kind, known_at)] = trained.rows(
        "SELECT issued_kind, known_at FROM forecast_runs WHERE known_at IS NOT NULL"
    )
    assert (kind, str(known_at)[:10]) == ("backfill", "2099-01-01")


def test_months_are_taken_again_with_a_reason(filled: World) -> None:
    done = tidenet(filled, "ingest", "--month", "2015-06", "--again", "a corrected grid")
    assert done.exit_code == 0, done.output
    # Nothing came out otherwise: no revision is made for its own sake.
    assert filled.count("month_revisions") == 66


def test_the_upkeep_and_a_backup_read_back_through_the_command_line(
    trained: World, tmp_path: Path
) -> None:
    assert tidenet(trained, "forecast").exit_code == 0
    done = tidenet(trained, "maintain")
    assert done.exit_code == 0, done.output
    for words in ("referred to and kept", "1 runs, 1 models looked at", "archive-20"):
        assert words in one_line(done.output)
    listed = tidenet(trained, "restore", "--list")
    assert "archive-20" in listed.output
    assert_named(tidenet(trained, "restore"), "DatabaseNotEmptyError", "TIDENET_DATABASE")
    elsewhere = f"sqlite:///{tmp_path}/other.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDENET_DATABASE", elsewhere)
        back = tidenet(trained, "restore")
    assert back.exit_code == 0, back.output
    assert "was read back" in back.output


def test_a_backup_that_does_not_fit_the_record_is_told(trained: World, tmp_path: Path) -> None:
    assert tidenet(trained, "backup").exit_code == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDENET_DATABASE", f"sqlite:///{tmp_path}/other.db")
        patch.setenv("TIDENET_RECORD", str(tmp_path / "another-record"))
        back = tidenet(trained, "restore")
    assert back.exit_code == 3
    assert "has no snapshot" in one_line(back.output)


# --- imports --------------------------------------------------------------------------------------

IMPORTED = """
import sys
from typer.testing import CliRunner
from flows.cli import app
result = CliRunner().invoke(app, sys.argv[1].split("|"))
assert result.exit_code == 0, result.output
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported(*arguments: str) -> set[str]:
    done = run_python(IMPORTED, "|".join(arguments))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_help_imports_no_heavy_library() -> None:
    heavy = {"torch", "prefect", "great_expectations", "xarray", "zarr", "icechunk", "sqlalchemy"}
    assert not imported("--help") & heavy


def test_status_imports_no_heavy_library(filled: World) -> None:
    heavy = {"torch", "prefect", "great_expectations", "diffusers", "matplotlib"}
    assert not imported("--home", str(filled.home), "status") & heavy
