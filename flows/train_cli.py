"""``tidenet train``, with one option for every field of the training configuration."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from flows.command import named_errors, workspace_of
from tidenet.configuration import TideNetConfig


def _train(
    context: typer.Context,
    until: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="Last month to learn from [last of the record]."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Recipe (short, medium) or YAML file with options."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
    note: Annotated[str, typer.Option(help="Name of the experiment; recorded.")] = "",
    promote: Annotated[
        bool, typer.Option("--promote", help="Make it the champion whatever the comparison says.")
    ] = False,
    **options: Any,
) -> None:
    """Train TIDE-Net on the record and register a model version.

    Every option below may also be a line of the --config file, or TIDENET_TRAIN_<OPTION> in the
    environment; the command line wins over the environment, the environment over the file.
    A training that was killed goes on where it was when the same command is given again.
    """
    from flows.operations.options import training_options
    from flows.operations.train import train as operation
    from flows.screen import print_trained, progress_bar
    from storage.months import month as parse_month

    workspace = workspace_of(context)
    chosen = training_options(config, options, n_leads=workspace.settings.n_leads)
    with progress_bar("Training") as progress:
        trained = operation(
            workspace,
            until=parse_month(until) if until else None,
            config=chosen,
            seed=seed,
            note=note,
            promote=promote,
            progress=progress,
        )
    print_trained(trained)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field: typer reads them from the signature."""
    signature = inspect.signature(command)
    fixed = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    made = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    f"--{name.replace('_', '-')}",
                    metavar=_values(field.annotation),
                    help=f"{_sentence(str(field.description))} [{_shown(field.default)}]",
                    rich_help_panel="Training options",
                ),
            ],
        )
        for name, field in TideNetConfig.model_fields.items()
    ]
    command.__signature__ = signature.replace(parameters=[*fixed, *made])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*fixed, *made]}
    return command


def _values(kind: Any) -> str:
    """Return what an option takes: its words, or its type."""
    words = getattr(kind, "__args__", ())
    if words and all(isinstance(word, str) for word in words):
        return "|".join(words)
    names = {int: "N", float: "X", str: "TEXT"}
    return names.get(kind, "A,B,...")


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or "none"
    return str(default)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


train = named_errors(_with_options(_train))
