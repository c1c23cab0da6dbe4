"""What runs in the process of `ingest.isolated`: answers questions about one file at a time.

A question is a line of JSON, an answer a line of JSON that may announce the bytes of an array.
"""

import json
import os
import resource
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from ingest.raw_files import (
    ClaimsTooMuchError,
    PointsElsewhereError,
    StoredVariable,
    open_hdf5,
    open_netcdf3,
)

_MEMORY_BYTES = 8_000_000_000
"""Address space of the process; a map of 4 km over the globe takes about 1 GB."""
_LONGEST_TEXT = 64
"""Bytes of a text among values: a date."""
_KINDS = {ClaimsTooMuchError: "large", PointsElsewhereError: "elsewhere"}


class _OpenFile:
    """The file that is open, if one is."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.variables: list[StoredVariable] = []

    def open(self, path: str, kind: str, cpu: int) -> dict[str, Any]:
        self.close()
        _limit_processor_time(cpu)
        reader = open_hdf5 if kind == "hdf5" else open_netcdf3
        self.variables, attributes = reader(Path(path), self.stack)
        described = [
            {
                "name": _clean(variable.name),
                "dims": [_clean(dim) for dim in variable.dims],
                "shape": variable.shape,
                "dtype": variable.dtype.str if variable.dtype.kind in "fiubcSU" else "O",
                "attributes": _plain(variable.attributes),
            }
            for variable in self.variables
        ]
        return {"variables": described, "attributes": _plain(attributes)}

    def values(self, number: int, index: list[int | list[int | None] | None] | None) -> np.ndarray:
        where: Any = ...
        if index is not None:
            where = tuple(i if isinstance(i, int) else slice(*(i or [None])) for i in index)
        values = np.asarray(self.variables[number].values(where), order="C")
        if values.dtype.kind in "OUS":
            values = _texts(values)
        elif values.dtype.kind not in "fiub":
            raise TypeError(f"values of the type {values.dtype}")
        return values

    def close(self) -> None:
        self.variables = []
        self.stack.close()


def answer_questions(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the questions end."""
    file = _OpenFile()
    for line in questions:
        content: np.ndarray | None = None
        try:
            answer, content = _answer(file, **json.loads(line))
            text = json.dumps(answer)
        except Exception as error:
            # Whatever it is, it comes from the file: nothing else is worked on here.
            kind = _KINDS.get(type(error), "damaged")
            found = _clean(str(error)) or type(error).__name__
            text, content = json.dumps({"error": kind, "found": found}), None
        answers.write(text.encode() + b"\n")
        if content is not None:
            answers.write(content.reshape(-1).view(np.uint8).data)
        answers.flush()


def _answer(file: _OpenFile, do: str, **options: Any) -> tuple[dict[str, Any], np.ndarray | None]:
    if do == "open":
        return file.open(**options), None
    if do == "values":
        values = file.values(**options)
        return {"dtype": values.dtype.str, "shape": values.shape, "bytes": values.nbytes}, values
    file.close()
    return {"closed": True}, None


def _texts(values: np.ndarray) -> np.ndarray:
    """Return texts as bytes of one length, cut off where they are longer."""
    texts = [text.encode() if isinstance(text, str) else text for text in values.flat]
    if not all(isinstance(text, bytes) for text in texts):
        raise TypeError(f"values of the type {values.dtype}")
    length = min(max(map(len, texts), default=0), _LONGEST_TEXT) or 1
    return np.array([text[:length] for text in texts], dtype=f"S{length}").reshape(values.shape)


def _limit_processor_time(seconds: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, most))


def _limit_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = _MEMORY_BYTES if most == resource.RLIM_INFINITY else min(_MEMORY_BYTES, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))
    # The end of a process by its limit leaves no image of its memory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _plain(attributes: Any) -> dict[str, Any]:
    """Return attributes as JSON has them: text, or numbers with their type, or why unreadable."""
    plain: dict[str, Any] = {}
    for key, value in attributes.items():
        try:
            plain[_clean(key)] = _encoded(value)
        except Exception as error:
            plain[_clean(key)] = {"unreadable": _clean(str(error))}
    return plain


def _encoded(value: Any) -> Any:
    if isinstance(value, Exception):
        return {"unreadable": _clean(str(value)) or type(value).__name__}
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return _clean(value)
    array = np.asarray(value)
    if array.dtype.kind in "SUO":
        texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in array.flat]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"values of the type {array.dtype}")
        if array.size == 1:
            return _clean(texts[0])
        return {"texts": [_clean(text) for text in texts]}
    if array.dtype.kind not in "fiub":
        raise TypeError(f"values of the type {array.dtype}")
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return {"dtype": array.dtype.str, "shape": array.shape, "values": array.ravel().tolist()}


def _clean(text: str) -> str:
    """Return text on one line that every database and terminal can hold."""
    whole = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    return " ".join(whole.split()) if "\n" in whole else whole


def main() -> None:
    """Announce that it runs, and answer."""
    _limit_memory()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    answers.write(b"ready\n")
    answers.flush()
    # What the libraries print about damaged files is said in the answers.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    answer_questions(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
