"""``tidenet export``: a run as a file that other programs read."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command import named_errors, workspace_of
from flows.operations.export_files import Format, Rows


@named_errors
def export(
    context: typer.Context,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="Fields at full resolution (netcdf, geotiff), or the archive's rows of the run.",
        ),
    ],
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="Id of a run, 4 or more characters of its beginning, or latest."
        ),
    ] = "latest",
    what: Annotated[
        Rows | None, typer.Option(help="Rows that parquet and csv hold [cells].")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="File, for geotiff folder [fco2_<init>_<run>.<ext>, here]."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export there.")
    ] = False,
) -> None:
    """Write a run as NetCDF, GeoTIFF, Parquet or CSV, and print the path of every file."""
    from flows.operations.export import export as operation
    from flows.screen import progress_bar, say

    if what is not None and not form.is_table:
        raise typer.BadParameter(f"--what chooses rows: {form} holds fields.")
    with progress_bar("Exporting") as progress:
        written = operation(
            workspace_of(context),
            run,
            form=form,
            rows=what or Rows.CELLS,
            to=to,
            overwrite=overwrite,
            progress=progress,
        )
    for path in written:
        say(str(path))
