"""Dealing with the outside: waiting for it with a limit, and speaking of it without its secrets."""

import os
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")
_SIGNED_PARAMETER = re.compile(
    r"(?i)((?:x-amz-[a-z-]*(?:signature|credential|token)|signature|token|password|secret|"
    r"access[-_]?key[a-z_-]*|api[-_]?key|sig)=)[^&\s]+"
)


def redact(text: str) -> str:
    """Return a text with passwords, signatures and this process's S3 keys replaced by ``***``."""
    text = _USER_AND_PASSWORD.sub("***@", text)
    text = _SIGNED_PARAMETER.sub(r"\1***", text)
    for name in _SECRET_VARIABLES:
        value = os.environ.get(name, "")
        if len(value) >= 8:
            text = text.replace(value, "***")
    return text


def bounded(function: Callable[..., Result], *arguments: Any, limit_s: float) -> Result:
    """Call a function that may wait forever, and stop waiting for it after a limit.

    Not every library takes a time limit. What was called goes on in a thread that does not keep the
    process alive: pass one step at a time, so that nothing new starts after the limit.

    Raises
    ------
    TimeoutError
        If there is no result within ``limit_s`` seconds.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function(*arguments))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {limit_s:g} seconds")
    if errors:
        raise errors[0]
    return results[0]
