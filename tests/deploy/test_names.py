"""Everything that deploy/ and the runbook name exists: settings, commands, deployments, alarms."""

import re
from pathlib import Path

import pytest
import yaml

from storage.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(
    file
    for file in [*DEPLOY.rglob("*"), ROOT / "docs" / "runbook.md"]
    if file.is_file() and file.suffix in (".md", ".yaml", ".yml", ".sh", ".service", ".example", "")
)
OUTSIDE = {"TIDENET_HEALTH_URL"}  # of the health check, not of tidenet


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(file: Path) -> None:
    known = {f"TIDENET_{name.upper()}" for name in Settings.model_fields} | OUTSIDE
    for name in re.findall(r"\bTIDENET_[A-Z_]*[A-Z]\b", file.read_text()):
        bare = name.removesuffix("_FILE")
        if not bare.startswith("TIDENET_TRAIN_"):
            assert bare in known, f"{file.name}: {name}"


def test_every_file_and_service_that_the_walkthrough_names_exists() -> None:
    text = (DEPLOY / "README.md").read_text()
    for path in re.findall(r"(?<!/)\bdeploy/[\w./-]*\w", text):
        if not path.startswith(("deploy/secrets", "deploy/.env")):  # what a deployment writes
            assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (DEPLOY / path).exists(), path
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(re.findall(r"deploy/secrets/(\w+)", text)) <= set(compose["secrets"])
    for service in re.findall(r"run --rm (?:-v \S+ )?(\S+)", text):
        assert service in compose["services"], service


def test_every_alarm_has_its_place_in_the_runbook() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    automations = yaml.safe_load((DEPLOY / "automations.yaml").read_text())["automations"]
    for one in automations:
        assert one["name"].removeprefix("tidenet: ") in text, one["name"]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["alert"] in text, rule["alert"]


def test_accelerate_reads_its_configurations() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    found = {
        file.stem: load_config_from_file(str(file)) for file in DEPLOY.glob("accelerate/*.yaml")
    }
    assert set(found) == {"cpu", "one_gpu", "several_gpus", "several_machines"}
    assert found["several_machines"].num_machines > 1
    assert found["several_gpus"].num_processes > 1
    assert found["cpu"].use_cpu
