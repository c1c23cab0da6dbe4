"""What compose.yaml starts, started: server, setup, worker and exporter, with their secrets."""

import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from services.composed import DEPLOY, Composed, compose
from services.postgres import PostgresServer, create_server, destroy
from services.s3 import S3Server

pytestmark = pytest.mark.xdist_group("composed")

FIRST, LAST = "2003-01", "2003-02"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server of its own: roles belong to a whole server."""
    server = create_server()
    yield server
    destroy(server)


@pytest.fixture(scope="module")
def composed(
    postgres: PostgresServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composed]:
    """The services with a Prefect server that runs."""
    made = compose(tmp_path_factory.mktemp("composed"), postgres, s3_server)
    with made.up("prefect-server") as running:
        made.wait_until_healthy("prefect-server", running)
        yield made


@pytest.fixture(scope="module")
def set_up(composed: Composed) -> str:
    """What the one-shot service says when it has run."""
    done = composed.run("setup")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def worker(composed: Composed, set_up: str) -> Iterator[Composed]:
    """The services with a worker that runs."""
    with composed.up("worker") as running:
        composed.wait_until_healthy("worker", running)
        yield composed


def answer(url: str, user: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url)
    if user:
        request.add_header("Authorization", f"Basic {b64encode(user.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=30) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_the_server_lets_nobody_in_without_the_password(composed: Composed) -> None:
    version = composed.environment("worker")["PREFECT_API_URL"] + "/admin/version"
    assert answer(version)[0] == 401
    assert answer(version, "admin:wrong")[0] == 401
    assert answer(version, composed.secret("prefect_auth"))[0] == 200


def test_the_web_page_is_served_from_a_place_that_is_written_to(composed: Composed) -> None:
    environment = composed.environment("prefect-server")
    page = environment["TIDENET_HEALTH_URL"].removesuffix("/api/health")
    status, text = answer(page)
    assert status == 200 and "<title>" in text
    assert Path(environment["PREFECT_UI_STATIC_DIRECTORY"]).is_relative_to(composed.folder)
    assert any(Path(environment["PREFECT_UI_STATIC_DIRECTORY"]).rglob("index.html"))


def test_setup_makes_everything_once(composed: Composed, set_up: str) -> None:
    assert "bucket tidenet made" in set_up and "bucket tidenet-backup made" in set_up
    for made in ("work pool tidenet-cpu", "work pool tidenet-gpu", "deployment ingest-monthly"):
        assert f"created  {made}" in set_up
    again = composed.run("setup")
    assert again.returncode == 0, again.stderr
    for word in ("made", "created", "changed", "removed"):
        assert word not in again.stdout.replace("unchanged", ""), again.stdout


def test_the_worker_does_the_work(worker: Composed) -> None:
    folder = str(worker.folder / "files")
    written = worker.run("setup", "python", str(DEPLOY / "synthetic_files.py"), folder, FIRST, LAST)
    assert written.stdout == f"2 files written to {folder}.\n", written.stderr
    put = ("python", str(DEPLOY / "put_files.py"), folder, "tidenet/landing")
    assert worker.run("setup", *put).stdout == "2 files copied, 0 were there.\n"
    assert worker.run("setup", *put).stdout == "0 files copied, 2 were there.\n"
    start = ("prefect", "deployment", "run", "ingest-monthly/ingest-monthly", "--watch")
    ingested = worker.run("setup", *start)
    assert ingested.returncode == 0, ingested.stdout + worker.log("worker").read_text()
    status = worker.run("setup", "tidenet", "status")
    assert f"{FIRST} to {LAST}, 2 months" in status.stdout, status.stdout + status.stderr


def test_the_exporter_shows_what_is_there(worker: Composed) -> None:
    with worker.up("metrics") as running:
        worker.wait_until_healthy("metrics", running)
        status, text = answer(worker.environment("metrics")["TIDENET_HEALTH_URL"])
    assert status == 200 and "tidenet_archive_up 1.0" in text
    assert not worker.is_healthy("metrics")


def test_a_backup_goes_to_its_bucket(worker: Composed) -> None:
    done = worker.run("setup", "tidenet", "backup")
    assert done.returncode == 0, done.stdout + done.stderr
    listed = worker.run("setup", "tidenet", "restore", "--list")
    assert listed.returncode == 0 and listed.stdout.strip(), listed.stderr
    assert not list(Path(worker.environment("setup")["TIDENET_HOME"]).glob("backups*"))


def test_no_secret_is_in_a_log(worker: Composed) -> None:
    logs = [worker.log(name).read_text() for name in ("prefect-server", "worker", "metrics")]
    assert all(logs)
    for name in ("tidenet_password", "prefect_auth", "s3_secret_key"):
        assert not any(worker.secret(name) in log for log in logs)
