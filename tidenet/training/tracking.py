"""Curves of a training for TensorBoard or MLflow, by setting, through accelerate's trackers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from tidenet.errors import TidenetError

TrackerName = Literal["none", "tensorboard", "mlflow"]


class MissingTrackerError(TidenetError):
    """A tracker was asked for whose package is not installed."""


class Tracker(Protocol):
    """Where the numbers of a training go after every epoch."""

    def log(self, values: dict[str, float], step: int) -> None:
        """Keep named numbers of a step; a step is an epoch, from 1."""


@dataclass(frozen=True)
class Prefixed:
    """A tracker of one of several trainings: its numbers' names begin alike.

    Parameters
    ----------
    tracker
        Of all of them.
    prefix
        Beginning of the names.
    """

    tracker: Tracker
    prefix: str

    def log(self, values: dict[str, float], step: int) -> None:
        """Keep named numbers of a step."""
        self.tracker.log({self.prefix + name: value for name, value in values.items()}, step)


@contextmanager
def open_tracker(
    name: TrackerName, folder: Path, run: str, options: Mapping[str, Any]
) -> Iterator[Tracker | None]:
    """Open a tracker for a training, close it afterwards.

    Parameters
    ----------
    name
        Which; ``none`` gives None.
    folder
        Where TensorBoard's files go: ``folder/run``. MLflow goes by its own environment
        (``MLFLOW_TRACKING_URI``).
    run
        Name of the run.
    options
        Of the training, kept with the run.

    Raises
    ------
    MissingTrackerError
        If its package is not installed.
    """
    if name == "none":
        yield None
        return
    if find_spec(name) is None:
        raise MissingTrackerError(
            f"Training was told to log to {name}, which is not installed.",
            found=f"no package {name}",
            expected=f"{name}, or the setting none",
            remedy=f'Install it with pip install "tidenet[{name}]", or set TIDENET_TRACKER=none.',
        )
    from accelerate.tracking import MLflowTracker, TensorBoardTracker

    tracker = (
        TensorBoardTracker(run, folder)
        if name == "tensorboard"
        else MLflowTracker("tidenet", run_name=run)
    )
    tracker.start()
    try:
        tracker.store_init_configuration({key: _plain(value) for key, value in options.items()})
        yield tracker
    finally:
        tracker.finish()


def _plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
