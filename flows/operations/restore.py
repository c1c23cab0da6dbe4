"""Reading a copy of the archive back, and holding it against the record."""

from dataclasses import dataclass

from flows.operations.workspace import Workspace
from storage.backup import Manifest, restore
from storage.database import connect
from storage.record_errors import RecordNotFoundError


@dataclass(frozen=True)
class Restored:
    """A copy that was read back.

    Parameters
    ----------
    manifest
        What it is.
    warning
        Why archive and record do not fit, and what to do; empty if they do.
    """

    manifest: Manifest
    warning: str


def restore_database(workspace: Workspace, name: str = "") -> Restored:
    """Read a backup back into the empty database of the settings.

    Parameters
    ----------
    workspace
        Settings; its archive is not opened before.
    name
        The backup; empty for the newest.

    Raises
    ------
    NoBackupError, CorruptBackupError, DatabaseNotEmptyError, BackupFailedError, RestoreDiffersError
        As `storage.backup.restore`.
    """
    settings = workspace.settings
    if settings.database_url.startswith("sqlite"):
        settings.home.mkdir(parents=True, exist_ok=True)
    engine = connect(
        settings.database_url, timeout_s=settings.timeout_s, attempts=settings.attempts
    )
    manifest = restore(engine, settings.backup_url, name, workspace.patience)
    engine.dispose()
    return Restored(manifest, _beside_record(workspace, manifest))


def _beside_record(workspace: Workspace, manifest: Manifest) -> str:
    """Return what is wrong with the record for this archive; nothing if it fits."""
    if not manifest.record_snapshot:
        return ""
    try:
        workspace.record(manifest.record_snapshot)
    except RecordNotFoundError:
        return (
            f"The record at {workspace.settings.record_url} has no snapshot "
            f"{manifest.record_snapshot}, which this archive knows: it is older than the backup, "
            "or another one. Restore the record's bucket to that day, or check TIDENET_RECORD."
        )
    return ""
