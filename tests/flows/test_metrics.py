"""The exporter for Prometheus: a real process, scraped over HTTP, beside what SQL says."""

import datetime as dt
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry
from services.archive_samples import accept, check, file_seen, fill, score_row
from services.postgres import PostgresServer
from services.small_loop import World, run_python
from sqlalchemy import Engine, event, text

from flows.operations.forecast import forecast
from flows.operations.metrics import METRICS
from flows.operations.metrics_server import ArchiveCollector
from flows.operations.workspace import Workspace
from storage import archive as forecasts
from storage import ledger
from storage.database import connect, migrate
from storage.settings import Settings

START = "import sys; from flows.cli import app; app(sys.argv[1:])"
SECRET = "not-to-be-told"
HANGS_S = 120.0
"""After this a wait is given up: no measure of speed, only the end of a test that hangs."""

PRODUCT = """\
title: What the samples say they are made from
file_pattern: test_{year}{month}.nc
grid: {name: tiny, south: 25, west: 120, step: 0.5, n_lat: 12, n_lon: 10}
latency_days: 45
quantities:
  fco2: {names: [fco2], positive: up, uncertainty: 1.0}
"""

Values = dict[tuple[str, tuple[str, ...]], float]
"""What a scrape said: name and values of the labels, in the order in which they are declared."""


class Exporter:
    """A running ``tidenet metrics``."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url

    def page(self) -> str:
        with urllib.request.urlopen(self.url, timeout=HANGS_S) as answer:
            return answer.read().decode()

    def families(self) -> list[Metric]:
        return list(text_string_to_metric_families(self.page()))

    def values(self) -> Values:
        return values_of(self.page())

    def wait_until_up_is(self, wanted: float) -> Values:
        deadline = time.monotonic() + HANGS_S
        while time.monotonic() < deadline:
            found = self.values()
            if found["tidenet_archive_up", ()] == wanted:
                return found
            time.sleep(0.2)
        raise AssertionError(f"tidenet_archive_up did not become {wanted}")


def values_of(page: str) -> Values:
    labels = {metric.name: metric.labels for metric in METRICS}
    return {
        (sample.name, tuple(sample.labels[name] for name in labels[sample.name])): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


@contextmanager
def exporting(home: Path, *options: object) -> Iterator[Exporter]:
    """Start the exporter on a free port; end it as a service manager does."""
    arguments = ("--home", home, "metrics", "--port", 0, *options)
    process = run_python(START, *arguments, wait=False)
    try:
        line = process.stdout.readline()
        url = re.search(r"http://\S+", line)
        assert url, line + process.stderr.read()
        yield Exporter(process, url[0])
    finally:
        process.terminate()
        process.wait(timeout=HANGS_S)


def home_of(folder: Path, database_url: str) -> Path:
    """Make a home folder for an archive of samples."""
    (folder / "products").mkdir()
    (folder / "products" / "test-product.yaml").write_text(PRODUCT)
    (folder / ".env").write_text(
        f"TIDENET_DATABASE={database_url}\nTIDENET_PRODUCTS_FOLDER={folder}/products\n"
        "TIDENET_TIMEOUT_S=10\n"
    )
    return folder


def fill_all(engine: Engine) -> None:
    """Put something of everything into an archive, so that every metric has a value."""
    run_id, _ = fill(engine)
    observed = ledger.latest_months(engine)[-1]
    forecasts.write_scores(engine, [score_row(run_id, observed.id)])
    refused = file_seen("2018-03")
    checks = [check("range", passed=False)]
    ledger.record_refused(engine, refused, "quarantined", checks, message="bad", remedy="see")


@pytest.fixture
def samples(archive: Engine, tmp_path: Path) -> Path:
    """Home folder of an archive that has something of everything, on each kind of database."""
    fill_all(archive)
    home = tmp_path / "home"
    home.mkdir()
    return home_of(home, archive.url.render_as_string(hide_password=False))


def asked(engine: Engine, statement: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(statement)).scalar_one()


# --- what is told ---------------------------------------------------------------------------------

MODEL = ("tidenet-1",)
SKILL = ("tidenet-1", "live", "1")
UPTAKE = "FROM regional_predictions WHERE region = 'yellow-sea' AND lead_months = 2"
AS_SQL_SAYS: dict[tuple[str, tuple[str, ...]], str] = {
    ("tidenet_record_months", ()): "SELECT count(*) FROM latest_months",
    ("tidenet_record_months_preliminary", ()): "SELECT count(*) FROM preliminary_months",
    ("tidenet_files_open", ("quarantined",)): "SELECT count(*) FROM quarantine_open",
    ("tidenet_files_open", ("waiting",)): "SELECT count(*) FROM waiting_open",
    ("tidenet_runs_total", ("live",)): "SELECT count(*) FROM forecast_runs",
    ("tidenet_runs_outdated", ()): "SELECT count(*) FROM outdated_runs",
    ("tidenet_last_run_duration_seconds", ("live",)): "SELECT duration_s FROM forecast_runs",
    ("tidenet_forecast_uptake_grams", ("yellow-sea", "2")): f"SELECT -flux_tgc_mean {UPTAKE}",
    ("tidenet_forecast_uptake_low_grams", ("yellow-sea", "2")): f"SELECT -flux_tgc_q95 {UPTAKE}",
    ("tidenet_forecast_uptake_high_grams", ("yellow-sea", "2")): f"SELECT -flux_tgc_q05 {UPTAKE}",
    ("tidenet_skill_months", SKILL): "SELECT n_months FROM skill_by_lead",
    ("tidenet_skill_msss_climatology", SKILL): "SELECT msss_climatology FROM skill_by_lead",
    (
        "tidenet_skill_msss_damped_persistence",
        SKILL,
    ): "SELECT msss_damped_persistence FROM skill_by_lead",
    ("tidenet_skill_crpss", SKILL): "SELECT crpss FROM skill_by_lead",
    ("tidenet_skill_coverage_ratio", SKILL): "SELECT coverage_90 FROM skill_by_lead",
    ("tidenet_skill_rmse_mmol_per_m2_per_day", SKILL): "SELECT rmse FROM skill_by_lead",
    ("tidenet_drift_level", (*MODEL, "skill")): "SELECT level FROM drift_current",
    ("tidenet_drift_limit", (*MODEL, "skill")): "SELECT level_limit FROM drift_current",
    ("tidenet_drift_level", (*MODEL, "mean")): "SELECT level FROM input_drift_checks",
    ("tidenet_drift_limit", (*MODEL, "mean")): "SELECT level_limit FROM input_drift_checks",
}


def test_a_scrape_says_what_sql_says(samples: Path, archive: Engine) -> None:
    with exporting(samples) as exporter:
        found = exporter.values()
    for key, statement in AS_SQL_SAYS.items():
        factor = 1e12 if key[0].endswith("_grams") else 1
        assert found[key] == pytest.approx(float(asked(archive, statement)) * factor), key
    version = asked(archive, "SELECT model_version FROM champion")
    assert found["tidenet_champion_info", (version, "tidenet", "tiny")] == 1
    assert found["tidenet_archive_up", ()] == 1


def test_times_are_in_seconds_since_1970(samples: Path) -> None:
    before = time.time()
    with exporting(samples) as exporter:
        found = exporter.values()
    january, february, march = (dt.datetime(2018, m, 1, tzinfo=dt.UTC) for m in (1, 2, 3))
    assert found["tidenet_record_last_month_timestamp_seconds", ()] == february.timestamp()
    lag = found["tidenet_record_lag_seconds", ()]
    assert before - march.timestamp() <= lag <= time.time() - march.timestamp()
    init = found["tidenet_last_run_init_month_timestamp_seconds", ("live",)]
    assert init == january.timestamp()
    scored_at = dt.datetime(2020, 2, 3, 4, 5, 6, tzinfo=dt.UTC).timestamp()
    assert found["tidenet_last_run_created_timestamp_seconds", ("live",)] == scored_at
    assert found["tidenet_last_scoring_timestamp_seconds", ()] == scored_at


def test_what_is_overdue_is_counted(samples: Path) -> None:
    with exporting(samples) as exporter:
        found = exporter.values()
    due = dt.datetime.now(dt.UTC) - dt.timedelta(days=45)  # the month before is due
    missing = (due.year - 2018) * 12 + due.month - 1 - 2
    assert found["tidenet_record_months_overdue", ()] == missing
    assert found["tidenet_forecast_overdue", ()] == 1  # the run starts from January


def test_every_declared_metric_is_told_with_a_help_and_a_name_that_prometheus_takes(
    samples: Path,
) -> None:
    with exporting(samples) as exporter:
        families, page = exporter.families(), exporter.page()
    assert {sample.name for family in families for sample in family.samples} == {
        metric.name for metric in METRICS
    }
    for family in families:
        assert re.fullmatch(r"tidenet_[a-z0-9]+(_[a-z0-9]+)*", family.name)
        assert len(family.documentation) > 10
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            assert sample.labels.keys().isdisjoint({"job", "instance", "le", "quantile"})
    promtool = shutil.which("promtool")
    if promtool:
        command = [promtool, "check", "metrics"]
        done = subprocess.run(command, input=page, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_archive_in_which_nothing_happened_is_told_so(empty: World) -> None:
    with exporting(empty.home) as exporter:
        found = exporter.values()
    assert found["tidenet_archive_up", ()] == 1
    assert found["tidenet_record_months", ()] == 0
    assert not any(name.startswith(("tidenet_last_run", "tidenet_skill")) for name, _ in found)


def test_a_real_forecast_shows_as_soon_as_it_is_archived(trained: World) -> None:
    with exporting(trained.home, "--keep", 0) as exporter:
        before = exporter.values()
        run = forecast(trained.workspace)
        after = exporter.values()
    assert before["tidenet_forecast_overdue", ()] == 1
    assert after["tidenet_forecast_overdue", ()] == 0
    assert ("tidenet_runs_total", ("live",)) not in before
    assert after["tidenet_runs_total", ("live",)] == 1
    rows = trained.rows(
        "SELECT region, lead_months, -flux_tgc_mean FROM regional_predictions "
        f"WHERE run_id = '{run.run_id}'"
    )
    told = {labels: v for (name, labels), v in after.items() if name.endswith("uptake_grams")}
    assert told == {
        (region, str(lead)): pytest.approx(uptake * 1e12) for region, lead, uptake in rows
    }
    assert len(rows) >= 6 * 7


# --- how it behaves -------------------------------------------------------------------------------


def test_it_outlives_the_database_and_never_says_its_password(
    throwaway_postgres: PostgresServer, tmp_path: Path
) -> None:
    server = throwaway_postgres
    url = server.new_database()
    engine = connect(url, timeout_s=20)
    migrate(engine)
    fill_all(engine)
    engine.dispose()
    with server.admin() as connection:  # the right to read is enough
        connection.execute(f"CREATE ROLE watcher LOGIN PASSWORD '{SECRET}' IN ROLE tidenet_reader")
    server.stop()
    url = url.replace(f"{server.user}:{server.password}@", f"watcher:{SECRET}@")
    with exporting(home_of(tmp_path, url), "--keep", 0) as exporter:
        pages = [exporter.page()]
        assert values_of(pages[0]).keys() == {
            ("tidenet_archive_up", ()),
            *(key for key in values_of(pages[0]) if key[0] == "tidenet_build_info"),
        }
        server.start()
        assert exporter.wait_until_up_is(1)["tidenet_record_months", ()] == 2
        server.stop()
        exporter.wait_until_up_is(0)
        server.start()
        assert exporter.wait_until_up_is(1)["tidenet_record_months", ()] == 2
        pages.append(exporter.page())
    said = exporter.process.stdout.read() + exporter.process.stderr.read()
    assert said.count("The archive does not answer.") == 2, said
    assert said.count("The archive answers again.") == 2, said
    assert "Traceback" not in said
    assert SECRET not in said + "".join(pages)


def test_sigterm_ends_it_with_0_and_an_address_that_is_taken_is_named(empty: World) -> None:
    with exporting(empty.home) as exporter:
        port = exporter.url.rpartition(":")[2].removesuffix("/metrics")
        second = run_python(START, "--home", empty.home, "metrics", "--port", port)
        assert second.returncode == 1
        assert "AddressUnusableError" in second.stderr
        assert "--port" in second.stderr
    assert exporter.process.returncode == 0
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", int(port)), timeout=5):
        pass


def counted(engine: Engine) -> list[str]:
    statements: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    return statements


def test_many_scrapes_at_once_ask_the_archive_once(samples: Path, archive: Engine) -> None:
    now = [100.0]
    settings = Settings(home=samples, _env_file=samples / ".env")
    workspace = Workspace(settings)
    collector = ArchiveCollector(workspace, print, keep_s=15.0, clock=lambda: now[0])
    registry = CollectorRegistry()
    registry.register(collector)
    first = values_of(generate_latest(registry).decode())
    statements = counted(workspace.engine)
    accept(archive, "2018-03")
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: generate_latest(registry).decode(), range(40)))
    assert statements == []
    assert all(values_of(page) == first for page in pages)
    now[0] += 15.0
    assert values_of(generate_latest(registry).decode())["tidenet_record_months", ()] == 3
    assert statements
    workspace.engine.dispose()


def test_the_documentation_lists_every_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(tidenet_\w+)` \| (.*?) \| (.+) \|$", page, re.MULTILINE)
    assert rows == [
        (metric.name, ", ".join(f"`{name}`" for name in metric.labels), metric.meaning)
        for metric in METRICS
    ]
