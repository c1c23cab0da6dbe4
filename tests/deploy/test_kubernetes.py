"""Manifests and base job templates, held against the schemas of Kubernetes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
VERSIONS = ("1.32", "1.34")
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
TEMPLATES = ("cpu-job-template.json", "gpu-job-template.json")


def objects() -> list[dict[str, Any]]:
    files = [*KUSTOMIZATION["resources"], "secrets.example.yaml"]
    return [
        one
        for name in files
        for one in yaml.safe_load_all((FOLDER / name).read_text())
        if one is not None
    ]


def rendered(name: str) -> dict[str, Any]:
    """Return the job that a template makes with its defaults, as Prefect fills it in."""
    template = json.loads((FOLDER / name).read_text())
    variables = template["variables"]["properties"]
    given = {key: value.get("default") for key, value in variables.items()}
    given |= {
        "command": ["prefect", "flow-run", "execute"],
        "name": "quick-otter",
        "labels": {"prefect.io/flow-run-name": "quick-otter"},
        "annotations": {},
        "env": [{"name": "PREFECT__FLOW_RUN_ID", "value": "x"}],
    }

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [filled(one) for one in value]
        if isinstance(value, str):
            whole = re.fullmatch(r"{{ (\w+) }}", value)
            if whole:
                return given[whole[1]]
            return re.sub(r"{{ (\w+) }}", lambda found: str(given[found[1]]), value)
        return value

    job: dict[str, Any] = filled(template["job_configuration"]["job_manifest"])
    return job


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for one in objects():
        if one["kind"] in ("Deployment", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]
    for name in TEMPLATES:
        yield name, rendered(name)["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "manifest", objects(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}"
)
def test_a_manifest_follows_its_schema(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_job_of_a_template_follows_its_schema(name: str, version: str) -> None:
    kubernetes_validate.validate(rendered(name), version, strict=True)


def test_the_schemas_would_refuse_a_mistake() -> None:
    wrong = rendered(TEMPLATES[0])
    wrong["spec"]["template"]["spec"]["containers"][0]["imagine"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize(("name", "pod"), [*pods()], ids=[name for name, _ in pods()])
def test_a_pod_is_restricted_and_says_what_it_needs(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        allowed = container["securityContext"]
        assert not allowed["allowPrivilegeEscalation"]
        assert allowed["readOnlyRootFilesystem"]
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}
    if not name.startswith("worker"):
        assert pod.get("automountServiceAccountToken") is False


def test_only_the_gpu_template_asks_for_a_gpu() -> None:
    cpu, gpu = (rendered(name)["spec"]["template"]["spec"] for name in TEMPLATES)
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu["nodeSelector"] and gpu["tolerations"]
    assert "nvidia.com/gpu" not in cpu["containers"][0]["resources"]["limits"]
    assert "nodeSelector" not in cpu


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_a_variable_for_every_place_it_fills(name: str) -> None:
    template = json.loads((FOLDER / name).read_text())
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used <= set(template["variables"]["properties"])


def test_every_name_that_is_referred_to_exists() -> None:
    found = {(one["kind"], one["metadata"]["name"]) for one in objects()}
    found |= {("ConfigMap", one["name"]) for one in KUSTOMIZATION["configMapGenerator"]}
    for name, pod in pods():
        for container in pod["containers"]:
            for source in container.get("envFrom", []):
                for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                    if key in source:
                        assert (kind, source[key]["name"]) in found, (name, source)
        for volume in pod.get("volumes", []):
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in found, (name, volume)
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in found
        account = pod.get("serviceAccountName")
        assert account is None or ("ServiceAccount", account) in found


def test_example_secrets_are_examples() -> None:
    text = (FOLDER / "secrets.example.yaml").read_text()
    assert text.count("change-me") == 6
    assert "secrets.example.yaml" not in KUSTOMIZATION["resources"]
