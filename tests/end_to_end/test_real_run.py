"""The whole loop on real product files, through the command line, with a very small model."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from flows.cli import app
from storage.database import connect

# The folder that all tests read is made once: they belong into one process.
pytestmark = pytest.mark.xdist_group("real-run")

TINY = """\
working_cells: 24
hidden_channels: 8
n_modes: 4
n_spectral_cells: 1
refiner_channels: [8]
refiner_steps: 2
n_epochs: 2
n_patterns: 8
"""
SETTINGS = """\
TIDENET_PRODUCT=ecs-fco2-1deg
TIDENET_LANDING={landing}
TIDENET_ARCHIVE_STEP=1.0
TIDENET_N_MEMBERS=8
"""
INIT_MONTHS = 26  # 2018-01 to 2020-02


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A home folder in which the real files went through every command once."""
    folder = tmp_path_factory.mktemp("east-asia")
    (folder / ".env").write_text(SETTINGS.format(landing=shared_data / "fco2_1deg"))
    (folder / "tiny.yaml").write_text(TINY)
    succeed(folder, "ingest")
    succeed(folder, "train", "--until", "2017-12", "--config", str(folder / "tiny.yaml"))
    succeed(folder, "backfill", "--from", "2018-01", "--to", "2020-02")
    succeed(folder, "verify")
    return folder


def tidenet(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--home", str(home), *arguments], catch_exceptions=False)


def succeed(home: Path, *arguments: str) -> str:
    result = tidenet(home, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def rows(home: Path, statement: str) -> list[tuple]:
    with connect(f"sqlite:///{home}/archive.db").connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_all_real_months_are_in_the_record(home: Path) -> None:
    assert rows(home, "SELECT count(*), min(month), max(month) FROM latest_months") == [
        (128, "2010-01-01", "2020-08-01")
    ]


def test_every_init_month_has_six_leads_in_every_region(home: Path) -> None:
    found = rows(
        home,
        "SELECT region, count(DISTINCT run_id), count(*) FROM regional_predictions GROUP BY region",
    )
    assert "ecs-shelf" in {region for region, *_ in found}
    assert all(runs == INIT_MONTHS and n == 6 * INIT_MONTHS for _, runs, n in found)


def test_every_observed_lead_is_scored_against_its_references(home: Path) -> None:
    found = rows(
        home,
        "SELECT lead_months, n_months, msss_climatology, msss_damped_persistence "
        "FROM skill_by_lead WHERE region = 'all' ORDER BY lead_months",
    )
    assert [(lead, n) for lead, n, *_ in found] == [(lead, INIT_MONTHS) for lead in range(1, 7)]
    # The network departs from damped persistence only as far as its validation block bears out.
    assert all(abs(against_damped) < 0.5 for *_, against_damped in found)


def test_a_value_is_traced_to_the_bytes_of_a_file_in_one_query(home: Path) -> None:
    found = rows(
        home,
        "SELECT product, file_sha256, revision FROM lineage_files "
        "JOIN forecast_runs ON id = run_id WHERE init_month = '2018-01-01'",
    )
    assert found
    assert all(product == "ecs-fco2-1deg" and len(sha) == 64 for product, sha, *_ in found)


def test_doing_it_all_again_changes_nothing(home: Path) -> None:
    def counts() -> list[tuple]:
        tables = ("product_files", "month_revisions", "forecast_runs", "skill_scores")
        return [rows(home, f"SELECT count(*) FROM {table}")[0] for table in tables]

    before = counts()
    assert "unchanged" in succeed(home, "ingest")
    assert "26 existed already" in succeed(home, "backfill", "--from", "2018-01", "--to", "2020-02")
    assert "Nothing new" in succeed(home, "verify")
    assert counts() == before


def test_a_hindcast_from_a_month_the_model_learned_from_is_refused(home: Path) -> None:
    result = tidenet(home, "backfill", "--from", "2016-01", "--to", "2016-02")
    assert result.exit_code == 1
    assert "InSampleError" in result.output


def test_status_shows_record_champion_and_skill(home: Path) -> None:
    shown = succeed(home, "status")
    for word in ("2010-01 to 2020-08", "tidenet-201712", "MSSS", "hindcast"):
        assert word in shown


def test_the_picture_of_an_observed_month_is_written(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "map.png"
    succeed(home, "picture", "--valid", "2019-07", "--lead", "3", "--to", str(file))
    assert file.read_bytes().startswith(b"\x89PNG")


def test_the_shipped_recipe_beats_climatology_and_damped_persistence_at_every_lead(
    home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "numbers.json"
    options = ("--methods", "tidenet", "--train-until", "2015-12", "--json", str(file))
    succeed(home, "evaluate", *options)
    found = json.loads(file.read_text())["methods"]["tidenet"]
    assert len(found["msss"]) == 6
    assert min(found["msss"]) > 0
    assert min(found["msss_minus_damped"]) > 0
    # What a careful forecaster would ask of the probabilities of the next three months.
    assert min(found["crpss"][:3]) >= 0.05
