"""Copernicus Marine and NASA Earthdata: everything but the providers themselves.

The clients hand out real values of the real packages, whose links lead to a server on loopback.
What is passed to the packages is held against their signatures.
"""

import hashlib
import inspect
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services.http_files import HttpFiles, Trouble, serving

from ingest.errors import SourceUnavailableError
from ingest.sources.copernicus import CopernicusMarine
from ingest.sources.earthdata import Earthdata
from ingest.sources.errors import (
    MissingCredentialsError,
    ProviderError,
    ProviderNotInstalledError,
    WebPageInsteadOfDataError,
)
from ingest.sources.sections import CopernicusMarineSource, EarthdataSource
from ingest.specification import ProductSpecification
from storage.months import month

# earthaccess warns of its own next version when it builds a granule.
pytestmark = pytest.mark.filterwarnings("ignore:As of version 1.0:FutureWarning")

NAMES = ["FLUX_201801.nc", "FLUX_201802.nc"]
CONTENT = hashlib.shake_256(b"a month").digest(200_000)
HALF = 98_304

SPEC = ProductSpecification.model_validate(
    {
        "name": "small",
        "title": "A small product",
        "file_pattern": "FLUX_{year}{month}.nc",
        "grid": {"name": "g", "south": 25, "west": 120, "step": 0.5, "n_lat": 16, "n_lon": 14},
        "quantities": {"fco2": {"names": ["fco2"], "positive": "up", "uncertainty": 1.5}},
    }
)
COPERNICUS = {
    "COPERNICUSMARINE_SERVICE_USERNAME": "me",
    "COPERNICUSMARINE_SERVICE_PASSWORD": "hunter2",
}
EARTHDATA = {"EARTHDATA_TOKEN": "hunter2"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpFiles]:
    folder = tmp_path / "served"
    folder.mkdir()
    for name in (*NAMES, "README.txt"):
        (folder / name).write_bytes(CONTENT)
    with serving(folder) as files:
        yield files


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


class Stuck:
    """A client that answers nothing, or an error that repeats the password."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.n_calls = 0

    def get(self, **_: Any) -> None:
        self.n_calls += 1
        if self.error is not None:
            raise self.error
        threading.Event().wait(20)

    def search_data(self, count: int = -1, **_: Any) -> None:
        self.get()

    def login(self, strategy: str) -> None:
        self.get()


# --- Copernicus Marine --------------------------------------------------------------------------


class Copernicus:
    """Lists the files of a server, as ``copernicusmarine.get(dry_run=True)`` does."""

    def __init__(self, server: HttpFiles) -> None:
        self.server = server
        self.arguments: dict[str, Any] = {}

    def get(self, **arguments: Any) -> Any:
        from copernicusmarine.core_functions import (  # type: ignore[import-untyped]
            models,
        )

        self.arguments = arguments
        files = [
            models.FileGet(
                s3_url=f"s3://bucket/native/{path.name}",
                https_url=f"{self.server.url}{path.name}",
                file_size=path.stat().st_size / 1024**2,
                last_modified_datetime="2026-11-01T00:00:00+00:00",
                etag=self.server.etag(path.name),
                file_format=path.suffix,
                output_directory=Path(),
                filename=path.name,
                file_path=Path(path.name),
                file_status=models.FileStatus.DOWNLOADED,
            )
            for path in self.server.folder.iterdir()
        ]
        return models.ResponseGet(
            files=files,
            files_deleted=None,
            files_not_found=None,
            number_of_files_to_download=len(files),
            total_size=None,
            status=models.StatusCode.DRY_RUN,
            message=models.StatusMessage.DRY_RUN,
        )


def copernicus(kept: Path, client: Any, environment: Any = COPERNICUS, **more: Any) -> Any:
    source = CopernicusMarineSource(
        kind="copernicus-marine", dataset_id="cmems_obs", version=None, filter="*FLUX*"
    )
    return CopernicusMarine(source, SPEC, kept, client=client, environment=environment, **more)


def test_a_copernicus_dataset_is_listed_and_its_files_come_once(
    server: HttpFiles, kept: Path
) -> None:
    listing = copernicus(kept, Copernicus(server)).list()
    assert [file.file_name for file in listing.files] == NAMES
    assert listing.unmatched == ("README.txt",)
    first = listing.files[0]
    assert (first.month, first.size_bytes) == (month("2018-01"), len(CONTENT))
    server.troubles.append(Trouble(cut_after=HALF))
    for _ in range(2):
        fetched = copernicus(kept, Copernicus(server)).fetch(first)
        assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert server.bytes_sent == len(CONTENT)


def test_a_file_that_copernicus_revised_is_listed_as_another(server: HttpFiles, kept: Path) -> None:
    before = copernicus(kept, Copernicus(server)).list().files[0]
    (server.folder / NAMES[0]).write_bytes(CONTENT[::-1])
    after = copernicus(kept, Copernicus(server)).list().files[0]
    assert before.validator != after.validator
    copernicus(kept, Copernicus(server)).fetch(before)
    assert copernicus(kept, Copernicus(server)).fetch(after).path.read_bytes() == CONTENT[::-1]


def test_copernicusmarine_takes_what_is_passed_and_downloads_nothing_itself(
    server: HttpFiles, kept: Path
) -> None:
    import copernicusmarine  # type: ignore[import-untyped]

    client = Copernicus(server)
    copernicus(kept, client).list()
    bound = inspect.signature(copernicusmarine.get).bind(**client.arguments)
    assert bound.arguments["dry_run"] is True
    assert bound.arguments["filter"] == "*FLUX*"
    assert (bound.arguments["username"], bound.arguments["password"]) == ("me", "hunter2")


def test_an_answer_that_never_came_is_not_an_empty_listing(kept: Path) -> None:
    class Aborted:
        def get(self, **_: Any) -> None:
            """Return nothing, as the package does when it gives up asking for a password."""

    with pytest.raises(ProviderError, match="cmems_obs"):
        copernicus(kept, Aborted()).list()


# --- NASA Earthdata -----------------------------------------------------------------------------


class Nasa:
    """Finds the files of a server, as ``earthaccess`` does, and logs in as it does."""

    def __init__(self, server: HttpFiles, algorithm: str = "MD5") -> None:
        self.server = server
        self.algorithm = algorithm
        self.arguments: dict[str, Any] = {}
        self.strategies: list[str] = []

    def login(self, strategy: str) -> Any:
        from earthaccess.auth import Auth

        self.strategies.append(strategy)
        return Auth().login(strategy=strategy)

    def search_data(self, count: int = -1, **arguments: Any) -> Any:
        self.arguments = arguments
        return [self.granule(path) for path in sorted(self.server.folder.iterdir())]

    def granule(self, path: Path) -> Any:
        from earthaccess.results import DataGranule

        stated = {
            "Name": path.name,
            "SizeInBytes": path.stat().st_size,
            "Checksum": {
                "Value": hashlib.md5(path.read_bytes()).hexdigest().upper(),
                "Algorithm": self.algorithm,
            },
        }
        links = [
            {"Type": "GET DATA", "URL": f"{self.server.url}{path.name}"},
            {"Type": "GET DATA VIA DIRECT ACCESS", "URL": f"s3://bucket/{path.name}"},
            {"Type": "VIEW RELATED INFORMATION", "URL": "https://example.invalid/about"},
        ]
        return DataGranule(
            {
                "meta": {"concept-id": f"G-{path.name}", "revision-id": 3},
                "umm": {
                    "GranuleUR": path.name,
                    "RelatedUrls": links,
                    "DataGranule": {"ArchiveAndDistributionInformation": [stated]},
                },
            }
        )


@pytest.fixture
def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token in the environment of the process, where earthaccess looks for it."""
    monkeypatch.setenv("EARTHDATA_TOKEN", "hunter2")
    monkeypatch.setenv("NETRC", os.devnull)


def earthdata(kept: Path, client: Any, environment: Any = EARTHDATA, **more: Any) -> Any:
    source = EarthdataSource(
        kind="earthdata", short_name="CHL", version="2022", granule_name="*MO*"
    )
    return Earthdata(source, SPEC, kept, client=client, environment=environment, **more)


def test_an_earthdata_collection_is_listed_and_its_files_come_once(
    server: HttpFiles, kept: Path, logged_in: None
) -> None:
    server.password = "Bearer hunter2"
    listing = earthdata(kept, Nasa(server)).list()
    assert [file.file_name for file in listing.files] == NAMES
    assert listing.unmatched == ("README.txt",)
    first = listing.files[0]
    assert first.checksum == f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert (first.month, first.size_bytes) == (month("2018-01"), len(CONTENT))
    server.troubles.append(Trouble(cut_after=HALF))
    clients = [Nasa(server), Nasa(server)]
    for client in clients:
        fetched = earthdata(kept, client).fetch(first)
        assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert server.bytes_sent == len(CONTENT)
    assert [client.strategies for client in clients] == [["environment"], []]


def test_a_granule_without_a_known_checksum_is_recognised_by_its_revision(
    server: HttpFiles, kept: Path
) -> None:
    file = earthdata(kept, Nasa(server, algorithm="Adler-32")).list().files[0]
    assert (file.checksum, file.validator) == ("", f"G-{NAMES[0]} 3")


def test_the_token_stays_with_nasa_when_the_data_lie_elsewhere(
    server: HttpFiles, kept: Path, logged_in: None
) -> None:
    with serving(server.folder) as cloud:
        server.elsewhere = cloud.url.replace("127.0.0.1", "localhost")
        source = earthdata(kept, Nasa(server))
        assert source.fetch(source.list().files[0]).path.read_bytes() == CONTENT
        assert server.asked[0].headers["Authorization"] == "Bearer hunter2"
        assert "Authorization" not in cloud.asked[0].headers


def test_nasas_login_page_is_not_saved_as_data(
    server: HttpFiles, kept: Path, logged_in: None
) -> None:
    server.always = Trouble(login=True)
    source = earthdata(kept, Nasa(server))
    with pytest.raises(WebPageInsteadOfDataError, match="terms of the data set") as failure:
        source.fetch(source.list().files[0])
    assert "hush" not in str(failure.value)  # what the redirection carried along
    assert not list(kept.rglob("*.nc"))


def test_earthaccess_takes_what_is_passed(server: HttpFiles, kept: Path, logged_in: None) -> None:
    import earthaccess
    from earthaccess.auth import Auth
    from earthaccess.search import DataGranules

    client = Nasa(server)
    source = earthdata(kept, client)
    source.fetch(source.list().files[0])
    wanted = {"short_name": "CHL", "version": "2022", "granule_name": "*MO*"}
    assert client.arguments == wanted
    inspect.signature(earthaccess.search_data).bind(**client.arguments)
    DataGranules().parameters(**client.arguments)
    inspect.signature(earthaccess.login).bind(strategy=client.strategies[0])
    assert callable(Auth.get_session)


def test_an_account_that_is_not_let_in_is_named(server: HttpFiles, kept: Path) -> None:
    class Refused(Nasa):
        def login(self, strategy: str) -> Any:
            from earthaccess.auth import Auth

            return Auth()

    source = earthdata(kept, Refused(server))
    with pytest.raises(ProviderError, match="EARTHDATA_TOKEN"):
        source.fetch(source.list().files[0])
    assert server.asked == []


# --- both ---------------------------------------------------------------------------------------

both = pytest.mark.parametrize(
    ("source", "environment"), [(copernicus, COPERNICUS), (earthdata, EARTHDATA)]
)


@both
@pytest.mark.parametrize("given", [{}, {"EARTHDATA_USERNAME": "me"}])
def test_nobody_is_asked_without_credentials(
    kept: Path, source: Any, environment: dict[str, str], given: dict[str, str]
) -> None:
    client = Stuck()
    with pytest.raises(MissingCredentialsError, match=next(iter(environment))):
        source(kept, client, given).list()
    assert client.n_calls == 0


@both
def test_a_client_that_is_not_installed_is_named_with_what_to_install(
    kept: Path, source: Any, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("copernicusmarine", "earthaccess"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ProviderNotInstalledError, match=r"pip install 'tidenet\[(cop|earth)"):
        source(kept, None).list()


@both
def test_a_client_that_never_answers_is_left(
    kept: Path, source: Any, environment: dict[str, str]
) -> None:
    with pytest.raises(ProviderError, match=r"no answer within 0\.2 seconds"):
        source(kept, Stuck(), timeout_s=0.02).list()


@both
@pytest.mark.parametrize("error", [RuntimeError("bad password hunter2"), SystemExit("hunter2")])
def test_what_a_client_raises_is_named_without_the_password(
    kept: Path, source: Any, environment: dict[str, str], error: BaseException
) -> None:
    with pytest.raises(SourceUnavailableError) as failure:
        source(kept, Stuck(error)).list()
    assert type(error).__name__ in str(failure.value)
    assert "hunter2" not in str(failure.value)
