"""Images and compose file: what can be checked of them without a container engine."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
OWN = {name for name, one in COMPOSE["services"].items() if "build" in one}


def program(name: str) -> str:
    found = shutil.which(
        name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    assert found is not None, f"{name} is not installed: make test installs it"
    return found


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=120, check=False, **options
    )


# --- the image ------------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    done = run(program("hadolint"), "--failure-threshold", "style", str(DEPLOY / "Dockerfile"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_images_are_pinned_run_as_nobody_special_and_hold_no_build_tools() -> None:
    images = re.findall(r"^FROM (\S+)(?: AS (\S+))?", DOCKERFILE, re.MULTILINE)
    stages = {stage for _, stage in images}
    assert {"cpu", "cuda"} <= stages
    for image, _ in images:
        if image not in stages:
            assert re.search(r":\d+\.\d+\.\d+", image), image
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    final = DOCKERFILE[DOCKERFILE.index(" AS run") :]
    for tool in ("gcc", "build-essential", "pip install", "git"):
        assert tool not in final


def test_the_image_is_installed_as_by_hand_with_the_pins() -> None:
    assert DOCKERFILE.count("sh deploy/install.sh") == 2
    script = (DEPLOY / "install.sh").read_text()
    assert '-c "$checkout/constraints.txt"' in script
    extras = re.search(r"\[([a-z,]+)\]", script)
    assert extras is not None
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) <= set(known)


def test_everything_that_is_copied_exists_and_is_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored, source
    assert "deploy/secrets" in ignored


@pytest.mark.parametrize("script", sorted(DEPLOY.rglob("*.sh")), ids=lambda script: script.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    done = run(program("shellcheck"), str(script))
    assert done.returncode == 0, done.stdout


def test_every_place_names_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'image.version="{version}"' in DOCKERFILE
    images = {service["image"] for name, service in COMPOSE["services"].items() if name in OWN}
    assert images == {f"tidenet:{version}-cpu", f"tidenet:{version}-cuda"}
    kubernetes = DEPLOY / "kubernetes"
    assert f"newTag: {version}-cpu" in (kubernetes / "kustomization.yaml").read_text()
    for kind, file in (("cpu", "cpu-job-template.json"), ("cuda", "gpu-job-template.json")):
        assert f"tidenet:{version}-{kind}" in (kubernetes / file).read_text()


# --- secrets --------------------------------------------------------------------------------------


def test_secrets_reach_a_process_from_files(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://me:pass word'$HOME`id`\"@db/archive\n")
    environment = {"PATH": os.environ["PATH"], "TIDENET_DATABASE_FILE": str(tmp_path / "url")}
    show = "import os; print(repr(os.environ.get('TIDENET_DATABASE'))); print(sorted(os.environ))"
    done = run("sh", str(DEPLOY / "entrypoint.sh"), sys.executable, "-c", show, env=environment)
    assert done.returncode == 0, done.stderr
    value, names = done.stdout.splitlines()
    assert value == repr("postgresql://me:pass word'$HOME`id`\"@db/archive")
    assert "TIDENET_DATABASE_FILE" not in names


def test_files_that_libraries_read_themselves_are_left_to_them(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("renewed every hour")
    theirs = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "SSL_CERT_FILE": "/none"}
    environment = {"PATH": os.environ["PATH"], **theirs}
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    done = run("sh", str(DEPLOY / "entrypoint.sh"), sys.executable, "-c", show, env=environment)
    found = json.loads(done.stdout)
    assert {name: found[name] for name in theirs} == theirs
    assert "AWS_WEB_IDENTITY_TOKEN" not in found


def test_the_entry_script_knows_every_secret_of_the_compose_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    named = {
        variable
        for name in OWN
        for variable in COMPOSE["services"][name].get("environment", {})
        if variable.endswith("_FILE")
    }
    assert len(named) > 5
    environment = {"PATH": os.environ["PATH"]} | dict.fromkeys(named, str(tmp_path / "secret"))
    show = "import os; print(*os.environ)"
    done = run("sh", str(DEPLOY / "entrypoint.sh"), sys.executable, "-c", show, env=environment)
    found = set(done.stdout.split())
    assert {variable.removesuffix("_FILE") for variable in named} <= found
    assert not named & found


def test_a_secret_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID_FILE": str(tmp_path / "none")}
    done = run("sh", str(DEPLOY / "entrypoint.sh"), "true", env=environment)
    assert done.returncode == 1
    assert "AWS_ACCESS_KEY_ID should be in" in done.stderr


def test_secrets_are_made_once_and_fit_together(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    assert run("sh", str(tmp_path / "make-secrets.sh")).returncode == 0
    made = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert made["tidenet_password"] in made["archive_url"]
    assert made["tidenet_password"] in made["prefect_database_url"]
    [identity] = json.loads(made["s3.json"])["identities"]
    assert identity["credentials"] == [
        {"accessKey": made["s3_access_key"], "secretKey": made["s3_secret_key"]}
    ]
    assert len(made["postgres_password"]) == 48
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert run("sh", str(tmp_path / "make-secrets.sh")).returncode == 0
    assert {f.name: f.read_text() for f in (tmp_path / "secrets").iterdir()} == made


def test_git_ignores_the_secrets() -> None:
    done = run("git", "check-ignore", "deploy/secrets/archive_url", cwd=ROOT)
    assert done.returncode == 0


# --- the compose file -----------------------------------------------------------------------------


def test_the_compose_file_follows_its_schema() -> None:
    schema = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(COMPOSE)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({"services": {"one": {"imagine": "x"}}})


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_a_service_is_pinned_hardened_and_watched(name: str) -> None:
    service = COMPOSE["services"][name]
    assert re.search(r":v?\d+\.\d+", service["image"]), service["image"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("network_mode") != "host"
    assert not service.get("privileged")
    assert re.fullmatch(r"\d+:\d+", service["user"])
    assert not service["user"].startswith("0:")
    assert service["read_only"]
    assert "mem_limit" in service
    assert service["restart"] == ("on-failure:5" if name == "setup" else "unless-stopped")
    if name not in OWN:
        assert "healthcheck" in service
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_no_secret_stands_in_the_compose_file() -> None:
    for name, service in COMPOSE["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            secret = re.search(r"PASSWORD|SECRET|AUTH|DATABASE|ACCESS_KEY|WEBHOOK", variable)
            if secret and not variable.endswith("_FILE"):
                raise AssertionError(f"{name}: {variable}={value}")
            if variable.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"], (name, variable)
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("./secrets/")


def test_what_is_mounted_exists_and_what_is_named_is_declared() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), (name, source)
            else:
                assert source in COMPOSE["volumes"]
        for other in service.get("depends_on", {}):
            assert other in COMPOSE["services"]
        for secret in service.get("secrets", []):
            assert secret in COMPOSE["secrets"]


def test_the_database_is_healthy_only_when_others_reach_it() -> None:
    # While the image makes the databases, a server answers on its socket and then goes away.
    test = COMPOSE["services"]["postgres"]["healthcheck"]["test"]
    assert test[1:4] == ["pg_isready", "--host", "127.0.0.1"]


def test_the_store_writes_on_condition_though_two_write_at_once() -> None:
    version = re.search(r":(\d+)\.(\d+)$", COMPOSE["services"]["s3"]["image"])
    assert version is not None
    assert (int(version[1]), int(version[2])) >= (4, 18)


def test_monitoring_reaches_the_exporter_alone() -> None:
    reached = {
        name: set(service.get("networks", ["default"]))
        for name, service in COMPOSE["services"].items()
    }
    assert reached["prometheus"] == reached["grafana"] == {"monitoring"}
    assert {name for name, networks in reached.items() if "monitoring" in networks} == {
        "metrics",
        "prometheus",
        "grafana",
    }


def test_workers_take_from_the_pools_that_are_registered() -> None:
    from flows.deployment import CPU_POOL
    from flows.placement import GPU_POOL

    commands = {name: " ".join(COMPOSE["services"][name]["command"]) for name in OWN}
    assert f"--pool {CPU_POOL} --with-healthcheck" in commands["worker"]
    assert f"--pool {GPU_POOL} --with-healthcheck" in commands["gpu-worker"]
    assert COMPOSE["services"]["gpu-worker"]["profiles"] == ["gpu"]


def test_the_servers_major_version_is_that_of_the_clients_in_the_image() -> None:
    server = re.search(r"postgres:(\d+)", COMPOSE["services"]["postgres"]["image"])
    client = re.search(r"postgresql-client-(\d+)", DOCKERFILE)
    assert server is not None and client is not None
    assert server[1] == client[1]
