"""Landing zones: a folder, an HTTP listing, S3, and anything else that fsspec reaches."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from services.http_files import LOGIN_PAGE, HttpFiles, Trouble, serving

from ingest.errors import SourceUnavailableError
from ingest.sources import Source, landing, list_files, open_source
from ingest.sources.errors import (
    SourceFileMissingError,
    SourceForbiddenError,
    WebPageInsteadOfDataError,
)
from ingest.sources.landing import LandingZone
from ingest.sources.sections import LandingSource
from ingest.specification import ProductSpecification
from storage.locations import Location, Patience
from storage.months import month

CONTENT = b"not really NetCDF"
BOTH = ["FLUX_201801.nc", "FLUX_201802.nc"]


def specification(**changes: object) -> ProductSpecification:
    variable = {"names": ["fco2"], "positive": "up", "uncertainty": 1.5}
    content: dict[str, object] = {
        "name": "small",
        "title": "A small product",
        "file_pattern": "FLUX_{year}{month}.nc",
        "grid": {"name": "g", "south": 25, "west": 120, "step": 0.5, "n_lat": 16, "n_lon": 14},
        "quantities": {"fco2": variable},
    }
    return ProductSpecification.model_validate(content | changes)


SPEC = specification()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    landing = tmp_path / "landing"
    (landing / "older").mkdir(parents=True)
    for name in ("FLUX_201802.nc", "FLUX_201801.nc", "README.txt", "FLUX_201803.nc.part"):
        (landing / name).write_bytes(CONTENT)
    return landing


@pytest.fixture
def server(folder: Path) -> Iterator[HttpFiles]:
    with serving(folder) as files:
        yield files


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


def zone(url: str | Path, kept: Path) -> LandingZone:
    return LandingZone(str(url), SPEC, kept, timeout_s=5, attempts=3)


# --- a folder -----------------------------------------------------------------------------------


def test_files_are_listed_by_month_and_others_are_named(folder: Path) -> None:
    listing = list_files(str(folder), SPEC)
    assert [file.file_name for file in listing.files] == BOTH
    assert [file.month for file in listing.files] == [month("2018-01"), month("2018-02")]
    assert listing.unmatched == ("FLUX_201803.nc.part", "README.txt")


def test_a_local_file_is_checksummed_where_it_lies(folder: Path, kept: Path) -> None:
    source = zone(folder, kept)
    fetched = source.fetch(source.list().files[0])
    assert fetched.path == folder / "FLUX_201801.nc"
    assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_a_folder_with_signs_of_a_url_in_its_name_is_a_folder(folder: Path, kept: Path) -> None:
    odd = folder.rename(folder.with_name("landing #1?50%20"))
    source = zone(odd, kept)
    files = source.list().files
    assert [file.file_name for file in files] == BOTH
    assert source.fetch(files[0]).path.read_bytes() == CONTENT


def test_a_listing_says_when_a_local_file_has_changed(folder: Path) -> None:
    path = folder / "FLUX_201801.nc"
    before = list_files(str(folder), SPEC).files[0].validator
    assert before
    assert list_files(str(folder), SPEC).files[0].validator == before
    os.utime(path, (1, 1))
    assert list_files(str(folder), SPEC).files[0].validator != before


def test_files_of_several_months_come_first_and_have_no_month(folder: Path) -> None:
    (folder / "FLUX_all.nc").write_bytes(CONTENT)
    series = specification(file_pattern="FLUX_*.nc", holds="series", time="variable")
    listing = list_files(str(folder), series)
    assert [file.month for file in listing.files] == [None] * 3
    assert [file.file_name for file in listing.files] == [*BOTH, "FLUX_all.nc"]


def test_a_landing_zone_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceFileMissingError, match=r"nowhere.*TIDENET_LANDING"):
        list_files(str(tmp_path / "nowhere"), SPEC)
    for url in ("gopher://host/landing", "http://[host/", "http://host:port/", "http://"):
        with pytest.raises(SourceUnavailableError):
            list_files(url, SPEC, attempts=1)


# --- an HTTP listing ----------------------------------------------------------------------------


def test_an_http_listing_is_fetched_whole_in_spite_of_a_stumbling_server(
    server: HttpFiles, kept: Path
) -> None:
    server.troubles.extend([Trouble(status=503), Trouble(status=503)])
    source = zone(server.url, kept)
    listing = source.list()
    assert [file.file_name for file in listing.files] == BOTH
    assert listing.unmatched == ("FLUX_201803.nc.part", "README.txt")
    server.troubles.append(Trouble(status=503))
    assert source.fetch(listing.files[0]).path.read_bytes() == CONTENT


def test_a_listing_without_a_slash_at_its_end_is_the_same_listing(
    server: HttpFiles, kept: Path
) -> None:
    (server.folder / "older" / "FLUX_201712.nc").write_bytes(CONTENT)
    listing = zone(f"{server.url}older", kept).list()
    assert [file.url for file in listing.files] == [f"{server.url}older/FLUX_201712.nc"]


def test_encoded_names_are_read_as_they_are_meant(server: HttpFiles, kept: Path) -> None:
    server.page = b"<A HREF='FLUX%5F201801.nc'>x</A><a href='..%2F..%2FFLUX_201802.nc'>y</a>"
    source = zone(server.url, kept)
    files = source.list().files
    assert [file.file_name for file in files] == BOTH
    assert source.fetch(files[0]).path.parent.parent == kept


def test_links_that_lead_out_of_the_folder_are_no_files_of_it(
    server: HttpFiles, kept: Path
) -> None:
    server.page = b"""<a href="http://elsewhere.invalid/FLUX_201801.nc">1</a>
        <a href="/older/FLUX_201802.nc">2</a> <a href="../FLUX_201803.nc">3</a> <a>4</a>
        <a href="http://[bad/FLUX_201804.nc">5</a> <a href="FLUX_201805.nc">6</a>"""
    names = [file.file_name for file in zone(server.url, kept).list().files]
    assert names == ["FLUX_201803.nc", "FLUX_201805.nc"]  # above the root is the root


def test_links_that_are_no_names_of_files_are_left_out(server: HttpFiles, kept: Path) -> None:
    server.page = (
        b"<a href='%2E%2E'>1</a><a href='a%00b'>2</a><a href='x/%2F'>3</a><a href='c'>4</a>"
    )
    anything = specification(file_pattern="*", holds="series", time="variable")
    assert [file.file_name for file in list_files(server.url, anything).files] == ["c"]


def test_a_password_in_the_url_opens_listing_and_files_and_is_shown_nowhere(
    server: HttpFiles, kept: Path
) -> None:
    server.password = "me:hunter two"
    url = server.url.replace("://", "://me:hunter%20two@")
    source = zone(url, kept)
    files = source.list().files
    assert source.fetch(files[0]).path.read_bytes() == CONTENT
    assert (source.place, files[0].url) == (server.url, f"{server.url}FLUX_201801.nc")
    with pytest.raises(SourceForbiddenError, match="credentials"):
        zone(server.url, kept).list()
    with pytest.raises(SourceUnavailableError) as failure:
        list_files("http://me:hunter2@127.0.0.1:9/", SPEC, attempts=1, timeout_s=2)
    assert "hunter2" not in str(failure.value)


def test_signed_links_are_used_and_not_shown(server: HttpFiles, kept: Path) -> None:
    server.query = "?signature=hunter2"
    source = zone(server.url, kept)
    files = source.list().files
    assert source.fetch(files[0]).path.read_bytes() == CONTENT
    assert "hunter2" not in repr(files)


def test_a_login_page_is_not_taken_for_an_empty_listing(server: HttpFiles, kept: Path) -> None:
    server.page = LOGIN_PAGE
    with pytest.raises(WebPageInsteadOfDataError, match="a login form"):
        zone(server.url, kept).list()


def test_a_listing_that_moved_to_another_host_is_not_followed_in_silence(
    server: HttpFiles, kept: Path
) -> None:
    with serving(server.folder / "older") as other:
        server.elsewhere = other.url.replace("127.0.0.1", "localhost")
        with pytest.raises(WebPageInsteadOfDataError, match="localhost"):
            zone(server.url, kept).list()


def test_a_page_without_end_is_not_read_to_its_end(
    server: HttpFiles, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "LARGEST_PAGE_BYTES", 20)
    with pytest.raises(SourceUnavailableError, match="too long for a listing"):
        zone(server.url, kept).list()


def test_a_server_that_stays_down_is_named_after_a_few_tries(server: HttpFiles, kept: Path) -> None:
    server.troubles.extend([Trouble(status=503)] * 5)
    with pytest.raises(SourceUnavailableError, match="TIDENET_LANDING"):
        list_files(server.url, SPEC, attempts=2)
    assert len(server.asked) == 2


# --- other filesystems --------------------------------------------------------------------------


def test_an_s3_landing_zone_is_read_like_a_folder(s3_url: str, folder: Path, kept: Path) -> None:
    location = Location.parse(s3_url).joined("landing")
    filesystem = location.filesystem(Patience())
    filesystem.put(str(folder / "FLUX_201801.nc"), f"{location.path}/")
    source = zone(location.url, kept)
    files = source.list().files
    assert [file.url for file in files] == [f"{location.url}/FLUX_201801.nc"]
    assert files[0].validator == filesystem.info(f"{location.path}/{BOTH[0]}")["ETag"].strip('"')
    assert source.fetch(files[0]).path.read_bytes() == CONTENT


def test_any_filesystem_of_fsspec_is_a_landing_zone(kept: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/landing/FLUX_201801.nc", CONTENT)
    source = zone("memory://landing", kept)
    fetched = source.fetch(source.list().files[0])
    assert fetched.path.is_relative_to(kept)
    assert fetched.path.read_bytes() == CONTENT


# --- which source -------------------------------------------------------------------------------


def test_a_product_without_a_landing_zone_uses_that_of_the_settings(
    folder: Path, kept: Path
) -> None:
    def opened(url: str | None) -> Source:
        product = specification(source=LandingSource(url=url))
        return open_source(product, landing_url=str(folder), downloads=kept)

    assert opened(None).place == str(folder)
    assert opened(str(folder / "older")).place == str(folder / "older")
    assert [file.file_name for file in opened(None).list().files] == BOTH


def test_a_product_names_its_provider(kept: Path) -> None:
    def place(**source: object) -> str:
        product = specification(source=source)
        return open_source(product, landing_url="unused", downloads=kept).place

    assert (
        place(kind="copernicus-marine", dataset_id="cmems_obs", version="202411")
        == "Copernicus Marine dataset cmems_obs 202411"
    )
    assert place(kind="earthdata", short_name="CHL") == "NASA Earthdata collection CHL"
