"""The weekly upkeep: old snapshots, garbage, an audit, the database, and a copy of it.

Each step is a function of its own, may be done twice, and may be killed at any time. What is read
or committed meanwhile is not disturbed.
"""

import datetime as dt
from dataclasses import dataclass

from flows.operations.audit import Audited, audit
from flows.operations.workspace import Progress, Workspace, no_progress
from storage.backup import Manifest, back_up
from storage.database_upkeep import vacuum
from storage.record_upkeep import Collected, Expired, collect_garbage, expire_snapshots
from storage.referred_snapshots import referred_snapshots

MARGIN = dt.timedelta(days=1)
"""What was written within this time may belong to a commit that is being made."""


@dataclass(frozen=True)
class Maintained:
    """What the upkeep did.

    Parameters
    ----------
    expired, collected
        Of the record's snapshots.
    audited
        What the audit found.
    notes
        What could not be done to the database, and why.
    backup
        The copy of the database.
    """

    expired: Expired
    collected: Collected
    audited: Audited
    notes: tuple[str, ...]
    backup: Manifest


def maintain(workspace: Workspace, *, progress: Progress = no_progress) -> Maintained:
    """Do every step of the upkeep, one after the other.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    progress
        Called after each step.
    """
    n_steps = 5
    progress(0, n_steps, "snapshots")
    expired = expire(workspace)
    progress(1, n_steps, "garbage")
    collected = collect(workspace)
    progress(2, n_steps, "audit")
    audited = audit(workspace)
    progress(3, n_steps, "vacuum")
    notes = vacuum(workspace.engine)
    progress(4, n_steps, "backup")
    copied = copy_database(workspace)
    progress(n_steps, n_steps, "")
    return Maintained(expired, collected, audited, notes, copied)


def expire(workspace: Workspace) -> Expired:
    """Let snapshots go that are older than ``TIDENET_KEEP_SNAPSHOTS_DAYS`` and referred to by none.

    Raises
    ------
    RecordNotFoundError
        If there is no record.
    """
    settings = workspace.settings
    # What is committed between these two lines is young, and stays for that.
    before = workspace.now() - dt.timedelta(days=settings.keep_snapshots_days)
    keep = referred_snapshots(workspace.engine)
    return expire_snapshots(settings.record_url, workspace.patience, keep, before)


def collect(workspace: Workspace) -> Collected:
    """Delete what no snapshot holds any more."""
    older_than = workspace.now() - MARGIN
    return collect_garbage(workspace.settings.record_url, workspace.patience, older_than)


def copy_database(workspace: Workspace) -> Manifest:
    """Copy the archive to ``TIDENET_BACKUP``, and keep the last ``TIDENET_KEEP_BACKUPS``."""
    settings = workspace.settings
    return back_up(
        workspace.engine,
        settings.backup_url,
        workspace.patience,
        workspace.now(),
        keep=settings.keep_backups,
    )
