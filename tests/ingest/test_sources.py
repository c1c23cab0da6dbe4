"""Landing zones: a folder, an HTTP listing, S3."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from services.product_files import specification

from ingest import sources
from ingest.errors import FileTooLargeError, SourceUnavailableError
from ingest.sources import fetch, list_files
from storage.locations import Location, Patience

SPEC = specification()
CONTENT = b"not really NetCDF"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    landing = tmp_path / "landing"
    (landing / "older").mkdir(parents=True)
    for name in ("FLUX_201802.nc", "FLUX_201801.nc", "README.txt", "FLUX_201803.nc.part"):
        (landing / name).write_bytes(CONTENT)
    return landing


class Unreliable(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; fails the first requests of each test."""

    failures = 0

    def do_GET(self) -> None:
        if type(self).failures > 0:
            type(self).failures -= 1
            self.send_error(503)
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def http_url(folder: Path) -> Iterator[str]:
    Unreliable.failures = 0
    handler = functools.partial(Unreliable, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_files_are_listed_by_month_and_others_are_named(folder: Path) -> None:
    listing = list_files(str(folder), SPEC)
    assert [file.file_name for file in listing.files] == ["FLUX_201801.nc", "FLUX_201802.nc"]
    assert listing.unmatched == ("FLUX_201803.nc.part", "README.txt")


def test_a_local_file_is_checksummed_where_it_lies(folder: Path, tmp_path: Path) -> None:
    fetched = fetch(list_files(str(folder), SPEC).files[0], tmp_path)
    assert fetched.path == folder / "FLUX_201801.nc"
    assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_an_http_listing_is_fetched_whole_in_spite_of_a_stumbling_server(
    http_url: str, tmp_path: Path
) -> None:
    Unreliable.failures = 1
    listing = list_files(http_url, SPEC)
    assert [file.file_name for file in listing.files] == ["FLUX_201801.nc", "FLUX_201802.nc"]
    Unreliable.failures = 1
    fetched = fetch(listing.files[0], tmp_path)
    assert fetched.path.read_bytes() == CONTENT
    assert list(tmp_path.glob("*.part")) == []


def test_a_server_that_stays_down_is_named_after_a_few_tries(http_url: str) -> None:
    Unreliable.failures = 1000
    with pytest.raises(SourceUnavailableError, match="TIDENET_LANDING"):
        list_files(http_url, SPEC, attempts=2)
    assert Unreliable.failures > 990


def test_an_s3_landing_zone_is_read_like_a_folder(
    s3_url: str, folder: Path, tmp_path: Path
) -> None:
    location = Location.parse(s3_url).joined("landing")
    location.filesystem(Patience()).put(str(folder / "FLUX_201801.nc"), f"{location.path}/")
    listing = list_files(location.url, SPEC)
    assert [file.url for file in listing.files] == [f"{location.url}/FLUX_201801.nc"]
    assert fetch(listing.files[0], tmp_path).path.read_bytes() == CONTENT


def test_a_landing_zone_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="nowhere"):
        list_files(str(tmp_path / "nowhere"), SPEC)
    with pytest.raises(SourceUnavailableError):
        list_files("gopher://host/landing", SPEC)


def test_a_file_larger_than_any_month_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LARGEST_FILE_BYTES", 10)
    with pytest.raises(FileTooLargeError):
        fetch(list_files(str(folder), SPEC).files[0], tmp_path)


def test_credentials_in_a_url_are_not_repeated() -> None:
    with pytest.raises(SourceUnavailableError) as failure:
        list_files("http://me:hunter2@127.0.0.1:9/", SPEC, attempts=1, timeout_s=2)
    assert "hunter2" not in str(failure.value)
