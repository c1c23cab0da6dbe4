"""``tidenet train``: every training option is an option of the command, made from its field."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from flows.command import named_errors, workspace_of
from flows.operations.options import is_config, option_name
from tidenet.configuration import TideNetConfig

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def with_training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for every training option, in place of its ``**options``.

    The command gets those that were given, as text: they are checked together with what the
    environment and the file say.
    """

    def run(*args: Any, **values: Any) -> Any:
        unset = [name for name in TideNetConfig.model_fields if values[name] is None]
        return command(*args, **{k: v for k, v in values.items() if k not in unset})

    own = inspect.signature(command, eval_str=True)
    kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    made = [_parameter(name, field) for name, field in TideNetConfig.model_fields.items()]
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    run.__signature__ = own.replace(parameters=[*kept, *made])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*kept, *made)}
    return run


def _parameter(name: str, field: "FieldInfo") -> inspect.Parameter:
    """Return the command's parameter of a training option."""
    default = field.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    about = str(field.description)
    text = f"{about[:1].upper()}{about[1:]}{_limits(field)} [{shown or 'none'}]."
    option = typer.Option(option_name(name), metavar=_metavar(field.annotation), help=text)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, option],
    )


def _metavar(annotation: Any) -> str:
    """Return how a type is shown: the choices, or its name; lists with commas."""
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        (part, _) = get_args(annotation)
        return f"{_metavar(part)},..."
    return {int: "INTEGER", float: "NUMBER", str: "TEXT"}[annotation]


def _limits(field: "FieldInfo") -> str:
    """Return in words which values a number may have."""
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    found = [
        f"{word} {getattr(limit, name)}"
        for limit in field.metadata
        for name, word in words.items()
        if getattr(limit, name, None) is not None
    ]
    return f" ({', '.join(found)})" if found else ""


@named_errors
@with_training_options
def train(
    context: typer.Context,
    until: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="Last month to learn from [last of the record]."),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            metavar="short|medium|FILE",
            help="Training options: six months ahead, twelve, or a YAML file [short, as far ahead "
            "as TIDENET_N_LEADS].",
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    note: Annotated[str, typer.Option(help="Name of the experiment; recorded.")] = "",
    promote: Annotated[
        bool, typer.Option("--promote", help="Make it the champion whatever the comparison says.")
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Start again even if such a training was interrupted."),
    ] = False,
    **options: str,
) -> None:
    """Train TIDE-Net on the record and register a model version.

    A training that was interrupted goes on where it was, to the same result, when the command is
    given again. The options from --n-history on may also stand in the file of --config (n_history:
    6) or in the environment (TIDENET_TRAIN_N_HISTORY=6); the command line goes before the
    environment, the environment before the file.
    """
    from flows.operations.train import train as operation
    from flows.screen import print_trained, progress_bar
    from storage.months import month as parse_month

    if config and not is_config(config):
        raise typer.BadParameter(f"--config {config}: no such setting and no such file.")
    with progress_bar("Training") as progress:
        trained = operation(
            workspace_of(context),
            until=parse_month(until) if until else None,
            config_file=config,
            options=options,
            seed=seed,
            note=note,
            promote=promote,
            fresh=fresh,
            progress=progress,
        )
    print_trained(trained)
