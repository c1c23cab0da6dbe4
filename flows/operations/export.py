"""Give a run away: as fields for NetCDF and GIS programs, or as rows for tables."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from flows.operations.export_files import Format, Rows, default_name, written_whole
from flows.operations.named_run import LATEST, find_run
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.archive import ForecastRun
from storage.registry import ModelVersion, model


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
