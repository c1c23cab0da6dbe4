"""A real S3 server for the tests, on loopback, in a temporary folder, with keys made up for it.

Ceph's gateway (Debian: ``apt-get install --no-install-recommends ceph-mon ceph-osd radosgw``) keeps
objects as a production server does, with conditional writes. Where its programs are missing, moto's
server stands in, and the header of the test run says so.

All workers of a test run share one server. A keeper process starts it, watches the processes that
use it, and stops it when none of them lives any more, however they ended.

``python tests/services/s3.py`` starts one for a person and prints the environment to use it with.
"""

import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

CEPH_PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "ceph-authtool", "monmaptool")
START_LIMIT_S = 180.0
BUCKET = "tidenet-tests"


@dataclass(frozen=True)
class S3Server:
    """How to reach the server."""

    kind: str
    endpoint: str
    access_key: str
    secret_key: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point every S3 client of this project at the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


class ServerDidNotStartError(RuntimeError):
    """The S3 server did not answer in time; the message ends with its logs."""


def ceph_is_installed() -> bool:
    return all(shutil.which(program) for program in CEPH_PROGRAMS)


def pytest_report_header() -> str:
    if ceph_is_installed():
        return "S3 server: Ceph RGW"
    return "S3 server: moto (a stand-in; install ceph-mon ceph-osd radosgw for a real one)"


# --- fixtures ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running S3 server with an empty bucket."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with shared_server(shared) as server:
        yield server


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh ``s3://`` URL, with the environment set so that it can be reached."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return f"s3://{s3_server.bucket}/{uuid.uuid4().hex}"


@pytest.fixture(params=["folder", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh place to keep things, once as a local folder and once on S3."""
    if request.param == "folder":
        return str(tmp_path / "store")
    return str(request.getfixturevalue("s3_url"))


@contextlib.contextmanager
def shared_server(folder: Path) -> Iterator[S3Server]:
    """Join the server of this test run, starting it if this process is the first to need it."""
    with FileLock(folder / "s3.lock", timeout=START_LIMIT_S + 60):
        home = _running_home(folder) or _start_keeper(folder)
        ticket = home / "clients" / str(os.getpid())
        ticket.touch()
        server = S3Server(**json.loads((home / "server.json").read_text()))
    try:
        yield server
    finally:
        ticket.unlink(missing_ok=True)


def _running_home(folder: Path) -> Path | None:
    pointer = folder / "s3-home.txt"
    if not pointer.exists():
        return None
    home = Path(pointer.read_text())
    return home if (home / "server.json").exists() else None


def _start_keeper(folder: Path) -> Path:
    # Ceph's sockets need a short path, so its home is not below pytest's own folder.
    home = Path(tempfile.mkdtemp(prefix="s3-"))
    (home / "clients").mkdir()
    (home / "clients" / str(os.getpid())).touch()
    with (home / "keeper.log").open("w") as log:
        keeper = subprocess.Popen(
            [sys.executable, __file__, "keep", str(home), str(folder / "s3.lock")],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_LIMIT_S
    while not (home / "server.json").exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            message = f"The S3 server in {home} did not start.\n{(home / 'keeper.log').read_text()}"
            with contextlib.suppress(ProcessLookupError):
                keeper.terminate()
            raise ServerDidNotStartError(message)
        time.sleep(0.1)
    (folder / "s3-home.txt").write_text(str(home))
    return home


# --- the keeper -------------------------------------------------------------------------------


def keep(home: Path, lock: Path) -> None:
    """Run the server until the last of its clients is gone, then remove its folder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        start = _start_ceph if ceph_is_installed() else _start_moto
        server = start(home, processes)
        _create_bucket(server)
        ready = home / "server.json.new"
        ready.write_text(json.dumps(asdict(server)))
        ready.rename(home / "server.json")
        while not _closed(home, lock):
            time.sleep(0.5)
    except Exception:
        for log in sorted(home.glob("log/*")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}")
        raise
    else:
        _stop(processes)
        shutil.rmtree(home, ignore_errors=True)
    finally:
        _stop(processes)


def _closed(home: Path, lock: Path) -> bool:
    """Close the server to newcomers if nobody uses it."""
    if _has_clients(home / "clients"):
        return False
    if not lock.parent.exists():
        return True
    try:
        with FileLock(lock, timeout=0):
            # A process that came in the meantime holds the lock or has left its ticket.
            if _has_clients(home / "clients"):
                return False
            (home / "server.json").unlink()
            return True
    except Timeout:
        return False


def _has_clients(folder: Path) -> bool:
    for ticket in folder.iterdir():
        try:
            os.kill(int(ticket.name), 0)
        except ProcessLookupError:
            ticket.unlink(missing_ok=True)
        else:
            return True
    return False


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.terminate()
    deadline = time.monotonic() + 5
    for process in reversed(processes):
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    processes.clear()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_answering(endpoint: str, process: subprocess.Popen[bytes], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerDidNotStartError(f"The server ended with status {process.returncode}.")
        try:
            urllib.request.urlopen(endpoint, timeout=2)
        except urllib.error.HTTPError:
            return  # it answers, if only to refuse us
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise ServerDidNotStartError(f"{endpoint} did not answer within {limit_s:.0f} s.")


def _create_bucket(server: S3Server) -> None:
    import botocore.config
    import botocore.session

    client = botocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=botocore.config.Config(
            connect_timeout=5, read_timeout=60, retries={"max_attempts": 5}
        ),
    )
    client.create_bucket(Bucket=server.bucket)


def _new_keys() -> tuple[str, str]:
    return secrets.token_hex(10), secrets.token_hex(20)


def _start_moto(home: Path, processes: list[subprocess.Popen[bytes]]) -> S3Server:
    port = _free_port()
    (home / "log").mkdir()
    with (home / "log" / "moto.log").open("w") as log:
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        )
    endpoint = f"http://127.0.0.1:{port}"
    _wait_until_answering(endpoint, processes[-1], limit_s=30)
    return S3Server("moto", endpoint, *_new_keys(), BUCKET)


# --- Ceph -------------------------------------------------------------------------------------

CEPH_CONF = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_port}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {home}/$name.keyring
run dir = {home}
admin socket = {home}/$name.asok
pid file =
log file = {home}/log/$name.log
log to stderr = false
err to stderr = true
mon data = {home}/mon
mon data avail crit = 1
mon data avail warn = 2
mon allow pool size one = true
mon max pg per osd = 1000
mon cluster log file = {home}/log/cluster.log
osd data = {home}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class load list = *
osd class default list = *
ms bind port min = {port_min}
ms bind port max = {port_max}
rgw frontends = beast endpoint=127.0.0.1:{rgw_port} tcp_nodelay=1
rgw data = {home}/rgw
rgw zone root pool = .rgw.root
rgw enable usage log = false
rgw enable ops log = false
rgw dns name = localhost
"""


def _start_ceph(home: Path, processes: list[subprocess.Popen[bytes]]) -> S3Server:
    """Start one monitor, one object daemon in memory and one S3 gateway."""
    for name in ("mon", "osd", "rgw", "log"):
        (home / name).mkdir()
    osd_id, fsid = str(uuid.uuid4()), str(uuid.uuid4())
    mon_port, rgw_port = _free_port(), _free_port()
    port_min = random.randrange(10_000, 30_000)
    conf = home / "ceph.conf"
    conf.write_text(
        CEPH_CONF.format(
            home=home,
            fsid=fsid,
            mon_port=mon_port,
            rgw_port=rgw_port,
            port_min=port_min,
            port_max=port_min + 200,
        )
    )
    _make_keyrings(home)

    def run(*command: str) -> None:
        with (home / "log" / "setup.log").open("a") as log:
            subprocess.run(command, check=True, timeout=60, stdout=log, stderr=log)

    def launch(*command: str) -> subprocess.Popen[bytes]:
        with (home / "log" / f"{command[0]}.err").open("w") as log:
            processes.append(subprocess.Popen([*command, "-f"], stdout=log, stderr=log))
        return processes[-1]

    common = ("-c", str(conf))
    ceph = ("ceph", *common, "--connect-timeout", "30")
    monmap, keyring = str(home / "monmap"), str(home / "mon.a.keyring")
    address = f"[v2:127.0.0.1:{mon_port}]"
    run("monmaptool", "--create", "--addv", "a", address, "--fsid", fsid, monmap)
    run("ceph-mon", *common, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
    launch("ceph-mon", *common, "-i", "a")
    run(*ceph, "osd", "new", osd_id)
    run("ceph-osd", *common, "-i", "0", "--mkfs", "--osd-uuid", osd_id, "--no-mon-config")
    run(*ceph, "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
    launch("ceph-osd", *common, "-i", "0")
    gateway = launch("radosgw", *common, "-n", "client.rgw")
    endpoint = f"http://127.0.0.1:{rgw_port}"
    _wait_until_answering(endpoint, gateway, limit_s=120)
    access, secret = _new_keys()
    admin = ("radosgw-admin", *common, "user", "create", "--uid=tests", "--display-name=tests")
    run(*admin, f"--access-key={access}", f"--secret-key={secret}")
    return S3Server("ceph", endpoint, access, secret, BUCKET)


def _make_keyrings(home: Path) -> None:
    capabilities = {
        "mon.": ("mon.a", ["mon", "allow *"]),
        "client.admin": ("client.admin", ["mon", "allow *", "osd", "allow *", "mgr", "allow *"]),
        "osd.0": ("osd.0", ["mon", "allow profile osd", "osd", "allow *"]),
        "client.rgw": ("client.rgw", ["mon", "allow rw", "osd", "allow rwx"]),
    }
    everything = home / "mon.a.keyring"
    for name, (file, pairs) in capabilities.items():
        keyring = home / f"{file}.keyring"
        granted = [
            part for i in range(0, len(pairs), 2) for part in ("--cap", pairs[i], pairs[i + 1])
        ]
        make = ["ceph-authtool", "--create-keyring", str(keyring), "--gen-key", "-n", name]
        subprocess.run([*make, *granted], check=True, timeout=30, stdout=subprocess.DEVNULL)
        if keyring != everything:
            merge = ["ceph-authtool", str(everything), "--import-keyring", str(keyring)]
            subprocess.run(merge, check=True, timeout=30, stdout=subprocess.DEVNULL)


def main() -> None:
    """Run a server for a person, until Ctrl-C."""
    with tempfile.TemporaryDirectory() as folder, shared_server(Path(folder)) as server:
        print(f"# {server.kind}, bucket {server.bucket}; Ctrl-C ends it")
        for name, value in server.environment.items():
            print(f"export {name}={value}")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    if sys.argv[1:2] == ["keep"]:
        keep(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
