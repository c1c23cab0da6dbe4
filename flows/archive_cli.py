"""``tidenet reproduce`` and ``tidenet audit``: whether the archive can be believed."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from flows.command import EXIT_REFUSED, named_errors, workspace_of


@named_errors
def reproduce(
    context: typer.Context,
    run_id: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Id of a run, 4 or more characters of its beginning, or latest."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run an archived forecast again and say whether the same comes out; 3 if it does not."""
    from flows.archive_screen import print_reproduction
    from flows.operations.reproduce import reproduce as operation

    result = operation(workspace_of(context), run_id)
    if as_json:
        shown = {
            "run_id": result.run.id,
            "identical": result.identical,
            "within_tolerance": result.within_tolerance,
            "fields": result.fields,
            "differences": [asdict(one) for one in result.differences],
            "environment": [
                {"name": name, "then": then, "now": now} for name, then, now in result.environment
            ],
        }
        typer.echo(json.dumps(shown, indent=2))
    else:
        print_reproduction(result)
    if not result.within_tolerance:
        raise typer.Exit(EXIT_REFUSED)


@named_errors
def audit(
    context: typer.Context,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Mend what is safe: remove orphans, restore identical fields."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at every row, field, model and snapshot of the archive; 3 if something is wrong."""
    from flows.archive_screen import print_audit
    from flows.operations.audit import audit as operation
    from flows.screen import progress_bar

    with progress_bar("Auditing") as progress:
        audited = operation(workspace_of(context), fix=fix, progress=progress)
    if as_json:
        findings = [
            {
                "kind": one.kind,
                "subject": one.subject,
                "found": one.found,
                "remedy": one.remedy,
                "can_be_fixed": one.mend is not None,
                "mended": one.mended,
            }
            for one in audited.findings
        ]
        typer.echo(json.dumps(findings, indent=2))
    else:
        print_audit(audited)
    if any(not one.settled for one in audited.findings):
        raise typer.Exit(EXIT_REFUSED)
