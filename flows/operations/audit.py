"""Walk the whole archive: whether every chain is complete and every stored file what it was.

An audit changes nothing. Asked to, it mends what is safe to mend: it removes what no row refers to
and nobody is writing, and it restores lost fields where running the forecast again gives the very
bytes that were recorded.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from flows.operations.workspace import Progress, Workspace, no_progress
from storage.archive import ForecastRun, runs
from storage.audit_queries import row_faults
from storage.errors import TidenetError
from storage.gridded import (
    MissingFieldsError,
    StoredGroup,
    digest,
    remove_run,
    stored_runs,
    verify_run,
    write_run,
)
from storage.registry import models
from storage.weights import load_model as load_weights

QUIET = dt.timedelta(days=1)
"""What was written to within this time may belong to a run that is being made: it is left alone."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Parameters
    ----------
    kind
        ``rows``, ``fields``, ``model``, ``snapshot``, ``orphan`` or ``clock``.
    subject
        What it concerns.
    found, remedy
        What there is, and what to do about it.
    mend
        Mends it where that is safe; returns what it did, and whether that settled it. None where
        a person has to.
    mended
        What was done about it; empty if nothing was.
    settled
        Whether that settled it.
    """

    kind: str
    subject: str
    found: str
    remedy: str
    mend: Callable[[], tuple[str, bool]] | None = None
    mended: str = ""
    settled: bool = False


@dataclass(frozen=True)
class Audited:
    """What an audit looked at and found.

    Parameters
    ----------
    n_runs, n_models, n_groups
        Runs and models in the archive, and groups of fields in the store.
    findings
        What is not as it should be.
    """

    n_runs: int
    n_models: int
    n_groups: int
    findings: tuple[Finding, ...]


def audit(workspace: Workspace, *, fix: bool = False, progress: Progress = no_progress) -> Audited:
    """Look at every row, field group, model and snapshot of the archive.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    fix
        Mend what is safe to mend.
    progress
        Called after each run.
    """
    archived = runs(workspace.engine)
    registered = models(workspace.engine)
    groups = stored_runs(workspace.settings.predictions_url, workspace.patience)
    findings = list(
        chain(
            _rows(workspace),
            _fields(workspace, archived, progress),
            _models(workspace),
            _snapshots(workspace, archived),
            _orphans(workspace, archived, groups),
        )
    )
    if fix:
        findings = [_mended(finding) for finding in findings]
    return Audited(len(archived), len(registered), len(groups), tuple(findings))


def _mended(finding: Finding) -> Finding:
    if finding.mend is None:
        return finding
    try:
        mended, settled = finding.mend()
        return replace(finding, mended=mended, settled=settled)
    except TidenetError as error:
        return replace(finding, mended=f"could not be mended: {error.message} {error.found}")


def _rows(workspace: Workspace) -> Iterator[Finding]:
    for looked_at, faults in row_faults(workspace.engine).items():
        for fault in faults:
            clock = looked_at == "clock"
            yield Finding(
                "clock" if clock else "rows",
                fault.subject,
                f"{fault.found}; expected {fault.expected}",
                "Set the clock; views go by the order of writing, so that nothing is hidden."
                if clock
                else "Restore the database from its last backup.",
            )


def _fields(
    workspace: Workspace, archived: tuple[ForecastRun, ...], progress: Progress
) -> Iterator[Finding]:
    for done, run in enumerate(archived, start=1):
        try:
            verify_run(run.fields_url, run.fields_sha256, workspace.patience)
        except MissingFieldsError:
            yield Finding(
                "fields",
                f"run {run.id}",
                f"nothing complete at {run.fields_url}",
                "tidenet audit --fix makes them again if the same bytes come out; else restore "
                "them from a copy.",
                mend=lambda run=run: _restore(workspace, run),  # type: ignore[misc]
            )
        except TidenetError as error:
            yield Finding("fields", f"run {run.id}", f"{error.message} {error.found}", error.remedy)
        progress(done, len(archived), str(run.init_month))


def _restore(workspace: Workspace, run: ForecastRun) -> tuple[str, bool]:
    from flows.operations.reproduce import repeat

    *_, dataset, _ = repeat(workspace, run)
    if digest(dataset) != run.fields_sha256:
        made = "the forecast made again differs (tidenet reproduce says where)"
        return f"not restored: {made}", False
    write_run(run.fields_url, dataset, workspace.patience)
    return "restored: the forecast made again has the recorded checksum", True


def _models(workspace: Workspace) -> Iterator[Finding]:
    for version in models(workspace.engine):
        files = [(version.weights_url, version.weights_sha256)]
        if version.twin_url and version.twin_sha256:
            files.append((version.twin_url, version.twin_sha256))
        for url, sha256 in files:
            try:
                load_weights(url, sha256, workspace.patience)
            except TidenetError as error:
                found = f"{error.message} {error.found}"
                yield Finding("model", f"model {version.version}", found, error.remedy)


def _snapshots(workspace: Workspace, archived: tuple[ForecastRun, ...]) -> Iterator[Finding]:
    """Look whether what runs and models read can still be read."""
    needed = {run.snapshot_id: f"run {run.id}" for run in archived}
    needed |= {one.snapshot_id: f"model {one.version}" for one in models(workspace.engine)}
    if not needed:
        return
    known = {snapshot.id for snapshot in workspace.record().history()}
    for snapshot_id, subject in needed.items():
        if snapshot_id in known:
            continue
        try:
            workspace.record(snapshot_id)
        except TidenetError:
            yield Finding(
                "snapshot",
                subject,
                f"the record has no snapshot {snapshot_id}",
                "It cannot be reproduced any more. Check that TIDENET_RECORD names its record.",
            )


def _orphans(
    workspace: Workspace, archived: tuple[ForecastRun, ...], groups: tuple[StoredGroup, ...]
) -> Iterator[Finding]:
    known = {run.fields_url for run in archived}
    now = workspace.now()
    for group in groups:
        if group.url in known or now - group.changed_at < QUIET:
            continue
        kind = "fields that no run refers to" if group.whole else "the rest of a broken-off write"
        yield Finding(
            "orphan",
            group.url,
            f"{kind}, {group.n_bytes / 1e6:.1f} MB, of {group.changed_at:%Y-%m-%d %H:%M} UTC",
            "tidenet audit --fix removes it.",
            mend=lambda url=group.url: _remove(workspace, url),  # type: ignore[misc]
        )


def _remove(workspace: Workspace, url: str) -> tuple[str, bool]:
    remove_run(url, workspace.patience)
    return "removed", True
