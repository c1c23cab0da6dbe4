"""A saved model, whatever its kind and place, as a forecaster that can be evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.operations.drivers import needed_drivers
from flows.operations.versions import training_of
from flows.operations.workspace import Workspace
from storage.errors import TidenetError
from storage.months import Month
from storage.months import month as parse_month

if TYPE_CHECKING:
    from tidenet.forecaster import Forecaster
    from tidenet.record import FluxRecord


class NoWeightsError(TidenetError):
    """Weights that were to be evaluated cannot be used here."""


@dataclass(frozen=True)
class SavedModel:
    """A saved model as it was read.

    Parameters
    ----------
    name
        What tables call it: its version, or the name of its folder or file.
    source
        Where it is from, without credentials.
    tensors, metadata
        Its content. Of a bare checkpoint of the research code the metadata are the method and the
        settings alone.
    trained_until
        Last month that it has learned from; None where nobody says it.
    notes
        What had to be assumed.
    """

    name: str
    source: str
    tensors: Mapping[str, Any]
    metadata: Mapping[str, Any]
    trained_until: Month | None = None
    notes: tuple[str, ...] = ()

    @property
    def drivers(self) -> tuple[str, ...]:
        """Drivers that it reads from the record."""
        config = self.metadata.get("config")
        return needed_drivers(config) if isinstance(config, Mapping) else ()


def read_saved(workspace: Workspace, source: str) -> SavedModel:
    """Read a saved model.

    Parameters
    ----------
    workspace
        The registry, and how long to wait for the outside.
    source
        A registered version, or a file, folder or URL: a model of ours or a checkpoint of the
        research code.

    Raises
    ------
    NoWeightsError
        If there is no such model.
    ModelFileError
        If it is too large, or neither ours nor the research code's.
    PickledCodeError
        If reading it could run code.
    UnreadableCheckpointError, CorruptWeightsError, MissingWeightsError, SourceUnavailableError
        If it cannot be read.
    """
    if not Path(source).exists() and "://" not in source:
        return _registered(workspace, source)
    import tempfile

    from flows.operations.model_files import fetch_model, research_checkpoint
    from storage.weights import parse_model

    with tempfile.TemporaryDirectory(prefix="tidenet-weights-") as folder:
        files = fetch_model(workspace, source, Path(folder))
        name = files.name or files.origin
        if files.metadata is None:
            found = research_checkpoint(files)
            metadata = {"method": "upstream", "config": vars(found.config)}
            return SavedModel(name, files.origin, found.state, metadata, notes=found.notes)
        content = parse_model(files.weights.read_bytes(), files.metadata.read_bytes(), files.origin)
    last = training_of(content[1]).get("trained_until")
    return SavedModel(name, files.origin, *content, parse_month(str(last)) if last else None)


def saved_forecaster(saved: SavedModel, record: "FluxRecord", n_leads: int) -> "Forecaster":
    """Return a saved model as a forecaster of the record.

    Parameters
    ----------
    saved
        The model.
    record
        The training period; forecasts are made from the months after it. Our models bring their
        own; published weights take range, calendar and errors from it.
    n_leads
        Leads that it has to give. Our models may give more.

    Raises
    ------
    NoWeightsError
        If it has learned from later months than the record's.
    IncompatibleModelError
        If it is of another grid or mask, gives fewer leads or reads more months than there are.
    """
    import torch

    from tidenet.belonging import NETWORK_PREFIX
    from tidenet.loading import load_forecaster
    from tidenet.references.networks import published_forecaster
    from tidenet.upstream import UpstreamConfig, from_state_dict

    _require_unseen(saved, record.last_month)
    if saved.metadata.get("method") != "upstream":
        own = load_forecaster(saved.tensors, saved.metadata, record.grid, record.ocean)
        _require_window(saved, own, record, n_leads)
        return own
    prefix = f"{NETWORK_PREFIX}."
    state = {n.removeprefix(prefix): torch.as_tensor(value) for n, value in saved.tensors.items()}
    config = UpstreamConfig.from_mapping(saved.metadata.get("config") or {})
    return published_forecaster(from_state_dict(state, config), record, n_leads)


def _registered(workspace: Workspace, name: str) -> SavedModel:
    """Return a version. What it has learned from is in the registry: a checkpoint cannot say it."""
    from storage.registry import UnknownModelError, model
    from storage.weights import load_model

    try:
        version = model(workspace.engine, name)
    except UnknownModelError as error:
        raise NoWeightsError(
            f"{name} is neither a file, a URL nor a registered version.",
            found=error.found,
            expected=error.expected,
            remedy="Name a file, folder or URL, or a version (tidenet models list).",
        ) from error
    content = load_model(version.weights_url, version.weights_sha256, workspace.patience)
    return SavedModel(name, name, *content, version.trained_until)


def _require_unseen(saved: SavedModel, until: Month) -> None:
    """Refuse a model of which is known that it has learned from later months than a given one."""
    if saved.trained_until is not None and saved.trained_until > until:
        raise NoWeightsError(
            f"{saved.source} has learned from months that it would be judged on.",
            found=f"trained until {saved.trained_until}",
            expected=f"{until} or earlier",
            remedy=f"Evaluate it on later months: --train-until {saved.trained_until}.",
        )


def _require_window(
    saved: SavedModel, own: "Forecaster", record: "FluxRecord", n_leads: int
) -> None:
    """Refuse a model that cannot forecast all leads from the month after the record's last."""
    from tidenet.errors import IncompatibleModelError

    n_months = len(record.fco2) + 1
    if own.n_leads < n_leads or own.n_history > n_months:
        raise IncompatibleModelError(
            f"{saved.source} is of another window.",
            found=f"{own.n_leads} leads from {own.n_history} months",
            expected=f"at least {n_leads} leads from at most {n_months} months",
            remedy=f"Ask for fewer leads (--leads {own.n_leads}), begin later (--train-until), or "
            "take another model.",
        )
