"""Markdown from values: tables whose cells stay cells, whatever a file or person has written."""

from collections.abc import Iterable, Sequence

_SPECIAL = str.maketrans(
    {char: f"\\{char}" for char in "\\`*_{}[]|~#!"} | {"<": "&lt;", "&": "&amp;"}
)


def plain(text: object) -> str:
    """Return a text as one line of markdown that shows just this text."""
    return " ".join(str(text).split()).translate(_SPECIAL)


def code(text: object) -> str:
    """Return a name or digest in letters of one width; it holds no backtick afterwards."""
    return f"`{' '.join(str(text).replace('`', ' ').replace('|', ' ').split())}`"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are markdown already (`plain`, `code`)."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(*parts: str) -> str:
    """Return headings, paragraphs and tables one below the other; empty ones are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


def signed(value: float | None, digits: int = 2) -> str:
    """Return a number with its sign; nothing for none."""
    return "" if value is None else f"{value:+.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Return both ends of an interval; nothing where it is not known."""
    known = low is not None and high is not None
    return f"{signed(low, digits)} .. {signed(high, digits)}" if known else ""
