"""``tidenet evaluate``: TIDE-Net beside every reference, on the record or on any other field."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command import named_errors, workspace_of

if TYPE_CHECKING:
    from flows.operations.evaluate import Evaluation
    from flows.operations.workspace import Workspace
    from storage.months import Month
    from storage.settings import Settings
    from tidenet.configuration import TideNetConfig


@named_errors
def evaluate(
    context: typer.Context,
    train_until: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM",
            help="Last month of the first training period [three quarters of the months].",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="Last init month [last that can be verified]."),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Any monthly (time, lat, lon) field, NetCDF or Zarr, in place of the record.",
        ),
    ] = None,
    variable: Annotated[
        str | None, typer.Option(metavar="NAME", help="Variable of the field [the only one].")
    ] = None,
    first_month: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM", help="Month of the field's first step [what its time axis says]."
        ),
    ] = None,
    coarsen: Annotated[
        int | None,
        typer.Option(min=1, help="Cells per block that the field is averaged to [if it is large]."),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="A,B,...",
            help="Methods, or 'all' with the slow neural references [TIDE-Net and all statistical "
            "references].",
        ),
    ] = "",
    weights: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="A saved model besides: file, folder, URL or registered version; ours or a "
            "checkpoint of the TIDE-Net research code.",
        ),
    ] = "",
    config: Annotated[
        str, typer.Option(help="Training options: short, medium or a YAML file [short].")
    ] = "short",
    leads: Annotated[
        int | None, typer.Option(min=1, max=12, help="Lead months [those of the options].")
    ] = None,
    refit_months: Annotated[
        int, typer.Option(min=0, help="Fit all but the networks anew so often; 0: once.")
    ] = 12,
    retrain_months: Annotated[
        int, typer.Option(min=0, help="Train the networks anew so often; 0: once.")
    ] = 0,
    members: Annotated[int, typer.Option(min=2, help="Ensemble members.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of training and ensembles.")] = 0,
    json_file: Annotated[
        str, typer.Option("--json", metavar="FILE", help="Write all numbers; - for the screen.")
    ] = "",
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw skill and reliability diagrams.")
    ] = None,
) -> None:
    """Compare TIDE-Net with what a careful forecaster would use, by hindcasts never seen before.

    Each method is fitted up to a month and forecasts from the months after it; skill is against the
    climatology of its own training period, with 90 % block-bootstrap intervals.
    """
    from flows.evaluate_screen import draw, print_evaluation, write_json
    from flows.operations.evaluate import Plan
    from flows.operations.evaluate import evaluate as operation
    from flows.operations.saved_model import read_saved
    from flows.screen import progress_bar, say
    from storage.months import month

    workspace = workspace_of(context)
    options = _options(config, leads, workspace.settings)
    cut_off = month(train_until) if train_until else None
    reading = {
        "variable": variable,
        "train_until": cut_off,
        "coarsen": coarsen,
        "first_month": month(first_month) if first_month else None,
    }
    saved = read_saved(workspace, weights) if weights else None
    about = _what(workspace, options, field, reading, () if saved is None else saved.drivers)
    plan = Plan(
        about.pop("train_until"),
        month(until) if until else None,
        tuple(name.strip() for name in methods.split(",") if name.strip()),
        refit_months,
        retrain_months,
        members,
        seed,
    )
    with progress_bar("Evaluating") as progress:
        found: Evaluation = operation(
            plan=plan, config=options, weights=saved, progress=progress, **about
        )
    if json_file != "-":
        print_evaluation(found)
    if json_file:
        write_json(found, json_file)
    if pictures is not None:
        for file in draw(found, pictures):
            say(str(file))


def _options(config: str, leads: int | None, settings: "Settings") -> "TideNetConfig":
    from flows.operations.options import training_options

    return training_options(config, {"n_leads": leads} if leads else {}, settings)


def _what(
    workspace: "Workspace",
    options: "TideNetConfig",
    field: str | None,
    reading: dict[str, Any],
    drivers: tuple[str, ...],
) -> dict[str, Any]:
    """Return the record to evaluate on, what it is, and until when to train.

    The record is read with the drivers of the options and some besides.
    """
    if field is None:
        cut_off: Month | None = reading["train_until"]
        from flows.operations.drivers import needed_drivers
        from flows.operations.workspace import flux_record

        drivers = tuple(dict.fromkeys((*needed_drivers(options.model_dump()), *drivers)))
        record = flux_record(workspace.record(), None, None, drivers)
        cut_off = cut_off or record.months[len(record.months) * 3 // 4 - 1]
        return {"record": record, "train_until": cut_off}
    from flows.operations.field import read_field

    read = read_field(field, **reading)
    return {
        "record": read.record,
        "train_until": read.train_until,
        "source": field,
        "variable": read.variable,
        "units": read.units,
        "notes": read.notes,
    }
