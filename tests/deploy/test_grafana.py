"""The dashboard and the alert rules ask for what the exporter really tells."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from typer.main import get_command

from flows.cli import app
from flows.operations.metrics import METRICS

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "tidenet.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
RULES = ALERTS["groups"][0]["rules"]
LABELS = {metric.name: {*metric.labels} for metric in METRICS}
OF_PROMETHEUS = {"up": {"job", "instance"}}
"""What Prometheus knows of every process that it scrapes."""

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ROWS = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]


def title(panel: dict[str, Any]) -> str:
    return str(panel["title"])


def selectors(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the metrics that an expression asks for, with the labels that it asks by."""

    def visit(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append((node.name, {m.name: m.value for m in node.matchers.matchers}))
        return True

    found: list[tuple[str, dict[str, str]]] = []
    promql.walk(promql.parse(expression), visit)
    assert found, expression
    yield from found


def assert_told(expression: str, known: dict[str, set[str]]) -> None:
    for name, labels in selectors(expression):
        assert name in known, f"{expression}: no metric {name}"
        assert labels.keys() <= known[name], f"{expression}: {name} has labels {known[name]}"


# --- the dashboard --------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", PANELS, ids=title)
def test_a_panel_asks_for_what_is_told_and_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        assert_told(target["expr"], LABELS)
        [(name, _), *_] = selectors(target["expr"])
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= LABELS[name]
        assert target["datasource"]["uid"] == "${datasource}"
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert len(panel["description"]) > 20
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]


def test_the_dashboard_tells_of_everything_that_an_operator_asks() -> None:
    assert ROWS[0] == "Is it running?"
    told = {name for p in PANELS for t in p["targets"] for name, _ in selectors(t["expr"])}
    assert told >= {
        "tidenet_record_last_month_timestamp_seconds",
        "tidenet_record_lag_seconds",
        "tidenet_last_run_created_timestamp_seconds",
        "tidenet_forecast_uptake_grams",
        "tidenet_skill_msss_climatology",
        "tidenet_drift_level",
        "tidenet_last_run_duration_seconds",
    }


def test_panels_lie_side_by_side_below_their_rows() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_variables_are_chosen_from_what_is_told_and_used_in_the_panels() -> None:
    source, *variables = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    asked = json.dumps(DASHBOARD["panels"])
    for variable in variables:
        match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
        assert match and match[2] in LABELS[match[1]]
        assert f"${variable['name']}" in asked
    assert set(re.findall(r"\$(\w+)", asked)) == {variable["name"] for variable in variables}
    assert DASHBOARD["timezone"] == "utc"  # a month is its first moment, UTC


def test_grafana_finds_the_dashboard_and_prometheus_by_itself() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    [provider] = yaml.safe_load((folder / "dashboards" / "tidenet.yaml").read_text())["providers"]
    page = (DEPLOY.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert f"| `deploy/grafana/dashboards/` | `{provider['options']['path']}/` |" in page
    [source] = yaml.safe_load((folder / "datasources" / "tidenet.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]


# --- alarms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_is_told_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert_told(rule["expr"], LABELS | OF_PROMETHEUS)
    words = rule["annotations"]["summary"] + rule["annotations"]["description"]
    [(name, _), *_] = selectors(rule["expr"])
    assert set(re.findall(r"\$labels\.(\w+)", words)) <= (LABELS | OF_PROMETHEUS)[name]
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {name for name in re.findall(r"`tidenet ([\w-]+)", words)} <= commands.keys()
    assert rule["for"]
    assert rule["labels"]["severity"] in ("info", "warning", "critical")


def test_the_alerts_are_loaded_and_ask_for_the_job_that_is_scraped() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert scraped["rule_files"] == ["alerts.yml"]
    [job] = scraped["scrape_configs"]
    jobs = [labels["job"] for r in RULES for _, labels in selectors(r["expr"]) if "job" in labels]
    assert jobs == [job["job_name"]] * 2


RINGS = {
    "TidenetExporterDown": ('up{job="tidenet"}', "1", "0"),
    "TidenetArchiveDown": ("tidenet_archive_up", "1", "0"),
    "TidenetMonthOverdue": ("tidenet_record_months_overdue", "0", "2"),
    "TidenetFileQuarantined": ('tidenet_files_open{state="quarantined"}', "0", "1"),
    "TidenetForecastOverdue": ("tidenet_forecast_overdue", "0", "1"),
    "TidenetForecastDegraded": ('tidenet_last_run_degraded{kind="live"}', "0", "1"),
    "TidenetDrift": ('tidenet_drift_detected{model="m",of="skill"}', "0", "1"),
    "TidenetRetrainingDue": ("tidenet_retraining_due", "0", "1"),
}
"""Of each alert a series, and what it is when all is well and when it rings."""


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool: apt-get install prometheus")
def test_every_alert_rings_when_it_should_and_only_then(tmp_path: Path) -> None:
    def at(alert: str, rings: bool) -> dict[str, Any]:
        series, quiet, loud = RINGS[alert]
        feed = {up: f"{value}x720" for up, value in ((s, q) for s, q, _ in RINGS.values())}
        feed[series] = f"{loud if rings else quiet}x720"
        firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
        return {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in feed.items()],
            "promql_expr_test": [
                {
                    "expr": f"count({firing}) or vector(0)",
                    "eval_time": "12h",
                    "exp_samples": [{"labels": "{}", "value": int(rings)}],
                }
            ],
        }

    assert RINGS.keys() == {rule["alert"] for rule in RULES}
    tests = [at(alert, rings) for alert in RINGS for rings in (False, True)]
    file = tmp_path / "tests.yml"
    rules = [str(DEPLOY / "prometheus" / "alerts.yml")]
    file.write_text(yaml.safe_dump({"rule_files": rules, "tests": tests}))
    command = ["promtool", "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    config = str(DEPLOY / "prometheus" / "prometheus.yml")
    checked = subprocess.run(
        ["promtool", "check", "config", config], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
