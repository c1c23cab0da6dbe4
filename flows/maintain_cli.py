"""The commands of ``tidenet`` for upkeep: maintain, backup, restore."""

from typing import Annotated

import typer

from flows.command import EXIT_REFUSED, named_errors, workspace_of


@named_errors
def maintain(context: typer.Context) -> None:
    """Expire old snapshots, collect garbage, audit, clean the database up, and back it up."""
    from flows.operations.maintain import maintain as operation
    from flows.screen import progress_bar
    from flows.upkeep_screen import print_maintained

    with progress_bar("Upkeep") as progress:
        done = operation(workspace_of(context), progress=progress)
    print_maintained(done)
    if done.audited.findings:
        raise typer.Exit(EXIT_REFUSED)


@named_errors
def backup(context: typer.Context) -> None:
    """Copy the archive database to TIDENET_BACKUP, while it is in use, and check the copy."""
    from flows.operations.maintain import copy_database
    from flows.screen import say

    made = copy_database(workspace_of(context))
    say(f"{made.name}: {made.size_bytes / 1e6:.1f} MB, {sum(made.rows.values())} rows.")


@named_errors
def restore(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The backup's name [the newest].")] = "",
    list_: Annotated[
        bool, typer.Option("--list", help="Only name the backups that there are.")
    ] = False,
) -> None:
    """Read a backup back into the empty database that TIDENET_DATABASE names."""
    from flows.operations.restore import restore_database
    from flows.screen import say
    from flows.upkeep_screen import print_backups
    from storage.backup import list_backups

    workspace = workspace_of(context)
    if list_:
        print_backups(list_backups(workspace.settings.backup_url, workspace.patience))
        return
    done = restore_database(workspace, name)
    say(f"{done.manifest.name} was read back: {sum(done.manifest.rows.values())} rows.")
    if done.warning:
        say(done.warning)
        raise typer.Exit(EXIT_REFUSED)
