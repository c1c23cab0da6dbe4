"""What a flow run shows in the Prefect UI: markdown, table rows and a picture as plain values.

Everything is read back from the archive, so that a page shows what is kept, not what was meant.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import PurePosixPath

from flows.operations.fields import UNITS
from flows.operations.markdown import code, interval, page, plain, signed, table
from flows.operations.workspace import Workspace
from storage.archive import ForecastRun, SkillRow, skill_table
from storage.archive import run as archived_run
from storage.ledger import (
    CheckResult,
    FileStatus,
    MonthRevision,
    checks_of,
    latest_months,
    open_quarantine,
    open_waiting,
)
from storage.months import Month
from storage.registry import Promotion, PromotionFigure, champion, model, promotions
from storage.run_summaries import regional_forecast

N_DETAILED = 12
"""Accepted months whose checks are listed one by one: a first ingest brings hundreds."""

PICTURE_DPI = 90


# --- months ---------------------------------------------------------------------------------------


def validation_report(workspace: Workspace, product: str, months: Sequence[Month]) -> str:
    """Return what became of months and what every check of their files said, as markdown.

    Parameters
    ----------
    workspace
        Settings and archive.
    product
        Name of the product that they were delivered as.
    months
        The months that were looked at. Checks of refused files and of the newest `N_DETAILED`
        accepted ones are listed.
    """
    wanted = sorted(set(months))
    if not wanted:
        return page(f"# Validation of {plain(product)}", "No month was looked at.")
    engine = workspace.engine
    held = [
        revision
        for revision in latest_months(engine, until=wanted[-1], since=wanted[0])
        if revision.product == product and revision.committed.month in wanted
    ]
    refused = [
        file
        for file in (*open_quarantine(engine), *open_waiting(engine))
        if file.file.product == product and file.file.month in set(wanted)
    ]
    keys = [one.product_file_id for one in held] + [one.product_file_id for one in refused]
    checks = {key: checks_of(engine, key) for key in keys}
    rows = [_held_row(one, checks[one.product_file_id]) for one in held]
    rows += [_refused_row(one, checks[one.product_file_id]) for one in refused]
    known = {row[0] for row in rows}
    rows += [[str(m), "nothing known", *[""] * 5] for m in wanted if str(m) not in known]
    columns = ("month", "outcome", "file", "SHA-256", "observed", "completed", "checks passed")
    return page(
        f"# Validation of {plain(product)}",
        table(columns, sorted(rows)),
        *(_refusal(one, checks[one.product_file_id]) for one in refused),
        *(_details(one, checks[one.product_file_id]) for one in held[-N_DETAILED:]),
    )


def _held_row(revision: MonthRevision, checks: Sequence[CheckResult]) -> list[str]:
    committed = revision.committed
    again = "committed" if committed.revision == 1 else f"revised (revision {committed.revision})"
    preliminary = ", preliminary" if revision.stage == "preliminary" else ""
    return [
        str(committed.month),
        again + preliminary,
        code(PurePosixPath(revision.url).name),
        code(revision.sha256[:12]),
        f"{committed.n_observed / committed.n_ocean:.1%}",
        f"{committed.n_completed / committed.n_ocean:.1%}",
        _passed(checks),
    ]


def _refused_row(status: FileStatus, checks: Sequence[CheckResult]) -> list[str]:
    file = status.file
    outcome = f"**{status.status}**"
    name, sha256 = code(file.file_name), code(file.sha256[:12])
    return [str(file.month), outcome, name, sha256, "", "", _passed(checks)]


def _passed(checks: Sequence[CheckResult]) -> str:
    return f"{sum(check.passed for check in checks)} of {len(checks)}"


def _refusal(status: FileStatus, checks: Sequence[CheckResult]) -> str:
    return page(
        f"## {status.file.month}: {code(status.file.file_name)} {status.status}",
        plain(status.message),
        f"**What to do:** {plain(status.remedy)}" if status.remedy else "",
        _check_table(checks),
    ).rstrip()


def _details(revision: MonthRevision, checks: Sequence[CheckResult]) -> str:
    why = f", {plain(revision.committed.reason)}" if revision.committed.reason else ""
    return page(f"## {revision.committed.month}{why}", _check_table(checks)).rstrip()


def _check_table(checks: Sequence[CheckResult]) -> str:
    """Return every check, those that failed first."""
    ordered = sorted(checks, key=lambda check: check.passed)
    rows = [
        [
            plain(check.name),
            "yes" if check.passed else f"**no** ({check.severity})",
            plain(check.found),
            plain(check.expected),
        ]
        for check in ordered
    ]
    return table(("check", "passed", "found", "expected"), rows) if rows else ""


# --- a forecast -----------------------------------------------------------------------------------


def forecast_summary(workspace: Workspace, run_id: str) -> str:
    """Return what a run says of every region, as markdown; why it is degraded comes first.

    Raises
    ------
    UnknownRunError
        If the archive holds no such run.
    """
    run = archived_run(workspace.engine, run_id)
    order = [region.name for region in workspace.regions]
    found = [row for row in regional_forecast(workspace.engine, run_id) if row.region in order]
    found.sort(key=lambda row: (order.index(row.region), row.lead_months))
    rows = [
        [
            plain(row.region),
            str(row.lead_months),
            str(row.valid_month),
            *(signed(value) for value in (row.mean, row.q05, row.q95, row.climatology)),
            *(signed(value, 3) for value in (row.flux_tgc_mean, row.flux_tgc_q05)),
            signed(row.flux_tgc_q95, 3),
        ]
        for row in found
    ]
    columns = ("region", "lead", "month", "mean", "q05", "q95", "climatology")
    return page(
        f"**Degraded: {plain(run.degraded_reason)}**" if run.degraded else "",
        f"# Forecast from {run.init_month}",
        _origin(run),
        f"Mean, 90 % interval and climatology in {UNITS}; Tg C is the flux of the whole region in "
        "the month. All positive out of the sea: uptake is negative.",
        table((*columns, "Tg C", "q05", "q95"), rows),
    )


def _origin(run: ForecastRun) -> str:
    made = f"{run.created_at:%Y-%m-%d %H:%M} UTC"
    text = (
        f"Run {code(run.id)} ({run.issued_kind}) of {plain(run.model_version)}, made {made} in "
        f"{run.duration_s:.1f} s on {plain(run.hardware)}."
    )
    why = f"Made because: {plain(run.reason)}." if run.reason else ""
    return " ".join(part for part in (text, why, plain(run.placement)) if part)


def forecast_map(workspace: Workspace, run_id: str) -> bytes:
    """Return maps of a run as a PNG: at the first, a middle and the last lead.

    Above the mean, below the width of the 90 % interval.

    Raises
    ------
    UnknownRunError
        If the archive holds no such run.
    MissingFieldsError, CorruptFieldsError
        If its gridded fields are gone, or cannot be read.
    """
    from storage.gridded import read_run
    from tidenet.plots import outlook_map

    run = archived_run(workspace.engine, run_id)
    leads = sorted({1, (run.n_leads + 1) // 2, run.n_leads})
    fields = read_run(run.fields_url, workspace.patience).sel(lead=leads)
    ends = fields["fco2"].sel(quantile=[0.05, 0.95], method="nearest").values
    store = workspace.record()
    degraded = f"Degraded: {run.degraded_reason}" if run.degraded else ""
    figure = outlook_map(
        fields["fco2_mean"].values,
        ends[:, 1] - ends[:, 0],
        grid=store.grid,
        ocean=store.ocean,
        init_month=run.init_month,
        leads=leads,
        source=f"{run.model_version}, {run.issued_kind}. {degraded}".strip(),
    )
    png = BytesIO()
    figure.savefig(png, format="png", dpi=PICTURE_DPI)
    return png.getvalue()


# --- models ---------------------------------------------------------------------------------------


def skill_report(workspace: Workspace, grid: str) -> list[dict[str, str]]:
    """Return the champion's skill over the whole sea, a row for each kind and lead.

    Nothing where there is no champion, or nothing of it was scored.
    """
    current = champion(workspace.engine, grid)
    if current is None:
        return []
    rows = skill_table(workspace.engine, "all", model_version=current.version)
    return [_skill_cells(row) for row in rows]


def _skill_cells(row: SkillRow) -> dict[str, str]:
    return {
        "model": row.model_version,
        "forecasts": row.issued_kind,
        "lead": str(row.lead_months),
        "months": str(row.n_months),
        "MSSS, climatology": signed(row.msss_climatology),
        "90 % interval": interval(row.msss_climatology_low, row.msss_climatology_high),
        "MSSS, damped persistence": signed(row.msss_damped_persistence),
        "ACC": signed(row.acc),
        "CRPSS": signed(row.crpss),
        "inside 90 %": "" if row.coverage_90 is None else f"{row.coverage_90:.0%}",
        f"RMSE, {UNITS}": "" if row.rmse is None else f"{row.rmse:.2f}",
    }


def promotion_report(workspace: Workspace, version: str) -> str:
    """Return how it was decided about a model and by which figures, as markdown, newest first.

    Raises
    ------
    UnknownModelError
        If it is not registered.
    """
    found = model(workspace.engine, version)
    decisions = [one for one in promotions(workspace.engine) if one.model_version == version]
    trained = f"Trained on {found.trained_from} to {found.trained_until}, seed {found.seed}"
    hardware = f", on {plain(found.hardware)}" if found.hardware else ""
    return page(
        f"# Model {plain(version)}",
        *(_decision(one) for one in reversed(decisions)),
        "" if decisions else "Nothing was decided about it yet.",
        "## What it was made with",
        f"{trained}{hardware}. {plain(found.placement)}".strip(),
        f"Snapshot {code(found.snapshot_id)}, weights {code(found.weights_sha256[:12])}, "
        f"code {plain(found.code_version)}.",
    )


def _decision(decision: Promotion) -> str:
    verdict = "Promoted" if decision.promoted else "Not promoted"
    before = decision.previous_champion
    columns = ("beside", "lead", "MSSS, difference", "90 % interval", "RMSE", "its RMSE", "months")
    figures = [_figure_cells(figure) for figure in decision.figures]
    about = (
        "MSSS against climatology, this model minus the other: above 0 is better. RMSE in "
        f"{UNITS}. Months: that both forecast, and neither has learned from."
    )
    return page(
        f"## {verdict} ({decision.kind}), {decision.decided_at:%Y-%m-%d %H:%M} UTC",
        f"By {plain(decision.decided_by)}: {plain(decision.reason)}",
        f"Champion at the time: {plain(before)}." if before else "There was no champion before.",
        f"{about}\n\n{table((*columns, 'passed'), figures)}" if figures else "",
    ).rstrip()


def _figure_cells(figure: PromotionFigure) -> list[str]:
    return [
        figure.rival,
        "all" if figure.lead_months == 0 else str(figure.lead_months),
        signed(figure.difference, 3),
        interval(figure.low, figure.high, 3),
        f"{figure.rmse:.3f}",
        f"{figure.rmse_rival:.3f}",
        str(figure.n_months),
        "" if figure.passed is None else ("yes" if figure.passed else "**no**"),
    ]
