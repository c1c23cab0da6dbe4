"""One name for a folder or an S3 prefix, and no credential in any message."""

import time
from pathlib import Path

import pytest

from storage.locations import InvalidLocationError, Location
from storage.outside import bounded, redact


def test_paths_and_urls_name_places(tmp_path: Path) -> None:
    assert Location.parse(tmp_path) == Location.parse(f"file://{tmp_path}")
    assert Location.parse(f"{tmp_path}/").url == str(tmp_path)
    place = Location.parse("s3://bucket/a/b/")
    assert (place.bucket, place.prefix, place.url) == ("bucket", "a/b", "s3://bucket/a/b")
    assert place.joined("c").url == "s3://bucket/a/b/c"


@pytest.mark.parametrize("url", ["", "ftp://host/x", "s3:///x", "s3://key:hunter22@bucket/x"])
def test_other_urls_are_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(InvalidLocationError) as error:
        Location.parse(url)
    assert "hunter22" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter22@host/a",
        "https://host/a?X-Amz-Signature=hunter22&b=1",
        "https://host/a?X-Amz-Security-Token=hunter22",
        "https://host/a?sig=hunter22",
        "denied for hunter22",
    ],
)
def test_credentials_are_redacted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter22")
    assert "hunter22" not in redact(text)


def test_a_call_without_an_answer_ends_at_its_limit() -> None:
    with pytest.raises(TimeoutError):
        bounded(time.sleep, 30, limit_s=0.05)


def test_a_bounded_call_returns_and_raises_like_the_call_itself() -> None:
    assert bounded(max, 1, 2, limit_s=10) == 2
    with pytest.raises(ValueError, match="invalid literal"):
        bounded(int, "x", limit_s=10)
