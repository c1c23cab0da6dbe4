"""What every command of the ``tidenet`` command line shares: exit codes, errors, the workspace."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from flows.operations.workspace import Workspace

EXIT_ERROR = 1
EXIT_REFUSED = 3


def workspace_of(context: typer.Context) -> "Workspace":
    """Return the workspace of the home folder that the command line names."""
    from flows.operations.workspace import Workspace, read_settings

    return Workspace(read_settings(context.obj))


def named_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Print a named error as text for a person, and end with its exit code."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        from storage.errors import TidenetError

        try:
            return command(*args, **kwargs)
        except TidenetError as error:
            from flows.screen import print_error

            print_error(error)
            raise typer.Exit(EXIT_ERROR) from None

    return run
