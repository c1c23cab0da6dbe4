"""One screen for the operator: where the record, the model and the forecasts stand.

Everything is read from the archive database, so that it answers quickly and also when the record's
storage does not.
"""

from dataclasses import dataclass

from flows.operations.overdue import Overdue, overdue
from flows.operations.workspace import Workspace
from ingest.catalogue import load_product
from storage.archive import ForecastRun, OutdatedRun, last_run, outdated_runs, skill_table
from storage.drift_checks import DriftCheck, last_drift_check
from storage.ledger import FileStatus, latest_months, open_quarantine, open_waiting
from storage.months import Month
from storage.registry import ModelVersion, champion
from storage.score_rows import SkillRow


@dataclass(frozen=True)
class Status:
    """Where things stand.

    Parameters
    ----------
    product, home
        The product that is ingested, and where things are kept.
    first_month, last_month, n_months
        Span of the record; None and 0 while it is empty.
    quarantined, waiting
        Files that were refused and not replaced since, and files that wait for an earlier month.
    model
        The champion; None if there is none.
    run
        The run with the latest init month; None if there is none.
    skill
        The champion's skill over all ocean cells, by kind and lead.
    drift
        The newest look at its drift; None if nobody has looked or there is too little to look at.
    preliminary
        Months of which the provider will publish a final version.
    outdated
        Runs that read an older revision of a month than the record holds now.
    overdue
        What should be there by now and is not.
    """

    product: str
    home: str
    first_month: Month | None
    last_month: Month | None
    n_months: int
    quarantined: tuple[FileStatus, ...]
    waiting: tuple[FileStatus, ...]
    model: ModelVersion | None
    run: ForecastRun | None
    skill: tuple[SkillRow, ...]
    drift: DriftCheck | None
    preliminary: tuple[Month, ...]
    outdated: tuple[OutdatedRun, ...]
    overdue: tuple[Overdue, ...]


def status(workspace: Workspace) -> Status:
    """Return where things stand now."""
    settings, engine = workspace.settings, workspace.engine
    revisions = latest_months(engine)
    months = [revision.committed.month for revision in revisions]
    last_month = months[-1] if months else None
    # The record itself says what it is made from; the setting only matters while it is empty.
    name = revisions[-1].product if revisions else settings.product
    product = load_product(name, settings.products_folder)
    model = champion(engine, product.grid_of_record.name)
    run = last_run(engine)
    newest = revisions[-1].committed if revisions else None
    skill = skill_table(engine, "all", model_version=model.version) if model else ()
    return Status(
        product=product.name,
        home=str(settings.home),
        first_month=months[0] if months else None,
        last_month=last_month,
        n_months=len(months),
        quarantined=open_quarantine(engine),
        waiting=open_waiting(engine),
        model=model,
        run=run,
        skill=tuple(skill),
        drift=last_drift_check(engine, model.version) if model else None,
        preliminary=tuple(r.committed.month for r in revisions if r.stage == "preliminary"),
        outdated=outdated_runs(engine),
        overdue=overdue(newest, run, product.latency_days, settings, workspace.now()),
    )
