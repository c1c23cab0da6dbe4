"""Policy: whatever breaks, the store stays as it was, and the error has a name.

A process killed in the middle, a full disk, a missing permission, damaged bytes, a server that
refuses or never answers.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from services.record_samples import START, tiny_month, tiny_template

from storage.carbon_ecs import (
    CarbonEcs,
    ConcurrentWriteError,
    Patience,
    RecordTemplate,
    StoreUnavailableError,
)
from storage.flux_month import FluxMonth, Quality
from storage.grid import Grid

TESTS = Path(__file__).parents[1]
QUICK = Patience(timeout_s=1.0, attempts=1)


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own that can import the samples."""
    paths = [str(TESTS), str(TESTS.parent)]
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


COMMIT_AND_DIE = """
import os, signal, sys
import icechunk
from services.record_samples import tiny_month
from storage.carbon_ecs import CarbonEcs

def die(*arguments, **options):
    print("chunks are written", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

record = CarbonEcs.open(sys.argv[1])
icechunk.Session.commit = die
record.commit_month(tiny_month(int(sys.argv[2]), seed=500))
"""


@pytest.mark.parametrize("index", [1, 2])
def test_a_writer_killed_before_its_commit_leaves_nothing_visible(
    store_url: str, index: int
) -> None:
    record = CarbonEcs.create(store_url, tiny_template())
    for before in range(2):
        record.commit_month(tiny_month(before))
    history = record.history()
    died = run_python(COMMIT_AND_DIE, store_url, str(index))
    assert died.returncode == -signal.SIGKILL
    assert "chunks are written" in died.stdout

    reopened = CarbonEcs.open(store_url)
    assert reopened.history() == history
    assert reopened.last_month == START + 1
    old = record.read_month(START + 1)
    assert reopened.read_month(START + 1).content_hash() == old.content_hash()
    redone = reopened.commit_month(tiny_month(index, seed=500))
    assert redone.changed
    assert CarbonEcs.open(store_url).last_month == START + max(1, index)


def test_an_interrupted_creation_is_taken_up_again(tmp_path: Path) -> None:
    import icechunk

    url = str(tmp_path / "record")
    icechunk.Repository.create(icechunk.local_filesystem_storage(url))
    assert not CarbonEcs.exists(url)
    assert CarbonEcs.open_or_create(url, tiny_template()).commit_month(tiny_month()).changed


@pytest.mark.parametrize("free_kb", [0, 4, 8, 12, 16, 24])
def test_a_full_disk_leaves_the_record_as_it_was(small_disk: Path, free_kb: int) -> None:
    record = CarbonEcs.create(str(small_disk / "record"), tiny_template())
    record.commit_month(tiny_month(0))
    history = record.history()
    ballast = small_disk / "ballast"
    state = os.statvfs(small_disk)
    ballast.write_bytes(b"x" * (state.f_bavail * state.f_frsize - free_kb * 1024))

    with pytest.raises(StoreUnavailableError, match=r"No space left.*Free space"):
        record.commit_month(tiny_month(1))
    assert CarbonEcs.open(record.url).history() == history
    ballast.unlink()
    assert CarbonEcs.open(record.url).commit_month(tiny_month(1)).changed


LIMITED = """
import resource, signal, sys
from services.record_samples import tiny_month
from storage.carbon_ecs import CarbonEcs, StoreUnavailableError

record = CarbonEcs.open(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
try:
    record.commit_month(tiny_month(1))
except StoreUnavailableError as error:
    sys.exit(f"refused: {error}")
"""


def test_a_file_that_cannot_grow_leaves_the_record_as_it_was(tmp_path: Path) -> None:
    record = CarbonEcs.create(str(tmp_path / "record"), tiny_template())
    record.commit_month(tiny_month(0))
    history = record.history()
    ended = run_python(LIMITED, record.url)
    assert "refused: The store at" in ended.stderr
    assert "File too large" in ended.stderr
    assert CarbonEcs.open(record.url).history() == history


FORBIDDEN = """
import os, sys
import numpy, services.record_samples as samples
from storage.carbon_ecs import CarbonEcs, StoreUnavailableError
import storage.month_checks, numcodecs

if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    CarbonEcs.open(sys.argv[1]).commit_month(samples.tiny_month(1))
except StoreUnavailableError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_store_without_permission_is_named(mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        record = CarbonEcs.create(f"{folder}/record", tiny_template())
        record.commit_month(tiny_month(0))
        history = record.history()
        kept = [(path, path.stat().st_mode) for path in Path(folder).rglob("*") if path.is_dir()]
        for path, _ in reversed(kept):
            path.chmod(mode)
        Path(folder).chmod(0o555)
        try:
            ended = run_python(FORBIDDEN, record.url)
        finally:
            Path(folder).chmod(0o755)
            for path, before in kept:
                path.chmod(before)
        assert "refused: The store at" in ended.stderr
        assert "ermission denied" in ended.stderr
        assert CarbonEcs.open(record.url).history() == history


@pytest.mark.parametrize("part", ["refs", "snapshots", "manifests", "chunks"])
def test_damaged_bytes_are_named(tmp_path: Path, part: str) -> None:
    # Larger than the chunks that Icechunk keeps inside its manifests.
    grid = Grid("larger", south=25, west=120, step=0.1, n_lat=50, n_lon=40)
    rng = np.random.default_rng(0)
    month = FluxMonth(
        START,
        grid,
        rng.normal(-5, 2, grid.shape).astype(np.float32),
        np.full(grid.shape, Quality.OBSERVED, dtype=np.uint8),
        rng.uniform(0.1, 1, grid.shape).astype(np.float32),
        tiny_month().source,
    )
    template = RecordTemplate(grid, np.ones(grid.shape, dtype=bool))
    record = CarbonEcs.create(str(tmp_path / "record"), template)
    record.commit_month(month)
    damaged = [path for path in (tmp_path / "record" / part).rglob("*") if path.is_file()]
    assert damaged
    for file in damaged:
        file.write_bytes(b"garbage" * 20)
    with pytest.raises(StoreUnavailableError, match="What to do"):
        CarbonEcs.open(record.url).read_month(START)


def test_a_lock_that_is_not_released_ends_the_wait_with_a_name(tmp_path: Path) -> None:
    from filelock import FileLock

    record = CarbonEcs.create(str(tmp_path / "record"), tiny_template(), QUICK)
    with FileLock(tmp_path / "record.lock"), pytest.raises(ConcurrentWriteError, match="is held"):
        record_in_a_hurry = CarbonEcs.open(record.url, patience=QUICK)
        record_in_a_hurry.commit_month(tiny_month(0))
    assert CarbonEcs.open(record.url).last_month is None


def test_wrong_keys_are_named_and_not_shown(s3_url: str, monkeypatch) -> None:
    CarbonEcs.create(s3_url, tiny_template())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "not-the-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(StoreUnavailableError, match="AWS_SECRET_ACCESS_KEY") as error:
        CarbonEcs.open(s3_url, patience=Patience(timeout_s=10, attempts=1))
    assert "not-the" not in str(error.value)


def test_a_missing_bucket_is_named(s3_url: str) -> None:
    with pytest.raises(StoreUnavailableError, match="bucket"):
        CarbonEcs.create("s3://no-such-bucket/record", tiny_template(), QUICK)


@pytest.mark.parametrize("listening", [True, False])
def test_a_server_that_never_answers_does_not_hang_us(monkeypatch, listening: bool) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen(8)
        port = server.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-id-of-nobody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
        begun = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            CarbonEcs.open("s3://bucket/record", patience=Patience(timeout_s=1.0, attempts=2))
        assert time.monotonic() - begun < 60  # a hang, not slowness, is what this is about
