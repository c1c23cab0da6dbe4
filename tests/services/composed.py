"""The services of compose.yaml as processes: their own commands, variables and secrets.

What a container engine would give them is given here: the image's variables (from the Dockerfile),
the secrets' files, and real servers under the names that the compose file has for them.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from services.postgres import PostgresServer
from services.prefect import free_port, process
from services.s3 import S3Server

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
LIMIT_S = 600.0


def image_environment() -> dict[str, str]:
    """Return the variables that the Dockerfile sets in every image."""
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    [setting] = [line for line in lines if line.startswith("ENV PATH=")]
    return dict(re.findall(r"(\w+)=(\S+)", setting))


@dataclass(frozen=True)
class Composed:
    """What the services find around them.

    Parameters
    ----------
    folder
        Holds secrets, volumes and logs.
    places
        What stands in the compose file or the image, and what it is here: addresses, folders.
    """

    folder: Path
    places: dict[str, str]

    def environment(self, service: str) -> dict[str, str]:
        """Return a service's variables: the image's, and above them those of the compose file."""
        given = COMPOSE["services"][service].get("environment", {})
        return {name: self._here(value) for name, value in (image_environment() | given).items()}

    def command(self, service: str) -> list[str]:
        """Return a service's command."""
        return [self._here(part) for part in COMPOSE["services"][service]["command"]]

    def secret(self, name: str) -> str:
        """Return the content of a secret's file."""
        return (self.folder / "secrets" / name).read_text()

    def run(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Do what ``docker compose run SERVICE COMMAND`` does; without one, the service's own."""
        return subprocess.run(
            self._started(*(command or self.command(service))),
            env=self.environment(service),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    @contextmanager
    def up(self, service: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a service until the block ends."""
        arguments = self._started(*self.command(service))
        with process(arguments, self.environment(service), self.log(service), ROOT) as running:
            yield running

    def log(self, service: str) -> Path:
        """Return the file that a service's output goes to."""
        return self.folder / f"{service}.log"

    def is_healthy(self, service: str) -> bool:
        """Run the image's health check for a service."""
        return self.run(service, "python", str(DEPLOY / "healthcheck.py")).returncode == 0

    def wait_until_healthy(self, service: str, running: subprocess.Popen[bytes]) -> None:
        """Return once a service is healthy; fail with its log when it ends or never is."""
        deadline = time.monotonic() + LIMIT_S
        while not self.is_healthy(service):
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{service} is not healthy:\n{self.log(service).read_text()}")
            time.sleep(0.5)

    def _started(self, *command: str) -> list[str]:
        return ["sh", str(DEPLOY / "entrypoint.sh"), *command]

    def _here(self, value: str) -> str:
        value = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)
        there = "|".join(re.escape(place) for place in self.places)
        return re.sub(there, lambda found: self.places[found[0]], value)


def compose(folder: Path, postgres: PostgresServer, s3: S3Server) -> Composed:
    """Make secrets, volumes and databases, as ``make-secrets.sh`` and the first start do."""
    shutil.copy(DEPLOY / "make-secrets.sh", folder)
    subprocess.run(["sh", str(folder / "make-secrets.sh")], check=True, timeout=60)
    secrets = folder / "secrets"
    for name in ("archive_url", "prefect_database_url"):
        url = (secrets / name).read_text()
        (secrets / name).write_text(url.replace("postgres:5432", f"127.0.0.1:{postgres.port}"))
    (secrets / "s3_access_key").write_text(s3.access_key)
    (secrets / "s3_secret_key").write_text(s3.secret_key)
    volumes = {name: folder / name for name in ("home", "scratch", "tmp", "products")}
    for volume in volumes.values():
        volume.mkdir()
    _make_databases(postgres, secrets / "tidenet_password")
    server, worker, exporter = free_port(), free_port(), free_port()
    programs = f"{Path(sys.executable).parent}:{postgres.programs}:/usr/bin:/bin"
    return Composed(
        folder,
        {
            "/opt/venv/bin:$PATH": programs,
            "/run/secrets": str(secrets),
            "/var/lib/tidenet": str(volumes["home"]),
            "/var/tmp": str(volumes["scratch"]),
            "/tmp/": f"{volumes['tmp']}/",
            "/etc/tidenet/products": str(volumes["products"]),
            "http://s3:8333": s3.endpoint,
            "prefect-server": "127.0.0.1",
            "4200": str(server),
            "8080": str(worker),
            "9464": str(exporter),
            "0.0.0.0": "127.0.0.1",  # nobody else is to reach them
        },
    )


def _make_databases(postgres: PostgresServer, password: Path) -> None:
    """Run what the PostgreSQL image runs on an empty volume."""
    environment = {
        "PATH": f"{postgres.programs}:/usr/bin:/bin",
        "POSTGRES_USER": postgres.user,
        "OWNER_PASSWORD_FILE": str(password),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGPASSWORD": postgres.password,
    }
    script = DEPLOY / "compose" / "init-databases.sh"
    subprocess.run(["sh", str(script)], env=environment, check=True, timeout=60)
