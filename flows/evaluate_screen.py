"""What people see of an evaluation: a table, a JSON file, diagrams."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Column, Table

from flows.operations.evaluate import DAMPED, OURS, Evaluation, MethodSkill, probability_of
from flows.screen import CONSOLE, say

if TYPE_CHECKING:
    from tidenet.verification.bootstrap import Interval

WIDTH = 96
"""Least width of a table (characters)."""

DRAWN = 6
"""Most methods in one diagram: more cannot be told apart."""


def print_evaluation(found: Evaluation) -> None:
    """Print what was compared, the skill by method and lead, and what would be served."""
    for note in found.notes:
        say(f"note: {note}")
    first, last = found.init_months[0], found.init_months[-1]
    title = (
        f"{found.variable} ({found.units or 'no units'}), {len(found.init_months)} init months "
        f"{first} to {last}, first trained until {found.plan.train_until}\n"
        "MSSS against climatology by lead: 1 perfect, 0 no better\n"
        "gain: over damped persistence, mean of the leads; clear: leads whose 90 % block-bootstrap "
        "interval of the gain lies above zero"
    )
    # A number is not to be cut off because the screen is narrow, or is none.
    for table in (_table(found, title), _probability_table(found)):
        needed = CONSOLE.measure(table, options=CONSOLE.options.update(width=10_000)).maximum
        Console(width=max(CONSOLE.width, WIDTH, needed)).print(table)
    for name, why in found.failed.items():
        say(f"{name}: no forecasts, {why}")
    if OURS in found.methods:
        say(f"served: {found.served}")
        for line in _shortcomings(found):
            say(line)


def _table(found: Evaluation, title: str) -> Table:
    table = _empty(title, ["method", *map(str, found.leads), "mean", "gain", "clear"])
    for name, skill in found.methods.items():
        difference = skill.over_damped
        beside = name != DAMPED
        table.add_row(
            name,
            *(_signed(value) for value in skill.msss.estimate),
            _signed(skill.mean_msss.estimate),
            _signed(np.nanmean(difference.estimate)) if beside else "",
            _clear(difference) if beside else "",
        )
    return table


def _probability_table(found: Evaluation) -> Table:
    title = (
        "CRPSS against climatology dressed with its own spread; s/e: spread over error; in90: part "
        "of the observations inside the 90 % interval"
    )
    columns = ["method", *map(str, found.leads), "s/e", "in90"]
    table = _empty(title, columns)
    for name, skill in found.methods.items():
        table.add_row(
            name,
            *(_signed(value) for value in skill.crpss.estimate),
            f"{np.nanmean(skill.scores['spread_skill']):.2f}",
            f"{100 * np.nanmean(skill.scores['coverage_90']):.0f} %",
        )
    return table


def _shortcomings(found: Evaluation) -> Iterator[str]:
    """Yield where TIDE-Net is not above climatology or damped persistence."""
    ours = found.methods[OURS]
    for label, values in (
        ("climatology", ours.msss.estimate),
        ("damped persistence", ours.over_damped.estimate),
    ):
        below = [str(k) for k, value in zip(found.leads, values, strict=True) if value <= 0]
        if below:
            yield f"not above {label} at lead {', '.join(below)}"


def write_json(found: Evaluation, file: str) -> None:
    """Write all numbers to a file, or to the screen for ``-``."""
    text = json.dumps(as_json(found), indent=1)
    if file == "-":
        typer_echo(text)
    else:
        path = Path(file).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the comparison as JSON-able values; numbers that are not defined are null."""
    plan = evaluation.plan
    return {
        "source": evaluation.source,
        "variable": evaluation.variable,
        "units": evaluation.units,
        "train_until": str(plan.train_until),
        "refit_months": plan.refit_months,
        "retrain_months": plan.retrain_months,
        "first_init": str(evaluation.init_months[0]),
        "last_init": str(evaluation.init_months[-1]),
        "n_init_months": len(evaluation.init_months),
        "members": plan.n_members,
        "seed": plan.seed,
        "leads": list(evaluation.leads),
        "served": evaluation.served,
        "notes": list(evaluation.notes),
        "failed": dict(evaluation.failed),
        "methods": {name: _skill_json(skill) for name, skill in evaluation.methods.items()},
    }


def _skill_json(skill: MethodSkill) -> dict[str, Any]:
    return {
        "msss": _numbers(skill.msss.estimate),
        "msss_low": _numbers(skill.msss.low),
        "msss_high": _numbers(skill.msss.high),
        "msss_mean": _numbers(skill.mean_msss.estimate),
        "msss_minus_damped": _numbers(skill.over_damped.estimate),
        "msss_minus_damped_low": _numbers(skill.over_damped.low),
        "msss_minus_damped_high": _numbers(skill.over_damped.high),
        "msss_mean_minus_damped": _numbers(skill.mean_over_damped.estimate),
        "interval": [_numbers(skill.mean_over_damped.low), _numbers(skill.mean_over_damped.high)],
        "msss_vs_damped": _numbers(skill.scores["msss_damped_persistence"]),
        "rmse": _numbers(skill.scores["rmse"]),
        "crpss": _numbers(skill.crpss.estimate),
        "crpss_low": _numbers(skill.crpss.low),
        "crpss_high": _numbers(skill.crpss.high),
        "scores": {key: _numbers(values) for key, values in skill.scores.items()},
        "seasons": {
            season: {
                key: {
                    "estimate": _numbers(found.estimate),
                    "low": _numbers(found.low),
                    "high": _numbers(found.high),
                }
                for key, found in values.items()
            }
            for season, values in skill.seasons.items()
        },
    }


def _numbers(values: np.ndarray) -> Any:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim:
        return [_numbers(value) for value in array]
    return round(float(array), 5) if np.isfinite(array) else None


def typer_echo(text: str) -> None:
    """Print text for another program: unwrapped."""
    import typer

    typer.echo(text)


def draw(found: Evaluation, folder: Path) -> list[Path]:
    """Draw skill by lead, and reliability, ranks and ROC of TIDE-Net; return the files."""
    from tidenet.verification.diagrams import (
        rank_histograms,
        reliability_diagram,
        roc_diagram,
        skill_by_lead,
    )

    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in (OURS, DAMPED) if name in found.methods]
    names += [name for name in found.methods if name not in (*names, "climatology")]
    names = names[:DRAWN]
    what = f"{found.variable}, {len(found.init_months)} init months"
    label = "MSSS against climatology"
    msss: dict[str, Interval] = {name: found.methods[name].msss for name in names}
    figures = {"skill": skill_by_lead(msss, found.leads, label=label, title=what)}
    crpss: dict[str, Interval] = {name: found.methods[name].crpss for name in names}
    label = "CRPSS against climatology"
    figures["crpss"] = skill_by_lead(crpss, found.leads, label=label, title=what)
    first = names[0]
    sums, title = probability_of(found, first), f"{first}, {what}"

    def rng() -> np.random.Generator:
        return np.random.default_rng(0)

    figures["ranks"] = rank_histograms(sums, title=title, rng=rng())
    figures["reliability"] = reliability_diagram(sums, title=title, rng=rng())
    both = {name: probability_of(found, name) for name in names[:2]}
    figures["roc"] = roc_diagram(both, title=what, rng=rng())
    files = []
    for name, figure in figures.items():
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=120)
    return files


def _empty(title: str, columns: list[str]) -> Table:
    method, *numbers = columns
    return Table(
        Column(method, no_wrap=True),
        *(Column(name, no_wrap=True, justify="right") for name in numbers),
        title=title,
        title_justify="left",
        title_style="dim",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def _signed(value: float | np.ndarray) -> str:
    """Return a skill in five characters, however bad it is."""
    number = float(value)
    if not np.isfinite(number):
        return "-"
    if abs(number) >= 999.5:
        return "<-999" if number < 0 else ">+999"
    return f"{number:+.2f}" if abs(number) < 9.995 else f"{number:+.0f}"


def _clear(difference: "Interval") -> str:
    """Return at how many leads the interval lies above zero, of how many."""
    known = np.isfinite(difference.low)
    return f"{int((difference.low[known] > 0).sum())}/{int(known.sum())}"
