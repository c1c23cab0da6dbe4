"""Where one remote file is kept: the whole file with a note about it, and an interrupted part."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ingest.sources.transfers import BLOCK_BYTES, Part, Validator


@dataclass(frozen=True)
class Note:
    """What is known about a whole file.

    Parameters
    ----------
    url
        Where it came from, without credentials.
    listed
        What the listing said about its content; empty if it said nothing.
    validator
        What the server said about its content.
    size_bytes, sha256
        Length and digest of what arrived.
    """

    url: str
    listed: str
    validator: Validator
    size_bytes: int
    sha256: str


class Shelf:
    """The place of one remote file in a folder of downloads.

    A file under its own name is whole, and its note is written after it: whatever is killed, a file
    is found whole with its note, or fetched again.

    Parameters
    ----------
    folder
        The folder of downloads.
    url
        Where the file comes from, without credentials; each URL has a place of its own.
    file_name
        Its name.
    """

    def __init__(self, folder: Path, url: str, file_name: str) -> None:
        self.home = folder / hashlib.sha256(url.encode()).hexdigest()[:16]
        self.url = url
        self.path = self.home / file_name
        self.part_path = self.home / f"{file_name}.part"
        self.lock_path = self.home / f"{file_name}.lock"
        self._note_path = self.home / f"{file_name}.json"
        self._part_note_path = self.home / f"{file_name}.part.json"

    def whole(self) -> Note | None:
        """Return the note of the whole file, if its bytes are still those that arrived."""
        content = _read_json(self._note_path)
        try:
            note = Note(**content | {"validator": Validator(**content["validator"])})
        except (KeyError, TypeError):
            return None
        if note.url != self.url or not self.path.is_file():
            return None
        if self.path.stat().st_size != note.size_bytes:
            return None
        return note if digest(self.path).hexdigest() == note.sha256 else None

    def part(self) -> Part | None:
        """Return what an interrupted transfer left, if it can go on."""
        content = _read_json(self._part_note_path)
        try:
            validator = Validator(**content["validator"])
            same = content["url"] == self.url
            size = self.part_path.stat().st_size
        except (KeyError, TypeError, OSError):
            return None
        return Part(size, validator) if same and validator.resumable and size else None

    def begin(self, validator: Validator) -> None:
        """Start a part of content with this validator, throwing away an earlier one."""
        self.discard_part()
        self.part_path.touch()
        _write_json(self._part_note_path, {"url": self.url, "validator": asdict(validator)})

    def discard_part(self) -> None:
        """Remove what an interrupted transfer left."""
        for path in (self._part_note_path, self.part_path):
            path.unlink(missing_ok=True)

    def finish(self, note: Note) -> None:
        """Give the part its own name, once it is on the disk, and write the note."""
        with self.part_path.open("rb") as part:
            os.fsync(part.fileno())
        self.part_path.replace(self.path)
        self.write(note)
        self._part_note_path.unlink(missing_ok=True)

    def write(self, note: Note) -> None:
        """Write the note of the whole file."""
        _write_json(self._note_path, asdict(note))


def digest(path: Path, others: "Iterable[hashlib._Hash]" = ()) -> "hashlib._Hash":
    """Return the SHA-256 of a file, and let other digests see its bytes as well."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            sha256.update(block)
            for other in others:
                other.update(block)
    return sha256


def _read_json(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
