"""Points of a file that were looked at, each with what was expected and what was found."""

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingest.errors import RefusedFileError


class Verdict(enum.StrEnum):
    """What is to be thought of a point."""

    FITS = "fits"
    FAILS = "does not fit"
    NOTE = "note"


@dataclass(frozen=True)
class Point:
    """One thing that was looked at.

    Parameters
    ----------
    what
        What was looked at: ``file``, ``month``, or a quantity and a property of it.
    expected, found
        What the specification says, and what the file says.
    verdict
        Whether they fit; a note where nothing can be wrong.
    remedy
        What to do where they do not fit.
    """

    what: str
    expected: str
    found: str
    verdict: Verdict = Verdict.FITS
    remedy: str = ""


class Points:
    """Collects points, and turns refusals into points that do not fit."""

    def __init__(self) -> None:
        self._points: list[Point] = []

    @property
    def all(self) -> tuple[Point, ...]:
        """The points so far, in their order."""
        return tuple(self._points)

    def fits(self, what: str, expected: str, found: str) -> None:
        """Add a point that fits."""
        self._points.append(Point(what, expected, found))

    def note(self, what: str, found: str, expected: str = "") -> None:
        """Add something worth knowing that cannot be wrong."""
        self._points.append(Point(what, expected, found, Verdict.NOTE))

    def fails(self, what: str, expected: str, found: str, remedy: str = "") -> None:
        """Add a point that does not fit."""
        self._points.append(Point(what, expected, found, Verdict.FAILS, remedy))

    @contextmanager
    def guarded(self, what: str, expected: str) -> Iterator[None]:
        """Turn a refusal into a point that does not fit; the rest of the block is left out."""
        try:
            yield
        except RefusedFileError as error:
            found = f"{error.message} {error.found}".strip()
            self.fails(what, error.expected or expected, found, error.remedy)
