"""Which run a person means: an id, the beginning of one, or the newest."""

from sqlalchemy import Engine, Select, select

from storage.archive import ForecastRun, UnknownRunError
from storage.archive import run as archived_run
from storage.database import reading
from storage.errors import TidenetError
from storage.views import runs

LATEST = "latest"
LEAST_CHARACTERS = 4
N_CANDIDATES = 8


class AmbiguousRunError(TidenetError):
    """A run was asked for by the beginning of its id, and several begin so, or it is too short."""


def find_run(engine: Engine, named: str) -> ForecastRun:
    """Return the run of an id, of the beginning of one, or the newest.

    Parameters
    ----------
    engine
        The archive database.
    named
        An id, at least 4 characters of its beginning, or ``latest``: of the latest init month, a
        live run before a backfill before a hindcast, the one that was written last.

    Raises
    ------
    UnknownRunError
        If there is none; the newest are listed.
    AmbiguousRunError
        If the beginning is too short or of several runs; they are listed.
    """
    wanted = named.strip()
    if wanted == LATEST:
        newest = _listed(engine, _newest().limit(1))
        if not newest:
            raise _unknown(engine, named)
        return archived_run(engine, newest[0][0])
    begins = runs.c.run_id.startswith(wanted, autoescape=True)
    matches = _listed(engine, _newest().where(begins).limit(N_CANDIDATES + 1)) if wanted else []
    if any(run_id == wanted for run_id, _ in matches):
        return archived_run(engine, wanted)
    if not matches:
        raise _unknown(engine, named)
    if len(matches) > 1 or len(wanted) < LEAST_CHARACTERS:
        raise _ambiguous(named, [text for _, text in matches])
    return archived_run(engine, matches[0][0])


def _newest() -> Select:
    """Return the query for runs in the order of the view forecast_latest, newest first."""
    order = (runs.c.init_month.desc(), runs.c.precedence, runs.c.entry.desc())
    return select(runs.c.run_id, runs.c.init_month, runs.c.issued_kind).order_by(*order)


def _listed(engine: Engine, query: Select) -> list[tuple[str, str]]:
    """Return the id of each run, and the same for people."""
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [(row.run_id, f"{row.run_id} ({row.init_month}, {row.issued_kind})") for row in rows]


def _unknown(engine: Engine, named: str) -> UnknownRunError:
    newest = [text for _, text in _listed(engine, _newest().limit(N_CANDIDATES))]
    if not newest:
        return UnknownRunError(
            "The archive holds no run.", remedy="Make a forecast first: tidenet forecast."
        )
    return UnknownRunError(
        "No run of the archive has an id that begins so.",
        found=repr(named),
        expected=f"one of, newest first: {', '.join(newest)}",
        remedy="List all runs: tidenet sql 'SELECT run_id, init_month, issued_kind FROM runs'",
    )


def _ambiguous(named: str, candidates: list[str]) -> AmbiguousRunError:
    more = ", and more" if len(candidates) > N_CANDIDATES else ""
    return AmbiguousRunError(
        "This does not name one run.",
        found=f"{named!r}, the beginning of {', '.join(candidates[:N_CANDIDATES])}{more}",
        expected=f"{LEAST_CHARACTERS} characters or more that only one run begins with",
        remedy="Give more of the id.",
    )
