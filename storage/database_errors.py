"""What can go wrong with the archive database, by name, and without its password."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.errors import TidenetError

EXPECTED_REVISION = "0009"
"""The Alembic revision that this program's queries are written for (the newest migration)."""


class DatabaseUnavailableError(TidenetError):
    """The database does not answer, is locked, full or damaged."""


class DatabaseOutOfDateError(TidenetError):
    """The database's tables are not at the revision that this program expects."""


class DatabaseRuleError(TidenetError):
    """The database refused a row that breaks one of its rules."""


class InvalidQueryError(TidenetError):
    """A question in SQL is not one, or the database does not understand it."""


class InvalidDatabaseUrlError(TidenetError):
    """The URL does not name a database that the archive can be kept in."""


def safe_url(url: Engine | str) -> str:
    """Return a database URL fit for logs: the password is hidden."""
    if isinstance(url, Engine):
        return url.url.render_as_string(hide_password=True)
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not a URL)"


@contextmanager
def named_errors(engine: Engine) -> Iterator[None]:
    """Turn a database driver's errors into named ones, without the password."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        raise _named(engine, getattr(error, "orig", None) or error, error) from error
    except driver_error(engine) as error:
        raise _named(engine, error, error) from error


def _named(engine: Engine, original: BaseException, error: Exception) -> Exception:
    said = without_password(engine, str(original).strip().split("\n")[0])
    state = getattr(original, "sqlstate", None) or ""
    kind = type(original).__name__
    if kind in ("IntegrityError", "DataError") or state.startswith(("22", "23")):
        return DatabaseRuleError(
            "The database refused a row that breaks one of its rules.",
            found=said,
            remedy="Nothing was written. Correct what the rule's name says and try again.",
        )
    if state in ("42P01", "42703") or "no such table" in said or "no such column" in said:
        return DatabaseOutOfDateError(
            f"The tables of {safe_url(engine)} are not those that this program needs.",
            found=said,
            expected=f"revision {EXPECTED_REVISION}",
            remedy="Run `tidenet migrate`; rows are kept.",
        )
    if state.startswith("42") or kind in ("ProgrammingError", "NotSupportedError"):
        return error
    return DatabaseUnavailableError(
        f"The database {safe_url(engine)} cannot be used.",
        found=said,
        remedy=_remedy(said),
    )


def _remedy(said: str) -> str:
    lowered = said.lower()
    if "locked" in lowered or "timeout" in lowered:
        return "Another program holds it for too long: find and end it, then try again."
    if "authentication" in lowered or "role" in lowered:
        return "Check user and password in TIDENET_DATABASE."
    if "not a database" in lowered or "malformed" in lowered:
        return "The file is damaged or something else: restore it from a backup, or move it away."
    if "full" in lowered or "no space" in lowered:
        return "Free some space, then try again."
    if "unable to open" in lowered or "readonly" in lowered or "permission" in lowered:
        return "Check folder and permissions of the file in TIDENET_DATABASE."
    return "Check that it runs and that TIDENET_DATABASE names it, then try again."


def without_password(engine: Engine, said: str) -> str:
    """Return a driver's message without the password of the URL."""
    password = engine.url.password
    return said.replace(str(password), "***") if password else said


def driver_error(engine: Engine) -> Any:
    """Return the base class of the driver's own errors."""
    return engine.dialect.loaded_dbapi.Error
