"""A long-lived process that does the steps it is told, as the flows do them.

``python -m benchmarks.soak.role HOME`` reads one order a line (JSON: step, now, options) from its
standard input, and writes one answer a line. Settings come from the environment.
"""

import datetime as dt
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.operations.drivers import renew_drivers
from flows.operations.due import forecast_due
from flows.operations.ingest import ingest
from flows.operations.maintain import maintain
from flows.operations.train import train
from flows.operations.verify import verify
from flows.operations.workspace import Workspace, read_settings
from storage.errors import TidenetError

READY = "ready"


def _ingest(workspace: Workspace) -> dict[str, Any]:
    outcomes = {str(file.month): str(file.outcome) for file in ingest(workspace)}
    renew_drivers(workspace)
    return {name: outcome for name, outcome in outcomes.items() if outcome != "unchanged"}


def _forecast(workspace: Workspace) -> dict[str, Any]:
    made = forecast_due(workspace)
    return {"created": [str(run.init_month) for run in made if run.created], "due": len(made)}


def _verify(workspace: Workspace) -> dict[str, Any]:
    verified = verify(workspace)
    return {"scored": verified.n_scored, "lost": len(verified.lost)}


def _retrain(workspace: Workspace) -> dict[str, Any]:
    trained = train(workspace, config_file=workspace.settings.home / "tiny.yaml")
    return {"version": trained.version, "promoted": trained.promoted}


def _maintain(workspace: Workspace) -> dict[str, Any]:
    done = maintain(workspace)
    return {
        "expired": done.expired.n_expired,
        "kept": done.expired.n_kept,
        "lost": list(done.expired.lost),
        "freed": done.collected.n_bytes,
        "findings": [f"{one.kind}: {one.found}" for one in done.audited.findings],
        "notes": list(done.notes),
    }


STEPS: dict[str, Callable[[Workspace], dict[str, Any]]] = {
    "ingest": _ingest,
    "forecast": _forecast,
    "verify": _verify,
    "retrain": _retrain,
    "maintain": _maintain,
}


def _import_what_steps_need() -> None:
    """Import it before the first order, so that whoever is killed is not killed while importing."""
    import accelerate  # noqa: F401
    import great_expectations  # noqa: F401
    import icechunk  # noqa: F401

    import tidenet.training  # noqa: F401


class Role:
    """What a process works with as long as it lives.

    Parameters
    ----------
    home
        The home folder.
    """

    def __init__(self, home: Path) -> None:
        self._moment = dt.datetime.now(dt.UTC)
        self._workspace = Workspace(read_settings(home), now=lambda: self._moment)

    def answer(self, step: str, now: dt.datetime) -> dict[str, Any]:
        """Do a step at a simulated moment; a named error is an answer too."""
        self._moment = now
        started = time.monotonic()
        try:
            found: dict[str, Any] = {"done": STEPS[step](self._workspace)}
        except TidenetError as error:
            found = {"error": type(error).__name__, "message": str(error)}
        return {**found, "seconds": time.monotonic() - started}


def main() -> None:
    """Answer orders until there are no more."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed is no answer
    _import_what_steps_need()
    role = Role(Path(sys.argv[1]))
    print(READY, file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        now = dt.datetime.fromisoformat(order["now"])
        print(json.dumps(role.answer(order["step"], now)), file=answers, flush=True)


if __name__ == "__main__":
    main()
