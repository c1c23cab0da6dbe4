"""The demonstration: the whole loop on synthetic product files, in one folder, without services.

Every step looks first whether it was done, so that a second run is quick and changes nothing.
"""

import shutil
from pathlib import Path

from sqlalchemy import text

from flows.operations.backfill import backfill
from flows.operations.forecast import forecast
from flows.operations.ingest import IngestedFile, Outcome, ingest
from flows.operations.picture import draw_month
from flows.operations.train import train
from flows.operations.verify import verify
from flows.operations.workspace import Workspace, read_settings
from flows.screen import (
    CONSOLE,
    print_ingested,
    print_rows,
    print_trained,
    progress_bar,
    say,
)
from storage.grid import grid_named
from storage.months import Month, month, month_range
from storage.registry import champion

PRODUCT = "synthetic-ecs"
GRID = "carbon-ecs-10"
SEED = 2003
FIRST, LAST = month("2003-01"), month("2019-12")
TRAIN_UNTIL = month("2014-12")
HINDCASTS = month("2014-12"), month("2019-11")
ARRIVALS = month_range(month("2020-01"), month("2020-03"))
DAMAGED = month("2020-02")

SETTINGS = f"""\
# Settings of the demonstration; read by every tidenet command with --home on this folder.
TIDENET_PRODUCT={PRODUCT}
# Cell rows on half-degree cells keep the demonstration's database small.
TIDENET_ARCHIVE_STEP=0.5
# The synthetic sea ends in 2020: its forecasts are not stale for that.
TIDENET_STALE_MONTHS=0
"""

SKILL_SQL = """\
SELECT lead_months AS lead,
       round(msss_climatology, 3) AS "against climatology",
       round(msss_damped_persistence, 3) AS "against damped persistence",
       round(msss_persistence, 3) AS "against persistence",
       round(acc, 3) AS "anomaly correlation",
       n_months AS months
FROM skill_by_lead
WHERE region = 'all' AND issued_kind = 'hindcast'
ORDER BY lead_months"""


def run_demo(folder: Path) -> None:
    """Run the demonstration in a folder, or what is left of it to do."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".env").write_text(SETTINGS)
    workspace = Workspace(read_settings(folder))
    provider = folder / "provider"
    landing = Path(workspace.settings.landing_url)

    _step("1", f"A provider's files: {FIRST} to {LAST}, synthetic, with cloud gaps")
    _write_files(provider)
    for wanted in month_range(FIRST, LAST):
        _deliver(provider, landing, wanted)

    _step("2", "Ingest: check, complete and commit, one month a transaction")
    print_ingested(_ingest(workspace))

    _step("3", f"Train TIDE-Net on the months to {TRAIN_UNTIL}")
    _train_once(workspace)

    _step("4", f"Hindcasts from {HINDCASTS[0]} to {HINDCASTS[1]}, scored")
    with progress_bar("hindcasts") as progress:
        runs = backfill(workspace, *HINDCASTS, progress=progress)
    say(f"  {sum(run.created for run in runs)} made, {len(runs)} in the archive.")
    _verify(workspace)

    _step("5", "Live: new months arrive one by one")
    _forecast(workspace)
    for arriving in ARRIVALS:
        if arriving == DAMAGED:
            _deliver_damaged(workspace, provider, landing, arriving)
        _arrive(workspace, provider, landing, arriving)

    _step("6", "Skill of the hindcasts (MSSS: 1 is perfect, 0 is no better), read back by SQL")
    with workspace.engine.connect() as connection:
        answer = connection.execute(text(SKILL_SQL))
        print_rows(list(answer.keys()), answer.fetchall())
    picture = draw_month(workspace, valid_month=ARRIVALS[-1], lead=1)
    say(f"\nForecast, observation and difference as a map:\n  {picture}\n")
    say("Three commands to try next:")
    question = (
        "SELECT init_month, lead_months, valid_month, mean, q05, q95 "
        "FROM forecast_latest WHERE region = 'ecs-shelf'"
    )
    for command in ("status", "query uptake-by-year --region ecs-shelf", f'sql "{question}"'):
        say(f"  .venv/bin/tidenet --home {folder} {command}")


def _step(number: str, title: str) -> None:
    CONSOLE.print(f"\n[bold]{number}  {title}[/]", highlight=False)


def _write_files(provider: Path) -> None:
    from ingest.synthetic.files import write_months

    with progress_bar("files") as progress:
        write_months(
            provider,
            grid_named(GRID),
            month_range(FIRST, ARRIVALS[-1]),
            seed=SEED,
            progress=progress,
        )


def _file_name(wanted: Month) -> str:
    from ingest.synthetic.files import file_name

    return file_name(wanted)


def _deliver(provider: Path, landing: Path, wanted: Month) -> bool:
    """Put a month's file into the landing zone; False if it lies there already."""
    source, target = provider / _file_name(wanted), landing / _file_name(wanted)
    if target.exists() and target.read_bytes() == source.read_bytes():
        return False
    landing.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target.with_suffix(".part"))
    target.with_suffix(".part").replace(target)
    return True


def _deliver_damaged(workspace: Workspace, provider: Path, landing: Path, wanted: Month) -> None:
    """Deliver a file that was cut off half-way, unless the whole one has arrived already."""
    target = landing / _file_name(wanted)
    if target.exists():
        return
    whole = (provider / target.name).read_bytes()
    target.write_bytes(whole[: len(whole) // 2])
    say(f"{wanted} arrives, damaged on the way:")
    print_ingested(_changed(_ingest(workspace)))
    _forecast(workspace)
    _verify(workspace)
    say("  The provider sends it again.")


def _arrive(workspace: Workspace, provider: Path, landing: Path, wanted: Month) -> None:
    if _deliver(provider, landing, wanted):
        say(f"{wanted} arrives:")
    print_ingested(_changed(_ingest(workspace)))
    _forecast(workspace)
    _verify(workspace)


def _changed(files: list[IngestedFile]) -> list[IngestedFile]:
    return [file for file in files if file.outcome is not Outcome.UNCHANGED] or files[-1:]


def _ingest(workspace: Workspace) -> list[IngestedFile]:
    with progress_bar("ingest") as progress:
        return ingest(workspace, progress=progress)


def _train_once(workspace: Workspace) -> None:
    existing = champion(workspace.engine, GRID)
    if existing is not None:
        say(f"  Champion model {existing.version} exists.")
        return
    with progress_bar("training") as progress:
        print_trained(train(workspace, until=TRAIN_UNTIL, note="demo", progress=progress))


def _forecast(workspace: Workspace) -> None:
    run = forecast(workspace)
    made = "made" if run.created else "existed already"
    say(f"  Forecast from {run.init_month}: {made}, run {run.run_id}.")


def _verify(workspace: Workspace) -> None:
    with progress_bar("verify") as progress:
        verified = verify(workspace, progress=progress)
    say(f"  {verified.n_scored} forecast months scored.")
