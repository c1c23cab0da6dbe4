"""What people see of models on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from flows.screen import CONSOLE, UNITS, say

if TYPE_CHECKING:
    from flows.operations.models import ListedModel
    from storage.registry import ModelVersion, Promotion


def print_models(models: "Sequence[ListedModel]") -> None:
    """Print every model in one table."""
    if not models:
        say("No model is registered yet: tidenet train, or tidenet models import.")
        return
    table = Table(
        title="MSSS against climatology on the validation block; * forecasts now",
        title_style="dim",
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name in ("", "version", "method", "trained to", "MSSS", "last decision", "note"):
        table.add_column(name, no_wrap=name not in ("last decision", "note"), overflow="fold")
    for one in models:
        last = one.decisions[-1] if one.decisions else None
        verdict = "none" if last is None else ("promoted" if last.promoted else "not promoted")
        skill = one.version.metrics.get("msss")
        table.add_row(
            "*" if one.is_champion else "",
            escape(one.version.version),
            escape(one.version.method),
            str(one.version.trained_until),
            f"{skill:+.3f}" if isinstance(skill, int | float) else "",
            verdict if last is None else f"{verdict} ({last.kind}), {last.decided_at:%Y-%m-%d}",
            escape(one.version.note),
        )
    CONSOLE.print(table)


def print_model(one: "ListedModel") -> None:
    """Print all that is known of one model."""
    version = one.version
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", justify="right")
    grid.add_column()
    skill = version.metrics.get("msss_by_lead") or {}
    rows = {
        "version": version.version + (" (champion)" if one.is_champion else ""),
        "method": f"{version.method} on {version.grid}",
        "trained": f"{version.trained_from} to {version.trained_until}, seed {version.seed}",
        "validated": f"{version.validated_from} to {version.validated_until}"
        if version.validated_from is not None
        else "",
        "snapshot": version.snapshot_id,
        "code": version.code_version,
        "weights": version.weights_url,
        "SHA-256": version.weights_sha256,
        "made": f"{version.created_at:%Y-%m-%d %H:%M} UTC {version.hardware}".strip(),
        "imported": version.source,
        "note": version.note,
        "skill by lead": " ".join(f"{lead}: {value:+.2f}" for lead, value in skill.items()),
        "options": ", ".join(f"{name}={value}" for name, value in sorted(version.config.items())),
        "drift": "" if one.drift is None else one.drift.reason,
    }
    for label, text in rows.items():
        if text:
            grid.add_row(label, escape(str(text)))
    CONSOLE.print(grid, highlight=False)
    for decision in one.decisions:
        print_decision(decision)
    if not one.decisions:
        say("Nothing was decided about it yet.")


def print_decision(decision: "Promotion") -> None:
    """Print a decision with its figures over all leads."""
    verdict = "promoted" if decision.promoted else "not promoted"
    say(
        f"{decision.model_version} {verdict} ({decision.kind}) by {decision.decided_by}, "
        f"{decision.decided_at:%Y-%m-%d %H:%M} UTC. {decision.reason}"
    )
    figures = [figure for figure in decision.figures if figure.lead_months == 0]
    if not figures:
        return
    table = Table(
        *("beside", "MSSS", "90 % interval", "RMSE", "rival's", "months", "passed"),
        title=f"Difference in MSSS against climatology over all leads; RMSE in {UNITS}",
        title_style="dim",
        header_style="bold",
    )
    for figure in figures:
        known = figure.low is not None and figure.high is not None
        table.add_row(
            figure.rival,
            f"{figure.difference:+.3f}",
            f"{figure.low:+.3f} .. {figure.high:+.3f}" if known else "",
            f"{figure.rmse:.3f}",
            f"{figure.rmse_rival:.3f}",
            str(figure.n_months),
            "" if figure.passed is None else ("yes" if figure.passed else "no"),
        )
    CONSOLE.print(table)


def print_imported(version: "ModelVersion") -> None:
    """Print an imported model and what to do with it."""
    say(f"Model version {version.version}, SHA-256 {version.weights_sha256}.")
    if version.note:
        say(f"note: {version.note}")
    say(f"It is registered and forecasts nothing yet: tidenet models promote {version.version}.")
