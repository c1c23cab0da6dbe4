"""Give a run away: as fields for NetCDF and GIS programs, or as rows for tables."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, Select, select

from flows.operations.export_files import Format, Rows, default_name, written_whole
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.archive import ForecastRun, UnknownRunError
from storage.archive import run as archived_run
from storage.database import reading
from storage.errors import TidenetError
from storage.registry import ModelVersion, model
from storage.views import runs

LATEST = "latest"
LEAST_CHARACTERS = 4
N_CANDIDATES = 8


class AmbiguousRunError(TidenetError):
    """A run was asked for by the beginning of its id, and several begin so, or it is too short."""


@dataclass(frozen=True)
class Exported:
    """What is given away, and what is said about it.

    Parameters
    ----------
    run
        The run.
    model
        The model that made it.
    exported_at
        When it is given away (aware, UTC).
    exported_by
        Name and version of this software.
    """

    run: ForecastRun
    model: ModelVersion
    exported_at: dt.datetime
    exported_by: str

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"Sea-air CO2 flux forecast from {self.run.init_month}"

    @property
    def provenance(self) -> dict[str, str]:
        """Where it comes from, by name, as text; what does not apply is left out."""
        run = self.run
        said = {
            "run_id": run.id,
            "init_month": str(run.init_month),
            "issued_kind": run.issued_kind,
            "created_at": run.created_at.isoformat(),
            "model_version": run.model_version,
            "method": self.model.method,
            "weights_sha256": self.model.weights_sha256,
            "grid": self.model.grid,
            "snapshot_id": run.snapshot_id,
            "fields_sha256": run.fields_sha256,
            "seed": str(run.seed),
            "n_members": str(run.n_members),
            "code_version": run.code_version,
            "degraded": str(run.degraded).lower(),
            "degraded_reason": run.degraded_reason,
        }
        return {name: value for name, value in said.items() if value}


def export(
    workspace: Workspace,
    run: str = LATEST,
    *,
    form: Format,
    rows: Rows = Rows.CELLS,
    to: Path | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> tuple[Path, ...]:
    """Write a run to a file, or a folder of maps, and return the paths of what was written.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    run
        Id of the run, its beginning (4 characters or more), or ``latest``.
    form
        Fields at full resolution (NetCDF, GeoTIFF), or rows of the archive (Parquet, CSV).
    rows
        Which rows.
    to
        File, for GeoTIFF folder; None for one named after the run in the current folder.
    overwrite
        Whether an earlier export there may be replaced.
    progress
        Told of each lead.

    Raises
    ------
    UnknownRunError, AmbiguousRunError
        If this is not the id of one run, or if it has no such rows.
    MissingFieldsError, CorruptFieldsError, StoreUnavailableError
        If its fields are gone, are not those that were written, or cannot be reached.
    TargetExistsError, UnwritableTargetError
        If it cannot be written there. Then there is nothing of it.
    """
    found = find_run(workspace.engine, run)
    exported = Exported(
        found,
        model(workspace.engine, found.model_version),
        workspace.now(),
        f"tidenet {workspace.code_version}",
    )
    target = to or Path(default_name(form, rows, str(found.init_month), found.id))
    with written_whole(target, folder=form.is_folder, overwrite=overwrite) as new:
        if form.is_table:
            from flows.operations.export_tables import write_table

            write_table(new, workspace.engine, exported, form, rows, progress)
        else:
            _write_fields(new, workspace, exported, form, progress)
        names = sorted(path.name for path in new.iterdir()) if form.is_folder else []
    return tuple(target / name for name in names) or (target,)


def _write_fields(
    new: Path, workspace: Workspace, exported: Exported, form: Format, progress: Progress
) -> None:
    from flows.operations.export_fields import opened_fields
    from flows.operations.export_geotiff import write_geotiffs
    from flows.operations.export_netcdf import write_netcdf

    write = write_netcdf if form is Format.NETCDF else write_geotiffs
    with opened_fields(exported.run, workspace.patience, progress) as fields:
        write(new, fields, exported, progress)


# --- which run ------------------------------------------------------------------------------------


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
