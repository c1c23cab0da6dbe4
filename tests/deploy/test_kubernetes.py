"""Manifests and base job templates, held against the schemas of Kubernetes and Prefect's worker."""

import asyncio
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import kubernetes_validate
import pytest
import yaml
from prefect.client.schemas.objects import FlowRun
from prefect_kubernetes.settings import KubernetesSettings
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

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


MANIFESTS = {f"{one['kind']}-{one['metadata']['name']}": one for one in objects()}
WITH_PODS = [name for name in MANIFESTS if name.startswith(("Deployment-", "Job-"))]


@cache
def rendered(name: str) -> dict[str, Any]:
    """Return the job that Prefect's worker makes of a template with its defaults."""
    template = json.loads((FOLDER / name).read_text())
    nobody = object()  # a template that refers to no block asks no server
    make = KubernetesWorkerJobConfiguration.from_template_and_values
    made = asyncio.run(make(template, {}, client=nobody))
    made.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="Quick Otter"))
    return made.job_manifest


def pod(name: str) -> dict[str, Any]:
    manifest = rendered(name) if name in TEMPLATES else MANIFESTS[name]
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return found


def secret_keys(container: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield secret, key and whether it may be missing, of each secret that a container is given."""
    for variable in container.get("env", []):
        found = variable.get("valueFrom", {}).get("secretKeyRef")
        if found is not None:
            yield found["name"], found["key"], found.get("optional", False)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_follows_its_schema(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_job_of_a_template_follows_its_schema(name: str, version: str) -> None:
    kubernetes_validate.validate(rendered(name), version, strict=True)


def test_the_schemas_would_refuse_a_mistake() -> None:
    wrong = json.loads(json.dumps(rendered(TEMPLATES[0])))
    wrong["spec"]["template"]["spec"]["containers"][0]["imagine"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("name", [*WITH_PODS, *TEMPLATES])
def test_a_pod_is_restricted_and_says_what_it_needs(name: str) -> None:
    found = pod(name)
    assert found["securityContext"]["runAsNonRoot"]
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in found["containers"]:
        allowed = container["securityContext"]
        assert not allowed["allowPrivilegeEscalation"]
        assert allowed["readOnlyRootFilesystem"]
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in found["volumes"]}
    if not name.startswith("Deployment-worker"):
        assert found.get("automountServiceAccountToken") is False


@pytest.mark.parametrize("name", [*WITH_PODS, *TEMPLATES])
def test_a_pod_has_the_folders_that_its_settings_name(name: str) -> None:
    [container] = pod(name)["containers"]
    if "tidenet" not in " ".join(container["args"]) and name not in TEMPLATES:
        return  # Prefect's own: they read no setting of tidenet
    if container["args"][:2] == ["prefect", "worker"]:
        return
    folder = MANIFESTS["ConfigMap-tidenet"]["data"]["TIDENET_PRODUCTS_FOLDER"]
    assert folder in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_only_the_gpu_template_asks_for_a_gpu() -> None:
    cpu, gpu = (pod(name) for name in TEMPLATES)
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu["nodeSelector"] and gpu["tolerations"]
    assert "nvidia.com/gpu" not in cpu["containers"][0]["resources"]["limits"]
    assert "nodeSelector" not in cpu


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_the_variables_of_prefects_own(name: str) -> None:
    ours = json.loads((FOLDER / name).read_text())
    own = KubernetesWorker.get_default_base_job_template()
    assert set(ours["variables"]["properties"]) == set(own["variables"]["properties"])
    assert set(ours["job_configuration"]) == set(own["job_configuration"])


# --- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*WITH_PODS, *TEMPLATES])
def test_a_pod_is_given_secrets_one_by_one_and_they_exist(name: str) -> None:
    [container] = pod(name)["containers"]
    assert not [source for source in container.get("envFrom", []) if "secretRef" in source]
    for secret, key, optional in secret_keys(container):
        assert optional or key in MANIFESTS[f"Secret-{secret}"]["stringData"]
    if name.startswith("Deployment-worker"):
        assert {key for _, key, _ in secret_keys(container)} == {"PREFECT_API_AUTH_STRING"}


def test_the_servers_password_is_not_written_into_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in MANIFESTS["ConfigMap-tidenet"]["data"].items():
        monkeypatch.setenv(name, value)
    settings = KubernetesSettings()
    secret = MANIFESTS[f"Secret-{settings.worker.api_auth_string_secret_name}"]["stringData"]
    assert settings.worker.api_auth_string_secret_key == "PREFECT_API_AUTH_STRING"
    assert "PREFECT_API_AUTH_STRING" in secret
    assert settings.observer.namespaces == {KUSTOMIZATION["namespace"]}


def test_example_secrets_are_examples() -> None:
    text = (FOLDER / "secrets.example.yaml").read_text()
    assert text.count("change-me") == 6
    assert "secrets.example.yaml" not in KUSTOMIZATION["resources"]


# --- names ----------------------------------------------------------------------------------------


def test_every_name_that_is_referred_to_exists() -> None:
    found = set(MANIFESTS) | {f"ConfigMap-{one['name']}" for one in generated()}
    for name in [*WITH_PODS, *TEMPLATES]:
        one = pod(name)
        for container in one["containers"]:
            for source in container.get("envFrom", []):
                assert f"ConfigMap-{source['configMapRef']['name']}" in found, (name, source)
        for volume in one.get("volumes", []):
            if "configMap" in volume:
                assert f"ConfigMap-{volume['configMap']['name']}" in found, (name, volume)
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert f"PersistentVolumeClaim-{claim}" in found
        account = one.get("serviceAccountName")
        assert account is None or f"ServiceAccount-{account}" in found


def generated() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = KUSTOMIZATION["configMapGenerator"]
    for one in made:
        for file in one["files"]:
            assert (FOLDER / file).exists(), file
    return made
