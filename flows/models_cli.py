"""``tidenet models``: what is registered, and a person's decisions about it.

Exit codes as of every command.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import named_errors, workspace_of

if TYPE_CHECKING:
    from storage.months import Month

models_app = typer.Typer(
    help="Registered models: list, show, import, promote, go back.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_Version = Annotated[str, typer.Argument(help="A registered version (tidenet models list).")]


@models_app.command("list")
@named_errors
def list_models(context: typer.Context) -> None:
    """List every model, oldest first: its skill, what was decided about it, which one forecasts."""
    from flows.models_screen import print_models
    from flows.operations.models import list_models as operation

    print_models(operation(workspace_of(context)))


@models_app.command()
@named_errors
def show(context: typer.Context, version: _Version) -> None:
    """Show all that is known of one model: training, content, decisions with figures, drift."""
    from flows.models_screen import print_model
    from flows.operations.models import show_model

    print_model(show_model(workspace_of(context), version))


@models_app.command("import")
@named_errors
def import_model(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_URL",
            help="Folder with weights.safetensors and model.json, such a weights file, or a "
            "checkpoint of the research code; local, http(s):// or s3://.",
        ),
    ],
    sha256: Annotated[
        str,
        typer.Option(
            metavar="HEX",
            help="Checksum of the weights file, or of the model as another registry shows it.",
        ),
    ] = "",
    name: Annotated[str, typer.Option(help="Beginning of its version [as it comes].")] = "",
    note: Annotated[str, typer.Option(help="What to write about it.")] = "",
    trained_from: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="First month it has learned from [as it says]."),
    ] = None,
    trained_until: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="Last month it has learned from [as it says]."),
    ] = None,
) -> None:
    """Take a model that was trained elsewhere into the registry; it does not forecast yet."""
    from flows.models_screen import print_imported
    from flows.operations.model_import import TrainingSpan
    from flows.operations.model_import import import_model as operation

    span = TrainingSpan(_month(trained_from), _month(trained_until))
    print_imported(
        operation(workspace_of(context), source, sha256=sha256, name=name, note=note, span=span)
    )


@models_app.command()
@named_errors
def promote(
    context: typer.Context,
    version: _Version,
    reason: Annotated[str, typer.Option(help="Why; recorded with who and when.")],
) -> None:
    """Make a model the champion by hand, if it can be served."""
    from flows.models_screen import print_decision
    from flows.operations.models import promote as operation

    print_decision(operation(workspace_of(context), version, reason))


@models_app.command()
@named_errors
def rollback(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; recorded with who and when.")],
) -> None:
    """Make the champion before the present one the champion again."""
    from flows.models_screen import print_decision
    from flows.operations.models import roll_back

    print_decision(roll_back(workspace_of(context), reason))


def _month(text: str | None) -> "Month | None":
    from storage.months import month

    return None if text is None else month(text)
