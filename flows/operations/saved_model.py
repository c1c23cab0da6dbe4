"""A saved model, whatever its kind and place, as a forecaster that can be evaluated."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.operations.workspace import Workspace
from storage.errors import TidenetError
from storage.months import Month
from storage.months import month as parse_month

if TYPE_CHECKING:
    from tidenet.forecaster import Forecaster
    from tidenet.record import FluxRecord


class NoWeightsError(TidenetError):
    """Weights that were to be evaluated cannot be used here."""


def saved_forecaster(
    workspace: Workspace, source: str, record: "FluxRecord", n_leads: int
) -> "Forecaster":
    """Return a saved model as a forecaster of the record.

    Parameters
    ----------
    workspace
        The registry, and how long to wait for the outside.
    source
        A registered version, or a file, folder or URL: a model of ours or a checkpoint of the
        research code.
    record
        The training period. Ours brings its own; published weights take range, calendar and errors
        from it.
    n_leads
        Leads that published weights shall give.

    Raises
    ------
    NoWeightsError
        If there is no such model, or it has learned from later months than the record's.
    IncompatibleModelError
        If it is of another grid, mask or window.
    """
    import torch

    from tidenet.belonging import NETWORK_PREFIX
    from tidenet.loading import load_forecaster
    from tidenet.references.networks import published_forecaster
    from tidenet.upstream import UpstreamConfig, from_state_dict, infer_config

    tensors, metadata = _saved_content(workspace, source)
    _require_unseen(source, metadata, record.last_month)
    if metadata is not None and metadata.get("method") != "upstream":
        return load_forecaster(tensors, metadata, record.grid, record.ocean)
    prefix = f"{NETWORK_PREFIX}."
    state = {n.removeprefix(prefix): torch.as_tensor(value) for n, value in tensors.items()}
    config = UpstreamConfig.from_mapping(metadata["config"]) if metadata else infer_config(state)
    return published_forecaster(from_state_dict(state, config), record, n_leads)


def _saved_content(
    workspace: Workspace, source: str
) -> "tuple[Mapping[str, Any], Mapping[str, Any] | None]":
    """Return tensors and metadata of a saved model; of a bare checkpoint its tensors alone."""
    import tempfile

    from flows.operations.model_files import fetch_model
    from storage.registry import UnknownModelError, model
    from storage.weights import load_model, parse_model
    from tidenet.upstream import read_checkpoint

    if not Path(source).exists() and "://" not in source:
        try:
            version = model(workspace.engine, source)
        except UnknownModelError as error:
            raise NoWeightsError(
                f"{source} is neither a file, a URL nor a registered version.",
                found=error.found,
                expected=error.expected,
                remedy="Name a file, folder or URL, or a version (tidenet models list).",
            ) from error
        return load_model(version.weights_url, version.weights_sha256, workspace.patience)
    with tempfile.TemporaryDirectory(prefix="tidenet-weights-") as folder:
        files = fetch_model(workspace, source, Path(folder))
        if files.metadata is None:
            return read_checkpoint(files.weights), None
        return parse_model(files.weights.read_bytes(), files.metadata.read_bytes(), files.origin)


def _require_unseen(source: str, metadata: "Mapping[str, Any] | None", until: Month) -> None:
    """Refuse a model that says that it has learned from later months than a given one."""
    training = (metadata or {}).get("training")
    last = training.get("trained_until") if isinstance(training, Mapping) else None
    if last and parse_month(str(last)) > until:
        raise NoWeightsError(
            f"{source} has learned from months that it would be judged on.",
            found=f"trained until {last}",
            expected=f"{until} or earlier",
            remedy=f"Evaluate it on later months: --train-until {last}.",
        )
