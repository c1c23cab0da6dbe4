"""Addresses of files, and how to speak of them without repeating a credential."""

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from storage.outside import redact as redacted

_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/\s'\"]+@")
_PARAMETERS = re.compile(r"\?[^\s'\"()<>]*=[^\s'\"()<>]*")


def is_local(url: str) -> bool:
    """Return whether a text names a path of this machine."""
    return "://" not in url or url.startswith("file://")


def is_http(url: str) -> bool:
    """Return whether a text is an ``http://`` or ``https://`` URL."""
    return url.startswith(("http://", "https://"))


def public_url(url: str) -> str:
    """Return a URL without user, password and, for HTTP, without its parameters."""
    if is_local(url):
        return url
    if not is_http(url):
        return _USER_AND_PASSWORD.sub("", url)
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="", fragment=""))


def login_of(url: str) -> tuple[str, str] | None:
    """Return the user and password that an HTTP URL holds, if it does."""
    parts = urlsplit(url)
    if not is_http(url) or parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def without_login(url: str) -> str:
    """Return an HTTP URL without user and password, its parameters kept."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def file_name_of(url: str) -> str:
    """Return the last part of a path or URL, decoded if it is an HTTP URL."""
    if is_http(url):
        return unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    return url.rsplit("/", 1)[-1]


def redact(text: str, *secrets: str) -> str:
    """Return a text with logins and parameters of URLs, and given secrets, as ``***``."""
    text = _PARAMETERS.sub("?***", redacted(text))
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


def reason(error: BaseException, *secrets: str) -> str:
    """Return what happened in one line, without credentials."""
    words = " ".join(redact(str(error), *secrets).split())
    return f"{type(error).__name__}: {words[:500]}" if words else type(error).__name__
